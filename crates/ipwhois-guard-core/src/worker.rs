//! The guard's own thread and runtime, for everything that is not an answer from memory.
//!
//! A request may come from any runtime. actix has one per worker, and a pooled connection dies with
//! the runtime that opened it; an application that blocks its executor must not stall a call that
//! others wait for. So calls, timers and connections live here.
//!
//! Slow work, such as disk and name lookups, goes to the runtime's threads for blocking work, so
//! that this one is always there for calls. A task may keep it busy all the same. So a request
//! waits by the clock of [`Alarm`], and the end of the guard does not wait for tasks.

use std::process;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::alarm::{Alarm, AlarmThread};
use crate::error::BuildError;
use crate::events;

/// How long the end of the guard waits for its thread, once its last words are said. Only
/// connections and tasks that nothing depends on are left by then.
const LAST_TURN: Duration = Duration::from_millis(200);

/// How long the end of the guard waits for the log.
const LAST_EVENTS: Duration = Duration::from_millis(500);

type LastWords = Box<dyn FnOnce() + Send + Sync>;

/// Dropping it ends the thread, with every task, timer and connection on it.
pub(crate) struct Worker {
    runtime: Handle,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<()>>,
    ended: Mutex<Receiver<()>>,
    thread: Thread,
    last_words: Option<LastWords>,
    alarm: AlarmThread,
    process: u32,
}

impl Worker {
    /// `last_words` is called when the worker is dropped, before tasks and connections are. It may
    /// block.
    pub(crate) fn start(
        last_words: impl FnOnce() + Send + Sync + 'static,
    ) -> Result<Self, BuildError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            // Timers and sockets get their turn after each task: one that always has work delays
            // them by one poll.
            .event_interval(1)
            .build()
            .map_err(|error| BuildError::start("runtime", error))?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::Builder::new()
            .name("ipwhois-guard".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
                // A name lookup that hangs in the operating system must not hold up the
                // application's end.
                runtime.shutdown_background();
                drop(end);
            })
            .map_err(|error| BuildError::start("thread", error))?;
        Ok(Self {
            runtime: handle,
            stop: Some(stop),
            ended: Mutex::new(ended),
            thread: thread.thread().clone(),
            last_words: Some(Box::new(last_words)),
            alarm: AlarmThread::start()?,
            process: process::id(),
        })
    }

    /// What else is said before the last words.
    pub(crate) fn say_before(&mut self, words: impl FnOnce() + Send + Sync + 'static) {
        let last_words = self.last_words.take();
        self.last_words = Some(Box::new(move || {
            words();
            if let Some(last_words) = last_words {
                last_words();
            }
        }));
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn alarm(&self) -> &Alarm {
        self.alarm.alarm()
    }

    /// What comes of `work` on the guard's thread, if it ends within this time and the guard does
    /// not end before. It goes on when it does not.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let task = self.runtime.spawn(work);
        self.alarm().within(limit, task).await?.ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let stop = self.stop.take();
        if self.process != process::id() {
            // A forked child has no such thread. What would wake it writes to a descriptor of the
            // parent.
            std::mem::forget(stop);
            return;
        }
        if let Some(last_words) = self.last_words.take() {
            last_words();
        }
        drop(stop);
        if self.thread.id() != thread::current().id() {
            let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
            let _ = ended.recv_timeout(LAST_TURN);
        }
        events::flush(LAST_EVENTS);
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_dropped_worker_leaves_no_thread_and_no_task_behind() {
        let worker = Worker::start(|| {}).unwrap();
        let held = Arc::new(());
        let task = Arc::clone(&held);
        worker.runtime().spawn(async move {
            std::future::pending::<()>().await;
            drop(task);
        });
        assert_eq!(worker.thread.name(), Some("ipwhois-guard"));
        drop(worker);
        assert_eq!(Arc::strong_count(&held), 1, "the task is gone");
    }

    #[test]
    fn a_worker_may_be_dropped_by_its_own_task() {
        let worker = Worker::start(|| {}).unwrap();
        let runtime = worker.runtime().clone();
        let (done, told) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            drop(worker);
            let _ = done.send(());
        });
        assert!(told.recv().is_ok());
    }

    #[test]
    fn a_worker_has_its_last_words_before_the_drop_returns() {
        let (said, heard) = mpsc::channel();
        let worker = Worker::start(move || {
            let _ = said.send("bye");
        });
        drop(worker.unwrap());
        assert_eq!(heard.try_recv(), Ok("bye"));
    }

    /// A task that never yields, until it is told to end.
    fn storm(worker: &Worker) -> mpsc::Sender<()> {
        let (end, ended) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        worker.runtime().spawn(async move {
            let _ = begin.send(());
            let _ = ended.recv();
        });
        begun.recv().unwrap();
        end
    }

    #[test]
    fn a_wait_for_a_busy_thread_ends_while_it_is_busy() {
        let worker = Worker::start(|| {}).unwrap();
        let storm = storm(&worker);
        let runtime = Builder::new_current_thread().build().unwrap();
        let limit = Duration::from_millis(10);
        assert_eq!(runtime.block_on(worker.run(limit, async { 1 })), None);
        drop(storm);
        let limit = Duration::from_secs(60);
        assert_eq!(runtime.block_on(worker.run(limit, async { 1 })), Some(1));
    }

    #[test]
    fn a_busy_thread_holds_up_neither_the_last_words_nor_the_drop() {
        let (said, heard) = mpsc::channel();
        let worker = Worker::start(move || {
            let _ = said.send("bye");
        });
        let worker = worker.unwrap();
        let storm = storm(&worker);
        drop(worker);
        assert_eq!(heard.try_recv(), Ok("bye"));
        assert!(storm.send(()).is_ok(), "the thread is busy still");
    }
}
