//! Who is connected, when warp does not say.

use ipwhois_guard_warp::{
    AllowedIp, IpGuard, OnUnverified, Peer, PeerAddr, allowed_ip, ip_verdict, recover,
};
use warp::{Filter, Reply};

use crate::{Bench, LISTED, answer, expect, expect_blocked, get};

#[tokio::test]
async fn a_peer_without_an_address_is_unknown_unless_the_application_says_unix() {
    let bench = Bench::new();
    let strict = |guard: ipwhois_guard_warp::GuardBuilder| {
        let guard = guard.on_unverified(OnUnverified::Deny);
        guard.trusted_proxies(["unix:"])
    };
    let unknown = IpGuard::new(bench.guard(strict));
    let unix = unknown.clone().on_unix_socket();
    let request = || warp::test::request().header("x-forwarded-for", "26.0.0.1");
    let handler = warp::any().map(|| "let in");
    expect(&answer(request(), &unknown.wrap(handler)).await, 503, "");
    expect(&answer(request(), &unix.wrap(handler)).await, 200, "let in");
    let handler = |guard| {
        allowed_ip(guard)
            .map(|_: AllowedIp| "let in")
            .recover(recover)
    };
    expect(
        &answer(request(), &handler(unknown)).await,
        500,
        "warp does not say",
    );
    expect(&answer(request(), &handler(unix)).await, 200, "let in");
}

#[tokio::test]
async fn a_server_of_ones_own_says_who_is_connected() {
    let bench = Bench::new();
    let guard = IpGuard::new(bench.guard(|guard| guard));
    let routes = guard.wrap(warp::any().map(|| "let in"));
    let request = warp::test::request().extension(PeerAddr(Peer::Ip(LISTED.into())));
    expect_blocked(&answer(request, &routes).await);
    // What warp itself knows comes first.
    let request = get("/", crate::CLEAN).extension(PeerAddr(Peer::Ip(LISTED.into())));
    expect(&answer(request, &routes).await, 200, "let in");
}

#[tokio::test]
async fn a_verdict_needs_a_peer_as_well() {
    let bench = Bench::new();
    let routes = ip_verdict(bench.guard(|guard| guard))
        .map(|_| "let in")
        .recover(recover)
        .map(Reply::into_response);
    let response = answer(warp::test::request(), &routes).await;
    expect(&response, 500, "warp does not say who is connected");
}
