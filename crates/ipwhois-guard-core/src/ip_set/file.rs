//! List files: one address or CIDR a line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::lines::lines;
use super::network::{Invalid, Network};
use super::{Collector, IpSet};
use crate::error::BuildError;
use crate::shown::printable;

/// The longest file that is read, in bytes: some four million addresses.
const LIMIT: u64 = 64 * 1_024 * 1_024;

fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl IpSet {
    /// The set of what a file names: one address or CIDR a line, `#` comments on a line of their
    /// own or after an entry, blank lines, LF or CRLF, with or without a UTF-8 byte order mark.
    ///
    /// Blocks on the disk, so it belongs to building a guard and not to a request.
    ///
    /// # Errors
    ///
    /// [`BuildError::File`] when the file cannot be read, [`BuildError::Setting`] when it is longer
    /// than 64 MiB, [`BuildError::FileLine`] for its first bad line.
    pub(crate) fn read_file(setting: &'static str, path: &Path) -> Result<Self, BuildError> {
        let bytes = read_at_most(path, LIMIT + 1).map_err(|source| BuildError::File {
            setting,
            path: path.to_owned(),
            source,
        })?;
        if bytes.len() as u64 > LIMIT {
            let reason = "is longer than 64 MiB, which no list of addresses is";
            return Err(BuildError::setting(
                setting,
                path.display().to_string(),
                reason,
            ));
        }
        parse_lines(&bytes).map_err(|bad| BuildError::FileLine {
            setting,
            path: path.to_owned(),
            line: bad.line,
            text: printable(bad.text),
            reason: bad.reason.to_string(),
        })
    }
}

/// The first line that is neither an address nor a CIDR.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine<'a> {
    pub(super) line: usize,
    pub(super) text: &'a [u8],
    pub(super) reason: Invalid,
}

pub(super) fn parse_lines(bytes: &[u8]) -> Result<IpSet, BadLine<'_>> {
    let mut collected = Collector::default();
    for line in lines(bytes).filter(|line| !line.entry.is_empty()) {
        let network = Network::read(line.entry).map_err(|reason| BadLine {
            line: line.number,
            text: line.entry,
            reason,
        })?;
        collected.add(network);
    }
    Ok(collected.finish())
}
