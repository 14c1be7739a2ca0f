//! Who is checked first, when not everybody can be.

use ipwhois_guard_core::{OnUnverified, Rule};

use super::denial::expect_blocked;
use crate::bench::{Bench, LISTED, Setup, address};
use crate::client::Request;
use crate::driver::{Driver, Hanging, Install};

/// A budget so small that it is given out one check at a time: the next is due in an hour.
fn small(setup: Setup) -> Setup {
    setup.guard(|guard| guard.daily_budget(20))
}

/// The app behind a guard whose routine checks are used up: strangers are let in unverified.
fn exhausted<D: Driver>(setup: Setup) -> Bench {
    let bench = small(setup).serve::<D>();
    // Each from a network of its own: networks are rationed, too.
    let used_up = (1..=10).any(|n| {
        // Who comes again and again is checked earlier: nothing may be left for that either.
        (0..16).all(|_| source(&bench, &format!("26.0.{n}.1")) == "unverified")
    });
    assert!(used_up, "ten strangers at once were checked");
    bench
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

/// The next request of the listed client is refused, although routine checks are used up.
#[track_caller]
fn expect_checked(bench: &Bench) {
    let before = bench.handled();
    expect_blocked(&bench.send(&Request::get("/").from_client(LISTED)));
    assert_eq!(bench.handled(), before);
    assert_eq!(bench.service.checks_of(address(LISTED)), 1);
    // It was not the pace that let it.
    assert_eq!(source(bench, "26.0.11.1"), "unverified");
}

/// The listed client is a stranger like others.
#[track_caller]
fn expect_unchecked(bench: &Bench) {
    assert_eq!(source(bench, LISTED), "unverified");
    assert_eq!(bench.service.checks_of(address(LISTED)), 0);
}

pub fn a_probe_path_is_checked_before_it_is_answered<D: Driver>() {
    let bench = exhausted::<D>(Setup::without_rules());
    assert_eq!(status(&bench, "/"), 200);
    expect_blocked(&bench.send(&Request::get("/wp-login.php").from_client(LISTED)));
    expect_checked(&bench);
}

pub fn a_burst_of_not_found_answers_brings_the_check_forward<D: Driver>() {
    let bench = exhausted::<D>(Setup::without_rules());
    for path in ["/backup", "/old"] {
        assert_eq!(status(&bench, path), 404, "{path}");
    }
    expect_checked(&bench);
}

pub fn the_applications_refusals_bring_the_check_forward<D: Driver>() {
    for refusals in [[401, 403], [403, 404], [404, 401]] {
        let bench = exhausted::<D>(Setup::without_rules());
        for refusal in refusals {
            assert_eq!(status(&bench, &format!("/answer/{refusal}")), refusal);
        }
        expect_checked(&bench);
    }
}

pub fn one_not_found_answer_does_not<D: Driver>() {
    let bench = exhausted::<D>(Setup::without_rules());
    assert_eq!(status(&bench, "/backup"), 404);
    for _ in 0..10 {
        assert_eq!(status(&bench, "/"), 200);
    }
    expect_unchecked(&bench);
}

pub fn an_answer_counts_once_behind_two_middlewares<D: Driver>() {
    let bench = exhausted::<D>(Setup::without_rules().install(Install::Twice));
    assert_eq!(status(&bench, "/backup"), 404);
    expect_unchecked(&bench);
    assert_eq!(status(&bench, "/old"), 404);
    expect_checked(&bench);
}

pub fn the_applications_own_word_brings_the_check_forward<D: Driver>() {
    let bench = exhausted::<D>(Setup::without_rules());
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
    let bench = exhausted::<D>(setup);
    // Where strangers are refused they are checked ahead of others: until that is used up, too.
    let used_up = (1..=10).any(|n| {
        let stranger = Request::get("/admin").from_client(format!("26.{n}.0.1"));
        bench.send(&stranger).status == 404
    });
    assert!(used_up);
    let before = bench.handled();
    for _ in 0..5 {
        // By the middleware.
        assert_eq!(status(&bench, "/admin"), 404);
        // By the extractor, whose answer passes through the middleware.
        assert!(matches!(status(&bench, "/data"), 404 | 503));
    }
    assert_eq!(bench.handled(), before);
    expect_unchecked(&bench);
}

pub fn a_dropped_request_is_no_signal<D: Driver>() {
    let bench = exhausted::<D>(Setup::without_rules());
    for _ in 0..5 {
        let request = Request::get("/hang").from_client(LISTED);
        let impatient = request.begin(bench.address());
        bench.wait_until_hanging_is(Hanging::Begun);
        drop(impatient);
        bench.wait_until_hanging_is(Hanging::Dropped);
    }
    expect_unchecked(&bench);
}
