//! The way from a stream to its text, as the stream's first bytes say.
//!
//! gzip and zstd streams consist of members. The members are read one after the other. Like `gzip`,
//! this module passes over bytes behind the last member: a tape's padding, or appended text.

use std::cell::Cell;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::rc::Rc;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use encoding_rs_io::DecodeReaderBytesBuilder;
use flate2::bufread::GzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

pub(crate) const BUFFER: usize = 128 * 1_024;

/// Number of first bytes that tell all forms apart.
const HEAD: u64 = 8;

/// Maximum number of forms around a text, like gzip around UTF-16. A gzip that holds itself exists.
const LAYERS: usize = 4;

/// Maximum memory that an xz stream may ask for, in bytes. `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 512 * 1_024 * 1_024;

/// Number of bytes behind the last member. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trailing(Rc<Cell<u64>>);

impl Trailing {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.get()
    }
}

/// What the first bytes say of a stream.
enum Form {
    Text,
    Utf16(&'static Encoding),
    Gzip,
    Zstd,
    Xz,
    /// A form that is recognised and not read: its name, and a command that writes its text.
    Foreign(&'static str, &'static str),
}

fn form(head: &[u8]) -> Form {
    let is_ascii = |byte: u8| (b' '..=b'~').contains(&byte);
    match *head {
        [0x1f, 0x8b, ..] => Form::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Form::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Form::Xz,
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => {
            Form::Foreign("compressed by bzip2", "bzcat")
        }
        [0x1f, 0x9d, ..] => Form::Foreign("compressed by compress", "zcat"),
        [0x04, 0x22, 0x4d, 0x18, ..] => Form::Foreign("compressed by lz4", "lz4cat"),
        [b'P', b'K', 3, 4, ..] => Form::Foreign("a zip archive", "unzip -p"),
        [b'7', b'z', 0xbc, 0xaf, ..] => Form::Foreign("a 7z archive", "7z x -so"),
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            Form::Foreign("in UTF-32", "iconv -f UTF-32 -t UTF-8")
        }
        [0xff, 0xfe, ..] => Form::Utf16(UTF_16LE),
        [0xfe, 0xff, ..] => Form::Utf16(UTF_16BE),
        [a, 0, b, 0, ..] if is_ascii(a) && is_ascii(b) => Form::Utf16(UTF_16LE),
        [0, a, 0, b, ..] if is_ascii(a) && is_ascii(b) => Form::Utf16(UTF_16BE),
        _ => Form::Text,
    }
}

/// The text of a stream, in UTF-8 where the stream says how it is encoded. `trailing` counts the
/// bytes behind a compressed stream.
///
/// # Errors
/// The stream cannot be read, or its form is not read here.
pub(crate) fn text(
    mut input: Box<dyn BufRead>,
    trailing: &Trailing,
) -> io::Result<Box<dyn BufRead>> {
    for _ in 0..LAYERS {
        let mut head = Vec::new();
        input.by_ref().take(HEAD).read_to_end(&mut head)?;
        let form = form(&head);
        let whole = Cursor::new(head).chain(input);
        let trailing = trailing.clone();
        input = match form {
            Form::Text => return Ok(Box::new(whole)),
            Form::Utf16(encoding) => buffered(
                DecodeReaderBytesBuilder::new()
                    .encoding(Some(encoding))
                    .build(whole),
            ),
            Form::Gzip => buffered(Members::<Gzip<_>>::new(whole, trailing)?),
            Form::Zstd => buffered(Members::<Zstd<_>>::new(whole, trailing)?),
            Form::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                buffered(Xz(XzDecoder::new_stream(whole, stream)))
            }
            Form::Foreign(name, tool) => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!(
                        "it is {name}, which is not read here: use `{tool} FILE | ipwhois-guard replay -`"
                    ),
                ));
            }
        };
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!("it is compressed more than {LAYERS} times"),
    ))
}

fn buffered(input: impl Read + 'static) -> Box<dyn BufRead> {
    Box::new(BufReader::with_capacity(BUFFER, input))
}

/// One member of a compressed stream.
trait Member: Read + Sized {
    type Input: BufRead;

    /// Whether a member begins with this byte. A buffer may end behind it.
    fn begins(byte: u8) -> bool;
    fn begin(input: Self::Input) -> io::Result<Self>;
    fn into_input(self) -> Self::Input;
}

struct Members<M: Member> {
    /// `None` after the last one.
    member: Option<M>,
    trailing: Trailing,
}

