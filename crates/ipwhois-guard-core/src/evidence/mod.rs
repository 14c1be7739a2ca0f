//! What speaks for or against a client, and how much. A sign never denies anybody: it decides who
//! is checked first.
//!
//! - [`Signs`]: what a request, its answer or the application shows, as one-bit signs;
//! - [`Weights`]: how likely a client with these signs is listed;
//! - [`SignReader`]: reads them, and remembers what it has read;
//! - `probes`: paths that only scanners ask for; `paths` reads them;
//! - `agents`: what a client names itself;
//! - `powers`: powers and logarithms by table.

mod agents;
mod paths;
mod powers;
mod probes;
mod reader;
mod signs;
mod weights;

pub(crate) use self::powers::{exp2, fading, log2};
#[cfg(test)]
pub(crate) use self::probes::ProbePaths;
pub(crate) use self::reader::SignReader;
pub(crate) use self::signs::{Signs, is_refusal};
use self::weights::SIGNS;
pub(crate) use self::weights::Weights;

/// The built-in list of probe paths, which holds unless `probe_paths` is set: groups of patterns,
/// each with what they have in common.
///
/// Patterns are in lower case. `name` is a segment anywhere in the path, `one/two` two segments one
/// after the other, `/name` a segment at the root, `name*` one that begins so, and `*.php` one that
/// ends so.
pub fn built_in_probe_paths() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let groups = probes::BUILT_IN.iter();
    groups.map(|group| (group.what, group.patterns))
}
