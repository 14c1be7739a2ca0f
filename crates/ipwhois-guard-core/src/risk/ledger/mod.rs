//! What is known of the clients that nobody has verified.
//!
//! 1. A client is an IPv4 address or an IPv6 /64: whoever rotates inside of one stays the same client.
//! 2. Signals add up to a score with a half-life of 10 minutes. A probe, a failed login, a refused form and a word of the
//!    application make a client suspicious for an hour, each alone. Of other refused answers two within some minutes do, or
//!    eight where others were refused as well. One alone makes it noticed for a few. A script is noticed from the start, and
//!    suspicious with the first.
//! 3. Requests are counted with a half-life of 6 hours.
//! 4. Memory is bounded: [`SETS`] times [`WAYS`] clients, and nothing is allocated later. A newcomer takes the place of the
//!    one in its set that is least worth keeping ([`Slot::worth`]). So a flood of new addresses pushes out itself.
//! 5. Which set a client falls into depends on a seed of the process: nobody outside can aim at one.

mod score;
#[cfg(test)]
mod tests;

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::score::Score;
use crate::address::lookup_address;
use crate::clock::Tick;
use crate::decay::decayed;

/// In tenths of a second, as [`Tick`] counts.
const MINUTE: u32 = 60 * 10;

/// How long a failed login makes a client's check urgent.
const FAILED_LOGIN: u32 = 10 * MINUTE;

const REQUESTS_HALF_LIFE: u32 = 6 * 60 * MINUTE;

/// A request in 1/256ths, so that the count fades evenly.
const REQUEST: u32 = 256;

const SETS: usize = 4_096;
const WAYS: usize = 8;

/// What speaks against a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It asked for a path that only scanners ask for, or says that it is one.
    Probe,
    /// It says that it is a script. Said once or a hundred times, it counts once.
    Script,
    /// It got an answer of 401, 403 or 404 ([`is_refusal`]).
    Refused,
    /// It got one where several others did before.
    RefusedLikeOthers,
    /// It got one to a request that was to change something: a form, a login.
    RefusedChange,
    /// It failed to log in.
    FailedLogin,
    /// The application says so.
    Told,
}

/// How a client stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its requests lately, fading with a half-life of 6 hours. 0: nobody knows it.
    pub(crate) requests: u32,
    /// Whether its check comes before those of others.
    pub(crate) suspicious: bool,
    /// Whether something speaks against it, and not enough to suspect it.
    pub(crate) noticed: bool,
    /// Whether it failed to log in during the last 10 minutes.
    pub(crate) failed_login: bool,
}

/// Whether an answer with this status is one that scanners get by the dozen.
pub(crate) const fn is_refusal(status: u16) -> bool {
    matches!(status, 401 | 403 | 404)
}

/// The book of unverified clients. About 1 MB.
#[derive(Debug)]
pub(crate) struct Ledger {
    sets: Box<[Mutex<Set>]>,
    spread: foldhash::quality::RandomState,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            sets: (0..SETS).map(|_| Mutex::new(Set::EMPTY)).collect(),
            spread: foldhash::quality::RandomState::default(),
        }
    }

    /// Writes down a signal.
    pub(crate) fn note(&self, client: IpAddr, signal: Signal, now: Tick) {
        let key = key_of(client);
        let mut set = self.set_of(key);
        let slot = set.slot(key, now);
        slot.touch(now);
        slot.score.add(signal, now);
        if signal == Signal::FailedLogin {
            slot.failed = slot.failed.max(now);
        }
    }

    /// Counts one more request, and says how the client stands with it.
    pub(crate) fn visit(&self, client: IpAddr, now: Tick) -> Standing {
        let key = key_of(client);
        let mut set = self.set_of(key);
        let slot = set.slot(key, now);
        slot.touch(now);
        slot.requests = slot.requests.saturating_add(REQUEST);
        slot.standing(now)
    }

    /// How the client stands, without counting anything.
    #[cfg(test)]
    fn standing(&self, client: IpAddr, now: Tick) -> Standing {
        let key = key_of(client);
        let set = self.set_of(key);
        set.find(key)
            .and_then(|index| set.0.get(index))
            .map_or_else(Standing::default, |slot| slot.standing(now))
    }

    fn set_of(&self, key: u64) -> MutexGuard<'_, Set> {
        let index = self.spread.hash_one(key) as usize % SETS;
        // A set is whole after each of its changes: a thread that panicked has left nothing half done.
        self.sets[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address for IPv4, the upper half for IPv6; `::/32`, which would look like IPv4, is nobody's. IPv4 behind a
/// translator is IPv4: all of it shares one /64.
pub(super) fn key_of(client: IpAddr) -> u64 {
    match lookup_address(client) {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
    }
}

/// The clients that compete for the same places.
#[derive(Debug)]
struct Set([Slot; WAYS]);

impl Set {
    const EMPTY: Self = Self([Slot::EMPTY; WAYS]);

    fn find(&self, key: u64) -> Option<usize> {
        self.0
            .iter()
            .position(|slot| slot.key == key && !slot.used.is_never())
    }

    /// The client's slot, taken from another one if there is none.
    fn slot(&mut self, key: u64, now: Tick) -> &mut Slot {
        let index = self.find(key).unwrap_or_else(|| {
            let index = self.least_worth(now);
            self.0[index] = Slot { key, ..Slot::EMPTY };
            index
        });
        &mut self.0[index]
    }

    fn least_worth(&self, now: Tick) -> usize {
        self.0
            .iter()
            .enumerate()
            .min_by_key(|(_, slot)| slot.worth(now))
            .map_or(0, |(index, _)| index)
    }
}

/// One client. 32 bytes; the size is held by a test.
#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u64,
    score: Score,
    /// In 1/256ths, as of `used`.
    requests: u32,
    /// The last failed login.
    failed: Tick,
    /// Never: the slot is empty.
    used: Tick,
}

impl Slot {
    const EMPTY: Self = Self {
        key: 0,
        score: Score::ZERO,
        requests: 0,
        failed: Tick::NEVER,
        used: Tick::NEVER,
    };

    fn touch(&mut self, now: Tick) {
        self.requests = self.requests(now);
        self.used = self.used.max(now);
    }

    fn requests(&self, now: Tick) -> u32 {
        decayed(self.requests, self.used.age(now), REQUESTS_HALF_LIFE)
    }

    fn standing(&self, now: Tick) -> Standing {
        Standing {
            requests: self.requests(now).div_ceil(REQUEST),
            suspicious: self.score.is_suspicious(now),
            noticed: self.score.is_noticed(now),
            failed_login: self.failed.is_within(FAILED_LOGIN, now),
        }
    }

    /// What the slot is good for, worst first: its score, then its requests, then how lately it was used. A score that
    /// makes nobody suspicious does not count: otherwise a flood of addresses with one 404 each would push out those who
    /// come often.
    fn worth(&self, now: Tick) -> (u32, u32, Tick) {
        let points = if self.score.is_suspicious(now) {
            self.score.points(now)
        } else {
            0
        };
        (points, self.requests(now), self.used)
    }
}
