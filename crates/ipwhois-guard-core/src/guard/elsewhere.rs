//! Failed logins and bans as all machines count them, and what the others announce.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::{Guard, Inner};
use crate::failures::{Failure, counted_as};
use crate::observe::BanCause;
use crate::store::{Announcement, Attempt, AttemptId, AttemptLimits, DEADLINE};

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
        let cluster = Arc::clone(cluster);
        runtime.spawn(async move {
            // What the state folder knows is older than what is announced.
            lookup.until_open().await;
            let hear = |announcement| {
                if let Some(inner) = inner.upgrade() {
                    Self(inner).hear(announcement);
                }
            };
            tokio::join!(cluster.keep(&budget), cluster.listen(hear));
        });
    }

    fn hear(&self, announcement: Announcement) {
        match announcement {
            Announcement::Listed { ip, verdict } => self.0.lookup.hear_listed(ip, verdict),
            Announcement::Banned { client, length } => {
                if let Some(client) = self.bannable(client) {
                    self.0.tracker.ban(client, length, self.0.lookup.now());
                    self.0.meter.banned(BanCause::Shared);
                }
            }
            Announcement::Unbanned { client } => self.0.tracker.unban(client),
        }
    }

    /// Begins an attempt on all machines; `None` when they cannot be asked.
    pub(super) async fn begin_elsewhere(&self, client: IpAddr) -> Option<Attempt> {
        let cluster = Arc::clone(self.0.cluster.as_ref()?);
        let limits = self.limits();
        let begin = async move { cluster.begin_attempt(counted_as(client), limits).await };
        self.0.worker.run(LATE, begin).await?
    }

    /// Counts a failure on all machines. Answers for how long the client is banned if that trips.
    pub(super) fn fail_elsewhere(
        &self,
        client: IpAddr,
        here: Failure,
        attempt: Option<AttemptId>,
    ) -> Option<JoinHandle<Option<Duration>>> {
        let cluster = Arc::clone(self.0.cluster.as_ref()?);
        let ban_here = match here {
            Failure::Counted { .. } => None,
            Failure::Tripped { ban } => Some(ban),
            Failure::Banned { .. } => return None,
        };
        let limits = self.limits();
        let attempt = attempt.unwrap_or_else(unknown_attempt);
        let guard = self.clone();
        let fail = async move {
            let key = counted_as(client);
            let failures = cluster.fail_attempt(key, attempt, limits).await;
            let ban = match ban_here {
                Some(ban) => ban,
                None if failures.is_some_and(|failures| failures >= limits.max_failures) => {
                    match guard.0.tracker.trip(client, guard.0.lookup.now()) {
                        Failure::Tripped { ban } => {
                            guard.trip(client, ban);
                            ban
                        }
                        Failure::Banned { retry_after } => return Some(retry_after),
                        Failure::Counted { .. } => return None,
                    }
                }
                None => return None,
            };
            // Nobody waits for the announcement.
            cluster.background(move |cluster| async move { cluster.ban(key, ban).await });
            Some(ban)
        };
        Some(self.0.worker.runtime().spawn(fail))
    }

    /// A client has logged in: its failures are forgotten everywhere.
    pub(super) async fn pardon_elsewhere(&self, client: IpAddr) {
        if let Some(cluster) = &self.0.cluster {
            let cluster = Arc::clone(cluster);
            let pardon = async move { cluster.clear_failures(counted_as(client)).await };
            self.0.worker.run(LATE, pardon).await;
        }
    }

    pub(super) fn ban_elsewhere(&self, client: IpAddr, length: Duration) {
        if let Some(cluster) = &self.0.cluster {
            cluster.background(move |cluster| async move {
                cluster.ban(counted_as(client), length).await
            });
        }
    }

    pub(super) fn unban_elsewhere(&self, client: IpAddr) {
        if let Some(cluster) = &self.0.cluster {
            cluster
                .background(move |cluster| async move { cluster.unban(counted_as(client)).await });
        }
    }

    fn limits(&self) -> AttemptLimits {
        AttemptLimits {
            max_failures: self.0.max_failures,
            find_time: self.0.find_time,
        }
    }
}

/// A failure without an attempt needs a number that no other machine uses.
fn unknown_attempt() -> AttemptId {
    AttemptId(RandomState::new().hash_one(()))
}
