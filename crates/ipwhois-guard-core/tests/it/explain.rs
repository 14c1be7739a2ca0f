//! Why a client was refused, and undone.

use std::time::UNIX_EPOCH;

use ipwhois_guard_core::{FeedAction, Mode, OnUnverified, Outcome, ThreatType};

use super::*;

const DENIED: IpAddr = IpAddr::V4(Ipv4Addr::new(26, 8, 0, 1));

fn head(path: &'static str, peer: impl Into<Peer>) -> Head {
    Head {
        path,
        peer: peer.into(),
        forwarded_for: None,
    }
}

/// The reference of a refusal.
#[track_caller]
fn refuse(guard: &Guard, head: &Head) -> String {
    let decision = block_on(guard.decide(head).decision());
    decision.denial().expect("a denial").reference().to_owned()
}

#[track_caller]
fn status(guard: &Guard, head: &Head) -> Option<u16> {
    let decision = block_on(guard.decide(head).decision());
    decision.denial().map(Denial::status)
}

#[test]
fn a_refusal_is_remembered_with_what_led_to_it() {
    let service = StandIn::start().expect("a free port");
    service.list_as(LISTED, 95, "brute-force");
    let clock = ManualClock::new();
    let guard = builder(&service)
        .clock(clock.clone())
        .protect(Rule::path("/admin").min_confidence(80))
        .build()
        .unwrap();
    let reference = refuse(&guard, &head("/admin/users?token=secret", LISTED));
    let explanation = guard.explain(&reference).expect("it is remembered");
    let [refusal] = &explanation.then[..] else {
        panic!("one refusal: {explanation:?}");
    };
    assert_eq!(refusal.reference.as_deref(), Some(&*reference));
    assert_eq!((refusal.client, refusal.status), (Some(LISTED), 403));
    assert_eq!((&*refusal.method, &*refusal.path), ("GET", "/admin/users"));
    assert_eq!((&*refusal.rule, refusal.min_confidence), ("/admin", 80));
    assert_eq!(refusal.source, Source::Api);
    assert_eq!(refusal.confidence, Some(95));
    assert_eq!(refusal.threat_type, Some(ThreatType::BruteForce));
    let day = Duration::from_secs(24 * 60 * 60);
    let since = refusal.since.expect("a verdict has its time");
    assert_eq!(refusal.until, Some(since + day));
    assert!(refusal.score.is_some_and(|score| score > 0.0));
    assert!(refusal.price.is_some());
    assert!(guard.explain("00000000").is_none());

    clock.advance(Duration::from_secs(600));
    let again = refuse(&guard, &head("/admin", LISTED));
    let refusal = guard
        .explain(&again.to_uppercase())
        .expect("it is remembered");
    let refusal = &refusal.then[0];
    assert_eq!(refusal.source, Source::Cache);
    assert_eq!(refusal.since, Some(since), "the verdict is the same one");
    assert_eq!(refusal.score, None, "nothing was bid");
    let references = guard.recent(10);
    let references = references.iter().map(|refusal| refusal.reference.clone());
    assert!(references.eq([Some(again), Some(reference)]));
    assert_eq!(guard.explain_ip(LISTED).then.len(), 2);
}

#[test]
fn nothing_is_remembered_of_a_request_that_goes_on() {
    let service = service();
    let guard = builder(&service).protect("/admin").build().unwrap();
    for path in ["/admin", "/open"] {
        assert_eq!(status(&guard, &head(path, CLEAN)), None);
    }
    assert_eq!(status(&guard, &head("/open", LISTED)), None);
    assert!(guard.recent(10).is_empty());
    let explanation = guard.explain_ip(CLEAN);
    assert_eq!(explanation.now.outcome, Outcome::Allowed);
    assert!(explanation.then.is_empty());
}

