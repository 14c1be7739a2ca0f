use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

use super::*;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The defaults.
fn limits() -> Limits {
    Limits {
        max_failures: 5,
        find_time: seconds(10 * MINUTE),
        ban_time: seconds(HOUR),
        max_ban_time: None,
    }
}

fn sized(capacity: u32, limits: Limits) -> Tracker {
    Tracker::with_capacity(capacity, limits)
}

fn tracker() -> Tracker {
    sized(64, limits())
}

fn at(seconds: u64) -> Tick {
    Tick::at(Duration::from_secs(seconds))
}

fn client(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x1900_0000 + n).into()
}

/// An address of its own /64 for each number.
fn rotated(n: u32) -> IpAddr {
    Ipv6Addr::from_bits(0x3ffe << 112 | u128::from(n) << 64 | u128::from(n)).into()
}

const fn left(left: u32) -> Failure {
    Failure::Counted { left }
}

const fn tripped(seconds: u64) -> Failure {
    Failure::Tripped {
        ban: Duration::from_secs(seconds),
    }
}

const ALL_TAKEN: Refused = Refused {
    retry_after: Duration::from_secs(1),
    banned: false,
};

/// Notes so many failures, the last of which trips.
fn trip(tracker: &Tracker, client: IpAddr, now: Tick) -> Failure {
    for _ in 1..tracker.common.limits.max_failures {
        let _ = tracker.note_failure(client, now);
    }
    tracker.note_failure(client, now)
}

#[test]
fn the_fifth_failure_trips_and_bans() {
    let tracker = tracker();
    for n in 1..5 {
        assert_eq!(tracker.note_failure(client(1), at(n)), left(5 - n as u32));
        assert_eq!(tracker.banned(client(1), at(n)), None);
    }
    assert_eq!(tracker.note_failure(client(1), at(5)), tripped(HOUR));
    assert_eq!(tracker.banned(client(1), at(5)), Some(seconds(HOUR)));
    assert_eq!(tracker.banned(client(2), at(5)), None);
    let refused = Refused {
        retry_after: seconds(HOUR - 1),
        banned: true,
    };
    assert_eq!(tracker.begin(client(1), at(6)), Err(refused));
}

#[test]
fn a_failure_counts_for_exactly_its_time() {
    let tracker = tracker();
    for _ in 0..4 {
        let _ = tracker.note_failure(client(1), at(0));
    }
    let just_before = Tick::at(Duration::from_millis(599_900));
    assert!(tracker.begin(client(1), just_before).is_ok());
    assert_eq!(tracker.note_failure(client(1), at(600)), left(4));
}

#[test]
fn a_ban_lasts_exactly_its_time_and_begins_with_a_clean_slate() {
    let tracker = tracker();
    assert_eq!(trip(&tracker, client(1), at(0)), tripped(HOUR));
    let just_before = Tick::at(Duration::from_millis(3_599_900));
    let remaining = Duration::from_millis(100);
    assert_eq!(tracker.banned(client(1), just_before), Some(remaining));
    assert_eq!(tracker.active_bans(just_before), 1);
    assert_eq!(tracker.banned(client(1), at(HOUR)), None);
    assert_eq!(tracker.active_bans(at(HOUR)), 0);
    assert_eq!(tracker.note_failure(client(1), at(HOUR)), left(4));
}

#[test]
fn failures_of_a_banned_client_are_not_counted() {
    let tracker = tracker();
    let reserved = tracker.begin(client(1), at(0)).unwrap();
    let _ = trip(&tracker, client(1), at(0));
    let banned = Failure::Banned {
        retry_after: seconds(HOUR - 10),
    };
    assert_eq!(tracker.note_failure(client(1), at(10)), banned);
    assert_eq!(tracker.fail(reserved, at(10)), banned);
    assert_eq!(tracker.note_failure(client(1), at(HOUR)), left(4));
}

#[test]
fn attempts_under_way_take_the_places() {
    let tracker = tracker();
    let _ = tracker.note_failure(client(1), at(0));
    let attempts: Vec<_> = (0..4)
        .map(|_| tracker.begin(client(1), at(0)).unwrap())
        .collect();
    assert_eq!(tracker.begin(client(1), at(0)), Err(ALL_TAKEN));
    assert_eq!(tracker.fail(attempts[0], at(1)), left(3));
    assert_eq!(tracker.begin(client(1), at(1)), Err(ALL_TAKEN));
    tracker.succeed(attempts[1]);
    assert!(tracker.begin(client(1), at(1)).is_ok());
}

