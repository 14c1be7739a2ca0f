use std::io::Cursor;
use std::sync::Arc;

use ipwhois_guard_core::Denial;
use rocket::http::Status;
use rocket::response::{self, Responder};
use rocket::{Request, Response};

/// How denials are answered, with the type of the application's own answer forgotten.
pub(crate) type Answer =
    Arc<dyn Fn(&Denial, &Request<'_>) -> response::Result<'static> + Send + Sync>;

/// As core words them.
pub(crate) fn plain() -> Answer {
    Arc::new(|denial, _| Ok(denial_response(denial)))
}

/// As the application words them.
pub(crate) fn custom<F, R>(respond: F) -> Answer
where
    F: Fn(&Denial) -> R + Send + Sync + 'static,
    R: for<'r> Responder<'r, 'static>,
{
    Arc::new(move |denial, request| respond(denial).respond_to(request))
}

/// A denial's status, headers and body as Rocket's response.
#[must_use]
pub fn denial_response(denial: &Denial) -> Response<'static> {
    let mut response = Response::build();
    response.status(Status::new(denial.status()));
    for (name, value) in denial.headers() {
        response.raw_header(name, value);
    }
    let body = denial.body();
    response
        .sized_body(body.len(), Cursor::new(body))
        .finalize()
}
