//! A guard in a forked child.
//!
//! A child has its parent's memory, and of the threads only the one that called `fork()`. The
//! guard's own threads are missing, and a lock that another thread held then stays locked. So the
//! child builds a guard of its own from the same settings, as soon as a request needs more than a
//! verdict from memory.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::Guard;
use crate::clock::Clock;
use crate::logins::Wording;
use crate::service::CheckService;
use crate::settings::Settings;
use crate::store::SharedStore;

/// What a guard is built from.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) service: Option<Arc<dyn CheckService>>,
    pub(crate) wording: Wording,
    pub(crate) shared: Option<Arc<dyn SharedStore>>,
    pub(crate) name: Option<String>,
    /// The process whose guard this one takes the place of.
    pub(crate) forked_from: Option<u32>,
}

/// The process that a guard was built in, and the guard that takes its place in a child.
pub(super) struct Home {
    process: u32,
    plan: Plan,
    /// Whether this is the memory of a child. A request asks for it without a system call.
    is_child: AtomicBool,
    heir: ArcSwapOption<Heir>,
}

/// The guard of a child. `None` until it is built, or could not be.
struct Heir {
    process: u32,
    guard: Mutex<Option<Option<Guard>>>,
    built: Condvar,
}

impl Home {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            process: process::id(),
            plan,
            is_child: AtomicBool::new(false),
            heir: ArcSwapOption::empty(),
        }
    }

    #[inline]
    pub(super) fn is_known_child(&self) -> bool {
        self.is_child.load(Ordering::Relaxed)
    }

    /// Asks the operating system.
    pub(super) fn is_child(&self) -> bool {
        let is_child = self.process != process::id();
        if is_child {
            self.is_child.store(true, Ordering::Relaxed);
        }
        is_child
    }

    /// The guard of this child, if it is built within `max_wait`.
    fn heir(&self) -> Option<Guard> {
        let process = process::id();
        let new = Arc::new(Heir {
            process,
            guard: Mutex::default(),
            built: Condvar::new(),
        });
        let is_here = |heir: &&Arc<Heir>| heir.process == process;
        // Nothing here takes a lock: the child may have children.
        self.heir
            .rcu(|heir| Some(Arc::clone(heir.as_ref().filter(is_here).unwrap_or(&new))));
        let heir = self.heir.load_full()?;
        if Arc::ptr_eq(&heir, &new) {
            new.build(Plan {
                shared: self
                    .plan
                    .shared
                    .as_ref()
                    .and_then(|cluster| cluster.in_child()),
                forked_from: Some(self.process),
                ..self.plan.clone()
            });
        }
        heir.wait(self.plan.settings.max_wait)
    }
}

impl Heir {
    /// On a thread of its own: it reads certificates and files, and a request waits.
    fn build(self: Arc<Self>, plan: Plan) {
        let heir = Arc::clone(&self);
        let build = move || {
            let guard = Guard::start(plan);
            if let Err(error) = &guard {
                let error = error.to_string();
                event!(
                    ERROR,
                    error,
                    "no guard in this child process: unknown clients are unverified"
                );
            }
            heir.built(guard.ok());
        };
        let builder = thread::Builder::new().name("ipwhois-guard-fork".to_owned());
        if builder.spawn(build).is_err() {
            self.built(None);
        }
    }

    fn built(&self, guard: Option<Guard>) {
        *self.guard.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
        self.built.notify_all();
    }

    fn wait(&self, limit: Duration) -> Option<Guard> {
        let guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        let (guard, _) = self
            .built
            .wait_timeout_while(guard, limit, |guard| guard.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        guard.as_ref().cloned().flatten()
    }
}

impl Guard {
    /// The guard of this process: itself, or in a child the one that takes its place.
    pub(super) fn here(&self) -> Self {
        self.heir().unwrap_or_else(|| self.clone())
    }

    /// The guard that takes its place in this child, if there is one in time.
    pub(super) fn heir(&self) -> Option<Self> {
        let home = &self.0.home;
        home.is_child().then(|| home.heir()).flatten()
    }
}
