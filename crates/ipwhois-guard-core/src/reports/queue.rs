//! The queue: which report is sent when, and what becomes of each.
//!
//! A state machine without a clock: time since the guard's start comes in as an argument, and so
//! does chance.
//!
//! 1. A report comes in once per pair of address and threat type in [`DEDUPLICATION`]; one more
//!    shares its fate.
//! 2. It is due at once when it is on disk, and after [`DISK_PATIENCE`] if the disk does not
//!    answer.
//! 3. The one that is due first is sent; nothing else is, until it is known what came of it.
//! 4. Every report that came in goes out with a [`Fate`]: accepted, refused for good, or given up
//!    at [`MAX_AGE`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::pace::{Pace, backoff};
use super::recent::{Original, Pair, Recent};
use super::report::Report;

/// So many reports wait at most. One more is dropped.
pub(super) const CAPACITY: usize = 10_000;

/// A report that repeats one which was queued less than this ago is not sent.
pub(super) const DEDUPLICATION: Duration = Duration::from_secs(15 * 60);

/// A report that is this old is given up: what it says is no news any more.
pub(super) const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// A report that is not on disk by then is sent all the same.
pub(super) const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// The first number of a new report. Restored ones have those below, so that they go first when all
/// are due.
const FIRST_NEW: u64 = 1 << 32;

/// So many pairs are remembered for each that may wait.
const MEMORY: usize = 4;

/// What became of a report in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    Refused { status: u16 },
    GivenUp,
}

/// What came of one attempt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Accepted,
    /// For good: the next attempt would end the same way.
    Refused {
        status: u16,
    },
    Failed {
        retry_after: Option<Duration>,
        /// By a 429: the time until the service's next day.
        limited: Option<Duration>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Queued under this number.
    New(u64),
    Duplicate(Original),
    Full,
}

/// A report that has left the queue.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) id: u64,
    pub(super) report: Arc<Report>,
    pub(super) fate: Fate,
}

/// What an attempt has changed.
#[derive(Debug)]
pub(super) enum Attempted {
    Settled(Settled),
    /// It is tried again. `pause`: all reports wait so long.
    Retried {
        pause: Option<Duration>,
    },
}

/// The reports that went out, by fate, and those that did not come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) delivered: u64,
    pub(super) refused: u64,
    pub(super) given_up: u64,
    pub(super) dropped_full: u64,
    pub(super) duplicates: u64,
    /// Attempts that waited for a token of the bucket.
    pub(super) paced: u64,
}

#[derive(Debug)]
struct Entry {
    report: Arc<Report>,
    attempts: u32,
    next_try: Duration,
    expires: Duration,
}

