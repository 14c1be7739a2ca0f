//! Who is asked in a replay: the list of what counts as listed. It answers at once and counts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipwhois_guard_core::{CheckFuture, CheckService, Reputation};
use jiff::civil::Date;

use super::clock::LogClock;
use super::listed::Listed;
use crate::access_log::day_of;

/// The confidence of everything that is listed.
const CONFIDENCE: u8 = 100;

#[derive(Clone, Debug)]
pub(super) struct CountingService(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    listed: Arc<Listed>,
    clock: LogClock,
    checks: Mutex<BTreeMap<Date, u64>>,
}

impl CountingService {
    pub(super) fn new(listed: Arc<Listed>, clock: LogClock) -> Self {
        Self(Arc::new(Shared {
            listed,
            clock,
            checks: Mutex::default(),
        }))
    }

    /// How many checks arrived on each UTC day; days without any are missing.
    pub(super) fn checks(&self) -> BTreeMap<Date, u64> {
        let checks = self.0.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks.clone()
    }
}

impl CheckService for CountingService {
    fn check(&self, ip: IpAddr) -> CheckFuture<'_> {
        let day = day_of(self.0.clock.now());
        let mut checks = self.0.checks.lock().unwrap_or_else(PoisonError::into_inner);
        *checks.entry(day).or_default() += 1;
        let listed = self.0.listed.contains(ip);
        let reputation = Reputation {
            listed,
            confidence: if listed { CONFIDENCE } else { 0 },
            threat_type: None,
        };
        Box::pin(std::future::ready(Ok(reputation.into())))
    }
}
