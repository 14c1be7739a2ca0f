//! Why a client was refused, by reference and by address, and undone.

use std::time::Duration;

use ipwhois_guard_core::{Explanation, OnUnverified, Outcome, Rule, Source};

use crate::bench::{Bench, CLEAN, LISTED, Setup, address};
use crate::client::Request;
use crate::driver::Driver;

/// Refuses the client, and expects that reference and address tell why, and what would happen now.
#[track_caller]
fn expect_explained(bench: &Bench, client: &str, status: u16, source: Source) {
    let request = Request::get("/admin/shop?x=1").from_client(client);
    let response = bench.send(&request);
    assert_eq!(response.status, status);
    let recent = bench.guard.recent(1);
    let refusal = recent.first().expect("it is remembered");
    let reference = refusal.reference.clone().expect("a reference");
    if status == 403 {
        assert_eq!(response.json()["reference"], *reference);
    }
    let by_reference = bench.guard.explain(&reference).expect("it is remembered");
    let by_address = bench.guard.explain_ip(address(client));
    for explanation in [by_reference, by_address] {
        expect(&explanation, client, status, source);
        assert_eq!(explanation.then[0].reference.as_ref(), Some(&reference));
    }
    // What is told would happen happens.
    assert_eq!(bench.send(&request).status, status);
}

#[track_caller]
fn expect(explanation: &Explanation, client: &str, status: u16, source: Source) {
    let refusal = &explanation.then[0];
    assert_eq!(refusal.client, Some(address(client)));
    assert_eq!((refusal.source, refusal.status), (source, status));
    assert_eq!((&*refusal.method, &*refusal.path), ("GET", "/admin/shop"));
    assert_eq!(refusal.rule, "/admin");
    assert!(refusal.words().contains("GET /admin/shop was refused"));
    let now = &explanation.now;
    assert_eq!(
        (now.outcome, now.status),
        (Outcome::Refused, Some(status)),
        "{now:?}"
    );
}

pub fn a_verdict_of_the_service_and_of_memory_is_explained<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    expect_explained(&bench, LISTED, 403, Source::Api);
    expect_explained(&bench, LISTED, 403, Source::Cache);
    bench.clock.advance(Duration::from_secs(2 * 60 * 60));
    bench
        .service
        .behave(ipwhois_guard_testkit::Behaviour::status(500));
    expect_explained(&bench, LISTED, 403, Source::Stale);
}

pub fn a_feed_hit_is_explained<D: Driver>() {
    let bench = Setup::without_rules()
        .service(|service| service.set_feed("25.0.9.1\n25.0.9.2\n25.0.9.3\n"))
        .guard(|guard| guard.protect(Rule::path("/admin").min_confidence(50)))
        .serve::<D>();
    bench.wait_until_ready();
    expect_explained(&bench, "25.0.9.1", 403, Source::Feed);
    assert_eq!(bench.service.check_count(), 0);
}

pub fn a_denied_and_a_banned_client_are_explained_and_undone<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.deny(["26.8.0.0/16"]))
        .serve::<D>();
    expect_explained(&bench, "26.8.0.1", 403, Source::Denylist);
    bench.guard.ban(address(CLEAN), Duration::from_secs(60));
    expect_explained(&bench, CLEAN, 429, Source::Banned);
    bench.guard.unban(address(CLEAN));
    assert_eq!(bench.status_of(CLEAN), 200);
    let now = bench.guard.explain_ip(address(CLEAN)).now;
    assert_eq!(now.outcome, Outcome::Allowed, "{now:?}");
}

pub fn an_unverified_client_is_explained<D: Driver>() {
    let bench = Setup::without_rules()
        .guard(|guard| {
            let rule = Rule::path("/admin").on_unverified(OnUnverified::Deny);
            guard.daily_budget(0).protect(rule)
        })
        .serve::<D>();
    let no_budget = Source::Unverified(ipwhois_guard_core::Unverified::NoBudget);
    expect_explained(&bench, CLEAN, 503, no_budget);
}

pub fn a_client_without_an_address_is_explained<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.on_unknown_client(OnUnverified::Deny))
        .serve::<D>();
    assert_eq!(bench.status_of("unknown"), 503);
    let refusal = bench.guard.recent(1).remove(0);
    let reference = refusal.reference.expect("a reference");
    let explanation = bench.guard.explain(&reference).expect("it is remembered");
    assert_eq!(explanation.client, None);
    assert_eq!(explanation.now.status, Some(503), "{:?}", explanation.now);
    let words = explanation.then[0].words();
    assert!(words.contains("header names no address"), "{words}");
}

pub fn a_client_that_is_forgotten_gets_in_at_once<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    assert_eq!(bench.status_of(LISTED), 403);
    bench.service.unlist(address(LISTED));
    assert_eq!(bench.status_of(LISTED), 403);
    bench.guard.forget(address(LISTED));
    assert_eq!(bench.status_of(LISTED), 200);
    for _ in 0..5 {
        let guess = Request::new("POST", "/login")
            .from_client(CLEAN)
            .body("wrong");
        let _ = bench.send(&guess);
    }
    assert_eq!(bench.status_of(CLEAN), 429);
    bench.guard.forget(address(CLEAN));
    assert_eq!(bench.status_of(CLEAN), 200);
}
