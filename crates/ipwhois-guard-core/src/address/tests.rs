use proptest::prelude::*;

use super::*;
use crate::shown::printable;

fn resolver(
    header: &str,
    proxies: &[&str],
    hops: Option<u32>,
) -> Result<ClientResolver, BuildError> {
    let proxies: Vec<_> = proxies.iter().map(|&proxy| proxy.to_owned()).collect();
    ClientResolver::new(&proxies, hops, header)
}

/// With the trusted proxies 10.0.0.0/8, 3ffe:10::/32 and `unix:`.
fn trusting(header: &str) -> ClientResolver {
    resolver(header, &["10.0.0.0/8", " 3ffe:10::/32 ", " unix: "], None).expect("good settings")
}

fn hopping(header: &str, hops: u32) -> ClientResolver {
    resolver(header, &[], Some(hops)).expect("good settings")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn peer(text: &str) -> Peer {
    Peer::Ip(ip(text))
}

fn resolve<T: AsRef<[u8]>>(
    resolver: &ClientResolver,
    peer: Peer,
    lines: &[T],
) -> Result<IpAddr, Unverified> {
    resolver.resolve(peer, || lines.iter().map(AsRef::as_ref))
}

/// `expected` is an address, or the short word of [`Unverified`].
#[track_caller]
fn check(resolver: &ClientResolver, peer: Peer, lines: &[&str], expected: &str) {
    let told = match resolve(resolver, peer, lines) {
        Ok(ip) => ip.to_string(),
        Err(reason) => reason.to_string(),
    };
    assert_eq!(told, expected, "{peer:?} {lines:?}");
}

#[track_caller]
fn check_list(lines: &[&str], expected: &str) {
    check(
        &trusting("X-Forwarded-For"),
        peer("10.0.0.1"),
        lines,
        expected,
    );
}

#[track_caller]
fn refused(proxies: &[&str], hops: Option<u32>, header: &str, message: &str) {
    let error = resolver(header, proxies, hops).expect_err("bad settings");
    assert_eq!(error.to_string(), message);
}

#[test]
fn without_trusted_proxies_the_peer_is_the_client() {
    let nobody = resolver("X-Forwarded-For", &[], None).expect("good settings");
    check(&nobody, peer("26.1.1.1"), &["25.1.1.1"], "26.1.1.1");
    check(&nobody, peer("::ffff:26.1.1.1"), &[], "26.1.1.1");
    check(&nobody, peer("10.0.0.1"), &["25.1.1.1"], "10.0.0.1");
    check(&nobody, Peer::Unix, &["25.1.1.1"], "unix-peer");
    check(&nobody, Peer::Unknown, &["25.1.1.1"], "no-peer");
    assert!(!nobody.is_trusted_proxy(ip("10.0.0.1")));
}

#[test]
fn a_peer_that_is_no_trusted_proxy_is_the_client() {
    for header in ["X-Forwarded-For", "Forwarded", "X-Real-IP"] {
        let resolver = trusting(header);
        assert_eq!(resolver.header(), header.to_lowercase());
        check(&resolver, peer("26.1.1.1"), &["25.1.1.1"], "26.1.1.1");
        check(
            &resolver,
            peer("::ffff:26.1.1.1"),
            &["25.1.1.1"],
            "26.1.1.1",
        );
        let told = resolver.resolve(peer("26.1.1.1"), || -> std::iter::Empty<&[u8]> {
            panic!("no header is read")
        });
        assert_eq!(told, Ok(ip("26.1.1.1")));
    }
}

#[test]
fn a_peer_without_an_address_is_no_peer() {
    for resolver in [trusting("X-Forwarded-For"), hopping("X-Forwarded-For", 1)] {
        for nobody in [
            Peer::Unknown,
            peer("0.0.0.0"),
            peer("::"),
            peer("::ffff:0.0.0.0"),
        ] {
            check(&resolver, nobody, &["26.1.1.1"], "no-peer");
        }
    }
}

#[test]
fn a_unix_peer_is_trusted_by_name() {
    check(
        &trusting("X-Forwarded-For"),
        Peer::Unix,
        &["26.1.1.1"],
        "26.1.1.1",
    );
    let only_unix = resolver("X-Forwarded-For", &["unix:"], None).expect("good settings");
    check(&only_unix, Peer::Unix, &["25.1.1.1, 26.1.1.1"], "26.1.1.1");
    check(&only_unix, peer("10.0.0.1"), &["26.1.1.1"], "10.0.0.1");
    let no_unix = resolver("X-Forwarded-For", &["10.0.0.0/8"], None).expect("good settings");
    check(&no_unix, Peer::Unix, &["26.1.1.1"], "unix-peer");
    check(
        &hopping("X-Forwarded-For", 1),
        Peer::Unix,
        &["26.1.1.1"],
        "26.1.1.1",
    );
}

#[test]
fn the_first_untrusted_address_from_the_right_is_the_client() {
    check_list(&["26.1.1.1"], "26.1.1.1");
    check_list(&["25.1.1.1, 26.1.1.1, 10.0.0.2"], "26.1.1.1");
    check_list(
        &["25.1.1.1,26.1.1.1:80,::ffff:10.0.0.2,[3ffe:10::1]:80"],
        "26.1.1.1",
    );
    check_list(&["25.1.1.1, 10.0.0.2, 3ffe::1%eth0"], "3ffe::1");
    check_list(&[" ,, 26.1.1.1\t,", ",", ""], "26.1.1.1");
    let mapped_peer = peer("::ffff:10.0.0.1");
    check(
        &trusting("X-Forwarded-For"),
        mapped_peer,
        &["26.1.1.1"],
        "26.1.1.1",
    );
}

#[test]
fn lines_are_one_list() {
    check_list(&["25.1.1.1", "26.1.1.1"], "26.1.1.1");
    check_list(&["25.1.1.1", "26.1.1.1, 10.0.0.2", "10.0.0.3"], "26.1.1.1");
    check_list(&["bad", "26.1.1.1", "10.0.0.2"], "26.1.1.1");
    check_list(&["26.1.1.1", "bad", "10.0.0.2"], "bad-header");
    check_list(&["26.1.1.1, bad", "", "10.0.0.2"], "bad-header");
}

#[test]
fn when_all_are_trusted_the_leftmost_is_the_client() {
    check_list(&["10.0.0.2"], "10.0.0.2");
    check_list(&["", "10.0.0.4, 10.0.0.3", "10.0.0.2"], "10.0.0.4");
}

#[test]
fn an_element_that_is_no_address_stops_the_walk() {
    for bad in [
        "unknown",
        "26.1.1",
        "026.1.1.1",
        "0.0.0.0",
        "::",
        "\"26.1.1.1\"",
        "26.1.1.1 x",
    ] {
        check_list(&[&format!("26.1.1.1, {bad}")], "bad-header");
        check_list(&[&format!("26.1.1.1, {bad}, 10.0.0.2")], "bad-header");
        check_list(&[&format!("{bad}, 26.1.1.1")], "26.1.1.1");
    }
}

#[test]
fn a_trusted_peer_without_an_element_is_not_determinable() {
    for header in ["X-Forwarded-For", "Forwarded", "X-Real-IP"] {
        for lines in [&[][..], &[""], &[" , ,"], &["", ","]] {
            check(&trusting(header), peer("10.0.0.1"), lines, "bad-header");
            check(&hopping(header, 1), peer("10.0.0.1"), lines, "bad-header");
        }
    }
}

#[test]
fn forwarded_is_walked_like_a_list() {
    let check =
        |lines: &[&str], expected| check(&trusting("FORWARDED"), peer("10.0.0.1"), lines, expected);
    check(
        &["for=25.1.1.1, for=26.1.1.1;by=10.0.0.2, for=\"10.0.0.2:80\""],
        "26.1.1.1",
    );
    check(
        &[
            "for=25.1.1.1",
            "For=\"[3ffe::1]:80\";by=\"a,b\"",
            "for=10.0.0.2",
        ],
        "3ffe::1",
    );
    check(&["for=\"25.1.1.1, for=26.1.1.1"], "26.1.1.1");
    check(&["for=26.1.1.1, for=unknown"], "bad-header");
    check(&["for=26.1.1.1, by=10.0.0.2"], "bad-header");
    check(&["for=26.1.1.1, for=10.0.0.2;for=10.0.0.2"], "bad-header");
    check(&["for=10.0.0.3, for=10.0.0.2"], "10.0.0.3");
    check(&["26.1.1.1"], "bad-header");
}

#[test]
fn a_single_address_header_has_one_line_with_one_address() {
    for resolver in [
        trusting("X-Real-IP"),
        trusting("CF-Connecting-IP"),
        hopping("Fly-Client-IP", 1),
    ] {
        let check = |lines: &[&str], expected| check(&resolver, peer("10.0.0.1"), lines, expected);
        check(&[" 26.1.1.1 "], "26.1.1.1");
        check(&["[3ffe::1]:80"], "3ffe::1");
        check(&["10.0.0.2"], "10.0.0.2");
        for bad in [
            &["26.1.1.1, 10.0.0.2"][..],
            &["26.1.1.1", "26.1.1.1"],
            &["26.1.1.1", ""],
            &["x"],
        ] {
            check(bad, "bad-header");
        }
    }
}

#[test]
fn a_hop_count_takes_that_element_from_the_right() {
    let check_hops = |hops, lines: &[&str], expected| {
        check(
            &hopping("X-Forwarded-For", hops),
            peer("26.9.9.9"),
            lines,
            expected,
        );
    };
    let lines = &["25.1.1.1, 25.2.2.2", "", "bad,, 10.0.0.3,", "26.1.1.1"];
    check_hops(1, lines, "26.1.1.1");
    check_hops(2, lines, "10.0.0.3");
    check_hops(3, lines, "bad-header");
    check_hops(4, lines, "25.2.2.2");
    check_hops(5, lines, "25.1.1.1");
    check_hops(6, lines, "bad-header");
    check_hops(u32::MAX, lines, "bad-header");
    let forwarded = hopping("Forwarded", 2);
    check(
        &forwarded,
        peer("26.9.9.9"),
        &["for=\"25.1.1.1, for=26.1.1.1, for=_x;by=\"a,b\""],
        "26.1.1.1",
    );
    assert!(!forwarded.is_trusted_proxy(ip("26.9.9.9")));
    assert_eq!(forwarded.header(), "forwarded");
}

#[test]
fn the_names_of_headers_tell_how_they_are_written() {
    let lines = &["25.1.1.1, 26.1.1.1"];
    for list in [
        "x-forwarded-for",
        "X-Original-Forwarded-For",
        "forwarded-for",
    ] {
        check(&trusting(list), peer("10.0.0.1"), lines, "26.1.1.1");
    }
    for other in [
        "forwarded",
        "x-forwarded-for-",
        "x-forwarded",
        "true-client-ip",
    ] {
        check(&trusting(other), peer("10.0.0.1"), lines, "bad-header");
    }
}

#[test]
fn a_trusted_proxy_is_known_in_each_form() {
    let resolver = trusting("X-Forwarded-For");
    for proxy in ["10.1.1.1", "3ffe:10::7"] {
        assert!(resolver.is_trusted_proxy(ip(proxy)), "{proxy}");
    }
    for other in ["11.1.1.1", "3ffe:11::7", "::10.1.1.1"] {
        assert!(!resolver.is_trusted_proxy(ip(other)), "{other}");
    }
}

#[test]
fn a_socket_address_is_a_peer_without_its_port_and_scope() {
    let address: SocketAddr = "[fe80::1%3]:80".parse().expect("an address");
    assert_eq!(Peer::from(address), peer("fe80::1"));
    assert_eq!(Peer::from(ip("26.1.1.1")), peer("26.1.1.1"));
}

#[test]
fn bad_settings_are_refused_by_name_and_value() {
    const EVERYBODY: &str = "trusts every address, so that any client could name itself: \
                             give the addresses of your own proxies";
    for (proxies, shown) in [
        (&["0.0.0.0/0"][..], "0.0.0.0/0"),
        (&["unix:", "::/0"], "unix:, ::/0"),
        (&["0.0.0.0/1", "128.0.0.0/1"], "0.0.0.0/1, 128.0.0.0/1"),
        (&["::ffff:1.2.3.4/96"], "::ffff:1.2.3.4/96"),
    ] {
        refused(
            proxies,
            None,
            "forwarded",
            &format!("setting `trusted_proxies`: `{shown}` {EVERYBODY}"),
        );
    }
    refused(
        &["10.0.0.0/8", "unix:/run/x"],
        None,
        "forwarded",
        "setting `trusted_proxies`: `unix:/run/x` is not an address or CIDR",
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    refused(
        &["10.0.0.0/8"],
        Some(1),
        "forwarded",
        "settings `trusted_proxies` and `trusted_hops` are two answers to one question: give the proxies' addresses or \
         their number, not both",
    );
    refused(
        &[],
        Some(0),
        "forwarded",
        "setting `trusted_hops`: `0` is no number of proxies: leave it out when there is none",
    );
    refused(
        &[],
        Some(2),
        "X-Real-IP",
        "setting `trusted_hops`: `2` does not go with the client_ip_header `x-real-ip`: that has a single address and \
         cannot tell of more than one proxy, so use 1, or a list such as `x-forwarded-for`",
    );
    for name in [
        "",
        "x real ip",
        "x-real-ip:",
        "x-r\u{e9}al-ip",
        "x\n",
        "(x)",
        "HTTP_X_FORWARDED_FOR",
        "http_x_real_ip",
    ] {
        let shown = printable(name.as_bytes());
        refused(
            &[],
            None,
            name,
            &format!(
                "setting `client_ip_header`: `{shown}` is not the name of an HTTP header (RFC 9110, section 5.1)"
            ),
        );
    }
}

/// What a client writes: bytes that mean something, and any others.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            &b"\""[..],
            b"\\",
            b",",
            b";",
            b"=",
            b" ",
            b"\t",
            b"[",
            b"]",
            b":",
            b"%",
            b"\xff",
            b"\0",
            b"for=",
            b"For=\"",
            b"25.1.1.1",
            b"10.0.0.9",
            b"[3ffe:10::9]:1",
            b"unknown",
            b"for=10.0.0.9",
            b"for=\"10.0.0.9\"",
            b"=\"",
            b"\\\"",
        ])
        .prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// What the proxies append for the client 26.1.1.1, each in its turn.
