use http::Response;
use ipwhois_guard_core::{Denial, PageAnswer};

/// How a denial becomes a response whose body is `B`. Implemented by closures, and by
/// [`PlainDenial`] for every body that can be made of a string.
pub trait Respond<B> {
    /// The response to a refused request.
    fn respond(&self, denial: &Denial) -> Response<B>;
}

impl<B, F: Fn(&Denial) -> Response<B>> Respond<B> for F {
    fn respond(&self, denial: &Denial) -> Response<B> {
        self(denial)
    }
}

/// Answers with the denial's own status, headers and body.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainDenial;

impl<B: From<String>> Respond<B> for PlainDenial {
    fn respond(&self, denial: &Denial) -> Response<B> {
        denial_response(denial)
    }
}

/// A denial's status, headers and body as an `http` response.
#[must_use]
pub fn denial_response<B: From<String>>(denial: &Denial) -> Response<B> {
    let mut response = Response::builder().status(denial.status());
    for (name, value) in denial.headers() {
        response = response.header(name, &*value);
    }
    response
        .body(denial.body().into())
        .expect("core makes valid statuses and headers")
}

/// The answer of a status page as an `http` response.
#[must_use]
pub fn page_response<B: From<String>>(answer: PageAnswer) -> Response<B> {
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    response
        .body(answer.into_body().into())
        .expect("core makes valid statuses and headers")
}
