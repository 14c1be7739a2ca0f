//! What is pending, and whether now is the time to write it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::error::StateError;
use super::super::tables::Batch;
use super::Holder;
use super::pending::Pending;

/// How long what is noted waits for others to be written with.
const INTERVAL: Duration = Duration::from_secs(1);
/// After a failed write. Until then nobody waits for the disk at all.
const RETRY: Duration = Duration::from_secs(10);
/// After rows could not be handed to the process that has the folder.
const RETRY_HOLDER: Duration = Duration::from_millis(100);
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) pending: Pending,
    pub(super) longest_age: Duration,
    /// How often something was noted for somebody who waits for it.
    pub(super) awaited: u64,
    pub(super) is_writing: bool,
    /// Somebody waited for the write under way in vain.
    pub(super) is_stalled: bool,
    retry_at: Option<Instant>,
    quiet_until: Option<Instant>,
    pub(super) error: Option<String>,
    /// How often the file was removed while it was in use.
    pub(super) removals: u64,
    /// Since when the disk is at work.
    pub(super) busy_since: Option<Instant>,
    /// The process that has the folder open.
    pub(super) holder: Option<Arc<dyn Holder>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not opened yet. What is noted waits.
    #[default]
    Waiting,
    Open,
    /// Another process has the folder open, and is told what is to be kept.
    Joined,
    /// The journal is closed.
    Off,
}

impl State {
    /// Whether this is the first that is pending.
    pub(super) fn note(&mut self, add: impl FnOnce(&mut Pending)) -> bool {
        let is_first = !self.has_work();
        add(&mut self.pending);
        is_first
    }

    /// What is to be written now. To another process go rows, and not what each process has of its
    /// own.
    pub(super) fn take(&mut self) -> Batch {
        match self.phase {
            Phase::Joined => self.pending.take_rows().into(),
            _ => std::mem::take(&mut self.pending).into(),
        }
    }

    pub(super) fn has_work(&self) -> bool {
        match self.phase {
            Phase::Joined => self.pending.has_rows(),
            _ => !self.pending.is_empty(),
        }
    }

    /// What went wrong, when it is time to say so.
    pub(super) fn settle(
        &mut self,
        result: Result<(), StateError>,
        batch: Batch,
    ) -> Option<StateError> {
        self.is_stalled = false;
        self.busy_since = None;
        let Err(error) = result else {
            self.error = None;
            self.retry_at = None;
            return None;
        };
        let now = Instant::now();
        self.pending.put_back(batch);
        if matches!(error, StateError::Taken { .. } | StateError::InUse { .. }) {
            // Another process has the folder now.
            self.lose();
            return Some(error);
        }
        if matches!(error, StateError::HolderAway { .. }) {
            // Another process becomes the holder soon.
            self.retry_at = Some(now + RETRY_HOLDER);
            return None;
        }
        self.error = Some(error.to_string());
        self.retry_at = Some(now + RETRY);
        let is_quiet = self.quiet_until.is_some_and(|until| now < until);
        if is_quiet {
            return None;
        }
        self.quiet_until = Some(now + COMPLAINT_INTERVAL);
        Some(error)
    }

    /// Another process has the folder.
    pub(super) fn lose(&mut self) {
        if self.phase != Phase::Off {
            self.phase = Phase::Waiting;
        }
    }

    /// When what is pending now is to be written.
    pub(super) fn due(&self) -> Instant {
        let due = Instant::now() + INTERVAL;
        self.retry_at.map_or(due, |retry| retry.max(due))
    }

    pub(super) fn may_write(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Joined) && self.has_work() && !self.backs_off()
    }

    pub(super) fn backs_off(&self) -> bool {
        self.retry_at.is_some_and(|at| Instant::now() < at)
    }
}
