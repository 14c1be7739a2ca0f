//! The deadlines of requests, on a thread that does nothing else.
//!
//! The guard's runtime may be busy for seconds: a service that floods it, an application's own
//! service or clock that blocks. Its timers are late then. So what a request waits for has its
//! deadline here. This thread makes no call, writes no log, reads no file, and takes no lock that
//! such work holds.

use std::cmp::{Ordering as Order, Reverse};
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, process};

use tokio::sync::oneshot;

use crate::error::BuildError;

/// What is told that its time has come. It must not block.
pub(crate) trait Overdue: Send + Sync {
    fn overdue(&self);
    /// The guard ends.
    fn abandoned(&self);
}

/// All deadlines of a guard. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Alarm(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The next one first. An entry that was dropped needs no alarm.
    deadlines: Mutex<BinaryHeap<Reverse<Deadline>>>,
    thread: OnceLock<thread::Thread>,
    has_ended: AtomicBool,
}

struct Deadline(Instant, Weak<dyn Overdue>);

impl Alarm {
    /// Tells `who` after this time, unless it is dropped before.
    pub(crate) fn after(&self, wait: Duration, who: Weak<dyn Overdue>) {
        // A wait that no clock can measure never ends.
        let Some(at) = Instant::now().checked_add(wait) else {
            return;
        };
        let is_next = {
            let mut deadlines = self.0.deadlines();
            while let Some(Reverse(Deadline(_, next))) = deadlines.peek()
                && next.strong_count() == 0
            {
                deadlines.pop();
            }
            let is_next = deadlines.peek().is_none_or(|Reverse(next)| at < next.0);
            deadlines.push(Reverse(Deadline(at, who)));
            is_next
        };
        if is_next && let Some(thread) = self.0.thread.get() {
            thread.unpark();
        }
    }

    /// What comes of `work`, if it ends within this time.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let (bell, rung) = oneshot::channel();
        let bell = Arc::new(Bell(Mutex::new(Some(bell))));
        let who: Weak<Bell> = Arc::downgrade(&bell);
        self.after(limit, who);
        tokio::select! {
            biased;
            done = work => Some(done),
            _ = rung => None,
        }
    }

    /// Tells everything that is due by `now`. Answers when the next one is.
    pub(crate) fn ring(&self, now: Instant) -> Option<Instant> {
        loop {
            let Deadline(_, who) = {
                let mut deadlines = self.0.deadlines();
                let Reverse(next) = deadlines.peek()?;
                if next.0 > now {
                    return Some(next.0);
                }
                deadlines.pop()?.0
            };
            if let Some(who) = who.upgrade() {
                who.overdue();
            }
        }
    }

    fn run(&self) {
        while !self.0.has_ended.load(Ordering::SeqCst) {
            match self.ring(Instant::now()) {
                Some(next) => {
                    thread::park_timeout(next.saturating_duration_since(Instant::now()));
                }
                None => thread::park(),
            }
        }
        let left = std::mem::take(&mut *self.0.deadlines());
        for who in left
            .into_iter()
            .filter_map(|Reverse(left)| left.1.upgrade())
        {
            who.abandoned();
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}

impl Shared {
    fn deadlines(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Deadline>>> {
        // Every change is complete before anything could panic.
        self.deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rings by being dropped.
struct Bell(Mutex<Option<oneshot::Sender<()>>>);

impl Overdue for Bell {
    fn overdue(&self) {
        let bell = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(bell);
    }

    fn abandoned(&self) {
        self.overdue();
    }
}

/// The thread of an alarm. Dropping it ends the thread, and whatever still waits is told.
pub(crate) struct AlarmThread {
    alarm: Alarm,
    thread: Option<JoinHandle<()>>,
    process: u32,
}

impl AlarmThread {
    pub(crate) fn start() -> Result<Self, BuildError> {
        let alarm = Alarm::default();
        let running = alarm.clone();
        let thread = thread::Builder::new()
            .name("ipwhois-guard-wait".to_owned())
            .spawn(move || running.run())
            .map_err(|error| BuildError::start("thread", error))?;
        let _ = alarm.0.thread.set(thread.thread().clone());
        Ok(Self {
            alarm,
            thread: Some(thread),
            process: process::id(),
        })
    }

    pub(crate) fn alarm(&self) -> &Alarm {
        &self.alarm
    }
}

impl Drop for AlarmThread {
    fn drop(&mut self) {
        self.alarm.0.has_ended.store(true, Ordering::SeqCst);
        let Some(thread) = self.thread.take() else {
            return;
        };
        thread.thread().unpark();
        // It tells what waits, which may be what drops this.
        if thread.thread().id() != thread::current().id() && self.process == process::id() {
            let _ = thread.join();
        }
    }
}

impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Deadline {}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> Order {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Waiter(Mutex<Vec<&'static str>>);

    impl Overdue for Waiter {
        fn overdue(&self) {
            self.0.lock().unwrap().push("overdue");
        }

        fn abandoned(&self) {
            self.0.lock().unwrap().push("abandoned");
        }
    }

    fn wait(alarm: &Alarm, seconds: u64) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter::default());
        let who: Weak<Waiter> = Arc::downgrade(&waiter);
        alarm.after(Duration::from_secs(seconds), who);
        waiter
    }

    fn told(waiter: &Waiter) -> Vec<&'static str> {
        waiter.0.lock().unwrap().clone()
    }

    #[test]
    fn each_is_told_once_when_its_time_has_come_in_whatever_order_they_came() {
        let alarm = Alarm::default();
        let begin = Instant::now();
        let waiters = [30, 10, 20].map(|seconds| wait(&alarm, seconds));
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(alarm.ring(at(9)).is_some_and(|next| next >= at(10)));
        assert!(alarm.ring(at(25)).is_some_and(|next| next >= at(30)));
        let count = |waiter: &Arc<Waiter>| told(waiter).len();
        assert_eq!(waiters.each_ref().map(count), [0, 1, 1]);
        assert_eq!(alarm.ring(at(60)), None);
        assert_eq!(waiters.each_ref().map(count), [1, 1, 1]);
    }

    #[test]
    fn what_was_dropped_is_forgotten() {
        let alarm = Alarm::default();
        (0..1_000).for_each(|_| drop(wait(&alarm, 60)));
        assert_eq!(alarm.0.deadlines().len(), 1);
        alarm.after(Duration::MAX, Weak::<Waiter>::new());
        assert_eq!(alarm.0.deadlines().len(), 1, "no clock measures that");
    }

    #[test]
    fn the_end_of_the_thread_tells_whatever_waits() {
        let thread = AlarmThread::start().unwrap();
        let waiter = wait(thread.alarm(), 60);
        drop(thread);
        assert_eq!(told(&waiter), ["abandoned"]);
    }
}
