//! The metrics as a recorder gets them.

use std::time::Instant;

use ipwhois_guard_core::store::InMemory;
use ipwhois_guard_core::{Mode, ThreatType};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use super::*;

/// A guard of which nobody else in this process has the name.
fn named(service: &StandIn, name: &str) -> GuardBuilder {
    builder(service).feed_url("").name(name)
}

fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new().build_recorder()
}

fn publish_to(recorder: &PrometheusRecorder, guard: &Guard) -> Vec<String> {
    ::metrics::with_local_recorder(recorder, || guard.publish_metrics());
    let text = recorder.handle().render();
    text.lines().map(str::to_owned).collect()
}

fn published(guard: &Guard) -> Vec<String> {
    publish_to(&recorder(), guard)
}

/// The value of the one series whose name and labels these are.
#[track_caller]
fn value(lines: &[String], name: &str, labels: &[&str]) -> f64 {
    let is_it = |line: &&String| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    };
    let found: Vec<_> = lines.iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?} of {lines:#?}");
    let (_, value) = found[0].rsplit_once(' ').expect("a value");
    value.parse().expect("a number")
}

#[track_caller]
fn decisions(lines: &[String], outcome: &str, source: &str) -> f64 {
    let labels = [
        &*format!("outcome=\"{outcome}\""),
        &*format!("source=\"{source}\""),
    ];
    value(lines, "ipwhois_guard_decisions_total", &labels)
}

fn decide(guard: &Guard, path: &'static str, peer: impl Into<Peer>) {
    let head = Head {
        path,
        peer: peer.into(),
        forwarded_for: None,
    };
    block_on(guard.decide(&head).decision());
}

#[test]
fn decisions_are_counted_by_outcome_and_source() {
    let service = service();
    let guard = named(&service, "decisions")
        .protect("/admin")
        .protect(Rule::path("/watched").mode(Mode::Monitor))
        .protect(Rule::path("/alone").mode(Mode::Off))
        .deny(["26.9.0.0/16"])
        .build()
        .unwrap();
    for _ in 0..3 {
        decide(&guard, "/admin", CLEAN);
        decide(&guard, "/admin", LISTED);
        decide(&guard, "/watched", LISTED);
        decide(&guard, "/alone", LISTED);
        decide(&guard, "/", LISTED);
        decide(&guard, "/admin", IpAddr::from([10, 0, 0, 1]));
        decide(&guard, "/admin", IpAddr::from([26, 9, 0, 1]));
        decide(&guard, "/admin", Peer::Unknown);
    }
    let lines = published(&guard);
    for (outcome, source, expected) in [
        ("allowed", "api", 1.0),
        ("denied", "api", 1.0),
        ("monitored", "api", 0.0),
        ("allowed", "cache", 2.0),
        ("denied", "cache", 2.0),
        ("monitored", "cache", 3.0),
        ("allowed", "off", 3.0),
        ("allowed", "not-in-scope", 3.0),
        ("allowed", "non-public", 3.0),
        ("denied", "denylist", 3.0),
        ("allowed", "unverified", 3.0),
        ("denied", "unverified", 0.0),
    ] {
        assert_eq!(
            decisions(&lines, outcome, source),
            expected,
            "{outcome} {source}"
        );
    }
    let unverified = value(
        &lines,
        "ipwhois_guard_unverified_total",
        &["reason=\"no-peer\""],
    );
    assert_eq!(unverified, 3.0);
    let impossible = |line: &&String| line.contains("outcome=\"denied\",source=\"allowlist\"");
    assert_eq!(lines.iter().find(impossible), None);
}

#[test]
fn what_happened_before_a_recorder_was_there_is_not_lost() {
    let service = service();
    let guard = named(&service, "late recorder").build().unwrap();
    for _ in 0..5 {
        decide(&guard, "/", IpAddr::from([10, 0, 0, 1]));
    }
    // As the guard's thread does once a second, to nobody.
    guard.publish_metrics();
    assert_eq!(decisions(&published(&guard), "allowed", "non-public"), 5.0);
    let recorder = recorder();
    for _ in 0..2 {
        // Publishing again changes nothing.
        let lines = publish_to(&recorder, &guard);
        assert_eq!(decisions(&lines, "allowed", "non-public"), 5.0);
    }
    decide(&guard, "/", IpAddr::from([10, 0, 0, 1]));
    let lines = publish_to(&recorder, &guard);
    assert_eq!(decisions(&lines, "allowed", "non-public"), 6.0);
}

