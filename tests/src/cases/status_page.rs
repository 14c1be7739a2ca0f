//! The status page, as a browser gets it.

use std::time::Duration;

use ipwhois_guard_core::Rule;

use crate::bench::{Bench, CLEAN, LISTED, Setup, address};
use crate::client::{Request, Response};
use crate::driver::Driver;

const TOKEN: &str = "a-token-of-the-cases";

fn bench<D: Driver>() -> Bench {
    let setup = Setup::new().guard(|guard| guard.status_token(TOKEN));
    setup.serve::<D>()
}

#[track_caller]
fn page(bench: &Bench, request: Request) -> String {
    let response = bench.send(&request);
    assert_eq!(response.status, 200);
    response.text()
}

/// A form as the page on this site posts it.
fn post(bench: &Bench, path: &str, lines: &[(&str, &str)], form: &str) -> Response {
    let mut request = Request::new("POST", path)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form);
    for (name, value) in lines {
        request = request.header(name, value);
    }
    bench.send(&request)
}

/// The cookie, and what the forms carry.
fn signed_in(bench: &Bench) -> (String, String) {
    let ours = [("Sec-Fetch-Site", "same-origin")];
    let answer = post(bench, "/guard/token", &ours, &format!("token={TOKEN}"));
    assert_eq!(answer.status, 303);
    let cookie = answer.header("set-cookie").expect("a cookie");
    let cookie = cookie.split(';').next().expect("its value").to_owned();
    let shown = page(bench, Request::get("/guard/").header("Cookie", &cookie));
    let (_, csrf) = shown.split_once("name=\"csrf\" value=\"").expect("a form");
    let csrf = csrf.split('"').next().expect("its value").to_owned();
    (cookie, csrf)
}

pub fn the_page_is_mounted_with_its_policy<D: Driver>() {
    let bench = bench::<D>();
    let response = bench.send(&Request::get("/guard/"));
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let policy = response
        .header("content-security-policy")
        .expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'nonce-"),
        "{policy}"
    );
    let redirect = bench.send(&Request::get("/guard"));
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (303, Some("guard/"))
    );
    assert_eq!(bench.send(&Request::get("/guard/nothing")).status, 404);
    let head = bench.send(&Request::new("HEAD", "/guard/"));
    assert_eq!((head.status, head.body.len()), (200, 0));
    // The application's own route below it stays.
    assert_eq!(
        bench.send(&Request::get("/guard/health")).json()["mode"],
        "enforce"
    );
    assert_eq!(bench.handled(), 1, "the page is no handler's");
}

pub fn the_page_knows_who_looks_at_it<D: Driver>() {
    let bench = bench::<D>();
    let shown = page(&bench, Request::get("/guard/").from_client("26.9.8.7"));
    assert!(shown.contains("<b>26.9.8.7</b>"), "{shown}");
    assert!(shown.contains("x-forwarded-for"));
    let shown = page(&bench, Request::get("/guard/"));
    assert!(shown.contains("It cannot tell."));
}

pub fn what_a_client_sends_is_text_on_the_page<D: Driver>() {
    let bench = Setup::without_rules().serve::<D>();
    let target = "/'><script>alert(1)</script>&quot;?secret=1";
    let hostile = Request::get(target).from_client(LISTED);
    let status = bench
        .send(&hostile.header("User-Agent", "<img src=x>"))
        .status;
    let shown = page(&bench, Request::get("/guard/?explain=%3Cimg%20src=y%3E"));
    assert!(!shown.contains("<script>alert") && !shown.contains("<img"));
    assert!(shown.contains("&lt;img src=y&gt;"));
    // Some servers refuse such a target themselves.
    if status == 403 {
        assert!(shown.contains("script&gt;alert(1)") || shown.contains("script%3Ealert(1)"));
    }
    assert!(!shown.contains("secret"));
}

pub fn addresses_are_masked_without_the_token<D: Driver>() {
    let bench = bench::<D>();
    assert_eq!(bench.status_of(LISTED), 403);
    bench.guard.ban(address(CLEAN), Duration::from_secs(60));
    let shown = page(&bench, Request::get("/guard/"));
    assert!(!shown.contains(LISTED) && !shown.contains(CLEAN));
    assert!(shown.contains("25.0.0.0/24") && shown.contains("26.0.0.0/24"));
    assert!(!shown.contains("Lift the ban"));
    let json = page(&bench, Request::get("/guard/status.json"));
    assert!(!json.contains(LISTED) && json.contains("25.0.0.0/24"));
    let (cookie, _) = signed_in(&bench);
    let shown = page(&bench, Request::get("/guard/").header("Cookie", cookie));
    assert!(shown.contains(LISTED) && shown.contains("Lift the ban"));
    let bearer = format!("Bearer {TOKEN}");
    let request = Request::get("/guard/status.json").header("Authorization", bearer);
    assert!(page(&bench, request).contains(LISTED));
}

pub fn a_ban_is_lifted_by_the_page_alone<D: Driver>() {
    let bench = bench::<D>();
    bench.guard.ban(address(CLEAN), Duration::from_secs(60));
    assert_eq!(bench.status_of(CLEAN), 429);
    let (cookie, csrf) = signed_in(&bench);
    let form = format!("client={CLEAN}&csrf={csrf}");
    let cookie = ("Cookie", &*cookie);
    let ours = ("Sec-Fetch-Site", "same-origin");
    for (lines, form) in [
        (&[ours][..], &*form),
        (&[cookie], &form),
        (&[cookie, ("Sec-Fetch-Site", "cross-site")], &form),
        (&[cookie, ("Origin", "https://evil.example")], &form),
        (&[cookie, ours], "client=26.0.0.1"),
    ] {
        assert_eq!(
            post(&bench, "/guard/unban", lines, form).status,
            403,
            "{lines:?}"
        );
    }
    assert_eq!(bench.status_of(CLEAN), 429);
    let lifted = post(&bench, "/guard/unban", &[cookie, ours], &form);
    assert_eq!(
        (lifted.status, lifted.header("location")),
        (303, Some("./#bans"))
    );
    assert_eq!(bench.status_of(CLEAN), 200);
}

pub fn an_endless_form_is_refused<D: Driver>() {
    let bench = bench::<D>();
    let ours = [("Sec-Fetch-Site", "same-origin")];
    let form = format!("token={TOKEN}&x={}", "x".repeat(100_000));
    let answer = post(&bench, "/guard/token", &ours, &form);
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    assert!(answer.header("set-cookie").is_none());
}

pub fn the_page_is_guarded_like_any_other<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.protect(Rule::path("/guard")))
        .serve::<D>();
    let request = |client| Request::get("/guard/").from_client(client);
    assert_eq!(bench.send(&request(LISTED)).status, 403);
    assert_eq!(bench.send(&request(CLEAN)).status, 200);
}
