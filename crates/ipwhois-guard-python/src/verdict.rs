//! Verdicts and denials as Python reads them.

use ipwhois_guard_core as core;
use pyo3::prelude::*;

/// What is known of a client.
#[pyclass(frozen, module = "ipwhois_guard")]
#[derive(Debug)]
pub(crate) struct Verdict(core::Verdict);

impl From<core::Verdict> for Verdict {
    fn from(verdict: core::Verdict) -> Self {
        Self(verdict)
    }
}

#[pymethods]
impl Verdict {
    #[getter]
    fn client_ip(&self) -> Option<String> {
        self.0.client_ip().map(|ip| ip.to_string())
    }

    #[getter]
    const fn allowed(&self) -> bool {
        self.0.is_allowed()
    }

    #[getter]
    const fn source(&self) -> &'static str {
        self.0.source().as_str()
    }

    /// Why the client is unverified.
    #[getter]
    const fn reason(&self) -> Option<&'static str> {
        match self.0.source() {
            core::Source::Unverified(reason) => Some(reason.as_str()),
            _ => None,
        }
    }

    #[getter]
    fn listed(&self) -> Option<bool> {
        self.0.reputation().map(|reputation| reputation.listed)
    }

    #[getter]
    fn confidence(&self) -> Option<u8> {
        self.0.confidence()
    }

    #[getter]
    fn threat_type(&self) -> Option<&'static str> {
        let threat_type = self.0.reputation()?.threat_type?;
        Some(threat_type.as_str())
    }

    fn __repr__(&self) -> String {
        let client = self.client_ip().unwrap_or_else(|| "unknown".to_owned());
        let word = if self.0.is_allowed() {
            "allowed"
        } else {
            "denied"
        };
        format!("<Verdict {client}: {word}, {}>", self.0.source())
    }
}

/// The answer to a refused request.
#[pyclass(frozen, module = "ipwhois_guard")]
#[derive(Debug)]
pub(crate) struct Denial(core::Denial);

impl From<core::Denial> for Denial {
    fn from(denial: core::Denial) -> Self {
        Self(denial)
    }
}

#[pymethods]
impl Denial {
    /// Maximum bytes of a refused request's body that are read and discarded.
    #[classattr]
    const MAX_UNREAD_BYTES: u64 = core::Denial::MAX_UNREAD_BYTES;

    /// For how many seconds they are.
    #[classattr]
    const MAX_UNREAD_SECONDS: f64 = core::Denial::MAX_UNREAD_TIME.as_secs_f64();

    #[getter]
    const fn status(&self) -> u16 {
        self.0.status()
    }

    #[getter]
    fn reference(&self) -> &str {
        self.0.reference()
    }

    /// Names in lower case, `content-length` included.
    #[getter]
    fn headers(&self) -> Vec<(&'static str, String)> {
        let length = ("content-length", self.0.body().len().to_string());
        let others = self.0.headers();
        let owned = others.map(|(name, value)| (name, value.into_owned()));
        owned.chain([length]).collect()
    }

    #[getter]
    fn body(&self) -> String {
        self.0.body()
    }

    fn __repr__(&self) -> String {
        format!("<Denial {} {}>", self.0.status(), self.0.reference())
    }
}
