//! The day's budget where the lookup uses it: behind a lock, with the clock, and with its place in
//! the state folder.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::budget::{Bid, Budget, Explained, Purpose, Refusal, Snapshot, Spend};
use crate::clock::Clock;
use crate::evidence::Signs;
use crate::service::Quota;
use crate::state::Journal;
use crate::store::cluster::Cluster;
use crate::store::{Block, BlockRequest};
use crate::verdict::Unverified;

/// How long the end of the guard waits for the store.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a client without a check is.
const fn unverified(refusal: Refusal) -> Unverified {
    match refusal {
        Refusal::Exhausted => Unverified::RateLimited,
        Refusal::Rationed => Unverified::Rationed,
        Refusal::Dry | Refusal::Spent | Refusal::Price => Unverified::NoBudget,
    }
}

#[derive(Debug)]
pub(crate) struct DailyBudget {
    budget: Mutex<Budget>,
    clock: Arc<dyn Clock>,
    journal: Arc<Journal>,
    /// Where checks come from. Without it the limit alone counts.
    cluster: Option<Arc<Cluster>>,
    /// Told when an answer of the store has come.
    answered: Notify,
    is_changed: AtomicBool,
}

/// Why there is no check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoCheck {
    /// The day may have one, and none is held here.
    Dry,
    Refused(Unverified),
}

impl DailyBudget {
    pub(crate) fn new(
        checks_a_day: u32,
        clock: Arc<dyn Clock>,
        journal: Arc<Journal>,
        cluster: Option<Arc<Cluster>>,
    ) -> Self {
        let budget = match &cluster {
            Some(_) => Budget::shared(checks_a_day),
            None => Budget::new(checks_a_day),
        };
        let budget = Self {
            budget: Mutex::new(budget),
            clock,
            journal,
            cluster,
            answered: Notify::new(),
            is_changed: AtomicBool::new(false),
        };
        // The day is watched from here on, not from the first check.
        let _ = budget.left();
        budget
    }

    /// A request of a client without a verdict. `matters`: whether a check settles the request
    /// whatever it finds.
    pub(crate) fn bid(&self, ip: IpAddr, signs: Signs, matters: bool) -> Bid {
        self.budget().bid(ip, signs, matters, self.now())
    }

    /// A sign that shows after the request.
    pub(crate) fn note(&self, ip: IpAddr, signs: Signs) {
        self.budget().note(ip, signs, self.now());
    }

