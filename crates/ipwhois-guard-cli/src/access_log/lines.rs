//! Lines of a stream, in bounded memory.

use std::io::{self, BufRead};

/// How many bytes of a line are kept. Everything that matters stands at its beginning; a request's
/// target is far shorter.
pub const LONGEST: usize = 64 * 1_024;

/// In UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a stream line by line. Of a longer line than [`LONGEST`] the rest is passed over.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub const fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
        }
    }

    /// The next line without its line end, or `None` after the last one. NUL bytes around it are
    /// dropped: a log that is cut while it is written to has them. So is a byte order mark before
    /// it, which each file has that some editors wrote.
    ///
    /// # Errors
    /// When the stream cannot be read any further.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let mut read_any = false;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() && !read_any {
                return Ok(None);
            }
            read_any = true;
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let room = LONGEST - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let is_last = end.is_some() || chunk.is_empty();
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.input.consume(used);
            if is_last {
                return Ok(Some(trimmed(&self.line)));
            }
        }
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    let is_padding = |byte: &u8| matches!(byte, 0 | b'\r');
    let start = line.iter().position(|byte| !is_padding(byte));
    let end = line.iter().rposition(|byte| !is_padding(byte));
    match (start, end) {
        (Some(start), Some(end)) => {
            let line = &line[start..=end];
            line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
        }
        _ => &[],
    }
}
