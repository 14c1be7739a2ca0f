//! Rocket drops header lines that are not UTF-8. A client behind a proxy that appends to its line
//! can make the whole line vanish.

use ipwhois_guard_rocket::{AllowedIp, Guard, GuardBuilder, GuardRejection, IpGuard, OnUnverified};
use rocket::error::ErrorKind;
use rocket::local::blocking::Client;
use rocket::{get, post, routes};

use crate::bench::{CLEAN, LISTED, builder, over_a_socket, rocket};

#[get("/admin")]
fn admin() -> &'static str {
    "admin"
}

/// The client's own bytes, then what its proxy appended.
fn status(guard: GuardBuilder, own: &[u8], more: &str) -> u16 {
    let mut request = b"GET /admin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".to_vec();
    request.extend_from_slice(b"X-Forwarded-For: ");
    request.extend_from_slice(own);
    request.extend_from_slice(format!(", {LISTED}\r\n{more}\r\n").as_bytes());
    let rocket = rocket().mount("/", routes![admin]);
    let rocket = rocket.attach(IpGuard::new(guard.build().unwrap()));
    let answers = over_a_socket(rocket, &[&request]);
    answers[0][9..12].parse().unwrap()
}

#[test]
fn an_erased_line_makes_an_unknown_client_for_which_the_settings_say_what_happens() {
    assert_eq!(status(builder(), CLEAN.as_bytes(), ""), 403);
    let strict = builder().on_unknown_client(OnUnverified::Deny);
    assert_eq!(status(strict.clone(), b"\xff", ""), 503);
    // A client with an address is another matter: there is no check for it, and it is let in.
    let unverified = || strict.clone().deny([""; 0]).daily_budget(0);
    assert_eq!(status(unverified(), CLEAN.as_bytes(), ""), 200);
    assert_eq!(status(builder(), b"\xff", ""), 200);
}

#[test]
fn a_line_that_the_proxy_writes_alone_cannot_be_erased() {
    let guard = unsaid().client_ip_header("X-Real-IP");
    assert_eq!(status(guard, b"\xff", "X-Real-IP: 25.0.0.7\r\n"), 403);
}

#[test]
fn the_address_of_a_proxy_in_the_allowlist_lets_no_erased_line_in() {
    let guard = builder()
        .on_unknown_client(OnUnverified::Deny)
        .allow(["127.0.0.1"]);
    assert_eq!(status(guard, b"\xff", ""), 503);
}

/// A trusted proxy, and no word on unknown clients.
fn unsaid() -> GuardBuilder {
    Guard::builder()
        .api_url("http://127.0.0.1:9/api")
        .trusted_proxies(["127.0.0.0/8"])
        .deny([LISTED])
        .protect("/admin")
}

fn launches(guard: GuardBuilder) -> bool {
    let rocket = rocket().mount("/", routes![admin]);
    let rocket = rocket.attach(IpGuard::new(guard.build().unwrap()));
    match Client::untracked(rocket) {
        Ok(_) => true,
        // One that is not looked at panics.
        Err(error) => !matches!(error.kind(), ErrorKind::FailedFairings(_)),
    }
}

#[test]
fn the_launch_fails_until_the_choice_is_made() {
    let untrusting = || unsaid().trusted_proxies([""; 0]);
    for (header, appended) in [
        ("X-Forwarded-For", true),
        ("Forwarded", true),
        ("X-Original-Forwarded-For", true),
        ("X-Real-IP", false),
        ("CF-Connecting-IP", false),
    ] {
        for trusting in [unsaid(), untrusting().trusted_hops(1)] {
            assert_eq!(
                launches(trusting.client_ip_header(header)),
                !appended,
                "{header}"
            );
        }
    }
    // Without a proxy no header is read.
    assert!(launches(untrusting()));
    for choice in [OnUnverified::Allow, OnUnverified::Deny] {
        assert!(launches(unsaid().on_unknown_client(choice)));
    }
    // A word on clients that have an address is no word on these.
    assert!(!launches(unsaid().on_unverified(OnUnverified::Deny)));
}

#[test]
fn the_launch_says_what_the_choice_is() {
    let error = unsaid()
        .build()
        .unwrap()
        .check_for_dropped_lines()
        .unwrap_err();
    let sentence = error.to_string();
    for word in [
        "`client_ip_header`",
        "`on_unknown_client = deny`",
        "`allow`",
        "`X-Real-IP`",
    ] {
        assert!(sentence.contains(word), "{sentence} lacks {word}");
    }
}

#[post("/login", data = "<_password>")]
async fn login(client: AllowedIp, _password: &str) -> Result<&'static str, GuardRejection> {
    client.login_attempt().await?.failed().await?;
    Ok("wrong")
}

/// The answers to this number of guesses of the client behind each of these headers.
fn guess(guard: GuardBuilder, headers: &[(&[u8], usize)]) -> Vec<u16> {
    let request = |own: &[u8]| {
        let mut request = b"POST /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".to_vec();
        request.extend_from_slice(b"Content-Length: 5\r\nX-Forwarded-For: ");
        request.extend_from_slice(own);
        request.extend_from_slice(b"26.0.0.9\r\n\r\nguess");
        request
    };
    let guesses = headers.iter().flat_map(|&(own, n)| vec![request(own); n]);
    let guesses: Vec<Vec<u8>> = guesses.collect();
    let guesses: Vec<&[u8]> = guesses.iter().map(Vec::as_slice).collect();
    let rocket = rocket().mount("/", routes![login]);
    let rocket = rocket.attach(IpGuard::new(guard.build().unwrap()));
    let answers = over_a_socket(rocket, &guesses);
    answers
        .iter()
        .map(|answer| answer[9..12].parse().unwrap())
        .collect()
}

#[test]
fn an_erased_line_buys_a_banned_client_no_more_guesses() {
    let guard = builder()
        .daily_budget(0)
        .on_unknown_client(OnUnverified::Deny);
    let answers = guess(guard, &[(b"", 6), (b"\xff, ", 60)]);
    assert_eq!(answers[..6], [200, 200, 200, 200, 429, 429]);
    assert_eq!(answers[6..], [503; 60]);
}

#[test]
fn clients_that_are_let_in_unknown_are_counted_together() {
    let answers = guess(builder().daily_budget(0), &[(b"\xff, ", 60)]);
    let guesses = answers.iter().filter(|&&status| status == 200).count();
    assert_eq!(guesses, 49);
    assert_eq!(answers[49..], [429; 11]);
}
