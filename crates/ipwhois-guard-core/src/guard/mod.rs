//! The guard: from a request's head to a decision.
//!
//! - here: what applications call;
//! - `build`: a guard out of its settings, and what it does in the background;
//! - `decide`: what adapters call: a request's head is looked at, decided and counted;
//! - `know`: the steps after the client's address is known, in the order that the crate
//!   documentation gives;
//! - `elsewhere`: what is shared with other machines besides verdicts and budget;
//! - `fork`: what becomes of a guard in a forked child;
//! - `logins`: failed logins and bans;
//! - `inspect`: what a guard tells of itself.

mod build;
mod decide;
mod elsewhere;
mod fork;
mod inspect;
mod know;
mod logins;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use self::decide::Known;
pub use self::decide::{Asking, Step};
use self::fork::Home;
pub(crate) use self::fork::Plan;
pub use self::inspect::Explanation;
use self::know::Occasion;
use crate::address::{ClientResolver, lookup_address};
use crate::builder::GuardBuilder;
use crate::clock::Clock;
use crate::decision::{Basis, Terms};
use crate::error::{BuildError, ReportError};
use crate::evidence::{SignReader, Signs};
use crate::failures::Tracker;
use crate::feed::{FeedAction, FeedError, FeedKeeper, FeedUpdate};
use crate::ip_set::IpSet;
use crate::logins::Wording;
use crate::lookup::{DailyBudget, Lookup};
use crate::observe::{Meter, Observer};
use crate::report_request::ReportRequest;
use crate::reports::{Report, Reporter, Ticket};
use crate::rules::{Policy, RuleSet};
use crate::settings::Settings;
use crate::store::cluster::Cluster;
use crate::verdict::{Source, ThreatType, Unverified, Verdict};
use crate::worker::Worker;

/// Keeps blacklisted clients out of an application. Cheap to clone: every clone is the same guard.
///
/// Its own work runs on one thread, and the deadlines of requests on another. Both end with the
/// last clone.
///
/// In a forked child, as of `gunicorn --preload`, a guard of its own takes its place with the first
/// request that needs one: same settings, nothing counted yet. [`health`](Self::health) says so. A
/// guard that is built after the fork is better.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    rules: RuleSet,
    resolver: ClientResolver,
    allowlist: IpSet,
    denylist: IpSet,
    /// Whether there is anybody in these two.
    has_lists: bool,
    lookup: Arc<Lookup>,
    budget: Arc<DailyBudget>,
    feed: Arc<FeedKeeper>,
    feed_action: FeedAction,
    signs: SignReader,
    tracker: Arc<Tracker>,
    /// Of clients of whom nobody knows who they are, all together.
    nameless: Tracker,
    cluster: Option<Arc<Cluster>>,
    max_failures: u32,
    find_time: Duration,
    wording: Wording,
    reporter: Arc<Reporter>,
    meter: Arc<Meter>,
    observer: Arc<Observer>,
    clock: Arc<dyn Clock>,
    retry_after: Duration,
    home: Home,
    worker: Worker,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("cache_entries", &self.cache_entries())
            .finish_non_exhaustive()
    }
}

impl Guard {
    /// A guard with the default settings, to be changed one by one.
    pub fn builder() -> GuardBuilder {
        GuardBuilder::new()
    }

    /// A guard configured by the environment: `IPWHOIS_GUARD_…`, see [`Settings`].
    ///
    /// # Errors
    /// When a variable has a value that cannot be used, or the guard's thread cannot be started.
    pub fn from_env() -> Result<Self, BuildError> {
        Self::from_settings(Settings::from_env()?)
    }

    /// A guard with these settings.
    ///
    /// # Errors
    /// When a setting has a value that cannot be used, or the guard's thread cannot be started.
    pub fn from_settings(settings: Settings) -> Result<Self, BuildError> {
        GuardBuilder::from(settings).build()
    }

