//! A shared store inside one process.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::{
    Announcement, Attempt, AttemptId, AttemptLimits, Block, BlockRequest, Count, LATELY, SETTLING,
    Seen, SharedError, SharedFuture, SharedStore, SharedVerdict,
};

/// So many announcements wait for a listener that is slower than the others.
const BACKLOG: usize = 1024;

/// Number of days whose counts are kept.
const DAYS: usize = 8;

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
    days: HashMap<u64, Day>,
    clients: HashMap<IpAddr, Client>,
    bans: HashMap<IpAddr, Kept<()>>,
}

#[derive(Clone, Copy, Debug)]
struct Kept<T> {
    what: T,
    until: Instant,
}

#[derive(Debug, Default)]
struct Client {
    failures: HashMap<AttemptId, Instant>,
    attempts: HashMap<AttemptId, Instant>,
    settles: Option<Instant>,
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

    /// Takes over the counts of days that an earlier process wrote.
    pub(crate) fn restore_counts(&self, days: &[(u64, Count)]) {
        let mut state = self.state();
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

    /// Takes over a verdict that an earlier process wrote.
    pub(crate) fn restore_verdict(&self, ip: IpAddr, verdict: SharedVerdict, keep: Duration) {
        let verdicts = &mut self.state().verdicts;
        verdicts.insert(ip, kept(verdict, keep));
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

/// One day's count.
#[derive(Clone, Debug, Default)]
struct Day {
    count: Count,
    /// Machines that asked for checks, and when they did last.
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
        if request.checks > 0 {
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

impl Client {
    fn forget_old(&mut self, limits: AttemptLimits) {
        let counts = |_: &AttemptId, at: &mut Instant| at.elapsed() < limits.find_time;
        self.failures.retain(counts);
        self.attempts.retain(counts);
    }

    fn settles(&self) -> bool {
        self.settles.is_some_and(|until| until > Instant::now())
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

    fn grant(&self, request: BlockRequest) -> SharedFuture<'_, Block> {
        let birth = RandomState::new().hash_one(()) | 1;
        answer(self.state().grant(request, self.machine, birth))
    }

    fn give_back(&self, day: u64, checks: u32) -> SharedFuture<'_, ()> {
        self.state().give_back(day, checks);
        answer(())
    }

    fn begin_attempt(&self, client: IpAddr, limits: AttemptLimits) -> SharedFuture<'_, Attempt> {
        let id = AttemptId(self.number());
        let mut state = self.state();
        let client = state.clients.entry(client).or_default();
        client.forget_old(limits);
        let taken = client.failures.len() + client.attempts.len();
        if client.settles() || taken >= limits.max_failures as usize {
            return answer(Attempt::Refused);
        }
        client.attempts.insert(id, Instant::now());
        answer(Attempt::Begun(id))
    }

    fn fail_attempt(
        &self,
        client: IpAddr,
        attempt: AttemptId,
        limits: AttemptLimits,
    ) -> SharedFuture<'_, u32> {
        let mut state = self.state();
        let client = state.clients.entry(client).or_default();
        client.forget_old(limits);
        client.attempts.remove(&attempt);
        client.failures.insert(attempt, Instant::now());
        let failures = u32::try_from(client.failures.len()).unwrap_or(u32::MAX);
        if failures >= limits.max_failures {
            *client = Client {
                settles: Some(kept((), SETTLING).until),
                ..Client::default()
            };
        }
        answer(failures)
    }

    fn clear_failures(&self, client: IpAddr) -> SharedFuture<'_, ()> {
        self.state().clients.remove(&client);
        answer(())
    }

    fn ban(&self, client: IpAddr, length: Duration) -> SharedFuture<'_, ()> {
        let mut state = self.state();
        state.bans.insert(client, kept((), length));
        self.announce(Announcement::Banned { client, length });
        answer(())
    }

    fn unban(&self, client: IpAddr) -> SharedFuture<'_, ()> {
        let mut state = self.state();
        state.bans.remove(&client);
        self.announce(Announcement::Unbanned { client });
        answer(())
    }

    fn listen<'a>(
        &'a self,
        hear: &'a (dyn Fn(Announcement) + Send + Sync),
    ) -> SharedFuture<'a, ()> {
        Box::pin(async move {
            let (mut announcements, bans) = {
                let state = self.state();
                let bans: Vec<_> = state
                    .bans
                    .iter()
                    .map(|(ip, ban)| (*ip, ban.until))
                    .collect();
                (self.place.announcements.subscribe(), bans)
            };
            for (client, until) in bans {
                let length = until.saturating_duration_since(Instant::now());
                if !length.is_zero() {
                    hear(Announcement::Banned { client, length });
                }
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
