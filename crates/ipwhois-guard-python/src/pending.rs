//! Work that may have to wait, for threads and for event loops.
//!
//! A thread waits without the interpreter's lock. An event loop polls: the guard's threads write a
//! byte to a socket that the loop watches. So no thread of the guard ever needs the interpreter.

use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};

use ipwhois_guard_core::{self as core, Guarded, LoginAttempt};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::context::{Attempt, Context};
use crate::settings::sentence;
use crate::verdict::{Denial, Verdict};

type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What comes of work.
pub(crate) enum Outcome {
    Looked(Guarded),
    Checked(core::Verdict),
    Begun(LoginAttempt),
    Refused(core::Denial),
    Reported(Result<bool, core::ReportError>),
    Undelivered(usize),
    Done,
}

impl Outcome {
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self {
            Self::Looked(guarded) => Py::new(py, Context::from(guarded))?.into_any(),
            Self::Checked(verdict) => Py::new(py, Verdict::from(verdict))?.into_any(),
            Self::Begun(attempt) => Py::new(py, Attempt::from(attempt))?.into_any(),
            Self::Refused(denial) => Py::new(py, Denial::from(denial))?.into_any(),
            Self::Reported(Ok(is_new)) => is_new.into_pyobject(py)?.to_owned().into_any().unbind(),
            Self::Reported(Err(error)) => return Err(PyValueError::new_err(sentence(&error))),
            Self::Undelivered(reports) => reports.into_pyobject(py)?.into_any().unbind(),
            Self::Done => py.None(),
        })
    }
}

/// Work of the guard that has begun. It ends once.
#[pyclass(frozen, module = "ipwhois_guard._core")]
pub(crate) struct Pending(Mutex<Option<Work>>);

impl Pending {
    pub(crate) fn new(work: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::pin(work))))
    }

    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` while it goes on.
    fn poll_with(&self, waker: &Waker) -> PyResult<Option<Outcome>> {
        let mut work = self.work();
        let Some(running) = work.as_mut() else {
            return Err(PyRuntimeError::new_err("this has ended already"));
        };
        let mut context = TaskContext::from_waker(waker);
        let Poll::Ready(outcome) = running.as_mut().poll(&mut context) else {
            return Ok(None);
        };
        *work = None;
        Ok(Some(outcome))
    }
}

#[pymethods]
impl Pending {
    /// Blocks this thread until it ends, without the interpreter's lock.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let outcome = py.detach(|| {
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            loop {
                match self.poll_with(&waker) {
                    Ok(Some(outcome)) => return Ok(outcome),
                    Ok(None) => thread::park(),
                    Err(error) => return Err(error),
                }
            }
        })?;
        outcome.into_python(py)
    }

    /// Begins or goes on without blocking: `(result,)` when it has ended, `None` while it goes on.
    /// Then `signal` names `number` as soon as it is worth to poll again.
    fn poll(&self, py: Python<'_>, signal: &Signal, number: u64) -> PyResult<Option<(Py<PyAny>,)>> {
        let waker = Waker::from(Arc::new(Ring {
            lines: Arc::clone(&signal.lines),
            number,
        }));
        let outcome = py.detach(|| self.poll_with(&waker))?;
        let result = outcome.map(|outcome| outcome.into_python(py)).transpose()?;
        Ok(result.map(|result| (result,)))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Tells an event loop which work can go on. The loop watches `fileno()` for reading.
#[pyclass(frozen, module = "ipwhois_guard._core")]
pub(crate) struct Signal {
    lines: Arc<Lines>,
    reader: UnixStream,
}

struct Lines {
    ready: Mutex<Vec<u64>>,
    writer: UnixStream,
}

impl Lines {
    fn ready(&self) -> MutexGuard<'_, Vec<u64>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Signal {
    #[new]
    fn new() -> PyResult<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        let ready = Mutex::default();
        Ok(Self {
            lines: Arc::new(Lines { ready, writer }),
            reader,
        })
    }

    fn fileno(&self) -> i32 {
        self.reader.as_raw_fd()
    }

    /// The numbers of what can go on.
    fn take(&self) -> Vec<u64> {
        // Before the numbers: of a byte that comes later the loop hears again.
        let mut bytes = [0; 256];
        while matches!((&self.reader).read(&mut bytes), Ok(256)) {}
        std::mem::take(&mut *self.lines.ready())
    }
}

struct Ring {
    lines: Arc<Lines>,
    number: u64,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        let is_first = {
            let mut ready = self.lines.ready();
            ready.push(self.number);
            ready.len() == 1
        };
        if is_first {
            // A full socket has woken the loop already, and a closed one has none.
            let _ = (&self.lines.writer).write(&[1]);
        }
    }
}
