use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn feed(text: &str) -> Feed {
    Feed::parse(text.as_bytes()).expect("a good feed")
}

/// A list of so many addresses, with the header that belongs to it.
fn list(entries: usize) -> String {
    let mut text = format!("# Generated: 2026-08-22 04:30:03 UTC | Entries: {entries}\n");
    for n in 0..entries as u32 {
        text += &format!("{}\n", Ipv4Addr::from_bits(0x1900_0000 + 2 * n));
    }
    text
}

#[track_caller]
fn check(text: impl AsRef<[u8]>, entries: usize, bad_lines: usize, listed: &[&str]) {
    let feed = Feed::parse(text.as_ref()).expect("a good feed");
    assert_eq!((feed.len(), feed.bad_lines()), (entries, bad_lines));
    for address in listed {
        assert!(feed.contains(ip(address)), "{address}");
    }
    assert!(!feed.contains(ip("25.0.0.255")));
}

#[track_caller]
fn refused(text: impl AsRef<[u8]>, message: &str) {
    let error = Feed::parse(text.as_ref()).expect_err("a text that is no feed");
    assert_eq!(error.to_string(), message);
}

#[test]
fn lines_are_read_in_every_form_that_they_may_have() {
    check("25.0.0.1", 1, 0, &["25.0.0.1"]);
    check(
        b"\xef\xbb\xbf25.0.0.1\r\n\r\n \t26.0.0.0/8 # why\r\n#\xff\n3ffe::/16#none\n3ffe::7/128\n::ffff:25.0.0.2\n",
        5,
        0,
        &["25.0.0.1", "26.9.9.9", "3ffe::ffff", "25.0.0.2"],
    );
}

#[test]
fn entries_count_once_however_often_they_stand_there() {
    check("25.0.0.1\n25.0.0.1\n25.0.0.1/32\n", 1, 0, &["25.0.0.1"]);
    check("25.0.0.0/30\n25.0.0.1\n", 2, 0, &["25.0.0.3"]);
}

#[test]
fn bad_lines_are_counted_and_the_first_is_kept() {
    let text = b"25.0.0.1\n# 2\n25.0.0.\x1b[31m # 3\n25.0.0.2\nlocalhost\n";
    check(text, 2, 2, &["25.0.0.1", "25.0.0.2"]);
    let feed = Feed::parse(text).expect("as many good lines as bad ones");
    let first = feed.first_bad_line().expect("a bad line");
    assert_eq!(
        first.to_string(),
        "line 3: `25.0.0.\\u{1b}[31m` is not an address or CIDR"
    );
    assert_eq!(
        (first.line, first.reason.as_str()),
        (3, "is not an address or CIDR")
    );
}

#[test]
fn a_network_that_covers_far_too_much_is_a_bad_line() {
    check(
        "25.0.0.1\n26.0.0.0/8\n3ffe::/16\n",
        3,
        0,
        &["26.255.255.255", "3ffe:ffff::"],
    );
    for wide in [
        "26.0.0.0/7",
        "0.0.0.0/0",
        "3ffe::/15",
        "::/0",
        "::ffff:0:0/96",
        "::ffff:26.0.0.0/103",
    ] {
        let feed = feed(&format!("25.0.0.1\n{wide}\n"));
        assert_eq!((feed.len(), feed.bad_lines()), (1, 1), "{wide}");
        let reason = &feed.first_bad_line().expect("a bad line").reason;
        assert!(reason.starts_with("covers too much"), "{reason}");
        assert!(!feed.contains(ip("26.0.0.1")) && !feed.contains(ip("3ffe::1")));
    }
}

#[test]
fn the_header_says_when_and_how_many() {
    let feed = feed(&list(3));
    assert_eq!(feed.generated(), Some("2026-08-22 04:30:03 UTC"));
    assert_eq!(feed.announced(), Some(3));
    let silent = self::feed("# Generated:\n# Entries: 7\n25.0.0.1 # Generated: now | Entries: 9\n");
    assert_eq!((silent.generated(), silent.announced()), (None, None));
    let vague = self::feed("#Generated: now | Source: x | Entries: about 3\n25.0.0.1\n");
    assert_eq!((vague.generated(), vague.announced()), (Some("now"), None));
}

