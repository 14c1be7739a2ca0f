//! The day's budget where the lookup uses it: behind a lock, with the clock, and with its place in
//! the state folder.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::budget::{Bid, Budget, Explained, Purpose, Refusal, Spend};
use crate::clock::Clock;
use crate::evidence::Signs;
use crate::service::Quota;
use crate::state::Journal;
use crate::store::Claim;
use crate::verdict::Unverified;

#[derive(Debug)]
pub(crate) struct DailyBudget {
    budget: Mutex<Budget>,
    clock: Arc<dyn Clock>,
    journal: Arc<Journal>,
}

impl DailyBudget {
    pub(crate) fn new(checks_a_day: u32, clock: Arc<dyn Clock>, journal: Arc<Journal>) -> Self {
        let budget = Self {
            budget: Mutex::new(Budget::new(checks_a_day)),
            clock,
            journal,
        };
        // The day is watched from here on, not from the first check.
        let _ = budget.left();
        budget
    }

    /// A request of a client without a verdict. `matters`: whether a check settles the request
    /// whatever it finds. `is_alone`: whether nothing but a check could tell of the client, so that a
    /// refusal settles it.
    pub(crate) fn bid(
        &self,
        ip: IpAddr,
        signs: Signs,
        matters: bool,
        is_alone: bool,
    ) -> Result<Bid, Unverified> {
        let now = self.now();
        let mut budget = self.budget();
        let bid = budget.bid(ip, signs, matters, now);
        let refused = is_alone.then(|| budget.refuse(bid, now)).flatten();
        drop(budget);
        let Some((price, refusal)) = refused else {
            return Ok(bid);
        };
        log(ip, bid, price, refusal.as_str());
        Err(refusal.into())
    }

    /// A sign that shows after the request.
    pub(crate) fn note(&self, ip: IpAddr, signs: Signs) {
        self.budget().note(ip, signs, self.now());
    }

    /// One check for this address, or why not now. The log explains it at the level `debug`.
    pub(super) fn take(&self, purpose: Purpose, ip: IpAddr) -> Result<Spend, Unverified> {
        let (price, taken) = self.budget().take(purpose, self.now());
        if let Purpose::Request(bid) = purpose {
            let outcome = match taken {
                Ok(_) => "checked",
                Err(refusal) => refusal.as_str(),
            };
            log(ip, bid, price, outcome);
        }
        taken.map_err(Unverified::from)
    }

    /// Why the last bid was bought or not, if it was this client's.
    pub(crate) fn explain(&self, ip: IpAddr) -> Option<Explained> {
        self.budget().explain(ip)
    }

    /// The score from which a client is checked now.
    pub(crate) fn price(&self) -> f64 {
        self.budget().price(self.now())
    }

    /// How many checks a day is worth, and how many it has, when these are far fewer.
    pub(crate) fn wanted(&self) -> Option<(u32, u32)> {
        self.budget().wanted(self.now())
    }

    /// The same check for the count of all machines.
    pub(super) fn claim(&self, spend: &Spend) -> Claim {
        self.budget().claim(spend, self.now())
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
        self.budget().found(spend, listed, self.now());
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

    /// Resolves when what is spent by now is on disk, so that a restart never counts less. At once
    /// without a state folder, and when the disk does not answer.
    pub(super) async fn save(&self) {
        let snapshot = self.budget().snapshot(self.now());
        if let Ok(bytes) = serde_json::to_vec(&snapshot) {
            self.journal.save_budget(bytes).await;
        }
    }

    /// Takes back what an earlier run spent and learned.
    pub(crate) fn restore(&self, bytes: &[u8]) {
        match serde_json::from_slice(bytes) {
            Ok(snapshot) if self.budget().restore(&snapshot, self.now()) => {}
            Ok(_) => tracing::warn!(
                target: "ipwhois_guard",
                "what an earlier version learned of this site is dropped: the day's count is kept"
            ),
            Err(error) => tracing::warn!(
                target: "ipwhois_guard",
                error = &error as &dyn std::error::Error,
                "the day's count in the state folder cannot be read: it begins at 0"
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

fn log(ip: IpAddr, bid: Bid, price: f64, outcome: &'static str) {
    event!(
        DEBUG,
        client = %ip,
        signs = %bid.signs,
        requests = bid.requests,
        probability = bid.probability,
        score = bid.score,
        price,
        outcome,
        "a client bids for a check"
    );
}

impl From<Refusal> for Unverified {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Exhausted => Self::RateLimited,
            Refusal::Rationed => Self::Rationed,
            Refusal::Spent | Refusal::Price => Self::NoBudget,
        }
    }
}
