//! What a refused client reads, and who is refused.

use ipwhois_guard_core::{Mode, Rule};

use crate::bench::{CLEAN, LISTED, SUSPECT, Setup, address};
use crate::client::{Request, Response};
use crate::driver::Driver;

fn listed() -> Request {
    Request::get("/admin").from_client(LISTED)
}

/// Checks a denial whole: framework headers aside, nothing is missing and nothing else is there.
#[track_caller]
pub(super) fn expect_blocked(response: &Response) {
    assert_eq!(response.status, 403);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("vary"), Some("Accept"));
    assert_eq!(response.header("retry-after"), None);
    let framework = ["date", "server", "connection"];
    let ours = ["content-type", "cache-control", "vary", "content-length"];
    for (name, _) in &response.headers {
        let expected = ours.contains(&name.as_str()) || framework.contains(&name.as_str());
        assert!(expected, "{name} is no header of a denial");
    }
    let body = response.json();
    let reference = body["reference"].as_str().expect("a reference");
    assert_eq!(reference.len(), 8);
    let expected = format!(r#"{{"error":"Blocked","reference":"{reference}"}}"#);
    assert_eq!(response.text(), expected);
}

pub fn denies_a_listed_client<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    assert_eq!(bench.status_of(LISTED), 403);
    assert_eq!(bench.handled(), 0);
}

pub fn lets_a_clean_client_in<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let response = bench.send(&Request::get("/admin").from_client(CLEAN));
    assert_eq!((response.status, response.text().as_str()), (200, "admin"));
    assert_eq!(bench.handled(), 1);
}

pub fn lets_everybody_use_what_no_rule_covers<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let response = bench.send(&Request::get("/").from_client(LISTED));
    assert_eq!((response.status, response.text().as_str()), (200, "open"));
    assert_eq!(bench.service.check_count(), 0);
}

pub fn denies_as_json_by_default<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    expect_blocked(&bench.send(&listed()));
    expect_blocked(&bench.send(&listed().header("Accept", "*/*")));
    expect_blocked(&bench.send(&listed().header("Accept", b"\xff\xfe;q=\x80")));
}

pub fn denies_as_html_for_browsers<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let response = bench.send(&listed().header("Accept", accept));
    assert_eq!(response.status, 403);
    let content_type = response.header("content-type");
    assert_eq!(content_type, Some("text/html; charset=utf-8"));
    assert!(response.text().starts_with("<!doctype html>"));
}

pub fn denies_head_without_a_body<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let response = bench.send(&Request::new("HEAD", "/admin").from_client(LISTED));
    assert_eq!((response.status, response.body.len()), (403, 0));
    assert_eq!(response.header("content-type"), Some("application/json"));
}

pub fn denies_options_like_any_method<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    for method in ["OPTIONS", "POST", "PUT", "PATCH", "DELETE"] {
        let response = bench.send(&Request::new(method, "/admin").from_client(LISTED));
        expect_blocked(&response);
    }
    assert_eq!(bench.handled(), 0);
}

pub fn denies_methods_that_frameworks_need_not_know<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    for method in ["PROPFIND", "BREW"] {
        let response = bench.send(&Request::new(method, "/admin").from_client(LISTED));
        expect_blocked(&response);
    }
    assert_eq!(bench.handled(), 0);
}

pub fn names_a_new_reference_each_time<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let reference = || bench.send(&listed()).json()["reference"].clone();
    assert_ne!(reference(), reference());
}

pub fn monitor_mode_refuses_nobody_and_shows_the_verdict<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.mode(Mode::Monitor).deny(["26.9.0.0/16"]))
        .serve::<D>();
    assert_eq!(bench.status_of(LISTED), 200);
    assert_eq!(bench.status_of("26.9.1.1"), 200);
    assert_eq!(bench.service.checks_of(address(LISTED)), 1);
    let seen = bench.whoami(Request::get("/whoami").from_client(LISTED));
    assert_eq!(seen["allowed"], false);
    assert_eq!(seen["confidence"], 95);
}

pub fn off_mode_asks_nobody<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.mode(Mode::Off))
        .serve::<D>();
    assert_eq!(bench.status_of(LISTED), 200);
    assert_eq!(bench.service.check_count(), 0);
}

pub fn denylist_denies_without_a_check<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.deny(["26.9.0.0/16", "10.1.2.3"]))
        .serve::<D>();
    expect_blocked(&bench.send(&Request::get("/admin").from_client("26.9.200.1")));
    // The application's word counts for private clients too.
    assert_eq!(bench.status_of("10.1.2.3"), 403);
    assert_eq!(bench.status_of(CLEAN), 200);
    assert_eq!(bench.service.check_count(), 1);
}

pub fn allowlist_comes_before_denylist_and_service<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.allow([LISTED]).deny(["25.0.0.0/8"]))
        .serve::<D>();
    assert_eq!(bench.status_of(LISTED), 200);
    assert_eq!(bench.service.check_count(), 0);
}

pub fn rules_of_different_minimums_share_one_verdict<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.protect(Rule::path("/admin/keys").min_confidence(50)))
        .serve::<D>();
    assert_eq!(bench.status_of(SUSPECT), 200);
    let strict = bench.send(&Request::get("/admin/keys").from_client(SUSPECT));
    assert_eq!(strict.status, 403);
    assert_eq!(bench.status_of(SUSPECT), 200);
    assert_eq!(bench.service.check_count(), 1);
}

pub fn a_rule_for_one_method_leaves_the_others_alone<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.protect(Rule::path("/echo").methods(["POST"])))
        .serve::<D>();
    let post = Request::new("POST", "/echo").from_client(LISTED).body("x");
    assert_eq!(bench.send(&post).status, 403);
    let get = bench.send(&Request::get("/echo").from_client(LISTED));
    assert_ne!(get.status, 403);
}
