//! The example app on axum: `cargo run -p example-axum`.

use std::net::SocketAddr;

use axum::extract::{Form, Path, State};
use axum::http::{HeaderName, StatusCode, header::CONTENT_TYPE};
use axum::routing::{get, post};
use axum::{Json, Router};
use example_demo::{Demo, Failure, METRICS_TYPE, Monitoring, Whoami, stop_signal, until_stopped};
use ipwhois_guard_axum::{AllowedIp, Guard, GuardRejection, Health, IpGuardLayer, IpVerdict};
use serde::Deserialize;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let demo = Demo::from_env()?;
    let listener = tokio::net::TcpListener::bind(demo.address)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", demo.address))?;
    demo.announce(listener.local_addr()?);
    let server = axum::serve(
        listener,
        app(demo.guard.clone(), demo.monitoring.clone())
            .into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(stop_signal());
    until_stopped(server.into_future()).await.transpose()?;
    demo.end().await;
    Ok(())
}

fn app(guard: Guard, monitoring: Monitoring) -> Router {
    let watched = Router::new()
        .route("/metrics", get(metrics))
        .route("/guard/health", get(health))
        .with_state(monitoring);
    Router::new()
        .route("/", get(async || "Hello from a guarded application.\n"))
        .route("/whoami", get(whoami))
        .route("/login", post(login))
        .route("/admin", get(async || "The admin area.\n"))
        .route("/admin/users/{id}", get(user))
        .route("/api/data", get(data))
        .merge(watched)
        .layer(IpGuardLayer::new(guard))
}

/// Guarded by nothing; tells what the guard knows.
async fn whoami(IpVerdict(verdict): IpVerdict) -> Json<Whoami> {
    Json(verdict.into())
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// Guarded by `AllowedIp`: a refused client does not reach the password check.
async fn login(
    client: AllowedIp,
    Form(form): Form<Credentials>,
) -> Result<(StatusCode, Json<Value>), GuardRejection> {
    let attempt = client.login_attempt_for(&form.username).await?;
    if form.username == "demo" && form.password == "demo" {
        attempt.succeeded().await;
        return Ok((StatusCode::OK, Json(json!({ "status": "ok" }))));
    }
    attempt.failed().await?; // the fifth: 429
    let error = json!({ "error": "Invalid credentials" });
    Ok((StatusCode::UNAUTHORIZED, Json(error)))
}

/// Guarded by the rule `/admin`.
async fn user(Path(id): Path<String>) -> String {
    format!("User {id}.\n")
}

/// Guarded by `AllowedIp`.
async fn data(_client: AllowedIp) -> Json<Value> {
    Json(json!({ "data": "example" }))
}

/// Guarded by nothing, for whoever watches the site.
async fn metrics(
    State(monitoring): State<Monitoring>,
) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, METRICS_TYPE)], monitoring.metrics())
}

/// Guarded by nothing. 200 whatever is wrong: no reason to take the site out of rotation.
async fn health(State(monitoring): State<Monitoring>) -> Json<Health> {
    Json(monitoring.health())
}
