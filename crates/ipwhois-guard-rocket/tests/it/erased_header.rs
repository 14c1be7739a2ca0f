//! Rocket drops header lines that are not UTF-8. A client behind a proxy that appends to its line can make the whole line
//! vanish.

use ipwhois_guard_rocket::{GuardBuilder, IpGuard, OnUnverified};
use rocket::{get, routes};

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
fn an_erased_line_makes_nobody_but_an_unverified_client() {
    assert_eq!(status(builder(), CLEAN.as_bytes(), ""), 403);
    let strict = builder().on_unverified(OnUnverified::Deny);
    assert_eq!(status(strict, b"\xff", ""), 503);
    // The default for unverified clients is to let them in.
    assert_eq!(status(builder(), b"\xff", ""), 200);
}

#[test]
fn a_line_that_the_proxy_writes_alone_cannot_be_erased() {
    let guard = builder().client_ip_header("X-Real-IP");
    assert_eq!(status(guard, b"\xff", "X-Real-IP: 25.0.0.7\r\n"), 403);
}