    /// What is known of an address, under the guard's defaults. Waits for the service `max_wait` at
    /// most, and makes no call when the verdict is in memory.
    ///
    /// An explicit check may use the day's budget to its last, and no ration of networks holds for
    /// it: do not let clients decide how often it is called.
    pub async fn check(&self, ip: IpAddr) -> Verdict {
        let guard = self.here();
        let terms = guard.defaults();
        let client = ip.to_canonical();
        let verdict = match guard.know(&terms, client, || Occasion::Explicit) {
            Known::Verdict(verdict) => verdict,
            Known::Banned(_) => terms.known(client, Source::Banned),
            Known::Asking(answer) => terms.answered(client, answer.await),
            Known::InChild => terms.unverified(Some(client), Unverified::TimedOut),
        };
        guard.0.meter.checked(&verdict);
        verdict
    }

    /// Reports an attacker to the service: at most once in 15 minutes for the same thing, and again
    /// until the service has accepted it, for 24 h. What is worded, awaited and known of its
    /// delivery: see [`ReportRequest`] and [`QueuedReport`](crate::QueuedReport).
    ///
    /// Non-public, allowlisted and trusted proxies' addresses are never reported, nor is any
    /// address while health suspects that a proxy stands in front of nearly all clients: an error
    /// when it is awaited.
    pub fn report(&self, ip: IpAddr, threat_type: ThreatType) -> ReportRequest {
        let client = ip.to_canonical();
        let report = if self.is_reportable(client) {
            Ok(Report::new(lookup_address(client), threat_type))
        } else {
            Err(ReportError::NeverReported { ip: client })
        };
        ReportRequest::new(self.clone(), report)
    }

    pub(crate) fn enqueue(&self, report: Report) -> Result<Ticket, ReportError> {
        self.here().0.reporter.enqueue(report)
    }

    /// Sends what is still to be reported, within this time, and writes what is to be kept: to be
    /// awaited when the server has ended. From now on no report is taken; decisions go on. Answers
    /// how many reports are not delivered: with a state folder they are sent after the next start,
    /// without one they are lost.
    pub async fn shutdown(&self, within: Duration) -> usize {
        let guard = self.here();
        let reporter = Arc::clone(&guard.0.reporter);
        reporter.close();
        let flush = async move { reporter.flush(within).await };
        let undelivered = guard.0.worker.run(within, flush).await;
        undelivered.unwrap_or_else(|| guard.0.reporter.counts().pending)
    }

    /// Whether both are clones of one guard.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Resolves when what was kept from the last run is loaded and the first feed is in use, or
    /// neither can be had. Requests need not wait for it: they do by themselves, `max_wait` at
    /// most, when they need what is being loaded.
    pub async fn ready(&self) {
        let guard = self.here();
        guard.0.lookup.until_open().await;
        guard.0.feed.first_attempt_done().await;
    }

    /// Resolves when no check is under way, neither for a request nor to refresh a verdict. For
    /// tests and replays.
    pub async fn settled(&self) {
        self.here().0.lookup.settled().await;
    }

    /// Fetches the feed now, besides the usual times.
    ///
    /// # Errors
    /// Why there is no new feed. The last good one stays in use.
    pub async fn refresh_feed(&self) -> Result<FeedUpdate, FeedError> {
        let guard = self.here();
        let feed = Arc::clone(&guard.0.feed);
        let refresh = async move { feed.refresh().await };
        match guard.0.worker.runtime().spawn(refresh).await {
            Ok(result) => result,
            Err(error) => Err(FeedError::given_up(error)),
        }
    }

    /// Takes note that the application finds a client suspicious, for the reason that the log shall
    /// show. It denies nobody; it decides who is checked first.
    pub fn suspect(&self, ip: IpAddr, reason: &'static str) {
        let client = ip.to_canonical();
        event!(DEBUG, %client, reason, "the application suspects a client");
        self.note(client, Signs::SUSPECTED);
    }

    /// How many addresses the cache remembers, for a verdict or because asking failed; never more
    /// than `cache_capacity`.
    #[must_use]
    pub fn cache_entries(&self) -> usize {
        self.0.lookup.cached()
    }

    fn defaults(&self) -> Terms {
        self.terms(self.0.rules.defaults(), Basis::Defaults)
    }

    fn terms(&self, policy: Policy, basis: Basis) -> Terms {
        Terms {
            policy,
            basis,
            retry_after: self.0.retry_after,
            refusal_tells: false,
        }
    }
}
