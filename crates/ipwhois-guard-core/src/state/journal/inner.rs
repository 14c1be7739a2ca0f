//! What the tasks and the threads of a journal share. What blocks says so.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::super::Loaded;
use super::super::error::StateError;
use super::super::folder::FILE_NAME;
use super::super::store::{SetAside, Store, Whereabouts};
use super::super::tables::Batch;
use super::pace::{Phase, State};
use super::pending::Pending;
use crate::clock::Clock;

/// No report that repeats one of that age is held back, however far the clock was set.
const DELIVERED_FOR: Duration = Duration::from_secs(60 * 60);

#[derive(Debug)]
pub(super) struct Inner {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Locked for as long as the disk takes, so never by a task. `None` before the first and after
    /// a failed write.
    store: Mutex<Option<Store>>,
    /// Something is pending, or there is nothing more to do.
    pub(super) wake: Notify,
    pub(super) progress: watch::Sender<Progress>,
}

/// How far the writes came, counted in what was noted for somebody who waits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub(super) tried: u64,
    pub(super) written: u64,
    pub(super) writes: u64,
}

impl Inner {
    pub(super) fn new(dir: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self {
            dir,
            clock,
            state: Mutex::default(),
            store: Mutex::default(),
            wake: Notify::new(),
            progress: watch::Sender::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Option<Store>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.dir.join(FILE_NAME)
    }

    /// Blocks.
    pub(super) fn open(&self, longest_age: Duration) -> Option<Loaded> {
        let mut store = self.store();
        if self.state().phase != Phase::Waiting {
            return None;
        }
        let opened = match Store::open(&self.dir, self.clock.wall(), longest_age) {
            Ok(opened) => opened,
            Err(error) => {
                self.give_up(&error);
                event!(ERROR, %error, "no state is kept: the guard runs from memory");
                return None;
            }
        };
        log_set_aside(opened.set_aside);
        if opened.loaded.skipped > 0 {
            let rows = opened.loaded.skipped;
            event!(
                WARN,
                rows,
                "rows of the state file cannot be read and are left out"
            );
        }
        *store = Some(opened.store);
        let mut state = self.state();
        state.longest_age = longest_age;
        state.is_stalled = false;
        // Unless it was closed meanwhile. Then somebody waits for the lock on the store, to close
        // it.
        if state.phase == Phase::Waiting {
            state.phase = Phase::Open;
        }
        Some(opened.loaded)
    }

    fn give_up(&self, error: &StateError) {
        self.state().error = Some(error.to_string());
        self.abandon();
    }

    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.phase = Phase::Off;
        state.pending = Pending::default();
        self.tried(state.awaited, false);
        self.wake.notify_one();
    }

    pub(super) fn note(&self, add: impl FnOnce(&mut Pending)) {
        let mut state = self.state();
        if state.phase != Phase::Off && state.note(add) {
            self.wake.notify_one();
        }
    }

    /// Notes what somebody wants to wait for. Its number, when that is worth it.
    pub(super) fn note_awaited(&self, add: impl FnOnce(&mut Pending)) -> Option<u64> {
        let mut state = self.state();
        if state.phase == Phase::Off {
            return None;
        }
        if state.note(add) {
            self.wake.notify_one();
        }
        state.awaited += 1;
        let is_worth_it = !state.is_stalled && !state.backs_off();
        is_worth_it.then_some(state.awaited)
    }

