use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bucket::{MANY_CLIENTS, ROOM};
use super::tracker::CAPACITY;
use super::*;
use crate::clock::Tick;
use crate::store::{AttemptId, BanRecord};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The defaults.
fn limits() -> Limits {
    Limits {
        attempts: AttemptLimits {
            max_failures: 5,
            find_time: seconds(10 * MINUTE),
        },
        ban_time: seconds(HOUR),
        max_ban_time: None,
    }
}

/// A tracker with its limits.
struct Table {
    tracker: Tracker,
    limits: Limits,
}

fn with(buckets: usize, limits: Limits) -> Table {
    let tracker = Tracker::with_buckets(buckets);
    Table { tracker, limits }
}

fn table() -> Table {
    with(4, limits())
}

/// An attempt under way.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Begun(Login, AttemptId);

const fn login(client: Scope) -> Login {
    let account = None;
    Login { client, account }
}

fn login_at(account: u32, client: Scope) -> Login {
    let account = NonZeroU32::new(account).map(AccountTag);
    Login { client, account }
}

impl Table {
    fn begin(&self, client: Scope, now: Tick) -> Result<Begun, Refused> {
        self.begin_for(login(client), now)
    }

    fn begin_for(&self, login: Login, now: Tick) -> Result<Begun, Refused> {
        let id = AttemptId::random();
        let begun = self.tracker.begin(&self.limits, login, id, now);
        begun.map(|()| Begun(login, id))
    }

    fn fail(&self, Begun(login, id): Begun, now: Tick) -> Failure {
        self.tracker.fail(&self.limits, login, Some(id), now)
    }

    fn succeed(&self, Begun(login, id): Begun) {
        self.tracker.succeed(login, id);
    }

    fn note(&self, client: Scope, now: Tick) -> Failure {
        self.note_at(login(client), now)
    }

    fn note_at(&self, login: Login, now: Tick) -> Failure {
        self.tracker.fail(&self.limits, login, None, now)
    }

    /// Notes failures, the last of which trips.
    fn trip(&self, client: Scope, now: Tick) -> Failure {
        for _ in 1..self.limits.attempts.max_failures {
            let _ = self.note(client, now);
        }
        self.note(client, now)
    }

    fn banned(&self, client: Scope, now: Tick) -> Option<Duration> {
        self.tracker.banned(client.address(), now)
    }

    fn ban(&self, client: Scope, length: u64, now: Tick) {
        self.tracker.ban(client, seconds(length), now);
    }

    fn bans(&self, now: Tick) -> usize {
        self.tracker.active_bans(now)
    }
}

fn at(seconds: u64) -> Tick {
    Tick::at(Duration::from_secs(seconds))
}

fn client(n: u32) -> Scope {
    Scope::of(Ipv4Addr::from_bits(0x1900_0000 + n).into())
}

/// A client of its own /48 for each number.
fn rotated(n: u32) -> Scope {
    Scope::of(Ipv6Addr::from_bits(0x3f << 120 | u128::from(n) << 80 | u128::from(n)).into())
}

/// A client of one /48 for each number, and of one /56 for each 256 of them.
fn subscriber(n: u32) -> Scope {
    Scope::of(Ipv6Addr::from_bits(0x3ffe_0001_0002 << 80 | u128::from(n) << 64 | 9).into())
}

const fn left(left: u32) -> Failure {
    Failure::Counted { left }
}

fn tripped(client: Scope, length: u64) -> Failure {
    Failure::Tripped {
        scope: client,
        ban: seconds(length),
    }
}

fn full(retry_after: u64) -> Refused {
    Refused::Full {
        retry_after: seconds(retry_after),
        under_way: true,
    }
}

#[test]
fn the_fifth_failure_trips_and_bans() {
    let table = table();
    for n in 1..5 {
        assert_eq!(table.note(client(1), at(n)), left(5 - n as u32));
        assert_eq!(table.banned(client(1), at(n)), None);
    }
    assert_eq!(table.note(client(1), at(5)), tripped(client(1), HOUR));
    assert_eq!(table.banned(client(1), at(5)), Some(seconds(HOUR)));
    assert_eq!(table.banned(client(2), at(5)), None);
    let retry_after = seconds(HOUR - 1);
    let refused = Refused::Banned { retry_after };
    assert_eq!(table.begin(client(1), at(6)), Err(refused));
}