    /// One check for this address, or why not now. The log explains it at the level `debug`.
    pub(super) fn take(self: &Arc<Self>, purpose: Purpose, ip: IpAddr) -> Result<Spend, NoCheck> {
        let (price, taken) = self.budget().take(purpose, self.now());
        if matches!(taken, Ok(_) | Err(Refusal::Dry)) {
            self.refill();
        }
        if let Purpose::Request(bid) = purpose {
            let outcome = match taken {
                Ok(_) => "checked",
                Err(refusal) => refusal.as_str(),
            };
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
        taken.map_err(|refusal| match refusal {
            Refusal::Dry if self.budget().is_awaiting_checks(self.now()) => NoCheck::Dry,
            refused => NoCheck::Refused(unverified(refused)),
        })
    }

    /// The same, but it waits while checks may be on their way.
    pub(crate) async fn take_granted(
        self: &Arc<Self>,
        purpose: Purpose,
        ip: IpAddr,
        patience: Duration,
    ) -> Result<Spend, Unverified> {
        let granted = async {
            loop {
                let answered = self.answered.notified();
                match self.take(purpose, ip) {
                    Err(NoCheck::Dry) => answered.await,
                    Err(NoCheck::Refused(reason)) => return Err(reason),
                    Ok(spend) => return Ok(spend),
                }
            }
        };
        let taken = timeout(patience, granted).await;
        taken.unwrap_or(Err(Unverified::NoBudget))
    }

    /// Asks for the next block in the background, if it is time.
    pub(crate) fn refill(self: &Arc<Self>) {
        let Some(cluster) = &self.cluster else {
            return;
        };
        let Some(request) = self.budget().next_block(self.now()) else {
            return;
        };
        let budget = Arc::clone(self);
        cluster.background(move |cluster| async move {
            let block = cluster.grant(request).await;
            budget.answered(request, block);
        });
    }

    /// A request for the day's count.
    pub(crate) fn count(&self) -> Option<BlockRequest> {
        self.budget().count(self.now())
    }

    /// What the store said.
    pub(crate) fn answered(&self, request: BlockRequest, block: Option<Block>) {
        self.budget().answered(request, block, self.now());
        self.answered.notify_waiters();
    }

    /// What to give back to the store: after a long time without a check, or at the end.
    pub(crate) fn surplus(&self, is_end: bool) -> Option<(u64, u32)> {
        self.budget().surplus(is_end, self.now())
    }

    /// Why the last bid was bought or not, if it was this client's.
    pub(crate) fn explain(&self, ip: IpAddr) -> Option<Explained> {
        self.budget().explain(ip)
    }

    /// What a client bids at this moment, or would bid with its next request. It buys nothing.
    pub(crate) fn quote(
        &self,
        ip: IpAddr,
        matters: bool,
        is_next: bool,
    ) -> (Explained, Option<Unverified>) {
        let (bid, refusal) = self.budget().quote(ip, matters, is_next, self.now());
        (bid, refusal.map(unverified))
    }

    /// Forgets what a client has shown.
    pub(crate) fn forget(&self, ip: IpAddr) {
        self.budget().forget(ip, self.now());
    }

    /// The score from which a client is checked now.
    pub(crate) fn price(&self) -> f64 {
        self.budget().price(self.now())
    }

    /// How many checks a day is worth, and how many it has, when these are far fewer.
    pub(crate) fn wanted(&self) -> Option<(u32, u32)> {
        self.budget().wanted(self.now())
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

    /// Something was learned or said that is to outlive a restart.
    pub(super) fn has_changed(&self) {
        self.is_changed.store(true, Ordering::Relaxed);
    }

    /// Has what was learned written to the state folder, within a second.
    pub(crate) fn save(&self) {
        if !self.is_changed.swap(false, Ordering::Relaxed) {
            return;
        }
        let snapshot = {
            let mut budget = self.budget();
            let mut snapshot = budget.snapshot(self.now());
            // With what is held: the store may have forgotten it by the next start.
            let count = budget.count(self.now());
            snapshot.spent = count.map_or(snapshot.spent, |count| count.known.granted);
            snapshot
        };
        if let Ok(bytes) = serde_json::to_vec(&snapshot) {
            self.journal.note_budget(bytes);
        }
    }

    /// Takes back what an earlier run spent and learned. `is_counted`: what was spent is counted
    /// elsewhere. Answers the day and what was spent on it.
    pub(crate) fn restore(&self, bytes: &[u8], is_counted: bool) -> Option<(u64, u32)> {
        let mut snapshot: Snapshot = match serde_json::from_slice(bytes) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(
                    target: "ipwhois_guard",
                    error = &error as &dyn std::error::Error,
                    "the day's count in the state folder cannot be read: it begins at 0"
                );
                return None;
            }
        };
        let spent = (snapshot.day, snapshot.spent);
        if is_counted {
            snapshot.spent = 0;
        }
        if !self.budget().restore(&snapshot, self.now()) {
            tracing::warn!(
                target: "ipwhois_guard",
                "what an earlier version learned of this site is dropped: the day's count is kept"
            );
        }
        Some(spent)
    }

    /// At the end: gives back what is held, and writes what was learned. Blocks for a moment.
    pub(crate) fn end(self: &Arc<Self>) {
        if let Some(cluster) = &self.cluster {
            let budget = Arc::clone(self);
            let (done, told) = mpsc::channel();
            cluster.background(move |cluster| async move {
                budget.give_back(&cluster).await;
                let _ = done.send(());
            });
            let _ = told.recv_timeout(FAREWELL);
        }
        self.save();
    }

    async fn give_back(&self, cluster: &Cluster) {
        loop {
            let answered = self.answered.notified();
            if !self.budget().is_asking() {
                break;
            }
            answered.await;
        }
        if let Some((day, checks)) = self.surplus(true) {
            cluster.give_back(day, checks).await;
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
