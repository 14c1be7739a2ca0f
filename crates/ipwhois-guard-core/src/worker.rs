//! The guard's own thread and runtime, for everything that is not an answer from memory.
//!
//! A request may come from any runtime. actix has one per worker, and a pooled connection dies with the runtime that
//! opened it; an application that blocks its executor must not stall a call that others wait for. So calls, timers and
//! connections live here.

use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::error::BuildError;

/// Dropping it ends the thread, with every task, timer and connection on it.
#[derive(Debug)]
pub(crate) struct Worker {
    runtime: Handle,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(crate) fn start() -> Result<Self, BuildError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| BuildError::start("runtime", error))?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name("ipwhois-guard".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
                // A name lookup that hangs in the operating system must not hold up the application's end.
                runtime.shutdown_background();
            })
            .map_err(|error| BuildError::start("thread", error))?;
        Ok(Self {
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // Nothing on that thread blocks, so this returns at once.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_dropped_worker_leaves_no_thread_and_no_task_behind() {
        let worker = Worker::start().unwrap();
        let held = Arc::new(());
        let task = Arc::clone(&held);
        worker.runtime().spawn(async move {
            std::future::pending::<()>().await;
            drop(task);
        });
        let thread = worker.thread.as_ref().map(|thread| thread.thread().clone());
        drop(worker);
        assert_eq!(Arc::strong_count(&held), 1, "the task is gone");
        assert!(thread.is_some_and(|thread| thread.name() == Some("ipwhois-guard")));
    }

    #[test]
    fn a_worker_may_be_dropped_by_its_own_task() {
        let worker = Worker::start().unwrap();
        let runtime = worker.runtime().clone();
        let (done, told) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            drop(worker);
            let _ = done.send(());
        });
        assert!(told.recv().is_ok());
    }
}