#[test]
fn a_failure_counts_for_exactly_its_time() {
    let table = table();
    for _ in 0..4 {
        let _ = table.note(client(1), at(0));
    }
    let just_before = Tick::at(Duration::from_millis(599_900));
    assert!(table.begin(client(1), just_before).is_ok());
    assert_eq!(table.note(client(1), at(600)), left(4));
}

#[test]
fn a_ban_lasts_exactly_its_time_and_begins_with_a_clean_slate() {
    let table = table();
    assert_eq!(table.trip(client(1), at(0)), tripped(client(1), HOUR));
    let just_before = Tick::at(Duration::from_millis(3_599_900));
    let remaining = Duration::from_millis(100);
    assert_eq!(table.banned(client(1), just_before), Some(remaining));
    assert_eq!(table.bans(just_before), 1);
    assert_eq!(table.banned(client(1), at(HOUR)), None);
    assert_eq!(table.bans(at(HOUR)), 0);
    assert_eq!(table.note(client(1), at(HOUR)), left(4));
}

#[test]
fn failures_of_a_banned_client_are_not_counted() {
    let table = table();
    let reserved = table.begin(client(1), at(0)).unwrap();
    let _ = table.trip(client(1), at(0));
    let banned = Failure::Banned {
        retry_after: seconds(HOUR - 10),
    };
    assert_eq!(table.note(client(1), at(10)), banned);
    assert_eq!(table.fail(reserved, at(10)), banned);
    assert_eq!(table.note(client(1), at(HOUR)), left(4));
}

#[test]
fn attempts_under_way_take_the_places() {
    let table = table();
    let _ = table.note(client(1), at(0));
    let attempts: Vec<_> = (0..4)
        .map(|_| table.begin(client(1), at(0)).unwrap())
        .collect();
    assert_eq!(table.begin(client(1), at(10)), Err(full(20)));
    assert_eq!(table.fail(attempts[0], at(1)), left(3));
    assert_eq!(table.begin(client(1), at(1)), Err(full(29)));
    table.succeed(attempts[1]);
    assert!(table.begin(client(1), at(1)).is_ok());
}

#[test]
fn an_attempt_whose_end_is_never_said_lapses_after_half_a_minute() {
    let table = table();
    for _ in 0..5 {
        let _leaked = table.begin(client(1), at(0)).unwrap();
    }
    assert_eq!(table.begin(client(1), at(29)), Err(full(1)));
    assert!(table.begin(client(1), at(30)).is_ok());
}

#[test]
fn an_attempt_that_ends_after_it_lapsed_counts_and_frees_no_other_place() {
    let table = table();
    let slow = table.begin(client(1), at(0)).unwrap();
    for _ in 0..4 {
        let _under_way = table.begin(client(1), at(600)).unwrap();
    }
    assert_eq!(table.fail(slow, at(600)), left(4));
    assert_eq!(table.begin(client(1), at(600)), Err(full(30)));
}

#[test]
fn a_success_forgives_failures_for_its_own_account_and_no_other() {
    let [own, victim] = [1, 2].map(|account| login_at(account, client(1)));
    for (success, expected) in [
        (own, left(2)),
        (victim, left(4)),
        // Without an account.
        (login(client(1)), left(1)),
    ] {
        let table = table();
        let _ = table.note_at(own, at(0));
        let _ = table.note_at(victim, at(0));
        if success == victim {
            let _ = table.note_at(victim, at(0));
            let _ = table.note_at(own, at(0)); // not forgiven
            table.tracker.pardon(client(2)); // of another client
            let right = table.begin_for(own, at(0)).unwrap();
            table.succeed(right);
        } else {
            let _ = table.note_at(login_at(3, client(1)), at(0));
        }
        let right = table.begin_for(success, at(0)).unwrap();
        table.succeed(right);
        assert_eq!(table.note(client(1), at(1)), expected, "{success:?}");
    }
}

#[test]
fn logging_in_to_ones_own_account_buys_no_guesses_at_another() {
    let table = table();
    let [own, victim] = [1, 2].map(|account| login_at(account, client(1)));
    let mut guesses = 0;
    for _ in 0..60 {
        if let Ok(guess) = table.begin_for(victim, at(0)) {
            guesses += 1;
            let _ = table.fail(guess, at(0));
        }
        if let Ok(right) = table.begin_for(own, at(0)) {
            table.succeed(right);
        }
    }
    assert_eq!(guesses, 5);
    assert!(table.banned(client(1), at(0)).is_some());
}

