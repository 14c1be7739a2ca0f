//! What is particular to warp: branches, rejections, and where a decision is kept. What every
//! framework keeps is in the conformance suite.

mod answers;
mod branches;
mod once;
mod peer;
mod refusals;

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use ipwhois_guard_core::ManualClock;
use ipwhois_guard_testkit::StandIn;
use ipwhois_guard_warp::{Guard, GuardBuilder};
use warp::http::Response;
use warp::test::RequestBuilder;
use warp::{Filter, Reply};

/// Made up, from a network that nobody announces: the guard never asks about documentation
/// addresses.
const LISTED: Ipv4Addr = Ipv4Addr::new(25, 0, 0, 7);
const CLEAN: Ipv4Addr = Ipv4Addr::new(26, 0, 0, 1);

struct Bench {
    service: StandIn,
    clock: ManualClock,
}

impl Bench {
    fn new() -> Self {
        let service = StandIn::start().expect("a free port");
        service.list(LISTED.into(), 95);
        Self {
            service,
            clock: ManualClock::new(),
        }
    }

    fn guard(&self, change: impl FnOnce(GuardBuilder) -> GuardBuilder) -> Guard {
        let builder = Guard::builder()
            .api_url(self.service.url())
            .clock(self.clock.clone())
            .max_wait(std::time::Duration::from_secs(30));
        change(builder).build().expect("the settings are right")
    }
}

fn get(path: &str, client: Ipv4Addr) -> RequestBuilder {
    let peer = SocketAddr::from((client, 40_000));
    warp::test::request().path(path).remote_addr(peer)
}

/// Answers as a server does: in a task of the request's own.
async fn answer<F>(request: RequestBuilder, routes: &F) -> Response<Bytes>
where
    F: Filter + Clone + Send + Sync + 'static,
    F::Extract: Reply + Send,
    F::Error: Into<warp::Rejection>,
{
    let routes = routes.clone().boxed();
    let answering = tokio::spawn(async move { request.reply(&routes).await });
    answering.await.expect("no filter panics")
}

#[track_caller]
fn expect(response: &Response<Bytes>, status: u16, text: &str) {
    let body = String::from_utf8_lossy(response.body());
    assert_eq!(response.status(), status, "{body}");
    assert!(body.starts_with(text), "{body}");
}

#[track_caller]
fn expect_blocked(response: &Response<Bytes>) {
    expect(response, 403, r#"{"error":"Blocked","reference":""#);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
}
