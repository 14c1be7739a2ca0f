//! Who the client is: what no header may change.

use std::net::Ipv6Addr;

use ipwhois_guard_core::OnUnverified;

use crate::bench::{Bench, CLEAN, CLEAN_V6, LISTED, LISTED_V6, Setup, address};
use crate::client::Request;
use crate::driver::{Address, Driver};

fn admin() -> Request {
    Request::get("/admin")
}

/// A guard that keeps out whom it cannot determine, so that "not determinable" shows.
fn strict() -> Setup {
    Setup::new().guard(|guard| guard.on_unverified(OnUnverified::Deny))
}

#[track_caller]
fn check(bench: &Bench, request: Request, status: u16) {
    assert_eq!(bench.send(&request).status, status, "{request:?}");
}

#[track_caller]
fn expect_client(bench: &Bench, request: Request, client: Option<&str>) {
    let seen = bench.whoami(request);
    assert_eq!(seen["client_ip"].as_str(), client, "{seen}");
}

pub fn reads_no_header_by_default<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.trusted_proxies(Vec::<String>::new()))
        .serve::<D>();
    let request = Request::get("/whoami")
        .from_client(LISTED)
        .header("X-Real-IP", LISTED)
        .header("Forwarded", format!("for={LISTED}"));
    expect_client(&bench, request, Some("127.0.0.1"));
    assert_eq!(bench.status_of(LISTED), 200);
    assert_eq!(bench.service.check_count(), 0);
}

pub fn believes_the_trusted_proxy_alone<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.trusted_proxies(["10.0.0.0/8"]))
        .serve::<D>();
    // The peer is 127.0.0.1, which is no proxy here.
    expect_client(
        &bench,
        Request::get("/whoami").from_client(CLEAN),
        Some("127.0.0.1"),
    );
}

pub fn cannot_be_fooled_by_what_the_client_wrote<D: Driver>() {
    let bench = strict().serve::<D>();
    for spoof in [
        format!("{CLEAN}, {LISTED}"),
        format!("127.0.0.1, {CLEAN},{LISTED}"),
        format!("\"{CLEAN}, {LISTED}"),
        format!(",,, {LISTED} ,,"),
        format!("for={CLEAN}, {LISTED}"),
        // Trusted proxies in a row are walked over.
        format!("{CLEAN}, {LISTED}, 127.0.0.9"),
    ] {
        check(&bench, admin().from_client(spoof), 403);
    }
    check(
        &bench,
        admin().from_client(format!("{LISTED}, {CLEAN}")),
        200,
    );
    // No other header is a fallback or an addition.
    let other = admin()
        .from_client(LISTED)
        .header("X-Real-IP", CLEAN)
        .header("Forwarded", format!("for={CLEAN}"))
        .header("CF-Connecting-IP", CLEAN);
    check(&bench, other, 403);
}

pub fn reads_repeated_lines_in_order<D: Driver>() {
    let bench = strict().serve::<D>();
    check(&bench, admin().from_client(CLEAN).from_client(LISTED), 403);
    check(&bench, admin().from_client(LISTED).from_client(CLEAN), 200);
    let split = admin()
        .from_client(LISTED)
        .header("x-forwarded-for", "127.0.0.8")
        .header("X-FORWARDED-FOR", "127.0.0.9");
    check(&bench, split, 403);
}

pub fn does_not_look_left_of_a_bad_element<D: Driver>() {
    let bench = strict().serve::<D>();
    for bad in [
        "unknown",
        "25.0.0.07",
        "25.0.0",
        "25.0.0.256",
        "0x19000007",
        "_hidden",
        "25.0.0.7:port",
        "25.0.0.7:99999",
        "[::1",
        "0.0.0.0",
        "::",
        "localhost",
    ] {
        check(&bench, admin().from_client(format!("{CLEAN}, {bad}")), 503);
    }
    assert_eq!(bench.service.check_count(), 0);
}

pub fn one_bad_byte_spoils_only_its_element<D: Driver>() {
    let bench = strict().serve::<D>();
    let mut spoofed = b"\xff\xfe\x80, ".to_vec();
    spoofed.extend_from_slice(LISTED.as_bytes());
    // Where a framework cannot show such a line at all, the client is not determinable: refused as
    // well, never let in.
    let status = bench.send(&admin().from_client(&spoofed)).status;
    assert!(matches!(status, 403 | 400 | 503), "{status}");
    let status = bench.send(&admin().from_client(b"25.0.0.1\xff")).status;
    assert!(matches!(status, 503 | 400), "{status}");
    assert_eq!(bench.handled(), 0);
}

