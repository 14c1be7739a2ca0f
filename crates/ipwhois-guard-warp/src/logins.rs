use std::fmt;

use ipwhois_guard_core::{Denial, LoginAttempt as Attempt};

use crate::rejection::{GuardRejection, Respond};
use crate::{AllowedClient, AllowedIp};

/// Failed logins, with refusals as warp's handlers return them: `?` makes a
/// [`Rejection`](warp::Rejection) of them in `and_then`, and in `then` they are replies. They are
/// in the application's own words if it has some.
impl AllowedIp {
    /// Begins an attempt to log in, before the password is checked: see
    /// [`AllowedClient::login_attempt`].
    ///
    /// # Errors
    /// When the client is banned, or no place was free within 2 s. The answer is 429 with
    /// `Retry-After`.
    pub async fn login_attempt(&self) -> Result<LoginAttempt, GuardRejection> {
        self.attempt(AllowedClient::login_attempt(self).await)
    }

    /// The same for an account, so that its success forgives the client's failures at this account:
    /// see [`AllowedClient::login_attempt_for`].
    ///
    /// # Errors
    /// As [`login_attempt`](Self::login_attempt).
    pub async fn login_attempt_for(&self, account: &str) -> Result<LoginAttempt, GuardRejection> {
        self.attempt(AllowedClient::login_attempt_for(self, account).await)
    }

    fn attempt(&self, begun: Result<Attempt, Denial>) -> Result<LoginAttempt, GuardRejection> {
        let respond = self.respond.clone();
        match begun {
            Ok(attempt) => Ok(LoginAttempt { attempt, respond }),
            Err(denial) => Err(GuardRejection::by_handler(denial, respond)),
        }
    }

    /// Counts a failed login, without an attempt begun before: see [`AllowedClient::failed_login`].
    ///
    /// # Errors
    /// When the client is banned, by this failure or before. The answer is 429 with `Retry-After`.
    pub async fn failed_login(&self) -> Result<(), GuardRejection> {
        let counted = AllowedClient::failed_login(self).await;
        counted.map_err(|denial| GuardRejection::by_handler(denial, self.respond.clone()))
    }
}

/// An attempt to log in, from [`AllowedIp::login_attempt`]. Dropped without a word it counts as
/// failed, so that hanging up does not buy further guesses.
#[must_use = "an attempt that is dropped counts as failed"]
pub struct LoginAttempt {
    attempt: Attempt,
    respond: Respond,
}

impl LoginAttempt {
    /// The password was right. The client's failures for the same account are forgiven, and no
    /// others.
    pub async fn succeeded(self) {
        self.attempt.succeeded().await;
    }

    /// The password was wrong.
    ///
    /// # Errors
    /// When the client is banned by this. The answer is 429 with `Retry-After`.
    pub async fn failed(self) -> Result<(), GuardRejection> {
        let counted = self.attempt.failed().await;
        counted.map_err(|denial| GuardRejection::by_handler(denial, self.respond))
    }
}

impl fmt::Debug for LoginAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoginAttempt").field(&self.attempt).finish()
    }
}
