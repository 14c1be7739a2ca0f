//! The signs: what one request, its answer or the application shows of a client. One bit each.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs(u16);

impl Signs {
    pub(crate) const NONE: Self = Self(0);
    /// It asked for a path that only scanners ask for.
    pub(crate) const PROBE: Self = Self(1 << 0);
    /// Its user agent names a scanner.
    pub(crate) const SCANNER: Self = Self(1 << 1);
    /// Its user agent names a script, or it sent none.
    pub(crate) const SCRIPT: Self = Self(1 << 2);
    /// Its user agent names a crawler.
    pub(crate) const CRAWLER: Self = Self(1 << 3);
    /// It sent a request that changes something.
    pub(crate) const CHANGE: Self = Self(1 << 4);
    /// It was answered 401, 403 or 404 where that tells something: see [`SignReader::of`](super::SignReader::of).
    pub(crate) const REFUSED: Self = Self(1 << 5);
    /// It fetched a stylesheet, a script, an image or a font.
    pub(crate) const ASSET: Self = Self(1 << 6);
    /// It sent a referrer.
    pub(crate) const REFERRER: Self = Self(1 << 7);
    /// A login failed.
    pub(crate) const FAILED_LOGIN: Self = Self(1 << 8);
    /// The application suspects it.
    pub(crate) const SUSPECTED: Self = Self(1 << 9);
    /// An earlier check found it listed. The verdict has expired.
    pub(crate) const WAS_LISTED: Self = Self(1 << 10);
    /// An earlier check found it clean. The verdict has expired.
    pub(crate) const WAS_CLEAN: Self = Self(1 << 11);
    /// Checks of its network found as many listed clients as clean ones, or more.
    pub(crate) const NEAR_LISTED: Self = Self(1 << 12);
    /// Checks of its network found more clean clients than listed ones.
    pub(crate) const NEAR_CLEAN: Self = Self(1 << 13);

    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    #[cfg(test)]
    pub(crate) const fn contain(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These signs without the others.
    pub(crate) const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// What outlives a day without a request.
    pub(crate) const fn earlier_verdict(self) -> Self {
        Self(self.0 & (Self::WAS_LISTED.0 | Self::WAS_CLEAN.0))
    }
}

impl BitOr for Signs {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Signs {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The names of the signs, in the order of their bits.
const NAMES: [&str; super::SIGNS] = [
    "probe",
    "scanner",
    "script",
    "crawler",
    "change",
    "refused",
    "asset",
    "referrer",
    "failed-login",
    "suspected",
    "was-listed",
    "was-clean",
    "near-listed",
    "near-clean",
];

impl fmt::Display for Signs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = (0..super::SIGNS).filter(|bit| self.0 >> bit & 1 == 1);
        let mut separator = "";
        for bit in shown {
            write!(f, "{separator}{}", NAMES[bit])?;
            separator = " ";
        }
        f.write_str(if self.0 == 0 { "none" } else { "" })
    }
}

/// Endings of files that pages are made of. Scanners rarely fetch them.
const ASSETS: &[&str] = &[
    "avif", "css", "gif", "jpeg", "jpg", "js", "mjs", "png", "svg", "ttf", "webp", "woff", "woff2",
];

pub(super) fn is_asset(path: &str) -> bool {
    let path = without_query(path);
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    ASSETS
        .iter()
        .any(|known| ending.eq_ignore_ascii_case(known))
}

fn without_query(path: &str) -> &str {
    let end = path.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    path.get(..end.unwrap_or(path.len())).unwrap_or_default()
}

/// Whether a method is not safe (RFC 9110, section 9.2.1).
pub(super) fn changes_something(method: &str) -> bool {
    method != "GET"
        && !["GET", "HEAD", "OPTIONS", "TRACE"]
            .iter()
            .any(|safe| method.eq_ignore_ascii_case(safe))
}

/// Whether scanners get an answer with this status by the dozen.
pub(crate) const fn is_refusal(status: u16) -> bool {
    matches!(status, 401 | 403 | 404)
}

/// Whether browsers, mail programs or crawlers ask for this path by themselves.
pub(super) fn is_well_known(path: &str) -> bool {
    let path = without_query(path);
    WELL_KNOWN_FILES.contains(&path)
        || WELL_KNOWN_BEGINNINGS
            .iter()
            .any(|beginning| path.starts_with(beginning))
}

const WELL_KNOWN_FILES: &[&str] = &[
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

/// With anything after it: `/apple-touch-icon-120x120.png`, `/sitemap_index.xml`.
const WELL_KNOWN_BEGINNINGS: &[&str] =
    &["/.well-known/", "/apple-touch-icon", "/favicon", "/sitemap"];

#[cfg(test)]
mod tests {
    use super::super::SignReader;
    use super::*;
    use crate::address::Peer;
    use crate::request::RequestHead;

    struct Request {
        method: &'static str,
        path: &'static str,
        agent: &'static str,
        referrer: Option<&'static str>,
    }

    impl RequestHead for Request {
        fn method(&self) -> &str {
            self.method
        }

        fn path(&self) -> &str {
            self.path
        }

        fn peer(&self) -> Peer {
            Peer::Unknown
        }

        fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
            let line = match name {
                "user-agent" => Some(self.agent),
                "referer" => self.referrer,
                _ => None,
            };
            line.map(str::as_bytes).into_iter()
        }
    }

    const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

    #[track_caller]
    fn check(
        method: &'static str,
        path: &'static str,
        agent: &'static str,
        referrer: Option<&'static str>,
        expected: &str,
    ) {
        let reader = SignReader::new(None, &[]).unwrap();
        let request = Request {
            method,
            path,
            agent,
            referrer,
        };
        let (signs, _) = reader.of(&request);
        assert_eq!(signs.to_string(), expected, "{method} {path}");
    }

    #[test]
    fn a_request_shows_what_its_client_does() {
        let page = Some("https://site.example/");
        check("GET", "/", BROWSER, None, "none");
        check("GET", "/", BROWSER, Some("-"), "none");
        check("GET", "/a.PNG?v=2", BROWSER, page, "asset referrer");
        check("GET", "/a?b=.png", BROWSER, None, "none");
        check("POST", "/contact", BROWSER, page, "change referrer");
        check("GET", "/wp-login.php", "curl/8.5.0", None, "probe script");
        check("GET", "/.git/logo.png", BROWSER, None, "probe");
        check("PROPFIND", "/", "zgrab/0.x", None, "scanner change");
        check("GET", "/", "ArchiveCrawler/3.4", None, "crawler");
    }

    #[test]
    fn a_refusal_tells_nothing_where_browsers_ask_by_themselves() {
        let reader = SignReader::new(None, &[]).unwrap();
        let tells = |method, path| {
            let request = Request {
                method,
                path,
                agent: "",
                referrer: None,
            };
            reader.of(&request).1
        };
        for path in [
            "/favicon.ico?v=2",
            "/apple-touch-icon-precomposed.png",
            "/robots.txt",
            "/.well-known/security.txt",
        ] {
            assert!(!tells("GET", path), "{path}");
            assert!(tells("POST", path), "{path}");
        }
        for path in ["/", "/login", "/robots.txt/x", "/a/favicon.ico", "", "*"] {
            assert!(tells("get", path), "{path}");
        }
    }

    #[test]
    fn each_sign_has_its_name() {
        let all = Signs((1 << super::super::SIGNS) - 1);
        assert_eq!(all.to_string().split(' ').count(), super::super::SIGNS);
        assert_eq!(Signs::NEAR_CLEAN.to_string(), "near-clean");
        assert_eq!(Signs::FAILED_LOGIN.to_string(), "failed-login");
        assert_eq!(all.without(all), Signs::NONE);
    }
}
