//! Which addresses the service can know, and what it is asked about them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 that no client on the internet has, or that no single machine is behind: first address and
/// prefix. From the IANA IPv4 special-purpose address registry (RFC 6890) and, for the last two,
/// its address space registry.
const NON_PUBLIC_IPV4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // "this network", RFC 791
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private, RFC 1918
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // carrier-grade NAT, RFC 6598
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback, RFC 1122
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, RFC 3927
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private, RFC 1918
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments, RFC 6890
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation, RFC 5737
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays, RFC 7526
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private, RFC 1918
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarking, RFC 2544
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation, RFC 5737
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation, RFC 5737
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast, RFC 5771
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, RFC 1112, and broadcast, RFC 919
];

/// Whether any of [`NON_PUBLIC_IPV4`] begins with this octet: most addresses need no further look.
const NON_PUBLIC_BY_FIRST_OCTET: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < NON_PUBLIC_IPV4.len() {
        let (first, prefix) = NON_PUBLIC_IPV4[at];
        let octet = first.octets()[0] as usize;
        // A prefix shorter than an octet covers several.
        let octets = if prefix < 8 { 1 << (8 - prefix) } else { 1 };
        let mut offset = 0;
        while offset < octets {
            table[octet + offset] = true;
            offset += 1;
        }
        at += 1;
    }
    table
};

/// The only IPv6 that clients have: global unicast, RFC 4291. Loopback, unique local, link-local,
/// site-local, multicast, discard-only (`100::/64`), local NAT64 (`64:ff9b:1::/48`) and segment
/// routing (`5f00::/16`) addresses are all outside of it.
const PUBLIC_IPV6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The exceptions inside [`PUBLIC_IPV6`], from the IANA IPv6 special-purpose address registry.
const NON_PUBLIC_IPV6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48), // benchmarking, RFC 5180
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28), // ORCHID, RFC 4843
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation, RFC 3849
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation, RFC 9637
];

/// IPv4 clients behind a translator, with their address in the last 32 bits: RFC 6052.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// IPv4 sites on IPv6, with their address after the first 16 bits: 6to4, RFC 3056.
const SIX_TO_FOUR: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16);

/// Whether a client on the internet can have this address, so that the service may know it. An IPv6
/// address that holds an IPv4 address (IPv4-mapped, NAT64, 6to4) is as public as that.
#[inline]
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match lookup_address(ip) {
        IpAddr::V4(ip) => {
            let [first, ..] = ip.octets();
            !NON_PUBLIC_BY_FIRST_OCTET[first as usize]
                || !NON_PUBLIC_IPV4.iter().any(|&range| within4(ip, range))
        }
        IpAddr::V6(ip) => {
            within6(ip, PUBLIC_IPV6) && !NON_PUBLIC_IPV6.iter().any(|&range| within6(ip, range))
        }
    }
}

/// The address that the service is asked about: the IPv4 address inside a NAT64 (`64:ff9b::/96`) or
/// 6to4 (`2002::/16`) address, otherwise the address itself. Never an IPv4-mapped one.
#[inline]
pub(crate) fn lookup_address(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => translated(ip),
    }
}

