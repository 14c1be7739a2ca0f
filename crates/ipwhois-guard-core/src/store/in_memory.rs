//! A shared store inside one process: what the processes of one host share, and a store for tests.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::{
    AccountKey, Announcement, Attempt, AttemptId, AttemptLimits, BanRecord, Block, BlockRequest,
    Count, Failed, Greeting, LATELY, Login, SETTLING, Scope, Seen, SharedError, SharedFuture,
    SharedStore, SharedVerdict,
};
use crate::clock::{Clock, SystemClock, Tick};
use crate::logins::{Failure, Limits, Refused, Settled, Tracker};

/// So many announcements wait for a listener that is slower than the others.
const BACKLOG: usize = 1024;

/// Number of days whose counts are kept.
const DAYS: usize = 8;

/// Number of entries of a kind that are kept.
const MOST_ENTRIES: usize = 100_000;
/// From this number of entries on, those that are over are looked for.
const SWEEP_FIRST: usize = 1_024;

/// How long a call may be overtaken by another.
const PATIENCE: Duration = Duration::from_secs(30);

/// What several guards know together, without a server: a [`SharedStore`].
///
/// A clone is the same machine, [`another`](Self::another) is another one at the same place. It is
/// never away, and goes by the system's clock.
#[derive(Clone, Debug)]
pub struct InMemory {
    place: Arc<Place>,
    machine: u64,
}

#[derive(Debug)]
struct Place {
    state: Mutex<State>,
    announcements: broadcast::Sender<Announcement>,
    numbers: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    verdicts: Expiring<IpAddr, SharedVerdict>,
    leases: Expiring<IpAddr, u64>,
    days: HashMap<u64, Day>,
    logins: Logins,
}

/// Attempts and bans are two tables: after the last failure a client's attempts are refused, and
/// that is no ban yet.
#[derive(Debug)]
struct Logins {
    clock: SystemClock,
    attempts: Tracker,
    ended: Expiring<AttemptId, ()>,
    bans: Tracker,
    key: Option<AccountKey>,
    epoch: u64,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            clock: SystemClock::default(),
            attempts: Tracker::new(),
            ended: Expiring::default(),
            bans: Tracker::new(),
            key: None,
            epoch: AttemptId::random().0.get(),
        }
    }
}

impl Logins {
    fn now(&self) -> Tick {
        Tick::at(self.clock.elapsed())
    }

    /// What calls that it overtook will find.
    fn end(&mut self, attempt: AttemptId, limits: Option<AttemptLimits>) {
        let life = limits.map_or(PATIENCE, |limits| limits.attempt_life());
        self.ended.insert(attempt, (), life);
    }
}

const fn limits(attempts: AttemptLimits) -> Limits {
    Limits {
        attempts,
        ban_time: SETTLING,
        max_ban_time: None,
    }
}

/// A bounded map whose entries end in time.
#[derive(Debug)]
struct Expiring<K, T> {
    map: HashMap<K, (T, Instant)>,
    /// What is over is looked for when there are so many entries.
    sweep_at: usize,
}

impl<K, T> Default for Expiring<K, T> {
    fn default() -> Self {
        Self {
            map: HashMap::new(),
            sweep_at: SWEEP_FIRST,
        }
    }
}

impl<K: Hash + Eq, T: Copy> Expiring<K, T> {
    /// Where there is no room it is left out.
    fn insert(&mut self, key: K, what: T, length: Duration) {
        let now = Instant::now();
        if self.map.len() >= self.sweep_at {
            self.map.retain(|_, (_, until)| *until > now);
            self.sweep_at = (2 * self.map.len()).clamp(SWEEP_FIRST, MOST_ENTRIES);
        }
        if self.map.len() < MOST_ENTRIES || self.map.contains_key(&key) {
            let until = now.checked_add(length).unwrap_or(now);
            self.map.insert(key, (what, until));
        }
    }

    fn get(&self, key: &K) -> Option<T> {
        let (what, until) = self.map.get(key)?;
        (*until > Instant::now()).then_some(*what)
    }

    fn remove(&mut self, key: &K) {
        self.map.remove(key);
    }

    fn retain(&mut self, keep: impl Fn(T) -> bool) {
        self.map.retain(|_, (what, _)| keep(*what));
    }
}

impl Default for InMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl InMemory {
    /// An empty place.
    #[must_use]
    pub fn new() -> Self {
        let place = Place {
            state: Mutex::default(),
            announcements: broadcast::Sender::new(BACKLOG),
            numbers: AtomicU64::new(1),
        };
        Self {
            place: Arc::new(place),
            machine: 0,
        }
    }

