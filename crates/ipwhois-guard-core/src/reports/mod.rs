//! Reports to the service: none is lost, and none is sent twice.
//!
//! One task sends them one by one ([`Reporter::run`]); whoever reports only puts into its queue and
//! never waits.
//!
//! 1. A report is on the shelf before it is sent, if the disk answers within 5 s.
//! 2. Its row is removed as soon as the service accepted it or refused it for good, and the next
//!    report is not sent before that; that it was accepted is kept for as long as one like it is
//!    not sent again. So a process that is killed can repeat one report: the one that was accepted
//!    and whose removal was not on disk. It can lose those that were not on disk yet.
//! 3. The service can take a report and fail to say so (a connection that breaks, a reply that is
//!    not understood). Then the report is sent again: between losing and repeating, the queue
//!    repeats.
//!
//! 4. Sixty reports may go at once, then one a second. After a 429 all of them pause as checks do:
//!    for its `Retry-After`, else for 15 min, doubling, at most to the service's next day.
//!
//! The rules of the queue are in [`queue`], which knows neither time nor disk nor network.

mod leftovers;
mod log;
mod message;
mod pace;
mod queue;
mod recent;
mod report;
mod sender;
mod service;
mod shelf;
mod state;
mod ticket;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use std::{fmt, future};

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use self::queue::CAPACITY;
pub(crate) use self::report::Report;
pub(crate) use self::service::{NotAccepted, ReportService};
pub(crate) use self::shelf::{BoxFuture, Delivered, Left, ReportShelf};
use self::state::State;
pub(crate) use self::ticket::Ticket;
use crate::clock::Clock;
use crate::error::ReportError;

/// How many reports wait, and what became of the others since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReportCounts {
    /// In the queue, the one in flight included.
    pub(crate) pending: usize,
    /// How long the oldest of them has waited, the one in flight excepted.
    pub(crate) oldest: Option<Duration>,
    /// Accepted by the service.
    pub(crate) delivered: u64,
    /// Dropped because the queue was full.
    pub(crate) dropped_full: u64,
    /// Refused by the service for good.
    pub(crate) refused: u64,
    /// Given up after 24 h.
    pub(crate) given_up: u64,
    /// Not sent because they repeat another.
    pub(crate) duplicates: u64,
    /// Attempts that waited for their turn, since more reports were due than one a second.
    pub(crate) paced: u64,
    /// Left over by an earlier run, about an address that may not be reported any more.
    pub(crate) withdrawn: u64,
    /// Left over by an earlier run, and not readable.
    pub(crate) unreadable: u64,
}

type Screen = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// The queue of reports, with the one who sends them.
pub(crate) struct Reporter {
    service: Arc<dyn ReportService>,
    shelf: Arc<dyn ReportShelf>,
    clock: Arc<dyn Clock>,
    may_report: Screen,
    state: Mutex<State>,
    /// There is something to put on the shelf.
    arrived: Notify,
    /// There may be something to send.
    work: Notify,
    /// Something has ended.
    progress: watch::Sender<()>,
}

impl Reporter {
    pub(crate) fn new(
        service: Arc<dyn ReportService>,
        shelf: Arc<dyn ReportShelf>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            service,
            shelf,
            clock,
            may_report: Box::new(|_| true),
            state: Mutex::new(State::new(CAPACITY)),
            arrived: Notify::new(),
            work: Notify::new(),
            progress: watch::Sender::new(()),
        }
    }

    /// Asks once more whether an address may be reported when its report comes from an earlier run:
    /// it may have been allowlisted since.
    #[must_use]
    pub(crate) fn screened(
        mut self,
        may_report: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.may_report = Box::new(may_report);
        self
    }

    /// Queues a report. Neither waits nor blocks. One that repeats another of the last 15 minutes
    /// is not sent; its ticket tells what becomes of the other.
    ///
    /// # Errors
    /// When the queue is full, or the reporter closed.
    pub(crate) fn enqueue(&self, report: Report) -> Result<Ticket, ReportError> {
        let wall = seconds(self.clock.wall());
        let mut state = self.state();
        if state.is_closed {
            return Err(ReportError::ShuttingDown);
        }
        match state.push(report, self.clock.elapsed(), wall) {
            Some(ticket) => {
                if !ticket.is_duplicate() {
                    state.is_full = false;
                }
                drop(state);
                self.arrived.notify_one();
                // The sender has one more to wait for, should the disk not answer.
                self.work.notify_one();
                Ok(ticket)
            }
            None => {
                let was_full = std::mem::replace(&mut state.is_full, true);
                drop(state);
                if !was_full {
                    event!(
                        WARN,
                        capacity = CAPACITY,
                        "the queue of reports is full: new ones are dropped"
                    );
                }
                Err(ReportError::QueueFull)
            }
        }
    }

    /// The rows of reports that wait, on the shelf or on their way to it.
    pub(crate) fn rows(&self) -> Vec<u64> {
        self.state().rows()
    }

    /// Takes no more reports from now on. What is queued is still sent.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
    }

    pub(crate) fn counts(&self) -> ReportCounts {
        let now = self.clock.elapsed();
        let state = self.state();
        let tally = state.queue.tally();
        ReportCounts {
            pending: state.queue.len(),
            oldest: state.queue.oldest(now),
            delivered: tally.delivered,
            dropped_full: tally.dropped_full,
            refused: tally.refused,
            given_up: tally.given_up,
            duplicates: tally.duplicates,
            paced: tally.paced,
            withdrawn: state.withdrawn,
            unreadable: state.unreadable,
        }
    }

    /// Sends what it can within this time, and answers how many reports remain. Every report is
    /// tried at once, also one that waits after a failure; from then on failures make it wait as
    /// usual. Ends early when nothing more can be done in time, so when the service has asked for a
    /// longer pause.
    ///
    /// [`run`](Self::run) does the work, so it has to be running. Needs a tokio runtime for its
    /// timer.
    pub(crate) async fn flush(&self, within: Duration) -> usize {
        let now = self.clock.elapsed();
        self.state().queue.hurry(now);
        self.work.notify_one();
        let mut progress = self.progress.subscribe();
        let done = async {
            while !self.state().is_idle_until(now + within) {
                if progress.changed().await.is_err() {
                    future::pending::<()>().await;
                }
            }
        };
        let _ = timeout(within, done).await;
        self.state().queue.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

fn seconds(wall: SystemTime) -> u64 {
    wall.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests;
