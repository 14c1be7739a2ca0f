//! Who takes reports.

use std::fmt;
use std::time::Duration;

use super::queue::Outcome;
use super::report::Report;
use super::shelf::BoxFuture;
use crate::error::ApiError;

/// Somebody who takes reports: the service, or what stands in for it.
pub(crate) trait ReportService: fmt::Debug + Send + Sync + 'static {
    /// Delivers one report. Ends within a deadline of its own, and means by `Ok` that the report
    /// was accepted.
    fn deliver<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Result<(), NotAccepted>>;
}

/// Why a report was not accepted, and when it may be tried again.
#[derive(Debug)]
pub(crate) struct NotAccepted {
    pub(crate) error: ApiError,
    /// `Retry-After`, when the reply had a usable one, whatever its status.
    pub(crate) retry_after: Option<Duration>,
}

impl From<ApiError> for NotAccepted {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            retry_after: None,
        }
    }
}

impl NotAccepted {
    /// Whether it is for good: the same report would be refused again. A page is not the service's
    /// word.
    pub(super) fn outcome(&self, until_next_day: Duration) -> Outcome {
        match self.error {
            ApiError::KeyRefused { status }
            | ApiError::Status {
                status: status @ (400 | 404 | 413 | 422),
            } => Outcome::Refused { status },
            _ => Outcome::Failed {
                retry_after: self.retry_after,
                limited: matches!(self.error, ApiError::RateLimited { .. })
                    .then_some(until_next_day),
            },
        }
    }
}
