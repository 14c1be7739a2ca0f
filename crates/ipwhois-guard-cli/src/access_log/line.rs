//! One line.

use std::borrow::Cow;
use std::net::IpAddr;

use super::client::{self, ClientField};
use super::json;
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
    pub(super) request: Cow<'l, [u8]>,
    /// The answer's status. It is `None` for a connection that ended first: the log has `-`, `0`,
    /// `000` or, of an old Traefik, `%!d(<nil>)`.
    pub status: Option<u16>,
    /// The `Referer` of the combined format. It is empty where the log has `-`, and `None` in a log
    /// without this field.
    pub referrer: Option<Cow<'l, [u8]>>,
    /// The `User-Agent` of the combined format. It is empty where the log has `-`, and `None` in a
    /// log without this field.
    pub user_agent: Option<Cow<'l, [u8]>>,
}

impl Line<'_> {
    /// The request; `None` when nothing that a web application ever sees was sent: a TLS handshake
    /// on the wrong port, an empty request.
    #[must_use]
    pub fn request(&self) -> Option<Request<'_>> {
        Request::parse(&self.request)
    }

    pub(super) fn into_owned(self) -> Line<'static> {
        let owned = |text: Cow<'_, [u8]>| Cow::Owned(text.into_owned());
        Line {
            client: self.client,
            time: self.time,
            request: owned(self.request),
            status: self.status,
            referrer: self.referrer.map(owned),
            user_agent: self.user_agent.map(owned),
        }
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
    /// There is no field in quotes with the number that was asked for.
    NoField,
    /// It begins like JSON and is none.
    NoJson,
    /// It is JSON and not of a request.
    OtherJson,
    /// The time in JSON is none.
    BadJsonTime,
}

impl Malformed {
    /// The rest of the sentence.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoRequest => "has no time in brackets with a request in quotes after it",
            Self::NoClient => "has no IP address where the client belongs",
            Self::BadTime => "has a time that is not like [17/May/2015:10:05:03 +0000]",
            Self::TooEarly => "has a time before 1970",
            Self::OpenRequest => "ends amid its request",
            Self::NoStatus => "has no status of three digits after the request",
            Self::NoField => "has no field in quotes where --client-field looks for the client",
            Self::NoJson => "begins like JSON and is none, or is cut off",
            Self::OtherJson => {
                "is JSON without the fields of a request in Caddy's or Traefik's log"
            }
            Self::BadJsonTime => {
                "has a time that is neither in seconds nor like 2015-05-17T10:05:03Z"
            }
        }
    }
}

/// Reads a line, without its line end. The client stands in the line's first field.
///
/// # Errors
/// A field is missing that a replay needs. What follows the status does not matter.
pub fn parse(line: &[u8]) -> Result<Line<'_>, Malformed> {
    parse_with(line, ClientField::Peer)
}

/// Reads a line with the client in this field. A field that is empty or `-` leaves the first one.
///
/// # Errors
/// The same as of [`parse`].
pub fn parse_with(line: &[u8], field: ClientField) -> Result<Line<'_>, Malformed> {
    if line.trim_ascii_start().starts_with(b"{") {
        return json::parse(line, field);
    }
    let quote = find(line, b"] \"").ok_or(Malformed::NoRequest)?;
    let before = &line[..quote];
    let bracket = before.len().checked_sub(time::LENGTH + 1);
    let (head, time) = match bracket.map(|at| before.split_at(at)) {
        Some((head, [b'[', time @ ..])) => (head, time::parse(time)?),
        _ => return Err(Malformed::BadTime),
    };
    let rest = &line[quote + 3..];
    let end = closing_quote(rest);
    let forwarded = match (field.number(), end) {
        (Some(number), Some(end)) => {
            let field = Quoted(&rest[end + 1..]).nth(number - 1);
            client::forwarded(field.ok_or(Malformed::NoField)?)?
        }
        _ => None,
    };
    let client = forwarded.or_else(|| client::first(head));
    let client = client.ok_or(Malformed::NoClient)?;
    let end = end.ok_or(Malformed::OpenRequest)?;
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
    if matches!(word, b"-" | b"0" | b"%!d(<nil>)") {
        return Some(None);
    }
    if word.len() != 3 || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let status = str::from_utf8(word).ok()?.parse().ok()?;
    Some((status >= 100).then_some(status))
}
