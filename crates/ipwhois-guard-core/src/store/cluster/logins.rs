//! Failed logins and bans in the store.
//!
//! 1. An attempt whose begin was given up is taken back by its end, and its end is told until the
//!    store has answered, or until the attempt has lapsed by itself.
//! 2. A store that has forgotten what it was told, and one that was away, is told all bans and
//!    lifts that this machine knows. Of one client the latest counts, so all machines may do so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::Cluster;
use crate::logins::{ATTEMPT_LIFE, Logins};
use crate::store::{
    Attempt, AttemptId, AttemptLimits, BanRecord, Failed, Login, Scope, SharedFuture,
};

/// How often a machine and a store that nothing has happened to greet each other.
const GREET: Duration = Duration::from_secs(10);
const GREET_AGAIN: Duration = Duration::from_secs(1);

/// How many bans are told in one call.
const PAGE: usize = 500;

/// How long the pause is after an end that was not told. It doubles up to the second value.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Whether the store has to be told the bans.
#[derive(Debug, Default)]
pub(super) struct Greetings {
    missed: AtomicBool,
    wake: Notify,
}

impl Greetings {
    pub(super) fn again(&self) {
        self.missed.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }
}

impl Cluster {
    pub(crate) async fn begin_attempt(
        &self,
        login: Login,
        id: AttemptId,
        limits: AttemptLimits,
    ) -> Option<Attempt> {
        let begin = || self.shared.begin_attempt(login, id, limits);
        self.answer(self.is_there().then(begin)).await
    }

    pub(crate) async fn fail_attempt(
        &self,
        login: Login,
        id: AttemptId,
        limits: AttemptLimits,
    ) -> Option<Failed> {
        let fail = || self.shared.fail_attempt(login, id, limits);
        self.answer(self.is_there().then(fail)).await
    }

    /// The same, until the store answers.
    pub(crate) async fn insist_on_failure(
        &self,
        login: Login,
        id: AttemptId,
        limits: AttemptLimits,
    ) -> Option<Failed> {
        let fail = || self.shared.fail_attempt(login, id, limits);
        self.insist(limits.attempt_life(), fail).await
    }

    /// Told until the store answers, but a store that is away is not waited for.
    pub(crate) async fn end_attempt(self: &Arc<Self>, login: Login, id: AttemptId) {
        let end = || self.shared.end_attempt(login, id);
        if self.answer(self.is_there().then(end)).await.is_none() {
            self.background(move |cluster| async move {
                let end = || cluster.shared.end_attempt(login, id);
                cluster.insist(ATTEMPT_LIFE, end).await;
            });
        }
    }

    pub(crate) async fn clear_failures(&self, client: Scope) {
        let call = self.is_there().then(|| self.shared.clear_failures(client));
        self.answer(call).await;
    }

    /// What is not told now is told with the next greeting.
    pub(crate) async fn tell_bans(&self, bans: &[BanRecord]) -> Option<()> {
        let call = self.is_there().then(|| self.shared.tell_bans(bans));
        let told = self.answer(call).await;
        if told.is_none() {
            self.greetings.again();
        }
        told
    }

    /// Runs for the life of the guard: agrees on the key of accounts, and tells the bans to a store
    /// that does not know them.
    pub(crate) async fn keep_logins(&self, logins: &Logins) {
        let mut told = None;
        loop {
            let missed = self.greetings.missed.swap(false, Ordering::SeqCst);
            let greeted = self.greet(logins, if missed { None } else { told }).await;
            told = greeted.or(told);
            let pause = match greeted {
                Some(_) => GREET,
                None => {
                    self.greetings.missed.fetch_or(missed, Ordering::SeqCst);
                    sleep(GREET_AGAIN).await;
                    continue;
                }
            };
            let _ = timeout(pause, self.greetings.wake.notified()).await;
        }
    }

    /// Answers the store's epoch when it knows everything. `told`: the epoch in which it was told.
    async fn greet(&self, logins: &Logins, told: Option<u64>) -> Option<u64> {
        let greet = || self.shared.greet(logins.account_key());
        let greeting = self.answer(self.is_there().then(greet)).await?;
        logins.adopt_account_key(greeting.account_key);
        if told != Some(greeting.epoch) {
            let bans = logins.tracker.records(logins.now());
            for page in bans.chunks(PAGE) {
                self.tell_bans(page).await?;
            }
        }
        Some(greeting.epoch)
    }

    async fn insist<'a, T>(
        &'a self,
        within: Duration,
        call: impl Fn() -> SharedFuture<'a, T>,
    ) -> Option<T> {
        let until = Instant::now() + within;
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.answer(self.is_there().then(&call)).await;
            if answer.is_some() || Instant::now() >= until {
                return answer;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}