    /// Another machine at the same place.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            place: Arc::clone(&self.place),
            machine: self.number(),
        }
    }

    /// Forgets everything, as a server that is restarted empty.
    #[cfg(any(test, feature = "store-suite"))]
    pub fn forget(&self) {
        *self.state() = State::default();
    }

    /// Takes over the counts of days that an earlier process wrote, in the place of its own.
    pub(crate) fn restore_counts(&self, days: &[(u64, Count)]) {
        let mut state = self.state();
        state.days.clear();
        for (day, count) in days {
            state.days.entry(*day).or_default().count = *count;
        }
    }

    /// Raises the count of a day to what is known to be spent.
    pub(crate) fn raise_count(&self, day: u64, spent: u32) {
        let mut state = self.state();
        let count = &mut state.days.entry(day).or_default().count;
        count.granted = count.granted.max(spent);
    }

    /// Takes over what earlier processes hashed accounts with.
    pub(crate) fn restore_account_key(&self, key: AccountKey) {
        self.state().logins.key = Some(key);
    }

    /// Takes over a verdict that an earlier process wrote.
    pub(crate) fn restore_verdict(&self, ip: IpAddr, verdict: SharedVerdict, keep: Duration) {
        self.state().verdicts.insert(ip, verdict, keep);
    }

    /// Adds checks of a day that were spent without a grant.
    pub(crate) fn add_count(&self, day: u64, checks: u32) -> Count {
        let mut state = self.state();
        let day = state.days.entry(day).or_default();
        day.count.granted = day.count.granted.saturating_add(checks);
        day.count
    }

    /// Takes checks of a day back; `None` when nothing is known of it.
    pub(crate) fn take_count(&self, day: u64, checks: u32) -> Option<Count> {
        let mut state = self.state();
        state.give_back(day, checks);
        state.days.get(&day).map(|day| day.count)
    }

    /// This machine is gone: others may ask what it was asking.
    pub(crate) fn release_all(&self) {
        let machine = self.machine;
        self.state().leases.retain(|owner| owner != machine);
    }

    fn number(&self) -> u64 {
        self.place.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.place.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, announcement: Announcement) {
        // Nobody listens: nobody misses it.
        let _ = self.place.announcements.send(announcement);
    }
}

fn answer<'a, T: Send + 'a>(value: T) -> SharedFuture<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

/// One day's count.
#[derive(Clone, Debug, Default)]
struct Day {
    count: Count,
    /// Machines that spend checks, and when they asked last.
    machines: HashMap<u64, Instant>,
}

impl State {
    fn grant(&mut self, request: BlockRequest, machine: u64, birth: u64) -> Block {
        if self.days.len() > DAYS {
            let last = request.day.saturating_sub(1)..=request.day.saturating_add(1);
            self.days.retain(|day, _| last.contains(day));
        }
        let day = self.days.entry(request.day).or_default();
        if day.count.birth == 0 {
            day.count.birth = birth;
        }
        if day.count.birth != request.known.birth {
            day.count.granted = day.count.granted.max(request.known.granted);
        }
        let left = request.limit.saturating_sub(day.count.granted);
        let checks = request.checks.min(left);
        day.count.granted += checks;
        if request.is_spending {
            day.machines.insert(machine, Instant::now());
        }
        day.machines.retain(|_, asked| asked.elapsed() < LATELY);
        Block {
            checks,
            count: day.count,
            machines: u32::try_from(day.machines.len()).map_or(u32::MAX, |len| len.max(1)),
        }
    }

    fn give_back(&mut self, day: u64, checks: u32) {
        if let Some(day) = self.days.get_mut(&day) {
            day.count.granted = day.count.granted.saturating_sub(checks);
        }
    }
}

