//! A shared store inside one process.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::{
    AccountKey, Announcement, Attempt, AttemptId, AttemptLimits, BanRecord, Claim, Failed,
    Greeting, Login, SETTLING, Scope, Seen, SharedError, SharedFuture, SharedStore, SharedVerdict,
    Spent,
};
use crate::clock::{Clock, SystemClock, Tick};
use crate::logins::{Failure, Limits, Refused, Settled, Tracker};

/// So many announcements wait for a listener that is slower than the others.
const BACKLOG: usize = 1024;

/// How long a call may be overtaken by another.
const PATIENCE: Duration = Duration::from_secs(30);

/// What several guards of one process know together: a [`SharedStore`] for tests, without a server.
///
/// A clone is the same machine, [`another`](Self::another) is another one at the same place. It is
/// never away, goes by the system's clock, and grows with what it is told.
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
    verdicts: HashMap<IpAddr, Kept<SharedVerdict>>,
    leases: HashMap<IpAddr, Kept<u64>>,
    days: HashMap<u64, u32>,
    rations: HashMap<String, Kept<u32>>,
    logins: Logins,
}

/// Attempts and bans are two tables: after the last failure a client's attempts are refused, and
/// that is no ban yet.
#[derive(Debug)]
struct Logins {
    clock: SystemClock,
    attempts: Tracker,
    ended: HashMap<AttemptId, Kept<()>>,
    bans: Tracker,
    key: Option<AccountKey>,
    epoch: u64,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            clock: SystemClock::default(),
            attempts: Tracker::new(),
            ended: HashMap::new(),
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
        self.ended.retain(|_, kept| kept.until > Instant::now());
        self.ended.insert(attempt, kept((), life));
    }
}

const fn limits(attempts: AttemptLimits) -> Limits {
    Limits {
        attempts,
        ban_time: SETTLING,
        max_ban_time: None,
    }
}

#[derive(Clone, Copy, Debug)]
struct Kept<T> {
    what: T,
    until: Instant,
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
    pub fn forget(&self) {
        *self.state() = State::default();
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

fn kept<T>(what: T, length: Duration) -> Kept<T> {
    let now = Instant::now();
    Kept {
        what,
        until: now.checked_add(length).unwrap_or(now),
    }
}

fn alive<K: Hash + Eq, T: Copy>(map: &HashMap<K, Kept<T>>, key: &K) -> Option<T> {
    let kept = map.get(key)?;
    (kept.until > Instant::now()).then_some(kept.what)
}

fn answer<'a, T: Send + 'a>(value: T) -> SharedFuture<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl State {
    fn spend(&mut self, claim: &Claim) -> Spent {
        let spent = self.days.get(&claim.day).copied().unwrap_or(0);
        let spent = spent.max(claim.known);
        if spent >= claim.below {
            return Spent::NoBudget { spent };
        }
        let counts: Vec<u32> = claim
            .rations
            .iter()
            .map(|ration| alive(&self.rations, &ration.name).unwrap_or(0))
            .collect();
        let mut rations = claim.rations.iter().zip(&counts);
        if rations.any(|(ration, count)| *count >= ration.below) {
            return Spent::Rationed;
        }
        for (ration, count) in claim.rations.iter().zip(counts) {
            let count = kept(count + 1, ration.keep);
            self.rations.insert(ration.name.clone(), count);
        }
        self.days.insert(claim.day, spent + 1);
        Spent::Yes { spent: spent + 1 }
    }

    fn unspend(&mut self, claim: &Claim) {
        if let Some(spent) = self.days.get_mut(&claim.day) {
            *spent = spent.saturating_sub(1);
        }
        for ration in &claim.rations {
            if let Some(kept) = self.rations.get_mut(&ration.name) {
                kept.what = kept.what.saturating_sub(1);
            }
        }
    }
}

impl SharedStore for InMemory {
    fn look(&self, ip: IpAddr, lease: Duration) -> SharedFuture<'_, Seen> {
        let mut state = self.state();
        let seen = if let Some(verdict) = alive(&state.verdicts, &ip) {
            Seen::Verdict(verdict)
        } else if alive(&state.leases, &ip).is_some() {
            Seen::Awaited
        } else {
            state.leases.insert(ip, kept(self.machine, lease));
            Seen::Leased
        };
        answer(seen)
    }

    fn learn(&self, ip: IpAddr, verdict: SharedVerdict, keep: Duration) -> SharedFuture<'_, ()> {
        let mut state = self.state();
        state.verdicts.insert(ip, kept(verdict, keep));
        state.leases.remove(&ip);
        if verdict.reputation.listed {
            self.announce(Announcement::Listed { ip, verdict });
        }
        answer(())
    }

    fn release(&self, ip: IpAddr) -> SharedFuture<'_, ()> {
        let mut state = self.state();
        if alive(&state.leases, &ip) == Some(self.machine) {
            state.leases.remove(&ip);
        }
        answer(())
    }

    fn spend<'a>(&'a self, claim: &'a Claim) -> SharedFuture<'a, Spent> {
        answer(self.state().spend(claim))
    }

    fn unspend<'a>(&'a self, claim: &'a Claim) -> SharedFuture<'a, ()> {
        self.state().unspend(claim);
        answer(())
    }

    fn add_spent(&self, day: u64, known: u32, checks: u32) -> SharedFuture<'_, u32> {
        let mut state = self.state();
        let spent = state.days.entry(day).or_default();
        *spent = known.max(*spent).saturating_add(checks);
        answer(*spent)
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
        let begun = if alive(&logins.ended, &attempt).is_some() {
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
                failures: attempts.max_failures - left,
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
