//! What arrived, for tests to look at.

use std::net::IpAddr;

/// A check that arrived: `GET /api/check`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// The parameter `ip`, decoded and otherwise as it was asked; empty when there was none.
    pub ip: String,
    /// The header `X-API-Key`.
    pub key: Option<String>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// All header fields in order, names as they were sent.
    pub headers: Vec<(String, String)>,
}

impl Check {
    /// The first value of a header field; the name's case does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The address that was asked about, when it is one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.ip.parse().ok()
    }
}

/// A report that arrived: `POST /api/report`. A field that was not sent is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The field `ip`.
    pub ip: String,
    /// The field `type`.
    pub threat_type: String,
    /// The field `message`.
    pub message: String,
    /// The field `source`.
    pub source: String,
    /// All fields of the form in order, decoded: also those that the service does not know.
    pub fields: Vec<(String, String)>,
    /// The header `X-API-Key`.
    pub key: Option<String>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// All header fields in order, names as they were sent.
    pub headers: Vec<(String, String)>,
}

impl Report {
    /// The first value of a header field; the name's case does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Everything that arrived since the start or the last [`Log::forget`], and what is going on now.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) checks: Vec<Check>,
    pub(crate) reports: Vec<Report>,
    pub(crate) feed_requests: usize,
    pub(crate) feed_not_modified: usize,
    pub(crate) open_connections: usize,
    pub(crate) max_concurrent_checks: usize,
    concurrent_checks: usize,
}

impl Log {
    pub(crate) fn check_begins(&mut self, check: Check) {
        self.checks.push(check);
        self.concurrent_checks += 1;
        self.max_concurrent_checks = self.max_concurrent_checks.max(self.concurrent_checks);
    }

    pub(crate) fn check_ends(&mut self) {
        self.concurrent_checks = self.concurrent_checks.saturating_sub(1);
    }

    /// Clears the records. What is still going on stays counted.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            open_connections: self.open_connections,
            concurrent_checks: self.concurrent_checks,
            max_concurrent_checks: self.concurrent_checks,
            ..Self::default()
        };
    }
}