#[test]
fn guards_of_one_name_add_up_and_others_are_told_apart() {
    let service = service();
    let private = IpAddr::from([10, 0, 0, 1]);
    let recorder = recorder();
    let first = named(&service, "twins").build().unwrap();
    let second = named(&service, "twins").build().unwrap();
    let other = named(&service, "no twin").build().unwrap();
    for guard in [&first, &second, &second, &other] {
        decide(guard, "/", private);
    }
    for guard in [&first, &second, &other] {
        publish_to(&recorder, guard);
    }
    drop(first);
    // One that takes its place.
    let third = named(&service, "twins").build().unwrap();
    decide(&third, "/", private);
    let lines = publish_to(&recorder, &third);
    let of = |name: &str| {
        let labels = [name, "outcome=\"allowed\"", "source=\"non-public\""];
        value(&lines, "ipwhois_guard_decisions_total", &labels)
    };
    assert_eq!(of("guard=\"twins\""), 4.0);
    assert_eq!(of("guard=\"no twin\""), 1.0);
}

#[test]
fn what_a_guard_does_off_the_way_of_requests_is_counted() {
    let service = service();
    let guard = builder(&service)
        .name("off the way")
        .shared(InMemory::new())
        .build()
        .unwrap();
    block_on(guard.ready());
    service.set_feed("25.0.0.99\n25.0.0.100\n");
    block_on(guard.refresh_feed()).unwrap();
    block_on(guard.refresh_feed()).unwrap();
    block_on(guard.check(LISTED));
    service.behave(Behaviour::status(500));
    block_on(guard.check(CLEAN));
    service.recover();
    let queued = guard.report(LISTED, ThreatType::Scan).queue().unwrap();
    block_on(queued.delivered()).unwrap();
    drop(guard.report(LISTED, ThreatType::Scan).queue().unwrap());
    guard.ban([26, 1, 0, 1].into(), PATIENCE);
    for _ in 0..5 {
        let _ = block_on(guard.failed_login([26, 1, 0, 2].into()));
    }
    let lines = published(&guard);
    let count =
        |name: &str, labels: &[&str]| value(&lines, &format!("ipwhois_guard_{name}"), labels);
    let call = |endpoint, result| count("api_calls_total", &[endpoint, result]);
    assert_eq!(call("endpoint=\"check\"", "result=\"answered\""), 1.0);
    assert_eq!(call("endpoint=\"check\"", "result=\"refused\""), 1.0);
    assert_eq!(call("endpoint=\"check\"", "result=\"key-refused\""), 0.0);
    assert!(call("endpoint=\"report\"", "result=\"answered\"") >= 1.0);
    let fetches = |result| count("feed_fetches_total", &[result]);
    assert_eq!(fetches("result=\"refused\""), 1.0);
    assert_eq!(fetches("result=\"replaced\""), 1.0);
    assert_eq!(fetches("result=\"unchanged\""), 1.0);
    assert_eq!(count("reports_total", &["result=\"duplicate\""]), 1.0);
    assert!(count("reports_total", &["result=\"delivered\""]) >= 1.0);
    assert_eq!(count("bans_total", &["cause=\"application\""]), 1.0);
    assert_eq!(count("bans_total", &["cause=\"logins\""]), 1.0);
    assert!(count("shared_calls_total", &["result=\"answered\""]) > 0.0);
    assert_eq!(count("checks_spent", &[]), 2.0);
    assert_eq!(count("checks_left", &[]), 498.0);
    assert_eq!(count("check_price", &[]), 0.0);
    assert_eq!(count("cache_entries", &[]), 2.0);
    assert_eq!(count("feed_entries", &[]), 2.0);
    assert!(count("feed_age_seconds", &[]) < 30.0);
    assert_eq!(count("active_bans", &[]), 2.0);
    assert_eq!(count("breaker_open", &[]), 0.0);
    assert_eq!(count("shared_breaker_open", &[]), 0.0);
    assert_eq!(count("problem", &["code=\"budget_gone\""]), 0.0);
}

