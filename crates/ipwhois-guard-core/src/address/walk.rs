//! From the lines of the header to the client.

use std::net::IpAddr;

use super::elements::{Elements, Syntax};
use super::text::{last_ipv4, parse_address};
use crate::ip_set::IpSet;

/// How far the walk over a line, or over some lines, has come.
#[derive(Debug, PartialEq, Eq)]
enum Walked {
    /// It ended: at the client, or at an element that is no address.
    Ended(Option<IpAddr>),
    /// Every element is trusted; this is the leftmost.
    AllTrusted(IpAddr),
}

/// Walks from the right over trusted addresses to the first other one; to the leftmost when all are
/// trusted. `None` when an element that is no address is in the way, and when there is no element.
pub(super) fn first_untrusted<'h>(
    lines: impl Iterator<Item = &'h [u8]>,
    syntax: Syntax,
    trusted: &IpSet,
) -> Option<IpAddr> {
    // Lines come in order and cannot be gone through backwards. So each is walked by itself, and
    // what was found in earlier lines counts only while the later ones let the walk through.
    let walked = lines.fold(None, |earlier, line| {
        match walk_line(line, syntax, trusted) {
            None => earlier,
            Some(Walked::AllTrusted(_)) if earlier.is_some() => earlier,
            later => later,
        }
    });
    match walked? {
        Walked::Ended(address) => address,
        Walked::AllTrusted(leftmost) => Some(leftmost),
    }
}

/// `None` for a line without elements.
#[inline]
fn walk_line(line: &[u8], syntax: Syntax, trusted: &IpSet) -> Option<Walked> {
    let mut rest = line;
    let mut walked = None;
    // Nearly every element is a bare IPv4 address, and every request comes here several times. Such
    // a one is read from the right in one pass, without looking for its comma first.
    while let Syntax::List = syntax
        && let Some((ip, before)) = last_ipv4(rest)
    {
        if !trusted.contains(ip.into()) {
            return Some(Walked::Ended(Some(ip.into())));
        }
        walked = Some(Walked::AllTrusted(ip.into()));
        match before {
            Some(before) => rest = before,
            None => return walked,
        }
    }
    walk_elements(rest, syntax, trusted).or(walked)
}

/// The same, for elements of any form.
#[inline(never)]
fn walk_elements(line: &[u8], syntax: Syntax, trusted: &IpSet) -> Option<Walked> {
    let mut walked = None;
    for element in Elements::new(line, syntax) {
        walked = match syntax.address(element) {
            Some(ip) if trusted.contains(ip) => Some(Walked::AllTrusted(ip)),
            other => return Some(Walked::Ended(other)),
        };
    }
    walked
}

/// The elements of all lines from right to left. Lines come in order and cannot be gone through
/// backwards, so `lines` is called for each of them: nearly every request has one.
pub(super) fn from_the_right<'h, L, I>(
    lines: L,
    syntax: Syntax,
) -> impl Iterator<Item = Option<IpAddr>>
where
    L: Fn() -> I,
    I: Iterator<Item = &'h [u8]>,
{
    let numbers = (0..lines().count()).rev();
    let elements = numbers
        .filter_map(move |number| lines().nth(number))
        .flat_map(move |line| Elements::new(line, syntax));
    elements.map(move |element| syntax.address(element))
}

/// The address of a header that consists of one. `None` when it has another number of lines, or no
/// address.
pub(super) fn only_address<'h>(mut lines: impl Iterator<Item = &'h [u8]>) -> Option<IpAddr> {
    let line = lines.next()?;
    match lines.next() {
        None => parse_address(line.trim_ascii()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Elements in every form, and whatever else a client may write.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => "(10\\.0\\.0|26\\.1\\.1|0\\.0\\.0|[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3})\\.[0-9]{1,3}",
            1 => "10\\.0\\.0\\.1:80|3ffe:10::1|::ffff:10\\.0\\.0\\.1|\\[3ffe:10::1\\]:1|[x.: ]",
        ];
        let separator = prop_oneof![4 => ", ?", 1 => "[ \t,.:]{0,3}"];
        let text = prop::collection::vec((piece, separator), 0..5).prop_map(|pieces| {
            let pieces = pieces
                .into_iter()
                .map(|(piece, separator)| piece + &separator);
            pieces.collect::<String>().into_bytes()
        });
        // Most lines do not end with a comma.
        let trimmed = text.clone().prop_map(|mut text| {
            text.truncate(text.trim_ascii_end().len());
            while text.ends_with(b",") {
                text.pop();
            }
            text
        });
        prop_oneof![4 => trimmed, 1 => text, 1 => prop::collection::vec(any::<u8>(), 0..24)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn bare_ipv4_addresses_are_walked_as_elements_of_any_form_are(line in line()) {
            let trusted = IpSet::parse("test", ["10.0.0.0/8", "0.0.0.0/8", "3ffe:10::/32"])?;
            let walked = walk_line(&line, Syntax::List, &trusted);
            prop_assert_eq!(walked, walk_elements(&line, Syntax::List, &trusted), "{}", line.escape_ascii());
        }
    }
}