fn appended(forwarded: bool) -> impl Strategy<Value = Vec<&'static str>> {
    let (clients, proxies) = if forwarded {
        (
            vec![
                "for=26.1.1.1",
                "For=\"26.1.1.1:4711\"",
                "by=_a;for=\"[::ffff:26.1.1.1]\";proto=https",
                "host=\"a,\\\"b;for=\\\\\";for=26.1.1.1",
                "for=\"26.1.1.1\";host=\"=\\\",\\\\\\\"\"",
            ],
            vec![
                "for=10.0.0.2",
                "for=\"[3ffe:10::2]:80\"",
                "for=\"10.0.0.3\";by=\",\"",
            ],
        )
    } else {
        (
            vec![
                "26.1.1.1",
                "26.1.1.1:4711",
                "::ffff:26.1.1.1",
                "[::ffff:1a01:101]:80",
            ],
            vec!["10.0.0.2", "3ffe:10::2", "[3ffe:10::2]:80"],
        )
    };
    (
        prop::sample::select(clients),
        prop::collection::vec(prop::sample::select(proxies), 0..3),
    )
        .prop_map(|(client, proxies)| {
            let mut all = vec![client];
            all.extend(proxies);
            all
        })
}

/// The lines that arrive: what the client wrote, and each appended element in the last line or in a
/// line of its own.
fn lines(client: &[Vec<u8>], appended: &[&str], separators: &[Option<&str>]) -> Vec<Vec<u8>> {
    let mut lines = client.to_vec();
    for (element, separator) in appended.iter().zip(separators) {
        match (lines.last_mut(), separator) {
            (Some(line), Some(separator)) => {
                line.extend_from_slice(separator.as_bytes());
                line.extend_from_slice(element.as_bytes());
            }
            _ => lines.push(element.as_bytes().to_vec()),
        }
    }
    lines
}

