use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{FromRef, Path};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use ipwhois_guard_axum::{
    AllowedIp, ConnectedPeer, Denial, GuardRejection, GuardState, IpGuardLayer, IpVerdict,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;

use crate::driver::{Address, App, Driver, Install, Passwords, whoami_json};

/// axum, by the layer and the extractors of `ipwhois-guard-axum`.
#[derive(Debug)]
pub struct Axum;

#[derive(Clone, FromRef)]
struct State {
    app: App,
    guard: GuardState,
}

type AppState = axum::extract::State<App>;

impl Driver for Axum {
    const DROPS_ABANDONED_REQUESTS: bool = true;
    const WORDS_REFUSALS_OF_HANDLERS: bool = false;
    const NO_PEER_ADVICE: &'static str = "connect info";

    fn serve(app: App, ready: impl FnOnce(Address) + Send, stop: oneshot::Receiver<()>) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            tokio::select! {
                served = serve(app, ready) => served.expect("the server runs"),
                _ = stop => {}
            }
        });
    }
}

async fn serve(app: App, ready: impl FnOnce(Address)) -> io::Result<()> {
    let install = app.install;
    let listen = app.listen.clone();
    let router = router(app);
    match listen {
        Address::Unix(path) => {
            let listener = UnixListener::bind(&path)?;
            ready(Address::Unix(path));
            let service = router.into_make_service_with_connect_info::<ConnectedPeer>();
            axum::serve(listener, service).await
        }
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            ready(Address::Tcp(listener.local_addr()?));
            if matches!(install, Install::NoPeer | Install::ExtractorsNoPeer) {
                axum::serve(listener, router).await
            } else {
                let service = router.into_make_service_with_connect_info::<SocketAddr>();
                axum::serve(listener, service).await
            }
        }
    }
}

fn router(app: App) -> Router {
    let install = app.install;
    let guard = app.guard.clone();
    let in_state = matches!(install, Install::ExtractorsOnly | Install::ExtractorsNoPeer);
    let state = State {
        guard: if in_state {
            guard.clone().into()
        } else {
            GuardState::from_layer()
        },
        app,
    };
    let layer = IpGuardLayer::new(guard);
    let mut admin = Router::new()
        .route("/", any(admin))
        .route("/{*rest}", any(self::admin));
    if install == Install::Nested {
        admin = admin.layer(layer.clone());
    }
    let routes = Router::new()
        .route("/", get(open))
        .nest("/admin", admin)
        .route("/whoami", get(whoami))
        .route("/data", get(data))
        .route("/data/twice", get(data_twice))
        .route("/echo", post(echo))
        .route("/ws", get(websocket))
        .route("/answer/{status}", get(answer))
        .route("/suspect", post(suspect))
        .route("/login", post(login))
        .route("/login/simple", post(login_simply))
        .route("/guard/health", get(health))
        .route("/metrics", get(metrics))
        .route("/hang", get(hang));
    let routes = match install {
        Install::Whole | Install::NoPeer => routes.layer(layer),
        Install::Twice => routes.layer(layer.clone()).layer(layer),
        Install::CustomResponse => routes.layer(layer.respond_with(nothing_here)),
        Install::Nested
        | Install::ExtractorsOnly
        | Install::ExtractorsNoPeer
        | Install::ExtractorsNoGuard => routes,
    };
    routes.with_state(state)
}

fn nothing_here(denial: &Denial) -> axum::response::Response {
    let body = format!("custom {}", denial.reference());
    (StatusCode::NOT_FOUND, body).into_response()
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

async fn answer(app: AppState, Path(status): Path<u16>) -> StatusCode {
    app.count();
    StatusCode::from_u16(status).expect("a status")
}

async fn suspect(app: AppState, client: AllowedIp) -> &'static str {
    app.count();
    client.suspect("test");
    "noted"
}

type LoginAnswer = Result<(StatusCode, &'static str), GuardRejection>;

const WELCOME: (StatusCode, &str) = (StatusCode::OK, "welcome");
const WRONG: (StatusCode, &str) = (StatusCode::UNAUTHORIZED, "wrong");

async fn login(app: AppState, client: AllowedIp, password: Bytes) -> LoginAnswer {
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

async fn login_simply(app: AppState, client: AllowedIp, password: Bytes) -> LoginAnswer {
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

async fn hang(app: AppState) {
    app.count();
    let _hang = app.hang();
    std::future::pending().await
}

async fn echo(app: AppState, body: Body) -> Body {
    app.count();
    body
}

async fn websocket(app: AppState, upgrade: WebSocketUpgrade) -> axum::response::Response {
    app.count();
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(Message::Text(text))) = socket.recv().await {
            if socket.send(Message::Text(text)).await.is_err() {
                return;
            }
        }
    })
}
