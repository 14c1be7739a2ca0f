//! An address as proxies write it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads one address, and nothing around it:
///
/// - IPv4 with an optional port: `192.0.2.1`, `192.0.2.1:4711`; without leading zeros, which
///   elsewhere mean octal
/// - IPv6: `2001:db8::1`; with a zone: `fe80::1%eth0`
/// - IPv6 in brackets with an optional port: `[2001:db8::1]`, `[fe80::1%eth0]:4711`
///
/// The zone and the port (one to five digits, 0 to 65535) are dropped, and an IPv4-mapped address
/// becomes IPv4. `None` for everything else, and for `0.0.0.0` and `::`.
pub(crate) fn parse_address(bytes: &[u8]) -> Option<IpAddr> {
    parse_node(bytes).or_else(|| super::usable(ipv6(bytes)?.into()))
}

/// The same as RFC 7239 (section 6) has it: IPv6 in brackets only, since what follows its last
/// colon could be a port.
pub(super) fn parse_node(bytes: &[u8]) -> Option<IpAddr> {
    let ip = match bytes.strip_prefix(b"[") {
        Some(inside) => bracketed(inside)?.into(),
        None => ipv4(bytes)?.into(),
    };
    super::usable(ip)
}

/// What is left and right of the byte at a position.
pub(super) fn split_around(bytes: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    let (_, after) = bytes.get(at..)?.split_first()?;
    Some((bytes.get(..at)?, after))
}

/// What is left and right of the first such byte.
pub(super) fn split_at_first(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    split_around(bytes, bytes.iter().position(|&byte| byte == separator)?)
}

/// Strict IPv4, with or without a port.
fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    let address = match split_at_first(bytes, b':') {
        Some((address, port)) if is_port(port) => address,
        Some(_) => return None,
        None => bytes,
    };
    match ending_ipv4(address)? {
        (ip, []) => Some(ip),
        _ => None,
    }
}

/// The IPv4 address that a list ends with, and what stands before its comma. `None` when that
/// element is written in any other way, and for `0.0.0.0`.
#[inline]
pub(super) fn last_ipv4(list: &[u8]) -> Option<(Ipv4Addr, Option<&[u8]>)> {
    let (ip, before) = ending_ipv4(list)?;
    let before = match before {
        [] => None,
        [before @ .., b',', b' '] | [before @ .., b','] => Some(before),
        _ => return None,
    };
    (!ip.is_unspecified()).then_some((ip, before))
}

/// The strict IPv4 address at the end, and what stands before it. By hand and in one pass, because
/// every request comes here several times.
#[inline]
fn ending_ipv4(bytes: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (d, rest) = last_octet(bytes)?;
    let (c, rest) = last_octet(rest.strip_suffix(b".")?)?;
    let (b, rest) = last_octet(rest.strip_suffix(b".")?)?;
    let (a, rest) = last_octet(rest.strip_suffix(b".")?)?;
    Some((Ipv4Addr::from_bits(a << 24 | b << 16 | c << 8 | d), rest))
}

/// The octet at the end without leading zeros, and what stands before it.
#[inline]
fn last_octet(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (ones, before_ones) = last_digit(bytes)?;
    let Some((tens, before_tens)) = last_digit(before_ones) else {
        return Some((ones, before_ones));
    };
    let Some((hundreds, before_hundreds)) = last_digit(before_tens) else {
        return (tens > 0).then_some((10 * tens + ones, before_tens));
    };
    let octet = 100 * hundreds + 10 * tens + ones;
    (100..=255)
        .contains(&octet)
        .then_some((octet, before_hundreds))
}

#[inline]
fn last_digit(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (&byte, before) = bytes.split_last()?;
    let digit = u32::from(byte).wrapping_sub(u32::from(b'0'));
    (digit <= 9).then_some((digit, before))
}

fn is_port(digits: &[u8]) -> bool {
    digits.len() <= 5 && number(digits).is_some_and(|port| u16::try_from(port).is_ok())
}

/// A decimal number of one or more digits. `None` when it does not fit.
fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, &byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit <= 9)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// What follows a `[`.
fn bracketed(inside: &[u8]) -> Option<Ipv6Addr> {
    let (address, after) = split_at_first(inside, b']')?;
    match after.strip_prefix(b":") {
        Some(port) if !is_port(port) => None,
        None if !after.is_empty() => None,
        _ => ipv6(address),
    }
}

