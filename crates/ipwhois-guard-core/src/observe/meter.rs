//! What is counted where it happens.
//!
//! Plain numbers, whoever reads them and whenever: a recorder may be installed later than the guard
//! is built. Only how long calls take goes straight to the recorder that is there at the time.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Label, SharedString};

use super::crowd::{Crowd, Seen, Suspicions, Trace};
use super::heavy::HeavyHitters;
use super::metrics::{API_SECONDS, SHARED_SECONDS};
use super::reliability::{Fate, Reliability, Unreliable};
use super::tally::{Outcome, Tally};
use crate::clock::Clock;
use crate::decision::Decision;
use crate::error::{ApiError, with_causes};
use crate::feed::{FeedError, FeedUpdate};
use crate::store::SharedError;
use crate::verdict::{Source, Verdict};
use crate::warnings::ThrottledWarnings;

/// How long a failed login of a suspected proxy is remembered.
const LATELY: Duration = Duration::from_secs(60 * 60);

/// A set of counts, one for each of `N` words.
#[derive(Debug)]
pub(super) struct Counts<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Counts<N> {
    fn count(&self, words: &[&str; N], word: &str) {
        let at = words.iter().position(|&known| known == word);
        if let Some(count) = at.and_then(|at| self.0.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|count| count.load(Ordering::Relaxed))
    }
}

pub(super) const ENDPOINTS: [&str; 2] = ["check", "report"];

pub(super) const API_RESULTS: [&str; 8] = [
    "answered",
    "unreachable",
    "timed-out",
    "rate-limited",
    "key-refused",
    "refused",
    "malformed",
    "too-large",
];

const fn api_result<T>(result: &Result<T, &ApiError>) -> &'static str {
    match result {
        Ok(_) => "answered",
        Err(ApiError::Transport { .. } | ApiError::Page { .. }) => "unreachable",
        Err(ApiError::Timeout { .. }) => "timed-out",
        Err(ApiError::RateLimited { .. }) => "rate-limited",
        Err(ApiError::KeyRefused { .. }) => "key-refused",
        Err(ApiError::Status { .. }) => "refused",
        Err(ApiError::Malformed { .. }) => "malformed",
        Err(ApiError::TooLarge { .. }) => "too-large",
    }
}

pub(super) const FEED_RESULTS: [&str; 4] = ["replaced", "unchanged", "refused", "failed"];

pub(super) const SHARED_RESULTS: [&str; 5] =
    ["answered", "timed-out", "away", "refused", "unreadable"];

pub(super) const BAN_CAUSES: [&str; 3] = ["logins", "application", "shared"];

/// Why a client is banned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BanCause {
    /// Its failed logins.
    Logins,
    /// The application says so.
    Application,
    /// Another machine says so.
    Shared,
}

/// A call to the service.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Endpoint {
    Check,
    Report,
}

impl Endpoint {
    const fn as_str(self) -> &'static str {
        ENDPOINTS[self as usize]
    }
}

#[derive(Debug, Default)]
pub(crate) struct Meter {
    name: Option<SharedString>,
    pub(crate) warnings: ThrottledWarnings,
    tally: Tally,
    pub(super) api: [Counts<8>; ENDPOINTS.len()],
    /// The status with which the key was refused last time; 0: it was not.
    key_refused: [AtomicU16; ENDPOINTS.len()],
    /// Why the last call that failed did.
    last_error: [Mutex<Option<String>>; ENDPOINTS.len()],
    pub(super) feed: Counts<4>,
    pub(super) shared: Counts<5>,
    pub(super) bans: Counts<3>,
    /// How often an account came under attack.
    pub(super) accounts_attacked: AtomicU64,
    crowd: Mutex<Crowd>,
    /// Whether the crowd suspects any client.
    is_suspicious: AtomicBool,
    spared: Mutex<HeavyHitters>,
    reliability: Mutex<Reliability>,
}

