//! From an address to what the service says of it: memory first, then one call however many ask.
//!
//! 1. What the cache knows is answered at once ([`Lookup::recall`]).
//! 2. Otherwise one *flight* asks for everybody who wants to know ([`Lookup::ask`]). It runs on the guard's own thread,
//!    so a request that is cancelled neither cancels nor repeats it.
//! 3. Who waits is answered at the latest `max_wait` after the flight began. The flight goes on and fills the cache;
//!    until it lands, or `error_ttl` has passed, nobody waits for that address again.
//! 4. A flight whose turn does not come within `max_wait` is given up, so that a burst of strangers is over as soon as it ends.
//! 5. At most [`MAX_CALLS`] calls are under way and [`MAX_FLIGHTS`] addresses in the air; the [`Gate`](gate::Gate)
//!    keeps calls from a service that is down or wants peace.

mod flight;
mod gate;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use dashmap::{DashMap, Entry};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use self::flight::{Flight, Landing};
use self::gate::{Change, Gate, Outcome, Permit};
use crate::cache::{Memory, VerdictCache};
use crate::clock::{Clock, Tick};
use crate::error::ApiError;
use crate::service::CheckService;
use crate::verdict::{Reputation, Unverified};

/// So many calls to the service are under way at once.
const MAX_CALLS: usize = 16;

/// So many addresses are being asked about or queue for it. Beyond, a new one is unverified at once.
const MAX_FLIGHTS: usize = 1_024;

/// When so many are in the air, stale verdicts are not refreshed: strangers come first.
const MAX_REFRESHES: usize = 64;

/// What is known of an address in the end.
pub(crate) type Answer = Result<Reputation, Unverified>;

/// An address of which the cache knows nothing.
pub(crate) enum Asked {
    /// No need to wait, or no use.
    Settled(Answer),
    /// A flight is in the air. The sender is dropped without a word only when the guard ends.
    Waiting(oneshot::Receiver<Answer>),
}

#[derive(Debug)]
pub(crate) struct Lookup {
    cache: VerdictCache,
    upstream: Arc<dyn CheckService>,
    clock: Arc<dyn Clock>,
    max_wait: Duration,
    runtime: Handle,
    flights: DashMap<IpAddr, Flight, foldhash::fast::RandomState>,
    in_the_air: AtomicUsize,
    calls: Semaphore,
    gate: Mutex<Gate>,
}

impl Lookup {
    pub(crate) fn new(
        cache: VerdictCache,
        upstream: Arc<dyn CheckService>,
        clock: Arc<dyn Clock>,
        max_wait: Duration,
        runtime: Handle,
    ) -> Self {
        Self {
            cache,
            upstream,
            clock,
            max_wait,
            runtime,
            flights: DashMap::default(),
            in_the_air: AtomicUsize::new(0),
            calls: Semaphore::new(MAX_CALLS),
            gate: Mutex::new(Gate::new()),
        }
    }

    pub(crate) fn cached(&self) -> usize {
        self.cache.len()
    }

    /// What memory knows of an address. Neither waits nor allocates.
    pub(crate) fn recall(&self, ip: IpAddr) -> Memory {
        self.cache.recall(ip, self.now())
    }

    /// Asks about an address, together with everybody else who wants to know.
    pub(crate) fn ask(self: &Arc<Self>, ip: IpAddr) -> Asked {
        match self.flights.entry(ip) {
            Entry::Occupied(mut flight) => flight.get_mut().join(),
            Entry::Vacant(place) => {
                // The flight may have landed after the caller looked into the cache.
                match self.recall(ip) {
                    Memory::Fresh(reputation) | Memory::Stale { reputation, .. } => {
                        return Asked::Settled(Ok(reputation));
                    }
                    Memory::Failed(reason) => return Asked::Settled(Err(reason)),
                    Memory::Nothing => {}
                }
                let landing = match self.prepare(ip, MAX_FLIGHTS) {
                    Ok(landing) => landing,
                    Err(reason) => return Asked::Settled(Err(reason)),
                };
                let (flight, waiting) = Flight::with_passenger();
                drop(place.insert(flight));
                self.runtime.spawn(landing.fly());
                Asked::Waiting(waiting)
            }
        }
    }

