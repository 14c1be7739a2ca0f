//! What `or` does to a refused client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ipwhois_guard_warp::{AllowedIp, IpGuard, allowed_ip, recover};
use warp::{Filter, Reply};

use crate::{Bench, CLEAN, LISTED, answer, expect, expect_blocked, get};

/// A handler that counts its requests.
fn counting(
    count: &Arc<AtomicUsize>,
) -> impl Filter<Extract = (&'static str,), Error = std::convert::Infallible> + Clone + use<> {
    let count = Arc::clone(count);
    warp::any().map(move || {
        count.fetch_add(1, Ordering::SeqCst);
        "handled"
    })
}

#[tokio::test]
async fn a_denial_wins_over_what_other_branches_say() {
    let bench = Bench::new();
    let guarded = warp::path!("data")
        .and(allowed_ip(bench.guard(|guard| guard)))
        .map(|_: AllowedIp| "data");
    let not_found = warp::path!("elsewhere").map(|| "elsewhere");
    let other_method = warp::path!("data").and(warp::post()).map(|| "posted");
    let bad_request = warp::path!("data")
        .and(warp::header::<u32>("x-number"))
        .map(|_: u32| "number");
    let before = not_found
        .or(other_method)
        .or(bad_request)
        .or(guarded.clone());
    let after = guarded.or(not_found).or(other_method).or(bad_request);
    for routes in [
        before.recover(recover).map(Reply::into_response).boxed(),
        after.recover(recover).map(Reply::into_response).boxed(),
    ] {
        expect_blocked(&answer(get("/data", LISTED), &routes).await);
        expect(&answer(get("/data", CLEAN), &routes).await, 200, "data");
    }
}

#[tokio::test]
async fn an_extractor_guards_its_own_branch_alone() {
    let bench = Bench::new();
    let guarded = warp::path!("data")
        .and(allowed_ip(bench.guard(|guard| guard)))
        .map(|_: AllowedIp| "data");
    let fallback = Arc::new(AtomicUsize::new(0));
    // As the documentation warns: warp tries the next branch.
    let open = guarded.clone().or(counting(&fallback));
    expect(&answer(get("/data", LISTED), &open).await, 200, "handled");
    assert_eq!(fallback.load(Ordering::SeqCst), 1);
    // And as it advises.
    let closed = guarded.recover(recover).or(counting(&fallback));
    expect_blocked(&answer(get("/data", LISTED), &closed).await);
    assert_eq!(fallback.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_wrapper_guards_every_branch_and_its_rejections() {
    let bench = Bench::new();
    let handled = Arc::new(AtomicUsize::new(0));
    let get_only = warp::path!("here").and(warp::get());
    let routes = get_only.and(counting(&handled)).or(warp::path!("there")
        .and(warp::header::<u32>("x-number"))
        .map(|_: u32| "number"));
    let wrapped = IpGuard::new(bench.guard(|guard| guard)).wrap(routes);
    for (method, path, status) in [
        ("GET", "/here", 200),
        ("POST", "/here", 405),
        ("GET", "/there", 400),
        ("GET", "/nowhere", 404),
    ] {
        let request = |client| get(path, client).method(method);
        expect_blocked(&answer(request(LISTED), &wrapped).await);
        expect(&answer(request(CLEAN), &wrapped).await, status, "");
    }
    assert_eq!(handled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_wrapped_branch_leaves_nothing_to_the_next_one() {
    let bench = Bench::new();
    let fallback = Arc::new(AtomicUsize::new(0));
    let guard = IpGuard::new(bench.guard(|guard| guard));
    let admin = warp::path("admin").and(guard.wrap(warp::path!("users").map(|| "users")));
    let routes = admin.or(counting(&fallback));
    expect_blocked(&answer(get("/admin/users", LISTED), &routes).await);
    expect_blocked(&answer(get("/admin/nothing", LISTED), &routes).await);
    assert_eq!(fallback.load(Ordering::SeqCst), 0);
    expect(
        &answer(get("/admin/users", CLEAN), &routes).await,
        200,
        "users",
    );
    expect(
        &answer(get("/other", LISTED), &routes).await,
        200,
        "handled",
    );
}

#[tokio::test]
async fn the_body_is_left_to_the_routes() {
    let bench = Bench::new();
    let guard = IpGuard::new(bench.guard(|guard| guard));
    let echo = warp::post()
        .and(allowed_ip(guard.clone()))
        .and(warp::body::bytes())
        .map(|_: AllowedIp, body: bytes::Bytes| body.to_vec());
    let inner = guard.wrap(echo);
    let routes = guard.wrap(inner);
    let body = vec![b'x'; 100_000];
    let request = |client| get("/", client).method("POST").body(&body);
    assert_eq!(answer(request(CLEAN), &routes).await.body(), &body);
    expect_blocked(&answer(request(LISTED), &routes).await);
}