#[test]
fn the_announced_number_is_that_of_good_and_bad_lines() {
    check(
        "# Generated: now | Entries: 3\r\n25.0.0.1\n25.0.0.1\nrubbish\n",
        1,
        1,
        &["25.0.0.1"],
    );
    check(
        "25.0.0.1\n25.0.0.2\n# Generated: now | Entries: 2",
        2,
        0,
        &["25.0.0.2"],
    );
    refused(
        "# Generated: now | Entries: 884\n25.0.0.1\n25.0.0.2\n",
        "the feed announces 884 entries and has 2",
    );
    refused(
        "# Generated: now | Entries: 99999999999999999999999\n25.0.0.1\n",
        &format!("the feed announces {} entries and has 1", usize::MAX),
    );
    refused(
        "# Generated: now | Entries: 884\n",
        "the feed announces 884 entries and has 0",
    );
    refused(list(3) + &list(2), "the feed announces 2 entries and has 5");
}

#[test]
fn what_is_no_feed_is_refused_with_its_figures() {
    refused("", "the feed has no entry in 0 bytes");
    refused("# nothing\n\n", "the feed has no entry in 11 bytes");
    refused(
        "# Generated: now | Entries: 0\n",
        "the feed has no entry in 30 bytes",
    );
    refused(
        "\n <!DOCTYPE html>\n25.0.0.1\n25.0.0.2\n",
        "the feed is an HTML page of 36 bytes and no list",
    );
    refused(
        b"\xef\xbb\xbf<html>25.0.0.1",
        "the feed is an HTML page of 17 bytes and no list",
    );
    refused(
        "25.0.0.1\n{\n}\n",
        "the feed has 2 bad lines and 1 good ones; line 2: `{` is not an address or CIDR",
    );
    refused(
        r#"{"error":"no"}"#,
        "the feed has 1 bad lines and 0 good ones; line 1: `{\"error\":\"no\"}` is not an address or CIDR",
    );
    let long = vec![b'\n'; LIMIT + 1];
    refused(&long, "the feed is longer than 67108864 bytes");
    refused(&long[1..], "the feed has no entry in 67108864 bytes");
}

#[test]
fn a_list_that_lost_more_than_half_may_not_replace() {
    let replaces = |now: usize, before: usize| {
        feed(&list(now))
            .may_replace(&feed(&list(before)))
            .map_err(|error| error.to_string())
    };
    assert_eq!(replaces(884, 899), Ok(()));
    assert_eq!(replaces(5, 10), Ok(()));
    assert_eq!(replaces(6, 11), Ok(()));
    assert_eq!(replaces(1_000, 1), Ok(()));
    assert_eq!(
        replaces(4, 10),
        Err("the feed has shrunk from 10 entries to 4".to_owned())
    );
    assert!(replaces(5, 11).is_err());
}

#[test]
fn one_address_repeated_does_not_pass_for_many() {
    let repeated = feed(&"25.0.0.1\n".repeat(10));
    assert!(repeated.may_replace(&feed(&list(10))).is_err());
}

#[test]
fn what_is_listed_comes_in_order() {
    let feed = feed("3ffe::1\n26.0.0.0/8\n25.0.0.2\n25.0.0.1\n25.0.0.9\n");
    let ranges: Vec<String> = feed.ranges().map(|range| format!("{range:?}")).collect();
    assert_eq!(
        ranges,
        [
            "25.0.0.1..=25.0.0.2",
            "25.0.0.9..=25.0.0.9",
            "26.0.0.0..=26.255.255.255",
            "3ffe::1..=3ffe::1",
        ]
    );
}

