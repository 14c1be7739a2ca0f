//! One decision a request: where it is found, and where it must not be.

use std::sync::Arc;

use ipwhois_guard_warp::{
    AllowedIp, IpGuard, IpGuardLayer, IpVerdict, Peer, PeerAddr, Rule, allowed_ip, ip_verdict,
};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt};
use warp::http::Request;
use warp::{Filter, Rejection};

use crate::{Bench, CLEAN, LISTED, answer, expect, expect_blocked, get};

fn source(IpVerdict(verdict): IpVerdict) -> &'static str {
    verdict.source().as_str()
}

/// Lets other tasks run, and comes back on any thread.
async fn wait() -> Result<(), Rejection> {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extractor_finds_the_decision_after_waiting() {
    let bench = Bench::new();
    let guard = IpGuard::new(bench.guard(|guard| guard));
    let slow = warp::any().and_then(wait).untuple_one();
    let verdict = slow.and(ip_verdict(guard.clone())).map(source);
    // A wrapper within the wrapper decides nothing either.
    let routes = guard.wrap(guard.wrap(verdict));
    // Another decision would have found the verdict in the cache.
    expect(&answer(get("/", CLEAN), &routes).await, 200, "api");
    expect(&answer(get("/", CLEAN), &routes).await, 200, "cache");
    assert_eq!(bench.service.check_count(), 1);
}

#[tokio::test]
async fn the_rules_minimum_holds_for_the_extractor_behind_it() {
    let bench = Bench::new();
    let guard = bench.guard(|guard| guard.protect(Rule::path("/lenient").min_confidence(99)));
    let guard = IpGuard::new(guard);
    let handler = allowed_ip(guard.clone()).map(|_: AllowedIp| "let in");
    let routes = guard.wrap(handler);
    expect(
        &answer(get("/lenient", LISTED), &routes).await,
        200,
        "let in",
    );
    expect_blocked(&answer(get("/", LISTED), &routes).await);
}

#[tokio::test]
async fn an_extractor_of_another_guard_decides_itself() {
    let bench = Bench::new();
    let lenient = bench.guard(|guard| guard.min_confidence(99));
    let strict = bench.guard(|guard| guard.min_confidence(50));
    let routes = allowed_ip(strict).map(|_: AllowedIp| "let in");
    let routes = IpGuard::new(lenient).wrap(routes);
    expect_blocked(&answer(get("/", LISTED), &routes).await);
}

#[tokio::test]
async fn a_decision_ends_with_its_request() {
    let bench = Bench::new();
    let guard = IpGuard::new(bench.guard(|guard| guard));
    let verdict = ip_verdict(guard.clone()).map(source);
    let routes = guard.wrap(warp::path!("wrapped").and(verdict.clone()).or(verdict));
    // Two requests of one connection: the same task, the same head.
    let connection = tokio::spawn(async move {
        let first = get("/wrapped", CLEAN).reply(&routes).await;
        expect(&first, 200, "api");
        bench.service.list(CLEAN.into(), 95);
        bench
            .clock
            .advance(std::time::Duration::from_secs(24 * 3_600));
        let second = get("/wrapped", CLEAN).reply(&routes).await;
        expect_blocked(&second);
    });
    connection.await.expect("no filter panics");
}

#[tokio::test]
async fn requests_that_share_a_task_share_no_decision() {
    let bench = Bench::new();
    let guard = IpGuard::new(bench.guard(|guard| guard));
    let reached = Arc::new(Notify::new());
    let finish = Arc::new(Notify::new());
    let held = {
        let (reached, finish) = (Arc::clone(&reached), Arc::clone(&finish));
        warp::path!("held").then(move || {
            let (reached, finish) = (Arc::clone(&reached), Arc::clone(&finish));
            async move {
                reached.notify_one();
                finish.notified().await;
                "held"
            }
        })
    };
    let wrapped = guard.wrap(held);
    let bare = warp::path!("held")
        .and(allowed_ip(guard))
        .map(|_: AllowedIp| "let in")
        .recover(ipwhois_guard_warp::recover);
    let task = tokio::spawn(async move {
        let one = get("/held", CLEAN).reply(&wrapped);
        let other = async {
            reached.notified().await;
            // The same in everything but who is connected.
            let response = get("/held", LISTED).reply(&bare).await;
            finish.notify_one();
            response
        };
        tokio::join!(one, other)
    });
    let (one, other) = task.await.expect("no filter panics");
    expect(&one, 200, "held");
    expect_blocked(&other);
}

#[tokio::test]
async fn the_tower_layer_around_a_warp_service_decides_for_the_extractors() {
    let bench = Bench::new();
    let guard = bench.guard(|guard| guard);
    let verdict = ip_verdict(guard.clone()).map(source);
    let service = IpGuardLayer::new(guard).layer(warp::service(verdict));
    let request = |client: std::net::Ipv4Addr| {
        let mut request = Request::new(String::new());
        let peer = PeerAddr(Peer::Ip(client.into()));
        request.extensions_mut().insert(peer);
        request
    };
    let body = |response: warp::reply::Response| async move {
        let (parts, body) = response.into_parts();
        let body = http_body_util::BodyExt::collect(body).await;
        warp::http::Response::from_parts(parts, body.expect("a body").to_bytes())
    };
    let response = service.clone().oneshot(request(CLEAN)).await;
    expect(&body(response.expect("infallible")).await, 200, "api");
    let response = service.oneshot(request(LISTED)).await;
    expect_blocked(&body(response.expect("infallible")).await);
    assert_eq!(bench.service.check_count(), 2);
}
