//! Files and standard input, plain or compressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use indicatif::ProgressBar;

use crate::gzip::{MAGIC, Members, Trailing};
use crate::outcome::Failure;

/// What stands for standard input where a file can be named.
pub(crate) const STDIN: &str = "-";

const BUFFER: usize = 128 * 1_024;

/// How a place is named in messages.
pub(crate) fn name(place: &Path) -> String {
    if place == Path::new(STDIN) {
        "standard input".to_owned()
    } else {
        format!("`{}`", place.display())
    }
}

/// Reads a log as it comes, uncompressed if its first bytes are those of gzip. `progress` counts what is read of the file,
/// `trailing` what follows the compressed log and is none.
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
    let mut raw = BufReader::with_capacity(BUFFER, progress.wrap_read(raw));
    let mut magic = Vec::with_capacity(MAGIC.len());
    raw.by_ref()
        .take(MAGIC.len() as u64)
        .read_to_end(&mut magic)?;
    let is_gzip = magic == MAGIC;
    let whole = Cursor::new(magic).chain(raw);
    Ok(if is_gzip {
        let members = Members::new(whole, trailing.clone());
        Box::new(BufReader::with_capacity(BUFFER, members))
    } else {
        Box::new(whole)
    })
}

/// Reads a whole file that is not expected to be long, up to `limit` bytes. `whose` begins the sentence when that fails:
/// `option --feed: `, or nothing.
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
