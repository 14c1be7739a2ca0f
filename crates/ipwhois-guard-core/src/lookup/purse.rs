//! The day's budget where the lookup uses it: behind a lock, with the clock, and with its place in the state folder.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::budget::{Budget, Ration, Refusal, Spend, Tier};
use crate::clock::Clock;
use crate::service::Quota;
use crate::shared::Claim;
use crate::state::Journal;
use crate::verdict::Unverified;

/// How much a check of an address matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    tier: Tier,
    /// What it is worth when it may not run ahead of others.
    otherwise: Option<Tier>,
    /// The client's requests lately, if the check counts against the ration of its network.
    requests: Option<u32>,
}

impl Demand {
    /// By somebody whom nobody outside can play: the feed, or the application itself.
    pub(crate) const URGENT: Self = Self {
        tier: Tier::Urgent,
        otherwise: None,
        requests: None,
    };
    pub(super) const REFRESH: Self = Self {
        tier: Tier::Refresh,
        otherwise: None,
        requests: Some(0),
    };

    /// On behalf of a client with so many requests lately.
    pub(crate) const fn of_client(tier: Tier, requests: u32) -> Self {
        Self {
            tier,
            otherwise: None,
            requests: Some(requests),
        }
    }

    /// On behalf of a client that nobody suspects, and that matters: ahead of others, or else in turn with those who come `as_often`.
    pub(crate) const fn ahead_or_in_turn(as_often: u32, requests: u32) -> Self {
        Self {
            tier: Tier::Pressing,
            otherwise: Some(Tier::Routine { requests: as_often }),
            requests: Some(requests),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Purse {
    budget: Mutex<Budget>,
    clock: Arc<dyn Clock>,
    journal: Arc<Journal>,
}

impl Purse {
    pub(crate) fn new(checks_a_day: u32, clock: Arc<dyn Clock>, journal: Arc<Journal>) -> Self {
        let purse = Self {
            budget: Mutex::new(Budget::new(checks_a_day)),
            clock,
            journal,
        };
        // The day is watched from here on, not from the first check.
        let _ = purse.left();
        purse
    }

    /// One check for this address, or why not now.
    pub(super) fn take(&self, demand: Demand, ip: IpAddr) -> Result<Spend, Unverified> {
        let ration = match demand.requests {
            Some(requests) => Ration::Of { ip, requests },
            None => Ration::Exempt,
        };
        let now = self.now();
        let mut budget = self.budget();
        let taken =
            budget
                .take(demand.tier, ration, now)
                .or_else(|refusal| match demand.otherwise {
                    Some(tier) => budget.take(tier, ration, now),
                    None => Err(refusal),
                });
        taken.map_err(|refusal| match refusal {
            Refusal::Exhausted => Unverified::RateLimited,
            Refusal::Rationed => Unverified::Rationed,
            Refusal::Spent | Refusal::Early => Unverified::NoBudget,
        })
    }

    /// The same check for the count of all machines.
    pub(super) fn claim(&self, spend: &Spend) -> Claim {
        self.budget().claim(spend)
    }

    /// All machines together have spent so many of that day, in days since 1970.
    pub(crate) fn adopt(&self, day: u64, spent: u32) {
        self.budget().adopt_spent(day, spent, self.now());
    }

    /// Which day is being spent.
    pub(crate) fn today(&self) -> u64 {
        self.budget().today(self.now())
    }

    /// What the service said to a check.
    pub(super) fn found(&self, spend: &Spend, listed: bool) {
        self.budget().found(spend, listed);
    }

    /// The check was never sent.
    pub(super) fn refund(&self, spend: Spend) {
        self.budget().refund(spend, self.now());
    }

    pub(super) fn believe(&self, quota: Quota) {
        let now = self.now();
        let until = quota.resets_in.map(|time| now.saturating_add(time));
        self.budget().believe(quota.left, until, now);
    }

    /// Nothing is left for this long.
    pub(super) fn exhaust(&self, pause: Duration) {
        let now = self.now();
        self.budget().exhaust(now.saturating_add(pause), now);
    }

    /// Resolves when what is spent by now is on disk, so that a restart never counts less. At once without a state folder,
    /// and when the disk does not answer.
    pub(super) async fn save(&self) {
        let snapshot = self.budget().snapshot();
        if let Ok(bytes) = serde_json::to_vec(&snapshot) {
            self.journal.save_budget(bytes).await;
        }
    }

    /// Takes back what an earlier run spent.
    pub(crate) fn restore(&self, bytes: &[u8]) {
        match serde_json::from_slice(bytes) {
            Ok(snapshot) => self.budget().restore(snapshot, self.now()),
            Err(error) => tracing::warn!(
                target: "ipwhois_guard",
                error = &error as &dyn std::error::Error,
                "the day's count in the state folder cannot be read: it begins anew"
            ),
        }
    }

    pub(crate) fn spent_today(&self) -> u32 {
        self.budget().spent_today(self.now())
    }

    pub(crate) fn left(&self) -> u32 {
        self.budget().left(self.now())
    }

    /// When there will be a check again, if none is left.
    pub(crate) fn gone_until(&self) -> Option<SystemTime> {
        let until = self.budget().gone_until(self.now())?;
        Some(SystemTime::UNIX_EPOCH + until)
    }

    fn now(&self) -> Duration {
        let since_epoch = self.clock.wall().duration_since(SystemTime::UNIX_EPOCH);
        since_epoch.unwrap_or_default()
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        // Every change of the budget is complete before anything could panic.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
