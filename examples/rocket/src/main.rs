//! The example app on Rocket: `cargo run -p example-rocket`.

use std::net::SocketAddr;
use std::sync::Arc;

use example_demo::{Demo, Failure, METRICS_TYPE, Monitoring, Whoami};
use ipwhois_guard_rocket::{
    AllowedIp, Guard, GuardRejection, Health, IpGuard, IpVerdict, OnUnverified,
};
use rocket::fairing::AdHoc;
use rocket::form::{Form, FromForm};
use rocket::http::{ContentType, Status};
use rocket::serde::json::{Json, Value, json};
use rocket::{Build, Config, Rocket, State, get, post, routes};

/// Rocket ends by itself on ctrl-c and SIGTERM.
#[rocket::main]
async fn main() -> Result<(), Failure> {
    // Rocket drops header lines that are not UTF-8, so a client behind a proxy that appends to
    // `X-Forwarded-For` can make that line vanish. Its address is then unknown, and it reads 503.
    let demo = Arc::new(Demo::with(|settings| {
        settings.on_unknown_client.get_or_insert(OnUnverified::Deny);
    })?);
    let config = Config::figment()
        .merge(("address", demo.address.ip()))
        .merge(("port", demo.address.port()));
    let announced = Arc::clone(&demo);
    app(rocket::custom(config), demo.guard.clone())
        .manage(demo.monitoring.clone())
        .attach(AdHoc::on_liftoff("announcement", move |rocket| {
            let config = rocket.config();
            announced.announce(SocketAddr::new(config.address, config.port));
            Box::pin(async {})
        }))
        .launch()
        .await
        .map_err(|error| format!("cannot serve on {}: {error}", demo.address))?;
    demo.end().await;
    Ok(())
}

fn app(rocket: Rocket<Build>, guard: Guard) -> Rocket<Build> {
    rocket
        .mount("/", routes![index, whoami, login, admin, user, data])
        .mount("/", routes![metrics, health])
        .attach(IpGuard::new(guard))
}

#[get("/")]
fn index() -> &'static str {
    "Hello from a guarded application.\n"
}

/// Guarded by nothing; tells what the guard knows.
#[get("/whoami")]
fn whoami(verdict: IpVerdict) -> Json<Whoami> {
    let IpVerdict(verdict) = verdict;
    Json(verdict.into())
}

#[derive(FromForm)]
struct Credentials {
    username: String,
    password: String,
}

/// Guarded by `AllowedIp`: a refused client does not reach the password check.
#[post("/login", data = "<form>")]
async fn login(
    client: AllowedIp,
    form: Form<Credentials>,
) -> Result<(Status, Json<Value>), GuardRejection> {
    let attempt = client.login_attempt_for(&form.username).await?;
    if form.username == "demo" && form.password == "demo" {
        attempt.succeeded().await;
        return Ok((Status::Ok, Json(json!({ "status": "ok" }))));
    }
    attempt.failed().await?; // the fifth: 429
    let error = json!({ "error": "Invalid credentials" });
    Ok((Status::Unauthorized, Json(error)))
}

/// Guarded by the rule `/admin`.
#[get("/admin")]
fn admin() -> &'static str {
    "The admin area.\n"
}

/// Guarded by the rule `/admin`.
#[get("/admin/users/<id>")]
fn user(id: &str) -> String {
    format!("User {id}.\n")
}

/// Guarded by `AllowedIp`.
#[get("/api/data")]
fn data(_client: AllowedIp) -> Json<Value> {
    Json(json!({ "data": "example" }))
}

/// Guarded by nothing, for whoever watches the site.
#[get("/metrics")]
fn metrics(monitoring: &State<Monitoring>) -> (ContentType, String) {
    let content_type = ContentType::parse_flexible(METRICS_TYPE);
    (
        content_type.unwrap_or(ContentType::Plain),
        monitoring.metrics(),
    )
}

/// Guarded by nothing. 200 whatever is wrong: no reason to take the site out of rotation.
#[get("/guard/health")]
fn health(monitoring: &State<Monitoring>) -> Json<Health> {
    Json(monitoring.health())
}
