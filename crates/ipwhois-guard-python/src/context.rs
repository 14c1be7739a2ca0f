//! What was decided about a request, and what a handler may do with its client.

use std::sync::{Mutex, PoisonError};

use ipwhois_guard_core::{AllowedClient, Guarded, LoginAttempt};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::pending::{Outcome, Pending};
use crate::verdict::{Denial, Verdict};

/// A request that the guard has looked at.
#[pyclass(frozen, module = "ipwhois_guard._core")]
pub(crate) struct Context(pub(crate) Guarded);

impl From<Guarded> for Context {
    fn from(guarded: Guarded) -> Self {
        Self(guarded)
    }
}

#[pymethods]
impl Context {
    /// Of the client that was looked at.
    #[getter]
    fn client_ip(&self) -> Option<String> {
        let verdict = self.0.decision().verdict();
        verdict.client_ip().map(|ip| ip.to_string())
    }

    #[getter]
    fn verdict(&self) -> Verdict {
        (*self.0.decision().verdict()).into()
    }

    /// The answer to a refused client.
    #[getter]
    fn denial(&self) -> Option<Denial> {
        self.0.decision().denial().copied().map(Denial::from)
    }

    /// Whether no rule covers the request.
    #[getter]
    fn is_out_of_scope(&self) -> bool {
        self.0.decision().is_out_of_scope()
    }

    /// What is kept to tell the answer by, or `None` when it would say nothing.
    #[pyo3(signature = (earlier=None))]
    fn to_tell(&self, earlier: Option<&Self>) -> Option<Self> {
        self.0.to_tell(earlier.map(|earlier| &earlier.0)).map(Self)
    }

    /// What the application answered, on what `to_tell` gave.
    fn answered(&self, py: Python<'_>, status: u16) {
        py.detach(|| self.0.answered(status));
    }

    /// The client, or the answer to a refused one.
    fn admit(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self.0.admit() {
            Ok(client) => Py::new(py, Client(client))?.into_any(),
            Err(denial) => Py::new(py, Denial::from(denial))?.into_any(),
        })
    }
}

/// An allowed client.
#[pyclass(frozen, module = "ipwhois_guard._core")]
pub(crate) struct Client(AllowedClient);

#[pymethods]
impl Client {
    /// Begins a login at an account. Ends with an `Attempt`, or with the `Denial`.
    #[pyo3(signature = (account=None))]
    fn login_attempt(&self, account: Option<String>) -> Pending {
        let client = self.0.clone();
        Pending::new(async move {
            begun(match account {
                Some(account) => client.login_attempt_for(&account).await,
                None => client.login_attempt().await,
            })
        })
    }
}

pub(crate) fn begun(begun: Result<LoginAttempt, ipwhois_guard_core::Denial>) -> Outcome {
    begun.map_or_else(Outcome::Refused, Outcome::Begun)
}

pub(crate) fn answered(answer: Result<(), ipwhois_guard_core::Denial>) -> Outcome {
    answer.map_or_else(Outcome::Refused, |()| Outcome::Done)
}

/// A login under way. It ends once.
#[pyclass(frozen, module = "ipwhois_guard._core")]
pub(crate) struct Attempt(Mutex<Option<LoginAttempt>>);

impl From<LoginAttempt> for Attempt {
    fn from(attempt: LoginAttempt) -> Self {
        Self(Mutex::new(Some(attempt)))
    }
}

impl Attempt {
    fn take(&self) -> PyResult<LoginAttempt> {
        let attempt = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        attempt.ok_or_else(|| PyRuntimeError::new_err("this login has ended already"))
    }
}

#[pymethods]
impl Attempt {
    fn succeeded(&self) -> PyResult<Pending> {
        let attempt = self.take()?;
        Ok(Pending::new(async move {
            attempt.succeeded().await;
            Outcome::Done
        }))
    }

    /// Ends with `None`, or with the `Denial`.
    fn failed(&self) -> PyResult<Pending> {
        let attempt = self.take()?;
        Ok(Pending::new(
            async move { answered(attempt.failed().await) },
        ))
    }
}
