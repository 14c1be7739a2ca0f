//! The write-behind between the guard and its file.
//!
//! What is noted waits in memory for a second at most and is written with what came meanwhile. One
//! write is under way at a time, on a thread that may block; who needs to know that something is on
//! the disk waits for it, and all who wait at the same time wait for the same write.

mod inner;
mod pace;
mod pending;
mod shelf;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use self::inner::Inner;
use self::pace::Phase;
use self::pending::Pending;
use super::folder::FileId;
use super::tables::Batch;
use super::{Loaded, StoredFeed, StoredRow, StoredVerdict};
use crate::clock::Clock;
use crate::reports::{BoxFuture, Delivered};
use crate::store::Count;

pub(crate) use self::shelf::Shelf;

/// How long a block of checks, or a report, may wait for the disk.
const PATIENCE: Duration = Duration::from_secs(4);
/// From when on health says that the disk does not answer.
const STALLS: Duration = Duration::from_secs(5);
/// How long the end of the guard may wait for the disk.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// The first time an hour after the start: a machine that boots with a wrong date has corrected it
/// by then.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Keeps what the guard learns on disk, as far as there is a folder for it and the folder can be
/// used.
#[derive(Debug)]
pub(crate) struct Journal(Option<Arc<Inner>>);

/// Why there is no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// Another process has the folder.
    Busy,
    /// It may be tried again.
    Failed,
    /// There is no folder, or this is the end.
    Closed,
}

/// The process that has the file open, as the others see it.
pub(crate) trait Holder: std::fmt::Debug + Send + Sync {
    /// Whether these rows are on its disk.
    fn keep<'a>(&'a self, rows: &'a Batch) -> BoxFuture<'a, bool>;
}

/// How the journal is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalStatus {
    /// The state file; `None` without a folder.
    pub(crate) path: Option<PathBuf>,
    /// Why nothing is kept, or why the last write failed.
    pub(crate) error: Option<String>,
    /// What waits to be written.
    pub(crate) pending: usize,
    /// How often the file was removed while it was in use, and written anew.
    pub(crate) removals: u64,
}

impl Journal {
    /// A journal in this folder. Without one it is a journal that keeps nothing, and never waits.
    pub(crate) fn new(dir: Option<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self(dir.map(|dir| Arc::new(Inner::new(dir, clock))))
    }

    /// Opens the file and reads everything but verdicts older than `longest_age`. `from_stopped`:
    /// even if a process that is stopped has it open, and had this [lock](Self::current_lock).
    ///
    /// # Errors
    /// When there is no state to be had now. [`status`](Self::status) says why. What is noted waits
    /// until it can be written.
    pub(crate) async fn open(
        &self,
        longest_age: Duration,
        from_stopped: Option<FileId>,
    ) -> Result<Loaded, NotOpened> {
        let inner = self.0.as_ref().ok_or(NotOpened::Closed)?;
        let opening = Arc::clone(inner);
        let opened = spawn_blocking(move || opening.open(longest_age, from_stopped)).await;
        // For what was noted meanwhile.
        inner.kick();
        opened.unwrap_or(Err(NotOpened::Failed))
    }

    /// Which lock the process has that has the folder.
    pub(crate) async fn current_lock(&self) -> Option<FileId> {
        let inner = Arc::clone(self.0.as_ref()?);
        spawn_blocking(move || inner.current_lock()).await.ok()?
    }

    /// Looks whether this process still has the folder: see [`lost`](Self::lost).
    pub(crate) async fn look_at_lock(&self) {
        if let Some(inner) = &self.0 {
            let inner = Arc::clone(inner);
            let _ = spawn_blocking(move || inner.look_at_lock()).await;
        }
    }

    /// Another process has the file open: it is told what is to be kept. `None`: not any more.
    pub(crate) fn join(&self, holder: Option<Arc<dyn Holder>>) {
        if let Some(inner) = &self.0 {
            inner.join(holder);
            inner.kick();
        }
    }

