//! The metrics: their names, what they mean, and how they come to the recorder.
//!
//! Nothing is registered before it is published, and everything each time: the recorder may be
//! installed at any time, and another one may be asked for ([`metrics::with_local_recorder`]).

use std::sync::atomic::Ordering;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

use super::meter::{API_RESULTS, BAN_CAUSES, ENDPOINTS, FEED_RESULTS, Meter, SHARED_RESULTS};
use super::problem::CODES;
use super::tally::{Outcome, SOURCES};
use super::totals;
use crate::reports::ReportCounts;
use crate::stats::Stats;
use crate::verdict::Source;

const DECISIONS: &str = "ipwhois_guard_decisions_total";
const UNVERIFIED: &str = "ipwhois_guard_unverified_total";
const API_CALLS: &str = "ipwhois_guard_api_calls_total";
pub(super) const API_SECONDS: &str = "ipwhois_guard_api_call_seconds";
const FEED_FETCHES: &str = "ipwhois_guard_feed_fetches_total";
const REPORTS: &str = "ipwhois_guard_reports_total";
const REPORTS_PACED: &str = "ipwhois_guard_reports_paced_total";
const BANS: &str = "ipwhois_guard_bans_total";
const BANS_LOST: &str = "ipwhois_guard_bans_lost_total";
const ACCOUNTS_ATTACKED: &str = "ipwhois_guard_accounts_attacked_total";
const SHARED_CALLS: &str = "ipwhois_guard_shared_calls_total";
pub(super) const SHARED_SECONDS: &str = "ipwhois_guard_shared_call_seconds";

const CHECKS_SPENT: &str = "ipwhois_guard_checks_spent";
const CHECKS_LEFT: &str = "ipwhois_guard_checks_left";
const CHECK_PRICE: &str = "ipwhois_guard_check_price";
const CACHE_ENTRIES: &str = "ipwhois_guard_cache_entries";
const FEED_ENTRIES: &str = "ipwhois_guard_feed_entries";
const FEED_AGE: &str = "ipwhois_guard_feed_age_seconds";
const REPORTS_PENDING: &str = "ipwhois_guard_reports_pending";
const ACTIVE_BANS: &str = "ipwhois_guard_active_bans";
const TRACKED_CLIENTS: &str = "ipwhois_guard_tracked_clients";
const BREAKER_OPEN: &str = "ipwhois_guard_breaker_open";
const SHARED_BREAKER_OPEN: &str = "ipwhois_guard_shared_breaker_open";
const PROBLEM: &str = "ipwhois_guard_problem";

/// What is published besides what the meter has.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) stats: Stats,
    pub(super) reports: ReportCounts,
    /// The score from which a client is checked.
    pub(super) check_price: f64,
    pub(super) is_breaker_open: bool,
    /// `None` without a shared store.
    pub(super) is_shared_breaker_open: Option<bool>,
    /// The codes of what is wrong.
    pub(super) problems: Vec<&'static str>,
}

type Labels = [(&'static str, &'static str)];

