use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use ipwhois_guard_rocket::{AllowedIp, Denial, GuardBuilder, GuardRejection, IpGuard, IpVerdict};
use rocket::config::{LogLevel, Shutdown};
use rocket::data::{Data, ToByteUnit};
use rocket::fairing::AdHoc;
use rocket::http::{Method, Status};
use rocket::request::Request;
use rocket::route::{BoxFuture, Outcome, Route};
use rocket::shield::Shield;
use rocket::{Build, Config, Response, Rocket as Server, State, get, post, routes};
use rocket_ws::{Message, Stream, WebSocket};
use tokio::sync::oneshot;

use crate::driver::{Address, App, Driver, Install, Passwords, whoami_json};

/// Rocket, by the fairing and the request guards of `ipwhois-guard-rocket`.
#[derive(Debug)]
pub struct Rocket;

impl Driver for Rocket {
    const DROPS_ABANDONED_REQUESTS: bool = false;
    const WORDS_REFUSALS_OF_HANDLERS: bool = true;
    const NO_PEER_ADVICE: &'static str = "peer";

    const EXCEPTIONS: &'static [(&'static str, &'static str)] = &[
        (
            "a_unix_peer_is_not_determinable_unless_trusted",
            "Rocket 0.5 listens on TCP sockets only",
        ),
        (
            "a_missing_peer_is_not_guessed",
            "Rocket knows the peer of every socket; the adapter's own tests take the local client, which has none",
        ),
        (
            "a_missing_peer_is_explained_by_the_extractor",
            "Rocket knows the peer of every socket; the adapter's own tests take the local client, which has none",
        ),
        (
            "a_health_check_of_an_allowed_proxy_is_let_in",
            "Rocket drops header lines that are not UTF-8, so that a request without one may be any client's",
        ),
        (
            "denies_methods_that_frameworks_need_not_know",
            "Rocket answers methods that it does not know with 400 before any fairing or handler runs",
        ),
        (
            "a_request_counts_once_behind_two_middlewares",
            "there is one fairing for all routes, and a second one stops the launch",
        ),
        (
            "an_answer_counts_behind_two_middlewares",
            "there is one fairing for all routes, and a second one stops the launch",
        ),
        (
            "a_client_refused_by_an_extractor_may_write_its_whole_body_before_it_reads",
            "Rocket gives the body neither to request guards nor to catchers: the connection only lingers",
        ),
        (
            "a_refused_client_is_not_asked_for_its_body",
            "Rocket asks for a body's first bytes before any fairing runs",
        ),
        (
            "a_dropped_request_is_no_signal",
            "Rocket runs a request to its end whether or not its client hangs up",
        ),
    ];

    fn settle(guard: GuardBuilder) -> GuardBuilder {
        let same = guard.settings().on_unverified;
        match guard.settings().on_unknown_client {
            None => guard.on_unknown_client(same),
            Some(_) => guard,
        }
    }

    fn serve(app: App, ready: impl FnOnce(Address) + Send, stop: oneshot::Receiver<()>) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(serve(app, ready, stop));
    }
}

async fn serve(app: App, ready: impl FnOnce(Address) + Send, stop: oneshot::Receiver<()>) {
    let (launched, mut address) = oneshot::channel();
    let launched = Mutex::new(Some(launched));
    let rocket = rocket(app)
        .attach(AdHoc::on_liftoff("address", move |rocket| {
            Box::pin(async move {
                let config = rocket.config();
                let address = Address::Tcp((config.address, config.port).into());
                let launched = launched.lock().expect("nobody panicked").take();
                let _ = launched.expect("one launch").send(address);
            })
        }))
        .ignite()
        .await
        .expect("the rocket ignites");
    let shutdown = rocket.shutdown();
    let mut ready = Some(ready);
    let mut stop = stop;
    let mut launch = Box::pin(rocket.launch());
    loop {
        tokio::select! {
            Ok(address) = &mut address, if ready.is_some() => {
                if let Some(ready) = ready.take() {
                    ready(address);
                }
            }
            _ = &mut stop => break,
            ended = &mut launch => panic!("the server ended: {ended:?}"),
        }
    }
    shutdown.notify();
    // Requests that a case left hanging are cut off, which Rocket calls an error.
    if let Err(error) = launch.await {
        let _ = error.kind();
    }
}

