//! Paths that only scanners ask for.
//!
//! 1. A path is a probe when a pattern of the list covers it. The list is the built-in one
//!    ([`BUILT_IN`]) or, instead of it, the user's `probe_paths`.
//! 2. A path that one of `served_paths` covers is no probe, whatever the list says.
//! 3. Marks of an attack count always: a segment `..` (browsers and good crawlers resolve it before
//!    they ask), a null byte, a dot or slash in an encoding that is only good for getting past a
//!    filter, `${jndi` and `<script`.
//! 4. Spelling makes no difference: case, percent escapes (decoded once), `//`, `/./`, backslashes
//!    for slashes, and what follows `;` or an escaped `?` in a segment.
//! 5. A site that has moved from PHP still gets requests for its old pages, from readers and good
//!    crawlers: it names them in `served_paths`.

mod built_in;
#[cfg(test)]
mod tests;

pub(crate) use self::built_in::BUILT_IN;
use super::paths::{Pattern, Patterns, Segments, parse, parse_some};
use crate::error::BuildError;

/// Patterns with something in common.
#[derive(Debug)]
pub(crate) struct Group {
    /// What they are, for a reader of the list.
    pub(crate) what: &'static str,
    /// In lower case. `name`: a segment, anywhere in the path. `one/two`: two segments, one after
    /// the other. `/name`: only at the root. `name*`: a segment that begins so. `*.php`: a segment
    /// that ends so.
    pub(crate) patterns: &'static [&'static str],
}

/// Tells probes from other requests.
#[derive(Debug)]
pub(crate) struct ProbePaths {
    listed: Patterns,
    served: Patterns,
}

impl ProbePaths {
    /// Reads the settings `probe_paths` (`None`: the built-in list; empty: only the marks count)
    /// and `served_paths`.
    pub(crate) fn new(list: Option<&[String]>, served: &[String]) -> Result<Self, BuildError> {
        const EVERYTHING: &str = "covers every path, so that every client would be suspicious";
        let listed = match list {
            None => BUILT_IN
                .iter()
                .flat_map(|group| group.patterns)
                .map(|text| Pattern::built_in(text))
                .collect(),
            Some(entries) => parse_some("probe_paths", entries, EVERYTHING)?,
        };
        Ok(Self {
            listed: Patterns::new(listed),
            served: Patterns::new(parse("served_paths", served)?),
        })
    }

    /// Whether only a scanner asks for this path. It is raw; a query after it is not looked at.
    /// Does not allocate.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let mut is_listed = false;
        let mut is_first = true;
        for segment in Segments::new(path) {
            if segment.has_mark() {
                return true;
            }
            if segment.is_nothing() {
                continue;
            }
            is_listed = is_listed || self.listed.cover_segment(&segment, is_first);
            is_first = false;
        }
        is_listed && !self.served.cover(path)
    }
}