#[test]
fn monitor_mode_remembers_what_would_have_been_refused_and_of_whom() {
    let service = service();
    let guard = builder(&service).mode(Mode::Monitor).build().unwrap();
    let other = IpAddr::V4(Ipv4Addr::new(25, 0, 0, 8));
    service.list(other, 95);
    let attempt = block_on(guard.login_attempt(LISTED)).expect("a place");
    block_on(attempt.succeeded());
    for client in [LISTED, other, LISTED, CLEAN] {
        assert_eq!(status(&guard, &head("/", client)), None);
    }
    let recent = guard.recent(10);
    assert_eq!(recent.len(), 3);
    let all = |refusal: &ipwhois_guard_core::Refusal| {
        refusal.mode == Mode::Monitor && refusal.reference.is_none() && refusal.status == 403
    };
    assert!(recent.iter().all(all), "{recent:?}");
    let monitored = guard.status().monitored;
    let figures = (
        monitored.requests,
        monitored.clients,
        monitored.had_logged_in,
    );
    assert_eq!(figures, (3, 2, 1));
    assert_eq!(guard.explain_ip(LISTED).now.outcome, Outcome::Monitored);
}

/// What is told would happen now happens.
#[track_caller]
fn check(guard: &Guard, client: IpAddr, step: &str, expected: Option<u16>) {
    let now = guard.explain_ip(client).now;
    assert_eq!(now.status, expected, "{now:?}");
    let last = now.steps.last().expect("a step");
    assert_eq!((last.step, last.settles), (step, true), "{now:?}");
    assert!(now.steps.iter().rev().skip(1).all(|step| !step.settles));
    assert_eq!(status(guard, &head("/", client)), expected);
}

#[test]
fn each_step_is_told_as_it_comes() {
    let service = service();
    service.list_feed("25.0.5.1\n25.0.5.2\n25.0.5.3\n", 95);
    let clock = ManualClock::new();
    let guard = builder(&service)
        .clock(clock.clone())
        .feed_action(FeedAction::Block)
        .allow(["25.9.0.0/16"])
        .deny(["26.8.0.0/16"])
        .build()
        .unwrap();
    block_on(guard.ready());
    check(&guard, "25.9.0.1".parse().unwrap(), "allowlist", None);
    check(&guard, DENIED, "denylist", Some(403));
    check(&guard, "10.0.0.1".parse().unwrap(), "never-asked", None);
    check(&guard, "25.0.5.1".parse().unwrap(), "feed", Some(403));
    guard.ban(CLEAN, Duration::from_secs(60));
    check(&guard, CLEAN, "ban", Some(429));
    guard.unban(CLEAN);
    let now = guard.explain_ip(CLEAN).now;
    assert_eq!(now.outcome, Outcome::Asked, "{now:?}");
    assert_eq!(service.check_count(), 0, "an explanation spends no check");
    block_on(guard.check(LISTED));
    check(&guard, LISTED, "memory", Some(403));
    clock.advance(Duration::from_secs(2 * 60 * 60));
    service.behave(Behaviour::status(500));
    check(&guard, LISTED, "stale-memory", Some(403));
}

#[test]
fn a_client_that_cannot_be_verified_is_told_why() {
    let service = service();
    let guard = builder(&service)
        .on_unverified(OnUnverified::Deny)
        .daily_budget(0)
        .trusted_proxies(["10.0.0.0/8"])
        .build()
        .unwrap();
    check(&guard, CLEAN, "budget", Some(503));
    let refusal = &guard.explain_ip(CLEAN).then[0];
    assert_eq!(refusal.reason, Some(Unverified::NoBudget));
    assert!(refusal.score.is_some() && refusal.price.is_some());
    assert!(refusal.until.is_some_and(|until| until > UNIX_EPOCH));
    let nameless = Head {
        forwarded_for: Some("unknown"),
        ..head("/", IpAddr::from([10, 0, 0, 1]))
    };
    let reference = refuse(&guard, &nameless);
    let explanation = guard.explain(&reference).expect("it is remembered");
    assert_eq!(explanation.client, None);
    assert_eq!(explanation.then[0].reason, Some(Unverified::BadHeader));
    assert_eq!(explanation.now.status, Some(503));
    assert!(explanation.then[0].remedy().contains("client_ip_header"));
}

