//! What can be wrong without any request failing.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::verdict::Unverified;

/// Something that is silently wrong. Shown as a sentence that says what it is and how to mend it; serialised as
/// `{"code": …, "message": …}`.
///
/// Never contains a key, or a password from a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Almost all requests come from one address: a proxy that `trusted_proxies` does not name. Looked at are one in 64 of
    /// the guarded requests, and the first 256 of each kind on each thread. It is reported when at least four of five have one
    /// client, at the hundredth of them, and
    ///
    /// - the address is not public and nine of ten carry a forwarding header, or
    /// - the same from a public address for an hour, or
    /// - the address is neither public nor loopback, and there are 300 of them for many paths.
    EveryClientTheSame {
        /// The address.
        client: IpAddr,
        /// Whether its requests carry a forwarding header.
        forwards: bool,
    },
    /// Almost all requests come from a few addresses that are not public, and say that they were forwarded: proxies that
    /// `trusted_proxies` does not name. Looked at are the same requests as for
    /// [`EveryClientTheSame`](Self::EveryClientTheSame). It is reported when at least four of five come from two to eight such
    /// addresses, at the hundredth of them.
    ProxiesNotTrusted {
        /// The addresses that have each made a twentieth of these requests at least.
        clients: Vec<IpAddr>,
    },
    /// At least four of five guarded requests have a client whose address cannot be determined.
    ClientsUnknown {
        /// Why, as the last such request had it.
        reason: Unverified,
    },
    /// A client fails to log in again and again and is not banned, because it looks like a proxy that `trusted_proxies` does
    /// not name: `max_failures` times, without a pause of an hour.
    ClientNotBanned {
        /// Its address.
        client: IpAddr,
        /// How often it failed.
        failures: u32,
    },
    /// No feed is in force, and the last attempt to get one failed.
    FeedMissing {
        /// Why.
        error: String,
    },
    /// The last feed that came cannot be believed: a page of HTML, a list that lost more than half.
    FeedRefused {
        /// Why.
        error: String,
        /// Whether there is one from before, which stays in force.
        in_force: bool,
    },
    /// The feed in force was last known to be current more than three `feed_interval` ago, and more than two hours.
    FeedOld {
        /// How long ago.
        age: Duration,
        /// Why the last attempt failed, if it did.
        error: Option<String>,
    },
    /// The service's last word on the key was no: status 401 or 403.
    KeyRefused {
        /// The status.
        status: u16,
        /// Whether a key is configured.
        has_key: bool,
    },
    /// No check is left.
    BudgetGone {
        /// When there will be one again.
        until: SystemTime,
    },
    /// The circuit breaker is open: the service failed five times in a row.
    BreakerOpen {
        /// In how long it is tried again; zero: with the next unknown client.
        next_try: Duration,
    },
    /// Half of the last calls to the service failed, or were answered later than `max_wait`. Looked at are the last 20 within
    /// six hours, and ten at least; it is well again after eight good ones in a row. An exhausted limit and a refused key do
    /// not count: they are problems of their own.
    ServiceUnreliable {
        /// How many calls were looked at.
        calls: usize,
        /// How many of them failed.
        failed: usize,
        /// How many were answered too late for who waited.
        late: usize,
    },
    /// The shared tier is away, so that this machine decides alone.
    SharedTierAway {
        /// Why the last call failed.
        error: Option<String>,
    },
    /// The shared tier answers, and this machine cannot listen to what the others announce: it has tried six times or more.
    SharedTierUnheard {
        /// Why.
        error: String,
    },
    /// `redis_url` is set, and the guard was built without a shared tier.
    SharedTierMissing,
    /// The guard's own thread is late: it has not looked at the guard for more than two seconds, or
    /// was that late within the last minute. Checks, reports and the feed wait for it. Requests do
    /// not.
    GuardBehind {
        /// How late it is, or was at worst.
        late: Duration,
    },
    /// The log has not taken an event of the guard for more than a second. The guard goes on
    /// without it.
    LogBlocked {
        /// How long it has taken so far.
        since: Duration,
        /// Number of events that were lost since the start, because too many wait.
        lost: u64,
    },
    /// This process is a fork of the one that built the guard. It runs a guard of its own since,
    /// which shares nothing with the others but by a shared tier.
    Forked {
        /// The process that built the guard.
        from: u32,
    },
    /// Nothing is kept in the state folder, or the last write failed.
    StateFailing {
        /// Why.
        error: String,
    },
    /// Within the last hour the state file was removed while it was in use. What it held is written anew, as soon as that is
    /// noticed: with the next write, within a second of what the guard learns.
    StateRemoved {
        /// How often it was since the start.
        times: u64,
    },
    /// A report has waited for more than an hour.
    ReportsStuck {
        /// How many wait.
        pending: usize,
        /// For how long the oldest one has.
        oldest: Duration,
    },
    /// Within the last hour a report was dropped, because the queue was full, or given up after 24 h.
    ReportsLost {
        /// How many were lost since the start.
        reports: u64,
    },
    /// Within the last hour the service refused a report for good.
    ReportsRefused {
        /// How many it refused since the start.
        reports: u64,
    },
    /// Within the last hour a ban ended before its time, because there was no room for another one.
    BansLost {
        /// How many did since the start.
        bans: u64,
    },
}

/// The codes of all problems.
pub(super) const CODES: [&str; 23] = [
    "every_client_the_same",
    "proxies_not_trusted",
    "clients_unknown",
    "client_not_banned",
    "feed_missing",
    "feed_refused",
    "feed_old",
    "key_refused",
    "budget_gone",
    "breaker_open",
    "service_unreliable",
    "shared_tier_away",
    "shared_tier_unheard",
    "shared_tier_missing",
    "guard_behind",
    "log_blocked",
    "forked",
    "state_failing",
    "state_removed",
    "reports_stuck",
    "reports_lost",
    "reports_refused",
    "bans_lost",
];

impl Problem {
    /// A short name that stays the same, for alerts and programs: `key_refused`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::EveryClientTheSame { .. } => "every_client_the_same",
            Self::ProxiesNotTrusted { .. } => "proxies_not_trusted",
            Self::ClientsUnknown { .. } => "clients_unknown",
            Self::ClientNotBanned { .. } => "client_not_banned",
            Self::FeedMissing { .. } => "feed_missing",
            Self::FeedRefused { .. } => "feed_refused",
            Self::FeedOld { .. } => "feed_old",
            Self::KeyRefused { .. } => "key_refused",
            Self::BudgetGone { .. } => "budget_gone",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::ServiceUnreliable { .. } => "service_unreliable",
            Self::SharedTierAway { .. } => "shared_tier_away",
            Self::SharedTierUnheard { .. } => "shared_tier_unheard",
            Self::SharedTierMissing => "shared_tier_missing",
            Self::GuardBehind { .. } => "guard_behind",
            Self::LogBlocked { .. } => "log_blocked",
            Self::Forked { .. } => "forked",
            Self::StateFailing { .. } => "state_failing",
            Self::StateRemoved { .. } => "state_removed",
            Self::ReportsStuck { .. } => "reports_stuck",
            Self::ReportsLost { .. } => "reports_lost",
            Self::ReportsRefused { .. } => "reports_refused",
            Self::BansLost { .. } => "bans_lost",
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Problem", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}
