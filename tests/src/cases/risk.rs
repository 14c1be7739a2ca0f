//! Who is checked first, when not everybody can be.

use std::time::Duration;

use ipwhois_guard_core::{OnUnverified, Rule};
use ipwhois_guard_testkit::Behaviour;

use super::denial::expect_blocked;
use crate::bench::{Bench, LISTED, Setup, address};
use crate::client::Request;
use crate::driver::{Driver, Hanging, Install};

/// An app behind a guard with 20 checks a day, so many of which are spent. The rest of the day is
/// long, so a check costs what the spent part says: at 8 a score of 1.4 requests, at 9 of 1.8.
fn priced<D: Driver>(setup: Setup, spent: u8) -> Bench {
    let bench = setup.guard(|guard| guard.daily_budget(20)).serve::<D>();
    for n in 1..=spent {
        bench.ask_about(&format!("26.0.{n}.1"));
    }
    bench
}

/// Strangers are let in unverified, and a probe is worth a check.
fn scarce<D: Driver>(setup: Setup) -> Bench {
    priced::<D>(setup, 8)
}

fn source(bench: &Bench, client: &str) -> String {
    let seen = bench.whoami(Request::get("/whoami").from_client(client));
    seen["source"].as_str().expect("a word").to_owned()
}

/// The status of `GET path` for the client that is listed, and not asked about yet.
fn status(bench: &Bench, path: &str) -> u16 {
    let request = Request::get(path).from_client(LISTED);
    bench.send(&request).status
}

/// The next request of the listed client is refused, and a stranger's is not worth a check.
#[track_caller]
fn expect_checked(bench: &Bench) {
    let before = bench.handled();
    expect_blocked(&bench.send(&Request::get("/").from_client(LISTED)));
    assert_eq!(bench.handled(), before);
    assert_eq!(bench.service.checks_of(address(LISTED)), 1);
    assert_eq!(source(bench, "26.0.31.1"), "unverified");
}

/// The listed client is a stranger like others.
#[track_caller]
fn expect_unchecked(bench: &Bench) {
    assert_eq!(source(bench, LISTED), "unverified");
    assert_eq!(bench.service.checks_of(address(LISTED)), 0);
}

pub fn a_probe_path_is_checked_before_it_is_answered<D: Driver>() {
    let bench = scarce::<D>(Setup::without_rules());
    assert_eq!(status(&bench, "/"), 200);
    expect_blocked(&bench.send(&Request::get("/wp-login.php").from_client(LISTED)));
    expect_checked(&bench);
}

pub fn a_burst_of_not_found_answers_brings_the_check_forward<D: Driver>() {
    let bench = scarce::<D>(Setup::without_rules());
    for path in ["/backup", "/old"] {
        assert_eq!(status(&bench, path), 404, "{path}");
    }
    expect_checked(&bench);
}

pub fn the_applications_refusals_bring_the_check_forward<D: Driver>() {
    for refusals in [[401, 403], [403, 404], [404, 401]] {
        let bench = scarce::<D>(Setup::without_rules());
        for refusal in refusals {
            assert_eq!(status(&bench, &format!("/answer/{refusal}")), refusal);
        }
        expect_checked(&bench);
    }
}

pub fn a_served_answer_does_not<D: Driver>() {
    let bench = scarce::<D>(Setup::without_rules());
    for _ in 0..2 {
        assert_eq!(status(&bench, "/"), 200);
    }
    expect_unchecked(&bench);
}

pub fn a_request_counts_once_behind_two_middlewares<D: Driver>() {
    let bench = scarce::<D>(Setup::without_rules().install(Install::Twice));
    // Counted twice, three of them would be worth a check.
    for _ in 0..3 {
        assert_eq!(status(&bench, "/"), 200);
    }
    expect_unchecked(&bench);
}

pub fn an_answer_counts_behind_two_middlewares<D: Driver>() {
    let bench = scarce::<D>(Setup::without_rules().install(Install::Twice));
    for path in ["/backup", "/old"] {
        assert_eq!(status(&bench, path), 404, "{path}");
    }
    expect_checked(&bench);
}

pub fn what_a_client_names_itself_and_where_it_came_from_count<D: Driver>() {
    let bench = scarce::<D>(Setup::without_rules());
    let visit = |agent: &str, referrer: Option<&str>| {
        let request = Request::get("/")
            .from_client(LISTED)
            .header("User-Agent", agent);
        bench.send(&match referrer {
            Some(referrer) => request.header("Referer", referrer),
            None => request,
        })
    };
    let browser = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    // Without the referrer, eleven would be worth a check.
    for _ in 0..14 {
        assert_eq!(visit(browser, Some("https://site.example/")).status, 200);
    }
    expect_unchecked(&bench);
    expect_blocked(&visit("Mozilla/5.0 zgrab/0.x", None));
}

pub fn the_applications_own_word_brings_the_check_forward<D: Driver>() {
    let bench = scarce::<D>(Setup::without_rules());
    let request = Request::new("POST", "/suspect").from_client(LISTED);
    assert_eq!(bench.send(&request).text(), "noted");
    expect_checked(&bench);
}

/// They look like the application's "not found" here.
pub fn denials_of_the_guard_are_no_signal<D: Driver>() {
    let setup = Setup::without_rules()
        .install(Install::CustomResponse)
        .guard(|guard| {
            let strict = Rule::path("/admin").on_unverified(OnUnverified::Deny);
            let lenient = Rule::path("/whoami").on_unverified(OnUnverified::Allow);
            let guard = guard.protect(strict).protect(lenient);
            guard.on_unverified(OnUnverified::Deny)
        });
    let bench = priced::<D>(setup, 8);
    // Where clients without a verdict are refused, a check is always worth it: only a pause keeps
    // them refused.
    bench.service.behave(Behaviour::rate_limited(60));
    bench.ask_about("26.0.30.1");
    bench.service.recover();
    let before = bench.handled();
    for _ in 0..2 {
        // By the middleware.
        assert_eq!(status(&bench, "/admin"), 404);
        // By the extractor, whose answer passes through the middleware.
        assert!(matches!(status(&bench, "/data"), 404 | 503));
    }
    assert_eq!(bench.handled(), before);
    bench.clock.advance(Duration::from_secs(61));
    expect_unchecked(&bench);
}

pub fn a_dropped_request_is_no_signal<D: Driver>() {
    let bench = priced::<D>(Setup::without_rules(), 9);
    for _ in 0..5 {
        let request = Request::get("/hang").from_client(LISTED);
        let impatient = request.begin(bench.address());
        bench.wait_until_hanging_is(Hanging::Begun);
        drop(impatient);
        bench.wait_until_hanging_is(Hanging::Dropped);
    }
    expect_unchecked(&bench);
}
