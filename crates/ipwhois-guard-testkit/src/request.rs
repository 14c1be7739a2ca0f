//! Reading a request out of bytes.

use crate::record;

/// The longest head that is read, in bytes.
pub(crate) const MAX_HEAD: usize = 16 * 1024;
/// The longest body that is read, in bytes.
pub(crate) const MAX_BODY: usize = 256 * 1024;
/// The most header fields that are read.
const MAX_HEADERS: usize = 100;

/// A request, complete with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The target's path, as it was sent.
    pub(crate) path: String,
    /// What follows the `?`, as it was sent; empty without one.
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the client wants to send another request on this connection.
    pub(crate) keep_alive: bool,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        record::header(&self.headers, name)
    }
}

/// Why a request is not read. The connection cannot be used any further, for nobody knows where the
/// next one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed,
    HeadTooLong,
    BodyTooLong,
    /// A body in chunks, which no client of the service sends.
    LengthRequired,
}

impl Refusal {
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::HeadTooLong => 400,
            Self::BodyTooLong => 413,
            Self::LengthRequired => 411,
        }
    }

    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "malformed request",
            Self::HeadTooLong => "request head too long",
            Self::BodyTooLong => "request body too long",
            Self::LengthRequired => "Content-Length required",
        }
    }
}

/// Reads the request at the start of `bytes`. Answers it with the number of bytes it takes, or
/// `None` when more bytes are needed.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut fields);
    let head_length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() <= MAX_HEAD => return Ok(None),
        Ok(_) => return Err(Refusal::HeadTooLong),
        Err(_) => return Err(Refusal::Malformed),
    };
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|field| {
            let value = String::from_utf8_lossy(field.value).into_owned();
            (field.name.to_owned(), value)
        })
        .collect();

    let body_length = body_length(&headers)?;
    let rest = bytes.get(head_length..).unwrap_or_default();
    let Some(body) = rest.get(..body_length) else {
        return Ok(None);
    };

    let target = origin_form(head.path.unwrap_or("/"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        keep_alive: head.version == Some(1) && !asks_to_close(&headers),
        headers,
        body: body.to_vec(),
    };
    Ok(Some((request, head_length.saturating_add(body_length))))
}

/// The path and query of a target. A server must understand the absolute form too (RFC 9112,
/// section 3.2.2): clients send it to what they take for a proxy.
fn origin_form(target: &str) -> &str {
    let Some(rest) = target.strip_prefix("http://") else {
        return target;
    };
    rest.find('/')
        .and_then(|start| rest.get(start..))
        .unwrap_or("/")
}

fn body_length(headers: &[(String, String)]) -> Result<usize, Refusal> {
    if record::header(headers, "transfer-encoding").is_some() {
        return Err(Refusal::LengthRequired);
    }
    let mut lengths = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.as_str());
    let Some(length) = lengths.next() else {
        return Ok(0);
    };
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || lengths.any(|other| other != length) {
        return Err(Refusal::Malformed);
    }
    // A number too big for a usize is too long all the same.
    match length.parse() {
        Ok(length) if length <= MAX_BODY => Ok(length),
        _ => Err(Refusal::BodyTooLong),
    }
}

fn asks_to_close(headers: &[(String, String)]) -> bool {
    record::header(headers, "connection").is_some_and(|options| {
        options
            .split(',')
            .any(|option| option.trim().eq_ignore_ascii_case("close"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REPORT: &[u8] =
        b"POST /api/report?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nip=25";

    #[track_caller]
    fn refused(bytes: &[u8], refusal: Refusal) {
        assert_eq!(parse(bytes).err(), Some(refusal));
    }

    #[test]
    fn a_request_is_taken_apart() {
        let (request, length) = parse(REPORT).unwrap().unwrap();
        assert_eq!(length, REPORT.len());
        assert_eq!(
            (&*request.method, &*request.path, &*request.query),
            ("POST", "/api/report", "x=1")
        );
        assert_eq!(request.header("HOST"), Some("h"));
        assert_eq!(request.body, b"ip=25");
        assert!(request.keep_alive);
    }

    #[test]
    fn the_next_request_is_left_alone() {
        let two = [REPORT, REPORT].concat();
        let (_, length) = parse(&two).unwrap().unwrap();
        assert_eq!(length, REPORT.len());
    }

    #[test]
    fn the_absolute_form_is_understood() {
        let target = |bytes: &[u8]| {
            let (request, _) = parse(bytes).unwrap().unwrap();
            (request.path, request.query)
        };
        let pair = |path: &str, query: &str| (path.to_owned(), query.to_owned());
        assert_eq!(
            target(b"GET http://h:1/api/check?ip=a HTTP/1.1\r\n\r\n"),
            pair("/api/check", "ip=a")
        );
        assert_eq!(target(b"GET http://h HTTP/1.1\r\n\r\n"), pair("/", ""));
    }

    #[test]
    fn old_or_closing_clients_get_one_answer() {
        for head in [
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\nConnection: te, Close\r\n\r\n",
        ] {
            let (request, _) = parse(head.as_bytes()).unwrap().unwrap();
            assert!(!request.keep_alive, "{head:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        refused(b"\x16\x03\x01\x02\x00 TLS", Refusal::Malformed);
        refused(
            b"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            Refusal::Malformed,
        );
        refused(
            b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            Refusal::Malformed,
        );
        refused(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal::LengthRequired,
        );
        for length in ["262145", "99999999999999999999999999"] {
            let head = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
            refused(head.as_bytes(), Refusal::BodyTooLong);
        }
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(MAX_HEAD));
        refused(long.as_bytes(), Refusal::HeadTooLong);
        refused(&long.as_bytes()[..MAX_HEAD + 1], Refusal::HeadTooLong);
        assert_eq!(parse(&long.as_bytes()[..MAX_HEAD]), Ok(None));
    }

    proptest! {
        #[test]
        fn a_part_of_a_request_waits_for_the_rest(length in 0..REPORT.len()) {
            prop_assert_eq!(parse(&REPORT[..length]), Ok(None));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
        }
    }
}
