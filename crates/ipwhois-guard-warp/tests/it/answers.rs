//! Rejections, and who answers them.

use ipwhois_guard_warp::{AllowedIp, Denial, GuardRejection, IpGuard, Rule, allowed_ip, recover};
use warp::http::StatusCode;
use warp::reject::Reject;
use warp::{Filter, Rejection, Reply};

use crate::{Bench, CLEAN, LISTED, answer, expect, expect_blocked, get};

#[derive(Debug)]
struct OutOfTea;

impl Reject for OutOfTea {}

async fn brew(_: AllowedIp) -> Result<&'static str, Rejection> {
    Err(OutOfTea.into())
}

/// An application's own: answers what it knows and passes on the rest.
async fn own_recover(rejection: Rejection) -> Result<impl Reply, Rejection> {
    match rejection.find::<OutOfTea>() {
        Some(OutOfTea) => Ok(warp::reply::with_status("no tea", StatusCode::IM_A_TEAPOT)),
        None => Err(rejection),
    }
}

#[tokio::test]
async fn recover_works_inside_and_outside_the_applications_own() {
    let bench = Bench::new();
    let tea = warp::path!("tea")
        .and(allowed_ip(bench.guard(|guard| guard)))
        .and_then(brew);
    let inside = tea.clone().recover(recover).recover(own_recover);
    let outside = tea.recover(own_recover).recover(recover);
    for routes in [
        inside.map(Reply::into_response).boxed(),
        outside.map(Reply::into_response).boxed(),
    ] {
        expect_blocked(&answer(get("/tea", LISTED), &routes).await);
        expect(&answer(get("/tea", CLEAN), &routes).await, 418, "no tea");
        expect(&answer(get("/coffee", LISTED), &routes).await, 404, "");
    }
}

#[tokio::test]
async fn rejections_of_the_application_stay_what_they_are() {
    let bench = Bench::new();
    let guard = IpGuard::new(bench.guard(|guard| guard));
    let tea = warp::path!("tea")
        .and(warp::get())
        .and(allowed_ip(guard.clone()))
        .and_then(brew);
    let wrapped = guard.wrap(tea.clone());
    let recovered = tea.recover(recover);
    for routes in [wrapped.boxed(), recovered.map(Reply::into_response).boxed()] {
        let unhandled = answer(get("/tea", CLEAN), &routes).await;
        expect(&unhandled, 500, "Unhandled rejection: OutOfTea");
        expect(&answer(get("/coffee", CLEAN), &routes).await, 404, "");
        let post = get("/tea", CLEAN).method("POST");
        expect(&answer(post, &routes).await, 405, "");
    }
}

#[tokio::test]
async fn nobody_gets_in_where_recover_was_forgotten() {
    let bench = Bench::new();
    let routes = allowed_ip(bench.guard(|guard| guard)).map(|_: AllowedIp| "let in");
    let response = answer(get("/", LISTED), &routes).await;
    expect(&response, 500, "Unhandled rejection: GuardRejection");
}

#[tokio::test]
async fn the_application_words_denials_of_wrapper_and_extractor() {
    let bench = Bench::new();
    let guard = bench.guard(|guard| guard.protect("/admin"));
    let guard = IpGuard::new(guard).respond_with(|denial: &Denial| {
        let body = format!("go away, {}", denial.reference());
        warp::reply::with_status(body, StatusCode::IM_A_TEAPOT)
    });
    let data = warp::path!("data").and(allowed_ip(guard.clone()));
    let data = data.map(|_: AllowedIp| "data");
    let wrapped = guard.wrap(warp::path!("admin").map(|| "admin").or(data.clone()));
    for path in ["/admin", "/data"] {
        expect(&answer(get(path, LISTED), &wrapped).await, 418, "go away, ");
    }
    let recovered = data.recover(recover);
    expect(
        &answer(get("/data", LISTED), &recovered).await,
        418,
        "go away, ",
    );
}

#[tokio::test]
async fn the_application_may_answer_the_rejection_itself() {
    async fn own(rejection: Rejection) -> Result<String, Rejection> {
        match rejection.find().and_then(GuardRejection::denial) {
            Some(denial) => Ok(format!("{} {}", denial.status(), denial.reference())),
            None => Err(rejection),
        }
    }
    let bench = Bench::new();
    let guard = IpGuard::new(bench.guard(|guard| guard.protect(Rule::path("/admin"))));
    let data = allowed_ip(guard.clone()).map(|_: AllowedIp| "data");
    let routes = guard.wrap(data.recover(own));
    expect(&answer(get("/", LISTED), &routes).await, 200, "403 ");
}