#[test]
fn an_attempt_that_never_ends_lapses() {
    let tracker = tracker();
    for _ in 0..5 {
        let _leaked = tracker.begin(client(1), at(0)).unwrap();
    }
    assert_eq!(tracker.begin(client(1), at(599)), Err(ALL_TAKEN));
    assert!(tracker.begin(client(1), at(600)).is_ok());
}

#[test]
fn an_attempt_that_ends_after_it_lapsed_counts_and_frees_no_other_place() {
    let tracker = tracker();
    let slow = tracker.begin(client(1), at(0)).unwrap();
    for _ in 0..4 {
        let _under_way = tracker.begin(client(1), at(600)).unwrap();
    }
    assert_eq!(tracker.fail(slow, at(600)), left(4));
    assert_eq!(tracker.begin(client(1), at(600)), Err(ALL_TAKEN));
}

#[test]
fn a_success_forgets_what_failed_before_and_nothing_that_fails_after() {
    let tracker = tracker();
    for _ in 0..2 {
        let _ = tracker.note_failure(client(1), at(0));
    }
    let right = tracker.begin(client(1), at(0)).unwrap();
    let wrong = tracker.begin(client(1), at(0)).unwrap();
    tracker.succeed(right);
    let places: Vec<_> = (0..4).map(|_| tracker.begin(client(1), at(0))).collect();
    assert!(places.iter().all(Result::is_ok));
    assert_eq!(tracker.begin(client(1), at(0)), Err(ALL_TAKEN));
    assert_eq!(tracker.fail(wrong, at(1)), left(4));
}

#[test]
fn the_simple_form_of_success_forgets_failures_too() {
    let tracker = tracker();
    let _ = tracker.note_failure(client(1), at(0));
    tracker.note_success(client(1));
    assert_eq!(tracker.tracked_clients(), 0);
    assert_eq!(tracker.note_failure(client(1), at(0)), left(4));
}

#[test]
fn a_success_lifts_no_ban() {
    let tracker = tracker();
    let right = tracker.begin(client(1), at(0)).unwrap();
    let _ = trip(&tracker, client(1), at(0));
    tracker.succeed(right);
    tracker.note_success(client(1));
    assert_eq!(tracker.banned(client(1), at(0)), Some(seconds(HOUR)));
}

#[test]
fn an_ipv6_client_is_its_64() {
    let tracker = tracker();
    let of_64 = |n: u32| IpAddr::V6(Ipv6Addr::from_bits(0x3ffe << 112 | u128::from(n)));
    for n in 0..4 {
        let _ = tracker.note_failure(of_64(n), at(0));
    }
    assert_eq!(tracker.note_failure(of_64(99), at(0)), tripped(HOUR));
    assert!(tracker.banned(of_64(1_000), at(0)).is_some());
}

#[test]
fn bans_do_not_grow_by_default() {
    let tracker = tracker();
    for n in 0..3 {
        assert_eq!(trip(&tracker, client(1), at(n * HOUR)), tripped(HOUR));
    }
}

#[test]
fn further_bans_double_up_to_a_limit_while_they_follow_within_a_day() {
    let growing = Limits {
        max_ban_time: Some(seconds(5 * HOUR)),
        ..limits()
    };
    let tracker = sized(64, growing);
    let mut now = 0;
    for hours in [1, 2, 4, 5, 5] {
        assert_eq!(trip(&tracker, client(1), at(now)), tripped(hours * HOUR));
        now += hours * HOUR + DAY - 1;
    }
    now += 1;
    assert_eq!(trip(&tracker, client(1), at(now)), tripped(HOUR));
}

#[test]
fn a_lifted_ban_is_over_and_does_not_make_the_next_one_longer() {
    let growing = Limits {
        max_ban_time: Some(seconds(DAY)),
        ..limits()
    };
    let tracker = sized(64, growing);
    let _ = trip(&tracker, client(1), at(0));
    tracker.unban(client(1));
    assert_eq!(tracker.banned(client(1), at(0)), None);
    assert_eq!(tracker.active_bans(at(0)), 0);
    assert_eq!(trip(&tracker, client(1), at(0)), tripped(HOUR));
}

