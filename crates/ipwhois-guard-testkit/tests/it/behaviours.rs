//! Every way to misbehave, seen from the other end of the socket.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use ipwhois_guard_testkit::{Behaviour, Endpoint, StandIn};

use crate::client::{Client, LONG, ip, start};

fn behaving(behaviour: Behaviour) -> (StandIn, Client) {
    let service = start();
    service.behave(behaviour);
    let client = Client::of(&service);
    (service, client)
}

/// What a client gets to see until the connection is closed.
fn seen(behaviour: Behaviour) -> (String, Option<ErrorKind>) {
    let (service, mut client) = behaving(behaviour);
    client.send_check("26.0.0.1");
    let seen = client.rest();
    assert_eq!(service.check_count(), 1, "recorded all the same");
    seen
}

/// The body that a reply promises and the part of it that came.
fn promised_and_sent(reply: &str) -> (usize, usize) {
    let (head, body) = reply.split_once("\r\n\r\n").expect("a whole head");
    let length = head.split_once("Content-Length: ").expect("a length").1;
    let length = length.lines().next().and_then(|length| length.parse().ok());
    (length.expect("a number"), body.len())
}

#[test]
fn delay_answers_late() {
    let (_service, mut client) = behaving(Behaviour::Delay(Duration::from_millis(60)));
    let start = Instant::now();
    assert_eq!(client.check("26.0.0.1").status, 200);
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[test]
fn hang_says_nothing_until_the_client_leaves() {
    let (service, mut client) = behaving(Behaviour::Hang);
    client.send_check("26.0.0.1");
    assert!(service.wait_for_checks(1, LONG));
    service.recover();
    // Another connection is served meanwhile, so the thread has had its chance to answer this one.
    assert_eq!(Client::of(&service).check("26.0.0.2").status, 200);
    assert!(client.is_silent());
    drop(client);
    assert!(service.wait_for_connections_to_fall(0, LONG));
}

#[test]
fn held_requests_are_answered_on_release() {
    let (service, mut first) = behaving(Behaviour::Held);
    let mut second = Client::of(&service);
    first.send_check("25.0.0.1");
    assert!(service.wait_for_checks(1, LONG));
    assert!(first.is_silent());
    service.list(ip("25.0.0.1"), 95);
    service.release();
    let reply = first.reply();
    assert!(
        reply.body.contains("true"),
        "the answer is today's: {reply:?}"
    );

    second.send_check("25.0.0.1");
    assert!(service.wait_for_checks(2, LONG));
    assert!(second.is_silent(), "held until the next release");
    service.recover();
    assert_eq!(second.reply().status, 200, "recovering releases too");
    assert_eq!(second.check("25.0.0.1").status, 200);
}

#[test]
fn reset_sends_nothing_but_a_reset() {
    assert_eq!(
        seen(Behaviour::Reset),
        (String::new(), Some(ErrorKind::ConnectionReset))
    );
}

#[test]
fn reset_mid_body_breaks_off() {
    let (service, mut client) = behaving(Behaviour::ResetMidBody);
    client.send_check("26.0.0.1");
    let error = client.try_reply().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(service.check_count(), 1);
}

#[test]
fn close_early_closes_in_order() {
    assert_eq!(seen(Behaviour::CloseEarly), (String::new(), None));
}

#[test]
fn truncated_promises_more_than_it_sends() {
    let (reply, error) = seen(Behaviour::Truncated);
    let (promised, sent) = promised_and_sent(&reply);
    assert!(0 < sent && sent < promised, "{sent} of {promised}");
    assert_eq!(error, None);
}

#[test]
fn slow_body_takes_its_time_and_arrives() {
    let pause = Duration::from_millis(2);
    let (_service, mut client) = behaving(Behaviour::SlowBody { pause });
    let start = Instant::now();
    let reply = client.check("26.0.0.1");
    assert!(reply.body.contains("26.0.0.1"));
    assert!(start.elapsed() >= pause * u32::try_from(reply.body.len()).unwrap());
    assert_eq!(client.check("26.0.0.1").status, 200, "kept alive");
}

#[test]
fn endless_goes_on_until_the_client_leaves() {
    let (service, mut client) = behaving(Behaviour::Endless);
    client.send_check("26.0.0.1");
    let start = client.read(4 * 1024 * 1024);
    assert!(start.starts_with(b"HTTP/1.1 200 OK\r\n"));
    service.recover();
    assert_eq!(Client::of(&service).check("26.0.0.1").status, 200);
    drop(client);
    assert!(service.wait_for_connections_to_fall(0, LONG));
}

#[test]
fn a_reply_is_sent_as_it_was_given() {
    #[track_caller]
    fn check(behaviour: Behaviour, status: u16, content_type: &str, part: &str) {
        let (_service, mut client) = behaving(behaviour);
        // Twice: the connection stays usable.
        for reply in [client.check("26.0.0.1"), client.check("26.0.0.1")] {
            assert_eq!(reply.status, status);
            assert_eq!(reply.header("content-type"), Some(content_type));
            assert!(reply.body.contains(part), "{reply:?}");
        }
    }
    check(Behaviour::status(503), 503, "application/json", "503");
    check(
        Behaviour::json("{\"listed\":"),
        200,
        "application/json",
        "{\"listed\":",
    );
    check(Behaviour::html(), 200, "text/html; charset=utf-8", "<html>");
    check(
        Behaviour::reply(418, "text/tea", "short"),
        418,
        "text/tea",
        "short",
    );
}

#[test]
fn a_reply_brings_its_own_headers() {
    let (_service, mut client) = behaving(Behaviour::Reply {
        status: 200,
        headers: vec![("RateLimit-Remaining".to_owned(), "7".to_owned())],
        body: Vec::new(),
    });
    assert_eq!(
        client.check("26.0.0.1").header("ratelimit-remaining"),
        Some("7")
    );
}

#[test]
fn redirect_points_elsewhere() {
    let (_service, mut client) = behaving(Behaviour::Redirect("http://127.0.0.1:1/x".to_owned()));
    let reply = client.check("26.0.0.1");
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, Some("http://127.0.0.1:1/x"))
    );
}

#[test]
fn raw_sends_exactly_these_bytes() {
    let bytes = "SSH-2.0-OpenSSH_9.6\r\n";
    assert_eq!(seen(Behaviour::Raw(bytes.into())), (bytes.to_owned(), None));
}

#[test]
fn rate_limited_says_when_to_come_back_or_not() {
    let (service, mut client) = behaving(Behaviour::rate_limited(60));
    let reply = client.check("26.0.0.1");
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (429, Some("60"))
    );
    service.behave(Behaviour::RateLimited { retry_after: None });
    let reply = client.check("26.0.0.1");
    assert_eq!((reply.status, reply.header("retry-after")), (429, None));
}

#[test]
fn the_more_particular_behaviour_wins() {
    let (service, mut client) = behaving(Behaviour::status(500));
    service.behave_on(Endpoint::Feed, Behaviour::status(501));
    service.behave_on(Endpoint::Check, Behaviour::status(502));
    service.behave_for(ip("25.0.0.1"), Behaviour::status(503));
    assert_eq!(client.report("ip=25.0.0.1&type=scan").status, 500);
    assert_eq!(client.get("/feed.txt", "").status, 501);
    assert_eq!(client.check("26.0.0.1").status, 502);
    assert_eq!(client.check("25.0.0.1").status, 503);

    service.recover();
    assert_eq!(client.report("ip=25.0.0.1&type=scan").status, 200);
    assert_eq!(client.get("/feed.txt", "").status, 200);
    assert_eq!(client.check("25.0.0.1").status, 200);
}
