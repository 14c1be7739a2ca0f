//! `Forwarded` (RFC 7239).
//!
//! Its elements are separated by commas, and commas may stand in quoted strings. Read from the
//! left, a quotation mark that a client never closes would swallow what its proxies append. So
//! quotes are matched from the right: what a proxy wrote correctly is read before any byte of the
//! client's, and nothing in it looks at bytes further left.

use std::net::IpAddr;

use super::text::{parse_node, split_around, split_at_first};
use crate::token::is_token;

/// How long an address can be that is read although characters of it are escaped. No address needs
/// as much.
const UNESCAPED: usize = 64;

/// The last comma that separates two elements.
///
/// The time is in proportion to what is passed over: the search for the beginning of a quoted
/// string ends at the first quotation mark that is not escaped, and only such marks start one.
pub(super) fn last_comma(line: &[u8]) -> Option<usize> {
    let mut end = line.len();
    loop {
        let unseen = line.get(..end)?;
        let at = unseen
            .iter()
            .rposition(|byte| matches!(byte, b',' | b'"'))?;
        let (before, after) = split_around(line, at)?;
        if unseen.get(at) == Some(&b',') {
            return Some(at);
        }
        // A mark that ends no quoted value spoils the element that it is in, and only that.
        end = match ends_pair(after) {
            true => opening_quote(before).unwrap_or(at),
            false => at,
        };
    }
}

/// Where the quoted value begins that ends after `before`. `None` when it has no beginning.
fn opening_quote(before: &[u8]) -> Option<usize> {
    if is_escaped(before) {
        return None;
    }
    let mut inside = before;
    loop {
        let at = inside.iter().rposition(|&byte| byte == b'"')?;
        inside = inside.get(..at)?;
        if !is_escaped(inside) {
            return inside.ends_with(b"=").then_some(at);
        }
    }
}

/// Whether the byte that follows is escaped: an even number of backslashes are escapes of each
/// other.
fn is_escaped(before: &[u8]) -> bool {
    let backslashes = before.iter().rev().take_while(|&&byte| byte == b'\\');
    backslashes.count() % 2 == 1
}

/// Whether a value may end where this follows. White space is tolerated around a semicolon.
fn ends_pair(after: &[u8]) -> bool {
    matches!(after.trim_ascii_start().first(), None | Some(b';'))
}

/// The address of an element's one `for`.
///
/// An IPv6 address has brackets: without them `2001:db8::1:4711` could be an address and a port.
/// Its quotes may be missing. `None` for `unknown` and `_hidden`, for an element with no `for` or
/// with two, and for one that is not a sequence of `name=value`. What the other values consist of
/// does not matter, because a proxy may copy them from the request.
pub(super) fn address(element: &[u8]) -> Option<IpAddr> {
    let mut told = None;
    let mut rest = element.trim_ascii_start();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(b";") {
            rest = after.trim_ascii_start();
            continue;
        }
        let (name, value, after) = split_pair(rest)?;
        if name.eq_ignore_ascii_case(b"for") && told.replace(value).is_some() {
            return None;
        }
        rest = after.trim_ascii_start();
    }
    match told? {
        Value::Plain(text) => parse_node(text),
        Value::Quoted(text) => parse_quoted(text),
    }
}

enum Value<'h> {
    Plain(&'h [u8]),
    /// What stands between the quotation marks, escapes and all.
    Quoted(&'h [u8]),
}

/// Name and value of the first pair, and what follows them.
fn split_pair(pairs: &[u8]) -> Option<(&[u8], Value<'_>, &[u8])> {
    let (name, onward) = split_at_first(pairs, b'=')?;
    if !is_token(name) {
        return None;
    }
    let (value, after) = match onward.strip_prefix(b"\"") {
        Some(inside) => {
            let (text, after) = split_around(inside, closing_quote(inside)?)?;
            (Value::Quoted(text), after)
        }
        None => {
            let end = onward.iter().position(|&byte| byte == b';');
            let (text, after) = onward.split_at_checked(end.unwrap_or(onward.len()))?;
            if text.contains(&b'"') {
                return None;
            }
            (Value::Plain(text.trim_ascii_end()), after)
        }
    };
    ends_pair(after).then_some((name, value, after))
}

fn closing_quote(inside: &[u8]) -> Option<usize> {
    let mut bytes = inside.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at),
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
    None
}

fn parse_quoted(escaped: &[u8]) -> Option<IpAddr> {
    if !escaped.contains(&b'\\') {
        return parse_node(escaped);
    }
    let mut text = [0; UNESCAPED];
    let mut length = 0;
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        *text.get_mut(length)? = match byte {
            b'\\' => *bytes.next()?,
            plain => plain,
        };
        length += 1;
    }
    parse_node(text.get(..length)?)
}

#[cfg(test)]
mod tests {
    use super::super::elements::{Elements, Syntax};
    use super::*;

