//! The guard's own thread and runtime, for everything that is not an answer from memory.
//!
//! A request may come from any runtime. actix has one per worker, and a pooled connection dies with the runtime that
//! opened it; an application that blocks its executor must not stall a call that others wait for. So calls, timers and
//! connections live here.
//!
//! Slow work, such as disk and name lookups, goes to the runtime's threads for blocking work, so that this one is always
//! there for calls.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::error::BuildError;

/// How long the last words of a guard may take when it is dropped: whatever hangs must not hold up the application.
const LAST_WORDS: Duration = Duration::from_secs(6);

/// Dropping it ends the thread, with every task, timer and connection on it.
#[derive(Debug)]
pub(crate) struct Worker {
    runtime: Handle,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<()>>,
    ended: Mutex<Receiver<()>>,
    thread: Thread,
}

impl Worker {
    /// `last_words` is called on the thread when it ends, before tasks and connections are dropped. It may block.
    pub(crate) fn start(last_words: impl FnOnce() + Send + 'static) -> Result<Self, BuildError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| BuildError::start("runtime", error))?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::Builder::new()
            .name("ipwhois-guard".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
                last_words();
                // A name lookup that hangs in the operating system must not hold up the application's end.
                runtime.shutdown_background();
                drop(end);
            })
            .map_err(|error| BuildError::start("thread", error))?;
        Ok(Self {
            runtime: handle,
            stop: Some(stop),
            ended: Mutex::new(ended),
            thread: thread.thread().clone(),
        })
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.id() != thread::current().id() {
            let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
            let _ = ended.recv_timeout(LAST_WORDS);
        }
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
}
