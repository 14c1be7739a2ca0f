//! What the reporter knows, behind its lock: the queue, who waits for each report, and where each
//! is on the shelf.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::leftovers::Leftovers;
use super::queue::{Attempted, Fate, MAX_AGE, Outcome, Pushed, Queue, Settled};
use super::recent::Original;
use super::report::Report;
use super::shelf::Delivered;
use super::ticket::{Stage, Ticket};

/// By so many seconds a wall clock may be set back without a reason to doubt what was written
/// before.
const CLOCK_SLACK: u64 = 5 * 60;

/// 2020-01-01. A machine whose clock shows an earlier date has not been told the date.
const DATE_IS_SET: u64 = 1_577_836_800;

/// One report that waits.
#[derive(Debug)]
struct Slot {
    stage: watch::Sender<Stage>,
    queued_at: u64,
    shelved: Shelved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shelved {
    Not,
    /// The write is under way, and its end decides what happens to the row.
    Soon(u64),
    In(u64),
}

/// A row to put on the shelf.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) id: u64,
    pub(super) row: u64,
    pub(super) report: Arc<Report>,
    pub(super) queued_at: u64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue,
    slots: HashMap<u64, Slot>,
    /// Reports that are not on their way to the shelf yet.
    unshelved: VecDeque<u64>,
    /// The next free row; `None` until the shelf was read.
    next_row: Option<u64>,
    /// Writes to the shelf that are under way.
    pub(super) writes: usize,
    /// Rows of earlier runs that could not be read.
    pub(super) unreadable: u64,
    /// Reports of earlier runs that may not be sent any more.
    pub(super) withdrawn: u64,
    pub(super) is_closed: bool,
    /// Reports are being dropped, and that was said.
    pub(super) is_full: bool,
}

