//! What is counted, as `GET /metrics` tells it.

use ipwhois_guard_core::{Mode, Rule};

use crate::bench::{Bench, CLEAN, LISTED, Setup};
use crate::client::Request;
use crate::driver::Driver;
use crate::prometheus::Scrape;

#[track_caller]
fn scrape(bench: &Bench) -> Scrape {
    let response = bench.send(&Request::get("/metrics"));
    assert_eq!(response.status, 200);
    Scrape::read(&response.text())
}

#[track_caller]
fn decisions(scrape: &Scrape, outcome: &str, source: &str) -> f64 {
    let labels = [("outcome", outcome), ("source", source)];
    scrape.value("ipwhois_guard_decisions_total", &labels)
}

pub fn decisions_are_counted_by_outcome_and_source<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.protect(Rule::path("/echo").mode(Mode::Monitor)))
        .serve::<D>();
    for _ in 0..3 {
        assert_eq!(bench.status_of(CLEAN), 200);
        assert_eq!(bench.status_of(LISTED), 403);
        let watched = Request::new("POST", "/echo").from_client(LISTED).body("x");
        assert_eq!(bench.send(&watched).status, 200);
    }
    assert_eq!(bench.status_of("10.0.0.1"), 200);
    assert_eq!(bench.status_of("nonsense"), 200);
    let scrape = scrape(&bench);
    for (outcome, source, expected) in [
        ("allowed", "api", 1.0),
        ("allowed", "cache", 2.0),
        ("denied", "api", 1.0),
        ("denied", "cache", 2.0),
        ("monitored", "cache", 3.0),
        ("allowed", "non-public", 1.0),
        ("allowed", "unverified", 1.0),
        ("denied", "unverified", 0.0),
        ("denied", "banned", 0.0),
    ] {
        let counted = decisions(&scrape, outcome, source);
        assert_eq!(counted, expected, "{outcome} {source}");
    }
    let reason = [("reason", "bad-header")];
    assert_eq!(scrape.value("ipwhois_guard_unverified_total", &reason), 1.0);
    let answered = [("endpoint", "check"), ("result", "answered")];
    let calls = scrape.value("ipwhois_guard_api_calls_total", &answered);
    assert_eq!(calls, 2.0);
    assert_eq!(scrape.value("ipwhois_guard_checks_spent", &[]), 2.0);
    assert_eq!(scrape.value("ipwhois_guard_cache_entries", &[]), 2.0);
}

pub fn a_request_that_two_layers_look_at_is_counted_once<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.protect("/data"))
        .serve::<D>();
    for path in ["/data", "/data/twice"] {
        let request = Request::get(path).from_client(CLEAN);
        assert_eq!(bench.send(&request).status, 200);
    }
    let scrape = scrape(&bench);
    assert_eq!(decisions(&scrape, "allowed", "api"), 1.0);
    assert_eq!(decisions(&scrape, "allowed", "cache"), 1.0);
}

pub fn everything_is_text_that_prometheus_reads<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    assert_eq!(bench.status_of(CLEAN), 200);
    let scrape = scrape(&bench);
    let families: Vec<_> = scrape.families().collect();
    for family in &families {
        assert!(family.starts_with("ipwhois_guard_"), "{family}");
    }
    // All but those of calls that are timed, which go to the recorder of the process, and of a
    // shared store.
    assert!(families.len() >= 17, "{families:?}");
}

pub fn scraping_takes_no_check<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    for n in 0..50 {
        let request = Request::get("/metrics").from_client(format!("26.1.{n}.1"));
        assert_eq!(bench.send(&request).status, 200);
    }
    assert_eq!(bench.service.check_count(), 0);
    assert_eq!(scrape(&bench).value("ipwhois_guard_checks_spent", &[]), 0.0);
}
