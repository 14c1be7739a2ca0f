//! Catchers and other fairings.

use ipwhois_guard_rocket::{AllowedIp, Denial, GuardRejection, IpGuard, denial, original_uri};
use rocket::fairing::AdHoc;
use rocket::http::{Header, Method, Status};
use rocket::response::{self, Responder};
use rocket::{Build, Request, Rocket, catch, catchers, get, routes};

use crate::bench::{CLEAN, LISTED, client, expect_denied, get, guard, request, rocket};

#[get("/admin")]
fn admin() -> &'static str {
    "admin"
}

#[get("/data")]
fn data(_client: AllowedIp) -> &'static str {
    "data"
}

#[catch(403)]
fn forbidden() -> &'static str {
    "the application's 403"
}

#[catch(404)]
fn not_found() -> &'static str {
    "the application's 404"
}

#[derive(Responder)]
struct Caught(String, Header<'static>);

#[catch(default)]
fn anything(status: Status, _: &Request<'_>) -> Caught {
    let header = Header::new("X-Caught", "yes");
    Caught(format!("the application's {status}"), header)
}

fn app() -> Rocket<Build> {
    rocket().mount("/", routes![admin, data])
}

fn with_catchers(rocket: Rocket<Build>) -> Rocket<Build> {
    rocket
        .register("/", catchers![forbidden, not_found, anything])
        .register("/data", catchers![anything])
        .register("/admin", catchers![forbidden, anything])
}

#[test]
fn catchers_of_the_application_have_no_say_in_denials() {
    let guard = IpGuard::new(guard());
    let client = client(with_catchers(app()).attach(guard));
    expect_denied(get(&client, "/admin", LISTED));
    expect_denied(get(&client, "/admin/nothing", LISTED));
    let response = get(&client, "/data", LISTED);
    assert_eq!(response.headers().get_one("x-caught"), None);
    expect_denied(response);
    let catcher = |path| get(&client, path, CLEAN).into_string().unwrap();
    assert_eq!(catcher("/nothing"), "the application's 404");
    assert_eq!(catcher("/data/nothing"), "the application's 404 Not Found");
}

#[test]
fn catchers_that_come_late_have_no_say_either() {
    let late = AdHoc::on_ignite("late", |rocket| async { with_catchers(rocket) });
    let client = client(app().attach(IpGuard::new(guard())).attach(late));
    expect_denied(get(&client, "/admin", LISTED));
    expect_denied(get(&client, "/data", LISTED));
}

#[test]
fn a_head_request_is_denied_without_a_body() {
    let client = client(with_catchers(app()).attach(IpGuard::new(guard())));
    for path in ["/admin", "/data"] {
        let response = request(&client, Method::Head, path, LISTED).dispatch();
        assert_eq!(response.status(), Status::Forbidden);
        let content_type = response.headers().get_one("content-type");
        assert_eq!(content_type, Some("application/json"));
        assert_eq!(response.into_bytes().unwrap_or_default(), b"");
    }
}

fn log(name: &'static str) -> AdHoc {
    AdHoc::on_response(name, move |request, response| {
        Box::pin(async move {
            let denied = denial(request).map_or("no", Denial::reference);
            let line = format!("{} {} {denied}", request.method(), original_uri(request));
            response.set_raw_header(name, line);
        })
    })
}

#[test]
fn other_fairings_see_the_answer_and_what_was_asked_for() {
    let rocket = with_catchers(app())
        .attach(log("before"))
        .attach(IpGuard::new(guard()))
        .attach(log("after"));
    let client = client(rocket);
    for path in ["/admin?x=1", "/data?x=1"] {
        let response = get(&client, path, LISTED);
        let reference = response.headers().get_one("before").unwrap();
        let reference = reference.strip_prefix(&format!("GET {path} ")).unwrap();
        assert_eq!(reference.len(), 8);
        assert_eq!(
            response.headers().get_one("before"),
            response.headers().get_one("after")
        );
        // Rocket's own shield is a fairing as well.
        let frame = response.headers().get_one("x-frame-options");
        assert_eq!(frame, Some("SAMEORIGIN"));
        expect_denied(response);
    }
    let response = get(&client, "/admin?x=1", CLEAN);
    assert_eq!(
        response.headers().get_one("after"),
        Some("GET /admin?x=1 no")
    );
}

#[test]
fn a_custom_answer_is_the_answer_everywhere() {
    let guard = IpGuard::new(guard()).respond_with(|denial: &Denial| {
        let text = format!("custom {}", denial.reference());
        (Status::ImATeapot, text)
    });
    let client = client(with_catchers(app()).attach(guard));
    for path in ["/admin", "/data"] {
        let response = get(&client, path, LISTED);
        assert_eq!(response.status(), Status::ImATeapot);
        assert!(response.into_string().unwrap().starts_with("custom "));
    }
}

#[derive(Responder)]
struct WithHeader(GuardRejection, Header<'static>);

#[test]
fn a_custom_answer_may_be_the_guards_own_with_more() {
    let guard = IpGuard::new(guard()).respond_with(|denial: &Denial| {
        let header = Header::new("X-Own", "yes");
        WithHeader(GuardRejection::Denied(*denial), header)
    });
    let client = client(app().attach(guard));
    for path in ["/admin", "/data"] {
        let response = get(&client, path, LISTED);
        assert_eq!(response.headers().get_one("x-own"), Some("yes"));
        expect_denied(response);
    }
}

/// A responder that has nothing to say.
struct Silent;

impl<'r> Responder<'r, 'static> for Silent {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'static> {
        Err(Status::Forbidden)
    }
}

#[test]
fn a_custom_answer_that_fails_lets_nobody_in() {
    let guard = IpGuard::new(guard()).respond_with(|_: &Denial| Silent);
    let client = client(with_catchers(app()).attach(guard));
    assert_eq!(get(&client, "/admin", LISTED).status(), Status::Forbidden);
    let response = get(&client, "/data", LISTED);
    assert!(response.status().code >= 400);
    assert!(response.status().code < 597, "{}", response.status());
}
