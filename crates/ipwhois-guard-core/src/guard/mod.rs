//! The guard: from a request's head to a decision.
//!
//! - here: what applications and adapters call;
//! - `build`: a guard out of its settings, and what it does in the background;
//! - `know`: the steps after the client's address is known, in the order that the crate documentation gives;
//! - `elsewhere`: what is shared with other machines besides verdicts and budget;
//! - `logins`: failed logins and bans.

mod build;
mod elsewhere;
mod know;
mod logins;

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use self::know::Occasion;
use crate::address::{ClientResolver, Peer, is_public, lookup_address};
use crate::builder::GuardBuilder;
use crate::clock::Clock;
use crate::complaints::Complaints;
use crate::decision::{Basis, Decision, Terms};
use crate::denial::Format;
use crate::error::{BuildError, ReportError};
use crate::failures::Tracker;
use crate::feed::{FeedAction, FeedError, FeedKeeper, FeedUpdate};
use crate::ip_set::IpSet;
use crate::logins::Wording;
use crate::lookup::{Answer, Lookup, Purse};
use crate::report_request::ReportRequest;
use crate::reports::{Report, Reporter, Ticket};
use crate::request::RequestHead;
use crate::risk::{Ledger, LoginPaths, MissingPaths, ProbePaths, RefusalMeans, Signal, is_refusal};
use crate::rules::{Mode, Policy, RuleSet};
use crate::settings::Settings;
use crate::state::Journal;
use crate::stats::Stats;
use crate::tier::Tier;
use crate::verdict::{Source, ThreatType, Unverified, Verdict};
use crate::worker::Worker;

/// Keeps blacklisted clients out of an application. Cheap to clone: every clone is the same guard.
///
/// Its own work runs on one thread, which ends with the last clone.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    rules: RuleSet,
    resolver: ClientResolver,
    allowlist: IpSet,
    denylist: IpSet,
    lookup: Arc<Lookup>,
    purse: Arc<Purse>,
    feed: Arc<FeedKeeper>,
    feed_action: FeedAction,
    probes: ProbePaths,
    login_paths: LoginPaths,
    ledger: Ledger,
    missing: MissingPaths,
    tracker: Tracker,
    /// Of clients of whom nobody knows who they are, all together.
    nameless: Tracker,
    tier: Option<Arc<Tier>>,
    max_failures: u32,
    find_time: Duration,
    wording: Wording,
    reporter: Arc<Reporter>,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    retry_after: Duration,
    complaints: Complaints,
    worker: Worker,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("cached_verdicts", &self.cached_verdicts())
            .finish_non_exhaustive()
    }
}

/// The answer to a request: at once, or after asking the service.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Decided from memory, without I/O.
    Decided(Decision),
    /// The service is being asked. Await it; it takes `max_wait` at most.
    Asking(Asking),
}

impl Step {
    /// The decision, after waiting for it if need be.
    pub async fn decision(self) -> Decision {
        match self {
            Self::Decided(decision) => decision,
            Self::Asking(asking) => asking.await,
        }
    }
}

/// A decision that waits for the service, `max_wait` at most. Dropping it cancels nothing: the answer goes into the cache.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Asking {
    terms: Terms,
    client: IpAddr,
    format: Format,
    answer: oneshot::Receiver<Answer>,
}

impl Future for Asking {
    type Output = Decision;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Decision> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        let verdict = self.terms.answered(self.client, answer);
        Poll::Ready(self.terms.decide(verdict, || self.format))
    }
}

/// What is known of a client before anybody is asked.
enum Known {
    Verdict(Verdict),
    /// And for how much longer.
    Banned(Verdict, Duration),
    Asking(oneshot::Receiver<Answer>),
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

    /// Decides a request by the rules.
    #[inline]
    pub fn decide(&self, request: &impl RequestHead) -> Step {
        match self.0.rules.policy(request.method(), request.path()) {
            Some(policy) => self.decide_under(self.terms(policy, Basis::Rules), request),
            None => {
                self.watch_for_probes(request);
                Step::Decided(Decision::unguarded(Source::NotInScope, Basis::Rules))
            }
        }
    }

    /// Decides a request by the guard's defaults, whatever the rules cover: what an extractor on a handler asks for.
    pub fn decide_by_defaults(&self, request: &impl RequestHead) -> Step {
        self.decide_under(self.defaults(), request)
    }

