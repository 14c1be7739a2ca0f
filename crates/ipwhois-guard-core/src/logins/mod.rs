//! Failed logins and bans, in fail2ban's terms.
//!
//! 1. A failure counts for `find_time`. The one that makes it `max_failures` trips: the client is
//!    banned for `ban_time`, and exactly that caller learns of it, so that there is one report.
//! 2. An attempt under way takes one of the places: it begins only while failures and attempts
//!    together are fewer than `max_failures`. So, of any number of guesses at once, at most
//!    `max_failures` reach the password check.
//! 3. An attempt counts by the time of its end. One whose end is never said holds its place for 30
//!    s. One that ends after that, or after its place was lost, counts all the same.
//! 4. A success gives back its own place. It forgives the client's failures for the same account,
//!    and no others: logging in to one's own account buys no guesses at another. It lifts no ban.
//! 5. Failures of a banned client are not counted, whenever their attempt began.
//! 6. A client is an IPv4 address or an IPv6 /64 ([`Scope`]). IPv6 failures also count, four times
//!    as many, by /56 and, sixteen times as many, by /48. What trips is banned: the widest of them.
//! 7. Failures are also counted by account, each client once. An account at which many clients
//!    fail is under attack, which is told and locks no client out.
//! 8. Where bans grow, each further ban within 24 h after the end of the last one lasts twice as
//!    long. A ban from elsewhere counts as one of them, and a lifted one does not. That a ban was
//!    lifted is remembered, so that a store or a process that missed it does not bring it back.
//! 9. One table holds all windows, [`tracker::CAPACITY`] at most, and as many bans, in buckets that
//!    share a lock. In a full bucket the newcomer replaces what is least worth keeping: the window
//!    with the fewest places taken, the ban that ends soonest. A flood of failures evicts no ban.
//!
//! Which bucket a client falls into depends on a seed of the process: nobody outside can aim at
//! one.

mod attempt;
mod ban;
mod book;
mod bucket;
pub(crate) mod rows;
mod scope;
mod sync;
mod tracker;
mod window;

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::attempt::{BanScope, LoginAttempt, Trip};
pub(crate) use self::attempt::{Visitor, Wording};
pub(crate) use self::ban::Settled;
pub(crate) use self::book::{Logins, PATIENCE};
pub use self::scope::{AccountKey, AccountTag, Login, Scope};
pub(crate) use self::tracker::Tracker;
pub(crate) use self::window::ATTEMPT_LIFE;
use crate::store::AttemptLimits;

/// fail2ban's three numbers, and its `bantime.maxtime`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) attempts: AttemptLimits,
    /// How long a ban lasts.
    pub(crate) ban_time: Duration,
    /// With it, each further ban of a client within 24 h after the end of its last one lasts twice
    /// as long, up to this.
    pub(crate) max_ban_time: Option<Duration>,
}

/// No attempt can begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Banned {
        retry_after: Duration,
    },
    /// All places are taken.
    Full {
        /// When one is free whatever happens.
        retry_after: Duration,
        /// Whether attempts have taken some, so that one may be free any moment.
        under_way: bool,
    },
}

/// What a failure led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "only one caller learns that a client is banned from now on"]
pub(crate) enum Failure {
    /// That many more failures trip; at least 1.
    Counted { left: u32 },
    /// This one tripped: the client, or its network, is banned from now on. It is for the caller to
    /// report.
    Tripped { scope: Scope, ban: Duration },
    /// The client was banned already.
    Banned { retry_after: Duration },
}

/// Whether many clients fail at one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    None,
    Begins,
    GoesOn,
}
