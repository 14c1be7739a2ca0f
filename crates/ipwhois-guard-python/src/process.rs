//! The guard of this process.
//!
//! A server that forks its workers (gunicorn's `--preload`, Celery, `multiprocessing`) makes the
//! Python object before the fork. The guard itself has threads and sockets, which no child
//! inherits. So it is built when it is first used, in the process that uses it. If that process
//! forks afterwards, core builds another guard in the child.

use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ipwhois_guard_core::{BuildError, Guard, Settings};

/// Where a guard is, or will be.
pub(crate) struct Home {
    settings: Settings,
    slot: ArcSwap<Slot>,
}

/// The guard of one process. A lock that another thread held during a fork stays behind in it.
struct Slot {
    process: u32,
    guard: ArcSwap<Option<Guard>>,
    building: Mutex<()>,
}

impl Home {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            slot: ArcSwap::new(Slot::here()),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The guard, if it is built already: in this process, or in its parent.
    pub(crate) fn built(&self) -> Option<Guard> {
        Option::clone(&self.slot.load().guard.load())
    }

    /// Whether the guard was built in this process.
    pub(crate) fn is_here(&self) -> bool {
        self.slot.load().process == process::id() && self.built().is_some()
    }

    /// The guard, which is built now if need be. That may read files: not to be called with the
    /// interpreter's lock.
    pub(crate) fn guard(&self) -> Result<Guard, BuildError> {
        if let Some(guard) = self.built() {
            return Ok(guard);
        }
        let slot = self.slot();
        let _building = slot.building.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(guard) = Option::clone(&slot.guard.load()) {
            return Ok(guard);
        }
        let guard = ipwhois_guard_redis::guard_from_settings(self.settings.clone())?;
        slot.guard.store(Arc::new(Some(guard.clone())));
        Ok(guard)
    }

    fn slot(&self) -> Arc<Slot> {
        let new = Slot::here();
        let is_here = |slot: &Arc<Slot>| slot.process == new.process;
        self.slot
            .rcu(|slot| Arc::clone(if is_here(slot) { slot } else { &new }));
        self.slot.load_full()
    }
}

impl Slot {
    fn here() -> Arc<Self> {
        Arc::new(Self {
            process: process::id(),
            guard: ArcSwap::default(),
            building: Mutex::default(),
        })
    }
}
