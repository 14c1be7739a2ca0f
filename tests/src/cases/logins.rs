//! Failed logins: who guesses passwords is stopped at the fifth guess, and reported once.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ipwhois_guard_core::Mode;

use crate::bench::{Bench, CLEAN, Setup};
use crate::client::{Request, Response};
use crate::driver::{Driver, Install, Passwords};

/// Not listed, and nothing to do with the one who guesses.
const BYSTANDER: &str = "26.0.7.1";

const HOUR: Duration = Duration::from_secs(3_600);

fn attempt(client: &str, password: &str) -> Request {
    let request = Request::new("POST", "/login").from_client(client);
    request.header("Content-Type", "text/plain").body(password)
}

fn guess(client: &str) -> Request {
    attempt(client, "wrong")
}

/// The status of a wrong guess.
fn status(bench: &Bench, client: &str) -> u16 {
    bench.send(&guess(client)).status
}

/// The application's own answer to a wrong password.
#[track_caller]
fn expect_wrong(response: &Response) {
    assert_eq!(
        (response.status, response.text().as_str()),
        (401, "wrong"),
        "{response:?}"
    );
}

#[track_caller]
fn expect_refused(response: &Response, retry_after: &str) {
    assert_eq!(response.status, 429, "{response:?}");
    assert_eq!(response.header("retry-after"), Some(retry_after));
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.text(), r#"{"error":"Too many attempts"}"#);
}

/// Four failures that the application answers, and the fifth that bans.
#[track_caller]
fn ban(bench: &Bench, client: &str) {
    for _ in 0..4 {
        expect_wrong(&bench.send(&guess(client)));
    }
    expect_refused(&bench.send(&guess(client)), "3600");
}

pub fn four_failures_are_answered_by_the_application_and_the_fifth_by_the_guard<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    ban(&bench, CLEAN);
    let right = attempt(CLEAN, Passwords::RIGHT);
    expect_refused(&bench.send(&right), "3600");
    assert_eq!(bench.passwords.begun(), 5);
    for _ in 0..4 {
        expect_wrong(&bench.send(&guess(BYSTANDER)));
    }
    let page = bench.send(&guess(BYSTANDER).header("Accept", "text/html"));
    assert_eq!(page.status, 429);
    assert_eq!(page.header("retry-after"), Some("3600"));
    let content_type = page.header("content-type");
    assert_eq!(content_type, Some("text/html; charset=utf-8"));
    assert!(
        page.text().contains("<h1>Too many attempts</h1>"),
        "{page:?}"
    );
}

pub fn the_simple_form_bans_at_the_same_failure<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let send = |password: &str| {
        let request = Request::new("POST", "/login/simple").from_client(CLEAN);
        bench.send(&request.body(password))
    };
    for _ in 0..4 {
        expect_wrong(&send("wrong"));
        assert_eq!(send(Passwords::RIGHT).text(), "welcome");
    }
    expect_refused(&send("wrong"), "3600");
    expect_refused(&send(Passwords::RIGHT), "3600");
}

pub fn a_ban_holds_on_every_guarded_route_and_for_no_one_else<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    ban(&bench, CLEAN);
    let before = bench.handled();
    for path in ["/admin", "/admin/users", "/data", "/data/twice"] {
        let request = Request::get(path).from_client(CLEAN);
        expect_refused(&bench.send(&request), "3600");
    }
    assert_eq!(bench.handled(), before);
    let open = bench.send(&Request::get("/").from_client(CLEAN));
    assert_eq!(open.text(), "open");
    assert_eq!(bench.status_of(BYSTANDER), 200);
    expect_wrong(&bench.send(&guess(BYSTANDER)));
    let seen = bench.whoami(Request::get("/whoami").from_client(CLEAN));
    assert_eq!(
        (&seen["source"], &seen["allowed"]),
        (&"banned".into(), &false.into())
    );
}

pub fn the_service_is_told_once_of_a_brute_force<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    ban(&bench, CLEAN);
    for _ in 0..5 {
        assert_eq!(status(&bench, CLEAN), 429);
    }
    bench.wait_for_all_reports();
    let reports = bench.service.reports();
    assert_eq!(reports.len(), 1);
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        reports[0].fields,
        [
            field("ip", CLEAN),
            field("type", "brute-force"),
            field("message", "5 failed logins within 10m"),
            field("source", "waf"),
        ]
    );
}

pub fn a_success_forgives_failures_for_its_account_alone<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let send = |text: &str| bench.send(&attempt(CLEAN, text));
    let own = format!("attacker:{}", Passwords::RIGHT);
    for _ in 0..3 {
        expect_wrong(&send("attacker:typo"));
        expect_wrong(&send("victim:guess"));
        let right = send(&own);
        assert_eq!((right.status, right.text().as_str()), (200, "welcome"));
    }
    // Guesses at the other account count, and those at the own one are forgiven.
    expect_wrong(&send("victim:guess"));
    expect_refused(&send("victim:guess"), "3600");
    expect_refused(&send(&own), "3600");
}

pub fn forty_right_passwords_at_once_all_get_in<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    bench.passwords.hold();
    thread::scope(|scope| {
        let office: Vec<_> = (0..40)
            .map(|_| scope.spawn(|| bench.send(&attempt(CLEAN, Passwords::RIGHT)).status))
            .collect();
        bench.wait_for_guesses(5);
        assert_eq!(bench.passwords.begun(), 5, "the others wait");
        bench.passwords.release();
        let statuses = office
            .into_iter()
            .map(|login| login.join().expect("no login panicked"));
        assert_eq!(statuses.collect::<Vec<_>>(), [200; 40]);
    });
}