    /// Resolves when another process has taken the folder from this one.
    pub(crate) async fn lost(&self) {
        match &self.0 {
            Some(inner) => inner.lost.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Why nothing is kept, as far as another process is the reason.
    pub(crate) fn explain(&self, error: Option<String>) {
        if let Some(inner) = &self.0 {
            let mut state = inner.state();
            if state.phase != Phase::Open {
                state.error = error;
            }
        }
    }

    /// To be written within a second. Of an address the newest verdict counts.
    pub(crate) fn note_verdict(&self, verdict: StoredVerdict) {
        if let Some(inner) = &self.0 {
            inner.note(|pending| pending.verdict(verdict));
        }
    }

    /// To be written within a second.
    pub(crate) fn note_feed(&self, feed: StoredFeed) {
        if let Some(inner) = &self.0 {
            inner.note(|pending| pending.feed(feed));
        }
    }

    /// Whether anything is kept.
    pub(crate) fn is_kept(&self) -> bool {
        let is_on = |inner: &Arc<Inner>| inner.state().phase != Phase::Off;
        self.0.as_ref().is_some_and(is_on)
    }

    /// To be written within a second. Of a key the newest row counts.
    pub(crate) fn note_row(&self, row: StoredRow) {
        if let Some(inner) = &self.0 {
            inner.note(|pending| pending.row(row.key, row.row));
        }
    }

    /// To be written within a second.
    pub(crate) fn note_budget(&self, snapshot: Vec<u8>) {
        if let Some(inner) = &self.0 {
            inner.note(|pending| pending.budget(snapshot));
        }
    }

    /// To be written within a second: checks were given back.
    pub(crate) fn note_count(&self, day: u64, count: Count) {
        if let Some(inner) = &self.0 {
            inner.note(|pending| pending.count(day, count));
        }
    }

    /// Resolves when this count of a day or a later one is on the disk: then a power loss does not
    /// undo it. What else is pending goes along.
    ///
    /// False when it is not: because nothing is kept, or the write failed. Takes as long as the
    /// disk.
    pub(crate) async fn save_count(&self, day: u64, count: Count) -> bool {
        let Some(inner) = &self.0 else {
            return false;
        };
        let mut progress = inner.progress.subscribe();
        let Some(mine) = inner.note_awaited(true, |pending| pending.count(day, count)) else {
            return false;
        };
        inner.kick();
        let tried = progress.wait_for(|progress| progress.tried >= mine).await;
        tried.is_ok_and(|progress| progress.written >= mine)
    }

    /// The same for a report, or for its removal (`None`), but a disk that takes more than
    /// [`PATIENCE`] is not waited for, and until it goes on this resolves at once.
    pub(crate) async fn save_report(&self, number: u64, report: Option<Vec<u8>>) -> bool {
        self.save(|pending| pending.report(number, report)).await
    }

    /// The same for a report that was delivered, which takes the one of this number away.
    pub(crate) async fn save_delivered(&self, number: Option<u64>, delivered: Delivered) -> bool {
        self.save(|pending| pending.delivered(number, delivered))
            .await
    }

    /// The same for rows of another process.
    pub(crate) async fn save_rows(&self, rows: Batch) -> bool {
        self.save(|pending| pending.add(rows)).await
    }

    async fn save(&self, add: impl FnOnce(&mut Pending)) -> bool {
        let Some(inner) = &self.0 else {
            return false;
        };
        let mut progress = inner.progress.subscribe();
        let Some(mine) = inner.note_awaited(false, add) else {
            return false;
        };
        inner.kick();
        let tried = progress.wait_for(|progress| progress.tried >= mine);
        match timeout(PATIENCE, tried).await {
            Ok(progress) => progress.is_ok_and(|progress| progress.written >= mine),
            Err(_) => {
                inner.stalled();
                false
            }
        }
    }

    /// Writes what is pending, and prunes once an hour, until the journal is closed.
    pub(crate) async fn run(self: Arc<Self>) {
        let Some(inner) = &self.0 else {
            return;
        };
        let mut prune = interval_at(Instant::now() + PRUNE_INTERVAL, PRUNE_INTERVAL);
        prune.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while inner.state().phase != Phase::Off {
            tokio::select! {
                () = inner.wake.notified() => sleep_until(inner.due()).await,
                _ = prune.tick() => inner.note_prune(),
            }
            inner.kick();
        }
    }

    /// Waits for the write under way, writes what is pending and closes the file, so that another
    /// guard can have it. Takes five seconds at most. Blocks. From then on nothing is kept. A
    /// process that has joined another needs its runtime for it.
    pub(crate) fn close(&self, runtime: Option<&Handle>) {
        let Some(inner) = &self.0 else {
            return;
        };
        let before = std::mem::replace(&mut inner.state().phase, Phase::Off);
        inner.wake.notify_one();
        // On a thread of its own, so that a disk that hangs does not keep the application from
        // ending.
        let (done, told) = mpsc::channel();
        let closing = Arc::clone(inner);
        let runtime = runtime.cloned();
        let started = thread::Builder::new()
            .name("ipwhois-guard-close".to_owned())
            .spawn(move || {
                closing.close(before, runtime.as_ref());
                let _ = done.send(());
            });
        if started.is_err() || told.recv_timeout(LAST_PATIENCE).is_err() {
            let path = inner.file();
            event!(ERROR, path = %path.display(), "the disk does not answer: the state of the last second may be lost");
        }
    }

    /// For health.
    pub(crate) fn status(&self) -> JournalStatus {
        let Some(inner) = &self.0 else {
            return JournalStatus::default();
        };
        let state = inner.state();
        let stalls = state.busy_since.map(|since| since.elapsed());
        let stalls = stalls.filter(|stalls| *stalls >= STALLS).map(|stalls| {
            let (path, seconds) = (inner.file(), stalls.as_secs());
            format!(
                "`{}`: the disk has not answered for {seconds} s",
                path.display()
            )
        });
        JournalStatus {
            path: Some(inner.file()),
            error: stalls.or_else(|| state.error.clone()),
            pending: state.pending.len(),
            removals: state.removals,
        }
    }
}

#[cfg(test)]
mod tests;
