//! The lines of a list: an entry, a comment, both or nothing.

/// One line of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    /// What stands before a `#`, without the white space around it. Empty on a blank line and on
    /// one with a comment only.
    pub(crate) entry: &'a [u8],
    /// What stands after the first `#`.
    pub(crate) comment: Option<&'a [u8]>,
}

/// The lines of a text that ends them with LF or CRLF, with or without a UTF-8 byte order mark.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    (1..)
        .zip(without_mark(text).split(|&byte| byte == b'\n'))
        .map(|(number, line)| {
            let (entry, comment) = match line.iter().position(|&byte| byte == b'#') {
                Some(at) => (&line[..at], Some(&line[at + 1..])),
                None => (line, None),
            };
            Line {
                number,
                entry: entry.trim_ascii(),
                comment,
            }
        })
}

/// The text without the byte order mark that some editors put in front of it.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}