#[test]
fn a_success_forgives_nothing_that_fails_after() {
    let table = table();
    let own = login_at(1, client(1));
    let _ = table.note_at(own, at(0));
    let right = table.begin_for(own, at(0)).unwrap();
    let wrong = table.begin_for(own, at(0)).unwrap();
    table.succeed(right);
    assert_eq!(table.fail(wrong, at(1)), left(4));
}

#[test]
fn a_pardon_forgets_all_failures_of_a_client_and_leaves_those_of_its_neighbours() {
    let table = table();
    let _ = table.note(client(1), at(0));
    table.tracker.pardon(client(1));
    assert_eq!(table.tracker.tracked_clients(), 0);
    assert_eq!(table.note(client(1), at(0)), left(4));
    for n in 0..10 {
        let _ = table.note(subscriber(n), at(0));
    }
    for n in 0..9 {
        table.tracker.pardon(subscriber(n));
    }
    assert_eq!(
        table.tracker.tracked_clients(),
        1 + 3,
        "one and its networks"
    );
}

#[test]
fn a_success_lifts_no_ban() {
    let table = table();
    let right = table.begin(client(1), at(0)).unwrap();
    let _ = table.trip(client(1), at(0));
    table.succeed(right);
    table.tracker.pardon(client(1));
    assert_eq!(table.banned(client(1), at(0)), Some(seconds(HOUR)));
}

#[test]
fn an_ipv6_client_is_its_64() {
    let table = table();
    let of_64 = |n: u32| Scope::of(Ipv6Addr::from_bits(0x3ffe << 112 | u128::from(n)).into());
    for n in 0..4 {
        let _ = table.note(of_64(n), at(0));
    }
    assert_eq!(table.note(of_64(99), at(0)), tripped(of_64(0), HOUR));
    assert!(table.banned(of_64(1_000), at(0)).is_some());
    assert!(table.banned(subscriber(0), at(0)).is_none());
}

/// How many of a subscriber's guesses reach the password check, `step` networks apart.
fn guesses_of_a_subscriber(table: &Table, step: u32) -> u32 {
    let guess = |n: u32| table.begin(subscriber(n * step % 65_536), at(0)).ok();
    let mut guesses = 0;
    for n in 0..2_000 {
        if let Some(begun) = guess(n) {
            guesses += 1;
            let _ = table.fail(begun, at(0));
        }
    }
    guesses
}

#[test]
fn a_subscriber_with_65536_networks_gets_16_times_the_guesses_of_one() {
    let table = table();
    assert_eq!(guesses_of_a_subscriber(&table, 1), 80);
    assert!(
        table.banned(subscriber(60_000), at(0)).is_some(),
        "the /48 is banned"
    );
    assert!(table.banned(rotated(1), at(0)).is_none());
    let table = self::table();
    assert_eq!(guesses_of_a_subscriber(&table, 256), 80, "each /56 in turn");
    let table = self::table();
    let in_one_56 = |n| table.note(subscriber(n), at(0));
    let last = (0..20).map(in_one_56).last();
    let scope = subscriber(0).with_wider().nth(1).unwrap();
    let ban = seconds(HOUR);
    assert_eq!(last, Some(Failure::Tripped { scope, ban }));
    assert!(table.banned(subscriber(255), at(0)).is_some());
    assert!(table.banned(subscriber(256), at(0)).is_none());
}

#[test]
fn of_a_subscribers_guesses_at_once_no_more_reach_the_password_check() {
    let table = table();
    let begun = (0..2_000).filter(|n| table.begin(subscriber(*n), at(0)).is_ok());
    assert_eq!(begun.count(), 80);
}

