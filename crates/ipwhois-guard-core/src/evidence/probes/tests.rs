use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn built_in(served: &[&str]) -> ProbePaths {
    ProbePaths::new(None, &strings(served)).unwrap()
}

fn own(list: &[&str], served: &[&str]) -> ProbePaths {
    ProbePaths::new(Some(&strings(list)), &strings(served)).unwrap()
}

#[track_caller]
fn check(probes: &ProbePaths, is_probe: bool, paths: &[&str]) {
    for path in paths {
        assert_eq!(probes.matches(path), is_probe, "{path}");
    }
}

#[test]
fn what_scanners_ask_for_is_a_probe() {
    check(
        &built_in(&[]),
        true,
        &[
            "/.env",
            "/.env.production",
            "/api/.env",
            "/prod.env",
            "/.git/config",
            "/.git",
            "/.DS_Store",
            "/.aws/credentials",
            "/.htpasswd",
            "/wp-login.php",
            "/wp-admin/",
            "/blog/wp-includes/wlwmanifest.xml",
            "/xmlrpc.php",
            "/index.php/site/login",
            "/info.php",
            "/shell.php5",
            "/a.phtml",
            "/phpMyAdmin/",
            "/phpMyAdmin-5.2.1/",
            "/admin/pma/",
            "/administrator/index",
            "/cgi-bin/luci/;stok=/locale",
            "/vendor/phpunit/phpunit/src/Util/PHP/",
            "/solr/admin/info/system",
            "/actuator/env",
            "/manage/actuator/env",
            "/manager/html",
            "/HNAP1",
            "/boaform/admin/formLogin",
            "/GponForm/diag_Form",
            "/owa/auth/logon.aspx",
            "/autodiscover/autodiscover.json",
            "/ecp/Current/exporttool/",
            "/_ignition/execute-solution",
            "/telescope/requests",
            "/server-status",
            "/id_rsa",
            "/web.config",
            "/backup.sql",
            "/dump.sql.gz",
            "/backup.tar.gz",
            "/login.do",
            "/index.action",
            "/login.cgi",
            "/login.jsp;jsessionid=1",
            "/+CSCOE+/logon.html",
            "/stalker_portal/c/",
            "/geoserver/web/",
            "/nacos/v1/auth/users",
            "/evox/about",
            "/ALFA_DATA/alfacgiapi",
            "/nmaplowercheck1700000000",
            "/.well-known/acme-challenge/about.php",
        ],
    );
}

#[test]
fn what_visitors_and_good_crawlers_ask_for_is_none() {
    check(
        &built_in(&[]),
        false,
        &[
            "",
            "/",
            "*",
            "/index.html",
            "/robots.txt",
            "/favicon.ico",
            "/sitemap.xml",
            "/ads.txt",
            "/apple-touch-icon-120x120-precomposed.png",
            "/feed",
            "/rss",
            "/atom.xml",
            "/.well-known/security.txt",
            "/.well-known/acme-challenge/x",
            "/admin",
            "/login",
            "/console",
            "/api",
            "/api/v1/users/1",
            "/manager",
            "/health",
            "/metrics",
            "/graphql",
            "/swagger-ui/index.html",
            "/config.json",
            "/index/config.json",
            "/package.json",
            "/openapi.yaml",
            "/install.sh",
            "/setup.exe",
            "/download/app-1.2.3.tar.gz",
            "/users/administrator",
            "/tags/solr",
            "/tags/jenkins",
            "/blog/wp-migration",
            "/blog/environment",
            "/.perseus/bundle.js",
            "/.gitbook/assets/x.png",
            "/icons/example.pl/icon.png",
            "/autodiscover/autodiscover.xml",
            "/compare/v1.0...v1.1",
            "/a..b/c",
            "/...",
            "/price/$5",
            "/100%",
            "/100%25",
            "/caf%C3%A9",
            "/caf\u{e9}/\u{c0}",
            "/a%20b%2Fc",
            "/redirect/https%253A%252F%252Fexample.com",
            "/${item.src}",
            "/sql",
            "/php",
            "/do",
            "/env",
            "/git",
            "/what-is-.php-for",
            "/search?q=/wp-login.php",
            "/page#/.env",
        ],
    );
}

