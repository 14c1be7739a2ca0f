//! What a guard has done so far.

use std::time::Duration;

/// A guard's figures at one moment: [`Guard::stats`](crate::Guard::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many addresses the cache remembers, for a verdict or because asking failed; never more
    /// than `cache_capacity`.
    pub cache_entries: usize,
    /// How many checks of this UTC day are spent, those before a restart included when there is a
    /// state folder. With a shared store: by all machines, as of this one's last call to it.
    pub checks_today: u32,
    /// How many checks are left for this UTC day, by the guard's own count or the service's word,
    /// whichever is less.
    pub checks_left: u32,
    /// How many entries the feed in use has; 0 without one.
    pub feed_entries: usize,
    /// How long ago the feed in use was last known to be current; `None` without one.
    pub feed_age: Option<Duration>,
    /// Why the last try brought no feed; `None` when it did.
    pub feed_error: Option<String>,
    /// Why nothing is kept in the state folder, or why the last write failed; `None` when all is
    /// well, or there is none.
    pub state_error: Option<String>,
    /// Why the last call to the shared store failed, or why nothing is heard from it; `None` when
    /// all is well, or there is none.
    pub shared_error: Option<String>,
    /// How many calls to the shared store failed since the start.
    pub shared_failures: u64,
    /// How many clients have failed logins or attempts under way.
    pub tracked_clients: usize,
    /// How many clients are banned.
    pub active_bans: usize,
    /// How many bans ended before their time, because there was no room for another one.
    pub bans_lost: u64,
    /// How many reports wait to be delivered.
    pub reports_pending: usize,
    /// How many reports the service has accepted since the start.
    pub reports_delivered: u64,
    /// How many it refused for good: with status 401 or 403 the key is wrong.
    pub reports_refused: u64,
    /// How many could not be delivered for 24 h.
    pub reports_given_up: u64,
    /// How many were dropped because the queue was full.
    pub reports_dropped: u64,
}
