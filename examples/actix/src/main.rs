//! The example app on actix-web: `cargo run -p example-actix`.

use actix_web::http::StatusCode;
use actix_web::{App, HttpServer, rt, web};
use example_demo::{Demo, Failure, Whoami};
use ipwhois_guard_actix::{AllowedIp, IpGuard, IpVerdict};
use serde::Deserialize;
use serde_json::{Value, json};

#[actix_web::main]
async fn main() -> Result<(), Failure> {
    let demo = Demo::from_env()?;
    // Built once: the closure runs for each worker.
    let guard = demo.guard.clone();
    let server = HttpServer::new(move || {
        App::new()
            .configure(routes)
            .wrap(IpGuard::new(guard.clone()))
    })
    .shutdown_signal(async {
        // Without a handler for the signal there is nothing to wait for but the end.
        if rt::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
    .bind(demo.address)
    .map_err(|error| format!("cannot listen on {}: {error}", demo.address))?;
    for address in server.addrs() {
        demo.announce(address);
    }
    server.run().await?;
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
        .route("/api/data", web::get().to(data));
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
async fn login(_client: AllowedIp, form: web::Form<Credentials>) -> (web::Json<Value>, StatusCode) {
    if form.username == "demo" && form.password == "demo" {
        (web::Json(json!({ "status": "ok" })), StatusCode::OK)
    } else {
        let error = json!({ "error": "Invalid credentials" });
        (web::Json(error), StatusCode::UNAUTHORIZED)
    }
}

/// Guarded by the rule `/admin`.
async fn user(id: web::Path<String>) -> String {
    format!("User {id}.\n")
}

/// Guarded by `AllowedIp`.
async fn data(_client: AllowedIp) -> web::Json<Value> {
    web::Json(json!({ "data": "example" }))
}
