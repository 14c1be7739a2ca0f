//! The ways to install the guard.

use std::io::{Read, Write};

use ipwhois_guard_core::OnUnverified;

use super::denial::expect_blocked;
use crate::bench::{CLEAN, LISTED, Setup};
use crate::client::{Request, Response};
use crate::driver::{Driver, Install};

fn data(client: &str) -> Request {
    Request::get("/data").from_client(client)
}

pub fn the_extractor_alone_guards_its_handler<D: Driver>() {
    let bench = Setup::new().install(Install::ExtractorsOnly).serve::<D>();
    expect_blocked(&bench.send(&data(LISTED)));
    assert_eq!(bench.handled(), 0);
    assert_eq!(bench.send(&data(CLEAN)).status, 200);
    // Without the middleware the rule does nothing.
    assert_eq!(bench.status_of(LISTED), 200);
}

pub fn the_extractor_is_a_rule_of_its_own_behind_the_middleware<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    expect_blocked(&bench.send(&data(LISTED)));
    assert_eq!(bench.handled(), 0);
    assert_eq!(bench.send(&data(CLEAN)).status, 200);
}

pub fn two_extractors_take_one_decision<D: Driver>() {
    let bench = Setup::new()
        .install(Install::ExtractorsOnly)
        .guard(|guard| guard.on_unverified(OnUnverified::Deny))
        .serve::<D>();
    let twice = |client| Request::get("/data/twice").from_client(client);
    expect_blocked(&bench.send(&twice(LISTED)));
    assert_eq!(bench.send(&twice(CLEAN)).status, 200);
    assert_eq!(bench.service.check_count(), 2);
}

pub fn middleware_and_extractor_take_one_decision<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.protect("/whoami").protect("/data"))
        .serve::<D>();
    let seen = bench.whoami(Request::get("/whoami").from_client(CLEAN));
    // A second decision would have found the first one's verdict in the cache.
    assert_eq!(seen["source"], "api");
    assert_eq!(bench.send(&data(CLEAN)).status, 200);
    assert_eq!(bench.service.check_count(), 1);
}

pub fn a_nested_middleware_sees_the_original_path<D: Driver>() {
    let bench = Setup::new().install(Install::Nested).serve::<D>();
    for path in ["/admin", "/admin/users/1"] {
        expect_blocked(&bench.send(&Request::get(path).from_client(LISTED)));
        assert_eq!(
            bench.send(&Request::get(path).from_client(CLEAN)).status,
            200
        );
    }
}

pub fn the_application_may_word_the_denial_itself<D: Driver>() {
    let bench = Setup::new().install(Install::CustomResponse).serve::<D>();
    let response = bench.send(&Request::get("/admin").from_client(LISTED));
    assert_eq!(response.status, 404);
    assert!(response.text().starts_with("custom "), "{response:?}");
    assert_eq!(bench.status_of(CLEAN), 200);
}

pub fn a_missing_peer_is_not_guessed<D: Driver>() {
    let strict = Setup::new()
        .install(Install::NoPeer)
        .guard(|guard| guard.on_unverified(OnUnverified::Deny))
        .serve::<D>();
    assert_eq!(strict.status_of(CLEAN), 503);
    let hops = Setup::new()
        .install(Install::NoPeer)
        .guard(|guard| {
            guard
                .trusted_proxies(Vec::<String>::new())
                .trusted_hops(1)
                .on_unverified(OnUnverified::Deny)
        })
        .serve::<D>();
    assert_eq!(hops.status_of(CLEAN), 503);
    assert_eq!(hops.service.check_count(), 0);
}

pub fn a_missing_peer_is_explained_by_the_extractor<D: Driver>() {
    let bench = Setup::new().install(Install::ExtractorsNoPeer).serve::<D>();
    let response = bench.send(&data(CLEAN));
    assert_eq!(response.status, 500);
    assert!(response.text().contains(D::NO_PEER_ADVICE), "{response:?}");
    assert_eq!(bench.handled(), 0);
}

pub fn a_missing_guard_is_explained_by_the_extractor<D: Driver>() {
    let bench = Setup::new()
        .install(Install::ExtractorsNoGuard)
        .serve::<D>();
    let response = bench.send(&data(CLEAN));
    assert_eq!(response.status, 500);
    assert!(response.text().contains("no guard"), "{response:?}");
    assert_eq!(bench.handled(), 0);
}

pub fn a_websocket_passes_for_allowed_clients_only<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.protect("/ws"))
        .serve::<D>();
    let say = |client| {
        let request = Request::get("/ws").from_client(client);
        request.say_by_websocket(bench.address(), "hello")
    };
    assert_eq!(say(CLEAN), Ok("hello".to_owned()));
    assert_eq!(say(LISTED), Err(403));
}

pub fn a_body_streams_before_it_is_complete<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.protect("/echo"))
        .serve::<D>();
    let half = vec![b'x'; 20_000];
    let request = Request::new("POST", "/echo")
        .from_client(CLEAN)
        .header("Content-Length", "40000");
    let mut stream = request.begin(bench.address());
    stream.write_all(&half).expect("the server reads");
    let mut seen = Vec::new();
    // The first half comes back although the second was not sent yet.
    while seen.iter().filter(|byte| **byte == b'x').count() < half.len() {
        let mut part = [0; 4_096];
        let length = stream.read(&mut part).expect("the server streams");
        assert_ne!(length, 0, "the server hung up");
        seen.extend_from_slice(&part[..length]);
    }
    stream.write_all(&half).expect("the server reads");
    stream.read_to_end(&mut seen).expect("the server ends");
    assert_eq!(Response::parse(&seen).body.len(), 40_000);
}

pub fn a_body_streams_through_untouched<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.protect("/echo"))
        .serve::<D>();
    let body: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let echo = Request::new("POST", "/echo")
        .from_client(CLEAN)
        .body(body.clone());
    let response = bench.send(&echo);
    assert_eq!(response.status, 200);
    assert!(response.body == body);
}