#[test]
fn a_problem_is_a_gauge_with_its_code() {
    let service = service();
    let guard = named(&service, "problem").daily_budget(1).build().unwrap();
    block_on(guard.check(CLEAN));
    let lines = published(&guard);
    let problem = |code| value(&lines, "ipwhois_guard_problem", &[code]);
    assert_eq!(problem("code=\"budget_gone\""), 1.0);
    assert_eq!(problem("code=\"breaker_open\""), 0.0);
}

/// The one test that installs a recorder for the process.
#[test]
fn the_guards_thread_publishes_by_itself_and_calls_are_timed() {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&[0.1, 1.0, 10.0])
        .unwrap()
        .build_recorder();
    let handle = recorder.handle();
    let service = service();
    let guard = named(&service, "by itself")
        .shared(InMemory::new())
        .build()
        .unwrap();
    ::metrics::set_global_recorder(recorder).unwrap();
    block_on(guard.check(CLEAN));
    let since = Instant::now();
    let lines = loop {
        let text = handle.render();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let is_counted = |line: &String| {
            line.starts_with("ipwhois_guard_decisions_total{")
                && line.contains("source=\"api\"")
                && line.contains("by itself")
                && line.ends_with(" 1")
        };
        if lines.iter().any(is_counted) {
            break lines;
        }
        assert!(since.elapsed() < PATIENCE, "{text}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let own = "guard=\"by itself\"";
    let calls = value(
        &lines,
        "ipwhois_guard_api_call_seconds_count",
        &[own, "check"],
    );
    assert_eq!(calls, 1.0);
    let calls = value(&lines, "ipwhois_guard_shared_call_seconds_count", &[own]);
    assert!(calls > 0.0);
    let described = "# HELP ipwhois_guard_decisions_total ";
    assert!(lines.iter().any(|line| line.starts_with(described)));
}

/// The words of a text that begin so.
fn words<'t>(text: &'t str, begin: &'static str) -> impl Iterator<Item = &'t str> {
    let is_end = |char: char| !(char.is_ascii_alphanumeric() || char == '_');
    text.match_indices(begin).map(move |(at, _)| {
        let word = &text[at..];
        &word[..word.find(is_end).unwrap_or(word.len())]
    })
}

/// The values that a text compares a label with: `a` and `b` of `label=~"a|b"`.
fn compared<'t>(text: &'t str, label: &str) -> Vec<&'t str> {
    let mut values = Vec::new();
    for comparison in ["=", "=~", "!=", "!~"] {
        for quote in ["\"", "\\\""] {
            let begin = format!("{label}{comparison}{quote}");
            for (at, _) in text.match_indices(&begin) {
                let rest = &text[at + begin.len()..];
                let value = rest.split(['"', '\\']).next().unwrap_or_default();
                values.extend(value.split('|'));
            }
        }
    }
    values
}

#[test]
fn dashboard_and_alerts_name_what_is_exported_and_nothing_else() {
    let dashboard = include_str!("../../dashboards/grafana.json");
    let alerts = include_str!("../../dashboards/alerts.yml");
    serde_json::from_str::<serde_json::Value>(dashboard).expect("the dashboard is JSON");
    let service = service();
    let guard = named(&service, "dashboards");
    let guard = guard.shared(InMemory::new()).build().unwrap();
    block_on(guard.ready());
    let recorder = recorder();
    let lines = publish_to(&recorder, &guard).join("\n");
    // What is timed comes to the recorder of the moment, and a feed has no age before it is there.
    let elsewhere = [
        "ipwhois_guard_api_call_seconds",
        "ipwhois_guard_shared_call_seconds",
        "ipwhois_guard_feed_age_seconds",
    ];
    let exported: std::collections::BTreeSet<&str> =
        words(&lines, "ipwhois_guard_").chain(elsewhere).collect();
    let all = format!("{dashboard}{alerts}");
    let named: std::collections::BTreeSet<&str> = words(&all, "ipwhois_guard_")
        .map(|name| name.strip_suffix("_bucket").unwrap_or(name))
        .collect();
    assert_eq!(named, exported);
    for label in ["outcome", "source", "code"] {
        let values = compared(&all, label);
        assert!(!values.is_empty(), "{label}");
        for value in values {
            let series = format!("{label}=\"{value}\"");
            assert!(lines.contains(&series), "{series}");
        }
    }
}