pub fn a_proxy_without_a_header_is_not_determinable<D: Driver>() {
    let bench = strict().serve::<D>();
    let response = bench.send(&admin());
    assert_eq!(response.status, 503);
    assert_eq!(response.text(), r#"{"error":"Unverified"}"#);
    assert_eq!(response.header("retry-after"), Some("30"));
    let lenient = Setup::new().serve::<D>();
    check(&lenient, admin(), 200);
    let seen = lenient.whoami(Request::get("/whoami"));
    assert!(seen["client_ip"].is_null());
    assert_eq!(seen["source"], "unverified");
}

pub fn a_proxy_with_an_empty_header_is_not_determinable<D: Driver>() {
    let bench = strict().serve::<D>();
    for empty in ["", " ", ",", " , ,, "] {
        check(&bench, admin().from_client(empty), 503);
    }
}

/// The day's budget is spent, so no client can be verified. A client without an address is another
/// matter.
pub fn an_unknown_client_has_a_policy_of_its_own<D: Driver>() {
    use OnUnverified::{Allow, Deny};
    for (on_unverified, on_unknown_client, of_unverified, of_unknown) in [
        (Allow, Deny, 200, 503),
        (Deny, Allow, 503, 200),
        (Deny, Deny, 503, 503),
    ] {
        let bench = Setup::new()
            .guard(|guard| guard.on_unverified(on_unverified).daily_budget(0))
            .guard(|guard| guard.on_unknown_client(on_unknown_client))
            .serve::<D>();
        check(&bench, admin().from_client(CLEAN), of_unverified);
        check(&bench, admin(), of_unknown);
        check(&bench, admin().from_client("unknown"), of_unknown);
        // Extractors and handlers go by the settings.
        check(&bench, Request::get("/data"), of_unknown);
    }
}

/// A load balancer's own requests carry no forwarding header.
pub fn a_health_check_of_an_allowed_proxy_is_let_in<D: Driver>() {
    let bench = strict()
        .guard(|guard| guard.allow(["127.0.0.1"]))
        .serve::<D>();
    check(&bench, admin(), 200);
    let seen = bench.whoami(Request::get("/whoami"));
    assert_eq!(seen["source"], "allowlist", "{seen}");
    // A request that carries one is a visitor's, whether or not it can be read.
    check(&bench, admin().from_client(LISTED), 403);
    check(&bench, admin().from_client("unknown"), 503);
    check(&bench, admin().from_client(""), 503);
    check(&bench, admin().header("Forwarded", "for=unknown"), 503);
    check(&bench, admin().header("X-Real-IP", CLEAN), 503);
    assert_eq!(bench.service.check_count(), 1);
}

pub fn reads_ipv6_bracketed_and_with_a_port<D: Driver>() {
    let bench = strict().serve::<D>();
    for text in [
        LISTED_V6.to_owned(),
        format!("[{LISTED_V6}]"),
        format!("[{LISTED_V6}]:443"),
        LISTED_V6.to_uppercase(),
        format!("{LISTED_V6}%eth0"),
        format!("{LISTED}:51234"),
    ] {
        check(&bench, admin().from_client(text), 403);
    }
    check(&bench, admin().from_client(format!("[{CLEAN_V6}]:1")), 200);
}

pub fn takes_a_mapped_address_for_its_ipv4<D: Driver>() {
    let bench = strict().serve::<D>();
    check(&bench, admin().from_client(format!("::ffff:{LISTED}")), 403);
    check(
        &bench,
        admin().from_client(format!("[::ffff:{LISTED}]:80")),
        403,
    );
    check(&bench, admin().from_client(LISTED), 403);
    assert_eq!(bench.service.checks_of(address(LISTED)), 1);
    // A mapped proxy is the proxy.
    let through = format!("{LISTED}, ::ffff:127.0.0.2");
    check(&bench, admin().from_client(through), 403);
}

pub fn listens_on_ipv6<D: Driver>() {
    let loopback = Address::Tcp((Ipv6Addr::LOCALHOST, 0).into());
    let bench = strict().listen(loopback.clone()).serve::<D>();
    check(&bench, admin().from_client(LISTED_V6), 403);
    let untrusting = Setup::new()
        .guard(|guard| guard.trusted_proxies(["10.0.0.0/8"]))
        .listen(loopback)
        .serve::<D>();
    expect_client(
        &untrusting,
        Request::get("/whoami").from_client(LISTED_V6),
        Some("::1"),
    );
}

pub fn a_unix_peer_is_not_determinable_unless_trusted<D: Driver>() {
    let socket = |name: &str| {
        let file = format!("ipwhois-guard-{}-{name}.sock", std::process::id());
        let path = std::env::temp_dir().join(file);
        // Left over by a run that was killed.
        let _ = std::fs::remove_file(&path);
        (path.clone(), Address::Unix(path))
    };
    let (path, address) = socket(&format!(
        "{}-plain",
        std::any::type_name::<D>().replace(':', "")
    ));
    let bench = strict().listen(address).serve::<D>();
    check(&bench, admin().from_client(CLEAN), 503);
    drop(bench);
    let _ = std::fs::remove_file(path);
    let (path, address) = socket(&format!(
        "{}-trusted",
        std::any::type_name::<D>().replace(':', "")
    ));
    let bench = strict()
        .guard(|guard| guard.trusted_proxies(["unix:"]))
        .listen(address)
        .serve::<D>();
    check(&bench, admin().from_client(CLEAN), 200);
    check(&bench, admin().from_client(LISTED), 403);
    check(&bench, admin(), 503);
    drop(bench);
    let _ = std::fs::remove_file(path);
}

pub fn reads_forwarded_by_quotes<D: Driver>() {
    let bench = strict()
        .guard(|guard| guard.client_ip_header("Forwarded"))
        .serve::<D>();
    for (value, status) in [
        (format!("for={LISTED}"), 403),
        (format!("For=\"{LISTED}:4711\";proto=https"), 403),
        (format!("for=\"[{LISTED_V6}]:4711\""), 403),
        (format!("for={CLEAN}, for={LISTED};by=127.0.0.1"), 403),
        // An open quote is the client's own trouble.
        (format!("for=\"{CLEAN}, for={LISTED}"), 403),
        (format!("for={CLEAN};x=\"\\, for={LISTED}"), 403),
        (format!("for={LISTED}, for={CLEAN}"), 200),
        (format!("for={CLEAN}, for=unknown"), 503),
        (format!("for={CLEAN}, for=_secret"), 503),
        (format!("for={CLEAN}, proto=http"), 503),
        (format!("for={CLEAN};for={CLEAN}"), 503),
        // Its last group could be a port.
        (format!("for=\"{CLEAN_V6}\""), 503),
        (format!("for=\"{CLEAN_V6}:4711\""), 503),
        (format!("for=\"[{CLEAN_V6}]\""), 200),
    ] {
        check(&bench, admin().header("Forwarded", value), status);
    }
    check(&bench, admin().from_client(CLEAN), 503);
}

pub fn reads_a_single_address_header<D: Driver>() {
    let bench = strict()
        .guard(|guard| guard.client_ip_header("CF-Connecting-IP"))
        .serve::<D>();
    check(&bench, admin().header("cf-connecting-ip", LISTED), 403);
    check(&bench, admin().header("cf-connecting-ip", CLEAN), 200);
    let list = format!("{CLEAN}, {CLEAN}");
    check(&bench, admin().header("cf-connecting-ip", list), 503);
    check(&bench, admin().from_client(CLEAN), 503);
}

pub fn two_lines_of_a_single_address_header_are_none<D: Driver>() {
    let bench = strict()
        .guard(|guard| guard.client_ip_header("X-Real-IP"))
        .serve::<D>();
    let twice = admin()
        .header("X-Real-IP", CLEAN)
        .header("X-Real-IP", CLEAN);
    check(&bench, twice, 503);
}

pub fn counts_hops_from_the_right<D: Driver>() {
    let bench = strict()
        .guard(|guard| guard.trusted_proxies(Vec::<String>::new()).trusted_hops(2))
        .serve::<D>();
    check(
        &bench,
        admin().from_client(format!("{LISTED}, 9.9.9.9")),
        403,
    );
    let spoofed = format!("{CLEAN}, {LISTED}, , 9.9.9.9");
    check(&bench, admin().from_client(spoofed), 403);
    check(&bench, admin().from_client(LISTED), 503);
    check(&bench, admin().from_client("rubbish, 9.9.9.9"), 503);
}

pub fn asks_about_the_ipv4_inside_an_ipv6_address<D: Driver>() {
    let bench = strict().serve::<D>();
    check(&bench, admin().from_client("64:ff9b::1900:7"), 403);
    check(&bench, admin().from_client("2002:1900:7::1"), 403);
    assert_eq!(bench.service.checks_of(address(LISTED)), 1);
    check(&bench, admin().from_client("64:ff9b::a00:1"), 200);
    assert_eq!(bench.service.check_count(), 1);
}

pub fn never_asks_about_private_clients<D: Driver>() {
    let bench = strict().serve::<D>();
    for private in [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "192.0.2.1",
        "224.0.0.1",
        "240.0.0.1",
        "fd00::1",
        "fe80::1",
        "ff02::1",
        "2001:db8::1",
        "::1",
    ] {
        check(&bench, admin().from_client(private), 200);
    }
    assert_eq!(bench.service.check_count(), 0);
}
