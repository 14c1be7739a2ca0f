//! What a guard says is silently wrong, and that it is well again.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use ipwhois_guard_core::store::{InMemory, Trouble, Troubled};
use ipwhois_guard_core::{
    AllowedClient, CheckFuture, CheckService, Mode, OnUnverified, Reputation, SecretUrl, Settings,
    ThreatType,
};
use ipwhois_guard_testkit::Endpoint;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn codes(guard: &Guard) -> Vec<&'static str> {
    let health = guard.health();
    assert_eq!(health.is_ok(), health.problems.is_empty());
    health
        .problems
        .iter()
        .map(|problem| problem.code())
        .collect()
}

/// What happens in the background happens soon.
#[track_caller]
fn until(guard: &Guard, expected: &[&str]) {
    let since = Instant::now();
    while codes(guard) != expected {
        assert!(since.elapsed() < PATIENCE, "{:?}", guard.health());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A guard without a feed, whose clock stands still.
fn guard(
    service: &StandIn,
    change: impl FnOnce(GuardBuilder) -> GuardBuilder,
) -> (Guard, ManualClock) {
    let clock = ManualClock::new();
    let builder = builder(service).feed_url("").clock(clock.clone());
    let guard = change(builder).build().expect("the settings are right");
    block_on(guard.ready());
    (guard, clock)
}

fn client(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x1a00_0001 + (n << 8)).into()
}

fn ask_about(guard: &Guard, clients: std::ops::Range<u32>) {
    for n in clients {
        block_on(guard.check(client(n)));
    }
}

#[test]
fn a_guard_that_works_is_ok_and_shows_its_figures() {
    let service = service();
    service.set_feed("25.0.0.99\n25.0.0.100\n");
    let clock = ManualClock::new();
    let guard = builder(&service).clock(clock.clone()).build().unwrap();
    block_on(guard.ready());
    ask_about(&guard, 0..3);
    block_on(guard.check(LISTED));
    guard.ban(CLEAN, HOUR);
    clock.advance(Duration::from_secs(61));
    let health = serde_json::to_value(guard.health()).unwrap();
    assert_eq!(
        health,
        serde_json::json!({
            "status": "ok",
            "problems": [],
            "mode": "enforce",
            "allowed": 3,
            "denied": 1,
            "monitored": 0,
            "unverified": 0,
            "checks_today": 4,
            "checks_left": 496,
            "cache_entries": 4,
            "feed_entries": 2,
            "feed_age_seconds": 61,
            "active_bans": 1,
            "reports_pending": 0,
            "reports_delivered": 0,
        })
    );
}

#[test]
fn a_guard_that_refuses_nobody_says_so() {
    let service = service();
    for (mode, word) in [(Mode::Monitor, "monitor"), (Mode::Off, "off")] {
        let (guard, _) = guard(&service, |guard| guard.mode(mode));
        let health = guard.health();
        assert_eq!(health.mode, mode);
        assert_eq!(serde_json::to_value(health).unwrap()["mode"], word);
    }
}

#[test]
fn a_refused_key_is_a_problem_until_one_is_taken() {
    let service = service();
    let (guard, _) = guard(&service, |guard| guard.api_key("wrong"));
    service.require_key(Some("right"));
    ask_about(&guard, 0..1);
    assert_eq!(codes(&guard), ["key_refused"]);
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("status 401"), "{message}");
    // Nothing was heard of the key since.
    service.behave(Behaviour::status(500));
    ask_about(&guard, 1..2);
    assert_eq!(codes(&guard), ["key_refused"]);
    service.recover();
    service.require_key(None);
    ask_about(&guard, 2..3);
    assert!(guard.health().is_ok());
}

