use std::future::ready;

use actix_web::HttpRequest;
use actix_web::dev::HttpServiceFactory;
use actix_web::web::{self, Bytes};
use ipwhois_guard_core::Guard;

use crate::head::ActixHead;
use crate::respond::respond;

/// The guard's status page at a path, to be registered as a service after the application's own
/// routes below that path: see [`Guard::status_page`].
///
/// ```
/// use actix_web::App;
/// use ipwhois_guard_actix::{Guard, status_page};
///
/// # fn main() -> Result<(), ipwhois_guard_actix::BuildError> {
/// let guard = Guard::builder().build()?;
/// let app = App::new().service(status_page(&guard, "/guard"));
/// # drop(app);
/// # Ok(())
/// # }
/// ```
pub fn status_page(guard: &Guard, path: &str) -> impl HttpServiceFactory + use<> {
    let page = guard.status_page(path);
    let base = page.path().trim_end_matches('/');
    let paths = [base.to_owned(), format!("{base}/{{rest:.*}}")];
    web::resource(paths).to(move |request: HttpRequest, form: Option<Bytes>| {
        let head = ActixHead {
            request: &request,
            parsed: None,
        };
        let query = request.uri().query();
        let answer = page.answer(&head, query, &form.unwrap_or_default());
        let body = answer.body().to_owned();
        ready(respond(answer.status(), answer.headers(), body))
    })
}
