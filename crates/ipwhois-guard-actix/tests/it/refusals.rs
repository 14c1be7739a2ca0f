//! What the middleware sees of the application's refusals: enough of them bring a client's check
//! forward.

use actix_web::dev::Service;
use actix_web::error::ErrorUnauthorized;
use actix_web::test::{init_service, try_call_service};
use actix_web::{App, HttpResponse, web};
use ipwhois_guard_actix::IpGuard;
use ipwhois_guard_core::ManualClock;

use crate::bench::{LISTED, get, guard};
use crate::status;

async fn ok() -> HttpResponse {
    HttpResponse::Ok().finish()
}

#[actix_web::test]
async fn the_error_of_an_inner_middleware_is_seen_as_the_response_that_it_becomes() {
    // At midnight 8 of 20 checks are spent: a check costs more than a stranger is worth.
    let (guard, service) = guard(|guard| guard.clock(ManualClock::new()).daily_budget(20));
    for n in 1..=8 {
        let _ = guard.check([26, 0, n, 1].into()).await;
    }
    let refuse = |request: actix_web::dev::ServiceRequest| match request.uri().query() {
        Some("refuse") => Err(ErrorUnauthorized("no")),
        _ => Ok(request),
    };
    let app = App::new()
        .route("/admin", web::get().to(ok))
        .wrap_fn(move |request, service| {
            let passing = refuse(request).map(|request| service.call(request));
            async move { passing?.await }
        })
        .wrap(IpGuard::new(guard));
    let app = init_service(app).await;
    assert_eq!(status!(app, "/admin", "26.0.31.1"), 200);
    assert_eq!(service.check_count(), 8, "a stranger was checked");
    for _ in 0..2 {
        let request = get("/admin?refuse", LISTED).to_request();
        let error = try_call_service(&app, request).await.expect_err("refused");
        assert_eq!(error.error_response().status().as_u16(), 401);
    }
    assert_eq!(status!(app, "/admin", LISTED), 403);
    assert_eq!(service.check_count(), 9);
}