// Apart, so that IPv4, for which there is nothing to do, stays where it is.
#[inline(never)]
fn translated(ip: Ipv6Addr) -> IpAddr {
    let [_, ab, cd, .., ef, gh] = ip.segments();
    if within6(ip, NAT64) {
        joined(ef, gh).into()
    } else if within6(ip, SIX_TO_FOUR) {
        joined(ab, cd).into()
    } else {
        ip.to_canonical()
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

/// Whether the address has the prefix of the range.
fn within4(ip: Ipv4Addr, (first, prefix): (Ipv4Addr, u32)) -> bool {
    (ip.to_bits() ^ first.to_bits()).leading_zeros() >= prefix
}

fn within6(ip: Ipv6Addr, (first, prefix): (Ipv6Addr, u32)) -> bool {
    (ip.to_bits() ^ first.to_bits()).leading_zeros() >= prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(public: bool, addresses: &[&str]) {
        for text in addresses {
            let ip = text.parse().expect("an address");
            assert_eq!(is_public(ip), public, "{text}");
        }
    }

    #[test]
    fn special_ipv4_is_not_public_up_to_its_edges() {
        check(
            false,
            &["0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255"],
        );
        check(
            false,
            &[
                "100.64.0.0",
                "100.127.255.255",
                "127.0.0.1",
                "127.255.255.255",
            ],
        );
        check(
            false,
            &[
                "169.254.0.0",
                "169.254.255.255",
                "172.16.0.0",
                "172.31.255.255",
            ],
        );
        check(
            false,
            &["192.0.0.0", "192.0.0.255", "192.0.2.0", "192.0.2.255"],
        );
        check(
            false,
            &[
                "192.88.99.0",
                "192.88.99.255",
                "192.168.0.0",
                "192.168.255.255",
            ],
        );
        check(
            false,
            &[
                "198.18.0.0",
                "198.19.255.255",
                "198.51.100.0",
                "198.51.100.255",
            ],
        );
        check(
            false,
            &[
                "203.0.113.0",
                "203.0.113.255",
                "224.0.0.0",
                "239.255.255.255",
            ],
        );
        check(false, &["240.0.0.0", "255.255.255.254", "255.255.255.255"]);
        check(
            true,
            &[
                "1.0.0.0",
                "9.255.255.255",
                "11.0.0.0",
                "25.1.2.3",
                "26.1.2.3",
            ],
        );
        check(
            true,
            &[
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.0",
            ],
        );
        check(
            true,
            &[
                "169.253.255.255",
                "169.255.0.0",
                "172.15.255.255",
                "172.32.0.0",
            ],
        );
        check(
            true,
            &["191.255.255.255", "192.0.1.0", "192.0.1.255", "192.0.3.0"],
        );
        check(
            true,
            &[
                "192.88.98.255",
                "192.88.100.0",
                "192.167.255.255",
                "192.169.0.0",
            ],
        );
        check(
            true,
            &[
                "198.17.255.255",
                "198.20.0.0",
                "198.51.99.255",
                "198.51.101.0",
            ],
        );
        check(true, &["203.0.112.255", "203.0.114.0", "223.255.255.255"]);
    }

    #[test]
    fn of_ipv6_only_global_unicast_is_public() {
        check(
            false,
            &[
                "::",
                "::1",
                "::26.1.2.3",
                "100::1",
                "64:ff9b:1::1a01:203",
                "1fff:ffff::1",
            ],
        );
        check(
            false,
            &[
                "4000::", "5f00::1", "fc00::1", "fdff::1", "fe80::1", "fec0::1", "ff02::1",
            ],
        );
        check(
            false,
            &[
                "2001:2::",
                "2001:2:0:ffff:ffff:ffff:ffff:ffff",
                "2001:10::",
                "2001:1f:ffff::",
            ],
        );
        check(
            false,
            &[
                "2001:db8::",
                "2001:db8:ffff::1",
                "3fff::",
                "3fff:fff:ffff::1",
            ],
        );
        check(
            true,
            &[
                "2000::",
                "2001:1:ffff::",
                "2001:2:1::",
                "2001:f:ffff::",
                "2001:20::",
            ],
        );
        check(
            true,
            &[
                "2001:db7:ffff::",
                "2001:db9::",
                "3ffe::1",
                "3fff:1000::",
                "3fff:ffff::",
            ],
        );
    }

    #[test]
    fn an_ipv4_address_inside_decides() {
        check(
            true,
            &["::ffff:26.1.2.3", "64:ff9b::26.1.2.3", "2002:1a01:203::1"],
        );
        check(
            false,
            &[
                "::ffff:10.1.2.3",
                "64:ff9b::10.1.2.3",
                "2002:a01:203::1",
                "2002:7f00:1::",
            ],
        );
    }

    #[test]
    fn the_ipv4_address_inside_is_asked_about() {
        for (ip, expected) in [
            ("26.1.2.3", "26.1.2.3"),
            ("::ffff:26.1.2.3", "26.1.2.3"),
            ("64:ff9b::1a01:203", "26.1.2.3"),
            ("2002:1a01:203:ffff::9", "26.1.2.3"),
            ("64:ff9b:1::1a01:203", "64:ff9b:1::1a01:203"),
            ("64:ff9b::1:1a01:203", "64:ff9b::1:1a01:203"),
            ("2003:1a01:203::", "2003:1a01:203::"),
            ("3ffe::1", "3ffe::1"),
        ] {
            let told = lookup_address(ip.parse().expect("an address"));
            assert_eq!(told.to_string(), expected, "{ip}");
        }
    }
}