#[test]
fn a_ban_from_elsewhere_is_never_shorter_than_the_one_in_force() {
    let tracker = tracker();
    for (duration, expected) in [(100, 100), (50, 100), (200, 200)] {
        tracker.ban(client(1), seconds(duration), at(0));
        let remaining = tracker.banned(client(1), at(0));
        assert_eq!(remaining, Some(seconds(expected)));
    }
    tracker.ban(client(2), Duration::MAX, at(0));
    assert!(tracker.banned(client(2), at(365 * DAY)).is_some());
}

#[test]
fn limits_that_are_too_large_ban_for_ever_and_do_not_overflow() {
    let endless = Limits {
        max_failures: 1,
        find_time: Duration::MAX,
        ban_time: Duration::MAX,
        max_ban_time: Some(Duration::MAX),
    };
    let tracker = sized(64, endless);
    let ban = Duration::MAX;
    let failure = tracker.note_failure(client(1), at(0));
    assert_eq!(failure, Failure::Tripped { ban });
    assert!(tracker.banned(client(1), at(10 * 365 * DAY)).is_some());
}

#[test]
fn a_flood_evicts_neither_bans_nor_who_is_close_to_the_limit() {
    let tracker = sized(1_024, limits());
    for n in 0..200 {
        let _ = trip(&tracker, client(n), at(0));
    }
    for n in 1_000..1_200 {
        for _ in 0..4 {
            let _ = tracker.note_failure(client(n), at(0));
        }
    }
    for n in 0..50_000 {
        let _ = tracker.note_failure(rotated(n), at(1));
        assert!(tracker.tracked_clients() <= 1_024);
    }
    assert_eq!(tracker.active_bans(at(1)), 200);
    assert_eq!(tracker.bans_lost(), 0);
    let caught =
        (1_000..1_200).filter(|n| tracker.note_failure(client(*n), at(2)) == tripped(HOUR));
    assert_eq!(caught.count(), 200);
}

#[test]
fn among_strangers_with_as_many_failures_the_oldest_goes() {
    let tracker = sized(16, limits());
    for n in 0..16 {
        let _ = tracker.note_failure(client(n), at(u64::from(n)));
    }
    tracker.note_success(client(0));
    let _ = tracker.note_failure(client(0), at(16));
    let _ = tracker.note_failure(client(16), at(17));
    for n in [0, 2, 15, 16] {
        assert_eq!(tracker.note_failure(client(n), at(20)), left(3), "{n}");
    }
    assert_eq!(tracker.note_failure(client(1), at(20)), left(4));
}

#[test]
fn in_a_full_table_an_empty_bucket_takes_one_beyond() {
    let tracker = sized(32, limits());
    let of_bucket = |wanted: usize| {
        let slot = &raw const tracker.slots[wanted];
        let tracker = &tracker;
        (0..)
            .map(client)
            .filter(move |ip| std::ptr::eq(tracker.slot(Client::of(*ip)), slot))
    };
    for ip in of_bucket(0).take(40) {
        let _ = tracker.note_failure(ip, at(0));
    }
    assert_eq!(tracker.tracked_clients(), 32);
    for ip in of_bucket(1).take(3) {
        let _ = tracker.note_failure(ip, at(0));
        assert_eq!(tracker.note_failure(ip, at(0)), left(3));
    }
    assert_eq!(tracker.tracked_clients(), 33);
}

#[test]
fn what_no_longer_counts_makes_room_first() {
    let tracker = sized(16, limits());
    for n in 0..16 {
        for _ in 0..4 {
            let _ = tracker.note_failure(client(n), at(0));
        }
    }
    for n in 100..116 {
        let _ = tracker.note_failure(client(n), at(600));
    }
    assert_eq!(tracker.tracked_clients(), 16);
    for n in 100..116 {
        assert_eq!(tracker.note_failure(client(n), at(600)), left(3));
    }
}

