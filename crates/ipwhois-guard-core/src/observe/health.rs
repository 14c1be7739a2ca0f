//! Whether a guard works, as plain data.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::problem::Problem;
use crate::rules::Mode;

/// Whether a guard works, and what is silently wrong: [`Guard::health`](crate::Guard::health).
///
/// A guard that is degraded still decides, and lets in whom it cannot verify unless a rule says
/// otherwise: no reason to take the site out of rotation. As JSON it is an object of its fields,
/// durations in seconds. It never contains a key, or a password from a URL; it does name addresses
/// and files, so show it to those who run the site.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// In a word.
    pub status: HealthStatus,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// The guard's own mode: in `monitor` and `off` it refuses nobody, unless a rule has another
    /// one.
    #[serde(serialize_with = "word")]
    pub mode: Mode,
    /// How many guarded requests, and explicit checks, had a client that is welcome, those that
    /// could not be verified and were let in included.
    pub allowed: u64,
    /// How many were refused.
    pub denied: u64,
    /// How many went on only because the mode is `monitor`.
    pub monitored: u64,
    /// How many of all these had a client that could not be verified.
    pub unverified: u64,
    /// How many checks of this UTC day are spent.
    pub checks_today: u32,
    /// How many are left.
    pub checks_left: u32,
    /// How many addresses the cache remembers, for a verdict or because asking failed.
    pub cache_entries: usize,
    /// How many entries the feed in force has; 0 without one.
    pub feed_entries: usize,
    /// How long ago the feed in force was last known to be current; `None` without one. In JSON:
    /// `feed_age_seconds`.
    #[serde(rename = "feed_age_seconds", serialize_with = "seconds")]
    pub feed_age: Option<Duration>,
    /// How many clients are banned.
    pub active_bans: usize,
    /// How many reports wait to be delivered.
    pub reports_pending: usize,
    /// How many reports the service has accepted since the start.
    pub reports_delivered: u64,
}

impl Health {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == HealthStatus::Ok
    }
}

/// Whether a guard works, in a word: `ok` or `degraded` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HealthStatus {
    /// Nothing is wrong.
    Ok,
    /// It decides by less than it could: see [`Health::problems`].
    Degraded,
}

fn word<S: Serializer>(mode: &Mode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(mode.as_str())
}

fn seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs()).serialize(serializer)
}
