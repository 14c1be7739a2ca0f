//! The example app on actix-web: `cargo run -p example-actix`.

use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, web};
use example_demo::{Demo, Failure, METRICS_TYPE, Monitoring, Whoami, stop_signal};
use ipwhois_guard_actix::{AllowedIp, GuardRejection, Health, IpGuard, IpVerdict};
use serde::Deserialize;
use serde_json::{Value, json};

#[actix_web::main]
async fn main() -> Result<(), Failure> {
    let demo = Demo::from_env()?;
    // Built once: the closure runs for each worker.
    let guard = demo.guard.clone();
    let monitoring = web::Data::new(demo.monitoring.clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(monitoring.clone())
            .configure(routes)
            .wrap(IpGuard::new(guard.clone()))
    })
    .shutdown_signal(stop_signal())
    // Seconds. A client that never ends its request must not keep the reports from being sent.
    .shutdown_timeout(3)
    .bind(demo.address)
    .map_err(|error| format!("cannot listen on {}: {error}", demo.address))?;
    for address in server.addrs() {
        demo.announce(address);
    }
    server.run().await?;
    demo.end().await;
    Ok(())
}

fn routes(config: &mut web::ServiceConfig) {
    let hello = async || "Hello from a guarded application.\n";
    let admin = async || "The admin area.\n";
    config
        .route("/", web::get().to(hello))
        .route("/whoami", web::get().to(whoami))
        .route("/login", web::post().to(login))
        .route("/admin", web::get().to(admin))
        .route("/admin/users/{id}", web::get().to(user))
        .route("/api/data", web::get().to(data))
        .route("/metrics", web::get().to(metrics))
        .route("/metrics", web::head().to(metrics))
        .route("/guard/health", web::get().to(health))
        .route("/guard/health", web::head().to(health));
}

/// Guarded by nothing; tells what the guard knows.
async fn whoami(IpVerdict(verdict): IpVerdict) -> web::Json<Whoami> {
    web::Json(verdict.into())
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// Guarded by `AllowedIp`: a refused client does not reach the password check.
async fn login(
    client: AllowedIp,
    // As a `Result`: its own error must not come before the guard's refusal.
    form: actix_web::Result<web::Form<Credentials>>,
) -> actix_web::Result<(web::Json<Value>, StatusCode)> {
    Ok(check(client, form?).await?)
}

async fn check(
    client: AllowedIp,
    form: web::Form<Credentials>,
) -> Result<(web::Json<Value>, StatusCode), GuardRejection> {
    let attempt = client.login_attempt_for(&form.username).await?;
    if form.username == "demo" && form.password == "demo" {
        attempt.succeeded().await;
        return Ok((web::Json(json!({ "status": "ok" })), StatusCode::OK));
    }
    attempt.failed().await?; // the fifth: 429
    let error = json!({ "error": "Invalid credentials" });
    Ok((web::Json(error), StatusCode::UNAUTHORIZED))
}

/// Guarded by the rule `/admin`.
async fn user(id: web::Path<String>) -> String {
    format!("User {id}.\n")
}

/// Guarded by `AllowedIp`.
async fn data(_client: AllowedIp) -> web::Json<Value> {
    web::Json(json!({ "data": "example" }))
}

/// Guarded by nothing, for whoever watches the site.
async fn metrics(monitoring: web::Data<Monitoring>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(METRICS_TYPE)
        .body(monitoring.metrics())
}

/// Guarded by nothing. 200 whatever is wrong: no reason to take the site out of rotation.
async fn health(monitoring: web::Data<Monitoring>) -> web::Json<Health> {
    web::Json(monitoring.health())
}