    /// What is known of an address, under the guard's defaults. Waits for the service `max_wait` at most, and makes no
    /// call when the verdict is in memory.
    ///
    /// An explicit check may use the day's budget to its last, and no ration of networks holds for it: do not let clients
    /// decide how often it is called.
    pub async fn check(&self, ip: IpAddr) -> Verdict {
        let terms = self.defaults();
        let client = ip.to_canonical();
        match self.know(&terms, client, Occasion::Explicit) {
            Known::Verdict(verdict) | Known::Banned(verdict, _) => verdict,
            Known::Asking(answer) => terms.answered(client, answer.await),
        }
    }

    /// Reports an attacker to the service: at most once in 15 minutes for the same thing, and again until the service has
    /// accepted it, for 24 h. What is worded, awaited and known of its delivery: see [`ReportRequest`] and
    /// [`QueuedReport`](crate::QueuedReport).
    ///
    /// Non-public, allowlisted and trusted proxies' addresses are never reported: an error when it is awaited.
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
        self.0.reporter.enqueue(report)
    }

    /// Sends what is still to be reported, within this time, and writes what is to be kept: to be awaited when the server
    /// has ended. From now on no report is taken; decisions go on. Answers how many reports are not delivered: with a state
    /// folder they are sent after the next start, without one they are lost.
    pub async fn shutdown(&self, within: Duration) -> usize {
        let reporter = Arc::clone(&self.0.reporter);
        reporter.close();
        let flush = async move { reporter.flush(within).await };
        let undelivered = self.0.worker.runtime().spawn(flush).await;
        undelivered.unwrap_or_else(|_| self.0.reporter.counts().pending)
    }

    /// Whether both are clones of one guard.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Resolves when what was kept from the last run is loaded and the first feed is in use, or neither can be had. Requests
    /// need not wait for it: they do by themselves, `max_wait` at most, when they need what is being loaded.
    pub async fn ready(&self) {
        self.0.lookup.until_open().await;
        self.0.feed.first_attempt_done().await;
    }

    /// Resolves when no check is under way, neither for a request nor to refresh a verdict. For tests and replays.
    pub async fn settled(&self) {
        self.0.lookup.settled().await;
    }

    /// Fetches the feed now, besides the usual times.
    ///
    /// # Errors
    /// Why there is no new feed. The last good one stays in use.
    pub async fn refresh_feed(&self) -> Result<FeedUpdate, FeedError> {
        let feed = Arc::clone(&self.0.feed);
        let refresh = async move { feed.refresh().await };
        match self.0.worker.runtime().spawn(refresh).await {
            Ok(result) => result,
            Err(error) => Err(FeedError::given_up(error)),
        }
    }

    /// The guard's figures.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let feed = self.0.feed.status();
        let reports = self.0.reporter.counts();
        let shared = self.0.tier.as_ref().map(|tier| tier.status());
        let (shared_error, shared_failures) = shared.unwrap_or_default();
        let age = |since: SystemTime| {
            let age = self.0.clock.wall().duration_since(since);
            age.unwrap_or_default()
        };
        Stats {
            cached_verdicts: self.cached_verdicts(),
            checks_today: self.0.purse.spent_today(),
            checks_left: self.0.purse.left(),
            feed_entries: feed.entries,
            feed_age: feed.current_as_of.map(age),
            feed_error: feed.last_error,
            state_error: self.0.journal.status().error,
            shared_error,
            shared_failures,
            tracked_clients: self.0.tracker.tracked_clients(),
            active_bans: self.0.tracker.active_bans(self.0.lookup.now()),
            bans_lost: self.0.tracker.bans_lost(),
            reports_pending: reports.pending,
            reports_delivered: reports.delivered,
            reports_refused: reports.refused,
            reports_given_up: reports.given_up,
            reports_dropped: reports.dropped_full,
        }
    }

    /// Takes note that the application finds a client suspicious, for the reason that the log shall show. It denies nobody;
    /// it decides who is checked first.
    pub fn suspect(&self, ip: IpAddr, reason: &'static str) {
        let client = ip.to_canonical();
        tracing::debug!(target: "ipwhois_guard", %client, reason, "the application suspects a client");
        self.signal(client, Signal::Told);
    }

    /// What the application answered to a request on which this decision was taken.
    pub(crate) fn answered(&self, decision: &Decision, status: u16) {
        let verdict = decision.verdict();
        let Some(client) = verdict.client_ip() else {
            return;
        };
        // Who is verified need not be checked first.
        if !is_refusal(status) || !matches!(verdict.source(), Source::Unverified(_)) {
            return;
        }
        let signal = match decision.refusal_means {
            RefusalMeans::Nothing => return,
            RefusalMeans::Little(path) if self.0.missing.note(path, client) => {
                Signal::RefusedLikeOthers
            }
            RefusalMeans::Little(_) => Signal::Refused,
            RefusalMeans::Much => Signal::RefusedChange,
        };
        self.signal(client, signal);
    }

    /// How many addresses the cache remembers; never more than `cache_capacity`.
    #[must_use]
    pub fn cached_verdicts(&self) -> usize {
        self.0.lookup.cached()
    }

    #[inline]
    fn decide_under(&self, mut terms: Terms, request: &impl RequestHead) -> Step {
        if terms.policy.mode == Mode::Off {
            return Step::Decided(Decision::unguarded(Source::Off, terms.basis));
        }
        let format = || Format::preferred(request.header_lines("accept"));
        let client = match self.client(request) {
            Ok(client) => client,
            Err(reason) => {
                self.0.complaints.no_client(reason, request.no_peer_hint());
                return Step::Decided(terms.decide(terms.unverified(None, reason), format));
            }
        };
        let occasion = Occasion::Request {
            method: request.method(),
            path: request.path(),
        };
        let refusal_means = || RefusalMeans::of(request.method(), request.path(), &self.0.missing);
        match self.know(&terms, client, occasion) {
            Known::Verdict(verdict) => {
                if matches!(verdict.source, Source::Unverified(_)) {
                    terms.refusal_means = refusal_means();
                }
                Step::Decided(terms.decide(verdict, format))
            }
            Known::Banned(verdict, left) => {
                terms.retry_after = left;
                Step::Decided(terms.decide(verdict, format))
            }
            Known::Asking(answer) => {
                terms.refusal_means = refusal_means();
                Step::Asking(Asking {
                    terms,
                    client,
                    format: format(),
                    answer,
                })
            }
        }
    }

    /// Whether the peer looks like a proxy that nobody configured: it has no public address and forwards, while no proxy is
    /// trusted. All clients have its address then, so it must not be banned.
    pub(crate) fn may_be_a_proxy(&self, request: &impl RequestHead) -> bool {
        let resolver = &self.0.resolver;
        let forwards = |name| request.header_lines(name).next().is_some();
        resolver.trusts_nobody()
            && matches!(request.peer(), Peer::Ip(ip) if !is_public(ip.to_canonical()))
            && (["x-forwarded-for", "forwarded", "x-real-ip"]
                .into_iter()
                .any(forwards)
                || forwards(resolver.header()))
    }

    fn client(&self, request: &impl RequestHead) -> Result<IpAddr, Unverified> {
        let resolver = &self.0.resolver;
        resolver.resolve(request.peer(), || request.header_lines(resolver.header()))
    }

    /// A client that probes what no rule covers is known for it where one does.
    fn watch_for_probes(&self, request: &impl RequestHead) {
        if self.0.probes.matches(request.path())
            && let Ok(client) = self.client(request)
        {
            self.signal(client, Signal::Probe);
        }
    }

    fn signal(&self, client: IpAddr, signal: Signal) {
        if self.own_word(client).is_none() {
            let ip = lookup_address(client);
            self.0.ledger.note(ip, signal, self.0.lookup.now());
        }
    }

    fn defaults(&self) -> Terms {
        self.terms(self.0.rules.defaults(), Basis::Defaults)
    }

    fn terms(&self, policy: Policy, basis: Basis) -> Terms {
        Terms {
            policy,
            basis,
            retry_after: self.0.retry_after,
            refusal_means: RefusalMeans::Nothing,
        }
    }
}

impl Terms {
    /// What follows from an answer of the service, or from its absence when the guard ended.
    fn answered(
        &self,
        client: IpAddr,
        answer: Result<Answer, oneshot::error::RecvError>,
    ) -> Verdict {
        match answer.unwrap_or(Err(Unverified::ShuttingDown)) {
            Ok(found) => self.rated(client, found.source, found.reputation),
            Err(reason) => self.unverified(Some(client), reason),
        }
    }
}