#[test]
fn spelling_makes_no_difference() {
    check(
        &built_in(&[]),
        true,
        &[
            "/%77p-login.php",
            "//wp-login.php",
            "/WP-LOGIN.PHP",
            "wp-login.php",
            "/x/./%2Eenv",
            "/%2e%65nv",
            "/a%2f.env",
            "\\.env",
            "/.env/",
            "/.env;x=1",
            "/.env?x",
            "/wp-login.php%3Faction=x",
            "/vendor//.//PHPUnit/x",
            "//./%6danager%2fhtml",
            "///solr",
            "/dump%2eSQL.g%7A",
        ],
    );
}

#[test]
fn marks_of_an_attack_count_wherever_they_are_and_whatever_is_served() {
    for probes in [built_in(&["/"]), own(&[], &[]), built_in(&[])] {
        check(
            &probes,
            true,
            &[
                "/..",
                "/../x",
                "/a/../b",
                "/a/..",
                "/%2e%2e/x",
                "/.%2E/x",
                "/..%2fx",
                "/..%5cx",
                "/..\\x",
                "/..;/x",
                "/a/..;a=b/x",
                "/%252e%252e%252fx",
                "/.%%32%65/x",
                "/..%c0%afx",
                "/x%00",
                "/x\0",
                "/x%00.html",
                "/${jndi:ldap:x}",
                "/a$%7BJNDI:x",
                "/${${lower:j}ndi:x}",
                "/<script>",
                "/a%3CScript%3e",
                "/a;<script>",
            ],
        );
    }
}

#[test]
fn a_list_of_the_users_own_replaces_the_built_in_one() {
    let probes = own(&["/trap", "/a/b", "*.foo", "*.tar.bar", "/%7euser"], &[]);
    check(
        &probes,
        true,
        &[
            "/trap",
            "/trap/",
            "/TRAP/x",
            "/a/b",
            "/a//b/c",
            "/x.foo",
            "/x.foo/y",
            "/x.tar.bar",
            "/~user",
        ],
    );
    check(
        &probes,
        false,
        &[
            "/wp-login.php",
            "/.env",
            "/x/trap",
            "/traps",
            "/a",
            "/a/bc",
            "/b/a",
            "/foo",
            "/x.bar",
            "/xtar.bar",
            "/x.foo.html",
        ],
    );
}

#[test]
fn what_the_application_serves_is_no_probe() {
    let probes = built_in(&["/owa", "*.php", "/shop/backup.sql"]);
    check(
        &probes,
        false,
        &[
            "/owa",
            "/OWA/auth/x.aspx",
            "/index.php",
            "/wp-login.php",
            "/x.php/.env",
            "/shop/backup.sql",
        ],
    );
    check(
        &probes,
        true,
        &[
            "/x/owa/auth",
            "/.env",
            "/backup.sql",
            "/a.phtml",
            "/wp-admin/",
        ],
    );
    check(&built_in(&["/"]), false, &["/.env", "/", "/a/b.php"]);
    check(&own(&["*.foo"], &["/a"]), false, &["/a/x.foo"]);
    check(&own(&["*.foo"], &["/a"]), true, &["/b/x.foo"]);
}

#[track_caller]
fn refuse(entry: &str, reason: &str) {
    let entries = strings(&["/fine", entry]);
    let shown = crate::shown::printable(entry.as_bytes());
    let expected = |setting: &str| format!("setting `{setting}`: `{shown}` {reason}");
    let error = ProbePaths::new(Some(&entries), &[])
        .unwrap_err()
        .to_string();
    assert!(error.starts_with(&expected("probe_paths")), "{error}");
    let error = ProbePaths::new(None, &entries).unwrap_err().to_string();
    assert!(error.starts_with(&expected("served_paths")), "{error}");
}

