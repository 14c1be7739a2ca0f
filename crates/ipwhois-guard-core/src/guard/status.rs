//! What the status page and the command show, as plain data.

use std::net::IpAddr;
use std::time::SystemTime;

use serde::Serialize;

use super::Guard;
use super::explain::BanEntry;
use crate::address::Peer;
use crate::observe::{Health, HealthStatus, Monitored, Quarter, Refusal};
use crate::request::RequestHead;
use crate::rules::Mode;
use crate::serialised::{some_time, time};
use crate::status::StatusPage;

/// How a guard is doing: [`Guard::status`]. As JSON it is an object of its fields, times by
/// RFC 3339 and durations in seconds. It names addresses and paths, so show it to those who run the
/// site.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StatusData {
    /// When.
    #[serde(serialize_with = "time")]
    pub time: SystemTime,
    /// Whether the site is protected, in one sentence.
    pub sentence: String,
    /// What is wrong, and the figures of health.
    pub health: Health,
    /// Today's checks.
    pub budget: BudgetStatus,
    /// The last 24 hours in quarters of an hour, oldest first.
    pub quarters: Vec<Quarter>,
    /// The latest refusals, newest first.
    pub refusals: Vec<Refusal>,
    /// How many there were since the start.
    pub refusals_total: u64,
    /// What would have been refused in `monitor` mode.
    pub monitored: Monitored,
    /// Clients that are banned, the ban that ends last first.
    pub bans: Vec<BanEntry>,
    /// The feed.
    pub feed: FeedStatus,
    /// What is kept and shared.
    pub store: StoreStatus,
    /// Reports to the service.
    pub reports: ReportStatus,
}

/// Today's checks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BudgetStatus {
    /// Checks spent of this UTC day.
    pub spent: u32,
    /// Checks left, by the guard's count or the service's word, whichever is less.
    pub left: u32,
    /// Checks of a day, by the settings.
    pub limit: u32,
    /// The score from which a client is checked now.
    pub price: f64,
    /// When there is a check again, if none is left.
    #[serde(serialize_with = "some_time")]
    pub none_until: Option<SystemTime>,
}

/// The feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FeedStatus {
    /// Entries of the feed in force; 0 without one.
    pub entries: usize,
    /// How many seconds ago it was last known to be current.
    pub age: Option<u64>,
    /// Why the last attempt brought no feed.
    pub error: Option<String>,
}

/// What is kept and shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreStatus {
    /// Whether there is a state folder.
    pub has_folder: bool,
    /// Why nothing is kept in it.
    pub folder_error: Option<String>,
    /// Whether there is a shared store.
    pub is_shared: bool,
    /// Why the last call to it failed.
    pub shared_error: Option<String>,
    /// Addresses that the cache remembers.
    pub cache_entries: usize,
}

/// Reports to the service, since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReportStatus {
    /// How many wait.
    pub pending: usize,
    /// How many were delivered.
    pub delivered: u64,
    /// How many were refused for good.
    pub refused: u64,
    /// How many were lost: given up, or dropped from a full queue.
    pub lost: u64,
}

/// Who the guard thinks is asking: for the operator to see whether proxies are set up right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Viewer {
    /// The client's address; `None` when it cannot be determined.
    pub client: Option<IpAddr>,
    /// How it was found, in words.
    pub how: String,
}

/// Maximum number of refusals and of bans in [`StatusData`].
const SHOWN: usize = 50;

impl Guard {
    /// How the guard is doing, for a status page, a command or a program.
    #[must_use]
    pub fn status(&self) -> StatusData {
        let guard = self.here();
        let inner = &guard.0;
        let stats = inner.observer.stats();
        let health = inner.observer.health();
        let mut bans = guard.bans();
        bans.truncate(SHOWN);
        StatusData {
            time: inner.clock.wall(),
            sentence: sentence(&health),
            budget: BudgetStatus {
                spent: stats.checks_today,
                left: stats.checks_left,
                limit: inner.observer.facts.checks_a_day,
                price: inner.budget.price(),
                none_until: inner.budget.gone_until(),
            },
            quarters: inner.observer.quarters(),
            refusals: inner.meter.refusals.recent(SHOWN),
            refusals_total: inner.meter.refusals.total(),
            monitored: inner.meter.refusals.monitored(),
            bans,
            feed: FeedStatus {
                entries: stats.feed_entries,
                age: stats.feed_age.map(|age| age.as_secs()),
                error: stats.feed_error,
            },
            store: StoreStatus {
                has_folder: inner.observer.facts.has_state_folder,
                folder_error: stats.state_error,
                is_shared: inner.cluster.is_some(),
                shared_error: stats.shared_error,
                cache_entries: stats.cache_entries,
            },
            reports: ReportStatus {
                pending: stats.reports_pending,
                delivered: stats.reports_delivered,
                refused: stats.reports_refused,
                lost: stats.reports_given_up.saturating_add(stats.reports_dropped),
            },
            health,
        }
    }

    /// The status page as plain data, to be mounted at this path: each adapter has a function for
    /// that. It shows [`status`](Self::status) to everybody who may reach the path, with networks
    /// in place of addresses. With the setting `status_token` the holder of the token sees
    /// addresses and can lift bans.
    #[must_use]
    pub fn status_page(&self, path: &str) -> StatusPage {
        StatusPage::new(self.clone(), path, self.0.status_token.as_ref())
    }

    /// Who sends this request, as the guard sees it.
    #[must_use]
    pub fn viewer(&self, request: &impl RequestHead) -> Viewer {
        let resolver = &self.0.resolver;
        let client = self.client(request);
        let header = resolver.header();
        let how = match (&client, request.peer()) {
            (Err(reason), _) => super::explain::unverified_words(*reason).to_owned(),
            (Ok(client), Peer::Ip(peer)) if peer.to_canonical() == *client => {
                let is_forwarded = self.is_forwarded(request);
                match is_forwarded {
                    true => "The peer of the connection. It sends a forwarding header, which is \
                             not read: the peer is no trusted proxy."
                        .to_owned(),
                    false => "The peer of the connection.".to_owned(),
                }
            }
            (Ok(_), Peer::Ip(peer)) => format!(
                "By the header `{header}` of the trusted proxy {}.",
                peer.to_canonical()
            ),
            (Ok(_), _) => format!("By the header `{header}` of the trusted proxy."),
        };
        Viewer {
            client: client.ok(),
            how,
        }
    }
}

/// Whether the site is protected, in one sentence.
fn sentence(health: &Health) -> String {
    let well = health.status == HealthStatus::Ok;
    match (health.mode, health.problems.len()) {
        (Mode::Off, _) => "The guard is off: nobody is refused.".to_owned(),
        (Mode::Monitor, _) if well => {
            "The guard watches and refuses nobody: its mode is `monitor`.".to_owned()
        }
        (Mode::Monitor, n) => format!(
            "The guard watches and refuses nobody, and {} to be mended.",
            things(n)
        ),
        (Mode::Enforce, _) if well => "The site is protected.".to_owned(),
        (Mode::Enforce, n) => {
            format!("The site is protected in part: {} to be mended.", things(n))
        }
    }
}

fn things(n: usize) -> String {
    match n {
        1 => "one thing is".to_owned(),
        n => format!("{n} things are"),
    }
}
