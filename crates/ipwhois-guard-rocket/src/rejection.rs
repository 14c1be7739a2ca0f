use ipwhois_guard_core::{Denial, SetupMistake};
use rocket::Request;
use rocket::http::Status;
use rocket::response::{self, Responder};

use crate::denial_response;
use crate::head::NO_PEER_HINT;
use crate::memory::Memory;
use crate::wiring::Installed;

/// Why a request guard did not let the handler run, or what a handler answers when a failed login
/// has banned the client: `?` makes it of a [`Denial`].
///
/// As a responder it is the denial, in the words of [`respond_with`](crate::IpGuard::respond_with)
/// if there are some, or a 500 that says what to mend.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardRejection {
    /// The client is refused.
    #[error("the client is refused (reference {})", .0.reference())]
    Denied(Denial),
    /// A mistake in the set-up: `IpGuard` is not attached. Rocket's launch finds it where the
    /// request guard is an argument of a handler; it is left for handlers that ask by hand, with
    /// `request.guard::<AllowedIp>()`.
    #[error("no guard: attach one to the rocket, `rocket::build().attach(IpGuard::new(guard))`")]
    NoGuard,
    /// Rocket does not know who is connected. Over sockets it always does.
    #[error("no peer: {NO_PEER_HINT}")]
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

impl<'r> Responder<'r, 'static> for GuardRejection {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let Self::Denied(denial) = self else {
            let mistake = self.to_string();
            return (Status::InternalServerError, mistake).respond_to(request);
        };
        let memory = Memory::of(request);
        memory.rejection.get_or_init(|| self);
        let worded = Installed::of(request)
            .and_then(|installed| memory.word(|| (installed.answer)(&denial, request)));
        // The application's own words may be made of this.
        worded.unwrap_or_else(|| Ok(denial_response(&denial)))
    }
}