#[test]
fn a_key_that_reports_are_refused_for_is_a_problem_as_well() {
    let service = service();
    let (guard, clock) = guard(&service, |guard| guard);
    service.behave_on(Endpoint::Report, Behaviour::status(403));
    let queued = guard.report(LISTED, ThreatType::Scan).queue().unwrap();
    assert!(block_on(queued.delivered()).is_err());
    assert_eq!(codes(&guard), ["key_refused", "reports_refused"]);
    clock.advance(HOUR);
    assert_eq!(codes(&guard), ["key_refused"]);
}

#[test]
fn a_budget_that_is_gone_is_a_problem_until_the_next_day() {
    let service = service();
    let (guard, clock) = guard(&service, |guard| guard.daily_budget(20));
    ask_about(&guard, 0..19);
    assert!(guard.health().is_ok());
    ask_about(&guard, 19..20);
    assert_eq!(codes(&guard), ["budget_gone"]);
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("until 2026-01-02T00:00:00Z"), "{message}");
    clock.advance(24 * HOUR);
    assert!(guard.health().is_ok());
}

#[test]
fn a_service_that_has_had_enough_is_a_problem_until_the_moment_it_names() {
    let service = service();
    let (guard, clock) = guard(&service, |guard| guard);
    service.behave(Behaviour::rate_limited(1_800));
    ask_about(&guard, 0..1);
    assert_eq!(codes(&guard), ["budget_gone"]);
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("until 2026-01-01T00:30:00Z"), "{message}");
    clock.advance(HOUR / 2);
    assert!(guard.health().is_ok());
}

#[test]
fn a_budget_of_nothing_is_what_was_asked_for() {
    let service = service();
    let (guard, _) = guard(&service, |guard| guard.daily_budget(0));
    ask_about(&guard, 0..1);
    assert!(guard.health().is_ok());
}

#[test]
fn an_open_breaker_is_a_problem_until_the_service_answers() {
    let service = service();
    let (guard, clock) = guard(&service, |guard| guard);
    service.behave(Behaviour::status(500));
    ask_about(&guard, 0..4);
    assert!(guard.health().is_ok());
    ask_about(&guard, 4..5);
    assert_eq!(codes(&guard), ["breaker_open"]);
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("for 10s"), "{message}");
    service.recover();
    clock.advance(Duration::from_secs(10));
    assert_eq!(codes(&guard), ["breaker_open"], "nobody has asked yet");
    ask_about(&guard, 5..6);
    assert!(guard.health().is_ok());
}

#[test]
fn a_service_that_fails_four_calls_of_five_is_a_problem_though_the_breaker_never_opens() {
    let service = service();
    let (guard, _) = guard(&service, |guard| guard);
    for n in 0..10 {
        assert!(guard.health().is_ok(), "{n}: {:?}", guard.health());
        if n % 5 == 2 {
            service.recover();
        } else {
            service.behave(Behaviour::status(500));
        }
        ask_about(&guard, n..n + 1);
    }
    assert_eq!(codes(&guard), ["service_unreliable"]);
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("last 10 calls"), "{message}");
    assert!(
        message.contains("8 failed (the service answers status 500), so"),
        "{message}"
    );
    service.recover();
    ask_about(&guard, 10..17);
    assert_eq!(codes(&guard), ["service_unreliable"]);
    ask_about(&guard, 17..18);
    assert!(guard.health().is_ok());
}

/// A service that takes its time by the guard's clock.
#[derive(Debug)]
struct Slow {
    clock: ManualClock,
    takes: Duration,
}

impl CheckService for Slow {
    fn check(&self, _: IpAddr) -> CheckFuture<'_> {
        self.clock.advance(self.takes);
        let reputation = Reputation {
            listed: false,
            confidence: 0,
            threat_type: None,
        };
        Box::pin(std::future::ready(Ok(reputation.into())))
    }
}

