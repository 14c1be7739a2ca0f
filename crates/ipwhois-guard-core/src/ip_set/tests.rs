use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::file::parse_lines;
use super::*;
use crate::shown::printable;

fn set(items: &[&str]) -> IpSet {
    IpSet::parse("allow", items).expect("a good list")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[track_caller]
fn check(items: &[&str], inside: &[&str], outside: &[&str]) {
    let set = set(items);
    for address in inside {
        assert!(set.contains(ip(address)), "{address} is in {items:?}");
    }
    for address in outside {
        assert!(!set.contains(ip(address)), "{address} is not in {items:?}");
    }
}

#[track_caller]
fn refused(item: &str, message: &str) {
    let error = IpSet::parse("deny", [item]).expect_err("a bad item");
    assert_eq!(error.to_string(), format!("setting `deny`: {message}"));
}

#[test]
fn a_network_ends_where_its_prefix_says() {
    check(
        &["25.1.0.0/16", "3ffe:1::/32"],
        &["25.1.0.0", "25.1.255.255", "3ffe:1::", "3ffe:1:ffff::1"],
        &["25.0.255.255", "25.2.0.0", "3ffe::1", "3ffe:2::"],
    );
    check(&["25.1.1.1"], &["25.1.1.1"], &["25.1.1.0", "25.1.1.2"]);
    check(&["3ffe::7/128"], &["3ffe::7"], &["3ffe::6", "3ffe::8"]);
    check(&[], &[], &["0.0.0.0", "255.255.255.255", "::"]);
    check(
        &["0.0.0.0/0"],
        &["0.0.0.0", "255.255.255.255"],
        &["::", "3ffe::1"],
    );
    check(&["::/0"], &["::", "ffff::"], &["25.1.1.1"]);
}

#[test]
fn host_bits_are_dropped() {
    check(
        &["25.1.2.3/8"],
        &["25.0.0.0", "25.255.255.255"],
        &["26.0.0.0"],
    );
    check(
        &["3ffe::7/64"],
        &["3ffe::", "3ffe::ffff"],
        &["3ffe:0:0:1::"],
    );
}

#[test]
fn a_mapped_network_is_ipv4() {
    check(
        &["::ffff:25.0.0.0/104", "::ffff:26.1.1.1"],
        &["25.9.9.9", "26.1.1.1"],
        &["26.1.1.2", "::25.9.9.9"],
    );
    assert_eq!(set(&["::ffff:0:0/96"]), set(&["0.0.0.0/0"]));
    refused(
        "::ffff:25.0.0.0/95",
        "`::ffff:25.0.0.0/95` is not an address or CIDR: prefix 95 of an IPv4-mapped address is shorter than 96",
    );
}

#[test]
fn what_is_no_network_is_refused_with_its_reason() {
    refused(
        "25.0.0.0/33",
        "`25.0.0.0/33` is not an address or CIDR: prefix 33 is longer than 32",
    );
    refused(
        "3ffe::/129",
        "`3ffe::/129` is not an address or CIDR: prefix 129 is longer than 128",
    );
    refused(
        "25.0.0.0/999",
        "`25.0.0.0/999` is not an address or CIDR: prefix 999 is longer than 32",
    );
    for prefix in ["", "+8", "-1", "08", "00", " 8", "0008", "255.0.0.0", "8/8"] {
        refused(
            &format!("25.0.0.0/{prefix}"),
            &format!(
                "`25.0.0.0/{prefix}` is not an address or CIDR: the prefix is not a plain number from 0 to 32"
            ),
        );
    }
    for item in [
        "25.0.0",
        "25.0.0.256",
        "025.0.0.1",
        "25.0.0.1:80",
        "[3ffe::1]",
        "3ffe::1%eth0",
        "localhost",
        "/8",
        "25.0.0.0 /8",
    ] {
        refused(item, &format!("`{item}` is not an address or CIDR"));
    }
    refused(" ", "` ` is not an address or CIDR: it is empty");
}

#[test]
fn overlapping_and_neighbouring_networks_become_one_range() {
    let merged = set(&[
        "25.0.0.128/25",
        "25.0.0.0/25",
        "25.0.0.7",
        "25.0.1.0/24",
        "25.0.3.0/24",
    ]);
    assert_eq!(merged, set(&["25.0.0.0/23", "25.0.3.0/24"]));
    assert_eq!(
        format!("{merged:?}"),
        "IpSet { ipv4_hosts: 0, ipv4_ranges: 2, ipv6_ranges: 0 }"
    );
    let single = set(&[
        "25.0.0.7",
        "25.0.0.8/32",
        "25.0.0.7",
        "25.0.0.10/31",
        "25.0.0.11",
    ]);
    assert_eq!(
        format!("{single:?}"),
        "IpSet { ipv4_hosts: 2, ipv4_ranges: 1, ipv6_ranges: 0 }"
    );
    assert_eq!(
        set(&["255.255.255.255", "255.0.0.0/8", "255.255.255.254"]),
        set(&["255.0.0.0/8"])
    );
}

#[test]
fn a_family_is_covered_by_one_network_or_by_many() {
    for all in [
        &["0.0.0.0/0"][..],
        &["::/0"],
        &["25.1.1.1", "128.0.0.0/1", "0.0.0.0/1"],
        &["8000::/1", "::/2", "4000::/2"],
        &["::ffff:0:0/96"],
        &[
            "0.0.0.0/1",
            "128.0.0.0/2",
            "192.0.0.0/3",
            "224.0.0.0/4",
            "240.0.0.0/5",
            "248.0.0.0/6",
            "252.0.0.0/7",
            "254.0.0.0/8",
            "255.0.0.0/9",
            "255.128.0.0/10",
            "255.192.0.0/11",
            "255.224.0.0/12",
            "255.240.0.0/13",
            "255.248.0.0/14",
            "255.252.0.0/15",
            "255.254.0.0/16",
            "255.255.0.0/17",
            "255.255.128.0/18",
            "255.255.192.0/19",
            "255.255.224.0/20",
            "255.255.240.0/21",
            "255.255.248.0/22",
            "255.255.252.0/23",
            "255.255.254.0/24",
            "255.255.255.0/25",
            "255.255.255.128/26",
            "255.255.255.192/27",
            "255.255.255.224/28",
            "255.255.255.240/29",
            "255.255.255.248/30",
            "255.255.255.252/31",
            "255.255.255.254",
            "255.255.255.255",
        ],
    ] {
        assert!(set(all).covers_all_of_a_family(), "{all:?}");
    }
    for some in [
        &[][..],
        &["0.0.0.0/1", "128.0.0.0/2"],
        &["0.0.0.0"],
        &["::/1", "128.0.0.0/1"],
    ] {
        assert!(!set(some).covers_all_of_a_family(), "{some:?}");
    }
}

#[test]
fn a_union_holds_both() {
    let both = set(&["25.0.0.0/9", "3ffe::1"]).union(set(&["25.128.0.0/9", "26.1.1.1"]));
    assert_eq!(both, set(&["25.0.0.0/8", "26.1.1.1", "3ffe::1"]));
    assert_eq!(IpSet::default().union(both.clone()), both);
    assert_eq!(both.clone().union(IpSet::default()), both);
}

#[test]
fn a_file_may_have_comments_blank_lines_and_a_byte_order_mark() {
    let text = b"\xef\xbb\xbf25.1.1.1\r\n\r\n  # a comment, \xff\r\n\t26.0.0.0/8 # why\n3ffe::/16#none\n\n#";
    assert_eq!(
        parse_lines(text).expect("a good file"),
        set(&["25.1.1.1", "26.0.0.0/8", "3ffe::/16"])
    );
    assert_eq!(parse_lines(b""), Ok(IpSet::default()));
}

#[test]
fn a_bad_line_is_named() {
    let bad = parse_lines(b"25.1.1.1\n# 2\n 25.1.1.\xff # 3\nno").expect_err("a bad line");
    assert_eq!((bad.line, bad.text), (3, &b"25.1.1.\xff"[..]));

    let path = std::env::temp_dir().join(format!("ip-set-bad-line-{}", std::process::id()));
    let missing = IpSet::read_file("deny_file", &path).expect_err("no such file");
    assert!(matches!(
        missing,
        BuildError::File {
            setting: "deny_file",
            ..
        }
    ));

    std::fs::write(&path, b"25.1.1.1\r\n26.0.0.0/40\x1b[1m # new\r\n").expect("a file to write");
    let error = IpSet::read_file("deny_file", &path).expect_err("a bad line");
    std::fs::write(&path, b"25.1.1.1\r\n").expect("a file to write");
    let good = IpSet::read_file("deny_file", &path).expect("a good file");
    std::fs::remove_file(&path).expect("a file to remove");
    assert_eq!(
        error.to_string(),
        format!(
            "setting `deny_file`: {}:2: `26.0.0.0/40\\u{{1b}}[1m` is not an address or CIDR: \
             the prefix is not a plain number from 0 to 32",
            path.display()
        )
    );
    assert_eq!(good, set(&["25.1.1.1"]));
}

/// Every third address, so that none has a neighbour.
fn apart(count: u32) -> IpSet {
    let mut collected = Collector::default();
    for n in 0..count {
        let bits = 0x1900_0000 + 3 * n;
        collected.add(Network::V4((bits, bits)));
    }
    collected.finish()
}

#[test]
fn an_ipv4_entry_takes_eight_bytes_at_most() {
    for count in [3, 8, 9, 63, 64, 1_000, 131_072, 200_000, 1_000_000] {
        let bytes = apart(count).hosts.bytes();
        assert!(bytes <= 8 * count as usize, "{count} in {bytes} bytes");
    }
}

#[test]
fn single_addresses_are_found_however_many_there_are() {
    for count in [1, 2, 3, 7, 8, 64, 1_000, 100_000] {
        let set = apart(count);
        assert_eq!(set.hosts.len(), count as usize);
        for n in [0, count / 2, count - 1] {
            let bits = 0x1900_0000 + 3 * n;
            let contains = |bits: u32| set.contains(Ipv4Addr::from_bits(bits).into());
            assert!(contains(bits), "{n} of {count}");
            assert!(!contains(bits - 1) && !contains(bits + 1), "{n} of {count}");
        }
    }
    check(
        &["0.0.0.0", "255.255.255.255"],
        &["0.0.0.0", "255.255.255.255"],
        &["0.0.0.1", "127.255.255.255", "128.0.0.0", "255.255.255.254"],
    );
}

#[test]
fn the_ranges_are_in_order_and_apart() {
    let set = set(&[
        "3ffe::/127",
        "26.0.0.9",
        "25.0.0.0/30",
        "26.0.0.8",
        "26.0.1.0/24",
        "25.1.0.0",
    ]);
    let written: Vec<String> = set.ranges().map(|range| format!("{range:?}")).collect();
    assert_eq!(
        written,
        [
            "25.0.0.0..=25.0.0.3",
            "25.1.0.0..=25.1.0.0",
            "26.0.0.8..=26.0.0.9",
            "26.0.1.0..=26.0.1.255",
            "3ffe::..=3ffe::1",
        ]
    );
}

#[test]
fn addresses_chosen_to_share_a_place_in_the_index_are_found() {
    let mut collected = Collector::default();
    let address = |key: u32| key.wrapping_mul(hosts::GATHER);
    for key in 1..10_000 {
        let bits = address(2 * key);
        collected.add(Network::V4((bits, bits)));
    }
    let set = collected.finish();
    for key in 1..10_000 {
        assert!(set.contains(Ipv4Addr::from_bits(address(2 * key)).into()));
        assert!(!set.contains(Ipv4Addr::from_bits(address(2 * key + 1)).into()));
    }
}

/// Few distinct addresses, so that networks overlap, touch and are hit.
fn any_ip() -> impl Strategy<Value = IpAddr> {
    let edge32 = prop_oneof![
        Just(0_u32),
        Just(u32::MAX),
        0x1900_0000..0x1900_0100_u32,
        any::<u32>()
    ];
    let edge128 = prop_oneof![
        Just(0_u128),
        Just(u128::MAX),
        (0..256_u128).prop_map(|n| (0x3ffe << 112) + n),
        any::<u128>()
    ];
    prop_oneof![
        edge32
            .clone()
            .prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
        edge32.prop_map(|bits| Ipv4Addr::from_bits(bits).to_ipv6_mapped().into()),
        edge128.prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
    ]
}

/// One network, compared bit by bit.
fn naive_contains(network: (IpAddr, u8), ip: IpAddr) -> bool {
    match (network.0.to_canonical(), ip.to_canonical()) {
        (IpAddr::V4(base), IpAddr::V4(ip)) => {
            (0..network.1).all(|bit| (base.to_bits() ^ ip.to_bits()) >> (31 - bit) & 1 == 0)
        }
        (IpAddr::V6(base), IpAddr::V6(ip)) => {
            (0..network.1).all(|bit| (base.to_bits() ^ ip.to_bits()) >> (127 - bit) & 1 == 0)
        }
        _ => false,
    }
}

fn any_network() -> impl Strategy<Value = (IpAddr, u8)> {
    (any_ip(), 0..=128_u8).prop_map(|(ip, prefix)| match ip.to_canonical() {
        IpAddr::V4(_) => (ip, prefix % 33),
        IpAddr::V6(_) => (ip, prefix),
    })
}

fn written((ip, prefix): (IpAddr, u8)) -> String {
    // A mapped address is written as IPv6, with 96 bits before the ones that count.
    let shift = if ip.is_ipv6() && ip.to_canonical().is_ipv4() {
        96
    } else {
        0
    };
    format!("{ip}/{}", prefix + shift)
}

proptest! {
    #[test]
    fn a_set_agrees_with_a_plain_list_of_networks(
        networks in prop::collection::vec(any_network(), 0..12),
        others in prop::collection::vec(any_network(), 0..4),
        probes in prop::collection::vec(any_ip(), 1..20),
    ) {
        let one = IpSet::parse("allow", networks.iter().copied().map(written))?;
        let both = one.clone().union(IpSet::parse("allow", others.iter().copied().map(written))?);
        let bases = networks.iter().chain(&others).map(|network| network.0);
        for ip in probes.iter().copied().chain(bases).map(|ip| ip.to_canonical()) {
            let in_one = networks.iter().any(|&network| naive_contains(network, ip));
            let in_other = others.iter().any(|&network| naive_contains(network, ip));
            prop_assert_eq!(one.contains(ip), in_one, "{} in the first", ip);
            prop_assert_eq!(both.contains(ip), in_one || in_other, "{} in both", ip);
        }
        let ranges: Vec<_> = both.ranges().collect();
        for pair in ranges.windows(2) {
            let gap = match (pair[0].end(), pair[1].start()) {
                (IpAddr::V4(end), IpAddr::V4(start)) => u64::from(end.to_bits()) + 1 < start.to_bits().into(),
                (IpAddr::V6(end), IpAddr::V6(start)) => end.to_bits() < start.to_bits() - 1,
                (end, start) => end.is_ipv4() && start.is_ipv6(),
            };
            prop_assert!(gap, "a gap within {:?}", pair);
        }
    }

    #[test]
    fn no_file_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(bad) = parse_lines(&bytes) {
            prop_assert!(printable(bad.text).chars().count() <= 80);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[0-9a-f:./%]{0,24}") {
        let _ = IpSet::parse("allow", [text]);
    }
}
