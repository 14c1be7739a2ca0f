//! What can be wrong without any request failing.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::verdict::Unverified;

/// Something that is silently wrong. Shown as a sentence that says what it is and how to mend it;
/// serialised as `{"code": …, "message": …}`.
///
/// Never contains a key, or a password from a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Almost all requests come from one address: a proxy that `trusted_proxies` does not name.
    ///
    /// The guard looks at one in 64 of the guarded requests, and at the first 256 of each kind on
    /// each thread. This is reported when at least four of five have a client that
    ///
    /// - is the peer, is not public and sends a forwarding header, at the hundredth of them, or
    /// - is the peer, is public and sends a forwarding header, for an hour, or
    /// - is neither public nor loopback nor in `allow`, at the 300th for many paths,
    ///
    /// and one address has made nearly all of these requests. While this and the next two are
    /// reported, the addresses in question are neither banned nor reported to the service. Their
    /// failed logins count like those of clients whose address cannot be determined.
    EveryClientTheSame {
        /// The address.
        client: IpAddr,
        /// Whether its requests carry a forwarding header.
        forwards: bool,
    },
    /// Almost all requests come through proxies that `trusted_proxies` does not name: several peers
    /// send a forwarding header, or the header's list goes on to the left of the client with a
    /// public address. The rules are those of [`EveryClientTheSame`](Self::EveryClientTheSame). A
    /// list is convincing at the hundredth request of several clients, or at the 300th of one, if
    /// different addresses stand to its left.
    ProxiesNotTrusted {
        /// The addresses that have each made a twentieth of these requests at least.
        clients: Vec<IpAddr>,
        /// Whether they stand in the list of a trusted proxy, and are not the peers themselves.
        in_list: bool,
    },
    /// Almost no client has a public address, so almost none can be checked: a NAT, the nodes of a
    /// cluster, or reserved addresses that stand for others. The rule is that of
    /// [`EveryClientTheSame`](Self::EveryClientTheSame).
    ClientsNotPublic {
        /// The addresses that have each made a twentieth of these requests at least, if there are
        /// any.
        clients: Vec<IpAddr>,
    },
    /// At least four of five guarded requests have a client whose address cannot be determined.
    /// Requests of a trusted proxy without any forwarding header do not count while they ask for a
    /// few paths only: they are its health checks.
    ClientsUnknown {
        /// Why, as the last such request had it.
        reason: Unverified,
    },
    /// A client fails to log in again and again and is not banned, because it looks like a proxy or
    /// a NAT that `trusted_proxies` does not name: `max_failures` times, without a pause of an
    /// hour.
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
    /// The feed in force was last known to be current more than three `feed_interval` ago, and more
    /// than two hours. Or the service made it more than two days ago, as its own comment says.
    FeedOld {
        /// How long ago it was last known to be current.
        age: Duration,
        /// How long ago the service made it, if that is more than two days.
        generated_ago: Option<Duration>,
        /// Why the last attempt failed, if it did.
        error: Option<String>,
    },
    /// The service refused the key the last time that it said anything about it: status 401 or 403
    /// with a JSON object.
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
    /// The day's checks are far too few: today, or on a usual day, more than twice as many clients
    /// are worth a check. Clients of one network count once for each check of it.
    BudgetTooSmall {
        /// Clients that should be checked on a day.
        wanted: u32,
        /// Checks of a day.
        limit: u32,
    },
    /// The circuit breaker is open: the service failed five times in a row.
    BreakerOpen {
        /// In how long it is tried again; zero: with the next unknown client.
        next_try: Duration,
        /// Why the last check failed.
        error: Option<String>,
    },
    /// Half of the last calls to the service failed, or were answered later than `max_wait`. Looked
    /// at are the last 20 within six hours, and ten at least; it is well again after eight good
    /// ones in a row. An exhausted limit and a refused key do not count: they are problems of their
    /// own.
    ServiceUnreliable {
        /// How many calls were looked at.
        calls: usize,
        /// How many of them failed.
        failed: usize,
        /// How many were answered when `max_wait` was over.
        late: usize,
        /// Why the last one failed.
        error: Option<String>,
    },
    /// The shared store is away, so that this machine decides alone, and spends the checks that it
    /// holds.
    SharedTierAway {
        /// Why the last call failed.
        error: Option<String>,
    },
    /// The shared store answers, and this machine cannot listen to what the others announce: it has
    /// tried six times or more.
    SharedTierUnheard {
        /// Why.
        error: String,
    },
    /// `redis_url` is set, and the guard was built without a shared store.
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
    /// which shares with the others by `state_dir` or a shared store only.
    Forked {
        /// The process that built the guard.
        from: u32,
    },
    /// `allow_file` or `deny_file` has changed and cannot be used. The list that was read before
    /// stays in force.
    ListBroken {
        /// Which file and line, and why.
        error: String,
    },
    /// Nothing is kept in the state folder: it cannot be used, the last write failed, the disk has
    /// not answered for five seconds, or a version of the guard has the folder that this one cannot
    /// work with.
    StateFailing {
        /// Why.
        error: String,
    },
    /// Within the last hour the state file was removed while it was in use. What it held is written
    /// anew, as soon as that is noticed: with the next write, within a second of what the guard
    /// learns.
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
        /// Why the last attempt failed.
        error: Option<String>,
    },
    /// Within the last hour a report was dropped, because the queue was full, or given up after 24
    /// h.
    ReportsLost {
        /// How many were lost since the start.
        reports: u64,
        /// Why the last attempt failed.
        error: Option<String>,
    },
    /// Within the last hour the service refused a report for good.
    ReportsRefused {
        /// How many it refused since the start.
        reports: u64,
        /// Its last refusal.
        error: Option<String>,
    },
    /// Within the last hour a ban ended before its time, because there was no room for another one.
    BansLost {
        /// How many did since the start.
        bans: u64,
    },
}

/// Gives each problem its code.
macro_rules! codes {
    ($($problem:ident => $code:literal,)*) => {
        /// The codes of all problems.
        pub(super) const CODES: &[&str] = &[$($code),*];

        impl Problem {
            /// A short name that stays the same, for alerts and programs: `key_refused`.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self {
                    $(Self::$problem { .. } => $code,)*
                }
            }
        }
    };
}

codes! {
    EveryClientTheSame => "every_client_the_same",
    ProxiesNotTrusted => "proxies_not_trusted",
    ClientsNotPublic => "clients_not_public",
    ClientsUnknown => "clients_unknown",
    ClientNotBanned => "client_not_banned",
    FeedMissing => "feed_missing",
    FeedRefused => "feed_refused",
    FeedOld => "feed_old",
    KeyRefused => "key_refused",
    BudgetGone => "budget_gone",
    BudgetTooSmall => "budget_too_small",
    BreakerOpen => "breaker_open",
    ServiceUnreliable => "service_unreliable",
    SharedTierAway => "shared_tier_away",
    SharedTierUnheard => "shared_tier_unheard",
    SharedTierMissing => "shared_tier_missing",
    GuardBehind => "guard_behind",
    LogBlocked => "log_blocked",
    Forked => "forked",
    ListBroken => "list_broken",
    StateFailing => "state_failing",
    StateRemoved => "state_removed",
    ReportsStuck => "reports_stuck",
    ReportsLost => "reports_lost",
    ReportsRefused => "reports_refused",
    BansLost => "bans_lost",
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Problem", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}
