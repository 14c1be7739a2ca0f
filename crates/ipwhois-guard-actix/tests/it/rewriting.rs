//! Middleware that changes the path.

use actix_web::dev::Service;
use actix_web::middleware::NormalizePath;
use actix_web::test::init_service;
use actix_web::{App, HttpResponse, web};
use ipwhois_guard_actix::IpGuard;

use crate::bench::{CLEAN, LISTED, guard};
use crate::status;

async fn ok() -> HttpResponse {
    HttpResponse::Ok().finish()
}

fn routes(config: &mut web::ServiceConfig) {
    let admin = web::scope("/admin").service(web::resource(["", "/{rest:.*}"]).to(ok));
    config.service(admin).route("/", web::get().to(ok));
}

const SPELLINGS: [&str; 8] = [
    "/admin",
    "/admin/",
    "//admin",
    "///admin//users///",
    "/%61dmin//",
    "//%61%64min",
    "/admin/..//",
    "//x/..//admin",
];

#[actix_web::test]
async fn around_normalize_path_no_spelling_slips_past() {
    let (guard, _service) = guard(|guard| guard);
    let app = App::new()
        .configure(routes)
        .wrap(NormalizePath::trim())
        .wrap(IpGuard::new(guard));
    let app = init_service(app).await;
    for path in SPELLINGS {
        assert_eq!(status!(app, path, LISTED), 403, "{path}");
    }
    assert_eq!(status!(app, "//admin//", CLEAN), 200);
}

#[actix_web::test]
async fn within_normalize_path_no_spelling_slips_past() {
    let (guard, _service) = guard(|guard| guard);
    let app = App::new()
        .configure(routes)
        .wrap(IpGuard::new(guard))
        .wrap(NormalizePath::trim());
    let app = init_service(app).await;
    for path in SPELLINGS {
        assert_eq!(status!(app, path, LISTED), 403, "{path}");
    }
    assert_eq!(status!(app, "//admin//", CLEAN), 200);
}

/// `NormalizePath` puts a new URI into the request, so an inner guard cannot see the old one; a
/// guard around it does.
#[actix_web::test]
async fn the_outermost_guard_sees_what_the_client_wrote() {
    let (guard, _service) = guard(|guard| guard);
    let guard = IpGuard::new(guard);
    let unprefix = |mut request: actix_web::dev::ServiceRequest| {
        let path = request.path().trim_start_matches("/admin").to_owned();
        request.head_mut().uri = path.parse().expect("a path");
        request
    };
    let around = App::new()
        .default_service(web::to(ok))
        .wrap_fn(move |request, service| service.call(unprefix(request)))
        .wrap(guard.clone());
    let within = App::new()
        .default_service(web::to(ok))
        .wrap(guard)
        .wrap_fn(move |request, service| service.call(unprefix(request)));
    let (around, within) = (init_service(around).await, init_service(within).await);
    assert_eq!(status!(around, "/admin/x", LISTED), 403);
    assert_eq!(status!(within, "/admin/x", LISTED), 200);
}