pub fn of_a_hundred_guesses_at_once_five_reach_the_password_check<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    bench.passwords.hold();
    let (answers, answered) = mpsc::channel();
    let next = || {
        let answer = answered.recv_timeout(Duration::from_secs(30));
        answer.expect("the guard refuses, or the application answers")
    };
    thread::scope(|scope| {
        for _ in 0..100 {
            let (answers, bench) = (answers.clone(), &bench);
            scope.spawn(move || {
                let answer = guess(CLEAN).try_send(bench.address());
                let _ = answers.send(answer.map(|answer| answer.status).ok());
            });
        }
        bench.wait_for_guesses(5);
        // While the first five are under way, none of the others gets through. They wait in vain.
        let early: Vec<_> = (0..95).map(|_| next()).collect();
        assert_eq!(early, [Some(429); 95]);
        bench.passwords.release();
        let mut late: Vec<_> = (0..5).map(|_| next()).collect();
        late.sort_unstable();
        let expected = [401, 401, 401, 401, 429].map(Some);
        assert_eq!(late, expected);
    });
    assert_eq!(bench.passwords.begun(), 5);
    bench.wait_for_all_reports();
    assert_eq!(bench.service.reports().len(), 1);
}

pub fn rotating_inside_an_ipv6_64_does_not_help<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let statuses = (1..=7).map(|n| status(&bench, &format!("3ffe:1:2:3::{n}")));
    let statuses: Vec<u16> = statuses.collect();
    assert_eq!(statuses, [401, 401, 401, 401, 429, 429, 429]);
    assert_eq!(bench.status_of("3ffe:1:2:3:ffff::1"), 429);
    expect_wrong(&bench.send(&guess("3ffe:1:2:4::1")));
}

pub fn a_spoofed_header_does_not_help<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let statuses = (1..=7).map(|n| {
        // What the client wrote, and what the proxy appends.
        let forwarded_for = format!("26.0.9.{n}, 127.0.0.1, {CLEAN}");
        status(&bench, &forwarded_for)
    });
    let statuses: Vec<u16> = statuses.collect();
    assert_eq!(statuses, [401, 401, 401, 401, 429, 429, 429]);
    assert_eq!(bench.status_of("26.0.9.1"), 200);
}

pub fn a_client_that_hangs_up_has_used_its_attempt<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    bench.passwords.hold();
    for n in 1..=5 {
        let impatient = guess(CLEAN).begin(bench.address());
        bench.wait_for_guesses(n);
        drop(impatient);
        if D::DROPS_ABANDONED_REQUESTS {
            bench.wait_for_ended_guesses(n);
        }
    }
    let sixth = bench.send(&attempt(CLEAN, Passwords::RIGHT));
    assert_eq!(sixth.status, 429, "{sixth:?}");
    assert_eq!(bench.passwords.begun(), 5);
    if !D::DROPS_ABANDONED_REQUESTS {
        bench.passwords.release();
        bench.wait_for_ended_guesses(5);
    }
    bench.wait_for_reports(1);
    assert_eq!(bench.status_of(CLEAN), 429);
}

pub fn a_ban_ends<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    ban(&bench, CLEAN);
    bench.clock.advance(HOUR - Duration::from_secs(60));
    expect_refused(&bench.send(&guess(CLEAN)), "60");
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(bench.status_of(CLEAN), 200);
    // With all five places.
    ban(&bench, CLEAN);
}

pub fn monitor_mode_counts_and_refuses_nobody<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.mode(Mode::Monitor))
        .serve::<D>();
    for _ in 0..10 {
        expect_wrong(&bench.send(&guess(CLEAN)));
    }
    assert_eq!(bench.status_of(CLEAN), 200);
    let seen = bench.whoami(Request::get("/whoami").from_client(CLEAN));
    assert_eq!(
        (&seen["source"], &seen["allowed"]),
        (&"banned".into(), &false.into())
    );
    bench.wait_for_all_reports();
    assert_eq!(bench.service.reports().len(), 1);
}

pub fn allowlisted_clients_are_never_banned<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.allow([CLEAN]))
        .serve::<D>();
    for _ in 0..10 {
        expect_wrong(&bench.send(&guess(CLEAN)));
    }
    assert_eq!(bench.status_of(CLEAN), 200);
    bench.wait_for_all_reports();
    assert!(bench.service.reports().is_empty());
}

/// All clients have its address.
pub fn a_proxy_that_nobody_configured_is_not_banned<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.trusted_proxies([""; 0]))
        .serve::<D>();
    for _ in 0..10 {
        expect_wrong(&bench.send(&guess(CLEAN)));
    }
    // What forwards nothing is a client.
    let direct = Request::new("POST", "/login").body("wrong");
    for _ in 0..4 {
        expect_wrong(&bench.send(&direct));
    }
    expect_refused(&bench.send(&direct), "3600");
}

pub fn the_application_may_word_the_refusal_itself<D: Driver>() {
    let bench = Setup::new().install(Install::CustomResponse).serve::<D>();
    for _ in 0..4 {
        expect_wrong(&bench.send(&guess(CLEAN)));
    }
    let fifth = bench.send(&guess(CLEAN));
    if D::WORDS_REFUSALS_OF_HANDLERS {
        assert_eq!(fifth.status, 404);
        assert!(fifth.text().starts_with("custom "), "{fifth:?}");
    } else {
        expect_refused(&fifth, "3600");
    }
    let denied = bench.send(&Request::get("/admin").from_client(CLEAN));
    assert_eq!(denied.status, 404);
    assert!(denied.text().starts_with("custom "), "{denied:?}");
}
