//! A gzip stream of one member or several, and whatever was put behind it.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use flate2::bufread::GzDecoder;

/// What a gzip member begins with.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How many bytes stand behind the last member and are none. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trailing(Rc<Cell<u64>>);

impl Trailing {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.get()
    }
}

/// Reads the members one after the other. As `gzip` does, it passes over what follows the last one: a tape's padding, or
/// what somebody appended.
#[derive(Debug)]
pub(crate) struct Members<R> {
    /// `None` after the last one.
    member: Option<GzDecoder<R>>,
    trailing: Trailing,
}

impl<R: BufRead> Members<R> {
    /// `input` begins with a member.
    pub(crate) fn new(input: R, trailing: Trailing) -> Self {
        Self {
            member: Some(GzDecoder::new(input)),
            trailing,
        }
    }

    fn next(&mut self, mut rest: R) -> io::Result<()> {
        let next = loop {
            match rest.fill_buf() {
                Ok(bytes) => break bytes.first().copied(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        match next {
            Some(byte) if byte == MAGIC[0] => self.member = Some(GzDecoder::new(rest)),
            Some(_) => self.trailing.0.set(io::copy(&mut rest, &mut io::sink())?),
            None => {}
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(out).map_err(explained)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            if let Some(member) = self.member.take() {
                self.next(member.into_inner())?;
            }
        }
        Ok(0)
    }
}

/// What the decoder says of the data, in words for who has the file.
fn explained(error: io::Error) -> io::Error {
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the gzip breaks off",
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => "the gzip is damaged",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