#[test]
fn in_a_full_table_the_ban_that_ends_soonest_goes_and_is_counted() {
    let tracker = sized(16, limits());
    for n in 0..16 {
        tracker.ban(client(n), seconds(u64::from(100 + (n + 5) % 16)), at(0));
    }
    tracker.ban(client(99), seconds(1), at(0));
    assert_eq!(tracker.active_bans(at(0)), 16);
    assert_eq!(tracker.bans_lost(), 1);
    let free = (0..16).filter(|n| tracker.banned(client(*n), at(0)).is_none());
    assert_eq!(free.collect::<Vec<_>>(), [11]);
}

#[test]
fn a_ban_that_is_over_is_not_counted_as_lost() {
    let growing = Limits {
        max_ban_time: Some(seconds(DAY)),
        ..limits()
    };
    let tracker = sized(16, growing);
    for n in 0..32 {
        tracker.ban(client(n), seconds(10), at(u64::from(n / 16) * 10));
    }
    assert_eq!(tracker.active_bans(at(10)), 16);
    assert_eq!(tracker.bans_lost(), 0);
}

#[test]
fn the_end_of_an_evicted_attempt_counts_and_frees_no_other_place() {
    let tracker = sized(1, limits());
    let evicted = tracker.begin(client(1), at(0)).unwrap();
    let _ = tracker.note_failure(client(2), at(0));
    for _ in 0..5 {
        let _under_way = tracker.begin(client(1), at(0)).unwrap();
    }
    assert_eq!(tracker.fail(evicted, at(0)), left(4));
    assert_eq!(tracker.begin(client(1), at(0)), Err(ALL_TAKEN));
    assert_eq!(tracker.tracked_clients(), 1);
}

#[test]
fn of_a_hundred_guesses_at_once_five_reach_the_password_check() {
    for _ in 0..20 {
        let tracker = tracker();
        let start = Barrier::new(100);
        let (checked, reports) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    start.wait();
                    if let Ok(attempt) = tracker.begin(client(1), at(0)) {
                        checked.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                        if tracker.fail(attempt, at(0)) == tripped(HOUR) {
                            reports.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(checked.into_inner(), 5);
        assert_eq!(reports.into_inner(), 1);
        assert!(tracker.banned(client(1), at(0)).is_some());
    }
}

#[test]
fn both_tables_hold_their_size_when_many_threads_fill_them() {
    let tracker = sized(256, limits());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let tracker = &tracker;
            scope.spawn(move || {
                for n in 0..3_000 {
                    let attempt = tracker.begin(client(n), at(0));
                    tracker.ban(rotated(thread * 3_000 + n), seconds(HOUR), at(0));
                    if let Ok(attempt) = attempt {
                        let _ = tracker.fail(attempt, at(0));
                    }
                    assert!(tracker.tracked_clients() <= 256 + 16);
                }
            });
        }
    });
    assert!(tracker.tracked_clients() >= 256);
    let bans = tracker.active_bans(at(0));
    assert!((256..=256 + 16).contains(&bans), "{bans} bans");
}

#[test]
fn asking_for_a_ban_allocates_nothing() {
    let tracker = tracker();
    let _ = trip(&tracker, client(1), at(0));
    let counted = allocation_counter::measure(|| {
        assert!(tracker.banned(client(1), at(1)).is_some());
        assert!(tracker.banned(client(2), at(1)).is_none());
        assert!(tracker.banned(client(2), at(HOUR)).is_none());
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn both_tables_full_take_at_most_ten_megabytes() {
    let counted = allocation_counter::measure(|| {
        let tracker = Tracker::new(limits());
        for n in 0..CAPACITY {
            tracker.ban(rotated(n), seconds(HOUR), at(0));
            for _ in 0..3 {
                let attempt = tracker.begin(client(n), at(0)).unwrap();
                let _ = tracker.fail(attempt, at(0));
            }
            let _under_way = tracker.begin(client(n), at(0)).unwrap();
        }
        assert_eq!(tracker.tracked_clients(), CAPACITY as usize);
        assert_eq!(tracker.active_bans(at(0)), CAPACITY as usize);
    });
    let megabytes = counted.bytes_max as f64 / 1e6;
    assert!(megabytes <= 10.0, "{megabytes} MB");
}