/// One line of a made-up feed, and what it lists.
fn any_line() -> impl Strategy<Value = (String, Option<(IpAddr, u8)>)> {
    let ipv4 = prop_oneof![
        (0..64_u32).prop_map(|n| 0x1900_0000 + n),
        (0..64_u32).prop_map(|n| 0x1900_0000 + (n << 16)),
    ]
    .prop_map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits)));
    let ipv6 = (0..64_u128).prop_map(|n| IpAddr::from(Ipv6Addr::from_bits((0x3ffe << 112) + n)));
    prop_oneof![
        8 => ipv4.clone().prop_map(|ip| (ip.to_string(), Some((ip, 32)))),
        2 => (ipv4, 26..=32_u8).prop_map(|(ip, prefix)| (format!("{ip}/{prefix} # a"), Some((ip, prefix)))),
        2 => (ipv6, 122..=128_u8).prop_map(|(ip, prefix)| (format!(" {ip}/{prefix}\r"), Some((ip, prefix)))),
        1 => Just((String::new(), None)),
        1 => Just(("# a comment".to_owned(), None)),
    ]
}

fn network_has(network: (IpAddr, u8), ip: IpAddr) -> bool {
    match (network.0, ip) {
        (IpAddr::V4(base), IpAddr::V4(ip)) => {
            (base.to_bits() ^ ip.to_bits()).leading_zeros() >= network.1.into()
        }
        (IpAddr::V6(base), IpAddr::V6(ip)) => {
            (base.to_bits() ^ ip.to_bits()).leading_zeros() >= network.1.into()
        }
        _ => false,
    }
}

fn neighbours(ip: IpAddr) -> [IpAddr; 3] {
    match ip {
        IpAddr::V4(ip) => {
            [0, 1, u32::MAX].map(|step| Ipv4Addr::from_bits(ip.to_bits().wrapping_add(step)).into())
        }
        IpAddr::V6(ip) => [0, 1, u128::MAX]
            .map(|step| Ipv6Addr::from_bits(ip.to_bits().wrapping_add(step)).into()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Feed::parse(&bytes);
    }

    #[test]
    fn no_text_that_looks_like_a_feed_makes_it_panic(text in "([0-9a-f:./]{1,20}|# Generated: [0-9|:]{0,9}\\| Entries: [0-9]{1,30}|25\\.0\\.0\\.[0-9]{1,3})(\r?\n|#|\\|){0,12}") {
        if let Ok(feed) = Feed::parse(text.as_bytes()) {
            prop_assert!(!feed.is_empty());
        }
    }

    #[test]
    fn a_feed_agrees_with_a_plain_list(lines in prop::collection::vec(any_line(), 1..60)) {
        let text: Vec<&str> = lines.iter().map(|(text, _)| text.as_str()).collect();
        let networks: Vec<(IpAddr, u8)> = lines.iter().filter_map(|line| line.1).collect();
        let feed = match Feed::parse(text.join("\n").as_bytes()) {
            Ok(feed) => feed,
            Err(error) => {
                prop_assert!(networks.is_empty(), "{}", error);
                return Ok(());
            }
        };
        for ip in networks.iter().flat_map(|network| neighbours(network.0)) {
            let listed = networks.iter().any(|&network| network_has(network, ip));
            prop_assert_eq!(feed.contains(ip), listed, "{}", ip);
            prop_assert_eq!(feed.ranges().any(|range| range.contains(&ip)), listed, "{} in a range", ip);
        }
    }

    #[test]
    fn a_list_of_addresses_agrees_with_a_hash_set(
        addresses in prop::collection::hash_set(0x1900_0000..0x1900_1000_u32, 1..600),
        probes in prop::collection::vec(0x18ff_fff0..0x1900_1010_u32, 100),
    ) {
        let address = |bits: u32| IpAddr::from(Ipv4Addr::from_bits(bits));
        let text: String = addresses.iter().map(|&bits| format!("{}\n", address(bits))).collect();
        let feed = feed(&text);
        prop_assert_eq!(feed.len(), addresses.len());
        for bits in probes {
            prop_assert_eq!(feed.contains(address(bits)), addresses.contains(&bits), "{}", address(bits));
        }
        let mut listed = HashSet::new();
        for range in feed.ranges() {
            let (IpAddr::V4(first), IpAddr::V4(last)) = range.into_inner() else { unreachable!() };
            listed.extend(first.to_bits()..=last.to_bits());
        }
        prop_assert_eq!(listed, addresses);
    }
}
