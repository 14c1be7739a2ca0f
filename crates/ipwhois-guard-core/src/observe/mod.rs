//! Is it working? What a guard tells of itself: metrics and health.
//!
//! - `meter`, `tally`: what is counted where it happens, in plain numbers;
//! - `measured`: the service, with each call counted and timed;
//! - `crowd`: signs of a wrong set-up that all clients share; `heavy`: the addresses that come most
//!   often;
//! - `reliability`: what became of the last calls to the service;
//! - `metrics`, `totals`: the metrics and how they are published;
//! - `judge`: the rules of health; `problem`, `wording`, `health`: what comes of them; `watch`:
//!   what is remembered between two looks;
//! - here: the look at all parts of a guard, once a second and whenever somebody asks.
//!
//! 1. A request pays for one addition. One in 64 is looked at for what all of them have in common.
//! 2. Whoever looks waits for no I/O, and nothing that looks keeps the guard alive.
//! 3. Time comes from the guard's clock; only how often its thread looks is real time.

mod crowd;
mod health;
mod heavy;
mod judge;
mod measured;
mod meter;
mod metrics;
mod problem;
mod reliability;
mod tally;
mod totals;
mod watch;
mod wording;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::time::MissedTickBehavior;

use self::judge::{FeedSigns, SharedSigns, Signs, problems};
use self::meter::Endpoint;
use self::metrics::Figures;
use self::tally::{Outcome, SOURCES};
use self::watch::{Losses, Told};
use crate::clock::{Clock, Tick};
use crate::events;
use crate::feed::FeedKeeper;
use crate::guard::Lists;
use crate::logins::Tracker;
use crate::lookup::{DailyBudget, Lookup};
use crate::reports::Reporter;
use crate::rules::Mode;
use crate::state::Journal;
use crate::stats::Stats;
use crate::store::cluster::Cluster;
use crate::verdict::Source;

pub(crate) use self::crowd::{Seen, Trace, kind};
pub use self::health::{Health, HealthStatus};
pub(crate) use self::measured::Measured;
pub(crate) use self::meter::{BanCause, Meter};
pub use self::problem::Problem;
pub(crate) use self::watch::Pulse;

/// How often the guard's thread looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is known of a guard from its settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) mode: Mode,
    pub(crate) has_key: bool,
    pub(crate) max_failures: u32,
    pub(crate) feed_interval: Duration,
    /// A shared store is configured, and the guard was built without one.
    pub(crate) is_tier_missing: bool,
    /// The process whose guard this one takes the place of, in a forked child.
    pub(crate) forked_from: Option<u32>,
}

/// The parts of a guard that have something to tell. It does not hold the guard's thread.
pub(crate) struct Observer {
    pub(crate) facts: Facts,
    pub(crate) meter: Arc<Meter>,
    pub(crate) lookup: Arc<Lookup>,
    pub(crate) budget: Arc<DailyBudget>,
    pub(crate) feed: Arc<FeedKeeper>,
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) lists: Arc<Lists>,
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) memory: Mutex<Memory>,
    pub(crate) pulse: Mutex<Pulse>,
    /// What the counters were when they were published last. Locked before they are read: of two
    /// who publish at once the later one has the later figures.
    pub(crate) published: Mutex<Vec<u64>>,
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    reports_lost: Losses,
    reports_refused: Losses,
    bans_lost: Losses,
    state_removals: Losses,
    told: Told,
}

