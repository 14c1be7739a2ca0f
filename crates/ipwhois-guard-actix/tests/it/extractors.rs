//! The extractors without the middleware.

use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
use actix_web::{App, HttpResponse, web};
use ipwhois_guard_actix::{AllowedIp, Guard, GuardRejection, IpVerdict, OnUnverified};

use crate::bench::{CLEAN, LISTED, get, guard};
use crate::status;

async fn data(client: AllowedIp) -> HttpResponse {
    HttpResponse::Ok().json(client.client_ip())
}

fn app(
    state: impl FnOnce(&mut web::ServiceConfig) -> &mut web::ServiceConfig,
) -> App<
    impl actix_web::dev::ServiceFactory<
        actix_web::dev::ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    App::new()
        .configure(|config| {
            state(config);
        })
        .route("/data", web::get().to(data))
}

#[actix_web::test]
async fn find_the_guard_in_either_form_of_app_data() {
    let (guard, _service) = guard(|guard| guard);
    let wrapped = web::Data::new(guard.clone());
    let wrapped = init_service(app(|config| config.app_data(wrapped))).await;
    assert_eq!(status!(wrapped, "/data", LISTED), 403);
    assert_eq!(status!(wrapped, "/data", CLEAN), 200);
    let plain = init_service(app(|config| config.app_data(guard))).await;
    assert_eq!(status!(plain, "/data", LISTED), 403);
    assert_eq!(status!(plain, "/data", CLEAN), 200);
    let without = init_service(app(|config| config)).await;
    assert_eq!(status!(without, "/data", CLEAN), 500);
}

#[actix_web::test]
async fn find_the_guard_of_the_scope() {
    let (strict, _service) = guard(|guard| guard.deny([CLEAN]));
    let (lenient, _other) = guard(|guard| guard);
    let scope = web::scope("/strict")
        .app_data(strict)
        .route("/data", web::get().to(data));
    let app = app(|config| config.app_data(lenient)).service(scope);
    let app = init_service(app).await;
    assert_eq!(status!(app, "/strict/data", CLEAN), 403);
    assert_eq!(status!(app, "/data", CLEAN), 200);
}

/// actix-web polls a handler's extractors side by side, so that both have begun before either
/// knows.
#[actix_web::test]
async fn that_wait_together_take_one_decision() {
    type Admission = Result<AllowedIp, GuardRejection>;
    async fn both(first: Admission, second: Admission, _: IpVerdict) -> HttpResponse {
        let references = [first, second].map(|admission| match admission {
            Err(GuardRejection::Denied(denial)) => denial.reference().to_owned(),
            other => panic!("not denied: {other:?}"),
        });
        HttpResponse::Ok().json(references)
    }
    let (guard, service) = guard(|guard| guard);
    let app = App::new().app_data(guard).route("/", web::get().to(both));
    let app = init_service(app).await;
    let response = call_service(&app, get("/", LISTED).to_request()).await;
    let [first, second]: [String; 2] = read_body_json(response).await;
    assert_eq!(first, second);
    assert_eq!(service.check_count(), 1);
}

#[actix_web::test]
async fn take_a_test_request_without_a_peer_for_one_through_a_unix_socket() {
    fn request() -> TestRequest {
        TestRequest::get()
            .uri("/data")
            .insert_header(("X-Forwarded-For", LISTED))
    }
    async fn status(guard: Guard) -> u16 {
        let app = init_service(app(|config| config.app_data(guard))).await;
        let response = call_service(&app, request().to_request()).await;
        response.status().as_u16()
    }
    let (strict, _service) = guard(|guard| guard.on_unverified(OnUnverified::Deny));
    assert_eq!(status(strict).await, 503);
    let (trusting, _service) = guard(|guard| guard.trusted_proxies(["unix:"]));
    assert_eq!(status(trusting).await, 403);
}
