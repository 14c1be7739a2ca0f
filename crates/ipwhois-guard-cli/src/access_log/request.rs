//! What stands in the first quotes of a line: `GET /path?query HTTP/1.1`.

use std::borrow::Cow;

/// The readable part of a request line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'l> {
    /// The method, `GET`.
    pub method: &'l str,
    /// The path without the query, percent-encoding included; `/` where the target has none. Bytes
    /// that are no UTF-8 are replaced.
    pub path: Cow<'l, str>,
}

impl<'l> Request<'l> {
    pub(super) fn parse(text: &'l [u8]) -> Option<Self> {
        let space = text.iter().position(|&byte| byte == b' ')?;
        let (method, target) = (&text[..space], trimmed(&text[space..]));
        if method.is_empty() || !method.iter().copied().all(is_token) {
            return None;
        }
        let target = match target.iter().rposition(|&byte| byte == b' ') {
            Some(space) if target[space + 1..].starts_with(b"HTTP/") => &target[..space],
            _ if target.starts_with(b"HTTP/") => return None,
            _ => target,
        };
        let path = String::from_utf8_lossy(path(trimmed(target))?);
        Some(Self {
            // A token is ASCII.
            method: str::from_utf8(method).ok()?,
            path,
        })
    }
}

/// Without the spaces around it; other white space may belong to a path.
fn trimmed(text: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| *byte != b' ';
    match (
        text.iter().position(is_text),
        text.iter().rposition(is_text),
    ) {
        (Some(start), Some(end)) => &text[start..=end],
        _ => &[],
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The path of a target in any of the four forms of RFC 9112, section 3.2.
fn path(target: &[u8]) -> Option<&[u8]> {
    let end = target
        .iter()
        .position(|byte| b"?#".contains(byte))
        .unwrap_or(target.len());
    let target = &target[..end];
    match target {
        [b'/', ..] | b"*" => Some(target),
        [] => None,
        _ => Some(after_authority(target)),
    }
}

/// What follows the host in `http://host/path`. A target without a scheme is an authority
/// (`CONNECT host:443`): it has no path.
fn after_authority(target: &[u8]) -> &[u8] {
    let scheme = target.windows(3).position(|window| window == b"://");
    let rest = scheme.map_or(target, |at| &target[at + 3..]);
    match rest.iter().position(|&byte| byte == b'/') {
        Some(slash) => &rest[slash..],
        None => b"/",
    }
}

/// Undoes what servers do to bytes that would spoil a line: `\"`, `\\`, `\n`, `\x16` (Apache,
/// nginx).
pub(super) fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            plain.push(*byte);
            continue;
        }
        let (byte, length) = match after {
            [b'x' | b'X', high, low, ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'\\', 0),
            },
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b't', ..] => (b'\t', 1),
            [b'b', ..] => (0x08, 1),
            [b'v', ..] => (0x0b, 1),
            [b'f', ..] => (0x0c, 1),
            [quote @ (b'"' | b'\\'), ..] => (*quote, 1),
            _ => (b'\\', 0),
        };
        plain.push(byte);
        rest = &after[length..];
    }
    Cow::Owned(plain)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}
