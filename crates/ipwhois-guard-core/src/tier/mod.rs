//! The guard's side of a shared tier: deadlines, a breaker, and what is spent while the tier is away.
//!
//! 1. A call that takes longer than [`DEADLINE`] has failed. After three failures in a row the tier is not asked any more,
//!    so that nobody waits for it again; a probe in the background, after 1 s and up to 30 s, finds out when it is back.
//! 2. A tier that is away is never an error: `None` means "go on as if there were none".
//! 3. What it cannot read ([`SharedError::Unreadable`]) is counted as a failure, but opens no breaker: it answered.
//! 4. Without the tier's count a machine spends its share only ([`Alone`]), and tells the tier afterwards. A call whose
//!    answer did not come in time may have had its effect: then a check counts twice, which never buys one.

mod alone;
mod breaker;
mod lease;
mod share;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::alone::Alone;
use self::breaker::Breaker;
pub(crate) use self::lease::Lease;
pub(crate) use self::share::{Share, Unspent};
use crate::lookup::Purse;
use crate::shared::{
    Announcement, Attempt, AttemptId, AttemptLimits, DEADLINE, Seen, SharedError, SharedFuture,
    SharedTier, SharedVerdict,
};

/// How long to wait before listening again after the connection was lost. It doubles up to the second value, and starts
/// anew when a connection has held that long.
const FIRST_RETURN: Duration = Duration::from_millis(100);
const LAST_RETURN: Duration = Duration::from_secs(5);

/// Must be called on the guard's runtime, but for what says that it goes to the background.
#[derive(Debug)]
pub(crate) struct Tier {
    shared: Arc<dyn SharedTier>,
    runtime: Handle,
    state: Mutex<State>,
    opened: Notify,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    alone: Alone,
    failures: u64,
    error: Option<String>,
}

impl Tier {
    pub(crate) fn new(shared: Arc<dyn SharedTier>, runtime: Handle) -> Self {
        Self {
            shared,
            runtime,
            state: Mutex::new(State {
                breaker: Breaker::new(),
                alone: Alone::default(),
                failures: 0,
                error: None,
            }),
            opened: Notify::new(),
        }
    }

    /// Whether it is asked at all.
    pub(crate) fn is_there(&self) -> bool {
        self.state().breaker.wait().is_none()
    }

    /// Why the last call failed, and how many did since the start.
    pub(crate) fn status(&self) -> (Option<String>, u64) {
        let state = self.state();
        (state.error.clone(), state.failures)
    }

    pub(crate) async fn look(&self, ip: IpAddr, lease: Duration) -> Option<Seen> {
        let call = self.is_there().then(|| self.shared.look(ip, lease));
        self.answer(call).await
    }

    /// Tells the others, in the background.
    pub(crate) fn learn(self: &Arc<Self>, ip: IpAddr, verdict: SharedVerdict, keep: Duration) {
        self.background(|tier| async move {
            let call = tier
                .is_there()
                .then(|| tier.shared.learn(ip, verdict, keep));
            tier.answer(call).await;
        });
    }

    fn release(self: &Arc<Self>, ip: IpAddr) {
        self.background(|tier| async move {
            let call = tier.is_there().then(|| tier.shared.release(ip));
            tier.answer(call).await;
        });
    }

    pub(crate) async fn begin_attempt(
        &self,
        client: IpAddr,
        limits: AttemptLimits,
    ) -> Option<Attempt> {
        let call = self
            .is_there()
            .then(|| self.shared.begin_attempt(client, limits));
        self.answer(call).await
    }

    pub(crate) async fn fail_attempt(
        &self,
        client: IpAddr,
        attempt: AttemptId,
        limits: AttemptLimits,
    ) -> Option<u32> {
        let call = self
            .is_there()
            .then(|| self.shared.fail_attempt(client, attempt, limits));
        self.answer(call).await
    }

