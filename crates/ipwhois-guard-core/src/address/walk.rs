//! From the lines of the header to the client.

use std::net::IpAddr;

use super::elements::{Addresses, Elements, Syntax};
use super::parse_address;
use crate::ip_set::IpSet;

/// How far the walk over a line, or over some lines, has come.
enum Walked {
    /// It ended: at the client, or at an element that is no address.
    Ended(Option<IpAddr>),
    /// Every element is trusted; this is the leftmost.
    AllTrusted(IpAddr),
}

/// Walks from the right over trusted addresses to the first other one; to the leftmost when all are trusted. `None`
/// when an element that is no address is in the way, and when there is no element.
pub(super) fn first_untrusted<'h>(
    lines: impl Iterator<Item = &'h [u8]>,
    syntax: Syntax,
    trusted: &IpSet,
) -> Option<IpAddr> {
    // Lines come in order and cannot be gone through backwards. So each is walked by itself, and what was found in
    // earlier lines counts only while the later ones let the walk through.
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
fn walk_line(line: &[u8], syntax: Syntax, trusted: &IpSet) -> Option<Walked> {
    let mut walked = None;
    for address in Addresses::new(line, syntax) {
        walked = match address {
            Some(ip) if trusted.contains(ip) => Some(Walked::AllTrusted(ip)),
            other => return Some(Walked::Ended(other)),
        };
    }
    walked
}

/// The `hops`-th element from the right. `None` when it is no address or there are fewer.
pub(super) fn hops_from_the_right<'h, L, I>(lines: L, syntax: Syntax, hops: u32) -> Option<IpAddr>
where
    L: Fn() -> I,
    I: Iterator<Item = &'h [u8]>,
{
    let count = |line| Elements::new(line, syntax).count();
    let all: usize = lines().map(count).sum();
    let mut before = all.checked_sub(usize::try_from(hops).ok()?)?;
    for line in lines() {
        let here = count(line);
        match before.checked_sub(here) {
            Some(further) => before = further,
            None => {
                let from_the_right = here.checked_sub(before)?.checked_sub(1)?;
                let element = Elements::new(line, syntax).nth(from_the_right)?;
                return syntax.address(element);
            }
        }
    }
    None
}

/// The address of a header that consists of one. `None` when it has another number of lines, or no address.
pub(super) fn only_address<'h>(mut lines: impl Iterator<Item = &'h [u8]>) -> Option<IpAddr> {
    let line = lines.next()?;
    match lines.next() {
        None => parse_address(line.trim_ascii()),
        Some(_) => None,
    }
}