/// IPv6, with or without a zone.
fn ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    let address = match split_at_first(bytes, b'%') {
        Some((address, zone)) if is_zone(zone) => address,
        Some(_) => return None,
        None => bytes,
    };
    str::from_utf8(address).ok()?.parse().ok()
}

/// RFC 6874, section 2: unreserved characters, and percent-encoded ones.
fn is_zone(zone: &[u8]) -> bool {
    let is_allowed = |&byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    !zone.is_empty() && zone.iter().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let expected = expected.map(|ip| ip.parse::<IpAddr>().expect("an address"));
        assert_eq!(parse_address(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn ipv4_may_have_a_port() {
        for text in ["26.1.2.3", "26.1.2.3:0", "26.1.2.3:00080", "26.1.2.3:65535"] {
            check(text, Some("26.1.2.3"));
        }
        check("255.255.255.255", Some("255.255.255.255"));
        check("0.0.0.1", Some("0.0.0.1"));
    }

    #[test]
    fn ipv4_is_strict() {
        for text in [
            "26.1.2.03",
            "026.1.2.3",
            "26.1.2.00",
            "26.1.2",
            "26.1.2.",
            ".26.1.2.3",
            "26..2.3",
            "26.1.2.3.4",
            "26.1.2.256",
            "26.1.2.1000",
            "26.1.2.+3",
            "0x1a.1.2.3",
            "436273667",
            "26.1.2.3 ",
            " 26.1.2.3",
            "26.1.2.3/32",
            "26.1.2.3%1",
            "26.1.2.3:",
            "26.1.2.3:65536",
            "26.1.2.3:000080",
            "26.1.2.3:+80",
            "26.1.2.3:http",
            "26.1.2.3:80 ",
            "",
            ":",
            ".",
            ":80",
            "[26.1.2.3]",
            "[26.1.2.3]:80",
            "localhost",
            "unknown",
            "_hidden",
            "\"26.1.2.3\"",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn ipv6_is_bare_or_in_brackets_with_a_port() {
        for text in [
            "3ffe::1",
            "3FFE:0:0:0:0:0:0:1",
            "[3ffe::1]",
            "[3ffe::1]:0",
            "[3ffe::1]:65535",
        ] {
            check(text, Some("3ffe::1"));
        }
        // Without brackets a port cannot be told from a group.
        check("3ffe::1:80", Some("3ffe::1:80"));
        for text in [
            "[3ffe::1",
            "3ffe::1]",
            "[3ffe::1]80",
            "[3ffe::1]:",
            "[3ffe::1]:65536",
            "[3ffe::1]:x",
            "[[3ffe::1]]",
            "[]",
            "[3ffe::1] ",
            "[ 3ffe::1]",
            "3ffe:::1",
            "3ffe::1::",
            "3ffe::12345",
            "3ffe::g",
            "1:2:3:4:5:6:7:8:9",
            "3ffe::1/64",
            "[3ffe::1/64]",
            "::026.1.2.3",
            "[",
            "]",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_zone_is_dropped() {
        for text in [
            "fe80::1%eth0",
            "fe80::1%25en.1",
            "[fe80::1%1]",
            "[fe80::1%eth0]:80",
        ] {
            check(text, Some("fe80::1"));
        }
        for text in [
            "fe80::1%",
            "[fe80::1%]",
            "fe80::1%et h0",
            "fe80::1%a:1",
            "%eth0",
            "::%1",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_mapped_address_is_ipv4() {
        for text in [
            "::ffff:26.1.2.3",
            "[::FFFF:1a01:203]:80",
            "::ffff:26.1.2.3%eth0",
        ] {
            check(text, Some("26.1.2.3"));
        }
        // The older IPv4-compatible form is another address.
        check("::26.1.2.3", Some("::26.1.2.3"));
    }

    #[test]
    fn the_unspecified_addresses_are_none() {
        for text in [
            "0.0.0.0",
            "0.0.0.0:80",
            "::",
            "[::]:80",
            "::ffff:0.0.0.0",
            "::%eth0",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_no_address() {
        for bytes in [
            &b"26.1.2.\xff"[..],
            b"3ffe::\xff",
            b"[3ffe::1]:\xff",
            b"fe80::1%\xff",
            b"\xff",
        ] {
            assert_eq!(parse_address(bytes), None);
        }
    }

    /// Every address that some reader could find in a text: with and without a port at its end,
    /// brackets around it and a zone.
    fn readings(text: &str) -> BTreeSet<IpAddr> {
        let mut texts = vec![text];
        let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        if let Some((before, port)) = text.rsplit_once(':')
            && is_number(port)
        {
            texts.push(before);
        }
        for text in texts.clone() {
            let inside = text
                .strip_prefix('[')
                .and_then(|text| text.strip_suffix(']'));
            texts.extend(inside);
        }
        for text in texts.clone() {
            texts.extend(text.split_once('%').map(|(text, _)| text));
        }
        let addresses = texts.iter().filter_map(|text| text.parse::<IpAddr>().ok());
        addresses.map(|ip| ip.to_canonical()).collect()
    }

    #[test]
    fn a_text_that_could_mean_two_addresses_is_none_where_brackets_are_due() {
        let two = "3ffe::1:4711";
        assert_eq!(readings(two).len(), 2);
        assert_eq!(parse_node(two.as_bytes()), None);
        for text in [
            "[3ffe::1]:4711",
            "[3ffe::1]",
            "26.1.2.3:80",
            "[::ffff:26.1.2.3]:80",
        ] {
            assert_eq!(readings(text).len(), 1, "{text}");
            assert!(parse_node(text.as_bytes()).is_some(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_read_has_one_reading(
            text in "\\[?(3ffe::[0-9a-f]{1,4}(:[0-9]{1,5})?|(::ffff:)?26\\.1\\.2\\.[0-9]{1,3}|[0-9a-f:.]{0,20})\
                (%[0-9a-z%]{1,4})?\\]?(:[0-9]{0,6}){0,2}",
        ) {
            if let Some(ip) = parse_node(text.as_bytes()) {
                prop_assert_eq!(readings(&text), BTreeSet::from([ip]), "{}", text);
            }
            // In a list a bare IPv6 address is taken as it stands.
            let bare = text.parse::<Ipv6Addr>().is_ok();
            if let Some(ip) = parse_address(text.as_bytes()).filter(|_| !bare && !text.contains('%')) {
                prop_assert_eq!(readings(&text), BTreeSet::from([ip]), "{}", text);
            }
        }
    }

    proptest! {
        #[test]
        fn ipv4_is_read_as_the_standard_library_reads_it(text in "([0-9]{0,4}\\.){2,4}[0-9]{0,3}|([0-9]{1,3}\\.){3}[0-9]{1,3}") {
            prop_assert_eq!(ipv4(text.as_bytes()), text.parse().ok());
        }

        #[test]
        fn no_other_bytes_are_ipv4_than_for_the_standard_library(bytes in prop::collection::vec(prop_oneof![Just(b'.'), b'/'..b':', any::<u8>()], 0..16)) {
            let text = str::from_utf8(&bytes).unwrap_or_default();
            let without_port = !bytes.contains(&b':');
            prop_assert_eq!(ipv4(&bytes).filter(|_| without_port), text.parse().ok());
        }

        #[test]
        fn every_address_is_read_in_each_of_its_forms(bits: u128, as_ipv4: bool, port: u16) {
            let ip: IpAddr = if as_ipv4 {
                Ipv4Addr::from_bits(bits as u32 | 1).into()
            } else {
                Ipv6Addr::from_bits(bits | 1 << 127).into()
            };
            let with_port = std::net::SocketAddr::new(ip, port).to_string();
            prop_assert_eq!(parse_address(with_port.as_bytes()), Some(ip));
            prop_assert_eq!(parse_address(ip.to_string().as_bytes()), Some(ip));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[0-9a-f.:%\\[\\]]{0,24}") {
            for bytes in [&bytes, text.as_bytes()] {
                let ip = parse_address(bytes);
                prop_assert!(ip.is_none_or(|ip| ip == ip.to_canonical() && !ip.is_unspecified()));
            }
        }
    }
}
