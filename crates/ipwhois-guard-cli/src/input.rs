//! Files and standard input, plain or compressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use indicatif::ProgressBar;

use crate::outcome::Failure;
use crate::unpack::{self, Trailing};

/// What stands for standard input where a file can be named.
pub(crate) const STDIN: &str = "-";

/// How a place is named in messages.
pub(crate) fn name(place: &Path) -> String {
    if place == Path::new(STDIN) {
        "standard input".to_owned()
    } else {
        format!("`{}`", place.display())
    }
}

/// Reads a log as it comes, as text whatever its first bytes say it is. `progress` counts what is
/// read of the file, `trailing` the bytes behind a compressed log.
pub(crate) fn open(
    place: &Path,
    progress: &ProgressBar,
    trailing: &Trailing,
) -> io::Result<Box<dyn BufRead>> {
    let raw: Box<dyn Read> = if place == Path::new(STDIN) {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(place)?)
    };
    let raw = BufReader::with_capacity(unpack::BUFFER, progress.wrap_read(raw));
    unpack::text(Box::new(raw), trailing)
}

/// Reads a whole file that is not expected to be long, up to `limit` bytes. `whose` begins the
/// sentence when that fails: `option --feed: `, or nothing.
pub(crate) fn read(whose: &str, place: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let cannot = |error: &io::Error| {
        let name = name(place);
        Failure::caused(format!("{whose}cannot read {name}"), error)
    };
    let mut bytes = Vec::new();
    let mut file: Box<dyn Read> = if place == Path::new(STDIN) {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(place).map_err(|error| cannot(&error))?)
    };
    file.by_ref()
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > limit {
        let name = name(place);
        return Err(Failure::new(format!(
            "{whose}{name} is longer than {limit} bytes"
        )));
    }
    Ok(bytes)
}

/// A text from outside, short and printable.
pub(crate) fn printable(text: &[u8]) -> String {
    const SHOWN: usize = 80;
    let text = String::from_utf8_lossy(&text[..text.len().min(SHOWN * 4)]);
    let mut shown: String = text
        .chars()
        .take(SHOWN + 1)
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect();
    if shown.chars().count() > SHOWN {
        shown.pop();
        shown.push('…');
    }
    shown
}
