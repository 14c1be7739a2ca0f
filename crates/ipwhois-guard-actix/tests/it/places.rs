//! Where the middleware can stand.

use actix_web::test::{call_service, init_service, read_body_json};
use actix_web::{App, HttpResponse, web};
use ipwhois_guard_actix::{IpGuard, IpVerdict};
use ipwhois_guard_testkit::StandIn;

use crate::bench::{CLEAN, LISTED, get, guard};
use crate::status;

async fn ok() -> HttpResponse {
    HttpResponse::Ok().finish()
}

#[actix_web::test]
async fn on_an_app_it_covers_what_no_route_matches() {
    let (guard, _service) = guard(|guard| guard);
    let app = App::new()
        .wrap(IpGuard::new(guard))
        .route("/", web::get().to(ok));
    let app = init_service(app).await;
    assert_eq!(status!(app, "/admin/nothing", LISTED), 403);
    assert_eq!(status!(app, "/admin/nothing", CLEAN), 404);
    assert_eq!(status!(app, "/", LISTED), 200);
}

#[actix_web::test]
async fn on_a_scope_it_sees_the_whole_path_as_it_was_written() {
    let (guard, service) = guard(|guard| guard);
    let inner = web::scope("/{area}")
        .wrap(IpGuard::new(guard))
        .default_service(web::to(ok));
    let outer = web::scope("/admin").service(inner);
    let app = App::new().service(outer).route("/", web::get().to(ok));
    let app = init_service(app).await;
    for path in ["/admin/users", "/%61dmin/users/1", "/admin%2Fx/..%2Fy"] {
        assert_ne!(status!(app, path, LISTED), 200, "{path}");
    }
    assert_eq!(status!(app, "/admin/users/1", LISTED), 403);
    assert_eq!(status!(app, "/admin/users/1", CLEAN), 200);
    assert_eq!(status!(app, "/", LISTED), 200);
    asked_once_each(&service);
}

#[actix_web::test]
async fn on_a_resource_it_covers_every_method() {
    let (guard, service) = guard(|guard| guard);
    let resource = web::resource("/admin/{id}")
        .wrap(IpGuard::new(guard))
        .route(web::get().to(ok));
    let app = App::new()
        .service(resource)
        .route("/admin", web::get().to(ok));
    let app = init_service(app).await;
    assert_eq!(status!(app, "/admin/1", LISTED), 403);
    assert_eq!(status!(app, "/admin/1", CLEAN), 200);
    let post = get("/admin/1", LISTED).method(actix_web::http::Method::POST);
    let refused = call_service(&app, post.to_request()).await;
    assert_eq!(refused.status().as_u16(), 403);
    // Its neighbour is none of its business.
    assert_eq!(status!(app, "/admin", LISTED), 200);
    asked_once_each(&service);
}

#[actix_web::test]
async fn on_an_app_and_a_scope_it_decides_once() {
    let (guard, _service) = guard(|guard| guard);
    async fn source(IpVerdict(verdict): IpVerdict) -> web::Json<String> {
        web::Json(verdict.source().as_str().to_owned())
    }
    let scope = web::scope("/admin")
        .wrap(IpGuard::new(guard.clone()))
        .route("", web::get().to(source));
    let app = init_service(App::new().wrap(IpGuard::new(guard)).service(scope)).await;
    let response = call_service(&app, get("/admin", CLEAN).to_request()).await;
    let source: String = read_body_json(response).await;
    // A second decision would have found the first one's verdict in the cache.
    assert_eq!(source, "api");
}

#[track_caller]
fn asked_once_each(service: &StandIn) {
    assert_eq!(service.check_count(), 2);
}