#[test]
fn a_service_that_answers_when_nobody_waits_any_more_is_a_problem() {
    let service = service();
    for (takes, expected) in [(1_000, &["service_unreliable"][..]), (500, &[])] {
        let clock = ManualClock::new();
        let slow = Slow {
            clock: clock.clone(),
            takes: Duration::from_millis(takes),
        };
        let guard = builder(&service)
            .feed_url("")
            .max_wait(Duration::from_millis(500))
            .clock(clock)
            .service(slow)
            .build()
            .unwrap();
        block_on(guard.ready());
        ask_about(&guard, 0..9);
        block_on(guard.settled());
        assert!(guard.health().is_ok());
        ask_about(&guard, 9..10);
        block_on(guard.settled());
        assert_eq!(codes(&guard), expected, "{takes} ms");
    }
}

#[test]
fn an_outage_is_a_problem_without_a_gap_while_it_is_probed() {
    let service = service();
    let (guard, clock) = guard(&service, |guard| guard);
    service.behave(Behaviour::status(500));
    ask_about(&guard, 0..5);
    for (n, wait) in (5..).zip([10, 20, 40]) {
        clock.advance(Duration::from_secs(wait));
        assert_eq!(codes(&guard), ["breaker_open"], "the probe is due");
        ask_about(&guard, n..n + 1);
        assert_eq!(codes(&guard), ["breaker_open"], "the probe has failed");
    }
    service.behave(Behaviour::Held);
    clock.advance(Duration::from_secs(80));
    std::thread::scope(|scope| {
        scope.spawn(|| ask_about(&guard, 8..9));
        assert!(service.wait_for_checks(9, PATIENCE));
        let codes = codes(&guard);
        service.release();
        assert_eq!(codes, ["breaker_open"], "the probe is under way");
    });
    assert!(guard.health().is_ok());
}

#[test]
fn a_feed_that_cannot_be_believed_or_had_or_is_old_is_a_problem() {
    let service = service();
    service.behave_on(Endpoint::Feed, Behaviour::status(503));
    let clock = ManualClock::new();
    let guard = builder(&service).clock(clock.clone()).build().unwrap();
    block_on(guard.ready());
    until(&guard, &["feed_missing"]);

    service.behave_on(Endpoint::Feed, Behaviour::html());
    assert!(block_on(guard.refresh_feed()).is_err());
    assert_eq!(codes(&guard), ["feed_refused"]);
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("none is in force"), "{message}");

    service.behave_on(Endpoint::Feed, Behaviour::Normal);
    service.set_feed("25.0.0.1\n25.0.0.2\n25.0.0.3\n");
    block_on(guard.refresh_feed()).unwrap();
    assert!(guard.health().is_ok());

    service.set_feed("25.0.0.1\n");
    assert!(block_on(guard.refresh_feed()).is_err());
    assert_eq!(codes(&guard), ["feed_refused"]);
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("shrunk from 3 entries to 1"), "{message}");

    service.behave_on(Endpoint::Feed, Behaviour::status(503));
    assert!(block_on(guard.refresh_feed()).is_err());
    assert!(guard.health().is_ok(), "the last good one is young");
    clock.advance(2 * HOUR + Duration::from_secs(1));
    assert_eq!(codes(&guard), ["feed_old"]);
    service.behave_on(Endpoint::Feed, Behaviour::Normal);
    service.set_feed("25.0.0.1\n25.0.0.2\n");
    block_on(guard.refresh_feed()).unwrap();
    assert!(guard.health().is_ok());
}

#[test]
fn a_shared_tier_that_is_away_is_a_problem_until_it_is_back() {
    let service = service();
    let store = Troubled::new(InMemory::new());
    let (guard, _) = guard(&service, |guard| guard.shared(store.clone()));
    assert!(guard.health().is_ok());
    store.behave(Trouble::Away);
    ask_about(&guard, 0..3);
    until(&guard, &["shared_tier_away"]);
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("the connection is gone"), "{message}");
    store.behave(Trouble::None);
    until(&guard, &[]);
}

