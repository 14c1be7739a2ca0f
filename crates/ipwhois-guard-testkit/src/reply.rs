//! A reply and its bytes.

use serde_json::Value;

use crate::behaviour::JSON;
use crate::record;

/// A reply before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) const fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let mut reply = Self::empty(status).with("Content-Type", JSON);
        reply.body = body.to_string().into_bytes();
        reply
    }

    pub(crate) fn error(status: u16, reason: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": reason }))
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The status line and the header fields, with the empty line that ends them.
    pub(crate) fn head(&self, keep_alive: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, phrase(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.is_framed() && !self.is_bodiless() {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        if !keep_alive {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The body as it goes over the wire.
    pub(crate) fn body(&self) -> &[u8] {
        if self.is_bodiless() { &[] } else { &self.body }
    }

    /// Whether the headers say where the body ends without help.
    fn is_framed(&self) -> bool {
        ["content-length", "transfer-encoding"]
            .iter()
            .any(|name| record::header(&self.headers, name).is_some())
    }

    /// Whether the status has no body by definition (RFC 9112, section 6.3).
    const fn is_bodiless(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 304)
    }
}

/// The reason phrase; a status that is not in the table has an empty one, as HTTP allows.
const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: &Reply, keep_alive: bool, expected: &str) {
        let mut bytes = reply.head(keep_alive);
        bytes.extend_from_slice(reply.body());
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn a_reply_says_how_long_it_is() {
        check(
            &Reply::error(404, "no"),
            true,
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"error\":\"no\"}",
        );
        check(
            &Reply::empty(599),
            false,
            "HTTP/1.1 599 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }

    #[test]
    fn a_length_that_was_given_is_not_given_again() {
        let mut reply = Reply::empty(200).with("content-length", "9");
        reply.body = b"short".to_vec();
        check(
            &reply,
            true,
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
        );
    }

    #[test]
    fn some_statuses_have_no_body() {
        let mut reply = Reply::empty(204);
        reply.body = b"ignored".to_vec();
        check(&reply, true, "HTTP/1.1 204 No Content\r\n\r\n");
    }
}
