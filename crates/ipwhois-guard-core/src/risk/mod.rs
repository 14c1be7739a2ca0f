//! Who is worth a check first. A signal never blocks anybody.
//!
//! 1. A request for a path that only scanners ask for is a signal: [`ProbePaths`].
//! 2. So is an answer of 401, 403 or 404 ([`is_refusal`]), unless browsers and crawlers ask for the path unprompted; the less
//!    so when others got one there before ([`MissingPaths`]), and the more so when the request was to change something
//!    ([`RefusalMeans`]); a failed login; and a word of the application.
//! 3. Who says that it is a scanner is as good as a prober; a script by its own word is noticed ([`Agent`]), unless
//!    many are ([`Scripts`]).
//! 4. Where somebody logs in ([`LoginPaths`]) an unknown client matters, whoever it is.
//! 5. The [`Ledger`] adds them up for each client that nobody has verified, in bounded memory.

mod agents;
mod answers;
mod ledger;
mod login_paths;
mod missing;
mod paths;
mod probes;
mod unprompted;

pub(crate) use agents::{Agent, Scripts};
pub(crate) use answers::{RefusalMeans, changes_something};
pub(crate) use ledger::{Ledger, Signal, is_refusal};
pub(crate) use login_paths::LoginPaths;
pub use login_paths::built_in_login_paths;
pub(crate) use missing::MissingPaths;
pub(crate) use probes::ProbePaths;

/// The built-in list of probe paths, which holds unless `probe_paths` is set: groups of patterns, each with what they have in
/// common.
///
/// Patterns are in lower case. `name` is a segment anywhere in the path, `one/two` two segments one after the other, `/name`
/// a segment at the root, `name*` one that begins so, and `*.php` one that ends so.
pub fn built_in_probe_paths() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let groups = probes::BUILT_IN.iter();
    groups.map(|group| (group.what, group.patterns))
}