#[test]
fn a_shared_tier_that_cannot_be_listened_to_is_a_problem() {
    let service = service();
    let store = Troubled::new(InMemory::new());
    store.behave(Trouble::Mute);
    let (guard, _) = guard(&service, |guard| guard.shared(store));
    until(&guard, &["shared_tier_unheard"]);
    ask_about(&guard, 0..3);
    assert_eq!(codes(&guard), ["shared_tier_unheard"]);
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("NOPERM no subscription"), "{message}");
}

#[test]
fn a_shared_tier_that_was_forgotten_is_a_problem() {
    let service = service();
    let mut settings = Settings::default();
    settings.api_url = service.url();
    settings.feed_url = Some(String::new());
    settings.redis_url = Some(SecretUrl::new("redis://localhost"));
    let guard = Guard::from_settings(settings).unwrap();
    assert_eq!(codes(&guard), ["shared_tier_missing"]);
}

#[test]
fn a_state_folder_that_cannot_be_used_is_a_problem() {
    let service = service();
    let file = tempfile::NamedTempFile::new().unwrap();
    let (guard, _) = guard(&service, |guard| guard.state_dir(file.path()));
    assert_eq!(codes(&guard), ["state_failing"]);
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("is not a folder"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_state_folder_that_is_removed_while_it_is_in_use_is_a_problem_and_is_made_anew() {
    let service = service();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let (first, clock) = guard(&service, |guard| guard.state_dir(&state));
    ask_about(&first, 0..3);
    assert!(first.health().is_ok());
    std::fs::remove_dir_all(&state).unwrap();
    ask_about(&first, 3..4);
    let begun = std::time::Instant::now();
    while codes(&first) != ["state_removed"] {
        assert!(begun.elapsed() < PATIENCE, "{:?}", codes(&first));
        std::thread::sleep(Duration::from_millis(10));
    }
    clock.advance(HOUR);
    assert!(first.health().is_ok());
    drop(first);
    let (second, _) = guard(&service, |guard| guard.state_dir(&state));
    assert_eq!(second.stats().checks_today, 4);
    assert_eq!(second.stats().cache_entries, 4);
}

#[test]
fn a_report_that_waits_for_more_than_an_hour_is_a_problem() {
    let service = service();
    let (guard, clock) = guard(&service, |guard| guard);
    service.behave_on(Endpoint::Report, Behaviour::status(500));
    drop(guard.report(LISTED, ThreatType::Scan).queue().unwrap());
    assert!(service.wait_for_reports(1, PATIENCE));
    clock.advance(HOUR);
    assert!(guard.health().is_ok());
    clock.advance(Duration::from_secs(1));
    // It is in flight for a moment, now and then.
    until(&guard, &["reports_stuck"]);
}

fn request(peer: impl Into<Peer>, forwarded_for: Option<&'static str>) -> Head {
    Head {
        path: "/",
        peer: peer.into(),
        forwarded_for,
    }
}

fn send(guard: &Guard, head: &Head) {
    let step = guard.decide(head);
    block_on(step.decision());
}

/// The hundredth tells it, or one of the next: who comes while the guard's thread looks is not
/// counted.
#[track_caller]
fn send_until_told(guard: &Guard, expected: &str, head: impl Fn(u8) -> Head) {
    for n in 0..100 {
        assert!(guard.health().is_ok(), "{n}");
        send(guard, &head(n));
    }
    for n in 100..120 {
        if !guard.health().is_ok() {
            break;
        }
        send(guard, &head(n));
    }
    assert_eq!(codes(guard), [expected]);
}

#[test]
fn a_proxy_that_nobody_configured_is_a_problem() {
    let service = service();
    let (guard, _) = guard(&service, |guard| guard);
    let proxy: IpAddr = [172, 17, 0, 1].into();
    send_until_told(&guard, "every_client_the_same", |_| {
        request(proxy, Some("26.0.0.1"))
    });
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("172.17.0.1"), "{message}");
    // Somebody has opened another way in.
    for n in 0..40 {
        send(&guard, &request(client(n), None));
    }
    assert!(guard.health().is_ok());
}

#[test]
fn two_proxies_that_nobody_configured_are_a_problem() {
    let service = service();
    let (guard, _) = guard(&service, |guard| guard);
    send_until_told(&guard, "proxies_not_trusted", |n| {
        let proxy = IpAddr::from([172, 17, 0, 1 + n % 2]);
        request(proxy, Some("26.0.0.1"))
    });
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("172.17.0.1, 172.17.0.2"), "{message}");
    // Somebody has opened another way in.
    for n in 0..40 {
        send(&guard, &request(client(n), None));
    }
    assert!(guard.health().is_ok());
}

