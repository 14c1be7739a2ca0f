//! The route that answers refused requests: for nobody else it is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ipwhois_guard_rocket::IpGuard;
use rocket::http::{ContentType, Method, Status};
use rocket::local::blocking::{Client, LocalResponse};
use rocket::route::{BoxFuture, Outcome, Route};
use rocket::{Build, Data, Request, Rocket};

use crate::bench::{CLEAN, LISTED, METHODS, builder, client, get, guard, over_a_socket, request};
use crate::bench::{expect_denied, rocket};

fn guarded() -> Rocket<Build> {
    rocket().attach(IpGuard::new(guard()))
}

type Handled = Arc<AtomicUsize>;

/// An application that answers everything, before all routes but those of the lowest rank.
fn answering_everything(rocket: Rocket<Build>, handled: &Handled) -> Rocket<Build> {
    fn catch_all<'r>(request: &'r Request<'_>, _: Data<'r>) -> BoxFuture<'r> {
        let handled = request.rocket().state::<Handled>().unwrap();
        handled.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { Outcome::from(request, format!("{}", request.method())) })
    }
    let routes = METHODS.map(|method| Route::ranked(isize::MIN + 1, method, "/<_..>", catch_all));
    rocket.mount("/", routes).manage(Arc::clone(handled))
}

/// Where the route is mounted. A client cannot know it.
fn exit_of(client: &Client) -> String {
    let mut bases = client
        .rocket()
        .routes()
        .filter(|route| route.name.as_deref() == Some("ipwhois-guard"))
        .map(|route| route.uri.base().to_string());
    let base = bases.next().unwrap();
    assert_eq!(bases.filter(|other| *other == base).count(), 8);
    base
}

fn whole(response: LocalResponse<'_>) -> (Status, Vec<String>, Option<Vec<u8>>) {
    let headers = response.headers().iter().map(|line| line.to_string());
    let headers = headers.collect();
    (response.status(), headers, response.into_bytes())
}

#[test]
fn nobody_can_tell_it_from_a_path_that_does_not_exist() {
    let unanswered = client(guarded());
    let answering = client(answering_everything(guarded(), &Handled::default()));
    for client in [&unanswered, &answering] {
        let exit = exit_of(client);
        for method in METHODS {
            for who in [CLEAN, LISTED] {
                for below in ["", "/", "/admin", "/x/y?z"] {
                    let ask = |path: String| whole(request(client, method, &path, who).dispatch());
                    let known = ask(format!("{exit}{below}"));
                    let unknown = ask(format!("/unknown{below}"));
                    assert_eq!(known, unknown, "{method} {below}");
                }
            }
        }
    }
}

#[test]
fn nobody_can_guess_it() {
    let exits = [(); 2].map(|()| exit_of(&client(guarded())));
    assert_ne!(exits[0], exits[1]);
    for exit in exits {
        let random = exit.strip_prefix("/ipwhois-guard-").unwrap();
        assert_eq!(random.len(), 32);
        assert!(random.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

#[test]
fn refused_requests_reach_no_route_of_the_application_whatever_their_method() {
    let handled = Handled::default();
    let client = client(answering_everything(guarded(), &handled));
    for method in METHODS {
        let response = request(&client, method, "/admin/x?y", LISTED).dispatch();
        if method == Method::Head {
            assert_eq!(response.status(), Status::Forbidden);
            assert_eq!(response.into_bytes().unwrap_or_default(), b"");
        } else {
            expect_denied(response);
        }
    }
    assert_eq!(handled.load(Ordering::SeqCst), 0);
    assert_eq!(get(&client, "/admin/x?y", CLEAN).status(), Status::Ok);
    assert_eq!(handled.load(Ordering::SeqCst), 1);
}

#[test]
fn the_method_in_a_form_is_the_method_that_rules_see() {
    let guard = builder().protect(ipwhois_guard_rocket::Rule::path("/item").methods(["DELETE"]));
    let handled = Handled::default();
    let rocket = rocket().attach(IpGuard::new(guard.build().unwrap()));
    let client = client(answering_everything(rocket, &handled));
    let post = |path: &str, body: &'static str| {
        request(&client, Method::Post, path, LISTED)
            .header(ContentType::Form)
            .body(body)
            .dispatch()
    };
    // Whatever the form makes of the method, the denial is whole.
    for body in [
        "_method=delete&x=1",
        "_method=head",
        "_method=connect",
        "x=0123456789abcdef",
    ] {
        let response = post("/admin", body);
        assert_eq!(response.status(), Status::Forbidden, "{body}");
    }
    assert_eq!(handled.load(Ordering::SeqCst), 0);
    expect_denied(post("/item", "_method=delete&x=1"));
    assert_eq!(handled.load(Ordering::SeqCst), 0);
    // Without the field it is a POST for the rules and for Rocket alike.
    assert_eq!(
        post("/item", "x=0123456789abcdef").into_string().unwrap(),
        "POST"
    );
}

#[test]
fn what_rocket_refuses_by_itself_reaches_no_handler_either() {
    let handled = Handled::default();
    let ask = |line: &str| {
        let head = "Host: x\r\nConnection: close\r\nX-Forwarded-For: 25.0.0.7\r\n\r\n";
        format!("{line} HTTP/1.1\r\n{head}").into_bytes()
    };
    let requests = [
        ask("PROPFIND /admin"),
        ask("BREW /admin"),
        ask("get /admin"),
        ask("CONNECT example.com:443"),
        ask("CONNECT /admin"),
        ask("OPTIONS *"),
        ask("TRACE /admin"),
    ];
    let everything = builder().protect("/").build().unwrap();
    let rocket = answering_everything(rocket().attach(IpGuard::new(everything)), &handled);
    let answers = over_a_socket(rocket, &requests.each_ref().map(Vec::as_slice));
    let status = |answer: &String| answer.get(9..12).unwrap_or_default().to_owned();
    let statuses: Vec<String> = answers.iter().map(status).collect();
    assert_eq!(statuses, ["400", "400", "400", "400", "403", "403", "403"]);
    assert_eq!(handled.load(Ordering::SeqCst), 0);
}
