//! What the example apps answer to those who watch them.

use conformance::client::{Request, Response};
use conformance::process::Process;
use conformance::prometheus::Scrape;
use ipwhois_guard_testkit::StandIn;

use super::{PATIENCE, client, until, visit};

fn get(process: &Process, path: &str) -> Response {
    Request::get(path).send(&process.address)
}

fn head(process: &Process, path: &str) -> Response {
    Request::new("HEAD", path).send(&process.address)
}

#[track_caller]
fn scrape(process: &Process) -> Scrape {
    let response = get(process, "/metrics");
    assert_eq!(response.status, 200);
    let content_type = response.header("content-type");
    let expected = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(content_type, Some(expected));
    Scrape::read(&response.text())
}

#[track_caller]
fn health(process: &Process) -> serde_json::Value {
    let response = get(process, "/guard/health");
    // Whatever is wrong: it is no reason to take the site out of rotation.
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    response.json()
}

fn watch(framework: &str) {
    let service = StandIn::start().expect("a free port");
    service.set_feed("25.0.9.1\n25.0.9.2\n");
    let process = Process::start(
        framework,
        &[
            ("API_URL", service.url().as_str()),
            ("API_KEY", "hunter2"),
            ("TRUSTED_PROXIES", "127.0.0.0/8"),
            ("MAX_WAIT", "20s"),
        ],
    );
    until("the feed is in force", PATIENCE, || {
        health(&process)["feed_entries"] == 2
    });
    assert_eq!(health(&process)["status"], "ok");
    for path in ["/guard/health", "/metrics"] {
        let (get, head) = (get(&process, path), head(&process, path));
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        let content_type = "content-type";
        assert_eq!(head.header(content_type), get.header(content_type));
    }
    assert_eq!(visit(&process, &client(1)), Some(200));
    service.list(client(2).parse().expect("an address"), 95);
    assert_eq!(visit(&process, &client(2)), Some(403));
    assert_eq!(visit(&process, &client(2)), Some(403));

    let scraped = scrape(&process);
    let decisions = |outcome, source| {
        let labels = [("outcome", outcome), ("source", source)];
        scraped.value("ipwhois_guard_decisions_total", &labels)
    };
    assert_eq!(decisions("allowed", "api"), 1.0);
    assert_eq!(decisions("denied", "api"), 1.0);
    assert_eq!(decisions("denied", "cache"), 1.0);
    let timed = |name, labels: &[(&str, &str)]| {
        let name = format!("ipwhois_guard_api_call_seconds_{name}");
        scraped.value(&name, labels)
    };
    let check = ("endpoint", "check");
    assert_eq!(timed("count", &[check]), 2.0);
    assert_eq!(timed("bucket", &[check, ("le", "+Inf")]), 2.0);
    assert!(timed("sum", &[check]) < 40.0);

    service.require_key(Some("another"));
    assert_eq!(visit(&process, &client(3)), Some(200));
    let degraded = health(&process);
    assert_eq!(degraded["status"], "degraded");
    assert_eq!(degraded["problems"][0]["code"], "key_refused");
    let problem = [("code", "key_refused")];
    assert_eq!(
        scrape(&process).value("ipwhois_guard_problem", &problem),
        1.0
    );
    let all = degraded.to_string() + &get(&process, "/metrics").text();
    assert!(!all.contains("hunter2"));
    assert_eq!(service.check_count(), 3, "looking takes no check");
}

#[test]
fn the_example_on_actix_is_watched() {
    watch("actix");
}

#[test]
fn the_example_on_axum_is_watched() {
    watch("axum");
}

#[test]
fn the_example_on_rocket_is_watched() {
    watch("rocket");
}

#[test]
fn the_example_on_warp_is_watched() {
    watch("warp");
}
