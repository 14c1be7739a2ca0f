//! `AllowedIp` and `IpVerdict`, and what has to be there for them.

use std::net::SocketAddr;

use ipwhois_guard_rocket::{AllowedIp, Guard, GuardRejection, IpGuard, IpVerdict, OnUnverified};
use rocket::error::ErrorKind;
use rocket::http::Status;
use rocket::local::blocking::Client;
use rocket::{Build, Rocket, State, get, routes};

use crate::bench::{CLEAN, LISTED, builder, client, expect_denied, get, guard, rocket};

#[get("/data")]
fn data(client: AllowedIp) -> String {
    format!("{:?}", client.client_ip())
}

#[get("/whoami")]
fn whoami(verdict: IpVerdict) -> String {
    let IpVerdict(verdict) = verdict;
    format!("{} {}", verdict.source(), verdict.is_allowed())
}

#[get("/own")]
fn own(client: Result<AllowedIp, GuardRejection>) -> Result<&'static str, &'static str> {
    client
        .map(|_| "welcome")
        .map_err(|_| "in the application's own words")
}

#[get("/passed-on")]
fn passed_on(client: Result<AllowedIp, GuardRejection>) -> Result<&'static str, GuardRejection> {
    client.map(|_| "welcome")
}

#[get("/managed")]
fn managed(guard: &State<Guard>) -> String {
    guard.cache_entries().to_string()
}

fn app() -> Rocket<Build> {
    rocket().mount("/", routes![data, whoami, own, passed_on, managed])
}

#[test]
fn the_request_guard_alone_answers_with_the_whole_denial() {
    let client = client(app().attach(IpGuard::new(guard()).request_guards_only()));
    expect_denied(get(&client, "/data", LISTED));
    let text = |path, from| get(&client, path, from).into_string().unwrap();
    assert_eq!(text("/data", CLEAN), "Some(10.0.0.1)");
    assert_eq!(text("/whoami", LISTED), "denylist false");
    // Rules refuse nothing in this mode.
    assert_eq!(get(&client, "/admin", LISTED).status(), Status::NotFound);
}

#[test]
fn a_handler_may_have_the_last_word() {
    let client = client(app().attach(IpGuard::new(guard())));
    let response = get(&client, "/own", LISTED);
    assert_eq!(response.status(), Status::Ok);
    let text = response.into_string().unwrap();
    assert_eq!(text, "in the application's own words");
    expect_denied(get(&client, "/passed-on", LISTED));
}

#[test]
fn the_guard_is_managed() {
    let same = guard();
    let client = client(app().manage(same.clone()).attach(IpGuard::new(same)));
    assert_eq!(get(&client, "/managed", CLEAN).into_string().unwrap(), "0");
}

#[test]
fn a_request_without_a_peer_is_not_guessed() {
    let strict = builder().on_unknown_client(OnUnverified::Deny);
    let strict = strict.build().unwrap();
    let client = client(app().attach(IpGuard::new(strict)));
    let forged = rocket::http::Header::new("X-Real-IP", CLEAN);
    let response = client.get("/admin").header(forged).dispatch();
    assert_eq!(response.status(), Status::ServiceUnavailable);
    let response = client.get("/data").dispatch();
    assert_eq!(response.status(), Status::InternalServerError);
    let text = response.into_string().unwrap();
    assert!(
        text.starts_with("no peer: ") && text.contains(".remote(address)"),
        "{text}"
    );
}

#[test]
fn the_peer_is_the_sockets_whatever_rocket_takes_for_the_client() {
    let guard = builder().trusted_proxies([""; 0]).build().unwrap();
    let client = client(app().attach(IpGuard::new(guard)));
    let peer = SocketAddr::from(([10, 0, 0, 9], 1));
    let forged = rocket::http::Header::new("X-Real-IP", LISTED);
    let response = client.get("/data").remote(peer).header(forged).dispatch();
    assert_eq!(response.into_string().unwrap(), "Some(10.0.0.9)");
}

#[track_caller]
fn launch_error(rocket: Rocket<Build>) -> String {
    let error = Client::untracked(rocket).unwrap_err();
    match error.kind() {
        ErrorKind::FailedFairings(fairings) => fairings[0].name.to_owned(),
        ErrorKind::SentinelAborts(aborts) => aborts[0].type_name.to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn request_guards_without_the_fairing_stop_the_launch() {
    let name = launch_error(rocket().mount("/", routes![data]));
    assert!(name.ends_with("AllowedIp"), "{name}");
    let name = launch_error(rocket().mount("/", routes![whoami]));
    assert!(name.ends_with("IpVerdict"), "{name}");
    let name = launch_error(rocket().mount("/", routes![own]).manage(guard()));
    assert!(name.ends_with("AllowedIp"), "{name}");
}

#[test]
fn a_second_guard_stops_the_launch() {
    let twice = rocket()
        .attach(IpGuard::new(guard()))
        .attach(IpGuard::new(guard()));
    assert_eq!(launch_error(twice), "ipwhois-guard");
    let other = rocket().manage(guard()).attach(IpGuard::new(guard()));
    assert_eq!(launch_error(other), "ipwhois-guard");
}

#[test]
fn what_a_handler_passes_on_has_the_applications_words_too() {
    let worded = IpGuard::new(guard()).respond_with(|_| (Status::NotFound, "nothing here"));
    let client = client(app().attach(worded));
    for path in ["/data", "/passed-on"] {
        let response = get(&client, path, LISTED);
        assert_eq!(response.status(), Status::NotFound);
        assert_eq!(response.into_string().unwrap(), "nothing here", "{path}");
    }
}