fn rocket(app: App) -> Server<Build> {
    let Address::Tcp(listen) = &app.listen else {
        unreachable!("an exception says that Rocket does not listen there");
    };
    let mut shutdown = Shutdown {
        ctrlc: false,
        grace: 0,
        mercy: 0,
        force: false,
        ..Shutdown::default()
    };
    shutdown.signals = HashSet::new();
    let config = Config {
        address: listen.ip(),
        port: listen.port(),
        log_level: LogLevel::Off,
        shutdown,
        ..Config::debug_default()
    };
    let install = app.install;
    let fairing = IpGuard::new(app.guard.clone());
    let rocket = Server::custom(config)
        // The cases look for headers that do not belong to a denial; these do not, and are Rocket's
        // default.
        .attach(Shield::new())
        .mount("/", routes![open, websocket, answer, health, metrics, hang])
        .mount("/", [Route::new(Method::Post, "/echo", echo)])
        .mount("/admin", any_method(admin))
        .manage(Arc::new(app));
    let rocket = match install {
        // Rocket does not launch such an application, unless the handler asks by hand.
        Install::ExtractorsNoGuard => {
            rocket.mount("/", [Route::new(Method::Get, "/data", data_by_hand)])
        }
        _ => rocket.mount(
            "/",
            routes![whoami, data, data_twice, suspect, login, login_simply],
        ),
    };
    match install {
        // There is one fairing for all routes. What is nested are the routes, mounted below a base.
        Install::Whole | Install::Nested => rocket.attach(fairing),
        Install::CustomResponse => rocket.attach(fairing.respond_with(nothing_here)),
        Install::ExtractorsOnly => rocket.attach(fairing.request_guards_only()),
        Install::ExtractorsNoGuard => rocket,
        Install::Twice | Install::NoPeer | Install::ExtractorsNoPeer => {
            unreachable!("an exception says that there is one fairing and always a peer")
        }
    }
}

type AppState = State<Arc<App>>;
type Handler = for<'r> fn(&'r Request<'_>, Data<'r>) -> BoxFuture<'r>;

fn any_method(handler: Handler) -> Vec<Route> {
    let methods = [
        Method::Get,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
        Method::Head,
        Method::Trace,
        Method::Connect,
    ];
    methods
        .into_iter()
        .map(|method| Route::new(method, "/<_..>", handler))
        .collect()
}

fn app<'r>(request: &'r Request<'_>) -> &'r App {
    request
        .rocket()
        .state::<Arc<App>>()
        .expect("the driver manages it")
}

fn nothing_here(denial: &Denial) -> (Status, String) {
    let body = format!("custom {}", denial.reference());
    (Status::NotFound, body)
}

#[get("/")]
fn open(app: &AppState) -> &'static str {
    app.count();
    "open"
}

fn admin<'r>(request: &'r Request<'_>, _: Data<'r>) -> BoxFuture<'r> {
    app(request).count();
    Box::pin(async move { Outcome::from(request, "admin") })
}

#[get("/whoami")]
fn whoami(app: &AppState, verdict: IpVerdict) -> String {
    app.count();
    let IpVerdict(verdict) = verdict;
    whoami_json(verdict)
}

#[get("/data")]
fn data(app: &AppState, _client: AllowedIp) -> &'static str {
    app.count();
    "data"
}

#[get("/data/twice")]
fn data_twice(app: &AppState, _verdict: IpVerdict, _client: AllowedIp) -> &'static str {
    app.count();
    "data"
}

/// Left to a catcher, as Rocket's handlers do.
#[get("/answer/<status>")]
fn answer(app: &AppState, status: u16) -> Status {
    app.count();
    Status::new(status)
}

#[post("/suspect")]
fn suspect(app: &AppState, client: AllowedIp) -> &'static str {
    app.count();
    client.suspect("test");
    "noted"
}

type LoginAnswer = Result<(Status, &'static str), GuardRejection>;

const WELCOME: (Status, &str) = (Status::Ok, "welcome");
const WRONG: (Status, &str) = (Status::Unauthorized, "wrong");

#[post("/login", data = "<password>")]
async fn login(app: &AppState, client: AllowedIp, password: Vec<u8>) -> LoginAnswer {
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

#[post("/login/simple", data = "<password>")]
async fn login_simply(app: &AppState, client: AllowedIp, password: Vec<u8>) -> LoginAnswer {
    app.count();
    if app.passwords.are_right(&password).await {
        return Ok(WELCOME);
    }
    client.failed_login().await?;
    Ok(WRONG)
}

#[get("/guard/health")]
fn health(app: &AppState) -> String {
    app.count();
    app.health_json()
}

#[get("/metrics")]
fn metrics(app: &AppState) -> String {
    app.count();
    app.metrics_text()
}

#[get("/hang")]
async fn hang(app: &AppState) {
    app.count();
    let _hang = app.hang();
    std::future::pending().await
}

fn data_by_hand<'r>(request: &'r Request<'_>, data: Data<'r>) -> BoxFuture<'r> {
    Box::pin(async move {
        match request.guard::<AllowedIp>().await {
            rocket::outcome::Outcome::Success(_) => {
                app(request).count();
                Outcome::from(request, "data")
            }
            rocket::outcome::Outcome::Error((_, rejection)) => Outcome::from(request, rejection),
            rocket::outcome::Outcome::Forward(status) => Outcome::forward(data, status),
        }
    })
}

/// Written by hand: a body that is read while it is sent borrows the request's.
fn echo<'r>(request: &'r Request<'_>, data: Data<'r>) -> BoxFuture<'r> {
    app(request).count();
    let body = data.open(1.gibibytes());
    Box::pin(async move { Outcome::Success(Response::build().streamed_body(body).finalize()) })
}

#[get("/ws")]
fn websocket(app: &AppState, socket: WebSocket) -> Stream!['static] {
    app.count();
    Stream! { socket =>
        for await message in socket {
            if let Message::Text(text) = message? {
                yield Message::Text(text);
            }
        }
    }
}