#[test]
fn a_proxy_that_the_settings_do_not_cover_is_a_problem() {
    let service = service();
    let (guard, _) = guard(&service, |guard| guard.trusted_proxies(["10.0.0.0/8"]));
    let proxy = IpAddr::from([172, 17, 0, 1]);
    send_until_told(&guard, "every_client_the_same", |_| {
        request(proxy, Some("26.0.0.1, 10.0.0.1"))
    });
}

#[test]
fn a_proxy_that_is_configured_is_none_and_a_visitor_who_is_alone_is_none() {
    let service = service();
    let (guard, clock) = guard(&service, |guard| guard.trusted_proxies(["172.17.0.0/16"]));
    let proxy: IpAddr = [172, 17, 0, 1].into();
    // A crawler that is alone with the site for hours, behind the proxy and without it.
    for requests in [request(proxy, Some("26.0.0.1")), request(CLEAN, None)] {
        for _ in 0..1_000 {
            send(&guard, &requests);
            clock.advance(HOUR / 100);
        }
        assert!(guard.health().is_ok(), "{:?}", guard.health());
    }
}

#[test]
fn clients_of_whom_nobody_knows_who_they_are_are_a_problem() {
    let service = service();
    let (guard, _) = guard(&service, |guard| guard.trusted_proxies(["172.17.0.0/16"]));
    send_until_told(&guard, "clients_unknown", |_| {
        request(IpAddr::from([172, 17, 0, 1]), Some("unknown"))
    });
    let message = guard.health().problems[0].to_string();
    assert!(message.contains("`client_ip_header`"), "{message}");
}

const PATHS: [&str; 10] = ["/", "/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i"];

/// So many that enough of them are looked at.
const VISITS: usize = 4_000;

/// Requests by way of a trusted proxy, each for another path, with these headers in turn.
fn visits(guard: &Guard, headers: &[&'static str]) {
    for n in 0..VISITS {
        send(
            guard,
            &Head {
                path: PATHS[n % PATHS.len()],
                peer: Peer::Ip(LOAD_BALANCER),
                forwarded_for: Some(headers[n % headers.len()]),
            },
        );
    }
}

const LOAD_BALANCER: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 17, 0, 1));

fn behind_a_load_balancer(
    service: &StandIn,
    change: impl FnOnce(GuardBuilder) -> GuardBuilder,
) -> Guard {
    let trusting = |guard: GuardBuilder| guard.trusted_proxies(["172.17.0.0/16"]);
    guard(service, |guard| change(trusting(guard))).0
}

/// A client as a handler gets it, by way of the load balancer.
fn visitor(guard: &Guard, forwarded_for: &'static str) -> AllowedClient {
    let head = request(LOAD_BALANCER, Some(forwarded_for));
    let looking = Guarded::by_extractor(None, || Some(guard.clone()), &head);
    let guarded = block_on(looking.expect("the set-up is right"));
    guarded.admit().expect("nothing speaks against it")
}

/// Many wrong passwords ban nobody, and health says so.
#[track_caller]
fn expect_no_ban(guard: &Guard, forwarded_for: &'static str) {
    for _ in 0..7 {
        let failed = block_on(visitor(guard, forwarded_for).failed_login());
        assert!(failed.is_ok());
    }
    assert_eq!(guard.stats().active_bans, 0);
    assert!(codes(guard).contains(&"client_not_banned"));
}

