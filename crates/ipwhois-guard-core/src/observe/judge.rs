//! The rules of health: from what the parts of a guard say of themselves to what is wrong.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::crowd::Suspicions;
use super::problem::Problem;
use super::reliability::Unreliable;
use crate::events;

/// A feed is old when it was not known to be current for so many times its interval, and for so
/// long.
const OLD_FEED: u32 = 3;
const OLD_FEED_AT_LEAST: Duration = Duration::from_secs(2 * 60 * 60);

/// A feed that the service made longer ago than this is old, whatever its server says.
const STALE_FEED: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// A report that waits for longer is stuck.
const STUCK: Duration = Duration::from_secs(60 * 60);

/// What the parts of a guard say of themselves at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Signs {
    pub(super) suspicions: Suspicions,
    /// Who was not banned, and how often it failed.
    pub(super) spared: Option<(IpAddr, u32)>,
    pub(super) max_failures: u32,
    /// `None` where there is none to be had.
    pub(super) feed: Option<FeedSigns>,
    /// The status.
    pub(super) key_refused: Option<u16>,
    pub(super) has_key: bool,
    pub(super) no_check_until: Option<SystemTime>,
    /// Checks that a day is worth and checks that it has, where these are far fewer.
    pub(super) checks_wanted: Option<(u32, u32)>,
    /// In how long the service is tried again.
    pub(super) breaker_open: Option<Duration>,
    pub(super) unreliable: Option<Unreliable>,
    /// Why the last check that failed did, and the last report.
    pub(super) check_error: Option<String>,
    pub(super) report_error: Option<String>,
    pub(super) shared: SharedSigns,
    /// How late the guard's thread is, if it is.
    pub(super) behind: Option<Duration>,
    pub(super) log_blocked: Option<events::Blocked>,
    pub(super) forked_from: Option<u32>,
    /// Which list files cannot be used, and why.
    pub(super) lists_broken: Vec<String>,
    pub(super) state_error: Option<String>,
    /// How often since the start, if it was within the last hour.
    pub(super) state_removals: Option<u64>,
    pub(super) reports_pending: usize,
    /// For how long the oldest one has waited.
    pub(super) oldest_report: Option<Duration>,
    /// How many since the start, if one was within the last hour.
    pub(super) reports_lost: Option<u64>,
    pub(super) reports_refused: Option<u64>,
    pub(super) bans_lost: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FeedSigns {
    pub(super) interval: Duration,
    /// Since the feed in force was known to be current; `None` without one.
    pub(super) age: Option<Duration>,
    /// Since the service made it, as its own comment says.
    pub(super) generated_ago: Option<Duration>,
    /// Why the last attempt failed.
    pub(super) error: Option<String>,
    /// Whether it failed because what came cannot be believed.
    pub(super) is_refused: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) enum SharedSigns {
    /// There, or not wanted.
    #[default]
    Well,
    /// Wanted and not built.
    Missing,
    Away(Option<String>),
    /// It is there, and nothing is heard from it.
    Unheard(String),
}

/// What is wrong, the worst first.
pub(super) fn problems(signs: &Signs) -> Vec<Problem> {
    let spared = signs
        .spared
        .filter(|&(_, failures)| failures >= signs.max_failures);
    let stuck = signs.oldest_report.filter(|&oldest| oldest > STUCK);
    let found = [
        not_determined(&signs.suspicions),
        signs.suspicions.middlemen.clone().map(|clients| {
            let in_list = true;
            Problem::ProxiesNotTrusted { clients, in_list }
        }),
        spared.map(|(client, failures)| Problem::ClientNotBanned { client, failures }),
        signs.key_refused.map(|status| Problem::KeyRefused {
            status,
            has_key: signs.has_key,
        }),
        signs.breaker_open.map(|next_try| Problem::BreakerOpen {
            next_try,
            error: signs.check_error.clone(),
        }),
        signs.unreliable.map(|last| Problem::ServiceUnreliable {
            calls: last.calls,
            failed: last.failed,
            late: last.late,
            error: signs.check_error.clone().filter(|_| last.failed > 0),
        }),
        signs
            .no_check_until
            .map(|until| Problem::BudgetGone { until }),
        signs
            .checks_wanted
            .map(|(wanted, limit)| Problem::BudgetTooSmall { wanted, limit }),
        signs.feed.as_ref().and_then(missing_or_refused),
        signs.feed.as_ref().and_then(old),
        match &signs.shared {
            SharedSigns::Well => None,
            SharedSigns::Unheard(error) => Some(Problem::SharedTierUnheard {
                error: error.clone(),
            }),
            SharedSigns::Missing => Some(Problem::SharedTierMissing),
            SharedSigns::Away(error) => Some(Problem::SharedTierAway {
                error: error.clone(),
            }),
        },
        signs.behind.map(|late| Problem::GuardBehind { late }),
        signs.log_blocked.map(|log| Problem::LogBlocked {
            since: log.since,
            lost: log.lost,
        }),
        signs.forked_from.map(|from| Problem::Forked { from }),
        (!signs.lists_broken.is_empty()).then(|| Problem::ListBroken {
            error: signs.lists_broken.join("; "),
        }),
        signs
            .state_error
            .clone()
            .map(|error| Problem::StateFailing { error }),
        signs
            .state_removals
            .map(|times| Problem::StateRemoved { times }),
        stuck.map(|oldest| Problem::ReportsStuck {
            pending: signs.reports_pending,
            oldest,
            error: signs.report_error.clone(),
        }),
        signs.reports_lost.map(|reports| Problem::ReportsLost {
            reports,
            error: signs.report_error.clone(),
        }),
        signs
            .reports_refused
            .map(|reports| Problem::ReportsRefused {
                reports,
                error: signs.report_error.clone(),
            }),
        signs.bans_lost.map(|bans| Problem::BansLost { bans }),
    ];
    found.into_iter().flatten().collect()
}

/// Why almost no client's own address is known, or none that the service can be asked about.
fn not_determined(suspicions: &Suspicions) -> Option<Problem> {
    let forwards = suspicions.forwarders.is_some();
    let clients = suspicions.forwarders.as_ref();
    match clients.or(suspicions.not_public.as_ref()).cloned() {
        Some(clients) => Some(match (clients.as_slice(), forwards) {
            (&[client], _) => Problem::EveryClientTheSame { client, forwards },
            (_, true) => Problem::ProxiesNotTrusted {
                clients,
                in_list: false,
            },
            (_, false) => Problem::ClientsNotPublic { clients },
        }),
        None => suspicions
            .unknown
            .map(|reason| Problem::ClientsUnknown { reason }),
    }
}

fn missing_or_refused(feed: &FeedSigns) -> Option<Problem> {
    let error = feed.error.clone()?;
    if feed.is_refused {
        Some(Problem::FeedRefused {
            error,
            in_force: feed.age.is_some(),
        })
    } else if feed.age.is_none() {
        Some(Problem::FeedMissing { error })
    } else {
        None
    }
}

fn old(feed: &FeedSigns) -> Option<Problem> {
    let limit = feed
        .interval
        .saturating_mul(OLD_FEED)
        .max(OLD_FEED_AT_LEAST);
    let age = feed.age?;
    let generated_ago = feed.generated_ago.filter(|&ago| ago > STALE_FEED);
    (age > limit || generated_ago.is_some()).then(|| Problem::FeedOld {
        age,
        generated_ago,
        error: feed.error.clone(),
    })
}

#[cfg(test)]
mod tests;
