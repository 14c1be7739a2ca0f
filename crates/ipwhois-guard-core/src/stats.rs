//! What a guard has done so far.

use std::time::Duration;

/// A guard's figures at one moment: [`Guard::stats`](crate::Guard::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many addresses the cache remembers; never more than `cache_capacity`.
    pub cached_verdicts: usize,
    /// How many checks of this UTC day are spent, those before a restart included when there is a state folder.
    pub checks_today: u32,
    /// How many checks are left for this UTC day, by the guard's own count or the service's word, whichever is less.
    pub checks_left: u32,
    /// How many entries the feed in use has; 0 without one.
    pub feed_entries: usize,
    /// How long ago the feed in use was last known to be current; `None` without one.
    pub feed_age: Option<Duration>,
}
