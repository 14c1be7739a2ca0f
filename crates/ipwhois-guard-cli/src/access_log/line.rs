//! One line.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::request::{Request, unescape};
use super::time;

/// What a line says, as far as a guard is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'l> {
    /// Who was connected. Never an IPv4-mapped address.
    pub client: IpAddr,
    /// When, in seconds since 1970-01-01 00:00:00 UTC.
    pub time: u64,
    /// What stands in the first quotes, with the server's escapes undone.
    request: Cow<'l, [u8]>,
    /// What was answered; `None` where the log has `-`, or 000 for a connection that ended first.
    pub status: Option<u16>,
    /// The `Referer` of the combined format. It is empty where the log has `-`, and `None` in a log
    /// without this field.
    pub referrer: Option<Cow<'l, [u8]>>,
    /// The `User-Agent` of the combined format. It is empty where the log has `-`, and `None` in a
    /// log without this field.
    pub user_agent: Option<Cow<'l, [u8]>>,
}

impl Line<'_> {
    /// The request; `None` when nothing that a web application ever sees was sent: a TLS handshake on the wrong port, an
    /// empty request.
    #[must_use]
    pub fn request(&self) -> Option<Request<'_>> {
        Request::parse(&self.request)
    }
}

/// Why a line is no line of an access log; the rest of a sentence that begins "the line".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// There is no `[time] "` in it.
    NoRequest,
    /// The client is given by a name, or is garbage.
    NoClient,
    /// The time is none.
    BadTime,
    /// The time is before 1970.
    TooEarly,
    /// The request's closing quote is missing.
    OpenRequest,
    /// There is no status after the request.
    NoStatus,
}

impl Malformed {
    /// The rest of the sentence.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoRequest => "has no time in brackets with a request in quotes after it",
            Self::NoClient => "does not begin with a client's IP address",
            Self::BadTime => "has a time that is not like [17/May/2015:10:05:03 +0000]",
            Self::TooEarly => "has a time before 1970",
            Self::OpenRequest => "ends amid its request",
            Self::NoStatus => "has no status of three digits after the request",
        }
    }
}

/// Reads a line, without its line end.
///
/// # Errors
/// When a field is missing that a replay needs. What follows the status does not matter.
pub fn parse(line: &[u8]) -> Result<Line<'_>, Malformed> {
    let quote = find(line, b"] \"").ok_or(Malformed::NoRequest)?;
    let before = &line[..quote];
    let bracket = before.len().checked_sub(time::LENGTH + 1);
    let (head, time) = match bracket.map(|at| before.split_at(at)) {
        Some((head, [b'[', time @ ..])) => (head, time::parse(time)?),
        _ => return Err(Malformed::BadTime),
    };
    let client = client(head).ok_or(Malformed::NoClient)?;
    let rest = &line[quote + 3..];
    let end = closing_quote(rest).ok_or(Malformed::OpenRequest)?;
    let (request, after) = (&rest[..end], &rest[end + 1..]);
    let status = status(after).ok_or(Malformed::NoStatus)?;
    let mut further = Quoted(after).map(header);
    Ok(Line {
        client,
        time,
        request: unescape(request),
        status,
        referrer: further.next(),
        user_agent: further.next(),
    })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

/// The first quote that no backslash takes away.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// The client, which a virtual host may precede.
fn client(head: &[u8]) -> Option<IpAddr> {
    let mut words = head.split(|&byte| byte == b' ').filter(|w| !w.is_empty());
    // Of a list, as of a header that proxies append to, nobody can say which one it is.
    let first = words.next().filter(|word| !word.ends_with(b","))?;
    let second = words.next();
    let further = words.count();
    // A virtual host may look like an address itself. Then two addresses stand side by side, and the line has one word more
    // than client, ident and user.
    if let Some(client) = second.and_then(address)
        && (address(first).is_none() || further >= 2)
    {
        return Some(client);
    }
    address(first).or_else(|| with_port(first))
}

fn address(word: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(word).ok()?;
    let text = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let (ip, _zone) = text.split_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    Some(ip.to_canonical())
}

fn with_port(word: &[u8]) -> Option<IpAddr> {
    let address: SocketAddr = str::from_utf8(word).ok()?.parse().ok()?;
    Some(address.ip().to_canonical())
}

/// What a quoted field says of a header.
fn header(field: &[u8]) -> Cow<'_, [u8]> {
    match field {
        b"-" => Cow::Borrowed(b""),
        field => unescape(field),
    }
}

/// The fields in quotes, one after the other. What stands between them is passed over.
struct Quoted<'l>(&'l [u8]);

impl<'l> Iterator for Quoted<'l> {
    type Item = &'l [u8];

    fn next(&mut self) -> Option<&'l [u8]> {
        let start = self.0.iter().position(|&byte| byte == b'"')? + 1;
        let text = &self.0[start..];
        let end = closing_quote(text)?;
        self.0 = &text[end + 1..];
        Some(&text[..end])
    }
}

fn status(rest: &[u8]) -> Option<Option<u16>> {
    let word = rest.split(|&byte| byte == b' ').find(|w| !w.is_empty())?;
    if word == b"-" {
        return Some(None);
    }
    if word.len() != 3 || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let status = str::from_utf8(word).ok()?.parse().ok()?;
    Some((status >= 100).then_some(status))
}
