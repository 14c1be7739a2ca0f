use std::io;
use std::sync::Arc;

use futures_util::{SinkExt, Stream, StreamExt, TryStreamExt};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use ipwhois_guard_warp::{
    AllowedIp, Denial, GuardRejection, IpGuard, IpVerdict, allowed_ip, ip_verdict, recover,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::hyper::server::conn::http1;
use warp::reply::{Response, WithStatus, with_status};
use warp::ws::{WebSocket, Ws};
use warp::{Buf, Filter, Rejection, Reply};

use crate::driver::{Address, App, Driver, Install, Passwords, whoami_json};

/// warp, by the wrapper and the extractors of `ipwhois-guard-warp`.
#[derive(Debug)]
pub struct Warp;

impl Driver for Warp {
    const EXCEPTIONS: &'static [(&'static str, &'static str)] = &[(
        "a_missing_guard_is_explained_by_the_extractor",
        "the extractors take the guard as an argument, so that without one nothing compiles",
    )];
    const DROPS_ABANDONED_REQUESTS: bool = true;
    const WORDS_REFUSALS_OF_HANDLERS: bool = true;
    const NO_PEER_ADVICE: &'static str = "`PeerAddr`";

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
    let routes = routes(app);
    match listen {
        Address::Unix(path) => {
            let listener = UnixListener::bind(&path)?;
            ready(Address::Unix(path));
            warp::serve(routes).incoming(listener).run().await;
        }
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            ready(Address::Tcp(listener.local_addr()?));
            if matches!(install, Install::NoPeer | Install::ExtractorsNoPeer) {
                return serve_without_peer(listener, routes).await;
            }
            warp::serve(routes).incoming(listener).run().await;
        }
    }
    Ok(())
}

/// warp's own server always knows the peer of a TCP connection; a server around `warp::service` has
/// to tell.
async fn serve_without_peer(
    listener: TcpListener,
    routes: BoxedFilter<(Response,)>,
) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(warp::service(routes.clone()));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn routes(app: App) -> BoxedFilter<(Response,)> {
    let install = app.install;
    let mut guard = IpGuard::new(app.guard.clone());
    if matches!(app.listen, Address::Unix(_)) {
        guard = guard.on_unix_socket();
    }
    if install == Install::CustomResponse {
        guard = guard.respond_with(nothing_here);
    }
    let client = allowed_ip(guard.clone());
    let verdict = ip_verdict(guard.clone());
    let hanging = app.clone();
    let watched = app.clone();
    let look = warp::get().or(warp::head()).unify();
    let watched = look.map(move || watched.clone());
    let passwords = Arc::clone(&app.passwords);
    let passwords = warp::any().map(move || Arc::clone(&passwords));
    let counted = warp::any().map(move || app.count()).untuple_one();

    let open = warp::path::end()
        .and(warp::get())
        .and(counted.clone())
        .map(|| "open");
    let admin = counted.clone().map(|| "admin".into_response()).boxed();
    let admin = warp::path("admin").and(match install {
        Install::Nested => guard.wrap(admin).boxed(),
        _ => admin,
    });
    let whoami = warp::path!("whoami")
        .and(warp::get())
        .and(verdict.clone())
        .and(counted.clone())
        .map(whoami);
    let data = warp::path!("data")
        .and(warp::get())
        .and(client.clone())
        .and(counted.clone())
        .map(|_: AllowedIp| "data");
    let data_twice = warp::path!("data" / "twice")
        .and(warp::get())
        .and(verdict)
        .and(client.clone())
        .and(counted.clone())
        .map(|_: IpVerdict, _: AllowedIp| "data");
    let echo = warp::path!("echo")
        .and(warp::post())
        .and(counted.clone())
        .and(warp::body::stream())
        .map(echo);
    let websocket = warp::path!("ws")
        .and(warp::ws())
        .and(counted.clone())
        .map(|upgrade: Ws| upgrade.on_upgrade(talk));
    let answer = warp::path!("answer" / u16)
        .and(warp::get())
        .and(counted.clone())
        .map(answer);
    let suspect = warp::path!("suspect")
        .and(warp::post())
        .and(client.clone())
        .and(counted.clone())
        .map(suspect);
    let attempt = client
        .and(counted.clone())
        .and(passwords)
        .and(warp::body::bytes());
    // Both ways to return a refusal: as a reply and as a rejection.
    let login = warp::path!("login")
        .and(warp::post())
        .and(attempt.clone())
        .then(login);
    let login_simply = warp::path!("login" / "simple")
        .and(warp::post())
        .and(attempt)
        .and_then(login_simply);
    let health = warp::path!("guard" / "health")
        .and(watched.clone())
        .and(counted.clone())
        .map(|app: App| app.health_json());
    let metrics = warp::path!("metrics")
        .and(watched)
        .and(counted.clone())
        .map(|app: App| app.metrics_text());
    let hang = warp::path!("hang")
        .and(warp::get())
        .and(counted)
        .then(move || hang(hanging.clone()));

    let routes = open
        .or(admin)
        .or(whoami)
        .or(data)
        .or(data_twice)
        .or(echo)
        .or(websocket)
        .or(answer)
        .or(suspect)
        .or(login)
        .or(login_simply)
        .or(health)
        .or(metrics)
        .or(hang)
        .map(Reply::into_response);
    match install {
        Install::Whole | Install::NoPeer | Install::CustomResponse => guard.wrap(routes).boxed(),
        Install::Twice => guard.wrap(guard.wrap(routes)).boxed(),
        Install::Nested
        | Install::ExtractorsOnly
        | Install::ExtractorsNoPeer
        | Install::ExtractorsNoGuard => routes.recover(recover).unify().boxed(),
    }
}

fn nothing_here(denial: &Denial) -> impl Reply + use<> {
    let body = format!("custom {}", denial.reference());
    warp::reply::with_status(body, StatusCode::NOT_FOUND)
}

fn whoami(IpVerdict(verdict): IpVerdict) -> String {
    whoami_json(verdict)
}

fn answer(status: u16) -> impl Reply {
    StatusCode::from_u16(status).expect("a status")
}

fn suspect(client: AllowedIp) -> &'static str {
    client.suspect("test");
    "noted"
}

type LoginReply = WithStatus<&'static str>;

async fn login(
    client: AllowedIp,
    passwords: Arc<Passwords>,
    password: impl Buf,
) -> Result<LoginReply, GuardRejection> {
    let attempt = match Passwords::account(password.chunk()) {
        Some(account) => client.login_attempt_for(account).await?,
        None => client.login_attempt().await?,
    };
    if passwords.are_right(password.chunk()).await {
        attempt.succeeded().await;
        return Ok(with_status("welcome", StatusCode::OK));
    }
    attempt.failed().await?;
    Ok(with_status("wrong", StatusCode::UNAUTHORIZED))
}

async fn login_simply(
    client: AllowedIp,
    passwords: Arc<Passwords>,
    password: impl Buf,
) -> Result<LoginReply, Rejection> {
    if passwords.are_right(password.chunk()).await {
        return Ok(with_status("welcome", StatusCode::OK));
    }
    client.failed_login().await?;
    Ok(with_status("wrong", StatusCode::UNAUTHORIZED))
}

async fn hang(app: App) -> &'static str {
    let _hang = app.hang();
    std::future::pending().await
}

fn echo<B: Buf>(
    body: impl Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
) -> impl Reply {
    warp::reply::stream(body.map_ok(|mut part| part.copy_to_bytes(part.remaining())))
}

async fn talk(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() && socket.send(message).await.is_err() {
            return;
        }
    }
}