#[test]
fn an_account_at_which_many_clients_fail_is_under_attack_while_they_do() {
    let table = table();
    let account = AccountTag(NonZeroU32::MIN);
    let note = |n, now| {
        let Table { tracker, limits } = &table;
        tracker.note_account(limits, account, client(n), at(now))
    };
    for n in 0..100 {
        assert_eq!(note(n % 9, 0), Attack::None, "nine clients");
    }
    assert_eq!(MANY_CLIENTS, 10);
    assert_eq!(note(9, 1), Attack::Begins);
    assert_eq!(note(10, 2), Attack::GoesOn);
    assert_eq!(note(11, 602), Attack::None);
    let owner = login_at(1, client(999));
    assert!(
        table.begin_for(owner, at(2)).is_ok(),
        "its owner is not locked out"
    );
}

#[test]
fn a_lift_that_was_told_late_or_again_ends_no_later_ban() {
    let table = table();
    let told = |age, left| BanRecord {
        scope: client(1),
        age: seconds(age),
        left: seconds(left),
    };
    let settle = |told, now| table.tracker.settle(told, at(now));
    assert_eq!(settle(told(5, 0), 100), Settled::Lifted);
    assert_eq!(settle(told(10, HOUR), 100), Settled::Known, "it was lifted");
    assert_eq!(settle(told(3, HOUR), 100), Settled::Banned);
    assert_eq!(
        settle(told(6, 0), 101),
        Settled::Known,
        "that was another one"
    );
    assert_eq!(table.banned(client(1), at(101)), Some(seconds(HOUR - 1)));
    let lifted = table.tracker.unban(client(1), at(102));
    assert_eq!(lifted, [told(0, 0)]);
    assert_eq!(table.tracker.records(at(112)), [told(10, 0)]);
    assert_eq!(settle(told(9, HOUR), 110), Settled::Known);
    assert_eq!(table.banned(client(1), at(110)), None);
}

#[test]
fn what_is_kept_counts_after_a_restart_with_what_is_left_of_its_time() {
    use std::time::SystemTime;

    let wall = SystemTime::UNIX_EPOCH + seconds(1_790_000_000);
    let moment = |now, wall| rows::Moment {
        tick: at(now),
        wall,
    };
    let before = table();
    let _ = before.note_at(login_at(1, subscriber(1)), at(100));
    let _ = before.note_at(login_at(2, subscriber(1)), at(200));
    let _ = before.trip(client(1), at(200));
    before.ban(client(2), HOUR, at(0));
    before.tracker.unban(client(2), at(100));
    let rows: Vec<_> = [subscriber(1), client(1), client(2)]
        .into_iter()
        .flat_map(|client| {
            before
                .tracker
                .rows(&before.limits, client, moment(200, wall))
        })
        .filter_map(|row| Some((row.key, row.row?.1)))
        .collect();
    assert_eq!(rows.len(), 3 + 1 + 1);
    let restarted = |wall| {
        let after = table();
        for (key, row) in &rows {
            let moment = moment(5, wall);
            after.tracker.restore(&after.limits, key, row, moment);
        }
        after
    };
    // It took five minutes.
    let after = restarted(wall + seconds(300));
    assert_eq!(after.banned(client(1), at(5)), Some(seconds(HOUR - 300)));
    assert_eq!(after.note(subscriber(1), at(5)), left(2));
    assert_eq!(
        after.tracker.settle(
            BanRecord {
                scope: client(2),
                age: seconds(500),
                left: seconds(HOUR)
            },
            at(5),
        ),
        Settled::Known,
        "the lift is remembered"
    );
    // The first failure has run out since, and so has the ban an hour later.
    let after = restarted(wall + seconds(550));
    assert_eq!(after.note(subscriber(1), at(5)), left(3));
    let after = restarted(wall + seconds(HOUR));
    assert_eq!(after.banned(client(1), at(5)), None);
    // The clock was set back: no ban gets longer.
    let after = restarted(wall - seconds(DAY));
    assert_eq!(after.banned(client(1), at(5)), Some(seconds(HOUR)));
    let right = after.begin_for(login_at(1, subscriber(1)), at(5)).unwrap();
    after.succeed(right);
    assert_eq!(
        after.note(subscriber(1), at(5)),
        left(3),
        "the account is known"
    );
}

#[test]
fn rows_that_make_no_sense_are_none() {
    let moment = rows::Moment {
        tick: at(0),
        wall: std::time::UNIX_EPOCH,
    };
    let table = table();
    for (key, row) in [
        (&b""[..], &b""[..]),
        (b"f", b""),
        (b"x\x20\0\0\0\0\x19\0\0\x01", b""),
        (b"f\x20\0\0\0\0\x19\0\0\x01", b"too short"),
        (b"b\x20\0\0\0\0\x19\0\0\x01", b"neither is this one"),
    ] {
        table.tracker.restore(&table.limits, key, row, moment);
    }
    assert_eq!(table.tracker.tracked_clients(), 0);
    assert_eq!(table.tracker.records(at(0)), []);
}

