//! Paths that nobody typed or linked: that they are missing says nothing about the client.

/// Each of them once, at the root.
const FILES: &[&str] = &[
    "/ads.txt",
    "/app-ads.txt",
    "/apple-app-site-association",
    "/autodiscover/autodiscover.xml",
    "/browserconfig.xml",
    "/crossdomain.xml",
    "/humans.txt",
    "/llms.txt",
    "/manifest.json",
    "/manifest.webmanifest",
    "/robots.txt",
    "/security.txt",
    "/service-worker.js",
    "/site.webmanifest",
    "/sw.js",
];

/// With anything after it: `/apple-touch-icon-120x120-precomposed.png`, `/sitemap_index.xml`.
const BEGINNINGS: &[&str] = &["/.well-known/", "/apple-touch-icon", "/favicon", "/sitemap"];

/// Whether browsers, mail programs and good crawlers ask for this path of their own accord. A 404 for it is no signal: a
/// telephone that opens one page may ask for five icons that the site does not have.
pub(crate) fn is_unprompted(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    FILES.contains(&path)
        || BEGINNINGS
            .iter()
            .any(|beginning| path.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(unprompted: bool, paths: &[&str]) {
        for path in paths {
            assert_eq!(is_unprompted(path), unprompted, "{path}");
        }
    }

    #[test]
    fn icons_and_well_known_files_are_asked_for_unprompted() {
        check(
            true,
            &[
                "/favicon.ico",
                "/favicon.ico?v=2",
                "/favicon-32x32.png",
                "/apple-touch-icon-precomposed.png",
                "/robots.txt",
                "/sitemap.xml",
                "/.well-known/security.txt",
            ],
        );
    }

    #[test]
    fn a_page_is_not() {
        check(
            false,
            &["/", "/login", "/robots.txt/x", "/a/favicon.ico", "", "*"],
        );
    }
}
