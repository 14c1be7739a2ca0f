//! The service, with a look at the clock before and after each call.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::meter::{Endpoint, Meter};
use super::reliability::Fate;
use crate::clock::Clock;
use crate::reports::{BoxFuture, NotAccepted, Report, ReportService};
use crate::service::{CheckFuture, CheckService};

/// Counts and times the calls that go through it.
#[derive(Debug)]
pub(crate) struct Measured<S: ?Sized> {
    pub(crate) meter: Arc<Meter>,
    pub(crate) clock: Arc<dyn Clock>,
    /// An answer that takes longer finds nobody who waits for it.
    pub(crate) max_wait: Duration,
    pub(crate) service: Arc<S>,
}

impl<S: CheckService + ?Sized> CheckService for Measured<S> {
    fn check(&self, ip: IpAddr) -> CheckFuture<'_> {
        Box::pin(async move {
            let begun = self.clock.elapsed();
            let result = self.service.check(ip).await;
            let took = self.clock.elapsed().saturating_sub(begun);
            self.meter.called(Endpoint::Check, result.as_ref(), took);
            if let Some(fate) = Fate::of(result.as_ref(), took > self.max_wait) {
                self.meter.relied(fate, begun + took);
            }
            result
        })
    }
}

impl<S: ReportService + ?Sized> ReportService for Measured<S> {
    fn deliver<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Result<(), NotAccepted>> {
        Box::pin(async move {
            let begun = self.clock.elapsed();
            let result = self.service.deliver(report).await;
            let took = self.clock.elapsed().saturating_sub(begun);
            let outcome = result.as_ref().map_err(|not_accepted| &not_accepted.error);
            self.meter.called(Endpoint::Report, outcome, took);
            result
        })
    }
}