    pub(super) fn note_prune(&self) {
        let now = self.clock.wall();
        if let Some(since) = now.checked_sub(DELIVERED_FOR) {
            let since = since.duration_since(SystemTime::UNIX_EPOCH);
            let since = since.map_or(0, |since| since.as_secs());
            self.note(|pending| pending.forget_delivered_before(since));
        }
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        self.note(|pending| pending.forget_rows_before(since.unwrap_or_default()));
        let longest_age = self.state().longest_age;
        let edges = (now.checked_sub(longest_age), now.checked_add(longest_age));
        if let (Some(from), Some(to)) = edges {
            self.note(|pending| pending.keep(from..=to));
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.state().due()
    }

    /// Begins a write, if there is something to write and nobody is at it.
    pub(super) fn kick(self: &Arc<Self>) {
        {
            let mut state = self.state();
            if !state.may_write() || state.is_writing {
                return;
            }
            state.is_writing = true;
        }
        let inner = Arc::clone(self);
        drop(spawn_blocking(move || inner.write_pending()));
    }

    /// Blocks. Goes on for as long as somebody waits for the next write.
    fn write_pending(&self) {
        let mut store = self.store();
        loop {
            let (mut batch, awaited) = {
                let mut state = self.state();
                if !state.may_write() {
                    // It was closed meanwhile.
                    state.is_writing = false;
                    return;
                }
                (state.take(), state.awaited)
            };
            let result = self.write(&mut store, &mut batch);
            self.settle(result, batch, awaited);
            let mut state = self.state();
            if !state.may_write() || !state.pending.is_urgent() {
                state.is_writing = false;
                if !state.pending.is_empty() {
                    self.wake.notify_one();
                }
                return;
            }
        }
    }

    fn write(&self, slot: &mut Option<Store>, batch: &mut Batch) -> Result<(), StateError> {
        let store = match slot.take() {
            Some(store) => match store.whereabouts() {
                Whereabouts::InPlace => store,
                Whereabouts::Gone => self.begin_anew(store, batch)?,
                Whereabouts::Replaced => {
                    *slot = Some(store);
                    return Err(StateError::Replaced { path: self.file() });
                }
            },
            None => self.reopen()?,
        };
        let result = store.write(batch);
        if result.is_ok() {
            *slot = Some(store);
        } else {
            // redb refuses this file until it is opened again, and says so a second time here.
            let _ = store.close();
        }
        result
    }

    /// Somebody has removed the file, which is still open: what is in it goes into a new one with
    /// what is to be written.
    fn begin_anew(&self, store: Store, batch: &mut Batch) -> Result<Store, StateError> {
        self.state().removals += 1;
        match store.read() {
            Ok(known) => batch.add_older(known),
            Err(error) => {
                event!(ERROR, %error, "what the state file held is lost with it")
            }
        }
        // Its lock may be in the way of the new one.
        let _ = store.close();
        self.reopen()
    }

    fn reopen(&self) -> Result<Store, StateError> {
        let opened = Store::open(&self.dir, self.clock.wall(), Duration::ZERO)?;
        log_set_aside(opened.set_aside);
        Ok(opened.store)
    }

    /// What follows from a write that has ended, one way or the other.
    fn settle(&self, result: Result<(), StateError>, batch: Batch, awaited: u64) {
        let is_written = result.is_ok();
        let complaint = self.state().settle(result, batch);
        if let Some(error) = complaint {
            event!(ERROR, %error, "the state cannot be written; it is tried again");
        }
        self.tried(awaited, is_written);
    }

    fn tried(&self, awaited: u64, is_written: bool) {
        self.progress.send_modify(|progress| {
            progress.tried = awaited;
            progress.writes += 1;
            if is_written {
                progress.written = awaited;
            }
        });
    }

    pub(super) fn stalled(&self) {
        let was_stalled = std::mem::replace(&mut self.state().is_stalled, true);
        if !was_stalled {
            let path = self.file();
            event!(ERROR, path = %path.display(), "the disk does not answer: checks go on without waiting for it");
        }
    }

    /// Blocks.
    pub(super) fn close(&self, was_open: bool) {
        let mut store = self.store();
        let (batch, awaited) = {
            let mut state = self.state();
            let is_gone = |store: &Store| store.whereabouts() == Whereabouts::Gone;
            let is_due = !state.pending.is_empty() || store.as_ref().is_some_and(is_gone);
            let batch = state.take();
            (
                (is_due && (was_open || store.is_some())).then_some(batch),
                state.awaited,
            )
        };
        if let Some(mut batch) = batch {
            let result = self.write(&mut store, &mut batch);
            self.tried(awaited, result.is_ok());
            if let Err(error) = result {
                event!(ERROR, %error, "the state of the last second is lost");
            }
        }
        if let Some(store) = store.take()
            && let Err(error) = store.close()
        {
            event!(WARN, %error, "the state file was not closed cleanly");
        }
    }
}

fn log_set_aside(set_aside: Option<SetAside>) {
    if let Some(SetAside { to, reason }) = set_aside {
        event!(ERROR, %reason, set_aside_to = %to.display(), "the state file is of no use: a new one is begun");
    }
}