impl Observer {
    /// Looks once a second, for as long as the guard's thread runs.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.pulse().beat(Instant::now());
            self.tell();
            self.meter.warnings.tell_again();
            self.publish();
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let feed = self.feed.status();
        let reports = self.reporter.counts();
        let shared = self.cluster.as_ref().map(|cluster| cluster.status());
        let (shared_error, shared_failures) = shared.unwrap_or_default();
        Stats {
            cache_entries: self.lookup.cached(),
            checks_today: self.budget.spent_today(),
            checks_left: self.budget.left(),
            feed_entries: feed.entries,
            feed_age: feed.age,
            feed_error: feed.last_error,
            state_error: self.journal.status().error,
            shared_error,
            shared_failures,
            tracked_clients: self.tracker.tracked_clients(),
            active_bans: self.tracker.active_bans(Tick::at(self.clock.elapsed())),
            bans_lost: self.tracker.bans_lost(),
            reports_pending: reports.pending,
            reports_delivered: reports.delivered,
            reports_refused: reports.refused,
            reports_given_up: reports.given_up,
            reports_dropped: reports.dropped_full,
        }
    }

    pub(crate) fn health(&self) -> Health {
        let problems = problems(&self.signs());
        let stats = self.stats();
        let sum = |outcome, counts: fn(Source) -> bool| -> u64 {
            let sources = SOURCES.into_iter().filter(|&source| counts(source));
            sources
                .map(|source| self.meter.decisions(outcome, source))
                .sum()
        };
        let guarded = |source| !matches!(source, Source::NotInScope | Source::Off);
        let unverified = |source| matches!(source, Source::Unverified(_));
        Health {
            status: if problems.is_empty() {
                HealthStatus::Ok
            } else {
                HealthStatus::Degraded
            },
            problems,
            mode: self.facts.mode,
            allowed: sum(Outcome::Allowed, guarded),
            denied: sum(Outcome::Denied, guarded),
            monitored: sum(Outcome::Monitored, guarded),
            unverified: Outcome::ALL
                .map(|outcome| sum(outcome, unverified))
                .iter()
                .sum(),
            checks_today: stats.checks_today,
            checks_left: stats.checks_left,
            cache_entries: stats.cache_entries,
            feed_entries: stats.feed_entries,
            feed_age: stats.feed_age,
            active_bans: stats.active_bans,
            reports_pending: stats.reports_pending,
            reports_delivered: stats.reports_delivered,
        }
    }

    /// Gives the metrics to the recorder that is there now.
    pub(crate) fn publish(&self) {
        let mut published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let cluster = self.cluster.as_ref();
        let figures = Figures {
            stats: self.stats(),
            reports: self.reporter.counts(),
            check_price: self.budget.price(),
            is_breaker_open: self.lookup.breaker_open().is_some(),
            is_shared_breaker_open: cluster.map(|cluster| !cluster.is_there()),
            problems: problems(&self.signs()).iter().map(Problem::code).collect(),
        };
        metrics::publish(&self.meter, &figures, &mut published);
    }

    /// Says in the log what has gone wrong, and what is well again.
    fn tell(&self) {
        let problems = problems(&self.signs());
        let changes = self.memory().told.tell(&problems);
        let guard = self.meter.name().map(str::to_owned);
        for problem in changes.new {
            let (code, guard) = (problem.code(), guard.clone());
            event!(WARN, code, guard, "{problem}");
        }
        for code in changes.gone {
            let guard = guard.clone();
            event!(INFO, code, guard, "no problem any more");
        }
    }

    fn signs(&self) -> Signs {
        let now = self.clock.elapsed();
        let feed = self.feed.status();
        let reports = self.reporter.counts();
        let lost = reports.dropped_full.saturating_add(reports.given_up);
        let state = self.journal.status();
        let mut memory = self.memory();
        Signs {
            suspicions: self.meter.suspicions(),
            spared: self.meter.spared_lately(now),
            max_failures: self.facts.max_failures,
            feed: self.feed.is_wanted().then(|| FeedSigns {
                interval: self.facts.feed_interval,
                age: feed.age,
                generated_ago: feed.generated.map(|then| self.age(then)),
                error: feed.last_error,
                is_refused: feed.is_refused,
            }),
            key_refused: self.meter.key_refused(),
            has_key: self.facts.has_key,
            no_check_until: self.budget.gone_until(),
            checks_wanted: self.budget.wanted(),
            breaker_open: self.lookup.breaker_open(),
            check_error: self.meter.last_error(Endpoint::Check),
            report_error: self.meter.last_error(Endpoint::Report),
            unreliable: self.meter.unreliable(now),
            shared: match &self.cluster {
                Some(cluster) if !cluster.is_there() => SharedSigns::Away(cluster.status().0),
                Some(cluster) => cluster
                    .unheard()
                    .map_or(SharedSigns::Well, SharedSigns::Unheard),
                None if self.facts.is_tier_missing => SharedSigns::Missing,
                None => SharedSigns::Well,
            },
            behind: self.pulse().behind(Instant::now()),
            log_blocked: events::blocked(),
            forked_from: self.facts.forked_from,
            lists_broken: self.lists.errors(),
            state_error: state.error,
            state_removals: memory.state_removals.note(state.removals, now),
            reports_pending: reports.pending,
            oldest_report: reports.oldest,
            reports_lost: memory.reports_lost.note(lost, now),
            reports_refused: memory.reports_refused.note(reports.refused, now),
            bans_lost: memory.bans_lost.note(self.tracker.bans_lost(), now),
        }
    }

    fn age(&self, since: SystemTime) -> Duration {
        let age = self.clock.wall().duration_since(since);
        age.unwrap_or_default()
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
