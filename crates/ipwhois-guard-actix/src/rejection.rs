use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use ipwhois_guard_core::{Denial, SetupMistake};

use crate::denial_response;

/// Why an extractor did not run the handler, or what a handler answers when a failed login has
/// banned the client: `?` makes it of a [`Denial`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardRejection {
    /// The client is refused; the response is the denial's.
    #[error("the client is refused (reference {})", .0.reference())]
    Denied(Denial),
    /// A mistake in the set-up: there is neither the middleware nor a guard in the app data. The
    /// response is a 500 that says so.
    #[error(
        "no guard: add `.wrap(IpGuard::new(guard))`, or the guard itself by `.app_data(guard)`, to the `App`"
    )]
    NoGuard,
    /// Nobody knows who sent the request: the client reset its connection before the server
    /// accepted it. The response is a 500, which nobody reads.
    #[error("no peer address: the client reset its connection before the server accepted it")]
    NoPeer,
}

impl From<Denial> for GuardRejection {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<SetupMistake> for GuardRejection {
    fn from(mistake: SetupMistake) -> Self {
        match mistake {
            SetupMistake::NoGuard => Self::NoGuard,
            SetupMistake::NoPeer => Self::NoPeer,
        }
    }
}

impl ResponseError for GuardRejection {
    fn status_code(&self) -> StatusCode {
        self.error_response().status()
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Denied(denial) => denial_response(denial),
            mistake => HttpResponse::InternalServerError().body(mistake.to_string()),
        }
    }
}