#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    next_restored: u64,
    next_new: u64,
    entries: HashMap<u64, Entry, foldhash::fast::RandomState>,
    /// Everything but what is in flight, by the time of its next attempt and by the time of its
    /// end.
    due: BTreeSet<(Duration, u64)>,
    expiring: BTreeSet<(Duration, u64)>,
    in_flight: Option<u64>,
    recent: Recent,
    pace: Pace,
    tally: Tally,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            next_restored: 0,
            next_new: FIRST_NEW,
            entries: HashMap::default(),
            due: BTreeSet::new(),
            expiring: BTreeSet::new(),
            in_flight: None,
            recent: Recent::new(capacity.saturating_mul(MEMORY)),
            pace: Pace::default(),
            tally: Tally::default(),
        }
    }

    /// A new report. It is due when [`stored`](Self::stored) says so.
    pub(super) fn push(&mut self, report: Report, now: Duration) -> Pushed {
        if let Some(original) = self.recent.original(report.pair(), now) {
            self.tally.duplicates += 1;
            return Pushed::Duplicate(original);
        }
        if self.entries.len() >= self.capacity {
            self.tally.dropped_full += 1;
            return Pushed::Full;
        }
        let id = self.next_new;
        self.next_new += 1;
        self.insert(id, report, Duration::ZERO, now + DISK_PATIENCE, now);
        Pushed::New(id)
    }

    /// A report of this age from an earlier run. It goes before all new ones, and finds room when
    /// they leave none.
    pub(super) fn restore(&mut self, report: Report, age: Duration, now: Duration) -> Pushed {
        if age < DEDUPLICATION
            && let Some(original) = self.recent.original(report.pair(), now)
        {
            self.tally.duplicates += 1;
            return Pushed::Duplicate(original);
        }
        let id = self.next_restored;
        self.next_restored += 1;
        self.insert(id, report, age, Duration::ZERO, now);
        Pushed::New(id)
    }

    /// One of this age that an earlier run has delivered. Answers the new one that repeats it, if
    /// that came in already: it is not sent.
    pub(super) fn remember_delivered(
        &mut self,
        pair: Pair,
        age: Duration,
        now: Duration,
    ) -> Option<u64> {
        let left = DEDUPLICATION.checked_sub(age)?;
        let repeating = match self.recent.original(pair, now) {
            Some(Original::Pending(id)) => self.withdraw(id).then_some(id),
            _ => None,
        };
        let id = self.next_restored;
        self.next_restored += 1;
        self.recent.remember(pair, id, now + left);
        self.recent.settle(pair, id, Fate::Delivered);
        repeating
    }

    fn withdraw(&mut self, id: u64) -> bool {
        let Some(entry) = self.entries.remove(&id) else {
            return false;
        };
        self.due.remove(&(entry.next_try, id));
        self.expiring.remove(&(entry.expires, id));
        self.tally.duplicates += 1;
        true
    }

    fn insert(
        &mut self,
        id: u64,
        report: Report,
        age: Duration,
        next_try: Duration,
        now: Duration,
    ) {
        if age < DEDUPLICATION {
            let until = now + (DEDUPLICATION - age);
            self.recent.remember(report.pair(), id, until);
        }
        let entry = Entry {
            report: Arc::new(report),
            attempts: 0,
            next_try,
            expires: now + MAX_AGE.saturating_sub(age),
        };
        self.due.insert((entry.next_try, id));
        self.expiring.insert((entry.expires, id));
        self.entries.insert(id, entry);
    }

    /// A report is on disk, or will never be.
    pub(super) fn stored(&mut self, id: u64, now: Duration) {
        if let Some(entry) = self.entries.get_mut(&id)
            && self.due.remove(&(entry.next_try, id))
        {
            entry.next_try = entry.next_try.min(now);
            self.due.insert((entry.next_try, id));
        }
    }

    /// The report to send now. What comes of it goes back through [`record`](Self::record).
    pub(super) fn take(&mut self, now: Duration) -> Option<(u64, Arc<Report>)> {
        let &(next_try, id) = self.due.first()?;
        if self.in_flight.is_some() || now < next_try.max(self.pace.opens_at()) {
            return None;
        }
        let entry = self.entries.get(&id)?;
        self.due.pop_first();
        self.expiring.remove(&(entry.expires, id));
        self.in_flight = Some(id);
        self.tally.paced += u64::from(self.pace.send(next_try, now));
        Some((id, Arc::clone(&entry.report)))
    }

    /// What came of the report in flight; `None` when there is none.
    pub(super) fn record(
        &mut self,
        outcome: Outcome,
        now: Duration,
        random: u32,
    ) -> Option<Attempted> {
        let id = self.in_flight.take()?;
        let (retry_after, limited) = match outcome {
            Outcome::Accepted => {
                self.pace.answered();
                return self.settle(id, Fate::Delivered).map(Attempted::Settled);
            }
            Outcome::Refused { status } => {
                self.pace.answered();
                return self
                    .settle(id, Fate::Refused { status })
                    .map(Attempted::Settled);
            }
            Outcome::Failed {
                retry_after,
                limited,
            } => (retry_after, limited),
        };
        let pause = self.pace.failed(retry_after, limited, now, random);
        let entry = self.entries.get_mut(&id)?;
        if entry.expires <= now {
            return self.settled(id, Fate::GivenUp);
        }
        entry.attempts = entry.attempts.saturating_add(1);
        entry.next_try = now + backoff(entry.attempts, random);
        self.due.insert((entry.next_try, id));
        self.expiring.insert((entry.expires, id));
        Some(Attempted::Retried { pause })
    }

    /// A report that is too old by now, if there is one.
    pub(super) fn expire(&mut self, now: Duration) -> Option<Settled> {
        let &(expires, id) = self.expiring.first()?;
        if now < expires {
            return None;
        }
        self.settle(id, Fate::GivenUp)
    }

    fn settled(&mut self, id: u64, fate: Fate) -> Option<Attempted> {
        self.settle(id, fate).map(Attempted::Settled)
    }

    fn settle(&mut self, id: u64, fate: Fate) -> Option<Settled> {
        let entry = self.entries.remove(&id)?;
        self.due.remove(&(entry.next_try, id));
        self.expiring.remove(&(entry.expires, id));
        self.recent.settle(entry.report.pair(), id, fate);
        let count = match fate {
            Fate::Delivered => &mut self.tally.delivered,
            Fate::Refused { .. } => &mut self.tally.refused,
            Fate::GivenUp => &mut self.tally.given_up,
        };
        *count += 1;
        Some(Settled {
            id,
            report: entry.report,
            fate,
        })
    }

    /// Makes everything due at once, in the order in which it came in; a `Retry-After` still holds.
    pub(super) fn hurry(&mut self, now: Duration) {
        self.pace.hurry();
        for (_, id) in std::mem::take(&mut self.due) {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.next_try = entry.next_try.min(now);
                self.due.insert((entry.next_try, id));
            }
        }
    }

    /// When the next attempt can begin; `None` when nothing waits for one.
    pub(super) fn next_attempt(&self) -> Option<Duration> {
        let &(next_try, _) = self.due.first()?;
        Some(next_try.max(self.pace.opens_at()))
    }

    /// When [`take`](Self::take) or [`expire`](Self::expire) has something to say, provided that
    /// nothing is in flight.
    pub(super) fn next_event(&self) -> Option<Duration> {
        let expires = self.expiring.first().map(|&(expires, _)| expires);
        self.next_attempt().into_iter().chain(expires).min()
    }

    pub(super) fn report(&self, id: u64) -> Option<&Arc<Report>> {
        self.entries.get(&id).map(|entry| &entry.report)
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How old the oldest report is that waits.
    pub(super) fn oldest(&self, now: Duration) -> Option<Duration> {
        let &(expires, _) = self.expiring.first()?;
        Some(MAX_AGE.saturating_sub(expires.saturating_sub(now)))
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }
}

#[cfg(test)]
mod tests;
