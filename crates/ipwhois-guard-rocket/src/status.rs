use std::io::Cursor;

use ipwhois_guard_core::{Guard, StatusPage};
use rocket::data::ToByteUnit;
use rocket::fairing::{AdHoc, Fairing};
use rocket::http::{Method, Status};
use rocket::route::{self, Route};
use rocket::{Data, Request, Response};

use crate::head::Head;

/// The guard's status page at a path, as a fairing to be attached: see [`Guard::status_page`].
///
/// ```
/// use ipwhois_guard_rocket::{Guard, IpGuard, status_page};
///
/// # fn rocket(guard: Guard) -> rocket::Rocket<rocket::Build> {
/// rocket::build()
///     .attach(status_page(&guard, "/guard"))
///     .attach(IpGuard::new(guard))
/// # }
/// ```
pub fn status_page(guard: &Guard, path: &str) -> impl Fairing + use<> {
    let page = guard.status_page(path);
    AdHoc::on_ignite("ipwhois-guard: status page", async move |rocket| {
        let route = |method| Route::new(method, "/<_..>", Mounted(page.clone()));
        let routes = [Method::Get, Method::Post].map(route);
        rocket.mount(page.path().to_owned(), routes)
    })
}

#[derive(Clone)]
struct Mounted(StatusPage);

#[rocket::async_trait]
impl route::Handler for Mounted {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> route::Outcome<'r> {
        let form = data.open(StatusPage::MAX_FORM_BYTES.bytes()).into_bytes();
        // Of a longer body nothing counts, and an empty form is refused.
        let form = form.await.ok().filter(|form| form.is_complete());
        let form = form.map_or_else(Vec::new, |form| form.into_inner());
        let query = request.uri().query().map(|query| query.as_str());
        let answer = self.0.answer(&Head(request), query, &form);
        let mut response = Response::build();
        response.status(Status::new(answer.status()));
        for (name, value) in answer.headers() {
            response.raw_header(name, value.to_owned());
        }
        let body = answer.into_body();
        let response = response.sized_body(body.len(), Cursor::new(body));
        route::Outcome::Success(response.finalize())
    }
}
