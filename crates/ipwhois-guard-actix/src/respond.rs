use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use ipwhois_guard_core::Denial;

/// A denial's status, headers and body as actix-web's response.
#[must_use]
pub fn denial_response(denial: &Denial) -> HttpResponse {
    respond(denial.status(), denial.headers(), denial.body())
}

/// What core says as actix-web's response.
pub(crate) fn respond(
    status: u16,
    headers: impl Iterator<Item = (&'static str, impl AsRef<str>)>,
    body: String,
) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("core makes valid statuses");
    let mut response = HttpResponse::build(status);
    for (name, value) in headers {
        response.insert_header((name, value.as_ref()));
    }
    response.body(body)
}

/// Keeps an unread request body until the response is written.
///
/// Seeing it, actix-web answers with `Connection: close` and takes what still comes for a moment,
/// so that the client can read the answer. Were it dropped here, after a wait for the service,
/// actix-web would stop reading a chunked upload halfway and neither go on nor close.
pub(crate) fn with_unread(payload: Payload, response: HttpResponse) -> HttpResponse {
    match payload {
        Payload::None => response,
        payload => response.map_body(|_, body| {
            BoxBody::new(BesideUnread {
                body,
                _unread: payload,
            })
        }),
    }
}

struct BesideUnread {
    body: BoxBody,
    _unread: Payload,
}

impl MessageBody for BesideUnread {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}