#[test]
fn an_entry_that_is_neither_a_path_nor_an_extension_is_refused() {
    refuse("", "is empty");
    refuse("wp-admin", "must begin with `/`");
    refuse(" /wp-admin", "must begin with `/`");
    refuse(".php", "must begin with `/`");
    refuse("/wp-admin /wp-login.php", "is a list");
    refuse("/wp-admin,/wp-login.php", "is a list");
    refuse("*.php *.asp", "is no extension");
    refuse("/wp admin", "holds a blank");
    refuse("/wp-admin/:id", "looks like a pattern");
    refuse("/wp\u{200b}", "holds a character that cannot be seen");
    refuse("/wp\n", "contains a control character");
    refuse("/wp%0a", "contains a control character");
    refuse("/a?b", "has a query");
    refuse("/a#b", "has a query");
    refuse("/a;b", "has a query");
    refuse("/a%3Bb", "has a query");
    refuse("/a%3fb", "has a query");
    refuse("/wp-*", "has a `*` where");
    refuse("/*.php", "has a `*` where");
    refuse("*", "is no extension");
    refuse("*php", "is no extension");
    refuse("*.", "is no extension");
    refuse("*..php", "is no extension");
    refuse("*.php.", "is no extension");
    refuse("*.p*", "is no extension");
    refuse("*.a/b", "is no extension");
    refuse("*.%70hp", "is no extension");
    refuse("/a/../b", "climbs");
    refuse("/%2e%2e", "climbs");
}

#[test]
fn probes_cannot_be_everything_and_what_is_served_can() {
    for entry in ["/", "//", "/."] {
        let list = strings(&["*.php", entry]);
        let error = ProbePaths::new(Some(&list), &[]).unwrap_err().to_string();
        let expected = format!("setting `probe_paths`: `{entry}` covers every path");
        assert!(error.starts_with(&expected), "{error}");
        assert!(ProbePaths::new(None, &list).is_ok());
    }
}

/// A path that this pattern of the built-in list is for.
fn example(pattern: &str) -> String {
    if let Some(end) = pattern.strip_prefix('*') {
        format!("/x/name{end}")
    } else if let Some(beginning) = pattern.strip_suffix('*') {
        format!("/x/{beginning}zz/y")
    } else if pattern.starts_with('/') {
        format!("{pattern}/y")
    } else {
        format!("/x/{pattern}/y")
    }
}

fn listed() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().flat_map(|group| group.patterns).copied()
}

#[test]
fn each_pattern_of_the_built_in_list_is_found_alone_and_among_the_others() {
    let all = built_in(&[]);
    for pattern in listed() {
        let path = example(pattern);
        let alone = Patterns::new(vec![Pattern::built_in(pattern)]);
        assert!(alone.cover(&path), "{path} by {pattern} alone");
        assert!(all.matches(&path), "{path} by {pattern}");
    }
}

#[test]
fn the_built_in_list_is_written_as_its_documentation_says() {
    let mut seen = HashSet::new();
    for pattern in listed() {
        assert!(seen.insert(pattern), "{pattern} twice");
        let letters = pattern.trim_matches('*');
        let is_plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"./_-+~@".contains(&byte)
        };
        assert!(letters.bytes().all(is_plain), "{pattern}");
        assert!(!letters.is_empty() && !letters.ends_with('/'), "{pattern}");
        assert!(
            !pattern.starts_with('*') || letters.starts_with('.'),
            "{pattern}"
        );
        let stars = pattern.matches('*').count();
        assert!(
            stars == 0 || stars == 1 && !letters.contains('/'),
            "{pattern}"
        );
    }
    assert!(BUILT_IN.iter().all(|group| !group.what.is_empty()));
}

#[test]
fn telling_a_probe_does_not_allocate() {
    let probes = built_in(&["/served"]);
    let counted = allocation_counter::measure(|| {
        for path in [
            "/admin/users/1",
            "/%2Eenv",
            "/served/x.php",
            "/x/dump.sql.gz",
        ] {
            std::hint::black_box(probes.matches(path));
        }
    });
    assert_eq!(counted.count_total, 0);
}