#[test]
fn bans_do_not_grow_by_default() {
    let table = table();
    for n in 0..3 {
        assert_eq!(
            table.trip(client(1), at(n * HOUR)),
            tripped(client(1), HOUR)
        );
    }
}

#[test]
fn further_bans_double_up_to_a_limit_while_they_follow_within_a_day() {
    let growing = Limits {
        max_ban_time: Some(seconds(5 * HOUR)),
        ..limits()
    };
    let table = with(64, growing);
    let mut now = 0;
    for hours in [1, 2, 4, 5, 5] {
        assert_eq!(
            table.trip(client(1), at(now)),
            tripped(client(1), hours * HOUR)
        );
        now += hours * HOUR + DAY - 1;
    }
    now += 1;
    assert_eq!(table.trip(client(1), at(now)), tripped(client(1), HOUR));
}

#[test]
fn a_lifted_ban_is_over_and_does_not_make_the_next_one_longer() {
    let growing = Limits {
        max_ban_time: Some(seconds(DAY)),
        ..limits()
    };
    let table = with(64, growing);
    let _ = table.trip(client(1), at(0));
    table.tracker.unban(client(1), at(0));
    assert_eq!(table.banned(client(1), at(0)), None);
    assert_eq!(table.bans(at(0)), 0);
    assert_eq!(table.trip(client(1), at(0)), tripped(client(1), HOUR));
}

#[test]
fn a_ban_from_elsewhere_is_never_shorter_than_the_one_in_force() {
    let table = table();
    for (duration, expected) in [(100, 100), (50, 100), (200, 200)] {
        table.ban(client(1), duration, at(0));
        let remaining = table.banned(client(1), at(0));
        assert_eq!(remaining, Some(seconds(expected)));
    }
    table.tracker.ban(client(2), Duration::MAX, at(0));
    assert!(table.banned(client(2), at(365 * DAY)).is_some());
}

#[test]
fn limits_that_are_too_large_ban_for_ever_and_do_not_overflow() {
    let endless = Limits {
        attempts: AttemptLimits {
            max_failures: 1,
            find_time: Duration::MAX,
        },
        ban_time: Duration::MAX,
        max_ban_time: Some(Duration::MAX),
    };
    let table = with(64, endless);
    let ban = Duration::MAX;
    let failure = table.note(client(1), at(0));
    let scope = client(1);
    assert_eq!(failure, Failure::Tripped { scope, ban });
    assert!(table.banned(client(1), at(10 * 365 * DAY)).is_some());
}

#[test]
fn a_flood_evicts_neither_bans_nor_who_is_close_to_the_limit() {
    let table = with(1_024 / ROOM, limits());
    for n in 0..200 {
        let _ = table.trip(client(n), at(0));
    }
    for n in 1_000..1_200 {
        for _ in 0..4 {
            let _ = table.note(client(n), at(0));
        }
    }
    for n in 0..50_000 {
        let _ = table.note(rotated(n), at(1));
        assert!(table.tracker.tracked_clients() <= 1_024);
    }
    assert_eq!(table.bans(at(1)), 200);
    assert_eq!(table.tracker.bans_lost(), 0);
    let caught =
        (1_000..1_200).filter(|n| table.note(client(*n), at(2)) == tripped(client(*n), HOUR));
    assert_eq!(caught.count(), 200);
}

#[test]
fn among_strangers_with_as_many_failures_the_oldest_goes() {
    let table = with(1, limits());
    for n in 0..32 {
        let _ = table.note(client(n), at(u64::from(n)));
    }
    table.tracker.pardon(client(0));
    let _ = table.note(client(0), at(32));
    let _ = table.note(client(32), at(33));
    for n in [0, 2, 31, 32] {
        assert_eq!(table.note(client(n), at(40)), left(3), "{n}");
    }
    assert_eq!(table.note(client(1), at(40)), left(4));
}

