//! Failed logins as applications see them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::denial::{Denial, Format};
use crate::failures::Reservation;
use crate::guard::Guard;
use crate::rules::Mode;
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
    pub(crate) format: Format,
    pub(crate) mode: Mode,
}

/// An attempt to log in, before the password is checked. It holds one of the client's
/// `max_failures` places until it is ended by [`succeeded`](Self::succeeded) or
/// [`failed`](Self::failed); dropped without a word, it counts as failed, so that hanging up does
/// not buy further guesses.
///
/// ```
/// # use ipwhois_guard_core::{AllowedClient, Denial};
/// # async fn is_right(password: &str) -> bool { password == "demo" }
/// async fn login(client: &AllowedClient, password: &str) -> Result<bool, Denial> {
///     let attempt = client.login_attempt().await?;
///     if is_right(password).await {
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
    reservation: Option<Reservation>,
    /// The attempt as the shared store knows it.
    elsewhere: Option<AttemptId>,
}

impl LoginAttempt {
    pub(crate) const fn new(
        guard: Guard,
        visitor: Visitor,
        reservation: Option<Reservation>,
    ) -> Self {
        Self {
            guard,
            visitor,
            reservation,
            elsewhere: None,
        }
    }

    pub(crate) const fn begun_elsewhere(&mut self, attempt: AttemptId) {
        self.elsewhere = Some(attempt);
    }

    /// It never began.
    pub(crate) fn withdraw(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            self.guard.withdraw(reservation);
        }
    }

    /// The password was right: the client's failures are forgotten.
    pub async fn succeeded(mut self) {
        if let Some(reservation) = self.reservation.take() {
            self.guard.end_well(&self.visitor, reservation).await;
        }
    }

    /// The password was wrong.
    ///
    /// # Errors
    /// When the client is banned by this: the answer to give it, 429 with `Retry-After`. In
    /// `monitor` mode nobody is refused.
    pub async fn failed(mut self) -> Result<(), Denial> {
        match self.reservation.take() {
            Some(reservation) => {
                let ending = self
                    .guard
                    .end_badly(&self.visitor, reservation, self.elsewhere);
                ending.answer().await
            }
            None => Ok(()),
        }
    }
}

impl Drop for LoginAttempt {
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            // Nobody is there to read the refusal.
            let _ = self
                .guard
                .end_badly(&self.visitor, reservation, self.elsewhere);
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
