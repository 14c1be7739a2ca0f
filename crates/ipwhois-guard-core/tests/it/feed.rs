//! What the feed does for a decision. How it is read and refused is tested beside its code.

use ipwhois_guard_core::FeedAction;
use ipwhois_guard_testkit::Endpoint;

use super::*;

/// A feed of so many made-up addresses, all in one network.
fn feed(entries: u32) -> String {
    let mut text =
        format!("# Made up\n# Generated: 2026-08-22 04:30:03 UTC | Entries: {entries}\n");
    for n in 0..entries {
        text.push_str(&format!("{}\n", listed(n)));
    }
    text
}

fn listed(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x1900_0100 + n).into()
}

fn decide(guard: &Guard, client: IpAddr) -> (Source, Option<u16>) {
    let head = Head {
        path: "/",
        peer: Peer::Ip(client),
        forwarded_for: None,
    };
    let decision = block_on(guard.decide(&head).decision());
    let status = decision.denial().map(Denial::status);
    (decision.verdict().source(), status)
}

fn ready(builder: GuardBuilder) -> Guard {
    let guard = builder.build().expect("the settings are right");
    block_on(guard.ready());
    guard
}

#[test]
fn at_a_minimum_of_fifty_the_feed_denies_without_a_check() {
    let service = service();
    service.set_feed(&feed(200));
    let guard = ready(builder(&service).min_confidence(50));
    assert_eq!(guard.stats().feed_entries, 200);
    for n in 0..200 {
        assert_eq!(decide(&guard, listed(n)), (Source::Feed, Some(403)));
    }
    assert_eq!(service.check_count(), 0);
    let verdict = block_on(guard.check(listed(0)));
    assert_eq!(verdict.confidence(), Some(50));
}

#[test]
fn above_fifty_each_is_confirmed_by_one_urgent_check_even_when_the_pace_is_used_up() {
    let service = service();
    service.list_feed(&feed(60), 95);
    let clock = ManualClock::new();
    let guard = ready(builder(&service).daily_budget(100).clock(clock.clone()));
    let visitors = (0..100).map(|n| Ipv4Addr::from_bits(0x3000_0001 + (n << 16)).into());
    let no_budget = (Source::Unverified(Unverified::NoBudget), None);
    let decided = visitors.map(|visitor| decide(&guard, visitor));
    let waiting = decided.filter(|decided| *decided == no_budget).count();
    assert!(waiting > 70, "{waiting}");
    for n in 0..60 {
        assert_eq!(decide(&guard, listed(n)), (Source::Api, Some(403)));
        assert_eq!(decide(&guard, listed(n)), (Source::Cache, Some(403)));
        assert_eq!(service.checks_of(listed(n)), 1);
    }
}

#[test]
fn what_the_service_says_of_a_listed_address_counts_more_than_the_feed() {
    let service = service();
    service.list_feed(&feed(3), 60);
    let guard = ready(builder(&service));
    assert_eq!(decide(&guard, listed(1)), (Source::Api, None));
    assert_eq!(decide(&guard, listed(1)), (Source::Cache, None));
}

#[test]
fn block_denies_at_any_minimum_and_off_fetches_nothing() {
    let service = service();
    service.set_feed(&feed(3));
    let guard = ready(builder(&service).feed_action(FeedAction::Block));
    assert_eq!(decide(&guard, listed(0)), (Source::Feed, Some(403)));
    assert_eq!(service.check_count(), 0);
    drop(guard);
    let fetched = service.feed_requests();
    let guard = ready(builder(&service).feed_action(FeedAction::Off));
    assert_eq!(decide(&guard, listed(0)), (Source::Api, None));
    assert_eq!(service.feed_requests(), fetched);
}

#[test]
fn a_clean_verdict_does_not_hide_a_newer_feed() {
    let service = service();
    service.set_feed(&feed(3));
    let clock = ManualClock::new();
    let guard = ready(builder(&service).min_confidence(50).clock(clock.clone()));
    let newly_listed = listed(3);
    assert_eq!(decide(&guard, newly_listed), (Source::Api, None));
    clock.advance(Duration::from_secs(60));
    service.set_feed(&feed(4));
    block_on(guard.refresh_feed()).unwrap();
    assert_eq!(decide(&guard, newly_listed), (Source::Feed, Some(403)));
    // A verdict that is newer than the feed counts again.
    let strict = ready(builder(&service).clock(clock.clone()));
    assert_eq!(decide(&strict, newly_listed), (Source::Api, None));
    assert_eq!(decide(&strict, newly_listed), (Source::Cache, None));
}

#[test]
fn a_feed_that_cannot_be_had_neither_delays_nor_fails_the_start() {
    let service = service();
    service.behave_on(Endpoint::Feed, Behaviour::Hang);
    let guard = builder(&service).build().unwrap();
    assert_eq!(decide(&guard, LISTED), (Source::Api, Some(403)));
    assert_eq!(guard.stats().feed_entries, 0);
    assert_eq!(guard.stats().feed_age, None);
}

#[test]
fn a_refused_feed_leaves_the_last_good_one_in_use() {
    let service = service();
    service.set_feed(&feed(100));
    let guard = ready(builder(&service).min_confidence(50));
    let half = feed(40);
    let contradicted = feed(100).replace("Entries: 100", "Entries: 99");
    for bad in [
        Behaviour::html(),
        Behaviour::reply(200, "text/plain", ""),
        Behaviour::reply(200, "text/plain", half),
        Behaviour::reply(200, "text/plain", contradicted),
        Behaviour::status(503),
        Behaviour::Truncated,
        Behaviour::Reset,
    ] {
        service.behave_on(Endpoint::Feed, bad.clone());
        // What is broken on the way must be a new list: of the known one the server says that it is
        // unchanged.
        service.set_feed(&feed(101));
        let result = block_on(guard.refresh_feed());
        assert!(result.is_err(), "{bad:?}: {result:?}");
        assert_eq!(guard.stats().feed_entries, 100, "{bad:?}");
        assert_eq!(decide(&guard, listed(99)), (Source::Feed, Some(403)));
    }
    service.behave_on(Endpoint::Feed, Behaviour::Normal);
    service.set_feed(&feed(120));
    block_on(guard.refresh_feed()).unwrap();
    assert_eq!(guard.stats().feed_entries, 120);
}

#[test]
fn a_feed_is_read_from_a_file() {
    let service = service();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feed.txt");
    std::fs::write(&path, feed(5)).unwrap();
    let url = format!("file://{}", path.display());
    let guard = ready(builder(&service).min_confidence(50).feed_url(url));
    assert_eq!(decide(&guard, listed(4)), (Source::Feed, Some(403)));
    assert_eq!(service.feed_requests(), 0);
}
