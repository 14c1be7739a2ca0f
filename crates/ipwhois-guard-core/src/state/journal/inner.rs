//! What the tasks and the threads of a journal share. What blocks says so.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::super::Loaded;
use super::super::error::StateError;
use super::super::folder::{FILE_NAME, FileId, Folder, Whereabouts};
use super::super::store::{Opened, SetAside, Store};
use super::super::tables::Batch;
use super::pace::{Phase, State};
use super::pending::Pending;
use super::{Holder, NotOpened};
use crate::clock::Clock;

/// No report that repeats one of that age is held back, however far the clock was set.
const DELIVERED_FOR: Duration = Duration::from_secs(60 * 60);

#[derive(Debug)]
pub(super) struct Inner {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Locked for as long as the disk takes, so never by a task.
    store: Mutex<Slot>,
    /// Something is pending, or there is nothing more to do.
    pub(super) wake: Notify,
    /// Another process has taken the folder.
    pub(super) lost: Notify,
    pub(super) progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    /// `None` before the first and after a failed write.
    pub(super) store: Option<Store>,
    /// Kept while the file is closed after a failed write.
    folder: Option<Arc<Folder>>,
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
            lost: Notify::new(),
            progress: watch::Sender::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Slot> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.dir.join(FILE_NAME)
    }

    /// Blocks. `from_stopped`: takes the folder from a process that is stopped.
    pub(super) fn open(
        &self,
        longest_age: Duration,
        from_stopped: Option<FileId>,
    ) -> Result<Loaded, NotOpened> {
        let mut slot = self.store();
        {
            let mut state = self.state();
            if state.phase == Phase::Off {
                return Err(NotOpened::Closed);
            }
            state.busy_since = Some(Instant::now());
        }
        let opened = self.open_store(longest_age, from_stopped);
        let mut state = self.state();
        state.busy_since = None;
        state.is_stalled = false;
        let opened = match opened {
            Ok(opened) => opened,
            Err(StateError::InUse { .. }) => return Err(NotOpened::Busy),
            Err(error) => {
                let text = error.to_string();
                if state.error.as_ref() != Some(&text) {
                    event!(ERROR, %error, "no state is kept: it is tried again");
                }
                state.error = Some(text);
                self.tried(state.awaited, false);
                return Err(NotOpened::Failed);
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
        slot.folder = Some(Arc::clone(opened.store.folder()));
        slot.store = Some(opened.store);
        state.longest_age = longest_age;
        state.error = None;
        // Unless it was closed meanwhile. Then the lock on the store is waited for, to close it.
        if state.phase != Phase::Off {
            state.phase = Phase::Open;
        }
        Ok(opened.loaded)
    }

    fn open_store(
        &self,
        longest_age: Duration,
        from_stopped: Option<FileId>,
    ) -> Result<Opened, StateError> {
        let now = self.clock.wall();
        match from_stopped {
            None => Store::open(&self.dir, now, longest_age),
            Some(stopped) => Store::open_from_stopped(&self.dir, stopped, now, longest_age),
        }
    }

    pub(super) fn current_lock(&self) -> Option<FileId> {
        Folder::current_lock(&self.dir)
    }

    /// Blocks. Looks whether this process still has the folder, unless a write does so anyway.
    pub(super) fn look_at_lock(&self) {
        let Ok(mut slot) = self.store.try_lock() else {
            return;
        };
        if self.check_lock(&slot).is_err() {
            *slot = Slot::default();
            self.state().lose();
            self.lost.notify_one();
        }
    }

    /// What is pending goes to another process from now on, or to none.
    pub(super) fn join(&self, holder: Option<Arc<dyn Holder>>) {
        let mut state = self.state();
        if state.phase == Phase::Off || state.phase == Phase::Open {
            return;
        }
        state.phase = match holder {
            Some(_) => Phase::Joined,
            None => Phase::Waiting,
        };
        if holder.is_some() {
            state.error = None;
        }
        state.holder = holder;
        self.wake.notify_one();
    }

    pub(super) fn note(&self, add: impl FnOnce(&mut Pending)) {
        let mut state = self.state();
        if state.phase != Phase::Off && state.note(add) {
            self.wake.notify_one();
        }
    }

    /// Notes what somebody wants to wait for. Its number, when that is worth it.
    /// `is_patient`: however long the disk takes.
    pub(super) fn note_awaited(
        &self,
        is_patient: bool,
        add: impl FnOnce(&mut Pending),
    ) -> Option<u64> {
        let mut state = self.state();
        if state.phase == Phase::Off {
            return None;
        }
        if state.note(add) {
            self.wake.notify_one();
        }
        state.awaited += 1;
        let is_hopeless = state.phase == Phase::Waiting && state.error.is_some();
        let is_worth_it = !is_hopeless && (is_patient || !state.is_stalled) && !state.backs_off();
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

    /// Begins a write, if there is something to write and none is under way.
    pub(super) fn kick(self: &Arc<Self>) {
        {
            let mut state = self.state();
            if !state.may_write() || state.is_writing {
                return;
            }
            state.is_writing = true;
        }
        let inner = Arc::clone(self);
        let runtime = Handle::current();
        drop(spawn_blocking(move || inner.write_pending(&runtime)));
    }

    /// Blocks. Goes on for as long as somebody waits for the next write.
    fn write_pending(&self, runtime: &Handle) {
        let mut slot = self.store();
        loop {
            let (mut batch, awaited, holder) = {
                let mut state = self.state();
                if !state.may_write() {
                    // It was closed meanwhile.
                    state.is_writing = false;
                    return;
                }
                state.busy_since = Some(Instant::now());
                let holder = (state.phase == Phase::Joined).then(|| state.holder.clone());
                (state.take(), state.awaited, holder.flatten())
            };
            let result = match holder {
                Some(holder) => self.hand_over(&*holder, &batch, runtime),
                None => self.write(&mut slot, &mut batch),
            };
            self.settle(&mut slot, result, batch, awaited);
            let mut state = self.state();
            if !state.may_write() || !state.pending.is_urgent() {
                state.is_writing = false;
                if state.has_work() {
                    self.wake.notify_one();
                }
                return;
            }
        }
    }

    fn write(&self, slot: &mut Slot, batch: &mut Batch) -> Result<(), StateError> {
        self.check_lock(slot)?;
        let store = match slot.store.take() {
            Some(store) => match store.whereabouts() {
                Whereabouts::InPlace => store,
                Whereabouts::Gone => self.begin_anew(slot, store, batch)?,
                Whereabouts::Replaced => {
                    slot.store = Some(store);
                    return Err(StateError::Replaced { path: self.file() });
                }
            },
            None => self.reopen(slot)?,
        };
        let result = store.write(batch);
        if result.is_ok() {
            slot.store = Some(store);
            // What is written while another process takes the folder is not in its copy: it must
            // not count as written.
            return self.check_lock(slot);
        }
        // redb refuses this file until it is opened again, and says so a second time here.
        let _ = store.close();
        result
    }

    fn hand_over(
        &self,
        holder: &dyn Holder,
        rows: &Batch,
        runtime: &Handle,
    ) -> Result<(), StateError> {
        match runtime.block_on(holder.keep(rows)) {
            true => Ok(()),
            false => Err(StateError::HolderAway { path: self.file() }),
        }
    }

    /// Whether this process still has the folder.
    fn check_lock(&self, slot: &Slot) -> Result<(), StateError> {
        let whereabouts = slot.folder.as_ref().map(|folder| folder.lock_whereabouts());
        match whereabouts {
            Some(Whereabouts::Replaced) => Err(StateError::Taken { path: self.file() }),
            _ => Ok(()),
        }
    }

    /// The file was removed while it was open: what is in it goes into a new one with what is to be
    /// written.
    fn begin_anew(
        &self,
        slot: &mut Slot,
        store: Store,
        batch: &mut Batch,
    ) -> Result<Store, StateError> {
        self.state().removals += 1;
        match store.read() {
            Ok(known) => batch.add_older(known),
            Err(error) => {
                event!(ERROR, %error, "what the state file held is lost with it")
            }
        }
        // Its lock may be in the way of the new one.
        let _ = store.close();
        self.reopen(slot)
    }

    fn reopen(&self, slot: &mut Slot) -> Result<Store, StateError> {
        let is_held = |folder: &Arc<Folder>| folder.lock_whereabouts() == Whereabouts::InPlace;
        let folder = match slot.folder.take().filter(is_held) {
            Some(folder) => folder,
            None => Arc::new(Folder::take(&self.dir)?),
        };
        let folder = slot.folder.insert(folder);
        let opened = Store::open_in(folder, self.clock.wall(), Duration::ZERO)?;
        log_set_aside(opened.set_aside);
        Ok(opened.store)
    }

    /// What follows from a write that has ended, one way or the other.
    fn settle(&self, slot: &mut Slot, result: Result<(), StateError>, batch: Batch, awaited: u64) {
        let is_written = result.is_ok();
        let complaint = self.state().settle(result, batch);
        if let Some(StateError::Taken { .. } | StateError::InUse { .. }) = &complaint {
            *slot = Slot::default();
            self.lost.notify_one();
        }
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
            event!(ERROR, path = %path.display(), "the disk does not answer: it is not waited for any more");
        }
    }

    /// Blocks.
    pub(super) fn close(&self, before: Phase, runtime: Option<&Handle>) {
        let mut slot = self.store();
        let (batch, awaited, holder) = {
            let mut state = self.state();
            let is_gone = |store: &Store| store.whereabouts() == Whereabouts::Gone;
            let is_due = !state.pending.is_empty() || slot.store.as_ref().is_some_and(is_gone);
            let batch = state.take();
            let is_open = before == Phase::Open || slot.store.is_some();
            (
                (is_due && (is_open || before == Phase::Joined)).then_some(batch),
                state.awaited,
                state.holder.take(),
            )
        };
        if let Some(mut batch) = batch {
            let result = match (before, holder, runtime) {
                (Phase::Joined, Some(holder), Some(runtime)) => {
                    self.hand_over(&*holder, &batch, runtime)
                }
                (Phase::Joined, ..) => Ok(()),
                _ => self.write(&mut slot, &mut batch),
            };
            self.tried(awaited, result.is_ok());
            if let Err(error) = result {
                event!(ERROR, %error, "the state of the last second is lost");
            }
        }
        if let Some(store) = slot.store.take()
            && let Err(error) = store.close()
        {
            event!(WARN, %error, "the state file was not closed cleanly");
        }
        slot.folder = None;
    }
}

fn log_set_aside(set_aside: Option<SetAside>) {
    if let Some(SetAside { to, reason }) = set_aside {
        event!(ERROR, %reason, set_aside_to = %to.display(), "the state file is of no use: a new one is begun");
    }
}
