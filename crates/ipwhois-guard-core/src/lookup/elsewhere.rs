//! What other machines know, where the lookup asks them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Answer, Found, Lookup, Question};
use crate::state::{self, StoredVerdict};
use crate::store::cluster::{Cluster, Lease};
use crate::store::{Seen, SharedVerdict};
use crate::verdict::{Reputation, Source};

/// How often to look again while another machine asks.
const AGAIN: Duration = Duration::from_millis(25);

/// The shared store, and how long what it holds counts.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pub(crate) cluster: Arc<Cluster>,
    /// How long this machine may take to ask the service.
    pub(crate) lease: Duration,
    pub(crate) cache_ttl: Duration,
    pub(crate) stale_ttl: Duration,
}

/// What comes of a look elsewhere.
#[derive(Debug)]
pub(super) enum Sight {
    /// Another machine knows.
    Settled(Answer),
    /// This one asks the service. The lease is the right to do so for all machines; without one the
    /// others may ask, too.
    Ask(Option<Lease>),
    /// It asks alone: there is no cluster, or it did not answer.
    Alone,
}

impl Lookup {
    /// Whether there is anybody else to ask.
    pub(super) fn is_alone(&self) -> bool {
        match &self.elsewhere {
            Some(elsewhere) => elsewhere.cluster.is_alone(),
            None => true,
        }
    }

    /// Looks for a verdict of another machine, and waits while another one asks: as long as its
    /// lease lasts.
    pub(super) async fn look_elsewhere(&self, question: Question) -> Sight {
        let Some(elsewhere) = &self.elsewhere else {
            return Sight::Alone;
        };
        self.until_open().await;
        let ip = question.ip;
        let begun = Instant::now();
        let mut awaited = false;
        loop {
            // What was kept on disk, or what another machine has announced meanwhile.
            if let Some(found) = self.known(question) {
                return Sight::Settled(Ok(found));
            }
            match elsewhere.cluster.look(ip, elsewhere.lease).await {
                // Who waits for another machine's verdict does not give it up for one answer that
                // is late.
                None if awaited
                    && elsewhere.cluster.is_there()
                    && begun.elapsed() <= 2 * elsewhere.lease =>
                {
                    tokio::time::sleep(AGAIN).await;
                }
                None => return Sight::Alone,
                Some(Seen::Leased) => {
                    let lease = Lease::new(Arc::clone(&elsewhere.cluster), ip);
                    return Sight::Ask(Some(lease));
                }
                Some(Seen::Verdict(verdict)) => {
                    self.take_over(elsewhere, ip, verdict);
                    return match self.known(question) {
                        Some(found) => Sight::Settled(Ok(found.shared())),
                        // It is too old, or from before the feed listed the address.
                        None => Sight::Ask(None),
                    };
                }
                // Whoever has it passes it on and on without ever asking.
                Some(Seen::Awaited) if begun.elapsed() > 2 * elsewhere.lease => {
                    return Sight::Ask(None);
                }
                Some(Seen::Awaited) => {
                    awaited = true;
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    fn take_over(&self, elsewhere: &Elsewhere, ip: IpAddr, verdict: SharedVerdict) {
        let wall = self.clock.wall();
        let ages = (elsewhere.cache_ttl, elsewhere.stale_ttl);
        if let Some(age) = state::age(verdict.verified, wall, ages.0, ages.1) {
            let verified = state::tick(age, self.clock.elapsed());
            self.cache
                .restore(ip, verdict.reputation, verified, self.now());
            self.keep(ip, verdict);
        }
    }

    /// Another machine has just found an address to be listed.
    pub(crate) fn hear_listed(&self, ip: IpAddr, verdict: SharedVerdict) {
        let Some(elsewhere) = &self.elsewhere else {
            return;
        };
        let wall = self.clock.wall();
        let ages = (elsewhere.cache_ttl, elsewhere.stale_ttl);
        if verdict.reputation.listed
            && let Some(age) = state::age(verdict.verified, wall, ages.0, ages.1)
        {
            let verified = state::tick(age, self.clock.elapsed());
            self.cache
                .learn_listed(ip, verdict.reputation, verified, self.now());
            self.keep(ip, verdict);
        }
    }

    fn keep(&self, ip: IpAddr, verdict: SharedVerdict) {
        self.journal.note_verdict(StoredVerdict {
            ip,
            reputation: verdict.reputation,
            verified: verdict.verified,
        });
    }

    /// Tells the others what the service has said. They use it as long as it is fresh: then one of
    /// them asks again.
    pub(super) fn tell(&self, ip: IpAddr, reputation: Reputation) {
        if let Some(elsewhere) = &self.elsewhere {
            let verdict = SharedVerdict {
                reputation,
                verified: whole_seconds(self.clock.wall()),
            };
            elsewhere.cluster.learn(ip, verdict, elsewhere.cache_ttl);
        }
    }
}

impl Found {
    /// A fresh verdict came by way of the store.
    fn shared(self) -> Self {
        match self.source {
            Source::Cache => Self {
                source: Source::Shared,
                ..self
            },
            _ => self,
        }
    }
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since_epoch.unwrap_or_default().as_secs();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