#[test]
fn a_second_proxy_that_is_not_trusted_is_a_problem_and_is_neither_banned_nor_reported() {
    for (headers, one) in [
        (
            &["26.0.0.1, 25.9.0.10", "26.0.0.2, 25.9.0.11"][..],
            "25.9.0.11",
        ),
        (&["26.0.0.1, 25.9.0.10", "26.0.0.2, 25.9.0.10"], "25.9.0.10"),
    ] {
        let service = service();
        let guard = behind_a_load_balancer(&service, |guard| guard);
        visits(&guard, headers);
        assert_eq!(codes(&guard), ["proxies_not_trusted"], "{headers:?}");
        let message = guard.health().problems[0].to_string();
        assert!(message.contains(one), "{message}");
        expect_no_ban(&guard, headers[1]);
        // Another edge of the same network, which the guard has not seen before.
        expect_no_ban(&guard, "26.0.0.3, 25.9.0.77");
        let edge: IpAddr = one.parse().unwrap();
        guard.ban(edge, HOUR);
        assert_eq!(guard.stats().active_bans, 0);
        let reported = block_on(guard.report(edge, ThreatType::Scan));
        assert!(reported.is_err());
        // Fifty guesses are all that such clients have together.
        let guess = || block_on(visitor(&guard, headers[1]).failed_login());
        let allowed = (0..100).take_while(|_| guess().is_ok()).count();
        assert!(allowed < 50, "{allowed}");
        assert_eq!(block_on(guard.shutdown(PATIENCE)), 0);
        assert!(service.reports().is_empty());
    }
}

#[test]
fn clients_of_which_none_is_public_are_a_problem_and_are_not_banned() {
    for (headers, code) in [
        (&["10.244.0.1"][..], "every_client_the_same"),
        (
            &["10.244.0.1", "10.244.1.1", "10.244.2.1"],
            "clients_not_public",
        ),
        (
            &["240.16.0.1", "241.5.7.9", "242.4.4.4"],
            "clients_not_public",
        ),
    ] {
        let service = service();
        let guard = behind_a_load_balancer(&service, |guard| guard);
        // A visitor behind the first of them has guessed before anything is known.
        for _ in 0..5 {
            let _ = block_on(visitor(&guard, headers[0]).failed_login());
        }
        assert_eq!(guard.stats().active_bans, 1);
        visits(&guard, headers);
        assert_eq!(codes(&guard), [code], "{headers:?}");
        let message = guard.health().problems[0].to_string();
        assert!(message.contains(headers[0]), "{message}");
        // The ban does not hold, and no other comes.
        assert!(visitor(&guard, headers[0]).verdict().is_allowed());
        let guess = block_on(visitor(&guard, headers[0]).failed_login());
        assert!(guess.is_ok());
    }
}

#[test]
fn visitors_who_write_the_header_themselves_are_banned_as_ever() {
    let service = service();
    let guard = behind_a_load_balancer(&service, |guard| guard);
    visits(&guard, &["26.0.0.1", "26.0.1.1", "25.1.1.1, 26.0.2.1"]);
    assert!(guard.health().is_ok(), "{:?}", guard.health());
    for _ in 0..5 {
        let _ = block_on(visitor(&guard, "25.1.1.2, 26.0.2.1").failed_login());
    }
    assert_eq!(guard.stats().active_bans, 1);
}

