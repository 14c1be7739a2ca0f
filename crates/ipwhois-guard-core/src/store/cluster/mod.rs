//! The guard's side of a shared store: deadlines, a breaker, and what is spent while the store is
//! away.
//!
//! 1. A call that takes longer than [`DEADLINE`] has failed. After three failures in a row the store
//!    is not asked any more, so that nobody waits for it again; a probe in the background, after 1
//!    s and up to 30 s, finds out when it is back.
//! 2. A store that is away is never an error: `None` means "go on as if there were none".
//! 3. What it cannot read ([`SharedError::Unreadable`]) is counted as a failure, but opens no
//!    breaker: it answered.
//! 4. A call whose answer did not come in time may have had its effect: then a check counts twice,
//!    which never buys one.
//!
//! **The day's budget.** *A check goes out when the store has counted it, so the machines together
//! never spend more than the day has, whichever of them are killed and started; only a machine that
//! has not reached the store for three seconds spends without it, and no more than its share.*
//! 5. The share is a tenth of what was left when the machine last heard the count, and a hundredth
//!    if it has not heard it since its start; one check at least, once in an outage ([`Alone`]).
//!    Until the three seconds are over ([`Breaker::has_been_open`]) the client is unverified. A
//!    cluster that answers what nobody can read is as one that has been away.
//! 6. What was spent alone is added when the store is back. If others have spent the rest of the day
//!    meanwhile, the day has so many too many. Of a machine that ends before, killed or not, the
//!    share is lost to the count: the day has that many too many for each process that spent alone
//!    and ended before the store was back.
//! 7. A store that forgets the day's count (restarted empty, or evicted) is told it by each machine
//!    with its next check ([`Claim::known`](crate::store::Claim::known)), and by those that make
//!    none every half minute. Spent twice is what was known only to machines that have ended or not
//!    yet spoken.

mod alone;
mod breaker;
mod hearing;
mod lease;
mod logins;
mod share;
mod told;

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
use self::hearing::Hearing;
pub(crate) use self::lease::Lease;
use self::logins::Greetings;
pub(crate) use self::share::{Share, Unspent};
use self::told::Told;
use crate::lookup::DailyBudget;
use crate::observe::Meter;
use crate::store::{
    Announcement, DEADLINE, Seen, SharedError, SharedFuture, SharedStore, SharedVerdict,
};

/// How long to wait before listening again after the connection was lost. It doubles up to the
/// second value, and starts anew when a connection has held that long.
const FIRST_RETURN: Duration = Duration::from_millis(100);
const LAST_RETURN: Duration = Duration::from_secs(5);

/// How often a machine and the store tell each other the day's count, though no check is spent. The
/// cluster may have forgotten it.
const EXCHANGE: Duration = Duration::from_secs(30);
/// How soon again when that failed.
const EXCHANGE_AGAIN: Duration = Duration::from_secs(1);

/// Must be called on the guard's runtime, but for what says that it goes to the background.
#[derive(Debug)]
pub(crate) struct Cluster {
    shared: Arc<dyn SharedStore>,
    runtime: Handle,
    meter: Arc<Meter>,
    state: Mutex<State>,
    /// Told when the breaker opens, and when the connection that listens is lost.
    disturbed: Notify,
    greetings: Greetings,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    alone: Alone,
    told: Told,
    hearing: Hearing,
    failures: u64,
    error: Option<String>,
    /// The last answer was one that nobody can read.
    unreadable: bool,
}

impl State {
    /// Not for a stutter: what was spent alone is lost to the common count when the machine ends
    /// before it tells.
    fn may_spend_alone(&self) -> bool {
        self.unreadable || self.breaker.has_been_open()
    }

    fn unheard(&mut self, error: &SharedError) {
        let is_there = self.breaker.wait().is_none();
        self.hearing.failed(is_there, with_source(error));
    }
}