impl<M: Member> Members<M> {
    /// `input` begins with a member.
    fn new(input: M::Input, trailing: Trailing) -> io::Result<Self> {
        Ok(Self {
            member: Some(M::begin(input)?),
            trailing,
        })
    }

    fn next(&mut self, mut rest: M::Input) -> io::Result<()> {
        let begins = loop {
            match rest.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(bytes) => break M::begins(bytes[0]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        if begins {
            self.member = Some(M::begin(rest)?);
        } else {
            let bytes = io::copy(&mut rest, &mut io::sink())?;
            self.trailing.0.set(self.trailing.0.get() + bytes);
        }
        Ok(())
    }
}

impl<M: Member> Read for Members<M> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(out)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            if let Some(member) = self.member.take() {
                self.next(member.into_input())?;
            }
        }
        Ok(0)
    }
}

struct Gzip<R>(GzDecoder<R>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(|error| explained("gzip", error))
    }
}

impl<R: BufRead> Member for Gzip<R> {
    type Input = R;

    fn begins(byte: u8) -> bool {
        byte == 0x1f
    }

    fn begin(input: R) -> io::Result<Self> {
        Ok(Self(GzDecoder::new(input)))
    }

    fn into_input(self) -> R {
        self.0.into_inner()
    }
}

struct Xz<R>(XzDecoder<R>);

impl<R: BufRead> Read for Xz<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(|error| explained("xz", error))
    }
}

struct Zstd<R> {
    input: R,
    /// `None` for a frame that holds no text: `pzstd` writes such frames.
    frame: Option<FrameDecoder>,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(frame) = &mut self.frame else {
            return Ok(0);
        };
        while frame.can_collect() == 0 && !frame.is_finished() {
            frame
                .decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(|error| explained("zstd", io::Error::other(error)))?;
        }
        let read = frame.read(out)?;
        let sum = frame.get_checksum_from_data();
        if read == 0 && !out.is_empty() && sum.is_some() && sum != frame.get_calculated_checksum() {
            let wrong = io::Error::other("its checksum is another");
            return Err(explained("zstd", wrong));
        }
        Ok(read)
    }
}

impl<R: BufRead> Member for Zstd<R> {
    type Input = R;

    fn begins(byte: u8) -> bool {
        matches!(byte, 0x28 | 0x50..=0x5f)
    }

