//! What outlives a restart.

use std::path::Path;

use ipwhois_guard_testkit::Endpoint;

use super::*;

fn guard(service: &StandIn, folder: &Path, clock: &ManualClock) -> Guard {
    let guard = builder(service)
        .state_dir(folder)
        .clock(clock.clone())
        .build()
        .expect("the settings are right");
    block_on(guard.ready());
    guard
}

#[test]
fn verdicts_with_their_age_the_days_count_and_the_feed_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let service = service();
    service.set_feed("25.0.0.99\n25.0.0.100\n");
    let clock = ManualClock::new();
    let first = guard(&service, folder.path(), &clock);
    for ip in [LISTED, CLEAN] {
        block_on(first.check(ip));
    }
    let spent = first.stats().checks_today;
    drop(first);

    service.behave_on(Endpoint::Feed, Behaviour::status(503));
    // As the machine's clock went on while nothing ran.
    clock.advance(Duration::from_secs(3_000));
    let second = guard(&service, folder.path(), &clock);
    assert_eq!(second.stats().checks_today, spent);
    assert_eq!(second.stats().feed_entries, 2);
    assert_eq!(block_on(second.check(LISTED)).source(), Source::Cache);
    assert!(!block_on(second.check(LISTED)).is_allowed());
    clock.advance(Duration::from_secs(700));
    assert_eq!(block_on(second.check(CLEAN)).source(), Source::Stale);
    block_on(second.settled());
    drop(second);

    clock.advance(Duration::from_secs(24 * 3_600));
    let third = guard(&service, folder.path(), &clock);
    assert_eq!(third.stats().checks_today, 0, "another day");
    assert_eq!(block_on(third.check(LISTED)).source(), Source::Api);
}

#[test]
fn a_restart_does_not_buy_a_second_budget() {
    let folder = tempfile::tempdir().unwrap();
    let service = service();
    let clock = ManualClock::new();
    for run in 0..5 {
        let guard = builder(&service)
            .state_dir(folder.path())
            .clock(clock.clone())
            .daily_budget(12)
            .max_wait(PATIENCE)
            .build()
            .unwrap();
        for n in 0..5 {
            let client = Ipv4Addr::new(26, 0, run, n).into();
            block_on(guard.check(client));
        }
    }
    assert_eq!(service.check_count(), 12);
}

#[test]
fn two_guards_on_one_folder_share_verdicts_and_the_days_count() {
    let folder = tempfile::tempdir().unwrap();
    let service = service();
    let clock = ManualClock::new();
    let first = guard(&service, folder.path(), &clock);
    block_on(first.check(LISTED));
    let second = guard(&service, folder.path(), &clock);
    assert_eq!(block_on(second.check(LISTED)).source(), Source::Shared);
    assert_eq!(block_on(second.check(CLEAN)).source(), Source::Api);
    // The second or the third takes over; both know what the first knew.
    drop(first);
    let third = guard(&service, folder.path(), &clock);
    let known = block_on(third.check(LISTED)).source();
    assert!(matches!(known, Source::Shared | Source::Cache), "{known}");
    drop(second);
    drop(third);
    let fourth = guard(&service, folder.path(), &clock);
    assert_eq!(block_on(fourth.check(LISTED)).source(), Source::Cache);
    assert_eq!(block_on(fourth.check(CLEAN)).source(), Source::Cache);
    // One that ends while the folder passes on may lose its block, a fortieth of the day. The count
    // is never too low.
    let spent = fourth.stats().checks_today;
    assert!((2..=2 + 500 / 40).contains(&spent), "{spent} checks");
}

#[test]
fn a_damaged_file_is_set_aside_and_the_guard_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ipwhois-guard.redb");
    std::fs::write(&file, "not a database").unwrap();
    let service = service();
    let clock = ManualClock::new();
    let first = guard(&service, folder.path(), &clock);
    block_on(first.check(LISTED));
    drop(first);
    let kept = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.display().to_string().contains(".damaged-"))
        .expect("the damaged file is kept");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "not a database");
    let second = guard(&service, folder.path(), &clock);
    assert_eq!(block_on(second.check(LISTED)).source(), Source::Cache);
}

#[test]
fn a_state_folder_that_cannot_be_used_does_not_stop_the_guard() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let service = service();
    let guard = guard(&service, &file, &ManualClock::new());
    assert_eq!(block_on(guard.check(LISTED)).source(), Source::Api);
    assert_eq!(block_on(guard.check(LISTED)).source(), Source::Cache);
}
