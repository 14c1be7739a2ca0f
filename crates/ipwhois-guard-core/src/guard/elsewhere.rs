//! Failed logins and bans as all machines count them, and what the others announce.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::{Guard, Inner};
use crate::logins::{Failure, Login, Scope, Settled};
use crate::observe::BanCause;
use crate::store::cluster::Cluster;
use crate::store::{Announcement, Attempt, AttemptId, BanRecord, DEADLINE, Failed};

/// How long a request waits for other machines when the guard's thread is too late to keep
/// [`DEADLINE`].
pub(super) const LATE: Duration = DEADLINE.saturating_mul(2);

impl Guard {
    /// Begins to probe and to listen. It does not keep the guard alive.
    pub(super) fn attend(&self, runtime: &Handle) {
        let Some(cluster) = &self.0.cluster else {
            return;
        };
        let lookup = Arc::clone(&self.0.lookup);
        let budget = Arc::clone(&self.0.budget);
        let inner: Weak<Inner> = Arc::downgrade(&self.0);
        let logins = Arc::clone(&self.0.logins);
        let cluster = Arc::clone(cluster);
        runtime.spawn(async move {
            // What the state folder knows is older than what is announced.
            lookup.until_open().await;
            let hear = |announcement| {
                if let Some(inner) = inner.upgrade() {
                    Self(inner).hear(announcement);
                }
            };
            tokio::join!(
                cluster.keep(&budget),
                cluster.listen(hear),
                cluster.keep_logins(&logins)
            );
        });
    }

    fn hear(&self, announcement: Announcement) {
        match announcement {
            Announcement::Listed { ip, verdict } => self.0.lookup.hear_listed(ip, verdict),
            Announcement::Ban(told) => self.hear_ban(told),
        }
    }

    fn hear_ban(&self, told: BanRecord) {
        let is_exempt = !told.left.is_zero() && self.bannable(told.scope.address()).is_none();
        if is_exempt {
            return;
        }
        let logins = &self.0.logins;
        let settled = logins.tracker.settle(told, logins.now());
        if settled != Settled::Known {
            logins.keep(told.scope);
        }
        if settled == Settled::Banned {
            self.0.meter.banned(BanCause::Shared);
        }
    }

    /// Begins an attempt on all machines; `None` when they cannot be asked.
    pub(super) async fn try_elsewhere(&self, login: Login, id: AttemptId) -> Option<Attempt> {
        let cluster = Arc::clone(self.0.cluster.as_ref()?);
        let limits = self.0.logins.limits.attempts;
        let begin = async move { cluster.begin_attempt(login, id, limits).await };
        self.0.worker.run(LATE, begin).await?
    }

    /// Counts a failure on all machines. Answers for how long the client is banned if that trips. A
    /// store that is away is told later.
    pub(super) fn fail_elsewhere(
        &self,
        login: Login,
        here: Failure,
        id: Option<AttemptId>,
    ) -> Option<JoinHandle<Option<Duration>>> {
        let cluster = Arc::clone(self.0.cluster.as_ref()?);
        if login.client == Scope::NAMELESS || matches!(here, Failure::Banned { .. }) {
            return None;
        }
        let limits = self.0.logins.limits.attempts;
        let id = id.unwrap_or_else(AttemptId::random);
        // What is told later must not keep the guard alive.
        let inner = Arc::downgrade(&self.0);
        let fail = async move {
            if let Some(failed) = cluster.fail_attempt(login, id, limits).await {
                return Self(inner.upgrade()?).failed_elsewhere(login, here, failed);
            }
            cluster.background(move |cluster| async move {
                let failed = cluster.insist_on_failure(login, id, limits).await;
                if let (Some(failed), Some(inner)) = (failed, inner.upgrade()) {
                    Self(inner).failed_elsewhere(login, here, failed);
                }
            });
            None
        };
        Some(self.0.worker.runtime().spawn(fail))
    }

    /// What follows from the store's count: for how long the client is banned.
    fn failed_elsewhere(&self, login: Login, here: Failure, there: Failed) -> Option<Duration> {
        let logins = &self.0.logins;
        let (scope, ban) = match (here, there) {
            (Failure::Tripped { scope, ban }, _) => (scope, ban),
            (_, Failed::Tripped { scope }) => {
                match logins.tracker.trip(&logins.limits, scope, logins.now()) {
                    Failure::Tripped { ban, .. } => {
                        logins.keep(login.client);
                        self.trip(login.client.address(), scope, ban);
                        (scope, ban)
                    }
                    Failure::Banned { retry_after } => return Some(retry_after),
                    Failure::Counted { .. } => return None,
                }
            }
            _ => return None,
        };
        let (age, left) = (Duration::ZERO, ban);
        self.tell_bans(vec![BanRecord { scope, age, left }]);
        Some(ban)
    }

    /// A login has succeeded. Waits for the store, so that the client's next request finds it
    /// there, but not for one that is away.
    pub(super) async fn end_elsewhere(&self, login: Login, id: AttemptId) {
        if let Some(cluster) = self.shared_count_of(login) {
            let end = async move { cluster.end_attempt(login, id).await };
            self.0.worker.run(LATE, end).await;
        }
    }

    /// An attempt never began.
    pub(super) fn take_back_elsewhere(&self, login: Login, id: AttemptId) {
        if let Some(cluster) = self.shared_count_of(login) {
            cluster.background(move |cluster| async move { cluster.end_attempt(login, id).await });
        }
    }

    fn shared_count_of(&self, login: Login) -> Option<Arc<Cluster>> {
        let cluster = self.0.cluster.as_ref()?;
        (login.client != Scope::NAMELESS).then(|| Arc::clone(cluster))
    }

    /// All failures of a client are forgotten everywhere.
    pub(super) async fn pardon_elsewhere(&self, client: Scope) {
        if let Some(cluster) = &self.0.cluster {
            let cluster = Arc::clone(cluster);
            let pardon = async move { cluster.clear_failures(client).await };
            self.0.worker.run(LATE, pardon).await;
        }
    }

    pub(super) fn tell_bans(&self, bans: Vec<BanRecord>) {
        if let Some(cluster) = &self.0.cluster {
            cluster.background(move |cluster| async move {
                cluster.tell_bans(&bans).await;
            });
        }
    }
}
