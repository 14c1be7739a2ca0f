//! The one task that does the work: shelf to queue, queue to shelf, queue to service.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::leftovers::Leftovers;
use super::queue::{DISK_PATIENCE, Outcome};
use super::report::Report;
use super::service::NotAccepted;
use super::shelf::Delivered;
use super::state::{Farewell, Put, Recorded};
use super::{Reporter, log, report, seconds};
use crate::pause::until_next_day;

impl Reporter {
    /// The sender. Reads the shelf first, then never ends. To be run once; dropping it is as good
    /// as killing the process.
    pub(crate) async fn run(self: Arc<Self>) {
        self.restore().await;
        let adopt = async {
            loop {
                self.shelf.more().await;
                self.restore().await;
                self.work.notify_one();
            }
        };
        tokio::join!(self.fill_shelf(), self.send(), adopt);
    }

    async fn restore(self: &Arc<Self>) {
        // Read before the lock is taken: who reports meanwhile does not wait for it.
        let leftovers = Leftovers::read(self.shelf.load().await, &self.may_report);
        leftovers.log();
        let now = self.clock.elapsed();
        let wall = seconds(self.clock.wall());
        let superfluous = self.state().restore(leftovers, now, wall);
        for row in superfluous {
            drop(self.take(Some(row), None));
        }
        self.progress.send_replace(());
    }

    /// Puts what arrives on the shelf, side by side.
    async fn fill_shelf(self: &Arc<Self>) {
        let mut puts = JoinSet::new();
        loop {
            for put in self.state().take_puts() {
                puts.spawn(Arc::clone(self).put(put));
            }
            tokio::select! {
                () = self.arrived.notified() => {}
                Some(_) = puts.join_next() => {}
            }
        }
    }

    async fn put(self: Arc<Self>, put: Put) {
        let _write = Write(Arc::clone(&self));
        let Put { id, row, .. } = put;
        let bytes = report::encode(&put.report, put.queued_at);
        self.shelf.put(row, bytes).await;
        let is_wanted = self.state().is_still_wanted(id, row, self.clock.elapsed());
        if is_wanted {
            self.work.notify_one();
        } else {
            self.shelf.remove(row).await;
        }
    }

    async fn send(self: &Arc<Self>) {
        loop {
            while let Some(farewell) = self.expired() {
                self.part(farewell).await;
            }
            let now = self.clock.elapsed();
            let (job, next) = {
                let mut state = self.state();
                (state.queue.take(now), state.queue.next_event())
            };
            match (job, next) {
                (Some((_, report)), _) => self.attempt(&report).await,
                (None, Some(next)) => {
                    let _ = timeout(next.saturating_sub(now), self.work.notified()).await;
                }
                (None, None) => self.work.notified().await,
            }
        }
    }

    fn expired(&self) -> Option<Farewell> {
        let now = self.clock.elapsed();
        self.state().expire(now)
    }

    async fn attempt(self: &Arc<Self>, report: &Report) {
        let result = self.service.deliver(report).await;
        let outcome = match &result {
            Ok(()) => Outcome::Accepted,
            Err(not_accepted) => not_accepted.outcome(until_next_day(self.clock.wall())),
        };
        let now = self.clock.elapsed();
        let recorded = self.state().record(outcome, now, random());
        match recorded {
            Recorded::Settled(farewell) => self.part(farewell).await,
            Recorded::Retried { pause } => {
                if let Err(NotAccepted { error, .. }) = result {
                    log::failure(report, error, pause);
                }
            }
        }
        self.progress.send_replace(());
    }

    /// The end of a report.
    async fn part(self: &Arc<Self>, farewell: Farewell) {
        log::fate(&farewell.report, farewell.fate);
        match (farewell.row, farewell.delivered) {
            (Some(row), delivered) => self.take_off_shelf(row, delivered).await,
            // The disk was too slow for it before, and nothing can be repeated.
            (None, Some(delivered)) => drop(self.take(None, Some(delivered))),
            (None, None) => {}
        }
        farewell.tell();
        self.progress.send_replace(());
    }

    /// Waits for the disk, but not for ever.
    async fn take_off_shelf(self: &Arc<Self>, row: u64, delivered: Option<Delivered>) {
        let taken = self.take(Some(row), delivered);
        if timeout(DISK_PATIENCE, taken).await.is_err() {
            event!(
                WARN,
                "the disk is slow: a report that is done with may be sent again if the process is killed now"
            );
        }
    }

    /// Goes on when nobody waits for it. The caller has counted the write.
    fn take(self: &Arc<Self>, row: Option<u64>, delivered: Option<Delivered>) -> JoinHandle<()> {
        let write = Write(Arc::clone(self));
        tokio::spawn(async move {
            let shelf = &write.0.shelf;
            match (row, delivered) {
                (row, Some(delivered)) => shelf.deliver(row, delivered).await,
                (Some(row), None) => shelf.remove(row).await,
                (None, None) => {}
            }
        })
    }
}

/// A write to the shelf that is under way.
struct Write(Arc<Reporter>);

impl Drop for Write {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.writes = state.writes.saturating_sub(1);
        drop(state);
        self.0.progress.send_replace(());
    }
}

/// Good enough to keep machines from knocking in step: the keys of a hasher are random.
pub(super) fn random() -> u32 {
    (RandomState::new().build_hasher().finish() >> 32) as u32
}
