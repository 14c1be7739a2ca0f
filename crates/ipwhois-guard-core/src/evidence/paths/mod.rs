//! Lists of paths, and whether one of their patterns covers a request's path: as forgiving in
//! spelling as the servers that scanners hope for.

mod pattern;
mod segments;

pub(super) use self::pattern::{Pattern, Patterns};
pub(super) use self::segments::Segments;
use crate::error::BuildError;

/// Reads a list of the settings. An entry is a path, `/wp-admin`, which covers itself and what is
/// below it by whole segments, or an extension, `*.php`, which covers every path with a segment
/// that ends so.
///
/// # Errors
///
/// An entry that is neither, with the setting, the value and what is wrong with it.
pub(super) fn parse(setting: &str, entries: &[String]) -> Result<Vec<Pattern>, BuildError> {
    let parse = |entry: &String| {
        Pattern::parse(entry).map_err(|reason| BuildError::setting(setting, entry, reason))
    };
    entries.iter().map(parse).collect()
}

/// The same, for a list that must not cover every path, for the reason that follows from it.
///
/// # Errors
///
/// As above, and for an entry that covers every path.
pub(super) fn parse_some(
    setting: &str,
    entries: &[String],
    everything: &str,
) -> Result<Vec<Pattern>, BuildError> {
    let patterns = parse(setting, entries)?;
    match patterns.iter().position(Pattern::is_everything) {
        Some(index) => {
            let value = entries.get(index).map_or("", String::as_str);
            Err(BuildError::setting(setting, value, everything))
        }
        None => Ok(patterns),
    }
}