#[test]
fn health_checks_of_a_trusted_proxy_raise_no_alarm_and_allow_lets_them_in() {
    let service = service();
    let strict = |guard: GuardBuilder| guard.on_unverified(OnUnverified::Deny);
    let decide = |guard: &Guard, n: usize, header| {
        let head = Head {
            path: PATHS[n],
            peer: Peer::Ip(LOAD_BALANCER),
            forwarded_for: header,
        };
        block_on(guard.decide(&head).decision())
    };
    let status = |decision: ipwhois_guard_core::Decision| decision.denial().map(Denial::status);
    let guard = behind_a_load_balancer(&service, strict);
    let allowing = behind_a_load_balancer(&service, |guard| strict(guard).allow(["172.17.0.1"]));
    for n in 0..VISITS {
        let decision = decide(&guard, n % 7, None);
        let expected = Source::Unverified(Unverified::NoHeader);
        assert_eq!(decision.verdict().source(), expected);
        assert_eq!(status(decision), Some(503));
        let decision = decide(&allowing, n % 7, None);
        assert_eq!(decision.verdict().source(), Source::Allowlist);
        assert_eq!(decision.verdict().client_ip(), None);
        assert_eq!(status(decision), None);
    }
    assert!(guard.health().is_ok(), "{:?}", guard.health());
    assert!(allowing.health().is_ok(), "{:?}", allowing.health());
    // A header that is there and cannot be read says nothing of the proxy itself.
    for header in ["unknown", "", "26.0.0.1, x"] {
        let decision = decide(&allowing, 0, Some(header));
        assert_eq!(status(decision), Some(503), "{header:?}");
    }
    // A proxy that passes no address on has visitors, who ask for many paths.
    for guard in [guard, allowing] {
        for n in 0..4 * VISITS {
            decide(&guard, n % 10, None);
        }
        assert_eq!(codes(&guard), ["clients_unknown"]);
    }
}

