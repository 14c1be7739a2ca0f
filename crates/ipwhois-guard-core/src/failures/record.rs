//! One client's failures, and one client's ban: state machines without a lock and without a clock.

use std::time::Duration;

use super::client::Client;
use super::shelf::Entry;
use crate::clock::{Tick, ticks};

/// A ban within this time after the end of the last one is a further one, where bans grow.
const OFFENCE_MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// fail2ban's three numbers, and its `bantime.maxtime`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// So many failures within `find_time` ban a client. At least 1.
    pub(crate) max_failures: u32,
    /// How long a failure counts.
    pub(crate) find_time: Duration,
    /// How long a ban lasts.
    pub(crate) ban_time: Duration,
    /// With it, each further ban of a client within 24 h after the end of its last one lasts twice
    /// as long, up to this.
    pub(crate) max_ban_time: Option<Duration>,
}

impl Limits {
    /// How long a ban lasts that has so many before it.
    pub(super) fn ban_after(&self, bans_before: u32) -> Duration {
        let Some(longest) = self.max_ban_time else {
            return self.ban_time;
        };
        let doubled = self
            .ban_time
            .saturating_mul(2_u32.saturating_pow(bans_before));
        doubled.min(longest).max(self.ban_time)
    }
}

/// Never holds as many failures as the limit: the one that reaches it is not kept, and its ban
/// forgets the others.
#[derive(Debug)]
pub(super) struct Record {
    client: Client,
    failures: Vec<Tick>,
    attempts: Vec<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    id: u32,
    began: Tick,
}

impl Record {
    pub(super) const fn new(client: Client) -> Self {
        Self {
            client,
            failures: Vec::new(),
            attempts: Vec::new(),
        }
    }

    /// Takes a place for an attempt, if one is left.
    pub(super) fn begin(&mut self, id: u32, now: Tick, limits: &Limits) -> bool {
        self.forget_lapsed(now, limits);
        let left = self.places() < limits.max_failures as usize;
        if left {
            self.attempts.push(Attempt { id, began: now });
        }
        left
    }

    /// Gives back the place of an attempt, if it still has one.
    pub(super) fn end(&mut self, id: u32) {
        self.attempts.retain(|attempt| attempt.id != id);
        if self.attempts.is_empty() {
            // Most records have failures for minutes and an attempt for a moment.
            self.attempts = Vec::new();
        }
    }

    /// Counts a failure. How many more reach the limit; none when this one does, which leads to a
    /// ban.
    pub(super) fn fail(&mut self, now: Tick, limits: &Limits) -> Option<u32> {
        self.forget_lapsed(now, limits);
        let failures = self.failures.len() as u32 + 1;
        if failures >= limits.max_failures {
            return None;
        }
        self.failures.push(now);
        Some(limits.max_failures - failures)
    }

    /// Forgets the failures. Attempts under way keep their places.
    pub(super) fn clear(&mut self) {
        self.failures = Vec::new();
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.failures.is_empty() && self.attempts.is_empty()
    }

    fn places(&self) -> usize {
        self.failures.len() + self.attempts.len()
    }

    /// An attempt of which nothing was heard lapses as a failure at its beginning would.
    fn forget_lapsed(&mut self, now: Tick, limits: &Limits) {
        let find_time = ticks(limits.find_time);
        self.failures.retain(|at| at.is_within(find_time, now));
        self.attempts
            .retain(|attempt| attempt.began.is_within(find_time, now));
    }

    fn last_seen(&self) -> Tick {
        let began = self.attempts.iter().map(|attempt| attempt.began);
        began
            .chain(self.failures.iter().copied())
            .max()
            .unwrap_or(Tick::NEVER)
    }
}

impl Entry for Record {
    type Worth = (usize, Tick);

    fn client(&self) -> Client {
        self.client
    }

    fn refresh(&mut self, now: Tick, limits: &Limits) -> bool {
        self.forget_lapsed(now, limits);
        !self.is_empty()
    }

    /// A flood of strangers has one failure each: they replace each other, and not who is close to
    /// the limit.
    fn worth(&self) -> Self::Worth {
        (self.places(), self.last_seen())
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ban {
    pub(super) client: Client,
    pub(super) ends: Tick,
    /// How many bans came before it, each within [`OFFENCE_MEMORY`] of the next.
    pub(super) bans_before: u32,
}

impl Ban {
    pub(super) fn is_active(&self, now: Tick) -> bool {
        now < self.ends
    }

    /// How many bans came before one that begins now. While this ban lasts, that one only lengthens
    /// it.
    pub(super) fn before_one_from(&self, now: Tick) -> u32 {
        if self.is_active(now) {
            self.bans_before
        } else if self.ends.is_within(ticks(OFFENCE_MEMORY), now) {
            self.bans_before.saturating_add(1)
        } else {
            0
        }
    }
}

impl Entry for Ban {
    type Worth = Tick;

    fn client(&self) -> Client {
        self.client
    }

    /// A ban that is over is kept only where it makes the next one longer.
    fn refresh(&mut self, now: Tick, limits: &Limits) -> bool {
        self.is_active(now)
            || limits.max_ban_time.is_some() && self.ends.is_within(ticks(OFFENCE_MEMORY), now)
    }

    /// What is over goes before what is not, and then what ends soonest.
    fn worth(&self) -> Self::Worth {
        self.ends
    }
}