/// Calls `with` with every counter, always in the same order.
fn each_counter(
    meter: &Meter,
    figures: &Figures,
    mut with: impl FnMut(&'static str, &Labels, u64),
) {
    let sources = SOURCES
        .into_iter()
        .filter(|source| !matches!(source, Source::Unverified(_)));
    for outcome in Outcome::ALL {
        for source in sources
            .clone()
            .filter(|&source| outcome.is_possible(source))
        {
            let labels = [("outcome", outcome.as_str()), ("source", source.as_str())];
            with(DECISIONS, &labels, meter.decisions(outcome, source));
        }
        let labels = [("outcome", outcome.as_str()), ("source", "unverified")];
        let unverified = SOURCES
            .into_iter()
            .filter(|source| matches!(source, Source::Unverified(_)))
            .map(|source| meter.decisions(outcome, source));
        with(DECISIONS, &labels, unverified.sum());
    }
    for source in SOURCES {
        if let Source::Unverified(reason) = source {
            let all = Outcome::ALL.map(|outcome| meter.decisions(outcome, source));
            with(UNVERIFIED, &[("reason", reason.as_str())], all.iter().sum());
        }
    }
    for (endpoint, counts) in ENDPOINTS.into_iter().zip(&meter.api) {
        for (result, count) in API_RESULTS.into_iter().zip(counts.all()) {
            let labels = [("endpoint", endpoint), ("result", result)];
            with(API_CALLS, &labels, count);
        }
    }
    for (result, count) in FEED_RESULTS.into_iter().zip(meter.feed.all()) {
        with(FEED_FETCHES, &[("result", result)], count);
    }
    let reports = figures.reports;
    for (result, count) in [
        ("delivered", reports.delivered),
        ("refused", reports.refused),
        ("given-up", reports.given_up),
        ("dropped", reports.dropped_full),
        ("duplicate", reports.duplicates),
    ] {
        with(REPORTS, &[("result", result)], count);
    }
    with(REPORTS_PACED, &[], reports.paced);
    for (cause, count) in BAN_CAUSES.into_iter().zip(meter.bans.all()) {
        with(BANS, &[("cause", cause)], count);
    }
    with(BANS_LOST, &[], figures.stats.bans_lost);
    let attacked = meter.accounts_attacked.load(Ordering::Relaxed);
    with(ACCOUNTS_ATTACKED, &[], attacked);
    for (result, count) in SHARED_RESULTS.into_iter().zip(meter.shared.all()) {
        with(SHARED_CALLS, &[("result", result)], count);
    }
}

/// Gives the recorder what there is to know. `published`: what the counters were last time.
pub(super) fn publish(meter: &Meter, figures: &Figures, published: &mut Vec<u64>) {
    describe();
    let mut counters = Vec::new();
    each_counter(meter, figures, |name, labels, count| {
        counters.push((name, meter.labels(labels), count));
    });
    let counts = counters.iter().map(|&(_, _, count)| count).collect();
    let sums = totals::add(meter.name(), published, counts);
    for ((name, labels, _), sum) in counters.into_iter().zip(sums) {
        counter!(name, labels).absolute(sum);
    }

    let stats = &figures.stats;
    let set = |name: &'static str, labels: &Labels, value: f64| {
        gauge!(name, meter.labels(labels)).set(value);
    };
    let truth = |is_so: bool| if is_so { 1.0 } else { 0.0 };
    set(CHECKS_SPENT, &[], f64::from(stats.checks_today));
    set(CHECKS_LEFT, &[], f64::from(stats.checks_left));
    set(CHECK_PRICE, &[], figures.check_price);
    set(CACHE_ENTRIES, &[], stats.cache_entries as f64);
    set(FEED_ENTRIES, &[], stats.feed_entries as f64);
    if let Some(age) = stats.feed_age {
        set(FEED_AGE, &[], age.as_secs_f64());
    }
    set(REPORTS_PENDING, &[], stats.reports_pending as f64);
    set(ACTIVE_BANS, &[], stats.active_bans as f64);
    set(TRACKED_CLIENTS, &[], stats.tracked_clients as f64);
    set(BREAKER_OPEN, &[], truth(figures.is_breaker_open));
    if let Some(is_open) = figures.is_shared_breaker_open {
        set(SHARED_BREAKER_OPEN, &[], truth(is_open));
    }
    for &code in CODES {
        let is_there = figures.problems.contains(&code);
        set(PROBLEM, &[("code", code)], truth(is_there));
    }
}

fn describe() {
    describe_counter!(
        DECISIONS,
        "Decisions on requests, and explicit checks, by outcome and by what settled them."
    );
    describe_counter!(
        UNVERIFIED,
        "Decisions on clients that could not be verified, by reason."
    );
    describe_counter!(API_CALLS, "Calls to the service, by what came of them.");
    describe_histogram!(
        API_SECONDS,
        Unit::Seconds,
        "How long calls to the service took."
    );
    describe_counter!(
        FEED_FETCHES,
        "Attempts to get the feed, by what came of them."
    );
    describe_counter!(REPORTS, "Reports, by what became of them.");
    describe_counter!(
        REPORTS_PACED,
        "Attempts to send a report that waited for their turn: sixty go at once, then one a second."
    );
    describe_counter!(BANS, "Bans, by who wanted them.");
    describe_counter!(
        BANS_LOST,
        "Bans that ended before their time, because there was no room for another one."
    );
    describe_counter!(
        ACCOUNTS_ATTACKED,
        "Accounts that came under attack: many clients failed to log in to one."
    );
    describe_counter!(
        SHARED_CALLS,
        "Calls to the shared store, by what came of them."
    );
    describe_histogram!(
        SHARED_SECONDS,
        Unit::Seconds,
        "How long calls to the shared store took."
    );
    describe_gauge!(CHECKS_SPENT, "Checks spent of this UTC day.");
    describe_gauge!(CHECKS_LEFT, "Checks left for this UTC day.");
    describe_gauge!(
        CHECK_PRICE,
        "The score from which a client is checked now, in requests that the check is expected to deny."
    );
    describe_gauge!(
        CACHE_ENTRIES,
        "Addresses that the cache remembers, for a verdict or because asking failed."
    );
    describe_gauge!(FEED_ENTRIES, "Entries of the feed in force.");
    describe_gauge!(
        FEED_AGE,
        Unit::Seconds,
        "How long ago the feed in force was known to be current."
    );
    describe_gauge!(REPORTS_PENDING, "Reports that wait to be delivered.");
    describe_gauge!(ACTIVE_BANS, "Clients that are banned.");
    describe_gauge!(
        TRACKED_CLIENTS,
        "Clients with failed logins or attempts under way."
    );
    describe_gauge!(
        BREAKER_OPEN,
        "1 while the service fails and nobody is asked about."
    );
    describe_gauge!(
        SHARED_BREAKER_OPEN,
        "1 while the shared store is away and this machine decides alone."
    );
    describe_gauge!(
        PROBLEM,
        "1 while health reports the problem with this code."
    );
}
