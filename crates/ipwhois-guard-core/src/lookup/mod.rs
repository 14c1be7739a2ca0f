//! From an address to what the service says of it: memory first, then one call however many ask.
//!
//! 1. What the cache knows is answered at once ([`Lookup::recall`]).
//! 2. Otherwise one *flight* asks for everybody who wants to know ([`Lookup::ask`]). It runs on the
//!    guard's own thread, so a request that is cancelled neither cancels nor repeats it.
//! 3. A request that waits is answered at the latest `max_wait` after the flight began, by the
//!    [`Alarm`], which keeps its time when the guard's own thread does not. The flight goes on and
//!    fills the cache. Until it lands, or `error_ttl` has passed, no request waits for that address
//!    again.
//! 4. A flight whose turn does not come within `max_wait` is given up, so that a burst of strangers
//!    is over as soon as it ends.
//! 5. At most [`MAX_CALLS`] calls are under way and [`MAX_FLIGHTS`] addresses in the air; the
//!    [`Gate`](gate::Gate) keeps calls from a service that is down or wants peace.
//! 6. With a shared store a flight looks there before anything else, so that one machine asks for
//!    all ([`elsewhere`]). A client that nobody knows and that no check can be spent on is not
//!    looked for again for `error_ttl`: the budget here answers, and only if it has a check now the
//!    cluster is asked again. A client whose network has had its share on all machines waits as long.
//! 7. Each call is paid for from the day's budget ([`DailyBudget`]) before it is made, and the
//!    count is on disk before the call goes out. Until the state folder is read nobody knows what
//!    is left or known: flights wait for it.

mod call;
mod daily_budget;
mod elsewhere;
mod flight;
mod gate;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::{DashMap, Entry};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use self::flight::{Landing, Waiters};
use self::gate::Gate;
use crate::alarm::Alarm;
use crate::budget::Purpose;
use crate::cache::{Memory, VerdictCache};
use crate::clock::{Clock, Tick};
use crate::service::CheckService;
use crate::state::Journal;
use crate::verdict::{Reputation, Source, Unverified};

pub(crate) use self::daily_budget::DailyBudget;
pub(crate) use self::elsewhere::Elsewhere;
pub(crate) use self::flight::Waiting;

/// So many calls to the service are under way at once.
const MAX_CALLS: usize = 16;

/// So many addresses are being asked about or queue for it. Beyond, a new one is unverified at
/// once.
const MAX_FLIGHTS: usize = 1_024;

/// When so many are in the air, stale verdicts are not refreshed: strangers come first.
const MAX_REFRESHES: usize = 64;

/// What is known of an address in the end.
pub(crate) type Answer = Result<Found, Unverified>;

/// A verdict, and where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) source: Source,
    pub(crate) reputation: Reputation,
}

/// An address to ask about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) ip: IpAddr,
    pub(crate) purpose: Purpose,
    /// Verdicts "not listed" from before this moment do not answer it.
    pub(crate) clean_since: Tick,
    /// A stale verdict answers nothing: it is there already.
    pub(crate) refresh: bool,
}

/// What comes of a question.
pub(crate) enum Asked {
    /// No need to wait, or no use.
    Settled(Answer),
    /// A flight is in the air.
    Waiting(Waiting),
}

#[derive(Debug)]
pub(crate) struct Lookup {
    cache: VerdictCache,
    upstream: Arc<dyn CheckService>,
    clock: Arc<dyn Clock>,
    max_wait: Duration,
    runtime: Handle,
    alarm: Alarm,
    budget: Arc<DailyBudget>,
    journal: Arc<Journal>,
    /// Whether the state folder has been read, or cannot be.
    opened: AtomicBool,
    opening: Notify,
    flights: DashMap<IpAddr, Arc<Waiters>, foldhash::fast::RandomState>,
    in_the_air: AtomicUsize,
    /// Told when the last flight has landed.
    landed: Notify,
    calls: Semaphore,
    gate: Mutex<Gate>,
    elsewhere: Option<Elsewhere>,
}

impl Lookup {
    pub(crate) fn new(
        cache: VerdictCache,
        upstream: Arc<dyn CheckService>,
        clock: Arc<dyn Clock>,
        max_wait: Duration,
        (runtime, alarm): (Handle, Alarm),
        budget: Arc<DailyBudget>,
        journal: Arc<Journal>,
    ) -> Self {
        Self {
            cache,
            upstream,
            clock,
            max_wait,
            runtime,
            alarm,
            budget,
            journal,
            opened: AtomicBool::new(false),
            opening: Notify::new(),
            flights: DashMap::default(),
            in_the_air: AtomicUsize::new(0),
            landed: Notify::new(),
            calls: Semaphore::new(MAX_CALLS),
            gate: Mutex::new(Gate::new()),
            elsewhere: None,
        }
    }

    /// With a shared store.
    pub(crate) fn with(self, elsewhere: Option<Elsewhere>) -> Self {
        Self { elsewhere, ..self }
    }

    pub(crate) fn cached(&self) -> usize {
        self.cache.len()
    }

    /// In how long the service is tried again, while the breaker is open.
    pub(crate) fn breaker_open(&self) -> Option<Duration> {
        self.gate().open_for(self.clock.elapsed())
    }

    /// What memory knows of an address. Neither waits nor allocates.
    pub(crate) fn recall(&self, ip: IpAddr) -> Memory {
        self.cache.recall(ip, self.now())
    }