/// How to write one byte.
#[derive(Clone, Copy, Debug)]
enum Written {
    Plain,
    OtherCase,
    Escaped,
    EscapedInCapitals,
}

fn write(path: &str, how: &[Written], slashes: &str) -> String {
    path.char_indices()
        .zip(how.iter().cycle())
        .map(|((at, letter), how)| match (letter, how) {
            ('/', _) if at == 0 => slashes.to_owned(),
            ('/', _) => slashes.to_owned(),
            (letter, Written::OtherCase) if letter.is_ascii_lowercase() => {
                letter.to_ascii_uppercase().to_string()
            }
            (letter, Written::Escaped) => format!("%{:02x}", u32::from(letter)),
            (letter, Written::EscapedInCapitals) => {
                format!("%{:02X}", u32::from(letter.to_ascii_uppercase()))
            }
            (letter, Written::Plain | Written::OtherCase) => letter.to_string(),
        })
        .collect()
}

fn written() -> impl Strategy<Value = Vec<Written>> {
    let one = prop_oneof![
        Just(Written::Plain),
        Just(Written::OtherCase),
        Just(Written::Escaped),
        Just(Written::EscapedInCapitals),
    ];
    prop::collection::vec(one, 1..40)
}

const HARMLESS: &[&str] = &[
    "admin",
    "login",
    "logout",
    "api",
    "v1",
    "v2",
    "users",
    "console",
    "manager",
    "posts",
    "blog",
    "tags",
    "words",
    "env",
    "git",
    "php",
    "config",
    "static",
    "assets",
    "img",
    "css",
    "app",
    "main",
    "index",
    "about",
    "contact",
    "shop",
    "cart",
    "search",
    "docs",
    "download",
    "feed",
    "rss",
    "2024",
    "12",
    "a",
    "p",
    "health",
    "status",
    "sdk",
    "shell-scripts",
    "backup",
    "vendor",
    "telescope",
    "remote",
    "auth",
    "sites",
    "default",
    "home",
];

fn ordinary_path() -> impl Strategy<Value = String> {
    let segment = prop::collection::vec(prop::sample::select(HARMLESS), 1..4)
        .prop_map(|words| words.join("-"));
    let extension = prop::sample::select(
        &[
            "", ".html", ".css", ".js", ".png", ".jpg", ".woff2", ".json", ".xml",
        ][..],
    );
    (prop::collection::vec(segment, 0..6), extension)
        .prop_map(|(segments, extension)| format!("/{}{extension}", segments.join("/")))
}

proptest! {
    #[test]
    fn any_spelling_of_a_listed_path_is_a_probe(
        pattern in prop::sample::select(listed().collect::<Vec<_>>()),
        how in written(),
        slashes in "(/|%2f|\\\\|/\\./){1,3}",
    ) {
        let path = write(&example(pattern), &how, &slashes);
        prop_assert!(built_in(&[]).matches(&path), "{path} by {pattern}");
    }

    #[test]
    fn an_ordinary_path_is_none(path in ordinary_path()) {
        prop_assert!(!built_in(&[]).matches(&path), "{path}");
    }

    #[test]
    fn no_path_and_no_entry_panics(path: String, odd in "[/.%;\\\\$<0-9a-fA-F*{]{0,40}", entry: String) {
        let probes = built_in(&["/served", "*.php"]);
        for path in [&path, &odd] {
            probes.matches(path);
            probes.matches(&format!("/{path}"));
        }
        for entry in [path, odd, entry] {
            for entry in [format!("/{entry}"), format!("*.{entry}"), entry] {
                if let Ok(probes) = ProbePaths::new(Some(std::slice::from_ref(&entry)), &[]) {
                    if !entry.starts_with('*') {
                        prop_assert!(probes.matches(&entry), "{entry:?}");
                    } else {
                        let path = entry.replacen('*', "/x", 1);
                        prop_assert!(probes.matches(&path), "{path:?}");
                    }
                }
            }
        }
    }
}
