//! A rocket behind a guard, asked by the local client or over a socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ipwhois_guard_rocket::{Guard, GuardBuilder, OnUnverified};
use rocket::config::LogLevel;
use rocket::fairing::AdHoc;
use rocket::figment::Figment;
use rocket::http::{Header, Method, Status};
use rocket::local::blocking::{Client, LocalRequest, LocalResponse};
use rocket::{Build, Config, Rocket};

/// Refused by the denylist, so that nobody has to be asked.
pub(crate) const LISTED: &str = "25.0.0.7";
/// Let in: a private address.
pub(crate) const CLEAN: &str = "10.0.0.1";

pub(crate) const METHODS: [Method; 9] = [
    Method::Get,
    Method::Put,
    Method::Post,
    Method::Delete,
    Method::Options,
    Method::Head,
    Method::Trace,
    Method::Connect,
    Method::Patch,
];

/// A guard of `/admin`, behind a proxy on loopback.
pub(crate) fn builder() -> GuardBuilder {
    Guard::builder()
        .api_url("http://127.0.0.1:9/api")
        .trusted_proxies(["127.0.0.0/8"])
        .on_unknown_client(OnUnverified::Allow)
        .deny([LISTED])
        .protect("/admin")
}

pub(crate) fn guard() -> Guard {
    builder().build().unwrap()
}

pub(crate) fn figment() -> Figment {
    Figment::from(Config::debug_default())
        .merge(("log_level", LogLevel::Off))
        .merge(("port", 0))
        .merge(("shutdown.ctrlc", false))
        .merge(("shutdown.signals", [""; 0]))
        .merge(("shutdown.grace", 0))
        .merge(("shutdown.mercy", 0))
}

pub(crate) fn rocket() -> Rocket<Build> {
    rocket::custom(figment())
}

pub(crate) fn client(rocket: Rocket<Build>) -> Client {
    Client::untracked(rocket).unwrap()
}

/// A request of the local client, through the proxy on loopback.
pub(crate) fn request<'c>(
    client: &'c Client,
    method: Method,
    uri: &str,
    from: &str,
) -> LocalRequest<'c> {
    client
        .req(method, uri.to_owned())
        .remote(SocketAddr::from(([127, 0, 0, 1], 4711)))
        .header(Header::new("X-Forwarded-For", from.to_owned()))
}

pub(crate) fn get<'c>(client: &'c Client, uri: &str, from: &str) -> LocalResponse<'c> {
    request(client, Method::Get, uri, from).dispatch()
}

/// Checks a denial whole.
#[track_caller]
pub(crate) fn expect_denied(response: LocalResponse<'_>) {
    assert_eq!(response.status(), Status::Forbidden);
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("vary", "Accept"),
    ] {
        let values: Vec<&str> = response.headers().get(name).collect();
        assert_eq!(values, [value], "{name}");
    }
    let body = response.into_string().unwrap();
    assert!(
        body.starts_with(r#"{"error":"Blocked","reference":""#),
        "{body}"
    );
}

/// Sends bytes to a rocket that listens on loopback, and reads the answer to its end.
#[track_caller]
pub(crate) fn over_a_socket(rocket: Rocket<Build>, requests: &[&[u8]]) -> Vec<String> {
    let (listening, address) = mpsc::channel();
    let rocket = rocket.attach(AdHoc::on_liftoff("address", move |rocket| {
        let config = rocket.config();
        let address = SocketAddr::new(config.address, config.port);
        let told = listening.send((address, rocket.shutdown()));
        Box::pin(async move { told.unwrap() })
    }));
    let server =
        thread::spawn(move || rocket::execute(rocket.launch()).map(drop).map_err(Box::new));
    let (address, shutdown) = address.recv().unwrap();
    let answers = requests.iter().map(|request| {
        let mut stream = TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    });
    let answers = answers.collect();
    shutdown.notify();
    server.join().unwrap().unwrap();
    answers
}