    pub(crate) async fn clear_failures(&self, client: IpAddr) {
        let call = self.is_there().then(|| self.shared.clear_failures(client));
        self.answer(call).await;
    }

    pub(crate) async fn ban(&self, client: IpAddr, length: Duration) {
        let call = self.is_there().then(|| self.shared.ban(client, length));
        self.answer(call).await;
    }

    pub(crate) async fn unban(&self, client: IpAddr) {
        let call = self.is_there().then(|| self.shared.unban(client));
        self.answer(call).await;
    }

    /// Runs for the life of the guard: probes a tier that is away, and tells it what was spent meanwhile.
    pub(crate) async fn keep(&self, purse: &Purse) {
        loop {
            loop {
                let wait = self.state().breaker.wait();
                let Some(wait) = wait else { break };
                tokio::time::sleep(wait).await;
                self.probe(purse).await;
            }
            self.opened.notified().await;
        }
    }

    async fn probe(&self, purse: &Purse) {
        let answered = self.reconcile(purse).await.is_some();
        let mut state = self.state();
        state.breaker.probed(answered);
        if answered {
            state.error = None;
            tracing::info!(target: "ipwhois_guard", "the shared tier is back");
        }
    }

    /// Tells the tier what it does not know of the day's count, and believes it. A tier may have forgotten, and a machine may
    /// have ended before it could tell. No check may be on its way from this machine's count to the common one.
    pub(crate) async fn reconcile(&self, purse: &Purse) -> Option<()> {
        let day = purse.today();
        let mut spent = self.deadline(self.shared.add_spent(day, 0)).await?;
        if let Some((owed_day, sum)) = self.settle().await.ok()?
            && owed_day == day
        {
            spent = sum;
        }
        let forgotten = purse.spent_today().saturating_sub(spent);
        if forgotten > 0 {
            spent = self.deadline(self.shared.add_spent(day, forgotten)).await?;
        }
        purse.adopt(day, spent);
        self.state().alone.end();
        Some(())
    }

    /// Runs for the life of the guard: calls `hear` with what is announced.
    pub(crate) async fn listen(&self, hear: impl Fn(Announcement) + Send + Sync) {
        let mut wait = FIRST_RETURN;
        loop {
            let since = Instant::now();
            let lost = self.shared.listen(&hear).await;
            if let Err(error) = lost {
                self.note(&error);
            }
            if since.elapsed() >= LAST_RETURN {
                wait = FIRST_RETURN;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_RETURN);
        }
    }

    /// Does something on the guard's runtime that nobody waits for.
    pub(crate) fn background<F>(self: &Arc<Self>, work: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.runtime.spawn(work(Arc::clone(self)));
    }

    async fn answer<T>(&self, call: Option<SharedFuture<'_, T>>) -> Option<T> {
        self.deadline(call?).await
    }

    async fn deadline<T>(&self, call: SharedFuture<'_, T>) -> Option<T> {
        let answer = self.heard(tokio::time::timeout(DEADLINE, call).await)?;
        let mut state = self.state();
        state.breaker.succeed();
        if state.breaker.wait().is_none() {
            state.error = None;
        }
        Some(answer)
    }

    /// Takes note of a failure.
    fn heard<T>(
        &self,
        outcome: Result<Result<T, SharedError>, tokio::time::error::Elapsed>,
    ) -> Option<T> {
        let error = match outcome {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error,
            Err(elapsed) => SharedError::Away {
                source: Box::new(elapsed),
            },
        };
        self.note(&error);
        if !matches!(error, SharedError::Unreadable { .. }) && self.state().breaker.fail() {
            tracing::warn!(
                target: "ipwhois_guard",
                error = &error as &dyn std::error::Error,
                "the shared tier is away: this machine decides alone until it is back"
            );
            self.opened.notify_one();
        }
        None
    }

    fn note(&self, error: &SharedError) {
        use std::error::Error;
        let mut state = self.state();
        state.failures += 1;
        state.error = Some(match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