    /// Asks about an address for whom nobody waits, unless that is being done, was done just now, or is no use now.
    pub(crate) fn refresh(self: &Arc<Self>, ip: IpAddr) {
        let is_due = || matches!(self.recall(ip), Memory::Stale { refresh: true, .. });
        if let Entry::Vacant(place) = self.flights.entry(ip)
            && is_due()
            && let Ok(landing) = self.prepare(ip, MAX_REFRESHES)
        {
            drop(place.insert(Flight::empty()));
            self.runtime.spawn(landing.fly());
        }
    }

    /// A place in the air, if the service may be called now and fewer than `limit` are taken.
    fn prepare(self: &Arc<Self>, ip: IpAddr, limit: usize) -> Result<Landing, Unverified> {
        self.gate().look(self.clock.elapsed())?;
        self.in_the_air
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |flights| {
                (flights < limit).then_some(flights + 1)
            })
            .map_err(|_| Unverified::Overloaded)?;
        Ok(Landing::new(Arc::clone(self), ip))
    }

    /// One call, if the gate still admits it. Its result is in the cache when this returns.
    async fn call(&self, ip: IpAddr) -> Answer {
        let permit = self.gate().admit(self.clock.elapsed())?;
        let result = self.upstream.check(ip).await;
        self.record(permit, &result);
        match result {
            Ok(reputation) => {
                self.cache.learn(ip, reputation, self.now());
                Ok(reputation)
            }
            Err(error) => {
                let reason = match error {
                    ApiError::RateLimited { .. } => Unverified::RateLimited,
                    ApiError::Timeout { .. } => Unverified::TimedOut,
                    _ => Unverified::CallFailed,
                };
                self.cache.note_failure(ip, reason, self.now());
                tracing::warn!(
                    target: "ipwhois_guard",
                    client = %ip,
                    error = &error as &dyn std::error::Error,
                    "check failed"
                );
                Err(reason)
            }
        }
    }

    fn record(&self, permit: Permit, result: &Result<Reputation, ApiError>) {
        let outcome = match result {
            Ok(_) => Outcome::Answered,
            Err(ApiError::RateLimited { retry_after }) => Outcome::RateLimited {
                retry_after: *retry_after,
                until_next_day: until_next_day(self.clock.wall()),
            },
            Err(ApiError::Status { status: 400 | 422 }) => Outcome::Refused,
            Err(_) => Outcome::Failed,
        };
        let change = self.gate().record(permit, outcome, self.clock.elapsed());
        match change {
            Change::None => {}
            Change::Opened { wait } => tracing::warn!(
                target: "ipwhois_guard",
                ?wait,
                "circuit breaker open: the service fails, nobody is asked about until the next probe"
            ),
            Change::Closed => tracing::info!(
                target: "ipwhois_guard",
                "circuit breaker closed: the service answers again"
            ),
            Change::Paused { pause } => tracing::warn!(
                target: "ipwhois_guard",
                ?pause,
                "the service's limit is used up: nobody is asked about during the pause"
            ),
        }
    }

    /// Nobody waits for this address any more; remembered, so that nobody else begins to.
    fn give_up_waiting(&self, ip: IpAddr) {
        self.cache
            .note_failure(ip, Unverified::TimedOut, self.now());
        if let Some(mut flight) = self.flights.get_mut(&ip) {
            flight.release(Err(Unverified::TimedOut));
        }
    }

    /// The end of a flight: whoever still waits is answered.
    fn land(&self, ip: IpAddr, answer: Option<Answer>) {
        let flight = self.flights.remove(&ip);
        self.in_the_air.fetch_sub(1, Ordering::Relaxed);
        if let (Some((_, mut flight)), Some(answer)) = (flight, answer) {
            flight.release(answer);
        }
    }

    fn now(&self) -> Tick {
        Tick::at(self.clock.elapsed())
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        // Every change of the gate is complete before anything could panic.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The service's day is taken to turn at 00:00 UTC.
fn until_next_day(now: SystemTime) -> Duration {
    const DAY: u64 = 24 * 60 * 60;
    let since_epoch = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Duration::from_secs(DAY - since_epoch.as_secs() % DAY)
}

#[cfg(test)]
mod tests;
