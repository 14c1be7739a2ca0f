use ipwhois_guard_core::{Denial, SetupMistake};
use rocket::Request;
use rocket::http::Status;
use rocket::response::{self, Responder};

use crate::denial_response;
use crate::head::NO_PEER_HINT;
use crate::wiring::Installed;

/// Why a request guard did not let the handler run.
///
/// As a responder it is the denial as the guard words it, or a 500 that says what to mend.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardRejection {
    /// The client is refused.
    #[error("the client is refused (reference {})", .0.reference())]
    Denied(Denial),
    /// A mistake in the set-up: `IpGuard` is not attached. Rocket's launch finds it where the request guard is an argument of
    /// a handler; it is left for handlers that ask by hand, with `request.guard::<AllowedIp>()`.
    #[error("no guard: attach one to the rocket, `rocket::build().attach(IpGuard::new(guard))`")]
    NoGuard,
    /// Rocket does not know who is connected. Over sockets it always does.
    #[error("no peer: {NO_PEER_HINT}")]
    NoPeer,
}

impl From<SetupMistake> for GuardRejection {
    fn from(mistake: SetupMistake) -> Self {
        match mistake {
            SetupMistake::NoGuard => Self::NoGuard,
            SetupMistake::NoPeer => Self::NoPeer,
        }
    }
}

impl GuardRejection {
    /// The answer that the client gets, in the application's own words if it has some.
    pub(crate) fn answer(self, request: &Request<'_>) -> response::Result<'static> {
        match (self, Installed::of(request)) {
            (Self::Denied(denial), Some(installed)) => (installed.answer)(&denial, request),
            _ => self.respond_to(request),
        }
    }
}

// Not in the application's own words: those may be made of this.
impl<'r> Responder<'r, 'static> for GuardRejection {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        match self {
            Self::Denied(denial) => Ok(denial_response(&denial)),
            mistake => (Status::InternalServerError, mistake.to_string()).respond_to(request),
        }
    }
}