impl SharedStore for InMemory {
    fn look(&self, ip: IpAddr, lease: Duration) -> SharedFuture<'_, Seen> {
        let mut state = self.state();
        let seen = if let Some(verdict) = state.verdicts.get(&ip) {
            Seen::Verdict(verdict)
        } else if state.leases.get(&ip).is_some() {
            Seen::Awaited
        } else {
            state.leases.insert(ip, self.machine, lease);
            Seen::Leased
        };
        answer(seen)
    }

    fn learn(&self, ip: IpAddr, verdict: SharedVerdict, keep: Duration) -> SharedFuture<'_, ()> {
        let mut state = self.state();
        state.verdicts.insert(ip, verdict, keep);
        state.leases.remove(&ip);
        if verdict.reputation.listed {
            self.announce(Announcement::Listed { ip, verdict });
        }
        answer(())
    }

    fn release(&self, ip: IpAddr) -> SharedFuture<'_, ()> {
        let mut state = self.state();
        if state.leases.get(&ip) == Some(self.machine) {
            state.leases.remove(&ip);
        }
        answer(())
    }

    fn grant(&self, request: BlockRequest) -> SharedFuture<'_, Block> {
        let birth = RandomState::new().hash_one(()) | 1;
        answer(self.state().grant(request, self.machine, birth))
    }

    fn give_back(&self, day: u64, checks: u32) -> SharedFuture<'_, ()> {
        self.state().give_back(day, checks);
        answer(())
    }

    fn begin_attempt(
        &self,
        login: Login,
        attempt: AttemptId,
        attempts: AttemptLimits,
    ) -> SharedFuture<'_, Attempt> {
        let state = self.state();
        let logins = &state.logins;
        let now = logins.now();
        let begun = if logins.ended.get(&attempt).is_some() {
            let (retry_after, under_way) = (attempts.attempt_life(), false);
            Err(Refused::Full {
                retry_after,
                under_way,
            })
        } else {
            logins
                .attempts
                .begin(&limits(attempts), login, attempt, now)
        };
        answer(match begun {
            Ok(()) => Attempt::Begun,
            Err(Refused::Banned { retry_after }) => Attempt::Refused {
                retry_after,
                under_way: false,
            },
            Err(Refused::Full {
                retry_after,
                under_way,
            }) => Attempt::Refused {
                retry_after,
                under_way,
            },
        })
    }

    fn fail_attempt(
        &self,
        login: Login,
        attempt: AttemptId,
        attempts: AttemptLimits,
    ) -> SharedFuture<'_, Failed> {
        let logins = &mut self.state().logins;
        logins.end(attempt, Some(attempts));
        let now = logins.now();
        let failure = logins
            .attempts
            .fail(&limits(attempts), login, Some(attempt), now);
        answer(match failure {
            Failure::Tripped { scope, .. } => Failed::Tripped { scope },
            Failure::Counted { left } => Failed::Counted {
                failures: attempts.max_failures.saturating_sub(left),
            },
            // It has just tripped: that is known.
            Failure::Banned { .. } => Failed::Counted { failures: 1 },
        })
    }

    fn end_attempt(&self, login: Login, attempt: AttemptId) -> SharedFuture<'_, ()> {
        let logins = &mut self.state().logins;
        logins.end(attempt, None);
        logins.attempts.succeed(login, attempt);
        answer(())
    }

    fn clear_failures(&self, client: Scope) -> SharedFuture<'_, ()> {
        self.state().logins.attempts.pardon(client);
        answer(())
    }

    fn tell_bans<'a>(&'a self, bans: &'a [BanRecord]) -> SharedFuture<'a, ()> {
        let state = self.state();
        let logins = &state.logins;
        for told in bans {
            if logins.bans.settle(*told, logins.now()) != Settled::Known {
                self.announce(Announcement::Ban(*told));
            }
        }
        answer(())
    }

    fn greet(&self, proposed: AccountKey) -> SharedFuture<'_, Greeting> {
        let logins = &mut self.state().logins;
        answer(Greeting {
            account_key: *logins.key.get_or_insert(proposed),
            epoch: logins.epoch,
        })
    }

    fn listen<'a>(
        &'a self,
        hear: &'a (dyn Fn(Announcement) + Send + Sync),
    ) -> SharedFuture<'a, ()> {
        Box::pin(async move {
            let (mut announcements, bans) = {
                let state = self.state();
                let bans = state.logins.bans.records(state.logins.now());
                (self.place.announcements.subscribe(), bans)
            };
            for ban in bans {
                hear(Announcement::Ban(ban));
            }
            loop {
                match announcements.recv().await {
                    Ok(announcement) => hear(announcement),
                    // It missed some: like a connection that was lost.
                    Err(error) => {
                        let source = Box::new(error);
                        return Err(SharedError::Away { source });
                    }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::suite;
    use super::*;

    #[tokio::test]
    async fn the_tier_in_memory_keeps_the_promises_of_the_trait() {
        suite::run(|| {
            let first = InMemory::new();
            move || Arc::new(first.another()) as Arc<dyn SharedStore>
        })
        .await;
    }
}