    fn begin(mut input: R) -> io::Result<Self> {
        use FrameDecoderError::ReadFrameHeaderError as InHeader;
        let mut frame = FrameDecoder::new();
        let frame = match frame.reset(&mut input) {
            Ok(()) => Some(frame),
            Err(InHeader(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                io::copy(&mut input.by_ref().take(length.into()), &mut io::sink())?;
                None
            }
            Err(error) => return Err(explained("zstd", io::Error::other(error))),
        };
        Ok(Self { input, frame })
    }

    fn into_input(self) -> R {
        self.input
    }
}

/// A decoder's error in words for the owner of the file.
fn explained(format: &str, error: io::Error) -> io::Error {
    let kind = kind(&error);
    let what = match kind {
        io::ErrorKind::UnexpectedEof => "breaks off",
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other => {
            "is damaged"
        }
        _ => return error,
    };
    io::Error::new(kind, format!("the {format} {what}: {error}"))
}

/// The kind of the error at the bottom, where a decoder has wrapped one of its input.
fn kind(error: &io::Error) -> io::ErrorKind {
    let mut cause: Option<&(dyn Error + 'static)> = match error.get_ref() {
        Some(inner) => Some(inner),
        None => None,
    };
    while let Some(inner) = cause {
        if let Some(error) = inner.downcast_ref::<io::Error>() {
            return error.kind();
        }
        cause = inner.source();
    }
    error.kind()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use liblzma::write::XzEncoder;
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("memory takes everything");
        encoder.finish().expect("memory takes everything")
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    fn xz(text: &[u8]) -> Vec<u8> {
        let mut encoder = XzEncoder::new(Vec::new(), 1);
        encoder.write_all(text).expect("memory takes everything");
        encoder.finish().expect("memory takes everything")
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    /// The text of a stream that comes in pieces of this size, and the number of bytes behind it.
    fn unpacked(stream: &[u8], piece: usize) -> io::Result<(Vec<u8>, u64)> {
        let trailing = Trailing::default();
        let input = BufReader::with_capacity(piece, Cursor::new(stream.to_vec()));
        let mut text = Vec::new();
        super::text(Box::new(input), &trailing)?.read_to_end(&mut text)?;
        Ok((text, trailing.bytes()))
    }

    #[track_caller]
    fn check(stream: &[u8], text: &[u8], behind: u64) {
        for piece in [1, 7, 4_096] {
            let found = unpacked(stream, piece).expect("a good stream");
            assert_eq!(found, (text.to_vec(), behind), "in pieces of {piece}");
        }
    }

    #[track_caller]
    fn refuse(stream: &[u8], words: &str) {
        let error = unpacked(stream, 4_096).expect_err("a bad stream");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }

    const TEXT: &[u8] = b"one line\nanother line\n";

    #[test]
    fn a_text_is_left_as_it_is() {
        for text in [
            &b""[..],
            b"a",
            b"\0\0\0log",
            b"BZh.example 25.0.0.1",
            b"\xff\xff",
            b"1",
            TEXT,
        ] {
            check(text, text, 0);
        }
    }

    #[test]
    fn each_member_is_read_and_what_is_behind_them_is_counted() {
        for pack in [gzip, zstd, xz] {
            let twice = [pack(TEXT), pack(TEXT)].concat();
            check(&twice, &[TEXT, TEXT].concat(), 0);
        }
        for pack in [gzip, zstd] {
            check(&[pack(TEXT), b"appended".to_vec()].concat(), TEXT, 8);
        }
        let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
        check(&[&skipped[..], &zstd(TEXT), skipped].concat(), TEXT, 0);
    }

    #[test]
    fn utf_16_becomes_utf_8_with_and_without_its_mark() {
        for (text, expected) in [
            ("\u{feff}25 ü", "25 ü"),
            ("25 ü", "25 ü"),
            ("25 😀", "25 😀"),
        ] {
            for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
                let stream = utf16(text, bytes);
                let (found, _) = unpacked(&stream, 3).expect("a good stream");
                let found = String::from_utf8(found).expect("UTF-8");
                assert_eq!(found.trim_start_matches('\u{feff}'), expected);
            }
        }
    }

    #[test]
    fn a_form_within_another_is_read_too() {
        let inner = utf16("25.0.0.1", u16::to_le_bytes);
        check(&xz(&gzip(&inner)), b"25.0.0.1", 0);
        let deep = (0..=LAYERS).fold(TEXT.to_vec(), |text, _| gzip(&text));
        refuse(&deep, "compressed more than 4 times");
    }

    #[test]
    fn a_form_that_is_not_read_is_named() {
        for (head, words) in [
            (
                &b"BZh91AY&SY"[..],
                "compressed by bzip2, which is not read here: use `bzcat FILE",
            ),
            (b"\x1f\x9d\x90ab", "compressed by compress"),
            (b"\x04\x22\x4d\x18ab", "compressed by lz4"),
            (b"PK\x03\x04ab", "a zip archive"),
            (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
            (b"\xff\xfe\0\x002\0\0\0", "in UTF-32"),
        ] {
            refuse(head, words);
            refuse(&gzip(head), words);
        }
    }

    #[test]
    fn a_stream_that_is_cut_or_damaged_is_an_error() {
        let text: Vec<u8> = (0..5_000_u32)
            .flat_map(|n| n.to_string().into_bytes())
            .collect();
        for (name, whole) in [
            ("gzip", gzip(&text)),
            ("zstd", zstd(&text)),
            ("xz", xz(&text)),
        ] {
            for cut in [whole.len() / 2, whole.len() - 1] {
                refuse(&whole[..cut], &format!("the {name} breaks off"));
            }
            let mut damaged = whole;
            let middle = damaged.len() / 2;
            damaged[middle] ^= 0x10;
            refuse(&damaged, &format!("the {name} is damaged"));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_behind_a_form_s_first_ones_make_it_panic(
            form in 0..5_usize,
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cut in 0..60_usize,
        ) {
            let head = [gzip(TEXT), zstd(TEXT), xz(TEXT), b"\xff\xfe".to_vec(), Vec::new()];
            let head = &head[form];
            let stream = [&head[..cut.min(head.len())], &bytes].concat();
            let _ = unpacked(&stream, 16);
        }

        #[test]
        fn what_is_packed_is_unpacked(text in prop::collection::vec(any::<u8>(), 0..3_000)) {
            // A leading letter keeps arbitrary bytes from looking like another form.
            let text = [b"log ", &text[..]].concat();
            for pack in [gzip, zstd, xz] {
                prop_assert_eq!(unpacked(&pack(&text), 64)?, (text.clone(), 0));
            }
        }
    }
}
