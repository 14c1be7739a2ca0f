use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use ipwhois_guard_core::Denial;
use ipwhois_guard_tower::denial_response;
use warp::reject::{Reject, Rejection};
use warp::reply::{Reply, Response};

use crate::head::NO_PEER_HINT;

/// How denials are answered; `None` is as core words them.
pub(crate) type Respond = Option<Arc<dyn Fn(&Denial) -> Response + Send + Sync>>;

/// Why a filter of this crate did not let a request through, or a failed login was the client's
/// last. [`recover`] answers it; an application that answers it itself finds it by
/// `rejection.find::<GuardRejection>()`.
#[derive(Clone, thiserror::Error)]
#[error("{reason}")]
pub struct GuardRejection {
    reason: Reason,
    respond: Respond,
    /// Whether the request's body was not read before.
    pub(crate) is_body_unread: bool,
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Reason {
    #[error("the client is refused (reference {})", .0.reference())]
    Denied(Denial),
    #[error("warp does not say who is connected: {NO_PEER_HINT}")]
    NoPeer,
}

impl GuardRejection {
    pub(crate) fn denied(denial: Denial, respond: Respond) -> Self {
        Self {
            reason: Reason::Denied(denial),
            respond,
            is_body_unread: true,
        }
    }

    /// A refusal by a handler, which runs behind the filters of the body.
    pub(crate) fn by_handler(denial: Denial, respond: Respond) -> Self {
        Self {
            is_body_unread: false,
            ..Self::denied(denial, respond)
        }
    }

    pub(crate) fn no_peer() -> Self {
        Self {
            reason: Reason::NoPeer,
            respond: None,
            is_body_unread: true,
        }
    }

    /// The denial; `None` for a mistake in the set-up, which the response explains.
    #[must_use]
    pub const fn denial(&self) -> Option<&Denial> {
        match &self.reason {
            Reason::Denied(denial) => Some(denial),
            Reason::NoPeer => None,
        }
    }

    /// The answer to the client.
    #[must_use]
    pub fn response(&self) -> Response {
        match (&self.reason, &self.respond) {
            (Reason::Denied(denial), Some(respond)) => respond(denial),
            (Reason::Denied(denial), None) => denial_response(denial),
            (Reason::NoPeer, _) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                warp::reply::with_status(self.to_string(), status).into_response()
            }
        }
    }
}

impl fmt::Debug for GuardRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without `recover` this is what warp shows the client.
        f.debug_tuple("GuardRejection")
            .field(&self.to_string())
            .finish()
    }
}

impl Reject for GuardRejection {}

/// For handlers in `then` that return `Result<_, GuardRejection>`.
impl Reply for GuardRejection {
    fn into_response(self) -> Response {
        self.response()
    }
}

/// Answers the rejections of this crate's filters and passes on all others, whatever other branches
/// of the routes said: `routes.recover(ipwhois_guard_warp::recover)`.
///
/// # Errors
/// The rejection, when it is not one of this crate's.
pub async fn recover(rejection: Rejection) -> Result<Response, Rejection> {
    match rejection.find::<GuardRejection>() {
        Some(refused) => Ok(refused.response()),
        None => Err(rejection),
    }
}
