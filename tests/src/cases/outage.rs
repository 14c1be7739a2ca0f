//! A service that is down, slow or talks rubbish.

use std::time::Duration;

use ipwhois_guard_core::{OnUnverified, Rule};
use ipwhois_guard_testkit::Behaviour;

use crate::bench::{Bench, CLEAN, LISTED, Setup, address};
use crate::client::Request;
use crate::driver::Driver;

/// `/admin` lets unverified clients in, `/admin/keys` does not.
fn both_policies() -> Setup {
    Setup::new()
        .guard(|guard| guard.protect(Rule::path("/admin/keys").on_unverified(OnUnverified::Deny)))
}

fn status_at_keys(bench: &Bench, client: &str) -> u16 {
    bench
        .send(&Request::get("/admin/keys").from_client(client))
        .status
}

pub fn a_failing_service_lets_clients_in_by_default<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    bench.service.behave(Behaviour::status(500));
    assert_eq!(bench.status_of(LISTED), 200);
    assert_eq!(bench.handled(), 1);
    let seen = bench.whoami(Request::get("/whoami").from_client(LISTED));
    assert_eq!(seen["source"], "unverified");
    assert!(seen["confidence"].is_null());
    assert_eq!(bench.service.check_count(), 1);
}

pub fn a_failing_service_keeps_clients_out_where_the_rule_says_so<D: Driver>() {
    let bench = both_policies().serve::<D>();
    bench.service.behave(Behaviour::status(500));
    let response = bench.send(&Request::get("/admin/keys").from_client(CLEAN));
    assert_eq!(response.status, 503);
    assert_eq!(response.text(), r#"{"error":"Unverified"}"#);
    assert_eq!(response.header("retry-after"), Some("30"));
    assert_eq!(bench.status_of(CLEAN), 200);
    bench.service.recover();
    bench.clock.advance(Duration::from_secs(30));
    assert_eq!(status_at_keys(&bench, CLEAN), 200);
}

pub fn a_hanging_service_costs_each_client_one_wait<D: Driver>() {
    let bench = both_policies()
        .guard(|guard| guard.max_wait(Duration::from_millis(50)))
        .serve::<D>();
    bench.service.behave(Behaviour::Hang);
    assert_eq!(status_at_keys(&bench, CLEAN), 503);
    // From here on nobody waits: with a wait each, this would take minutes.
    for _ in 0..2_000 {
        assert_eq!(status_at_keys(&bench, CLEAN), 503);
    }
    assert_eq!(bench.service.checks_of(address(CLEAN)), 1);
}

pub fn a_late_answer_counts_for_the_next_request<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.max_wait(Duration::ZERO))
        .serve::<D>();
    bench.service.behave(Behaviour::Held);
    assert_eq!(bench.status_of(LISTED), 200);
    bench.wait_for_checks(1);
    bench.service.recover();
    bench.service.release();
    let refused = (0..10_000).any(|_| bench.status_of(LISTED) == 403);
    assert!(refused);
    assert_eq!(bench.service.check_count(), 1);
}

pub fn a_dead_service_is_left_alone_and_found_again<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    bench.service.refuse_connections();
    let strangers = |range: std::ops::Range<u8>| range.map(|n| format!("26.0.1.{n}"));
    for stranger in strangers(0..20) {
        assert_eq!(bench.status_of(&stranger), 200);
    }
    bench.service.accept_connections();
    // The breaker is open: the service is back, and nobody asks yet.
    assert_eq!(bench.status_of(LISTED), 200);
    assert_eq!(bench.service.check_count(), 0);
    bench.clock.advance(Duration::from_secs(10));
    assert_eq!(bench.status_of(LISTED), 403);
}

pub fn an_exhausted_limit_pauses_the_checks<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    bench.service.behave(Behaviour::rate_limited(120));
    assert_eq!(bench.status_of("26.0.1.1"), 200);
    bench.service.recover();
    for n in 2..20 {
        assert_eq!(bench.status_of(&format!("26.0.1.{n}")), 200);
    }
    assert_eq!(bench.service.check_count(), 1);
    bench.clock.advance(Duration::from_secs(120));
    assert_eq!(bench.status_of(LISTED), 403);
}

pub fn no_rubbish_is_taken_for_a_verdict<D: Driver>() {
    for behaviour in [
        Behaviour::html(),
        Behaviour::json(""),
        Behaviour::json("{}"),
        Behaviour::json("[false]"),
        Behaviour::json(r#"{"listed":"false"}"#),
        Behaviour::json(r#"{"listed":false,"ip":"26.0.0.99"}"#),
        Behaviour::json(r#"{"listed":false,"confidence":1000}"#),
        Behaviour::json(r#"{"listed":false} trailing"#),
        Behaviour::reply(204, "application/json", ""),
        Behaviour::reply(404, "application/json", r#"{"listed":false}"#),
        Behaviour::Redirect("/api/check?ip=26.0.0.1".to_owned()),
        Behaviour::Raw(b"\x00\x01rubbish\r\n\r\n".to_vec()),
        Behaviour::Raw(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{\"listed\":false"
                .to_vec(),
        ),
        Behaviour::Truncated,
        Behaviour::CloseEarly,
        Behaviour::Reset,
        Behaviour::ResetMidBody,
        Behaviour::Endless,
    ] {
        let bench = both_policies().serve::<D>();
        bench.service.behave(behaviour.clone());
        assert_eq!(status_at_keys(&bench, CLEAN), 503, "{behaviour:?}");
        assert_eq!(status_at_keys(&bench, CLEAN), 503, "{behaviour:?}");
        bench.service.recover();
        bench.clock.advance(Duration::from_secs(30));
        assert_eq!(status_at_keys(&bench, CLEAN), 200, "{behaviour:?}");
    }
}

pub fn a_listed_verdict_outlives_the_service<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    assert_eq!(bench.status_of(LISTED), 403);
    bench.service.refuse_connections();
    bench.clock.advance(Duration::from_secs(23 * 3_600));
    for _ in 0..50 {
        assert_eq!(bench.status_of(LISTED), 403);
    }
}