#[test]
fn a_problem_of_the_service_names_its_cause() {
    let service = service();
    let challenge = Behaviour::reply(403, "text/html", "<html>One moment</html>");
    let page = "(a page came instead of a reply (status 403): a challenge";
    for (behaviour, words) in [
        (challenge, page),
        (
            Behaviour::status(404),
            "is `api_url` the base, without `/check`?",
        ),
        (Behaviour::Redirect("/".into()), "no redirect is followed"),
        (
            Behaviour::status(407),
            "a proxy between this machine and the service",
        ),
        (Behaviour::Hang, "no complete reply within 100ms"),
    ] {
        let timeout = match behaviour {
            Behaviour::Hang => Duration::from_millis(100),
            _ => PATIENCE,
        };
        service.behave(behaviour);
        let (guard, _) = guard(&service, |guard| {
            guard.api_key("a-good-key").api_timeout(timeout)
        });
        ask_about(&guard, 0..5);
        assert_eq!(codes(&guard), ["breaker_open"], "{words}");
        let message = guard.health().problems[0].to_string();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_feed_that_is_no_longer_made_is_old() {
    let service = service();
    let clock = ManualClock::new();
    let guard = builder(&service).clock(clock.clone()).build().unwrap();
    block_on(guard.ready());
    for (made, expected) in [
        ("2025-12-30 00:00:00 UTC", &[][..]),
        ("2025-12-29 23:59:59 UTC", &["feed_old"]),
        ("2025-12-31 23:00:00 UTC", &[]),
    ] {
        service.set_feed(&format!("# Generated: {made} | Entries: 1\n25.0.0.1\n"));
        block_on(guard.refresh_feed()).unwrap();
        assert_eq!(codes(&guard), expected, "{made}");
    }
}

/// A client as a handler gets it: one that looks like a proxy.
fn like_a_proxy(guard: &Guard) -> AllowedClient {
    like_the_proxy(guard, 1)
}

/// A client as a handler gets it: one that looks like the n-th proxy.
fn like_the_proxy(guard: &Guard, n: u8) -> AllowedClient {
    let head = request(IpAddr::from([10, 0, 0, n]), Some("26.0.0.1"));
    let looking = Guarded::by_extractor(None, || Some(guard.clone()), &head);
    let guarded = block_on(looking.expect("the set-up is right"));
    guarded.admit().expect("nothing speaks against it")
}

#[test]
fn failed_logins_of_one_who_is_not_banned_are_a_problem() {
    let service = service();
    let (guard, clock) = guard(&service, |guard| guard);
    for _ in 0..2 {
        block_on(like_a_proxy(&guard).failed_login()).unwrap();
        let attempt = block_on(like_a_proxy(&guard).login_attempt()).unwrap();
        block_on(attempt.failed()).unwrap();
        let attempt = block_on(like_a_proxy(&guard).login_attempt()).unwrap();
        block_on(attempt.succeeded());
    }
    assert!(guard.health().is_ok());
    block_on(like_a_proxy(&guard).failed_login()).unwrap();
    assert_eq!(codes(&guard), ["client_not_banned"]);
    clock.advance(HOUR);
    assert!(guard.health().is_ok());
}

#[test]
fn failed_logins_behind_two_proxies_that_are_not_banned_are_a_problem() {
    let service = service();
    let (guard, _) = guard(&service, |guard| guard);
    for n in 0..8 {
        block_on(like_the_proxy(&guard, 1 + n % 2).failed_login()).unwrap();
    }
    assert!(guard.health().is_ok());
    block_on(like_the_proxy(&guard, 1).failed_login()).unwrap();
    assert_eq!(codes(&guard), ["client_not_banned"]);
}

#[test]
fn health_never_shows_a_key_or_a_password() {
    let service = service();
    service.behave(Behaviour::status(401));
    let mut settings = Settings::default();
    settings.api_url = service.url();
    settings.api_key = Some("hunter2-key".into());
    let feed = service
        .feed_url()
        .replace("http://", "http://me:hunter2-feed@");
    settings.feed_url = Some(feed + "?token=hunter2-token");
    settings.redis_url = Some(SecretUrl::new("redis://:hunter2-redis@localhost"));
    let guard = Guard::from_settings(settings).unwrap();
    block_on(guard.ready());
    ask_about(&guard, 0..5);
    let queued = guard.report(LISTED, ThreatType::Scan).queue().unwrap();
    assert!(block_on(queued.delivered()).is_err());
    service.refuse_connections();
    assert!(block_on(guard.refresh_feed()).is_err());
    let health = guard.health();
    assert_eq!(health.problems.len(), 5, "{health:?}");
    let json = serde_json::to_string(&health).unwrap();
    for text in [json, format!("{health:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

const LOGGED: &str = "the guard whose log is read";

/// Keeps what one guard logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The spans of decisions are the business of other tests, which share this process.
        metadata.target() == "ipwhois_guard" && *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut Line(&mut line));
        if line.contains(LOGGED) {
            self.0.lock().expect("no panic").push(line);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_problem_is_logged_once_when_it_comes_and_once_when_it_goes() {
    let service = service();
    // The guard's thread logs, so no subscriber of this thread hears it.
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let lines = |code: &str| -> Vec<String> {
        let lines = log.0.lock().unwrap();
        let of_code = lines.iter().filter(|line| line.contains(code));
        of_code.cloned().collect()
    };
    let until_logged = |code: &str, n: usize| {
        let since = Instant::now();
        while lines(code).len() < n {
            assert!(since.elapsed() < PATIENCE, "{code}: {:?}", lines(""));
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    let (guard, clock) = guard(&service, |guard| guard.daily_budget(1).name(LOGGED));
    ask_about(&guard, 0..1);
    until_logged("budget_gone", 1);
    // What is logged of another problem comes from a later look.
    service.behave_on(Endpoint::Report, Behaviour::status(403));
    let queued = guard.report(LISTED, ThreatType::Scan).queue().unwrap();
    assert!(block_on(queued.delivered()).is_err());
    until_logged("key_refused", 1);
    clock.advance(24 * HOUR);
    until_logged("budget_gone", 2);
    let lines = lines("budget_gone");
    let starts = [
        "WARN message=No check is left",
        "INFO message=no problem any more",
    ];
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}
