//! A shared store inside one process: what the processes of one host share, and a store for tests.

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

/// Number of entries of a kind that are kept.
const MOST_ENTRIES: usize = 100_000;
/// From this number of entries on, those that are over are looked for.
const SWEEP_FIRST: usize = 1_024;

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
    clients: HashMap<IpAddr, Client>,
    bans: Expiring<IpAddr, ()>,
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

    /// What there is, with the time that it has left.
    fn iter(&self) -> impl Iterator<Item = (&K, Duration)> {
        let now = Instant::now();
        let left = self
            .map
            .iter()
            .map(move |(key, (_, until))| (key, until.saturating_duration_since(now)));
        left.filter(|(_, left)| !left.is_zero())
    }
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
                settles: Some(Instant::now() + SETTLING),
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
        state.bans.insert(client, (), length);
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
                let bans = state.bans.iter();
                let bans: Vec<_> = bans.map(|(client, length)| (*client, length)).collect();
                (self.place.announcements.subscribe(), bans)
            };
            for (client, length) in bans {
                hear(Announcement::Banned { client, length });
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