    /// The same, and as of when the verdict is.
    #[inline]
    pub(crate) fn recall_dated(&self, ip: IpAddr) -> (Memory, Tick) {
        self.cache.recall_dated(ip, self.now())
    }

    /// The same, but a verdict "not listed" from before `clean_since` does not count.
    pub(crate) fn recall_since(&self, ip: IpAddr, clean_since: Tick) -> Memory {
        self.cache.recall_since(ip, clean_since, self.now())
    }

    /// Takes back a verdict of an earlier time.
    pub(crate) fn restore(&self, ip: IpAddr, reputation: Reputation, verified: Tick) {
        self.cache.restore(ip, reputation, verified, self.now());
    }

    /// From now on what is remembered is all that is known: the state folder has been read, or
    /// cannot be.
    pub(crate) fn open(&self) {
        self.opened.store(true, Ordering::SeqCst);
        self.opening.notify_waiters();
    }

    /// Resolves when [`open`](Self::open) was called.
    pub(crate) async fn until_open(&self) {
        loop {
            let opening = self.opening.notified();
            if self.is_open() {
                return;
            }
            opening.await;
        }
    }

    /// Resolves when no flight is in the air.
    pub(crate) async fn settled(&self) {
        loop {
            let landed = self.landed.notified();
            if self.in_the_air.load(Ordering::SeqCst) == 0 {
                return;
            }
            landed.await;
        }
    }

    fn is_open(&self) -> bool {
        self.opened.load(Ordering::SeqCst)
    }

    /// Whether nothing but a new check could tell of this address, and only the budget could refuse
    /// one: the service is called, no flight is in the air, and no other machine is to be asked.
    pub(crate) fn needs_check(&self, ip: IpAddr) -> bool {
        let is_asked =
            || self.in_the_air.load(Ordering::SeqCst) > 0 && self.flights.contains_key(&ip);
        self.is_open() && self.is_alone() && self.gate().is_plain() && !is_asked()
    }

    /// Asks about an address, together with everybody else who wants to know.
    pub(crate) fn ask(self: &Arc<Self>, question: Question) -> Asked {
        match self.flights.entry(question.ip) {
            Entry::Occupied(flight) => flight.get().join(),
            Entry::Vacant(place) => {
                // The flight may have landed after the caller looked into the cache.
                if let Some(answer) = self.remembered(question) {
                    return Asked::Settled(answer);
                }
                let landing = match self.prepare(question, MAX_FLIGHTS) {
                    Ok(landing) => landing,
                    Err(reason) => return Asked::Settled(Err(reason)),
                };
                let asked = landing.waiters.join();
                drop(place.insert(Arc::clone(&landing.waiters)));
                landing.begin();
                asked
            }
        }
    }

    /// Asks about an address for whom nobody waits, unless that is being done, was done just now,
    /// or is no use now.
    pub(crate) fn refresh(self: &Arc<Self>, ip: IpAddr, is_urgent: bool) {
        let question = Question {
            ip,
            purpose: if is_urgent {
                Purpose::Explicit
            } else {
                Purpose::Refresh(ip)
            },
            clean_since: Tick::NEVER,
            refresh: true,
        };
        let is_due = || matches!(self.recall(ip), Memory::Stale { refresh: true, .. });
        if let Entry::Vacant(place) = self.flights.entry(ip)
            && is_due()
            && let Ok(landing) = self.prepare(question, MAX_REFRESHES)
        {
            drop(place.insert(Arc::clone(&landing.waiters)));
            landing.begin();
        }
    }

    /// What memory answers to a question, if it does.
    fn remembered(&self, question: Question) -> Option<Answer> {
        match self.recall_since(question.ip, question.clean_since) {
            Memory::Failed(reason) => Some(Err(reason)),
            _ => self.known(question).map(Ok),
        }
    }

    /// A verdict from memory that answers a question.
    fn known(&self, question: Question) -> Option<Found> {
        let (source, reputation) = match self.recall_since(question.ip, question.clean_since) {
            Memory::Fresh(reputation) => (Source::Cache, reputation),
            Memory::Stale { reputation, .. } if !question.refresh => (Source::Stale, reputation),
            _ => return None,
        };
        Some(Found { source, reputation })
    }

    /// A place in the air, if the service may be called now, the budget has a check for it, and
    /// fewer than `limit` places are taken. Where another machine may know, only the last counts
    /// for now, unless none knew a moment ago.
    fn prepare(self: &Arc<Self>, question: Question, limit: usize) -> Result<Landing, Unverified> {
        let recall = || self.recall_since(question.ip, question.clean_since);
        let is_alone = self.is_alone() || recall() == Memory::Unpaid;
        if is_alone {
            self.gate().look(self.clock.elapsed())?;
        }
        self.in_the_air
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |flights| {
                (flights < limit).then_some(flights + 1)
            })
            .map_err(|_| Unverified::Overloaded)?;
        let spend = (is_alone && self.is_open())
            .then(|| self.budget.take(question.purpose, question.ip))
            .transpose();
        match spend {
            Ok(spend) => Ok(Landing::new(Arc::clone(self), question, spend)),
            Err(reason) => {
                self.leave_the_air();
                Err(reason)
            }
        }
    }

    fn leave_the_air(&self) {
        if self.in_the_air.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.landed.notify_waiters();
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Tick {
        Tick::at(self.clock.elapsed())
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        // Every change of the gate is complete before anything could panic.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
