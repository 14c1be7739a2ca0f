use std::io;

use actix_web::dev::{Server, Service};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::middleware::Condition;
use actix_web::{HttpRequest, HttpResponse, HttpServer, rt, web};
use actix_ws::Message;
use ipwhois_guard_actix::{AllowedIp, Denial, GuardRejection, IpGuard, IpVerdict};
use tokio::sync::oneshot;

use crate::driver::{Address, App, Driver, Install, Passwords, whoami_json};

/// actix-web, by the middleware and the extractors of `ipwhois-guard-actix`.
#[derive(Debug)]
pub struct Actix;

type AppState = web::Data<App>;

impl Driver for Actix {
    const DROPS_ABANDONED_REQUESTS: bool = false;
    const WORDS_REFUSALS_OF_HANDLERS: bool = false;
    const NO_PEER_ADVICE: &'static str = "no peer address";

    const EXCEPTIONS: &'static [(&'static str, &'static str)] = &[
        (
            "a_dropped_request_is_no_signal",
            "actix-web runs a request on when its client hangs up: it may have ended its own half of the connection only",
        ),
        (
            "a_refused_client_is_not_asked_for_its_body",
            "actix-web asks for the body before any middleware runs",
        ),
    ];

    fn serve(app: App, ready: impl FnOnce(Address) + Send, stop: oneshot::Receiver<()>) {
        rt::System::new().block_on(async {
            let (server, address) = listen(app).expect("the server listens");
            let handle = server.handle();
            let running = rt::spawn(server);
            ready(address);
            let _ = stop.await;
            handle.stop(false).await;
            let ended = running.await.expect("the server does not panic");
            ended.expect("the server runs");
        });
    }
}

fn listen(app: App) -> io::Result<(Server, Address)> {
    let listen = app.listen.clone();
    let server = HttpServer::new(move || {
        let install = app.install;
        let middleware = IpGuard::new(app.guard.clone());
        let twice = install == Install::Twice;
        let whole = twice || matches!(install, Install::Whole | Install::NoPeer);
        let custom = install == Install::CustomResponse;
        let no_peer = matches!(install, Install::NoPeer | Install::ExtractorsNoPeer);
        actix_web::App::new()
            .configure(|config| routes(config, &app))
            .wrap(Condition::new(twice, middleware.clone()))
            .wrap(Condition::new(whole, middleware.clone()))
            .wrap(Condition::new(
                custom,
                middleware.respond_with(nothing_here),
            ))
            .wrap_fn(move |mut request, service| {
                if no_peer {
                    // As for a connection that was reset before it was accepted.
                    request.head_mut().peer_addr = None;
                }
                service.call(request)
            })
    })
    .workers(2)
    .disable_signals();
    match listen {
        Address::Unix(path) => Ok((server.bind_uds(&path)?.run(), Address::Unix(path))),
        Address::Tcp(address) => {
            let server = server.bind(address)?;
            let address = Address::Tcp(server.addrs()[0]);
            Ok((server.run(), address))
        }
    }
}

fn routes(config: &mut web::ServiceConfig, app: &App) {
    let nested = app.install == Install::Nested;
    let in_data = matches!(
        app.install,
        Install::ExtractorsOnly | Install::ExtractorsNoPeer
    );
    if in_data {
        config.app_data(web::Data::new(app.guard.clone()));
    }
    let middleware = IpGuard::new(app.guard.clone());
    config
        .app_data(web::Data::new(app.clone()))
        .service(
            web::scope("/admin")
                .wrap(Condition::new(nested, middleware))
                .service(web::resource(["", "/{rest:.*}"]).to(admin)),
        )
        .route("/", web::get().to(open))
        .route("/whoami", web::get().to(whoami))
        .route("/data", web::get().to(data))
        .route("/data/twice", web::get().to(data_twice))
        .route("/echo", web::post().to(echo))
        .route("/ws", web::get().to(websocket))
        .route("/answer/{status}", web::get().to(answer))
        .route("/suspect", web::post().to(suspect))
        .route("/login", web::post().to(login))
        .route("/login/simple", web::post().to(login_simply))
        .route("/guard/health", web::get().to(health))
        .route("/guard/health", web::head().to(health))
        .route("/metrics", web::get().to(metrics))
        .route("/metrics", web::head().to(metrics))
        .route("/hang", web::get().to(hang));
}

fn nothing_here(denial: &Denial) -> HttpResponse {
    HttpResponse::NotFound().body(format!("custom {}", denial.reference()))
}

async fn open(app: AppState) -> &'static str {
    app.count();
    "open"
}

async fn admin(app: AppState) -> &'static str {
    app.count();
    "admin"
}

async fn whoami(app: AppState, IpVerdict(verdict): IpVerdict) -> String {
    app.count();
    whoami_json(verdict)
}

async fn data(app: AppState, _client: AllowedIp) -> &'static str {
    app.count();
    "data"
}

async fn data_twice(app: AppState, _verdict: IpVerdict, _client: AllowedIp) -> &'static str {
    app.count();
    "data"
}

async fn answer(app: AppState, status: web::Path<u16>) -> actix_web::Result<HttpResponse> {
    app.count();
    let status = StatusCode::from_u16(*status).expect("a status");
    Err(InternalError::new("no", status).into())
}

async fn suspect(app: AppState, client: AllowedIp) -> &'static str {
    app.count();
    client.suspect("test");
    "noted"
}

type LoginAnswer = Result<(&'static str, StatusCode), GuardRejection>;

const WELCOME: (&str, StatusCode) = ("welcome", StatusCode::OK);
const WRONG: (&str, StatusCode) = ("wrong", StatusCode::UNAUTHORIZED);

async fn login(app: AppState, client: AllowedIp, password: web::Bytes) -> LoginAnswer {
    app.count();
    let attempt = match Passwords::account(&password) {
        Some(account) => client.login_attempt_for(account).await?,
        None => client.login_attempt().await?,
    };
    if app.passwords.are_right(&password).await {
        attempt.succeeded().await;
        return Ok(WELCOME);
    }
    attempt.failed().await?;
    Ok(WRONG)
}

async fn login_simply(app: AppState, client: AllowedIp, password: web::Bytes) -> LoginAnswer {
    app.count();
    if app.passwords.are_right(&password).await {
        return Ok(WELCOME);
    }
    client.failed_login().await?;
    Ok(WRONG)
}

async fn health(app: AppState) -> String {
    app.count();
    app.health_json()
}

async fn metrics(app: AppState) -> String {
    app.count();
    app.metrics_text()
}

async fn hang(app: AppState) -> &'static str {
    app.count();
    let _hang = app.hang();
    std::future::pending().await
}

async fn echo(app: AppState, body: web::Payload) -> HttpResponse {
    app.count();
    HttpResponse::Ok().streaming(body)
}

async fn websocket(
    app: AppState,
    request: HttpRequest,
    body: web::Payload,
) -> actix_web::Result<HttpResponse> {
    app.count();
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    rt::spawn(async move {
        while let Some(Ok(Message::Text(text))) = messages.recv().await {
            if session.text(text).await.is_err() {
                return;
            }
        }
    });
    Ok(response)
}
