//! Signs of a request, read once: what a path or a user agent shows is remembered.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

use super::agents::Agent;
use super::probes::ProbePaths;
use super::signs::{Signs, changes_something, is_asset, is_well_known};
use crate::error::BuildError;
use crate::request::RequestHead;

/// Number of texts that are remembered.
const PLACES: usize = 2_048;

/// The bits of a place that hold what a text shows. The others hold the upper bits of its hash.
const SHOWN: u64 = 0xffff;

/// Beside the signs: that browsers and the like ask for this path by themselves.
const WELL_KNOWN: u16 = 1 << 15;

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

    /// What the request itself shows, and whether a refused answer to it would tell something of
    /// its client. Does not allocate.
    ///
    /// A refusal tells nothing where browsers, mail programs and crawlers ask by themselves: a phone
    /// that opens one page may ask for five icons that the site does not have.
    pub(crate) fn of(&self, request: &impl RequestHead) -> (Signs, bool) {
        let agent = request.header_lines("user-agent").next();
        let path = self.read(Text::Path(request.path().as_bytes()));
        let shown = path | self.read(Text::Agent(agent.unwrap_or_default()));
        let mut signs = Signs::from_bits(shown & !WELL_KNOWN);
        let changes = changes_something(request.method());
        if changes {
            signs |= Signs::CHANGE;
        }
        // Logs and some clients write `-` for none.
        if request.header_lines("referer").any(|line| line.len() > 1) {
            signs |= Signs::REFERRER;
        }
        (signs, changes || path & WELL_KNOWN == 0)
    }

    /// What the path of a request shows.
    pub(crate) fn of_path(&self, path: &str) -> Signs {
        Signs::from_bits(self.read(Text::Path(path.as_bytes())) & !WELL_KNOWN)
    }

    fn read(&self, text: Text<'_>) -> u16 {
        let hash = self.hasher.hash_one(text);
        let place = &self.known[hash as usize % PLACES];
        let known = place.load(Ordering::Relaxed);
        if known & !SHOWN == hash & !SHOWN {
            return (known & SHOWN) as u16;
        }
        let shown = self.look(text);
        place.store(hash & !SHOWN | u64::from(shown), Ordering::Relaxed);
        shown
    }

    fn look(&self, text: Text<'_>) -> u16 {
        let signs = match text {
            Text::Agent(line) => match Agent::of(line) {
                Agent::Scanner => Signs::SCANNER,
                Agent::Script => Signs::SCRIPT,
                Agent::Crawler => Signs::CRAWLER,
                Agent::Ordinary => Signs::NONE,
            },
            Text::Path(path) => {
                // It came as text.
                let path = str::from_utf8(path).unwrap_or_default();
                let sign = if self.probes.matches(path) {
                    Signs::PROBE
                } else if is_asset(path) {
                    Signs::ASSET
                } else {
                    Signs::NONE
                };
                return sign.bits() | if is_well_known(path) { WELL_KNOWN } else { 0 };
            }
        };
        signs.bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_alike_each_time_and_by_what_it_is() {
        let reader = SignReader::new(None, &[]).unwrap();
        let agent =
            |text: &'static str| Signs::from_bits(reader.read(Text::Agent(text.as_bytes())));
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
