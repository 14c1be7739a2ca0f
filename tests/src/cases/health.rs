//! What is silently wrong, as `GET /guard/health` tells it.

use std::time::Duration;

use ipwhois_guard_core::{Peer, RequestHead};
use ipwhois_guard_testkit::{Behaviour, Endpoint};
use serde_json::Value;

use crate::bench::{Bench, CLEAN, Setup};
use crate::client::Request;
use crate::driver::Driver;

const FEED: &str = "25.0.9.1\n25.0.9.2\n25.0.9.3\n";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A hundred requests tell what all of them have in common, and one that comes while the guard's
/// thread looks is not counted.
const ENOUGH: u8 = 110;

/// The app as it should be: with a feed.
fn setup() -> Setup {
    Setup::new().service(|service| service.set_feed(FEED))
}

/// Health by the route, which answers 200 whatever it says.
#[track_caller]
fn health(bench: &Bench) -> Value {
    let response = bench.send(&Request::get("/guard/health"));
    assert_eq!(response.status, 200);
    response.json()
}

#[track_caller]
fn expect_ok(bench: &Bench) {
    let health = health(bench);
    assert_eq!(health["status"], "ok", "{health}");
    assert_eq!(health["problems"], Value::Array(Vec::new()), "{health}");
}

/// Nothing else is wrong.
#[track_caller]
fn expect_problem(bench: &Bench, code: &str, words: &str) {
    let health = health(bench);
    assert_eq!(health["status"], "degraded", "{health}");
    let problems = health["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 1, "{health}");
    assert_eq!(problems[0]["code"], code);
    let message = problems[0]["message"].as_str().expect("a sentence");
    assert!(message.contains(words), "{message}");
}

/// The n-th client, from a network of its own.
fn client(n: u8) -> String {
    format!("26.1.{n}.1")
}

pub fn a_fresh_app_is_ok<D: Driver>() {
    let bench = setup().serve::<D>();
    expect_ok(&bench);
    bench.wait_until_ready();
    expect_ok(&bench);
    let health = health(&bench);
    assert_eq!(health["feed_entries"], 3, "{health}");
    assert_eq!(health["checks_today"], 0, "{health}");
    assert_eq!(health["mode"], "enforce", "{health}");
}

pub fn head_is_answered_like_get_and_without_a_body<D: Driver>() {
    let bench = setup().serve::<D>();
    bench.wait_until_ready();
    let look = |method| {
        let response = bench.send(&Request::new(method, "/guard/health"));
        let content_type = response.header("content-type").map(str::to_owned);
        (response.status, content_type, response.body.len())
    };
    let (status, content_type, length) = look("GET");
    assert_eq!(status, 200);
    assert!(length > 0);
    assert_eq!(look("HEAD"), (200, content_type, 0));
}

pub fn a_service_that_is_down_is_told_and_so_is_its_return<D: Driver>() {
    let bench = setup().serve::<D>();
    bench.wait_until_ready();
    bench.service.behave(Behaviour::status(500));
    for n in 1..=5 {
        expect_ok(&bench);
        assert_eq!(bench.status_of(&client(n)), 200);
    }
    expect_problem(&bench, "breaker_open", "left alone for 10s");
    bench.service.recover();
    bench.clock.advance(Duration::from_secs(10));
    assert_eq!(bench.status_of(&client(6)), 200);
    expect_ok(&bench);
}

pub fn a_refused_key_is_told_and_so_is_a_good_one<D: Driver>() {
    let bench = setup().guard(|guard| guard.api_key("hunter2")).serve::<D>();
    bench.wait_until_ready();
    bench.service.require_key(Some("another"));
    assert_eq!(bench.status_of(&client(1)), 200);
    expect_problem(&bench, "key_refused", "status 401");
    assert!(!health(&bench).to_string().contains("hunter2"));
    bench.service.require_key(Some("hunter2"));
    assert_eq!(bench.status_of(&client(2)), 200);
    expect_ok(&bench);
}

pub fn a_budget_that_is_gone_is_told_and_so_is_the_next_day<D: Driver>() {
    let bench = setup().serve::<D>();
    bench.wait_until_ready();
    bench.service.quota(Some(0));
    assert_eq!(bench.status_of(CLEAN), 200);
    expect_problem(&bench, "budget_gone", "until 2026-01-01T01:00:00Z");
    bench.service.quota(None);
    // The feed must not get old meanwhile.
    bench.clock.advance(Duration::from_secs(60 * 60));
    expect_ok(&bench);

    let bench = setup()
        .guard(|guard| guard.daily_budget(1).feed_url(""))
        .serve::<D>();
    // The last check of a day is kept for those who insist.
    bench.ask_about("26.2.1.1");
    expect_problem(&bench, "budget_gone", "until 2026-01-02T00:00:00Z");
    bench.clock.advance(DAY);
    expect_ok(&bench);
}

pub fn a_feed_that_is_refused_is_told_and_so_is_a_good_one<D: Driver>() {
    let bench = setup()
        .service(|service| service.behave_on(Endpoint::Feed, Behaviour::html()))
        .serve::<D>();
    bench.wait_until_ready();
    expect_problem(&bench, "feed_refused", "an HTML page");
    bench.service.recover();
    bench.refresh_feed();
    expect_ok(&bench);
    bench.service.set_feed("25.0.9.1\n");
    bench.refresh_feed();
    expect_problem(&bench, "feed_refused", "from 3 entries to 1");
}

/// All of them have the address of the proxy.
pub fn a_proxy_that_nobody_configured_is_told<D: Driver>() {
    let bench = setup()
        .guard(|guard| guard.trusted_proxies([""; 0]))
        .serve::<D>();
    bench.wait_until_ready();
    for n in 0..ENOUGH {
        assert_eq!(bench.status_of(&client(n)), 200);
    }
    expect_problem(&bench, "every_client_the_same", "127.0.0.1");
}

pub fn a_trusted_proxy_that_names_nobody_is_told<D: Driver>() {
    let bench = setup().serve::<D>();
    bench.wait_until_ready();
    for n in 0..ENOUGH {
        let request = Request::get(&format!("/admin/users/{n}"));
        assert_eq!(bench.send(&request).status, 200);
    }
    expect_problem(&bench, "clients_unknown", "`client_ip_header`");
}

pub fn a_header_that_cannot_be_read_is_told<D: Driver>() {
    let bench = setup().serve::<D>();
    bench.wait_until_ready();
    for _ in 0..ENOUGH {
        assert_eq!(bench.status_of("unknown"), 200);
    }
    expect_problem(&bench, "clients_unknown", "`client_ip_header`");
}

pub fn health_checks_of_a_trusted_proxy_are_no_problem<D: Driver>() {
    let bench = setup().serve::<D>();
    bench.wait_until_ready();
    for n in 0..ENOUGH {
        for _ in 0..6 {
            assert_eq!(bench.send(&Request::get("/admin")).status, 200);
        }
        assert_eq!(bench.status_of(&client(n)), 200);
    }
    expect_ok(&bench);
}

/// A visit by way of the proxy on loopback.
struct Visit {
    path: String,
    forwarded_for: &'static str,
}

impl RequestHead for Visit {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn peer(&self) -> Peer {
        Peer::Ip([127, 0, 0, 1].into())
    }

    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        let line = (name == "x-forwarded-for").then_some(self.forwarded_for.as_bytes());
        line.into_iter()
    }
}

