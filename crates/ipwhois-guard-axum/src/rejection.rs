use axum::response::{IntoResponse, Response};
use http::StatusCode;
use ipwhois_guard_tower::{Denial, RequestContext, SetupMistake, denial_response};

use crate::ConnectionContext;

/// Why an extractor did not run the handler, or what a handler answers when a failed login has
/// banned the client: `?` makes it of a [`Denial`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardRejection {
    /// The client is refused; the response is the denial's.
    #[error("the client is refused (reference {})", .0.reference())]
    Denied(Denial),
    /// A mistake in the set-up: there is neither the layer nor a guard in the state. The response
    /// is a 500 that says so.
    #[error(
        "no guard: add `IpGuardLayer` to the router, or a `Guard` to its state (`with_state(guard)`)"
    )]
    NoGuard,
    /// A mistake in the set-up: axum does not know who is connected. The response is a 500 that
    /// says so.
    #[error("no connect info: {}", ConnectionContext::NO_PEER_HINT)]
    NoConnectInfo,
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
            SetupMistake::NoPeer => Self::NoConnectInfo,
        }
    }
}

impl IntoResponse for GuardRejection {
    fn into_response(self) -> Response {
        match self {
            Self::Denied(denial) => {
                let mut response = denial_response(&denial);
                // By this the layer knows that the request's body is to be discarded.
                response.extensions_mut().insert(denial);
                response
            }
            mistake => (StatusCode::INTERNAL_SERVER_ERROR, mistake.to_string()).into_response(),
        }
    }
}