#[test]
fn a_client_that_is_forgotten_is_a_stranger() {
    let service = service();
    let guard = builder(&service).max_failures(2).build().unwrap();
    assert_eq!(status(&guard, &head("/", LISTED)), Some(403));
    assert_eq!(guard.cache_entries(), 1);
    service.unlist(LISTED);
    assert_eq!(status(&guard, &head("/", LISTED)), Some(403), "from memory");
    guard.forget(LISTED);
    assert_eq!(guard.cache_entries(), 0);
    assert_eq!(status(&guard, &head("/", LISTED)), None);

    block_on(guard.failed_login(CLEAN)).unwrap();
    guard.forget(CLEAN);
    block_on(guard.failed_login(CLEAN)).unwrap();
    assert!(
        block_on(guard.failed_login(CLEAN)).is_err(),
        "the second one bans"
    );
    assert_eq!(status(&guard, &head("/", CLEAN)), Some(429));
    guard.forget(CLEAN);
    assert!(guard.bans().is_empty());
    assert_eq!(status(&guard, &head("/", CLEAN)), None);
}

#[test]
fn bans_are_listed_with_the_time_that_is_left() {
    let service = service();
    let clock = ManualClock::new();
    let guard = builder(&service).clock(clock.clone()).build().unwrap();
    let v6: IpAddr = "3ffe:1:2:3:4::5".parse().unwrap();
    guard.ban(CLEAN, Duration::from_secs(60));
    guard.ban(v6, Duration::from_secs(600));
    clock.advance(Duration::from_secs(20));
    let bans = guard.bans();
    let listed = bans
        .iter()
        .map(|ban| (ban.client.to_string(), ban.seconds_left));
    let expected = [
        ("3ffe:1:2:3::".to_owned(), 580),
        ("26.0.0.1".to_owned(), 40),
    ];
    assert!(listed.eq(expected), "{bans:?}");
    clock.advance(Duration::from_secs(40));
    assert_eq!(guard.bans().len(), 1);
    guard.unban("3ffe:1:2:3::9".parse().unwrap());
    assert!(guard.bans().is_empty());
}

/// Remembers the fields of the spans at one level.
#[derive(Clone)]
struct Spans(
    tracing::Level,
    std::sync::Arc<std::sync::Mutex<Vec<String>>>,
);

impl Spans {
    fn push(&self, word: String) {
        self.1.lock().expect("nobody panicked").push(word);
    }
}

impl tracing::field::Visit for Spans {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.push(format!("{field}={value:?}"));
    }
}

impl tracing::Subscriber for Spans {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= self.0
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::Id {
        self.push(span.metadata().name().to_owned());
        span.record(&mut self.clone());
        tracing::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::Id) {}
    fn exit(&self, _: &tracing::Id) {}
}

#[test]
fn a_decision_has_a_span_for_a_subscriber_that_asks_for_it() {
    // In a process of its own: a subscriber changes what events of all threads cost.
    let child = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "explain::child_with_a_subscriber", "--ignored"])
        .output()
        .expect("it runs");
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(output.contains("1 passed"), "{output}");
}

#[test]
#[ignore = "run by the test above"]
fn child_with_a_subscriber() {
    let service = service();
    let guard = builder(&service).build().unwrap();
    let spans = |level| {
        let spans = Spans(level, std::sync::Arc::default());
        tracing::subscriber::with_default(spans.clone(), || {
            let _ = status(&guard, &head("/shop?x=1", LISTED));
        });
        let seen = spans.1.lock().unwrap();
        seen.clone()
    };
    for source in ["api", "cache"] {
        let seen = spans(tracing::Level::DEBUG);
        assert_eq!(seen[0], "decision", "{seen:?}");
        for field in [
            "path=\"/shop\"",
            "client=25.0.0.7",
            "confidence=95",
            "allowed=false",
        ] {
            assert!(seen.contains(&field.to_owned()), "{field}: {seen:?}");
        }
        assert!(seen.contains(&format!("source={source}")), "{seen:?}");
    }
    assert!(spans(tracing::Level::INFO).is_empty());
}

#[test]
fn the_status_is_plain_data() {
    let service = service();
    let guard = builder(&service).build().unwrap();
    assert_eq!(status(&guard, &head("/", LISTED)), Some(403));
    let status = serde_json::to_value(guard.status()).unwrap();
    assert_eq!(status["refusals"][0]["source"], "api", "{status}");
    assert_eq!(status["budget"]["spent"], 1);
    assert_eq!(status["quarters"][0]["counts"][0]["outcome"], "denied");
    let explanation = serde_json::to_value(guard.explain_ip(LISTED)).unwrap();
    assert_eq!(explanation["now"]["outcome"], "refused", "{explanation}");
}
