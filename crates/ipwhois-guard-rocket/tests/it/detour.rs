//! Fairings that change where a request goes.

use ipwhois_guard_rocket::IpGuard;
use rocket::fairing::AdHoc;
use rocket::http::uri::Origin;
use rocket::http::{CookieJar, Status};
use rocket::{get, routes};

use crate::bench::{CLEAN, LISTED, client, expect_denied, get, guard, rocket};

#[get("/admin")]
fn admin(cookies: &CookieJar<'_>) -> &'static str {
    cookies.add(("session", "secret"));
    "admin"
}

fn everything_to_admin() -> AdHoc {
    AdHoc::on_request("rewrite", |request, _| {
        Box::pin(async move {
            request.set_uri(Origin::parse("/admin").unwrap());
        })
    })
}

#[test]
fn rules_see_what_earlier_fairings_made_of_the_uri() {
    let rocket = rocket().mount("/", routes![admin]);
    let client = client(
        rocket
            .attach(everything_to_admin())
            .attach(IpGuard::new(guard())),
    );
    expect_denied(get(&client, "/elsewhere", LISTED));
    assert_eq!(get(&client, "/elsewhere", CLEAN).status(), Status::Ok);
}

#[test]
fn a_later_fairing_cannot_lead_a_refused_client_back_in() {
    let rocket = rocket().mount("/", routes![admin]);
    let client = client(
        rocket
            .attach(IpGuard::new(guard()))
            .attach(everything_to_admin()),
    );
    let response = get(&client, "/admin", LISTED);
    assert!(response.cookies().get("session").is_none());
    expect_denied(response);
}
