//! The example app on warp: `cargo run -p example-warp`.

use example_demo::{Demo, Failure, METRICS_TYPE, Monitoring, Whoami, stop_signal, until_stopped};
use ipwhois_guard_warp::{
    AllowedIp, Guard, GuardRejection, IpGuard, IpVerdict, allowed_ip, ip_verdict,
};
use serde::Deserialize;
use serde_json::json;
use warp::http::{StatusCode, header::CONTENT_TYPE};
use warp::{Filter, Rejection, Reply};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let demo = Demo::from_env()?;
    let listener = tokio::net::TcpListener::bind(demo.address)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", demo.address))?;
    demo.announce(listener.local_addr()?);
    let server = warp::serve(app(demo.guard.clone(), demo.monitoring.clone()))
        .incoming(listener)
        .graceful(stop_signal());
    until_stopped(server.run()).await;
    demo.end().await;
    Ok(())
}

fn app(
    guard: Guard,
    monitoring: Monitoring,
) -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone {
    let guard = IpGuard::new(guard);
    let client = allowed_ip(guard.clone());
    let verdict = ip_verdict(guard.clone());

    let index = warp::path::end()
        .and(warp::get())
        .map(|| "Hello from a guarded application.\n");
    let whoami = warp::path!("whoami")
        .and(warp::get())
        .and(verdict)
        .map(whoami);
    let login = warp::path!("login")
        .and(warp::post())
        .and(client.clone())
        .and(warp::body::form())
        .then(login);
    let admin = warp::path!("admin")
        .and(warp::get())
        .map(|| "The admin area.\n");
    let user = warp::path!("admin" / "users" / String)
        .and(warp::get())
        .map(user);
    let data = warp::path!("api" / "data")
        .and(warp::get())
        .and(client)
        .map(data);

    let look = warp::get().or(warp::head()).unify();
    let monitoring = look.map(move || monitoring.clone());
    let metrics = warp::path!("metrics").and(monitoring.clone()).map(metrics);
    let health = warp::path!("guard" / "health").and(monitoring).map(health);

    let pages = index.or(whoami).or(login).or(admin).or(user).or(data);
    guard.wrap(pages.or(metrics).or(health))
}

/// Guarded by nothing; tells what the guard knows.
fn whoami(IpVerdict(verdict): IpVerdict) -> impl Reply {
    warp::reply::json(&Whoami::from(verdict))
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// Guarded by `allowed_ip`: a refused client does not reach the password check.
async fn login(client: AllowedIp, form: Credentials) -> Result<impl Reply, GuardRejection> {
    let attempt = client.login_attempt_for(&form.username).await?;
    let (status, answer) = if form.username == "demo" && form.password == "demo" {
        attempt.succeeded().await;
        (StatusCode::OK, json!({ "status": "ok" }))
    } else {
        attempt.failed().await?; // the fifth: 429
        let error = json!({ "error": "Invalid credentials" });
        (StatusCode::UNAUTHORIZED, error)
    };
    let answer = warp::reply::json(&answer);
    Ok(warp::reply::with_status(answer, status))
}

/// Guarded by the rule `/admin`.
fn user(id: String) -> String {
    format!("User {id}.\n")
}

/// Guarded by `allowed_ip`.
fn data(_client: AllowedIp) -> impl Reply {
    warp::reply::json(&json!({ "data": "example" }))
}

/// Guarded by nothing, for whoever watches the site.
fn metrics(monitoring: Monitoring) -> impl Reply {
    warp::reply::with_header(monitoring.metrics(), CONTENT_TYPE, METRICS_TYPE)
}

/// Guarded by nothing. 200 whatever is wrong: no reason to take the site out of rotation.
fn health(monitoring: Monitoring) -> impl Reply {
    warp::reply::json(&monitoring.health())
}