impl Meter {
    /// With the name that its metrics carry.
    pub(crate) fn new(name: Option<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            name: name.map(SharedString::from),
            warnings: ThrottledWarnings::new(clock),
            ..Self::default()
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// These labels, and the guard's name if it has one.
    pub(super) fn labels(&self, labels: &[(&'static str, &'static str)]) -> Vec<Label> {
        let name = self
            .name
            .iter()
            .map(|name| Label::new("guard", name.clone()));
        let own = labels
            .iter()
            .map(|&(key, value)| Label::from_static_parts(key, value));
        own.chain(name).collect()
    }

    /// Counts a decision on a request. Answers whether the request is one of the few that are
    /// looked at for what all of them have in common ([`see`](Self::see)).
    #[inline]
    pub(crate) fn decided(&self, decision: &Decision) -> bool {
        let verdict = decision.verdict();
        let outcome = if verdict.allowed {
            Outcome::Allowed
        } else if decision.denial().is_some() {
            Outcome::Denied
        } else {
            Outcome::Monitored
        };
        if outcome != Outcome::Allowed {
            self.warnings.refused(decision);
        }
        let before = self.tally.count(outcome, verdict.source);
        before.is_multiple_of(64) || before < 256
    }

    /// Counts an explicit check, which refuses nobody by itself.
    pub(crate) fn checked(&self, verdict: &Verdict) {
        let outcome = if verdict.allowed {
            Outcome::Allowed
        } else {
            Outcome::Denied
        };
        self.tally.count(outcome, verdict.source);
    }

    pub(super) fn decisions(&self, outcome: Outcome, source: Source) -> u64 {
        self.tally.of(outcome, source)
    }

    /// Takes note of whose a request is, unless another thread does so at this moment.
    pub(crate) fn see(&self, who: Seen, now: Duration, trace: Trace) {
        if let Ok(mut crowd) = self.crowd.try_lock() {
            crowd.see(who, now, trace);
            let is_suspicious = crowd.is_suspicious();
            self.is_suspicious.store(is_suspicious, Ordering::Relaxed);
        }
    }

    pub(super) fn suspicions(&self) -> Suspicions {
        locked(&self.crowd).suspicions()
    }

    /// Whether any client looks like a proxy or a NAT that the settings do not name.
    #[inline]
    pub(crate) fn is_suspicious(&self) -> bool {
        self.is_suspicious.load(Ordering::Relaxed)
    }

    /// Whether this client does. `forwards`: its request says that another client stands behind it.
    pub(crate) fn suspects(&self, client: IpAddr, forwards: bool) -> bool {
        self.is_suspicious() && locked(&self.crowd).suspects(client, forwards)
    }

    /// A login failed, and its client must not be banned, since it looks like a proxy.
    pub(crate) fn spared(&self, client: IpAddr, now: Duration) {
        let mut spared = locked(&self.spared);
        spared.forget(LATELY, now);
        spared.note(client, now);
    }

    /// The client that failed most often without a pause of an hour, and how often.
    pub(super) fn spared_lately(&self, now: Duration) -> Option<(IpAddr, u32)> {
        let mut spared = locked(&self.spared);
        spared.forget(LATELY, now);
        spared.at_least(1).max_by_key(|&(_, failures)| failures)
    }

    pub(crate) fn called<T>(
        &self,
        endpoint: Endpoint,
        result: Result<T, &ApiError>,
        took: Duration,
    ) {
        let key_refused = &self.key_refused[endpoint as usize];
        match &result {
            Ok(_) => key_refused.store(0, Ordering::Relaxed),
            Err(ApiError::KeyRefused { status }) => key_refused.store(*status, Ordering::Relaxed),
            // Says nothing of the key.
            Err(_) => {}
        }
        self.api[endpoint as usize].count(&API_RESULTS, api_result(&result));
        if let Err(error) = &result {
            *locked(&self.last_error[endpoint as usize]) = Some(with_causes(*error));
        }
        let labels = self.labels(&[("endpoint", endpoint.as_str())]);
        metrics::histogram!(API_SECONDS, labels).record(took.as_secs_f64());
    }

    /// Why the last call that failed did.
    pub(super) fn last_error(&self, endpoint: Endpoint) -> Option<String> {
        locked(&self.last_error[endpoint as usize]).clone()
    }

    /// What became of a check.
    pub(super) fn relied(&self, fate: Fate, now: Duration) {
        locked(&self.reliability).note(fate, now);
    }

    pub(super) fn unreliable(&self, now: Duration) -> Option<Unreliable> {
        locked(&self.reliability).trouble(now)
    }

    /// The status with which the service refuses the key, if it does.
    pub(super) fn key_refused(&self) -> Option<u16> {
        let statuses = self.key_refused.iter();
        statuses
            .map(|status| status.load(Ordering::Relaxed))
            .find(|&status| status != 0)
    }

    pub(crate) fn feed_asked(&self, outcome: &Result<FeedUpdate, FeedError>) {
        let result = match outcome {
            Ok(FeedUpdate::Replaced { .. }) => "replaced",
            Ok(FeedUpdate::Unchanged) => "unchanged",
            Err(error) if error.is_refusal() => "refused",
            Err(_) => "failed",
        };
        self.feed.count(&FEED_RESULTS, result);
    }

    /// A call to the shared store; `None`: it took too long.
    pub(crate) fn shared_called<T>(&self, result: Option<&Result<T, SharedError>>, took: Duration) {
        let result = match result {
            None => "timed-out",
            Some(Ok(_)) => "answered",
            Some(Err(SharedError::Away { .. })) => "away",
            Some(Err(SharedError::Refused { .. })) => "refused",
            Some(Err(SharedError::Unreadable { .. })) => "unreadable",
        };
        self.shared.count(&SHARED_RESULTS, result);
        metrics::histogram!(SHARED_SECONDS, self.labels(&[])).record(took.as_secs_f64());
    }

    pub(crate) fn account_attacked(&self) {
        self.accounts_attacked.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn banned(&self, cause: BanCause) {
        self.bans.count(&BAN_CAUSES, BAN_CAUSES[cause as usize]);
    }
}

/// Every change under these locks is complete before anything could panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