/// Visits for many paths, whose clients take turns. Only a sample of them is looked at, so they do
/// not all come by the network.
fn crowd(bench: &Bench, clients: &[&'static str]) {
    for (n, forwarded_for) in clients.iter().cycle().take(4_000).enumerate() {
        bench.decide(&Visit {
            path: format!("/admin/users/{}", n % 100),
            forwarded_for,
        });
    }
}

/// Wrong passwords are answered by the application alone.
#[track_caller]
fn expect_no_ban(bench: &Bench, client: &str) {
    for path in ["/login", "/login/simple"] {
        let guess = Request::new("POST", path).from_client(client).body("wrong");
        for _ in 0..4 {
            assert_eq!(bench.send(&guess).status, 401);
        }
    }
    assert_eq!(bench.status_of(client), 200);
    let health = health(bench);
    assert_eq!(health["active_bans"], 0, "{health}");
    assert!(health.to_string().contains("client_not_banned"), "{health}");
    bench.wait_for_all_reports();
    assert!(bench.service.reports().is_empty());
}

pub fn nodes_that_hide_the_clients_are_told_and_not_banned<D: Driver>() {
    let bench = setup().serve::<D>();
    bench.wait_until_ready();
    crowd(&bench, &["10.244.0.1", "10.244.1.1", "10.244.2.1"]);
    expect_problem(&bench, "clients_not_public", "10.244.2.1");
    expect_no_ban(&bench, "10.244.1.1");
}

pub fn a_second_proxy_that_is_not_trusted_is_told_and_neither_banned_nor_reported<D: Driver>() {
    let bench = setup().serve::<D>();
    bench.wait_until_ready();
    crowd(&bench, &["26.0.0.1, 25.9.0.10", "26.0.0.2, 25.9.0.11"]);
    expect_problem(&bench, "proxies_not_trusted", "25.9.0.10, 25.9.0.11");
    expect_no_ban(&bench, "26.0.0.3, 25.9.0.10");
}

pub fn a_page_in_the_services_place_is_not_taken_for_a_refused_key<D: Driver>() {
    let bench = setup()
        .guard(|guard| guard.api_key("a-good-key"))
        .serve::<D>();
    bench.wait_until_ready();
    let challenge = Behaviour::reply(403, "text/html", "<!doctype html>One moment");
    bench.service.behave(challenge);
    for n in 1..=5 {
        assert_eq!(bench.status_of(&client(n)), 200);
    }
    expect_problem(&bench, "breaker_open", "a page came instead of a reply");
}

pub fn an_api_url_with_the_endpoint_in_it_is_told<D: Driver>() {
    let bench = setup().guard(|guard| guard.feed_url("")).serve::<D>();
    bench.service.behave(Behaviour::status(404));
    for n in 1..=5 {
        assert_eq!(bench.status_of(&client(n)), 200);
    }
    let words = "is `api_url` the base, without `/check`?";
    expect_problem(&bench, "breaker_open", words);
}

pub fn a_client_that_is_not_banned_is_told<D: Driver>() {
    let bench = setup()
        .guard(|guard| guard.trusted_proxies([""; 0]))
        .serve::<D>();
    bench.wait_until_ready();
    for path in ["/login", "/login/simple"] {
        expect_ok(&bench);
        let guess = Request::new("POST", path).from_client(CLEAN).body("wrong");
        for _ in 0..3 {
            assert_eq!(bench.send(&guess).status, 401);
        }
    }
    expect_problem(&bench, "client_not_banned", "failed to log in 6 times");
}

pub fn a_developer_on_localhost_is_no_proxy<D: Driver>() {
    let bench = setup()
        .guard(|guard| guard.trusted_proxies([""; 0]))
        .serve::<D>();
    bench.wait_until_ready();
    for n in 0..400 {
        let request = Request::get(&format!("/admin/users/{n}"));
        assert_eq!(bench.send(&request).status, 200);
    }
    expect_ok(&bench);
}

pub fn visitors_behind_a_trusted_proxy_are_no_problem<D: Driver>() {
    let bench = setup().serve::<D>();
    bench.wait_until_ready();
    for n in 0..200 {
        assert_eq!(bench.status_of(&client(n % 40)), 200);
    }
    expect_ok(&bench);
}

pub fn looking_at_health_takes_no_check<D: Driver>() {
    let bench = setup().serve::<D>();
    bench.wait_until_ready();
    for n in 0..50 {
        let request = Request::get("/guard/health").from_client(client(n));
        assert_eq!(bench.send(&request).status, 200);
    }
    assert_eq!(bench.service.check_count(), 0);
    assert_eq!(health(&bench)["checks_today"], 0);
}
