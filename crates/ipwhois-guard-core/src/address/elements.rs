//! The elements of a header line, from right to left.

use std::net::IpAddr;

use super::{forwarded, text};

/// How a line is made of elements, and an element of an address.
#[derive(Clone, Copy, Debug)]
pub(super) enum Syntax {
    /// Addresses, separated by commas.
    List,
    /// RFC 7239: pairs, in elements that are separated by the commas outside of quoted strings.
    Forwarded,
}

impl Syntax {
    /// The address that the element tells. `None` when it tells none.
    pub(super) fn address(self, element: &[u8]) -> Option<IpAddr> {
        match self {
            Self::List => text::parse_address(element),
            Self::Forwarded => forwarded::address(element),
        }
    }
}

/// The elements of one line from right to left, trimmed, without the empty ones.
pub(super) struct Elements<'h> {
    /// What has not been split yet; `None` at the end.
    rest: Option<&'h [u8]>,
    syntax: Syntax,
}

impl<'h> Elements<'h> {
    pub(super) fn new(line: &'h [u8], syntax: Syntax) -> Self {
        Self {
            rest: Some(line),
            syntax,
        }
    }
}

impl<'h> Iterator for Elements<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        while let Some(rest) = self.rest {
            let comma = match self.syntax {
                Syntax::List => rest.iter().rposition(|&byte| byte == b','),
                Syntax::Forwarded => forwarded::last_comma(rest),
            };
            let (before, element) = match comma.and_then(|at| text::split_around(rest, at)) {
                Some((before, element)) => (Some(before), element),
                None => (None, rest),
            };
            self.rest = before;
            let element = element.trim_ascii();
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    }
}
