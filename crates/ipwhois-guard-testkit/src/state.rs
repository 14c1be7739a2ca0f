//! What the stand-in knows and has seen, shared by its handles and its connections.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::answer;
use crate::behaviour::{Behaviour, Behaviours};
use crate::blacklist::{Access, Admission, Blacklist, Feed};
use crate::call::Call;
use crate::record::Log;
use crate::reply::Reply;

/// The part behind the lock.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) blacklist: Blacklist,
    pub(crate) feed: Feed,
    pub(crate) access: Access,
    pub(crate) behaviours: Behaviours,
    pub(crate) log: Log,
    /// How often held requests were released.
    pub(crate) releases: u64,
}

/// The state, and two ways to wait for it to change: a condition variable for threads, a watch
/// channel for tasks of any runtime.
#[derive(Debug)]
pub(crate) struct State {
    known: Mutex<Known>,
    changed: Condvar,
    changes: watch::Sender<()>,
}

/// How a request that has just been read is to be treated.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) behaviour: Behaviour,
    /// [`Known::releases`] at that moment.
    pub(crate) releases: u64,
    pub(crate) admission: Admission,
    /// For a check: counts as being answered until this is dropped.
    _running: Option<Running>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            known: Mutex::new(Known {
                blacklist: Blacklist::default(),
                feed: Feed::empty(SystemTime::now()),
                access: Access::default(),
                behaviours: Behaviours::default(),
                log: Log::default(),
                releases: 0,
            }),
            changed: Condvar::new(),
            changes: watch::Sender::new(()),
        }
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the state and wakes everyone who waits for it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        self.changes.send_replace(());
        result
    }

    /// Resolves when `reached` holds.
    pub(crate) async fn until(&self, reached: impl Fn(&Known) -> bool) {
        // Subscribed before the first look, so that no change falls between the two.
        let mut changes = self.changes.subscribe();
        while !self.read(&reached) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Blocks until `reached` holds; false when it does not within the time.
    pub(crate) fn wait(&self, reached: impl Fn(&Known) -> bool, within: Duration) -> bool {
        let (known, _) = self
            .changed
            .wait_timeout_while(self.lock(), within, |known| !reached(known))
            .unwrap_or_else(PoisonError::into_inner);
        reached(&known)
    }

    /// Records a request and settles how it is treated, in one step: whoever sees the record knows
    /// that later changes do not concern this request any more.
    pub(crate) fn arrive(self: &Arc<Self>, call: &Call) -> Arrival {
        self.change(|known| {
            let mut arrival = Arrival {
                behaviour: known.behaviours.choose(call.endpoint(), call.checked()),
                releases: known.releases,
                admission: Admission::Admitted,
                _running: None,
            };
            match call {
                Call::Check(check) => {
                    let is_address = check.address().is_some();
                    arrival.admission = known.access.admit(check.key.as_deref(), is_address);
                    arrival._running = Some(Running(Arc::clone(self)));
                    known.log.check_begins(check.clone());
                }
                Call::Report(report) => known.log.reports.push(report.clone()),
                Call::Feed { .. } => known.log.feed_requests += 1,
            }
            arrival
        })
    }

    /// What the service says now.
    pub(crate) fn answer(&self, call: &Call, admission: Admission) -> Reply {
        match call {
            Call::Check(check) => {
                self.read(|known| answer::check(check, admission, &known.blacklist))
            }
            Call::Report(report) => answer::report(report),
            Call::Feed {
                if_none_match,
                if_modified_since,
            } => self.change(|known| {
                let reply = answer::feed(
                    &known.feed,
                    if_none_match.as_deref(),
                    if_modified_since.as_deref(),
                );
                known.log.feed_not_modified += usize::from(reply.status == 304);
                reply
            }),
        }
    }

    /// Nothing that runs under the lock leaves the state half changed, so a panic of another holder
    /// is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A check that is being answered.
#[derive(Debug)]
struct Running(Arc<State>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.change(|known| known.log.check_ends());
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct Open(Arc<State>);

impl Open {
    pub(crate) fn new(state: &Arc<State>) -> Self {
        state.change(|known| known.log.open_connections += 1);
        Self(Arc::clone(state))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.change(|known| {
            known.log.open_connections = known.log.open_connections.saturating_sub(1);
        });
    }
}
