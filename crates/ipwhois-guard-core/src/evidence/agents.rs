//! What a client names itself, in its `User-Agent`.
//!
//! A careful attacker names a browser, so a name alone decides nothing. But most programs that go
//! through the whole internet do not take the trouble.

/// Names of scanners, wherever they stand, in the order of their first letters.
const SCANNERS: &[&str] = &[
    "acunetix",
    "arachni",
    "dirbuster",
    "feroxbuster",
    "fuzz faster u fool",
    "gobuster",
    "havij",
    "hydra",
    "jorgee",
    "l9explore",
    "l9tcpid",
    "leakix",
    "masscan",
    "morfeus",
    "muieblackcat",
    "nessus",
    "netsparker",
    "nikto",
    "nmap scripting engine",
    "nuclei",
    "openvas",
    "skipfish",
    "sqlmap",
    "w3af",
    "wfuzz",
    "whatweb",
    "wpscan",
    "zgrab",
    "zmeu",
];

/// A user agent that begins with one of these is a script. Libraries of phone applications are not
/// among them.
const SCRIPTS: &[&str] = &[
    "aiohttp/",
    "apache-httpclient/",
    "curl/",
    "fasthttp",
    "go-http-client/",
    "httpie/",
    "java/",
    "libwww-perl/",
    "lwp::",
    "php/",
    "python-httpx/",
    "python-requests/",
    "python-urllib/",
    "python/",
    "ruby",
    "scrapy/",
    "wget/",
];

/// Too short for a browser.
const BARE: &[&str] = &["", "-", "mozilla", "mozilla/4.0", "mozilla/5.0"];

/// Words of crawlers, wherever they stand.
const CRAWLERS: &[&str] = &["+http", "bot", "crawl", "spider"];

/// Maximum length that is read.
const LONGEST: usize = 512;

/// The kind of client that a user agent names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agent {
    /// A browser or an application.
    Ordinary,
    Crawler,
    /// A script, or no name at all.
    Script,
    Scanner,
}

impl Agent {
    /// By the first line of the header `user-agent`; empty if there is none. Does not allocate.
    pub(crate) fn of(line: &[u8]) -> Self {
        let agent = line.trim_ascii();
        let agent = &agent[..agent.len().min(LONGEST)];
        let [mut is_scanner, mut is_crawler] = [false; 2];
        for (at, pair) in agent.windows(2).enumerate() {
            if begins_a_name(pair) {
                let rest = &agent[at..];
                is_scanner |= scanners_with(pair[0]).iter().any(|name| begins(rest, name));
                is_crawler |= CRAWLERS.iter().any(|name| begins(rest, name));
            }
        }
        let is_bare = || {
            BARE.iter()
                .any(|bare| agent.eq_ignore_ascii_case(bare.as_bytes()))
        };
        if is_scanner {
            Self::Scanner
        } else if is_bare() || SCRIPTS.iter().any(|name| begins(agent, name)) {
            Self::Script
        } else if is_crawler {
            Self::Crawler
        } else {
            Self::Ordinary
        }
    }
}

/// For each letter, the number of scanners whose names begin with an earlier one.
static EARLIER: [u8; 27] = {
    let mut earlier = [0; 27];
    let mut at = 0;
    while at < SCANNERS.len() {
        let letter = (SCANNERS[at].as_bytes()[0] - b'a') as usize;
        assert!(earlier[letter + 1] as usize == at, "names are in order");
        let mut later = letter + 1;
        while later < earlier.len() {
            earlier[later] += 1;
            later += 1;
        }
        at += 1;
    }
    earlier
};

/// The scanners whose names begin with this letter.
fn scanners_with(letter: u8) -> &'static [&'static str] {
    let letter = usize::from(letter.to_ascii_lowercase().wrapping_sub(b'a'));
    match (EARLIER.get(letter), EARLIER.get(letter + 1)) {
        (Some(&from), Some(&to)) => &SCANNERS[usize::from(from)..usize::from(to)],
        _ => &[],
    }
}

/// Whether a text begins with a name in lower case. Most names fail at the first byte, which needs
/// no call.
#[inline]
fn begins(text: &[u8], with: &str) -> bool {
    let is_first_the_same =
        text.first().map(u8::to_ascii_lowercase) == with.as_bytes().first().copied();
    is_first_the_same
        && text
            .get(..with.len())
            .is_some_and(|beginning| beginning.eq_ignore_ascii_case(with.as_bytes()))
}

/// For the first letter of each name above, which second letters follow it. Most pairs of letters
/// begin no name, so most of a user agent costs one look each. Of a letter five bits count, which
/// are the same in both cases.
static PAIRS: [u32; 32] = {
    let mut pairs = [0; 32];
    let lists = [SCANNERS, CRAWLERS];
    let mut list = 0;
    while list < lists.len() {
        let mut n = 0;
        while n < lists[list].len() {
            let name = lists[list][n].as_bytes();
            pairs[(name[0] & 31) as usize] |= 1 << (name[1] & 31);
            n += 1;
        }
        list += 1;
    }
    pairs
};

fn begins_a_name(pair: &[u8]) -> bool {
    PAIRS[usize::from(pair[0] & 31)] >> (pair[1] & 31) & 1 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(agent: &str, expected: Agent) {
        let got = Agent::of(agent.as_bytes());
        assert_eq!(got, expected, "`{agent}`");
    }

    #[test]
    fn scanners_are_known_by_name_wherever_it_stands() {
        for agent in [
            "Mozilla/5.0 zgrab/0.x",
            "sqlmap/1.8#stable (https://sqlmap.org)",
            "Mozilla/5.00 (Nikto/2.5.0) (Evasions:None)",
            "WPScan v3.8.25 (https://wpscan.com/wordpress-security-scanner)",
            "Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)",
        ] {
            check(agent, Agent::Scanner);
        }
    }

    #[test]
    fn a_program_that_says_so_or_says_nothing_is_a_script() {
        for agent in [
            "",
            " ",
            "-",
            "Mozilla/5.0",
            "curl/8.5.0",
            "python-requests/2.32.3",
            "Python/3.12 aiohttp/3.9.1",
            "Go-http-client/1.1",
            "GO-HTTP-CLIENT/2.0",
            "Wget/1.21.4",
        ] {
            check(agent, Agent::Script);
        }
    }

    #[test]
    fn a_crawler_says_so() {
        for agent in [
            "Mozilla/5.0 (compatible; ArchiveCrawler/3.4; +https://archive.example/crawler)",
            "NewsBot",
            "Mozilla/5.0 (compatible; a; +http://reader.example)",
        ] {
            check(agent, Agent::Crawler);
        }
    }

    #[test]
    fn browsers_and_applications_are_ordinary() {
        for agent in [
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "okhttp/4.12.0",
            "Dart/3.3 (dart:io)",
            "QuietReader/4.2 (2 subscribers; https://reader.example)",
            "curly",
            "mycurl/8.5.0",
        ] {
            check(agent, Agent::Ordinary);
        }
    }

    #[test]
    fn the_lists_are_in_lower_case_and_in_order() {
        for list in [SCANNERS, SCRIPTS, BARE, CRAWLERS] {
            assert!(list.is_sorted());
            assert!(list.iter().all(|name| *name == name.to_lowercase()));
        }
    }

    #[test]
    fn every_name_is_found_in_any_case_and_place() {
        for (list, expected) in [(SCANNERS, Agent::Scanner), (CRAWLERS, Agent::Crawler)] {
            for name in list {
                check(name, expected);
                check(&format!("Mozilla/5.0 ({})", name.to_uppercase()), expected);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(line in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = Agent::of(&line);
        }
    }
}
