//! Whom failures are counted against.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::lookup_address;

/// An IPv4 address, or an IPv6 /64: who has one address of a /64 has them all.
///
/// An address that stands for an IPv4 address (mapped, NAT64, 6to4) is that IPv4 address. By its
/// /64, everyone who comes through a NAT64 would be one client, and one guesser would lock out all
/// of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Client {
    V4(u32),
    V6Prefix(u64),
}

impl Client {
    pub(super) fn of(ip: IpAddr) -> Self {
        match lookup_address(ip) {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            IpAddr::V6(ip) => Self::V6Prefix((Ipv6Addr::to_bits(ip) >> 64) as u64),
        }
    }

    /// The first of its addresses.
    pub(super) fn address(self) -> IpAddr {
        match self {
            Self::V4(bits) => Ipv4Addr::from_bits(bits).into(),
            Self::V6Prefix(prefix) => Ipv6Addr::from_bits(u128::from(prefix) << 64).into(),
        }
    }
}

/// The address that stands for all that count as one client: of an IPv6 /64 the first.
pub(crate) fn counted_as(ip: IpAddr) -> IpAddr {
    Client::of(ip).address()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, other: &str, same: bool) {
        let client = |text: &str| Client::of(text.parse().unwrap());
        assert_eq!(client(one) == client(other), same, "{one} and {other}");
    }

    #[test]
    fn ipv4_counts_by_address_and_ipv6_by_64() {
        check("25.0.0.1", "25.0.0.1", true);
        check("25.0.0.1", "25.0.0.2", false);
        check("3ffe::1", "3ffe::ffff:ffff:ffff:ffff", true);
        check("3ffe::1", "3ffe:0:0:1::1", false);
        check("0.0.0.1", "::1", false);
    }

    #[test]
    fn the_address_that_stands_for_a_client_counts_as_the_client() {
        for (ip, expected) in [
            ("25.0.0.1", "25.0.0.1"),
            ("64:ff9b::25.0.0.1", "25.0.0.1"),
            ("3ffe:1:2:3:4::5", "3ffe:1:2:3::"),
        ] {
            assert_eq!(counted_as(ip.parse().unwrap()).to_string(), expected);
            check(ip, expected, true);
        }
    }

    #[test]
    fn an_address_that_stands_for_an_ipv4_address_is_that_address() {
        check("::ffff:25.0.0.1", "25.0.0.1", true);
        check("::ffff:25.0.0.1", "::ffff:25.0.0.2", false);
        check("64:ff9b::25.0.0.1", "25.0.0.1", true);
        check("64:ff9b::25.0.0.1", "64:ff9b::25.0.0.2", false);
        check("2002:1900:1::1", "25.0.0.1", true);
    }
}
