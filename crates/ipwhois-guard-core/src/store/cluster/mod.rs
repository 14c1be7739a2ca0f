//! The guard's side of a shared store: deadlines, a breaker, and the lease of the day's budget.
//!
//! 1. A call that takes longer than [`DEADLINE`] has failed. After three failures in a row the
//!    store is not asked any more, so that nobody waits for it again; a probe in the background,
//!    after 1 s and up to 30 s, finds out when it is back.
//! 2. A store that is away is never an error: `None` means "go on as if there were none".
//! 3. What it cannot read ([`SharedError::Unreadable`]) is counted as a failure, but opens no
//!    breaker: it answered.
//! 4. The day's budget is leased in blocks ([`DayLease`](crate::store::DayLease)), ahead of need
//!    and in the background. While the store is away this machine spends what it holds, and no
//!    more. An answer that comes too late loses its block to the day, which never buys a check too
//!    many.
//! 5. A store that forgets the day's count (restarted empty, or evicted) is told it with the next
//!    request of each machine, every half minute at least
//!    ([`BlockRequest::known`](crate::store::BlockRequest)).

mod breaker;
mod hearing;
mod lease;
mod logins;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::breaker::Breaker;
use self::hearing::Hearing;
pub(crate) use self::lease::Lease;
use self::logins::Greetings;
use crate::lookup::DailyBudget;
use crate::observe::Meter;
use crate::store::local::Local;
use crate::store::{
    Announcement, Block, BlockRequest, DEADLINE, Seen, SharedError, SharedFuture, SharedStore,
    SharedVerdict,
};

/// How long to wait before listening again after the connection was lost. It doubles up to the
/// second value, and starts anew when a connection has held that long.
const FIRST_RETURN: Duration = Duration::from_millis(100);
const LAST_RETURN: Duration = Duration::from_secs(5);

/// How often a machine and the store tell each other the day's count, though no check is spent. The
/// store may have forgotten it.
const EXCHANGE: Duration = Duration::from_secs(30);

/// How long a block may take, in either direction. No client has to wait for it.
const GRANT_DEADLINE: Duration = Duration::from_secs(5);

/// Must be called on the guard's runtime, but for what says that it goes to the background.
#[derive(Debug)]
pub(crate) struct Cluster {
    shared: Arc<dyn SharedStore>,
    /// When the store is the one of this host.
    local: Option<Arc<Local>>,
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
    hearing: Hearing,
    failures: u64,
    error: Option<String>,
}

impl State {
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
            local: None,
            runtime,
            meter: Arc::default(),
            state: Mutex::new(State {
                breaker: Breaker::new(),
                hearing: Hearing::default(),
                failures: 0,
                error: None,
            }),
            disturbed: Notify::new(),
            greetings: Greetings::default(),
        }
    }

    /// With the store of this host.
    pub(crate) fn on_host(local: Arc<Local>, runtime: Handle) -> Self {
        Self {
            local: Some(Arc::clone(&local)),
            ..Self::new(local, runtime)
        }
    }

    /// Whether it is the store of this host.
    pub(crate) const fn is_on_host(&self) -> bool {
        self.local.is_some()
    }

    /// Counts its calls here.
    pub(crate) fn measured(self, meter: Arc<Meter>) -> Self {
        Self { meter, ..self }
    }

    /// Whether it is asked at all.
    pub(crate) fn is_there(&self) -> bool {
        self.state().breaker.wait().is_none()
    }

    /// Whether there is no other machine or process to ask.
    pub(crate) fn is_alone(&self) -> bool {
        let is_alone = |local: &Arc<Local>| !local.has_company();
        !self.is_there() || self.local.as_ref().is_some_and(is_alone)
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

    /// Asks for a block, or for the day's count.
    pub(crate) async fn grant(&self, request: BlockRequest) -> Option<Block> {
        let call = self.is_there().then(|| self.shared.grant(request));
        // What a disk takes long for is used when it is there.
        let limit = match self.is_on_host() {
            true => Duration::MAX,
            false => GRANT_DEADLINE,
        };
        self.deadline(call?, limit).await
    }

    /// Gives back what will not be spent. What the store does not hear of is lost to the day.
    pub(crate) async fn give_back(&self, day: u64, checks: u32) {
        self.deadline(self.shared.give_back(day, checks), GRANT_DEADLINE)
            .await;
    }

    /// Runs for the life of the guard: exchanges the day's count with the store, and probes a store
    /// that is away.
    pub(crate) async fn keep(&self, budget: &Arc<DailyBudget>) {
        loop {
            let wait = self.state().breaker.wait();
            match wait {
                Some(wait) => {
                    tokio::time::sleep(wait).await;
                    self.probe(budget).await;
                }
                None => {
                    // Whichever comes first.
                    let _ = tokio::time::timeout(EXCHANGE, self.disturbed.notified()).await;
                    if self.is_there() {
                        self.exchange(budget).await;
                    }
                }
            }
        }
    }

    async fn probe(&self, budget: &Arc<DailyBudget>) {
        let answered = self.exchange(budget).await.is_some();
        let mut state = self.state();
        state.breaker.probed(answered);
        if answered {
            state.error = None;
            event!(INFO, "the shared store is back");
            drop(state);
            budget.refill();
        }
    }

    /// Runs for the life of the guard: the store of this host is there as soon as its processes are
    /// together again.
    pub(crate) async fn reunite(&self, budget: &Arc<DailyBudget>) {
        let Some(local) = &self.local else { return };
        loop {
            local.reunited().await;
            self.state().breaker.probed(true);
            self.state().error = None;
            self.greetings.again();
            self.exchange(budget).await;
            budget.refill();
        }
    }

    /// At the start, before any check: what an earlier run spent is known, even if the store has
    /// forgotten it, and the first block is on its way.
    pub(crate) async fn begin(&self, budget: &Arc<DailyBudget>) {
        self.exchange(budget).await;
        budget.refill();
    }

    /// Tells the store what it may have forgotten of the day's count, and believes it.
    async fn exchange(&self, budget: &Arc<DailyBudget>) -> Option<()> {
        if let Some((day, checks)) = budget.surplus(false) {
            self.give_back(day, checks).await;
        }
        let request = budget.count()?;
        let block = self.deadline(self.shared.grant(request), DEADLINE).await;
        budget.answered(request, block);
        block.map(drop)
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
        self.deadline(call?, DEADLINE).await
    }

    async fn deadline<T>(&self, call: SharedFuture<'_, T>, limit: Duration) -> Option<T> {
        let begun = Instant::now();
        let outcome = tokio::time::timeout(limit, call).await;
        self.meter
            .shared_called(outcome.as_ref().ok(), begun.elapsed());
        let answer = self.heard(outcome)?;
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
        let is_there = match error {
            SharedError::Unreadable { .. } => true,
            // The store of this host answers whatever its disk does.
            SharedError::Refused { .. } => self.is_on_host(),
            _ => false,
        };
        if !is_there && self.state().breaker.fail() {
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
