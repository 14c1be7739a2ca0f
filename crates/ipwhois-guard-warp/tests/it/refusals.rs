//! What the wrapper sees of the application's refusals: enough of them bring a client's check
//! forward.

use std::net::Ipv4Addr;

use ipwhois_guard_warp::IpGuard;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::reject::Reject;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use crate::{Bench, LISTED, answer, expect, get};

#[derive(Debug)]
struct NotLoggedIn;

impl Reject for NotLoggedIn {}

async fn log_in(rejection: Rejection) -> Result<impl Reply, Rejection> {
    match rejection.find::<NotLoggedIn>() {
        Some(NotLoggedIn) => Ok(StatusCode::UNAUTHORIZED),
        None => Err(rejection),
    }
}

/// The status that the listed client gets after two refusals, while checks are dear.
async fn status_after_two(
    path: &str,
    refusal: u16,
    wrap: impl FnOnce(IpGuard) -> BoxedFilter<(Response,)>,
) -> u16 {
    let bench = Bench::new();
    let guard = bench.guard(|guard| guard.daily_budget(20));
    // 8 of 20 checks are spent early in the day: a check costs more than a stranger is worth.
    for n in 1..=8 {
        let _ = guard.check(Ipv4Addr::new(26, 0, n, 1).into()).await;
    }
    let routes = wrap(guard.into());
    let stranger = Ipv4Addr::new(26, 0, 31, 1);
    expect(&answer(get("/", stranger), &routes).await, 200, "open");
    assert_eq!(bench.service.check_count(), 8, "a stranger was checked");
    for _ in 0..2 {
        expect(&answer(get(path, LISTED), &routes).await, refusal, "");
    }
    answer(get("/", LISTED), &routes).await.status().as_u16()
}

fn routes() -> BoxedFilter<(Response,)> {
    let open = warp::path::end().map(|| "open".into_response());
    let account = warp::path!("account")
        .and_then(|| std::future::ready(Err::<Response, _>(warp::reject::custom(NotLoggedIn))));
    open.or(account).unify().boxed()
}

#[tokio::test]
async fn a_rejection_is_seen_by_the_status_that_a_recover_inside_gives_it() {
    let inside = |guard: IpGuard| guard.wrap(routes().recover(log_in)).boxed();
    assert_eq!(status_after_two("/account", 401, inside).await, 403);
}

/// The wrapper cannot know what becomes of it.
#[tokio::test]
async fn a_rejection_that_is_answered_further_out_is_not_seen() {
    let outside = |guard: IpGuard| {
        let routes = guard.wrap(routes()).recover(log_in);
        routes.map(Reply::into_response).boxed()
    };
    assert_eq!(status_after_two("/account", 401, outside).await, 200);
}

#[tokio::test]
async fn not_found_is_seen_whoever_answers_it() {
    let plain = |guard: IpGuard| guard.wrap(routes()).boxed();
    assert_eq!(status_after_two("/nothing", 404, plain).await, 403);
    let outside = |guard: IpGuard| {
        let page = |rejection: Rejection| async move {
            let page = warp::reply::with_status("no such page", StatusCode::NOT_FOUND);
            rejection.is_not_found().then_some(page).ok_or(rejection)
        };
        let routes = guard.wrap(routes()).recover(page);
        routes.map(Reply::into_response).boxed()
    };
    assert_eq!(status_after_two("/nothing", 404, outside).await, 403);
}