#[test]
fn what_no_longer_counts_makes_room_first() {
    let table = with(1, limits());
    for n in 0..32 {
        for _ in 0..4 {
            let _ = table.note(client(n), at(0));
        }
    }
    for n in 100..132 {
        let _ = table.note(client(n), at(600));
    }
    assert_eq!(table.tracker.tracked_clients(), 32);
    for n in 100..132 {
        assert_eq!(table.note(client(n), at(600)), left(3));
    }
}

#[test]
fn in_a_full_bucket_the_ban_that_ends_soonest_goes_and_is_counted() {
    let table = with(1, limits());
    for n in 0..32 {
        table.ban(client(n), u64::from(100 + (n + 5) % 32), at(0));
    }
    table.ban(client(99), 1, at(0));
    assert_eq!(table.bans(at(0)), 32);
    assert_eq!(table.tracker.bans_lost(), 1);
    let free = (0..32).filter(|n| table.banned(client(*n), at(0)).is_none());
    assert_eq!(free.collect::<Vec<_>>(), [27]);
}

#[test]
fn a_ban_that_is_over_is_not_counted_as_lost() {
    let table = with(1, limits());
    for n in 0..64 {
        table.ban(client(n), 10, at(u64::from(n / 32) * 10));
    }
    assert_eq!(table.bans(at(10)), 32);
    assert_eq!(table.tracker.bans_lost(), 0);
}

#[test]
fn the_end_of_an_evicted_attempt_counts_and_frees_no_other_place() {
    let table = with(1, limits());
    let evicted = table.begin(client(1), at(0)).unwrap();
    for n in 2..34 {
        let _ = table.note(client(n), at(1));
    }
    for _ in 0..5 {
        let _under_way = table.begin(client(1), at(2)).unwrap();
    }
    assert_eq!(table.fail(evicted, at(2)), left(4));
    assert_eq!(table.begin(client(1), at(2)), Err(full(30)));
    assert_eq!(table.tracker.tracked_clients(), 32);
}

#[test]
fn of_a_hundred_guesses_at_once_five_reach_the_password_check() {
    for _ in 0..20 {
        let table = table();
        let start = Barrier::new(100);
        let (checked, reports) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    start.wait();
                    if let Ok(attempt) = table.begin(client(1), at(0)) {
                        checked.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                        if table.fail(attempt, at(0)) == tripped(client(1), HOUR) {
                            reports.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(checked.into_inner(), 5);
        assert_eq!(reports.into_inner(), 1);
        assert!(table.banned(client(1), at(0)).is_some());
    }
}

#[test]
fn both_tables_hold_their_size_when_many_threads_fill_them() {
    let table = with(256 / ROOM, limits());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let table = &table;
            scope.spawn(move || {
                for n in 0..3_000 {
                    let attempt = table.begin(client(n), at(0));
                    table.ban(rotated(thread * 3_000 + n), HOUR, at(0));
                    if let Ok(attempt) = attempt {
                        let _ = table.fail(attempt, at(0));
                    }
                }
            });
        }
    });
    assert_eq!(table.tracker.tracked_clients(), 256);
    assert_eq!(table.bans(at(0)), 256);
}

#[test]
fn asking_for_a_ban_allocates_nothing() {
    let table = table();
    let _ = table.trip(client(1), at(0));
    let counted = allocation_counter::measure(|| {
        assert!(table.banned(client(1), at(1)).is_some());
        assert!(table.banned(client(2), at(1)).is_none());
        assert!(table.banned(client(2), at(HOUR)).is_none());
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn both_tables_full_take_at_most_ten_megabytes() {
    let counted = allocation_counter::measure(|| {
        let table = with(CAPACITY / ROOM, limits());
        for n in 0..2 * CAPACITY as u32 {
            table.ban(rotated(n), HOUR, at(0));
            for _ in 0..3 {
                let attempt = table.begin(client(n), at(0)).unwrap();
                let _ = table.fail(attempt, at(0));
            }
            let _under_way = table.begin(client(n), at(0)).unwrap();
        }
        let full = CAPACITY - CAPACITY / 100..=CAPACITY;
        assert!(full.contains(&table.tracker.tracked_clients()));
        assert!(full.contains(&table.bans(at(0))));
    });
    let megabytes = counted.bytes_max as f64 / 1e6;
    assert!(megabytes <= 10.0, "{megabytes} MB");
}
