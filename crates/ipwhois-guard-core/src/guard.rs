//! The guard: from a request's head to a decision, in the order that the crate documentation gives.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::address::{ClientResolver, is_public, lookup_address};
use crate::api::{ApiClient, Report};
use crate::builder::GuardBuilder;
use crate::cache::{Ages, Memory, VerdictCache};
use crate::clock::Clock;
use crate::complaints::Complaints;
use crate::decision::{Basis, Decision, Terms};
use crate::denial::Format;
use crate::error::{BuildError, ReportError};
use crate::ip_set::IpSet;
use crate::lookup::{Answer, Asked, Lookup};
use crate::request::RequestHead;
use crate::rules::{Mode, Policy, RuleSet};
use crate::service::CheckService;
use crate::settings::Settings;
use crate::stats::Stats;
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
    api: ApiClient,
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

    pub(crate) fn start(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        service: Option<Arc<dyn CheckService>>,
    ) -> Result<Self, BuildError> {
        settings.validate()?;
        let rules = RuleSet::new(&settings.protect, settings.default_policy())?;
        let resolver = ClientResolver::new(
            &settings.trusted_proxies,
            settings.trusted_hops,
            &settings.client_ip_header,
        )?;
        let allowlist = list("allow", &settings.allow, "allow_file", &settings.allow_file)?;
        let denylist = list("deny", &settings.deny, "deny_file", &settings.deny_file)?;
        let api = ApiClient::new(settings, Arc::clone(&clock))?;
        let worker = Worker::start()?;
        let ages = Ages::new(settings.cache_ttl, settings.stale_ttl, settings.error_ttl);
        let lookup = Lookup::new(
            VerdictCache::new(settings.cache_capacity, ages),
            service.unwrap_or_else(|| Arc::new(api.clone())),
            Arc::clone(&clock),
            settings.max_wait,
            worker.runtime().clone(),
        );
        Ok(Self(Arc::new(Inner {
            rules,
            resolver,
            allowlist,
            denylist,
            lookup: Arc::new(lookup),
            api,
            retry_after: settings.error_ttl,
            complaints: Complaints::new(clock),
            worker,
        })))
    }

    /// Decides a request by the rules.
    #[inline]
    pub fn decide(&self, request: &impl RequestHead) -> Step {
        match self.0.rules.policy(request.method(), request.path()) {
            Some(policy) => self.decide_under(self.terms(policy, Basis::Rules), request),
            None => Step::Decided(Decision::unguarded(Source::NotInScope, Basis::Rules)),
        }
    }

    /// Decides a request by the guard's defaults, whatever the rules cover: what an extractor on a handler asks for.
    pub fn decide_by_defaults(&self, request: &impl RequestHead) -> Step {
        self.decide_under(self.defaults(), request)
    }

    /// What is known of an address, under the guard's defaults. Waits for the service `max_wait` at most, and makes no
    /// call when the verdict is in memory.
    pub async fn check(&self, ip: IpAddr) -> Verdict {
        let terms = self.defaults();
        let client = ip.to_canonical();
        match self.know(&terms, client) {
            Known::Verdict(verdict) => verdict,
            Known::Asking(answer) => terms.answered(client, answer.await),
        }
    }

    /// Reports an attacker to the service, which takes `api_timeout` at most.
    ///
    /// The call goes on when the returned future is dropped.
    ///
    /// # Errors
    /// When the address is one that is never reported (non-public, allowlisted, a trusted proxy), or the service did not
    /// accept the report.
    pub async fn report(&self, ip: IpAddr, threat_type: ThreatType) -> Result<(), ReportError> {
        let client = ip.to_canonical();
        if self
            .own_word(client)
            .is_some_and(|word| word != Source::Denylist)
        {
            return Err(ReportError::NeverReported { ip: client });
        }
        let report = Report {
            ip: lookup_address(client),
            threat_type,
            message: String::new(),
        };
        let api = self.0.api.clone();
        let call = async move { api.report(&report).await };
        match self.0.worker.runtime().spawn(call).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(ReportError::ShuttingDown),
        }
    }

    /// Whether both are clones of one guard.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Resolves when what was kept from the last run is loaded and the first feed is in use, or neither can be had. Requests
    /// need not wait for it: they do by themselves, `max_wait` at most, when they need what is being loaded.
    pub async fn ready(&self) {}

    /// Resolves when no check is under way, neither for a request nor to refresh a verdict. For tests and replays.
    pub async fn settled(&self) {}

    /// The guard's figures.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            cached_verdicts: self.cached_verdicts(),
            ..Stats::default()
        }
    }

    /// Takes note that the application finds a client suspicious, for the reason that the log shall show. It denies nobody;
    /// it decides who is checked first.
    pub fn suspect(&self, ip: IpAddr, reason: &'static str) {
        let _ = (ip, reason);
    }

    /// What the application answered to a request on which this decision was taken.
    pub(crate) fn answered(&self, decision: &Decision, status: u16) {
        let _ = (decision, status);
    }

    /// How many addresses the cache remembers; never more than `cache_capacity`.
    #[must_use]
    pub fn cached_verdicts(&self) -> usize {
        self.0.lookup.cached()
    }

    #[inline]
    fn decide_under(&self, terms: Terms, request: &impl RequestHead) -> Step {
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
        match self.know(&terms, client) {
            Known::Verdict(verdict) => Step::Decided(terms.decide(verdict, format)),
            Known::Asking(answer) => Step::Asking(Asking {
                terms,
                client,
                format: format(),
                answer,
            }),
        }
    }

    fn client(&self, request: &impl RequestHead) -> Result<IpAddr, Unverified> {
        let resolver = &self.0.resolver;
        resolver.resolve(request.peer(), || request.header_lines(resolver.header()))
    }

    /// The steps after the client's address is known, cheapest and most certain first.
    #[inline]
    fn know(&self, terms: &Terms, client: IpAddr) -> Known {
        if let Some(source) = self.own_word(client) {
            return Known::Verdict(terms.known(client, source));
        }
        let ip = lookup_address(client);
        let lookup = &self.0.lookup;
        let verdict = match lookup.recall(ip) {
            Memory::Fresh(reputation) => terms.rated(client, Source::Cache, reputation),
            Memory::Stale {
                reputation,
                refresh,
            } => {
                if refresh {
                    lookup.refresh(ip);
                }
                terms.rated(client, Source::Stale, reputation)
            }
            Memory::Failed(reason) => terms.unverified(Some(client), reason),
            Memory::Nothing => match lookup.ask(ip) {
                Asked::Settled(Ok(reputation)) => terms.rated(client, Source::Cache, reputation),
                Asked::Settled(Err(reason)) => terms.unverified(Some(client), reason),
                Asked::Waiting(answer) => return Known::Asking(answer),
            },
        };
        Known::Verdict(verdict)
    }

    /// What the settings say of an address, without the service.
    #[inline]
    fn own_word(&self, client: IpAddr) -> Option<Source> {
        if self.0.allowlist.contains(client) {
            Some(Source::Allowlist)
        } else if self.0.denylist.contains(client) {
            Some(Source::Denylist)
        } else if self.0.resolver.is_trusted_proxy(client) {
            Some(Source::TrustedProxy)
        } else if !is_public(client) {
            Some(Source::NonPublic)
        } else {
            None
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
            Ok(reputation) => self.rated(client, Source::Api, reputation),
            Err(reason) => self.unverified(Some(client), reason),
        }
    }
}

/// One list from a setting and from a file.
fn list(
    setting: &'static str,
    items: &[String],
    file_setting: &'static str,
    file: &Option<std::path::PathBuf>,
) -> Result<IpSet, BuildError> {
    let items = IpSet::parse(setting, items)?;
    match file {
        Some(path) => Ok(items.union(IpSet::read_file(file_setting, path)?)),
        None => Ok(items),
    }
}
