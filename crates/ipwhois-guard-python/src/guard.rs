//! The guard as Python calls it.

use std::net::IpAddr;
use std::time::Duration;

use ipwhois_guard_core::{self as core, Guarded, Settings, SetupMistake, Step};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::context::{Context, begun};
use crate::head::{Head, Headers};
use crate::pending::{Outcome, Pending};
use crate::process::Home;
use crate::settings::{self, invalid, sentence};

/// The guard. Python's own class is made of it.
#[pyclass(frozen, subclass, module = "ipwhois_guard._core")]
pub(crate) struct Guard {
    home: Home,
    headers: Headers,
}

impl Guard {
    fn with(py: Python<'_>, settings: Settings) -> Self {
        Self {
            headers: Headers::new(py, &settings.client_ip_header),
            home: Home::new(settings),
        }
    }

    fn here(&self, py: Python<'_>) -> PyResult<core::Guard> {
        if let Some(guard) = self.home.built() {
            return Ok(guard);
        }
        let guard = py.detach(|| self.home.guard());
        guard.map_err(|error| PyRuntimeError::new_err(sentence(&error)))
    }
}

#[pymethods]
impl Guard {
    #[new]
    #[pyo3(signature = (*, from_env=false, **given))]
    fn new(py: Python<'_>, from_env: bool, given: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let below = if from_env {
            Settings::from_env().map_err(invalid)?
        } else {
            Settings::default()
        };
        Ok(Self::with(py, settings::read(below, given)?))
    }

    /// Builds the guard of this process now.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.here(py).map(drop)
    }

    /// Whether this process or its parent has built the guard.
    #[getter]
    fn is_started(&self) -> bool {
        self.home.built().is_some()
    }

    /// Whether this process has built it, and no parent.
    #[getter]
    fn is_here(&self) -> bool {
        self.home.is_here()
    }

    /// Whether any proxy is trusted.
    #[getter]
    fn trusts_proxies(&self) -> bool {
        let settings = self.home.settings();
        settings.trusted_hops.is_some() || !settings.trusted_proxies.is_empty()
    }

    /// Reads a WSGI environment or an ASGI scope.
    fn head(&self, request: &Bound<'_, PyDict>) -> PyResult<Head> {
        Head::read(request, &self.headers)
    }

    /// A decision by the rules: a `Context`, or a `Pending` that ends with one.
    #[pyo3(signature = (head, earlier=None))]
    fn by_rules<'py>(
        &self,
        py: Python<'py>,
        head: &Head,
        earlier: Option<&Context>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let guard = self.here(py)?;
        let earlier = earlier.map(|earlier| &earlier.0);
        match py.detach(|| Guarded::by_rules(earlier, &guard, head)) {
            Step::Decided(decision) => {
                let context = Context::from(Guarded::new(guard, decision));
                Ok(Bound::new(py, context)?.into_any())
            }
            Step::Asking(asking) => {
                let looked = async move { Outcome::Looked(Guarded::new(guard, asking.await)) };
                Ok(Bound::new(py, Pending::new(looked))?.into_any())
            }
        }
    }

    /// What a handler goes by: the decision by the rules, or else by the defaults. Ends with a
    /// `Context`.
    #[pyo3(signature = (head, earlier=None))]
    fn by_handler(
        &self,
        py: Python<'_>,
        head: &Head,
        earlier: Option<&Context>,
    ) -> PyResult<Pending> {
        let guard = self.here(py)?;
        let earlier = earlier.map(|earlier| &earlier.0);
        let looking = py.detach(|| Guarded::by_extractor(earlier, || Some(guard), head));
        match looking {
            Ok(looking) => Ok(Pending::new(async { Outcome::Looked(looking.await) })),
            Err(SetupMistake::NoGuard) => Err(PyRuntimeError::new_err("no guard")),
            Err(SetupMistake::NoPeer) => {
                let hint = core::RequestHead::no_peer_hint(head);
                Err(PyRuntimeError::new_err(format!("no peer address: {hint}")))
            }
        }
    }

    /// The client's address, whatever the rules cover.
    fn client_ip(&self, py: Python<'_>, head: &Head) -> PyResult<Option<String>> {
        let client = self.here(py)?.client_ip(head);
        Ok(client.map(|ip| ip.to_string()))
    }

    /// Ends with a `Verdict`.
    fn check(&self, py: Python<'_>, ip: &str) -> PyResult<Pending> {
        let (guard, ip) = (self.here(py)?, address(ip)?);
        Ok(Pending::new(async move {
            Outcome::Checked(guard.check(ip).await)
        }))
    }

    /// Ends with whether the report is a new one. It is queued before it ends.
    fn report(
        &self,
        py: Python<'_>,
        ip: &str,
        threat_type: &str,
        message: Vec<u8>,
        source: &str,
    ) -> PyResult<Pending> {
        let (guard, ip) = (self.here(py)?, address(ip)?);
        let threat_type = threat_type.parse().map_err(invalid_argument)?;
        let report = guard.report(ip, threat_type).message(message);
        let report = report.source(source);
        Ok(Pending::new(async move {
            Outcome::Reported(report.await.map(|queued| !queued.is_duplicate()))
        }))
    }

    /// Begins a login of a client that only its address is known of.
    #[pyo3(signature = (ip, account=None))]
    fn login_attempt(
        &self,
        py: Python<'_>,
        ip: &str,
        account: Option<String>,
    ) -> PyResult<Pending> {
        let (guard, ip) = (self.here(py)?, address(ip)?);
        Ok(Pending::new(async move {
            begun(match account {
                Some(account) => guard.login_attempt_for(ip, &account).await,
                None => guard.login_attempt(ip).await,
            })
        }))
    }

    fn ban(&self, py: Python<'_>, ip: &str, length: Duration) -> PyResult<()> {
        let (guard, ip) = (self.here(py)?, address(ip)?);
        py.detach(|| guard.ban(ip, length));
        Ok(())
    }

    fn unban(&self, py: Python<'_>, ip: &str) -> PyResult<()> {
        let (guard, ip) = (self.here(py)?, address(ip)?);
        py.detach(|| guard.unban(ip));
        Ok(())
    }

    /// As JSON.
    fn health(&self, py: Python<'_>) -> PyResult<String> {
        let guard = self.here(py)?;
        let health = py.detach(|| guard.health());
        serde_json::to_string(&health).map_err(invalid)
    }

    /// Ends when what the last run kept is loaded, and the first feed is in use or cannot be had.
    fn ready(&self, py: Python<'_>) -> PyResult<Pending> {
        let guard = self.here(py)?;
        Ok(Pending::new(async move {
            guard.ready().await;
            Outcome::Done
        }))
    }

    /// Ends with the number of reports that are not delivered.
    fn shutdown(&self, within: Duration) -> Pending {
        let built = self.home.built();
        Pending::new(async move {
            Outcome::Undelivered(match built {
                Some(guard) => guard.shutdown(within).await,
                None => 0,
            })
        })
    }
}

fn address(text: &str) -> PyResult<IpAddr> {
    text.parse()
        .map_err(|_| PyValueError::new_err(format!("{text:?} is no IP address")))
}

fn invalid_argument(error: core::UnknownThreatType) -> PyErr {
    PyValueError::new_err(error.to_string())
}