fn with_source(error: &SharedError) -> String {
    use std::error::Error;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl Cluster {
    pub(crate) fn new(shared: Arc<dyn SharedStore>, runtime: Handle) -> Self {
        Self {
            shared,
            runtime,
            meter: Arc::default(),
            state: Mutex::new(State {
                breaker: Breaker::new(),
                alone: Alone::default(),
                told: Told::default(),
                hearing: Hearing::default(),
                failures: 0,
                error: None,
                unreadable: false,
            }),
            disturbed: Notify::new(),
            greetings: Greetings::default(),
        }
    }

    /// Counts its calls here.
    pub(crate) fn measured(self, meter: Arc<Meter>) -> Self {
        Self { meter, ..self }
    }

    /// Whether it is asked at all.
    pub(crate) fn is_there(&self) -> bool {
        self.state().breaker.wait().is_none()
    }

    /// Why the last call failed, or why nothing is heard, and how many calls failed since the
    /// start.
    pub(crate) fn status(&self) -> (Option<String>, u64) {
        let state = self.state();
        let unheard = || state.hearing.trouble().map(str::to_owned);
        (state.error.clone().or_else(unheard), state.failures)
    }

    /// Why nothing is heard of what other machines announce, while the store is there.
    pub(crate) fn unheard(&self) -> Option<String> {
        self.state().hearing.trouble().map(str::to_owned)
    }

    pub(crate) async fn look(&self, ip: IpAddr, lease: Duration) -> Option<Seen> {
        let call = self.is_there().then(|| self.shared.look(ip, lease));
        self.answer(call).await
    }

    /// Tells the others, in the background.
    pub(crate) fn learn(self: &Arc<Self>, ip: IpAddr, verdict: SharedVerdict, keep: Duration) {
        self.background(|cluster| async move {
            let call = cluster
                .is_there()
                .then(|| cluster.shared.learn(ip, verdict, keep));
            cluster.answer(call).await;
        });
    }

    fn release(self: &Arc<Self>, ip: IpAddr) {
        self.background(|cluster| async move {
            let call = cluster.is_there().then(|| cluster.shared.release(ip));
            cluster.answer(call).await;
        });
    }

    /// Runs for the life of the guard: keeps the day's count and the store's together, and probes a
    /// cluster that is away.
    pub(crate) async fn keep(&self, budget: &DailyBudget) {
        let mut exchange = if self.state().told.has_heard() {
            EXCHANGE
        } else {
            EXCHANGE_AGAIN
        };
        loop {
            let wait = self.state().breaker.wait();
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
                self.probe(budget).await;
                exchange = EXCHANGE;
                continue;
            }
            // Whichever comes first.
            let _ = tokio::time::timeout(exchange, self.disturbed.notified()).await;
            if self.is_there() {
                exchange = match self.reconcile(budget).await {
                    Some(()) => EXCHANGE,
                    None => EXCHANGE_AGAIN,
                };
            }
        }
    }

    async fn probe(&self, budget: &DailyBudget) {
        let answered = self.reconcile(budget).await.is_some();
        let mut state = self.state();
        state.breaker.probed(answered);
        if answered {
            state.error = None;
            event!(INFO, "the shared store is back");
        }
    }

    /// At the start, before any check: what an earlier run spent is known, even if the store has
    /// forgotten it.
    pub(crate) async fn begin(&self, budget: &DailyBudget) {
        let (day, spent) = (budget.today(), budget.spent_today());
        self.state().told.remember(day, spent);
        self.reconcile(budget).await;
    }

    /// Tells the store what it does not know of the day's count, and believes it.
    async fn reconcile(&self, budget: &DailyBudget) -> Option<()> {
        let day = budget.today();
        let known = self.state().told.known(day);
        // What is owed is added to a store that answers: without an answer it would be added again.
        let mut spent = self.add_spent(day, known, 0).await?;
        if let Some((owed_day, sum)) = self.settle().await.ok()?
            && owed_day == day
        {
            spent = sum;
        }
        budget.adopt(day, spent);
        self.state().alone.end();
        Some(())
    }

    async fn add_spent(&self, day: u64, known: u32, checks: u32) -> Option<u32> {
        let spent = self
            .deadline(self.shared.add_spent(day, known, checks))
            .await?;
        self.state().told.hear(day, spent);
        Some(spent)
    }

    /// Runs for the life of the guard: calls `hear` with what is announced.
    pub(crate) async fn listen(&self, hear: impl Fn(Announcement) + Send + Sync) {
        let mut wait = FIRST_RETURN;
        loop {
            let since = Instant::now();
            let lost = {
                let mut listening = self.shared.listen(&hear);
                match tokio::time::timeout(LAST_RETURN, &mut listening).await {
                    Ok(lost) => lost,
                    Err(_) => {
                        self.state().hearing.works();
                        listening.await
                    }
                }
            };
            if let Err(error) = lost {
                self.note(&error);
                self.state().unheard(&error);
                self.disturbed.notify_one();
                self.greetings.again();
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
        let begun = Instant::now();
        let outcome = tokio::time::timeout(DEADLINE, call).await;
        self.meter
            .shared_called(outcome.as_ref().ok(), begun.elapsed());
        let answer = self.heard(outcome)?;
        let mut state = self.state();
        state.unreadable = false;
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
        let opened = {
            let mut state = self.state();
            state.unreadable = matches!(error, SharedError::Unreadable { .. });
            !state.unreadable && state.breaker.fail()
        };
        if opened {
            event!(
                WARN,
                error = &error as &dyn std::error::Error,
                "the shared store is away: this machine decides alone until it is back"
            );
            self.disturbed.notify_one();
        }
        None
    }

    fn note(&self, error: &SharedError) {
        let mut state = self.state();
        state.failures += 1;
        state.error = Some(with_source(error));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
