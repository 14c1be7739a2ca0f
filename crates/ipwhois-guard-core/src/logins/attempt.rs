//! Failed logins as applications see them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::scope::{AccountTag, Login, Scope};
use crate::denial::{Denial, Format};
use crate::guard::Guard;
use crate::rules::{Mode, UnknownChoice};
use crate::store::AttemptId;

/// Who tries to log in, and how a refusal would reach it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor {
    /// `None` for a client that must not be banned, or whose address cannot be determined.
    pub(crate) client: Option<IpAddr>,
    /// A client that must not be banned because it looks like a proxy.
    pub(crate) spared: Option<IpAddr>,
    /// Whether the address is unknown, or shared by many clients. All such clients are counted as
    /// one.
    pub(crate) is_nameless: bool,
    pub(crate) account: Option<AccountTag>,
    pub(crate) format: Format,
    pub(crate) mode: Mode,
}

impl Visitor {
    /// As whom failures are counted; `None` where they are not.
    pub(crate) fn login(&self) -> Option<Login> {
        let client = match self.client {
            Some(client) => Scope::of(client),
            None if self.is_nameless => Scope::NAMELESS,
            None => return None,
        };
        let account = self.account;
        Some(Login { client, account })
    }
}

/// An attempt to log in, before the password is checked. It holds one of the client's
/// `max_failures` places until it is ended by [`succeeded`](Self::succeeded) or
/// [`failed`](Self::failed); dropped without a word, it counts as failed, so that hanging up does
/// not buy further guesses. Whatever happens, it holds its place for 30 s at most.
///
/// ```
/// # use ipwhois_guard_core::{AllowedClient, Denial};
/// # async fn is_right(user: &str, password: &str) -> bool { password == "demo" }
/// async fn login(client: &AllowedClient, user: &str, password: &str) -> Result<bool, Denial> {
///     let attempt = client.login_attempt_for(user).await?;
///     if is_right(user, password).await {
///         attempt.succeeded().await;
///         return Ok(true);
///     }
///     attempt.failed().await?; // the fifth: 429
///     Ok(false)
/// }
/// ```
#[derive(Debug)]
#[must_use = "an attempt that is dropped counts as failed"]
pub struct LoginAttempt {
    guard: Guard,
    visitor: Visitor,
    /// `None` when it holds no place, or has ended.
    id: Option<AttemptId>,
    /// Whether the password is being checked.
    has_begun: bool,
}

impl LoginAttempt {
    /// One that has its place here, and may have to wait for other machines.
    pub(crate) const fn new(guard: Guard, visitor: Visitor, id: AttemptId) -> Self {
        Self {
            guard,
            visitor,
            id: Some(id),
            has_begun: false,
        }
    }

    pub(crate) const fn uncounted(guard: Guard, visitor: Visitor) -> Self {
        Self {
            guard,
            visitor,
            id: None,
            has_begun: true,
        }
    }

    pub(crate) fn begun(mut self) -> Self {
        self.has_begun = true;
        self
    }

    /// The password was right. Its own place is free again, and if it was begun
    /// [for an account](crate::AllowedClient::login_attempt_for), the client's failures for this
    /// account are forgiven. Failures for other accounts, and all earlier ones of an attempt
    /// without an account, count until `find_time` is over:
    /// [`pardon`](crate::AllowedClient::pardon) forgives them as well.
    pub async fn succeeded(mut self) {
        if let Some(id) = self.id.take() {
            self.guard.end_well(&self.visitor, id).await;
        }
    }

    /// The password was wrong.
    ///
    /// # Errors
    /// When the client is banned by this: the answer to give it, 429 with `Retry-After`. In
    /// `monitor` mode nobody is refused.
    pub async fn failed(mut self) -> Result<(), Denial> {
        match self.id.take() {
            Some(id) => self.guard.end_badly(&self.visitor, Some(id)).answer().await,
            None => Ok(()),
        }
    }
}

impl Drop for LoginAttempt {
    fn drop(&mut self) {
        match self.id.take() {
            // No client is there to read the refusal.
            Some(id) if self.has_begun => drop(self.guard.end_badly(&self.visitor, Some(id))),
            Some(id) => self.guard.withdraw(&self.visitor, id),
            None => {}
        }
    }
}

/// A client that was just banned for its failed logins, for
/// [`word_reports`](crate::GuardBuilder::word_reports).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Trip {
    /// The client.
    pub client: IpAddr,
    /// How many failures there were: `max_failures`.
    pub failures: u32,
    /// Within what time: `find_time`.
    pub within: Duration,
    /// For how long it is banned.
    pub ban: Duration,
}

/// How a trip is reported.
#[derive(Clone)]
pub(crate) struct Wording(Arc<dyn Fn(&Trip) -> String + Send + Sync>);

impl Wording {
    pub(crate) fn new(wording: impl Fn(&Trip) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(wording))
    }

    pub(crate) fn of(&self, trip: &Trip) -> String {
        (self.0)(trip)
    }
}

impl Default for Wording {
    /// No user names: they may be real ones.
    fn default() -> Self {
        Self::new(|trip| {
            let within = humantime::format_duration(trip.within);
            format!("{} failed logins within {within}", trip.failures)
        })
    }
}

impl fmt::Debug for Wording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wording")
    }
}

/// What a banned client is refused: the setting `ban_scope`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BanScope {
    /// Every guarded request.
    #[default]
    Guarded,
    /// Attempts to log in. It may still use the rest of the site, which suits offices and mobile
    /// networks that share an address.
    Logins,
}

impl BanScope {
    const ALL: [Self; 2] = [Self::Guarded, Self::Logins];

    /// As in the settings: `guarded` or `logins`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guarded => "guarded",
            Self::Logins => "logins",
        }
    }
}

impl fmt::Display for BanScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BanScope {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownChoice::new(text, "is neither `guarded` nor `logins`"))
    }
}
