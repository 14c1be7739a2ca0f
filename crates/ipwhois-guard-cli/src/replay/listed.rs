//! The addresses that a replay takes as listed.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use crate::input;
use crate::outcome::Failure;

/// Some four million addresses.
const LONGEST_FILE: u64 = 64 * 1_024 * 1_024;

/// A set of addresses and networks, IPv4 ones as IPv4-mapped ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// First and last of each range, in order, none of them overlapping.
    ranges: Vec<(u128, u128)>,
}

impl Listed {
    /// Reads a file of one address or CIDR a line; `#` begins a comment.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = input::read("option --listed: ", path, LONGEST_FILE)?;
        Self::parse(&bytes).map_err(|(line, text)| {
            let name = input::name(path);
            Failure::new(format!(
                "option --listed: {name}: line {line}: `{text}` is no IP address or CIDR"
            ))
        })
    }

    /// The set, or the number and the text of the first bad line.
    fn parse(bytes: &[u8]) -> Result<Self, (usize, String)> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut ranges = Vec::new();
        for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
            let entry = line.split(|&byte| byte == b'#').next().unwrap_or_default();
            let entry = entry.trim_ascii();
            if !entry.is_empty() {
                let range = str::from_utf8(entry).ok().and_then(range);
                ranges.push(range.ok_or_else(|| (number, input::printable(entry)))?);
            }
        }
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Ok(Self { ranges: merged })
    }

    /// Whether this very address is in it.
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        let bits = bits(ip);
        let after = self.ranges.partition_point(|&(first, _)| first <= bits);
        after > 0 && bits <= self.ranges[after - 1].1
    }

    /// Whether a client counts as listed: by its address, or by the IPv4 address inside a NAT64
    /// (`64:ff9b::/96`) or 6to4 (`2002::/16`) one, about which the service is asked.
    pub(super) fn lists(&self, client: IpAddr) -> bool {
        self.contains(client) || embedded(client).is_some_and(|inner| self.contains(inner.into()))
    }
}

fn embedded(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let joined = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(joined(high, low)),
        [0x2002, high, low, ..] => Some(joined(high, low)),
        _ => None,
    }
}

fn range(text: &str) -> Option<(u128, u128)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let ip: IpAddr = address.parse().ok()?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => prefix.parse().ok()?,
        Some(_) => return None,
        None => longest,
    };
    // Host bits are dropped. A prefix as long as the address leaves none: that shift would be too
    // far.
    let free: u32 = u32::checked_sub(longest, prefix)?;
    let hosts = u128::MAX.checked_shr(128 - free).unwrap_or(0);
    let bits = bits(ip);
    Some((bits & !hosts, bits | hosts))
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, inside: &[&str], outside: &[&str]) {
        let listed = Listed::parse(text.as_bytes()).expect("a good file");
        let lists = |address: &&str| listed.lists(address.parse().expect("an address"));
        for address in inside {
            assert!(lists(address), "{address} is in {text:?}");
        }
        for address in outside {
            assert!(!lists(address), "{address} is not in {text:?}");
        }
    }

    #[test]
    fn a_network_ends_where_its_prefix_says() {
        check("25.1.1.1", &["25.1.1.1"], &["25.1.1.0", "25.1.1.2", "::1"]);
        check(
            "25.1.2.3/16\n3ffe:1::/32",
            &["25.1.0.0", "25.1.255.255", "3ffe:1:ffff::1"],
            &["25.0.255.255", "25.2.0.0", "3ffe:2::"],
        );
        check("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["3ffe::1"]);
        check("::/0", &["3ffe::1", "25.1.1.1"], &[]);
        check("", &[], &["25.1.1.1", "::"]);
    }

    #[test]
    fn networks_within_others_hide_nothing() {
        let text = "25.0.0.0/8\n25.1.1.1\n25.1.1.0/24\n26.0.0.1";
        check(text, &["25.255.0.1", "25.1.1.1", "26.0.0.1"], &["26.0.0.2"]);
    }

    #[test]
    fn an_address_inside_another_counts() {
        let text = "25.1.1.1";
        let inside = ["64:ff9b::1901:101", "2002:1901:101::7"];
        check(text, &inside, &["64:ff9b::1901:102", "3ffe:1901:101::"]);
    }

    #[test]
    fn comments_and_blank_lines_are_passed_over() {
        let text = "\u{feff}# all\r\n\r\n 25.1.1.1 # one\r\n26.1.1.1";
        check(text, &["25.1.1.1", "26.1.1.1"], &["25.1.1.2"]);
    }

    #[test]
    fn a_bad_line_is_named() {
        for bad in [
            "no",
            "25.1.1.1/33",
            "25.1.1.1/",
            "25.1.1.1/+8",
            "::/129",
            "25.1.1.1 26.1.1.1",
            "25.1.1.1/4294967296",
        ] {
            let text = format!("25.0.0.1\n{bad}\n");
            assert_eq!(Listed::parse(text.as_bytes()), Err((2, bad.to_owned())));
        }
    }
}
