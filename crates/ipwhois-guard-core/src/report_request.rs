//! A report as applications make it.

use std::pin::Pin;

use crate::error::ReportError;
use crate::guard::Guard;
use crate::reports::{Report, Ticket};

/// A report that is being worded: [`Guard::report`](crate::Guard::report). Nothing happens before
/// it is awaited or [queued](Self::queue).
///
/// Awaited, it resolves when the report survives the end of the process, which is at once without a
/// state folder. It does not wait for the service: that is what [`QueuedReport::delivered`] does.
///
/// ```
/// # use ipwhois_guard_core::{Guard, ReportError, ThreatType};
/// # async fn example(guard: Guard) -> Result<(), ReportError> {
/// let attacker = [198, 51, 100, 7].into();
/// guard.report(attacker, ThreatType::Scan).message("asked for /.env").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a report is sent when it is awaited or queued"]
pub struct ReportRequest {
    guard: Guard,
    report: Result<Report, ReportError>,
}

impl ReportRequest {
    pub(crate) const fn new(guard: Guard, report: Result<Report, ReportError>) -> Self {
        Self { guard, report }
    }

    /// Says what was seen. Control characters are taken out and white space is put together, so
    /// that it is one line; what goes beyond 1,024 characters is cut off. It need not be UTF-8, so
    /// a header's value may be part of it.
    pub fn message(mut self, text: impl AsRef<[u8]>) -> Self {
        self.report = self.report.map(|report| report.with_message(text));
        self
    }

    /// Says who reports: 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`. Default: `waf`.
    pub fn source(mut self, name: &str) -> Self {
        self.report = self.report.and_then(|report| report.with_source(name));
        self
    }

    /// Queues the report. Neither waits nor blocks; with a state folder it is on disk within 100 ms
    /// or so.
    ///
    /// # Errors
    /// When the address is one that is never reported (non-public, allowlisted, a trusted proxy),
    /// the source is no name, the queue of 10,000 is full, or the guard is shutting down.
    pub fn queue(self) -> Result<QueuedReport, ReportError> {
        self.guard.enqueue(self.report?).map(QueuedReport)
    }
}

impl IntoFuture for ReportRequest {
    type Output = Result<QueuedReport, ReportError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let queued = self.queue()?;
            queued.0.stored().await?;
            Ok(queued)
        })
    }
}

/// A report that is on its way to the service. It goes on when this is dropped.
#[derive(Clone, Debug)]
pub struct QueuedReport(Ticket);

impl QueuedReport {
    /// Whether the same address was reported for the same thing less than 15 minutes ago. Then this
    /// report is not sent, and shares what becomes of that one.
    #[must_use]
    pub const fn is_duplicate(&self) -> bool {
        self.0.is_duplicate()
    }

    /// Resolves when the service has accepted the report, which it is asked for 24 h at most.
    ///
    /// # Errors
    /// When the service refused it for good, it was given up, or the guard ended first.
    pub async fn delivered(&self) -> Result<(), ReportError> {
        self.0.delivered().await
    }
}
