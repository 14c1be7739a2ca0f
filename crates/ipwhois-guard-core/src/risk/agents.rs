//! What a client says it is, in its `User-Agent`.
//!
//! Who attacks in earnest names a browser, and nothing is blocked for a name. But most of those who go through the whole internet
//! do not take the trouble, and hardly a visitor says that he is a script: so such a client is checked a little earlier.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// The names under which scanners are known, wherever they stand.
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

/// What begins with one of these is a program by its own word. Libraries of which applications on telephones are made are not
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

/// No browser says so little.
const BARE: &[&str] = &["", "-", "mozilla", "mozilla/4.0", "mozilla/5.0"];

/// Longer ones are read so far.
const LONGEST: usize = 512;

/// Who it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agent {
    /// A browser, a crawler, an application; or so it says.
    Ordinary,
    /// A program that somebody wrote for the purpose; or it does not say.
    Script,
    /// A tool that looks for holes.
    Scanner,
}

impl Agent {
    /// By the lines of the header `user-agent`. Does not allocate.
    pub(crate) fn of<'h>(mut lines: impl Iterator<Item = &'h [u8]>) -> Self {
        let agent = lines.next().unwrap_or_default().trim_ascii();
        let agent = &agent[..agent.len().min(LONGEST)];
        if SCANNERS.iter().any(|name| contains(agent, name.as_bytes())) {
            return Self::Scanner;
        }
        let is_bare = BARE
            .iter()
            .any(|bare| agent.eq_ignore_ascii_case(bare.as_bytes()));
        if is_bare || SCRIPTS.iter().any(|name| begins(agent, name.as_bytes())) {
            Self::Script
        } else {
            Self::Ordinary
        }
    }
}

fn begins(text: &[u8], with: &[u8]) -> bool {
    text.get(..with.len())
        .is_some_and(|beginning| beginning.eq_ignore_ascii_case(with))
}

fn contains(text: &[u8], name: &[u8]) -> bool {
    text.windows(name.len())
        .any(|window| window.eq_ignore_ascii_case(name))
}

/// 1.0 of a share.
const ONE: u32 = 1 << 16;

/// From a fifth of the newcomers on.
const MANY: u32 = ONE / 5;

/// Whether scripts are rare. Where they are not, because the application is made for them or the log is, it says nothing of a client
/// that it is one.
#[derive(Debug)]
pub(crate) struct Scripts {
    /// The share of scripts among newcomers, each of which counts for a 64th.
    share: AtomicU32,
}

impl Scripts {
    pub(crate) const fn new() -> Self {
        Self {
            share: AtomicU32::new(MANY),
        }
    }

    /// Whether that agent speaks against a client, which may be a newcomer.
    pub(crate) fn tell(&self, agent: Agent, is_new: bool) -> bool {
        let is_script = agent == Agent::Script;
        if is_new {
            // Two that come at once may count as one.
            let share = self.share.load(Relaxed);
            let share = share - share / 64 + if is_script { ONE / 64 } else { 0 };
            self.share.store(share, Relaxed);
        }
        is_script && self.share.load(Relaxed) < MANY
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(agent: &str, expected: Agent) {
        let got = Agent::of([agent.as_bytes()].into_iter());
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
        assert_eq!(Agent::of(std::iter::empty()), Agent::Script);
    }

    #[test]
    fn browsers_crawlers_and_applications_are_ordinary() {
        for agent in [
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Mozilla/5.0 (compatible; ArchiveCrawler/3.4; +https://archive.example/crawler)",
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
        for list in [SCANNERS, SCRIPTS, BARE] {
            assert!(list.is_sorted());
            assert!(list.iter().all(|name| *name == name.to_lowercase()));
        }
    }

    /// Whether the script tells after newcomers of whom one in so many is a script.
    #[track_caller]
    fn check_share(one_in: u32, tells: bool) {
        let scripts = Scripts::new();
        for n in 1..=1_000 {
            let agent = if n % one_in == 0 {
                Agent::Script
            } else {
                Agent::Ordinary
            };
            scripts.tell(agent, true);
        }
        let told = scripts.tell(Agent::Script, false);
        assert_eq!(told, tells, "one in {one_in}");
        assert!(!scripts.tell(Agent::Ordinary, false));
    }

    #[test]
    fn a_script_tells_only_where_scripts_are_rare() {
        check_share(1, false);
        check_share(2, false);
        check_share(4, false);
        check_share(7, true);
        check_share(1_000, true);
    }

    #[test]
    fn who_comes_again_is_no_newcomer() {
        let scripts = Scripts::new();
        assert!(!scripts.tell(Agent::Script, false), "nobody came yet");
        scripts.tell(Agent::Ordinary, true);
        for _ in 0..1_000 {
            assert!(scripts.tell(Agent::Script, false));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..3)) {
            let _ = Agent::of(lines.iter().map(Vec::as_slice));
        }
    }
}