    #[track_caller]
    fn check(element: &str, expected: Option<&str>) {
        let expected = expected.map(|ip| ip.parse::<IpAddr>().expect("an address"));
        assert_eq!(address(element.as_bytes()), expected, "{element}");
    }

    #[track_caller]
    fn check_elements(line: &str, expected: &[&str]) {
        let elements: Vec<_> = Elements::new(line.as_bytes(), Syntax::Forwarded)
            .map(String::from_utf8_lossy)
            .collect();
        assert_eq!(elements, expected, "{line}");
    }

    #[test]
    fn the_address_of_for_is_told() {
        for element in [
            "for=26.1.2.3",
            "FOR=26.1.2.3:80",
            "For=\"26.1.2.3:80\"",
            "for=\"[::ffff:26.1.2.3]\"",
            "by=25.1.1.1;for=26.1.2.3;proto=https;host=example.com",
            "by=\"a;for=25.1.1.1\" ; for=\"26.1.2.3\" ; host=\"b,\\\"c\\\\\"",
            ";;for=26.1.2.3;",
            "host=;for=26.1.2.3;ext=a b/c=d",
            "for=\"\\2\\6.1.2.3\"",
        ] {
            check(element, Some("26.1.2.3"));
        }
        for element in [
            "for=\"[3ffe::1]\"",
            "for=\"[3ffe::1%eth0]:4711\"",
            "for=[3ffe::1]:4711",
            "for=\"\\[3ffe\\:\\:1\\]\"",
        ] {
            check(element, Some("3ffe::1"));
        }
    }

    #[test]
    fn an_element_without_one_address_has_none() {
        for element in [
            "for=unknown",
            "for=_hidden",
            "for=\"_hidden\"",
            "for=",
            "for=\"\"",
            "for",
            "by=26.1.2.3",
            "forx=26.1.2.3",
            ";",
            "26.1.2.3",
            "for=26.1.2.3;for=26.1.2.3",
            "for=26.1.2.3;For=unknown",
            "for =26.1.2.3",
            "for= 26.1.2.3",
            "for=\" 26.1.2.3\"",
            "for=26.1.2.3 x",
            "for=26.1.2.3;secret",
            "secret;for=26.1.2.3",
            "for=26.1.2.3;\u{fc}=1",
            "for=3ffe::1",
            "for=\"3ffe::1\"",
            "for=\"3ffe::1:4711\"",
            "for=\"::ffff:26.1.2.3\"",
            "for=\"3ffe::1%eth0\"",
            "for=\"26.1.2.3:80:90\"",
            "for=\"[3ffe::1]:80:90\"",
            "for=\"[26.1.2.3]\"",
            "for=\"%32%36.1.2.3\"",
            "for=\"26.1.2.03\"",
        ] {
            check(element, None);
        }
    }

    #[test]
    fn broken_quotes_spoil_their_element() {
        for element in [
            "for=\"26.1.2.3",
            "for=26.1.2.3\"",
            "for=\"26.1.2.3\\\"",
            "for=\"26.1.2.3\\",
            "for=\"26.1.2.3\"x",
            "for=\"26.1.2.3\"x=1",
            "for=\"26.1.2.3\"\"\"",
            "for=x\"26.1.2.3\"",
            "host=a\"b;for=26.1.2.3",
            "host=\"a;for=26.1.2.3",
        ] {
            check(element, None);
        }
        let long = format!("for=\"{}1\"", "\\0".repeat(100));
        check(&long, None);
    }

    #[test]
    fn commas_in_quoted_strings_separate_nothing() {
        check_elements(
            "for=25.1.1.1,, for=a;by=\"x,\\\"y,\\\\\" , for=\"b,c\"\t;x=\",\"",
            &[
                "for=\"b,c\"\t;x=\",\"",
                "for=a;by=\"x,\\\"y,\\\\\"",
                "for=25.1.1.1",
            ],
        );
        check_elements(" , ,", &[]);
    }

    #[test]
    fn a_stray_quotation_mark_stays_in_its_element() {
        check_elements("a=\"b, c", &["c", "a=\"b"]);
        check_elements("a, b\", c", &["c", "b\"", "a"]);
        check_elements("a, \"b, c\", d", &["d", "c\"", "\"b", "a"]);
        check_elements("a=\"b, c\\\", d", &["d", "c\\\"", "a=\"b"]);
        check_elements("a=\"b\"c, d", &["d", "a=\"b\"c"]);
        check_elements("a=\"b, c\"x, d", &["d", "c\"x", "a=\"b"]);
    }

    #[test]
    fn a_hostile_line_takes_no_time_of_its_own() {
        for piece in [
            "\",", "\\\",", "=\",", "=\"\\\",", "\" ;", "x\"", "\\", "\" ",
        ] {
            let line = piece.repeat(1 << 20);
            // In time of its square this would take hours.
            let elements = Elements::new(line.as_bytes(), Syntax::Forwarded);
            assert!(elements.count() <= 1 << 20);
        }
    }
}