fn separators() -> impl Strategy<Value = Vec<Option<&'static str>>> {
    let separator =
        prop::sample::select(vec![None, Some(","), Some(", "), Some(" ,\t"), Some(", ,")]);
    prop::collection::vec(separator, 3)
}

/// The rules of the list said plainly, on text and with every element in memory.
mod reference {
    use super::*;

    fn address(element: &str) -> Option<IpAddr> {
        let without_zone = |text: &str| match text.split_once('%') {
            Some((address, zone)) => {
                let good = !zone.is_empty()
                    && zone
                        .chars()
                        .all(|char| char.is_ascii_alphanumeric() || "-._~%".contains(char));
                good.then(|| address.to_owned())
            }
            None => Some(text.to_owned()),
        };
        let is_port = |text: &str| {
            (1..=5).contains(&text.len())
                && text.chars().all(|char| char.is_ascii_digit())
                && text.parse::<u16>().is_ok()
        };
        let ip: IpAddr = if let Some(inside) = element.strip_prefix('[') {
            let (address, port) = inside.rsplit_once(']')?;
            if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
                return None;
            }
            IpAddr::V6(without_zone(address)?.parse().ok()?)
        } else if element.matches(':').count() > 1 {
            IpAddr::V6(without_zone(element)?.parse().ok()?)
        } else {
            let (address, port) = element.split_once(':').unwrap_or((element, "0"));
            IpAddr::V4(address.parse().ok().filter(|_| is_port(port))?)
        };
        let ip = match ip {
            IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
            ipv4 => ipv4,
        };
        (!ip.is_unspecified()).then_some(ip)
    }

    fn elements(lines: &[Vec<u8>]) -> Vec<Option<IpAddr>> {
        let joined = lines.join(&b","[..]);
        joined
            .split(|&byte| byte == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|element| !element.is_empty())
            .map(|element| address(&String::from_utf8_lossy(element)))
            .collect()
    }

    pub(super) fn walk(
        lines: &[Vec<u8>],
        trusted: impl Fn(IpAddr) -> bool,
    ) -> Result<IpAddr, Unverified> {
        let mut elements = elements(lines);
        while elements.len() > 1
            && elements
                .last()
                .is_some_and(|last| last.is_some_and(&trusted))
        {
            elements.pop();
        }
        elements.pop().flatten().ok_or(Unverified::BadHeader)
    }

    pub(super) fn hops(lines: &[Vec<u8>], hops: usize) -> Result<IpAddr, Unverified> {
        let elements = elements(lines);
        let at = elements
            .len()
            .checked_sub(hops)
            .ok_or(Unverified::BadHeader)?;
        elements[at].ok_or(Unverified::BadHeader)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_that_a_client_writes_changes_what_its_proxies_append_to_a_list(
        client in prop::collection::vec(hostile(), 0..4),
        appended in appended(false),
        separators in separators(),
    ) {
        let lines = lines(&client, &appended, &separators);
        let told = resolve(&trusting("x-forwarded-for"), peer("10.0.0.1"), &lines);
        prop_assert_eq!(told, Ok(ip("26.1.1.1")));
        let hops = hopping("x-forwarded-for", appended.len() as u32);
        prop_assert_eq!(resolve(&hops, peer("26.9.9.9"), &lines), Ok(ip("26.1.1.1")));
    }

    #[test]
    fn nothing_that_a_client_writes_changes_what_its_proxies_append_to_forwarded(
        client in prop::collection::vec(hostile(), 0..4),
        appended in appended(true),
        separators in separators(),
    ) {
        let lines = lines(&client, &appended, &separators);
        let told = resolve(&trusting("forwarded"), peer("10.0.0.1"), &lines);
        prop_assert_eq!(told, Ok(ip("26.1.1.1")));
        let hops = hopping("forwarded", appended.len() as u32);
        prop_assert_eq!(resolve(&hops, peer("26.9.9.9"), &lines), Ok(ip("26.1.1.1")));
    }

    #[test]
    fn one_bad_byte_spoils_only_its_own_element(
        forwarded: bool,
        before in 0..4_usize,
        after in 0..3_usize,
        bad in prop::sample::select(vec![&b"\xff"[..], b"\"", b"\\", b"\0", b"[", b"x"]),
        at in 0..8_usize,
    ) {
        let header = if forwarded { "forwarded" } else { "x-forwarded-for" };
        let element = |n: usize| match forwarded {
            true => format!("for=26.1.1.{n}").into_bytes(),
            false => format!("26.1.1.{n}").into_bytes(),
        };
        let mut spoiled = element(9);
        spoiled.splice(at..at, bad.iter().copied());
        let mut elements: Vec<_> = (1..=before).map(element).collect();
        elements.push(spoiled);
        elements.extend((1..=after).map(element));
        let line = elements.join(&b", "[..]);
        for hops in 1..=elements.len() {
            let told = resolve(&hopping(header, hops as u32), peer("26.9.9.9"), &[&line]);
            let expected = match elements.len() - hops {
                n if n == before => Err(Unverified::BadHeader),
                n if n < before => Ok(ip(&format!("26.1.1.{}", n + 1))),
                n => Ok(ip(&format!("26.1.1.{}", n - before))),
            };
            prop_assert_eq!(told, expected, "{} of {}", hops, line.escape_ascii());
        }
    }

    #[test]
    fn a_list_is_read_as_its_rules_say_plainly(
        lines in prop::collection::vec(
            prop_oneof![
                hostile(),
                "((10\\.0\\.0\\.[1-9]|3ffe:10::[1-9]|26\\.1\\.1\\.1|::ffff:10\\.1\\.1\\.1|x|)(:[0-9]{1,2})? ?, ?){0,4}".prop_map(String::into_bytes),
            ],
            0..4,
        ),
        hops in 1..6_u32,
    ) {
        let trusted = trusting("x-forwarded-for");
        let told = resolve(&trusted, peer("10.0.0.1"), &lines);
        prop_assert_eq!(told, reference::walk(&lines, |ip| trusted.is_trusted_proxy(ip)));
        let told = resolve(&hopping("x-forwarded-for", hops), Peer::Unix, &lines);
        prop_assert_eq!(told, reference::hops(&lines, hops as usize));
    }

    #[test]
    fn no_header_makes_it_panic_and_no_mapped_address_comes_out(
        header in prop::sample::select(vec!["x-forwarded-for", "forwarded", "x-real-ip"]),
        lines in prop::collection::vec(hostile(), 0..4),
        mapped: u32,
        from_peer: bool,
    ) {
        let mapped = IpAddr::V6(std::net::Ipv4Addr::from_bits(mapped).to_ipv6_mapped());
        let mut lines = lines;
        lines.push(match header {
            "forwarded" => format!("for=\"[{mapped}]\"").into_bytes(),
            _ => format!("{mapped}").into_bytes(),
        });
        let peer = if from_peer { Peer::Ip(mapped) } else { peer("10.0.0.1") };
        for resolver in [trusting(header), hopping(header, 1), resolver(header, &[], None)?] {
            for lines in [&lines[..], &lines[lines.len() - 1..]] {
                if let Ok(ip) = resolve(&resolver, peer, lines) {
                    prop_assert_eq!(ip, ip.to_canonical());
                    prop_assert!(!ip.is_unspecified());
                }
            }
        }
    }
}