impl State {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            queue: Queue::new(capacity),
            slots: HashMap::new(),
            unshelved: VecDeque::new(),
            next_row: None,
            writes: 0,
            unreadable: 0,
            withdrawn: 0,
            is_closed: false,
            is_full: false,
        }
    }

    /// A new report, queued at this time of the clock and of the wall. `None` when the queue is
    /// full.
    pub(super) fn push(&mut self, report: Report, now: Duration, wall: u64) -> Option<Ticket> {
        match self.queue.push(report, now) {
            Pushed::New(id) => {
                let (stage, told) = watch::channel(Stage::Queued);
                self.slots.insert(id, Slot::new(stage, wall, Shelved::Not));
                self.unshelved.push_back(id);
                Some(Ticket::new(told))
            }
            Pushed::Duplicate(Original::Settled(fate)) => Some(Ticket::settled(fate)),
            Pushed::Duplicate(Original::Pending(id)) => {
                let slot = self.slots.get(&id)?;
                Some(Ticket::of_original(slot.stage.subscribe()))
            }
            Pushed::Full => None,
        }
    }

    /// Takes in the reports of earlier runs. Answers the rows that are to be removed; they count as
    /// writes.
    pub(super) fn restore(&mut self, leftovers: Leftovers, now: Duration, wall: u64) -> Vec<u64> {
        self.next_row = Some(leftovers.next_row);
        self.unreadable = leftovers.unreadable;
        self.withdrawn = leftovers.withdrawn;
        for delivered in leftovers.delivered {
            self.restore_delivered(delivered, now, wall);
        }
        let mut superfluous = leftovers.superfluous;
        for (row, queued_at, report) in leftovers.reports {
            // A wall clock that was set in between makes a report new or old, and nothing else.
            // One that had not been set yet says nothing of the age.
            let queued_at = if queued_at < DATE_IS_SET {
                wall
            } else {
                queued_at
            };
            let age = Duration::from_secs(wall.saturating_sub(queued_at)).min(MAX_AGE);
            if !self.restore_one(report, row, queued_at, age, now) {
                superfluous.push(row);
            }
        }
        self.writes += superfluous.len();
        superfluous
    }

    fn restore_delivered(&mut self, delivered: Delivered, now: Duration, wall: u64) {
        let Delivered {
            ip,
            threat_type,
            queued_at,
        } = delivered;
        // A report of the future says that the wall clock went back, and nothing of its age: rather
        // repeat one than lose one.
        if queued_at > wall + CLOCK_SLACK {
            return;
        }
        let age = Duration::from_secs(wall.saturating_sub(queued_at));
        let repeating = self.queue.remember_delivered((ip, threat_type), age, now);
        if let Some(slot) = repeating.and_then(|id| self.slots.remove(&id)) {
            slot.stage.send_replace(Stage::Settled(Fate::Delivered));
        }
    }

    /// False when nothing has come of the row.
    fn restore_one(
        &mut self,
        report: Report,
        row: u64,
        queued_at: u64,
        age: Duration,
        now: Duration,
    ) -> bool {
        match self.queue.restore(report, age, now) {
            Pushed::New(id) => {
                let stage = watch::Sender::new(Stage::Stored);
                let slot = Slot::new(stage, queued_at, Shelved::In(row));
                self.slots.insert(id, slot);
                true
            }
            // It came in again before the shelf was read, and nothing is sent before that: the new
            // one takes the row.
            Pushed::Duplicate(Original::Pending(id)) => {
                let is_without_row = self
                    .slots
                    .get(&id)
                    .is_some_and(|slot| slot.shelved == Shelved::Not);
                if is_without_row {
                    self.shelved(id, row, now);
                }
                is_without_row
            }
            Pushed::Duplicate(Original::Settled(_)) | Pushed::Full => false,
        }
    }

    /// What is to be put on the shelf now; nothing before it was read.
    pub(super) fn take_puts(&mut self) -> Vec<Put> {
        let Some(next_row) = &mut self.next_row else {
            return Vec::new();
        };
        let mut puts = Vec::new();
        for id in self.unshelved.drain(..) {
            if let Some(slot) = self.slots.get_mut(&id)
                && slot.shelved == Shelved::Not
                && let Some(report) = self.queue.report(id)
            {
                slot.shelved = Shelved::Soon(*next_row);
                puts.push(Put {
                    id,
                    row: *next_row,
                    report: Arc::clone(report),
                    queued_at: slot.queued_at,
                });
                *next_row = next_row.wrapping_add(1);
            }
        }
        self.writes += puts.len();
        puts
    }

    /// The rows of reports that wait, on the shelf or on their way to it.
    pub(super) fn rows(&self) -> Vec<u64> {
        let rows = self.slots.values().filter_map(|slot| match slot.shelved {
            Shelved::Soon(row) | Shelved::In(row) => Some(row),
            Shelved::Not => None,
        });
        rows.collect()
    }

    /// A report is on the shelf. False when it is done with, so that the row is to be removed.
    pub(super) fn is_still_wanted(&mut self, id: u64, row: u64, now: Duration) -> bool {
        let is_wanted = self.slots.contains_key(&id);
        if is_wanted {
            self.shelved(id, row, now);
        }
        is_wanted
    }

    fn shelved(&mut self, id: u64, row: u64, now: Duration) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.shelved = Shelved::In(row);
            slot.stage.send_replace(Stage::Stored);
            self.queue.stored(id, now);
        }
    }

    /// What came of the report in flight.
    pub(super) fn record(&mut self, outcome: Outcome, now: Duration, random: u32) -> Recorded {
        match self.queue.record(outcome, now, random) {
            Some(Attempted::Settled(settled)) => match self.settle(settled) {
                Some(farewell) => Recorded::Settled(farewell),
                None => Recorded::Retried { pause: None },
            },
            Some(Attempted::Retried { pause }) => Recorded::Retried { pause },
            None => Recorded::Retried { pause: None },
        }
    }

    /// The end of a report that is too old, if there is one.
    pub(super) fn expire(&mut self, now: Duration) -> Option<Farewell> {
        let settled = self.queue.expire(now)?;
        self.settle(settled)
    }

    fn settle(&mut self, settled: Settled) -> Option<Farewell> {
        let slot = self.slots.remove(&settled.id)?;
        let row = match slot.shelved {
            Shelved::In(row) => Some(row),
            Shelved::Not | Shelved::Soon(_) => None,
        };
        let delivered = (settled.fate == Fate::Delivered).then(|| {
            let (ip, threat_type) = settled.report.pair();
            Delivered {
                ip,
                threat_type,
                queued_at: slot.queued_at,
            }
        });
        // Under the same lock as the report's leave: whoever waits for both must not find a moment
        // with neither.
        self.writes += usize::from(row.is_some() || delivered.is_some());
        Some(Farewell {
            row,
            delivered,
            report: settled.report,
            fate: settled.fate,
            stage: slot.stage,
        })
    }

    /// Whether everything is done that can be done until then.
    pub(super) fn is_idle_until(&self, end: Duration) -> bool {
        self.next_row.is_some()
            && self.writes == 0
            && self.unshelved.is_empty()
            && !self.queue.is_in_flight()
            && self.queue.next_attempt().is_none_or(|next| next > end)
    }
}

impl Slot {
    const fn new(stage: watch::Sender<Stage>, queued_at: u64, shelved: Shelved) -> Self {
        Self {
            stage,
            queued_at,
            shelved,
        }
    }
}

/// What came of an attempt.
#[derive(Debug)]
#[must_use]
pub(super) enum Recorded {
    Settled(Farewell),
    /// It is tried again. `pause`: all reports wait so long.
    Retried {
        pause: Option<Duration>,
    },
}

/// What is left to do for a report that has left the queue: first its row goes and its delivery is
/// kept, then those who wait are told. That is one write, counted already.
#[derive(Debug)]
#[must_use]
pub(super) struct Farewell {
    /// The row that has to go.
    pub(super) row: Option<u64>,
    /// What has to be kept.
    pub(super) delivered: Option<Delivered>,
    pub(super) report: Arc<Report>,
    pub(super) fate: Fate,
    stage: watch::Sender<Stage>,
}

impl Farewell {
    pub(super) fn tell(&self) {
        self.stage.send_replace(Stage::Settled(self.fate));
    }
}
