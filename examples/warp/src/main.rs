//! The example app on warp: `cargo run -p example-warp`.

use example_demo::{Demo, Failure, Whoami};
use ipwhois_guard_warp::{AllowedIp, Guard, IpGuard, IpVerdict, allowed_ip, ip_verdict};
use serde::Deserialize;
use serde_json::json;
use warp::http::StatusCode;
use warp::{Filter, Rejection, Reply};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let demo = Demo::from_env()?;
    let listener = tokio::net::TcpListener::bind(demo.address)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", demo.address))?;
    demo.announce(listener.local_addr()?);
    warp::serve(app(demo.guard.clone()))
        .incoming(listener)
        .graceful(async {
            // Without a handler for the signal there is nothing to wait for but the end.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .run()
        .await;
    Ok(())
}

fn app(guard: Guard) -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone {
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
        .map(login);
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

    guard.wrap(index.or(whoami).or(login).or(admin).or(user).or(data))
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
fn login(_client: AllowedIp, form: Credentials) -> impl Reply {
    let (status, answer) = if form.username == "demo" && form.password == "demo" {
        (StatusCode::OK, json!({ "status": "ok" }))
    } else {
        let error = json!({ "error": "Invalid credentials" });
        (StatusCode::UNAUTHORIZED, error)
    };
    warp::reply::with_status(warp::reply::json(&answer), status)
}

/// Guarded by the rule `/admin`.
fn user(id: String) -> String {
    format!("User {id}.\n")
}

/// Guarded by `allowed_ip`.
fn data(_client: AllowedIp) -> impl Reply {
    warp::reply::json(&json!({ "data": "example" }))
}
