//! Signs of a request, read once: what a path or a user agent shows is remembered.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

use super::agents::Agent;
use super::probes::ProbePaths;
use super::signs::{Signs, changes_something, is_asset};
use crate::error::BuildError;
use crate::request::RequestHead;

/// Number of texts that are remembered.
const PLACES: usize = 2_048;

/// The bits of a place that hold signs. The others hold the upper bits of the text's hash.
const SIGNS: u64 = 0xffff;

/// Reads what a request shows of its client.
#[derive(Debug)]
pub(crate) struct SignReader {
    probes: ProbePaths,
    known: Box<[AtomicU64]>,
    hasher: RandomState,
}

/// A text of a request.
#[derive(Clone, Copy, Hash)]
enum Text<'r> {
    Path(&'r [u8]),
    Agent(&'r [u8]),
}

impl SignReader {
    /// By the settings `probe_paths` and `served_paths`.
    pub(crate) fn new(list: Option<&[String]>, served: &[String]) -> Result<Self, BuildError> {
        Ok(Self {
            probes: ProbePaths::new(list, served)?,
            known: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::default(),
        })
    }

    /// What the request itself shows. Does not allocate.
    pub(crate) fn of(&self, request: &impl RequestHead) -> Signs {
        let agent = request.header_lines("user-agent").next();
        let mut signs = self.read(Text::Agent(agent.unwrap_or_default()));
        signs |= self.of_path(request.path());
        if changes_something(request.method()) {
            signs |= Signs::CHANGE;
        }
        // Logs and some clients write `-` for none.
        if request.header_lines("referer").any(|line| line.len() > 1) {
            signs |= Signs::REFERRER;
        }
        signs
    }

    /// What the path of a request shows.
    pub(crate) fn of_path(&self, path: &str) -> Signs {
        self.read(Text::Path(path.as_bytes()))
    }

    fn read(&self, text: Text<'_>) -> Signs {
        let hash = self.hasher.hash_one(text);
        let place = &self.known[hash as usize % PLACES];
        let known = place.load(Ordering::Relaxed);
        if known & !SIGNS == hash & !SIGNS {
            return Signs::from_bits((known & SIGNS) as u16);
        }
        let signs = self.look(text);
        let read = hash & !SIGNS | u64::from(signs.bits());
        place.store(read, Ordering::Relaxed);
        signs
    }

    fn look(&self, text: Text<'_>) -> Signs {
        match text {
            Text::Agent(line) => match Agent::of(line) {
                Agent::Scanner => Signs::SCANNER,
                Agent::Script => Signs::SCRIPT,
                Agent::Crawler => Signs::CRAWLER,
                Agent::Ordinary => Signs::NONE,
            },
            Text::Path(path) => {
                // It came as text.
                let path = str::from_utf8(path).unwrap_or_default();
                if self.probes.matches(path) {
                    Signs::PROBE
                } else if is_asset(path) {
                    Signs::ASSET
                } else {
                    Signs::NONE
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_alike_each_time_and_by_what_it_is() {
        let reader = SignReader::new(None, &[]).unwrap();
        let agent = |text: &'static str| reader.read(Text::Agent(text.as_bytes()));
        for _ in 0..3 {
            assert_eq!(agent("/wp-login.php"), Signs::NONE);
            assert_eq!(reader.of_path("/wp-login.php"), Signs::PROBE);
            assert_eq!(agent("nikto"), Signs::SCANNER);
            assert_eq!(reader.of_path("/nikto"), Signs::NONE);
            assert_eq!(agent(""), Signs::SCRIPT);
            assert_eq!(reader.of_path(""), Signs::NONE);
            assert_eq!(reader.of_path("/a.css"), Signs::ASSET);
        }
        for n in 0..3 * PLACES {
            assert_eq!(reader.of_path(&format!("/page/{n}")), Signs::NONE);
            assert_eq!(reader.of_path(&format!("/.git/{n}")), Signs::PROBE);
        }
        assert_eq!(reader.of_path("/wp-login.php"), Signs::PROBE);
    }
}
