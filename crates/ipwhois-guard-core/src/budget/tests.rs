use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::pace::DAY;
use super::*;

const FIRST: u64 = 100;
const NOON: u64 = DAY / 2;
/// A stranger that was counted as one before.
const ROUTINE: Tier = Tier::Routine { requests: 0 };

/// A moment: day after the first one, second of the day.
fn at(day: u64, second: u64) -> Duration {
    Duration::from_secs((FIRST + day) * DAY + second)
}

fn v4(network: u32, host: u32) -> Ration {
    of(Ipv4Addr::from_bits(0x1900_0000 + (network << 8) + host).into())
}

fn v6(subnet: u16, host: u16) -> Ration {
    of(Ipv6Addr::new(0x3ffe, 1, 2, subnet, 0, 0, 0, host).into())
}

/// A client that comes often enough whatever the rush.
fn of(ip: IpAddr) -> Ration {
    Ration::Of { ip, requests: 100 }
}

/// Takes as many as it gets, nobody's ration in the way.
fn drain(budget: &mut Budget, tier: Tier, now: Duration) -> u32 {
    let mut taken = 0;
    while budget.take(tier, Ration::Exempt, now).is_ok() {
        taken += 1;
    }
    taken
}

fn take(budget: &mut Budget, ration: Ration, now: Duration) -> Spend {
    budget.take(Tier::Urgent, ration, now).unwrap()
}

/// The service lists somebody whom a check of that tier was spent on.
fn found(budget: &mut Budget, tier: Tier) {
    let spend = Spend {
        day: FIRST,
        number: 0,
        at: at(0, 0),
        origin: None,
        tier,
    };
    budget.found(&spend, true);
}

fn spent(limit: u32, checks: u32, now: Duration) -> Budget {
    let mut budget = Budget::new(limit);
    for _ in 0..checks {
        let _ = take(&mut budget, Ration::Exempt, now);
    }
    budget
}

/// What each tier could take at that second of an untouched day.
#[track_caller]
fn check(limit: u32, second: u64, tier: Tier, expected: u32) {
    let mut budget = Budget::new(limit);
    assert_eq!(budget.left(at(0, 0)), limit);
    let got = drain(&mut budget, tier, at(0, second));
    assert_eq!(got, expected, "{tier:?} of {limit} at second {second}");
}

#[test]
fn each_tier_has_its_part_of_the_day() {
    for (limit, urgent, routine) in [
        (0, 0, 0),
        (1, 1, 0),
        (2, 2, 1),
        (50, 50, 45),
        (500, 500, 450),
    ] {
        for second in [0, NOON, DAY - 1] {
            check(limit, second, Tier::Urgent, urgent);
        }
        check(limit, DAY - 1, ROUTINE, routine);
        check(limit, DAY - 1_800, ROUTINE, routine);
    }
}

#[test]
fn routine_keeps_to_the_day_and_regulars_may_run_ahead() {
    let often = |requests| Tier::Routine { requests };
    // 450 of 500 are 18.75 an hour.
    check(500, 0, often(0), 10);
    check(500, 0, ROUTINE, 10);
    check(500, 0, often(3), 22);
    check(500, 0, often(16), 57);
    check(500, 0, often(u32::MAX), 57);
    check(500, NOON, ROUTINE, 235);
    check(500, NOON, often(16), 282);
    check(500, DAY - 2 * 3_600, ROUTINE, 422);
    check(500, DAY - 2 * 3_600, often(16), 432);
    check(2, 0, ROUTINE, 1);
}

#[test]
fn who_begins_at_noon_gets_half_of_the_morning_at_once_and_a_restart_goes_on() {
    let mut fresh = Budget::new(500);
    assert_eq!(drain(&mut fresh, ROUTINE, at(0, NOON)), 122);
    assert_eq!(drain(&mut fresh, ROUTINE, at(0, DAY - 1)), 450 - 122);
    let mut earlier = Budget::new(500);
    assert_eq!(drain(&mut earlier, ROUTINE, at(0, 0)), 10);
    let mut restarted = Budget::new(500);
    restarted.restore(earlier.snapshot(), at(0, NOON));
    assert_eq!(drain(&mut restarted, ROUTINE, at(0, NOON)), 225);
}

#[test]
fn in_the_last_half_hour_all_is_there_whenever_the_day_was_begun() {
    for began in [0, NOON, DAY - 1_800, DAY - 60] {
        let mut budget = Budget::new(500);
        assert_eq!(budget.left(at(0, began)), 500);
        let now = at(0, began.max(DAY - 1_800));
        assert_eq!(drain(&mut budget, ROUTINE, now), 450, "{began}");
    }
}

/// What strangers find at that second of a day of 500 checks when so many have come before them.
#[track_caller]
fn check_strangers(before: u32, second: u64, expected: u32) {
    let mut budget = Budget::new(500);
    assert_eq!(budget.left(at(0, 0)), 500);
    for n in 0..before {
        let stranger = budget.take(Tier::Routine { requests: 1 }, v4(n, 1), at(0, second));
        if let Ok(spend) = stranger {
            budget.refund(spend, at(0, second));
        }
    }
    assert_eq!(drain(&mut budget, ROUTINE, at(0, second)), expected);
    let frequent = Tier::Routine { requests: FREQUENT };
    let pace = 450 * (second + 3 * 3_600).min((second + DAY) / 2) / DAY;
    let ahead = drain(&mut budget, frequent, at(0, second));
    assert_eq!(
        u64::from(expected + ahead),
        pace + 1,
        "regulars do not wait"
    );
}

#[test]
fn in_a_shortage_strangers_wait_for_the_evening_and_regulars_do_not() {
    check_strangers(500, NOON, 235);
    check_strangers(650, NOON, 123);
    check_strangers(10_000, 18 * 3_600, 268);
}

#[test]
fn however_many_addresses_one_network_has_it_makes_no_shortage() {
    let mut budget = Budget::new(500);
    assert_eq!(budget.left(at(0, 0)), 500);
    for n in 0..10_000 {
        let _ = budget.take(Tier::Routine { requests: 1 }, v6(n, 1), at(0, NOON));
    }
    let taken = budget.spent_today(at(0, NOON));
    assert_eq!(taken + drain(&mut budget, ROUTINE, at(0, NOON)), 235);
}

#[test]
fn while_strangers_turn_out_to_be_listed_they_are_not_paced() {
    let mut budget = Budget::new(500);
    assert_eq!(budget.left(at(0, 0)), 500);
    let stranger = Tier::Routine { requests: 1 };
    assert_eq!(drain(&mut budget, ROUTINE, at(0, NOON)), 235);
    for tier in [Tier::Elevated, Tier::FailedLogin, Tier::Urgent] {
        found(&mut budget, tier);
        found(&mut budget, tier);
    }
    assert_eq!(
        drain(&mut budget, ROUTINE, at(0, NOON)),
        0,
        "expected of those"
    );
    found(&mut budget, stranger);
    found(&mut budget, stranger);
    assert_eq!(drain(&mut budget, ROUTINE, at(0, NOON)), 450 - 235);
}

/// A suspicious client of a wide network of its own.
fn suspect(network: u32, requests: u32) -> Ration {
    let ip = Ipv4Addr::from_bits(0x1a00_0001 + (network << 16)).into();
    Ration::Of { ip, requests }
}

/// A day of 50 at noon, when 20 checks are spent and so many suspects ask.
fn rush(suspects: u32) -> Budget {
    let mut budget = spent(50, 20, at(0, NOON));
    for n in 0..suspects {
        let _ = budget.take(Tier::Elevated, suspect(n, 0), at(0, NOON));
    }
    budget
}

#[test]
fn in_a_rush_checks_go_to_who_makes_many_requests() {
    let later = at(0, NOON + 30);
    let mut quiet = rush(5);
    let mut busy = rush(60);
    for tier in [Tier::Elevated, Tier::Pressing, Tier::FailedLogin] {
        let ask = |budget: &mut Budget, requests| {
            let spend = budget.take(tier, suspect(1_000, requests), later)?;
            budget.refund(spend, later);
            Ok(())
        };
        assert_eq!(ask(&mut quiet, 1), Ok(()), "{tier:?}");
        assert_eq!(ask(&mut busy, 1), Err(Refusal::Early), "{tier:?}");
    }
    let share_is_back = at(0, NOON + 1_800);
    let mut busy = rush(60);
    for n in 0..60 {
        let _ = busy.take(Tier::Elevated, suspect(100 + n, 0), share_is_back);
    }
    let mut ask = |requests| {
        let ration = suspect(1_000, requests);
        busy.take(Tier::Elevated, ration, share_is_back).map(drop)
    };
    assert_eq!(ask(15), Err(Refusal::Early));
    assert_eq!(ask(rush::HIGHEST_BAR), Ok(()));
    assert!(busy.take(Tier::Urgent, Ration::Exempt, later).is_ok());
}

#[test]
fn who_logs_in_is_no_newcomer_of_a_rush() {
    let mut budget = spent(50, 20, at(0, NOON));
    for n in 0..60 {
        let _ = budget.take(Tier::Pressing, suspect(n, 0), at(0, NOON));
    }
    let taken = budget.take(Tier::Elevated, suspect(1_000, 1), at(0, NOON));
    assert!(taken.is_ok(), "{taken:?}");
}

#[test]
fn a_network_with_somebody_listed_has_no_larger_share_on_the_next_day() {
    let mut budget = Budget::new(500);
    for day in 0..2 {
        let spend = budget
            .take(Tier::Elevated, v4(1, 1), at(day, DAY - 1))
            .unwrap();
        budget.found(&spend, day == 0);
    }
    let mut more = 0;
    while budget
        .take(Tier::Elevated, v4(1, 1), at(1, DAY - 1))
        .is_ok()
    {
        more += 1;
    }
    assert_eq!(more, 3);
}

#[test]
fn a_rush_of_one_holder_is_none() {
    let mut budget = spent(50, 20, at(0, NOON));
    for n in 0..1_000_u16 {
        let ip = Ipv6Addr::new(0x3ffe, 1, n, 0, 0, 0, 0, 1).into();
        let _ = budget.take(Tier::Elevated, Ration::Of { ip, requests: 0 }, at(0, NOON));
    }
    let other = suspect(1, 1);
    assert!(
        budget
            .take(Tier::Elevated, other, at(0, NOON + 1_800))
            .is_ok()
    );
}

#[test]
fn the_noticed_who_turn_out_to_be_listed_end_the_pace_only_in_a_rush() {
    let stranger = |budget: &mut Budget| budget.take(ROUTINE, v4(9, 9), at(0, NOON)).is_ok();
    for (suspects, expected) in [(0, false), (5, true)] {
        let mut budget = Budget::new(500);
        for n in 0..suspects {
            let _ = budget
                .take(Tier::Elevated, suspect(n, 1), at(0, NOON))
                .unwrap();
        }
        drain(&mut budget, Tier::Noticed, at(0, NOON));
        for _ in 0..3 {
            found(&mut budget, Tier::Noticed);
        }
        assert_eq!(stranger(&mut budget), expected, "{suspects} suspects");
    }
}

#[test]
fn the_noticed_are_paced_like_those_who_come_often() {
    for second in [0, 3 * 3_600, NOON, DAY - 1] {
        let mut often = Budget::new(500);
        assert_eq!(often.left(at(0, 0)), 500);
        let tier = Tier::Routine { requests: FREQUENT };
        let often = drain(&mut often, tier, at(0, second));
        check(500, second, Tier::Noticed, often);
    }
}

#[test]
fn where_somebody_is_listed_suspicious_clients_have_twice_the_share_and_visitors_have_not() {
    let now = at(0, DAY - 1);
    for (tier, clean, listed) in [
        (Tier::Elevated, 4, 8),
        (ROUTINE, 3, 3),
        (Tier::Pressing, 3, 3),
    ] {
        for (finds, expected) in [(false, clean), (true, listed)] {
            let mut budget = Budget::new(500);
            let mut taken = 0;
            while let Ok(spend) = budget.take(tier, v4(1, 1), now) {
                budget.found(&spend, finds);
                taken += 1;
            }
            assert_eq!(taken, expected, "{tier:?}, listed: {finds}");
        }
    }
}

#[test]
fn a_refresh_stays_behind_a_first_timer() {
    check(500, 0, Tier::Refresh, 5);
    check(500, NOON, Tier::Refresh, 118);
    check(500, DAY - 1, Tier::Refresh, 225);
}

#[test]
fn elevated_checks_run_ahead_of_the_day_by_a_sixth_in_half_an_hour() {
    for second in [0, NOON, DAY - 1] {
        check(50, second, Tier::Elevated, 9);
        check(500, second, Tier::Elevated, 84);
    }
    let mut budget = Budget::new(500);
    let hours = (0..24).map(|hour| drain(&mut budget, Tier::Elevated, at(0, hour * 3_600)));
    assert_eq!(hours.sum::<u32>(), 475);
}

#[test]
fn the_reserve_is_for_urgent_checks() {
    let now = at(0, DAY - 1);
    let mut budget = spent(500, 450, at(0, 0));
    let refusal = |budget: &mut Budget, tier| budget.take(tier, Ration::Exempt, now).err();
    for tier in [Tier::Refresh, ROUTINE] {
        assert_eq!(refusal(&mut budget, tier), Some(Refusal::Spent));
    }
    assert_eq!(drain(&mut budget, Tier::Elevated, now), 25);
    assert_eq!(refusal(&mut budget, Tier::Elevated), Some(Refusal::Spent));
    assert_eq!(drain(&mut budget, Tier::Urgent, now), 25);
}

#[test]
fn a_day_ends_with_its_last_nanosecond() {
    let midnight = at(1, 0);
    let before = midnight - Duration::from_nanos(1);
    let mut budget = spent(50, 50, before);
    assert_eq!(budget.left(before), 0);
    assert_eq!(budget.left(midnight), 50);
    assert_eq!(budget.spent_today(midnight), 0);
}

#[test]
fn a_clock_that_goes_back_a_little_buys_nothing() {
    let mut budget = spent(50, 50, at(0, DAY - 1));
    assert_eq!(drain(&mut budget, Tier::Urgent, at(1, 0)), 50);
    for earlier in [at(0, DAY - 1), at(0, 0)] {
        assert_eq!(budget.left(earlier), 0);
        assert_eq!(budget.spent_today(earlier), 50);
    }
    assert_eq!(budget.left(at(1, 0)), 0);
    assert_eq!(budget.left(at(2, 0)), 50);
}

#[test]
fn a_clock_that_goes_back_far_is_believed_and_keeps_the_count() {
    let mut budget = spent(50, 30, at(40, NOON));
    assert_eq!(budget.spent_today(at(3, NOON)), 30);
    assert_eq!(budget.spent_today(at(4, 0)), 0);
    // The day that was left comes again.
    assert_eq!(budget.spent_today(at(40, 0)), 30);
}

#[test]
fn a_clock_that_goes_back_far_keeps_a_subnet_waiting_for_an_hour_only() {
    let mut budget = Budget::new(1_000);
    for _ in 0..3 {
        let _ = take(&mut budget, v6(1, 1), at(40, NOON));
    }
    let mut ask = |second| budget.take(Tier::Urgent, v6(1, 1), at(3, second)).map(drop);
    assert_eq!(ask(0), Err(Refusal::Rationed));
    assert_eq!(ask(3_599), Err(Refusal::Rationed));
    assert_eq!(ask(3_600), Ok(()));
}

#[test]
fn a_day_is_not_spent_twice_by_leaving_it() {
    let mut budget = spent(50, 40, at(0, NOON));
    assert_eq!(drain(&mut budget, Tier::Urgent, at(10, 0)), 50);
    assert_eq!(budget.left(at(0, NOON)), 0);
    assert_eq!(budget.left(at(10, NOON)), 0);
    assert_eq!(budget.left(at(11, 0)), 50);
}

#[test]
fn a_network_has_its_ration_in_every_tier_and_the_last_of_it_is_not_for_routine() {
    for (limit, whole) in [(50, 2), (500, 4), (1_000, 8)] {
        for (tier, ration) in [(Tier::Urgent, whole), (ROUTINE, whole - 1)] {
            let mut budget = Budget::new(limit);
            let mut ask = |ration, day| budget.take(tier, ration, at(day, DAY - 1)).map(drop);
            for host in 0..ration {
                assert_eq!(ask(v4(1, host), 0), Ok(()));
            }
            assert_eq!(ask(v4(1, 200), 0), Err(Refusal::Rationed));
            assert_eq!(ask(v4(2, 200), 0), Ok(()));
            assert_eq!(ask(Ration::Exempt, 0), Ok(()));
            assert_eq!(ask(v4(1, 200), 1), Ok(()));
            let mut ask = |tier| budget.take(tier, v4(1, 201), at(1, DAY - 1)).is_ok();
            assert!((2..whole).all(|_| ask(Tier::Elevated)));
            assert!(ask(Tier::Elevated));
            assert!(!ask(Tier::Elevated));
        }
    }
}

#[test]
fn a_subnet_has_three_checks_within_any_hour_over_midnight_too() {
    let mut budget = Budget::new(1_000);
    let mut ask = |ration, day, second| {
        let taken = budget.take(Tier::Urgent, ration, at(day, second));
        taken.map(drop)
    };
    for second in [0, 600, 1_200] {
        assert_eq!(ask(v6(1, 1), 0, DAY - 1_800 + second), Ok(()));
    }
    assert_eq!(ask(v6(1, 2), 0, DAY - 1), Err(Refusal::Rationed));
    assert_eq!(ask(v6(2, 1), 0, DAY - 1), Ok(()));
    assert_eq!(ask(v6(1, 2), 1, 1_799), Err(Refusal::Rationed));
    assert_eq!(ask(v6(1, 2), 1, 1_800), Ok(()));
    assert_eq!(ask(v6(1, 2), 1, 2_399), Err(Refusal::Rationed));
    assert_eq!(ask(v6(1, 2), 1, 2_400), Ok(()));
}

#[test]
fn ipv4_behind_ipv6_has_its_own_ration() {
    let mut budget = Budget::new(50);
    let now = at(0, 0);
    for text in ["64:ff9b::25.1.1.1", "2002:1901:101::1"] {
        let _ = take(&mut budget, of(text.parse().unwrap()), now);
    }
    let mut ask = |text: &str| {
        let ration = of(text.parse().unwrap());
        budget.take(Tier::Urgent, ration, now).map(drop)
    };
    assert_eq!(ask("25.1.1.2"), Err(Refusal::Rationed));
    assert_eq!(ask("::ffff:25.1.1.2"), Err(Refusal::Rationed));
    assert_eq!(ask("64:ff9b::25.1.2.1"), Ok(()));
}

#[test]
fn a_refund_gives_all_back() {
    let now = at(0, NOON);
    for tier in [Tier::Urgent, Tier::Elevated, ROUTINE] {
        for ration in [v4(1, 1), v6(1, 1)] {
            let mut budget = Budget::new(50);
            for _ in 0..100 {
                let spend = budget.take(tier, ration, now).unwrap();
                budget.refund(spend, now);
            }
            assert_eq!(budget.left(now), 50);
            let snapshot = budget.snapshot();
            assert_eq!((snapshot.spent, snapshot.networks), (0, vec![]));
        }
    }
}

#[test]
fn a_refund_of_another_day_changes_nothing() {
    let mut budget = Budget::new(50);
    let yesterdays = take(&mut budget, v4(1, 1), at(0, NOON));
    let _ = take(&mut budget, v4(1, 2), at(1, NOON));
    let before = budget.snapshot();
    budget.refund(yesterdays, at(1, NOON));
    assert_eq!(budget.snapshot(), before);
}

#[test]
fn the_service_is_believed_when_it_says_less() {
    let now = at(0, NOON);
    let mut budget = spent(500, 100, now);
    budget.believe(450, None, now);
    assert_eq!(budget.left(now), 400);
    budget.believe(20, None, now);
    budget.believe(90, None, now);
    assert_eq!(budget.left(now), 20);
    assert_eq!(
        drain(&mut budget, Tier::Elevated, now),
        14,
        "half of a tenth of 120 is kept"
    );
    assert_eq!(drain(&mut budget, Tier::Urgent, now), 6);
    assert_eq!(budget.left(at(1, 0)), 500);
}

#[test]
fn a_count_for_a_short_window_holds_no_longer() {
    let now = at(0, NOON);
    let later = now + Duration::from_secs(30);
    let mut budget = Budget::new(500);
    budget.believe(10, Some(later), now);
    budget.believe(300, Some(later + HOUR), now);
    assert_eq!(drain(&mut budget, ROUTINE, now), 9);
    assert_eq!(drain(&mut budget, Tier::Urgent, now), 1);
    assert_eq!(budget.left(later - Duration::from_nanos(1)), 0);
    assert_eq!(budget.left(later), 290);
    assert_eq!(budget.left(later + HOUR), 490);
}

#[test]
fn windows_that_are_over_do_not_crowd_out_a_new_one() {
    let start = at(0, NOON);
    let minute = |n: u32| start + Duration::from_secs(60) * n;
    let mut budget = Budget::new(500);
    for n in 0..10 {
        let left = 100 + n;
        budget.believe(left, Some(minute(n + 1)), minute(n));
        assert_eq!(budget.left(minute(n)), left);
    }
}

#[test]
fn what_was_refunded_does_not_add_to_what_the_service_said() {
    let now = at(0, NOON);
    let mut budget = Budget::new(500);
    let unsent = take(&mut budget, Ration::Exempt, now);
    for until in [None, Some(now + HOUR)] {
        budget.believe(5, until, now);
    }
    budget.refund(unsent, now);
    assert_eq!(budget.left(now), 5);
    let unsent = take(&mut budget, Ration::Exempt, now);
    budget.refund(unsent, now);
    assert_eq!(budget.left(now), 5);
}

#[test]
fn after_a_429_nothing_is_left_until_it_is_over_or_the_day_turns() {
    let now = at(0, DAY - 7_200);
    for (until, over) in [(now + HOUR, now + HOUR), (at(5, 0), at(1, 0))] {
        let mut budget = Budget::new(50);
        budget.exhaust(until, now);
        budget.exhaust(now + Duration::from_secs(1), now);
        let just_before = over - Duration::from_nanos(1);
        let refusal = budget.take(Tier::Urgent, Ration::Exempt, just_before);
        assert_eq!(refusal.unwrap_err(), Refusal::Exhausted);
        assert_eq!(budget.left(just_before), 0);
        assert_eq!(budget.left(over), 50);
    }
}

#[test]
fn what_was_spent_since_the_start_adds_to_what_is_restored() {
    let now = at(0, NOON);
    let mut before = Budget::new(500);
    for host in 0..3 {
        let _ = take(&mut before, v4(1, host), now);
    }
    before.believe(100, None, now);
    let mut after = Budget::new(500);
    let _ = take(&mut after, v4(1, 3), now);
    after.restore(before.snapshot(), now);
    assert_eq!(after.spent_today(now), 4);
    assert_eq!(after.left(now), 99);
    let refusal = after.take(Tier::Urgent, v4(1, 4), now);
    assert_eq!(refusal.unwrap_err(), Refusal::Rationed);
}

#[test]
fn what_the_service_said_since_the_start_counts_from_then() {
    let now = at(0, NOON);
    for until in [None, Some(now + HOUR)] {
        let mut budget = spent(500, 1, now);
        budget.believe(100, until, now);
        budget.restore(spent(500, 30, now).snapshot(), now);
        assert_eq!(budget.left(now), 100);
    }
}

#[track_caller]
fn check_restored(stored_day: u64, now: Duration, expected: u32) {
    let stored = spent(50, 30, at(stored_day, NOON)).snapshot();
    let mut budget = spent(50, 5, now);
    budget.restore(stored, now);
    assert_eq!(
        budget.spent_today(now),
        expected,
        "stored on day {stored_day}"
    );
}

#[test]
fn a_stored_day_is_taken_as_if_the_clock_had_moved_from_it() {
    let now = at(10, NOON);
    check_restored(0, now, 5);
    check_restored(9, now, 5);
    check_restored(10, now, 35);
    check_restored(11, now, 35);
    check_restored(12, now, 35);
    let mut budget = Budget::new(50);
    budget.restore(spent(50, 30, at(11, NOON)).snapshot(), now);
    assert_eq!(budget.spent_today(at(11, 0)), 30, "the same day");
    let mut budget = Budget::new(50);
    budget.restore(spent(50, 30, at(15, NOON)).snapshot(), now);
    assert_eq!(budget.spent_today(at(11, 0)), 0, "a new day");
    assert_eq!(budget.spent_today(at(15, 0)), 30, "the stored day");
}

#[test]
fn absurd_limits_and_moments_do_no_harm() {
    let mut budget = Budget::new(u32::MAX);
    for now in [Duration::ZERO, Duration::MAX, at(0, NOON), Duration::MAX] {
        for tier in [Tier::Refresh, ROUTINE, Tier::Elevated, Tier::Urgent] {
            if let Ok(spend) = budget.take(tier, v4(1, 1), now) {
                budget.refund(spend, now);
            }
        }
        budget.believe(u32::MAX, Some(Duration::MAX), now);
        budget.believe(u32::MAX, Some(now), now);
        budget.exhaust(now, Duration::MAX);
        let mut stored = budget.snapshot();
        (stored.spent, stored.crowds) = (u32::MAX, u32::MAX);
        stored.networks = vec![(1, u32::MAX); 3];
        budget.restore(stored.clone(), now);
        stored.day = u64::MAX;
        budget.restore(stored, now);
        assert_eq!(budget.left(now), 0);
    }
}

#[test]
fn nothing_is_taken_at_limit_0() {
    let mut budget = Budget::new(0);
    budget.believe(100, None, at(0, 0));
    for tier in [Tier::Refresh, ROUTINE, Tier::Elevated, Tier::Urgent] {
        let refusal = budget.take(tier, Ration::Exempt, at(0, DAY - 1));
        assert_eq!(refusal.unwrap_err(), Refusal::Spent);
    }
}

#[test]
fn networks_are_told_apart_up_to_a_fixed_number_and_urgent_ones_beyond() {
    let mut budget = Budget::new(u32::MAX);
    let now = at(0, NOON);
    for network in 0..65_536 {
        let _ = budget.take(ROUTINE, v4(network, 1), now).unwrap();
    }
    let refusal = budget.take(ROUTINE, v4(65_536, 1), now);
    assert_eq!(refusal.unwrap_err(), Refusal::Rationed);
    let _ = budget.take(ROUTINE, v4(1, 2), now).unwrap();
    for network in 65_536..131_072 {
        let _ = take(&mut budget, v4(network, 1), now);
    }
    let refusal = budget.take(Tier::Urgent, v4(131_072, 1), now);
    assert_eq!(refusal.unwrap_err(), Refusal::Rationed);
}

#[test]
fn a_refusal_allocates_nothing() {
    let now = at(0, NOON);
    let mut budget = spent(50, 47, now);
    let refused = allocation_counter::measure(|| {
        for n in 0..1_000 {
            for tier in [Tier::Refresh, ROUTINE, Tier::Elevated] {
                assert!(budget.take(tier, v4(n, 1), now).is_err());
                assert!(budget.take(tier, v6(n as u16, 1), now).is_err());
            }
        }
    });
    assert_eq!(refused.count_total, 0);
}

#[derive(Clone, Debug)]
enum Op {
    Take(Tier, Ration),
    Refund(prop::sample::Index),
    Believe(u32, Option<u64>),
    Exhaust(u64),
    Move(i64),
}

fn tier() -> impl Strategy<Value = Tier> {
    prop_oneof![
        Just(Tier::Refresh),
        (0..20_u32).prop_map(|requests| Tier::Routine { requests }),
        Just(Tier::Elevated),
        Just(Tier::Urgent),
    ]
}

fn ration() -> impl Strategy<Value = Ration> {
    prop_oneof![
        2 => Just(Ration::Exempt),
        2 => (0..4_u32, 0..6_u32).prop_map(|(network, host)| v4(network, host)),
        2 => (0..3_u16, 0..2_u16).prop_map(|(subnet, host)| v6(subnet, host)),
        1 => (0..10_000_u32).prop_map(|network| v4(network, 1)),
    ]
}

/// Operations under a clock that moves by at most so many seconds either way, or stands still.
fn ops(back: i64, forward: i64) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        12 => (tier(), ration()).prop_map(|(tier, ration)| Op::Take(tier, ration)),
        2 => any::<prop::sample::Index>().prop_map(Op::Refund),
        1 => (0..80_u32, prop::option::of(0..90_000_u64)).prop_map(|(n, s)| Op::Believe(n, s)),
        1 => (0..90_000_u64).prop_map(Op::Exhaust),
        2 => (-back..=forward).prop_map(Op::Move),
        2 => (-60..=600_i64).prop_map(Op::Move),
    ];
    prop::collection::vec(op, 1..300)
}

/// Runs operations. What was taken and not given back stays in `spends`.
struct Run {
    budget: Budget,
    second: i64,
    spends: Vec<(Spend, Ration)>,
}

impl Run {
    fn new(limit: u32) -> Self {
        let second = i64::try_from(at(3, NOON).as_secs()).unwrap();
        Self {
            budget: Budget::new(limit),
            second,
            spends: Vec::new(),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.second).unwrap())
    }

    fn step(&mut self, op: Op) {
        let now = self.now();
        let before = (self.budget.left(now), self.budget.spent_today(now));
        let later = |seconds| now + Duration::from_secs(seconds);
        match op {
            Op::Take(tier, ration) => {
                if let Ok(spend) = self.budget.take(tier, ration, now) {
                    self.spends.push((spend, ration));
                    let after = (self.budget.left(now) + 1, self.budget.spent_today(now) - 1);
                    assert_eq!(after, before);
                }
            }
            Op::Refund(which) if !self.spends.is_empty() => {
                let (spend, _) = self.spends.remove(which.index(self.spends.len()));
                self.budget.refund(spend, now);
                let after = self.budget.left(now);
                assert!(after == before.0 || after == before.0 + 1);
            }
            Op::Refund(_) => {}
            Op::Believe(left, until) => {
                self.budget.believe(left, until.map(later), now);
                let holds = until.is_none_or(|seconds| seconds > 0);
                assert!(!holds || self.budget.left(now) == left.min(before.0));
            }
            Op::Exhaust(seconds) => self.budget.exhaust(later(seconds), now),
            Op::Move(seconds) => {
                let (first, last) = (at(0, 0).as_secs(), at(8, DAY - 1).as_secs());
                self.second = (self.second + seconds).clamp(first as i64, last as i64);
            }
        }
    }

    fn most<K: std::hash::Hash + Eq>(&self, key: impl Fn(&Spend) -> Option<K>) -> u32 {
        let mut counts = HashMap::new();
        for key in self.spends.iter().filter_map(|(spend, _)| key(spend)) {
            *counts.entry(key).or_insert(0) += 1;
        }
        counts.into_values().max().unwrap_or(0)
    }
}

const DAYS: i64 = DAY as i64;

proptest! {
    #[test]
    fn never_more_than_the_limit_is_taken_in_a_day_whatever_the_clock_does(
        limit in 0..60_u32,
        ops in ops(4 * DAYS, 4 * DAYS),
    ) {
        let mut run = Run::new(limit);
        for op in ops {
            run.step(op);
            prop_assert!(run.most(|spend| Some(spend.day)) <= limit);
        }
    }

    #[test]
    fn no_network_exceeds_its_ration_and_no_subnet_its_hour(
        limit in prop_oneof![0..60_u32, Just(1_000)],
        ops in ops(DAYS / 2, DAYS / 2),
    ) {
        let mut run = Run::new(limit);
        // A clock that goes back over two days in all is believed, and means other hours.
        let mut latest = run.second;
        for op in ops {
            run.step(op);
            latest = latest.max(run.second);
            run.second = run.second.max(latest - DAYS / 2);
        }
        let most = run.most(|spend| spend.origin.map(|origin| (spend.day, origin.network)));
        prop_assert!(most <= ration::a_network_a_day(limit));

        let mut subnets: HashMap<u64, Vec<Duration>> = HashMap::new();
        for (spend, _) in &run.spends {
            if let Some(origin) = spend.origin.filter(|origin| origin.is_v6) {
                subnets.entry(origin.host).or_default().push(spend.at);
            }
        }
        for mut moments in subnets.into_values() {
            moments.sort();
            for four in moments.windows(4) {
                prop_assert!(four[3] - four[0] >= HOUR, "{four:?}");
            }
        }
    }

    #[test]
    fn without_urgent_checks_half_of_the_reserve_is_there(
        limit in 0..60_u32,
        ops in ops(DAYS / 2, DAYS / 2),
    ) {
        let mut run = Run::new(limit);
        let mut latest = run.second;
        for op in ops {
            match op {
                Op::Take(Tier::Urgent, _) | Op::Believe(..) | Op::Exhaust(_) => continue,
                op => run.step(op),
            }
            latest = latest.max(run.second);
            run.second = run.second.max(latest - DAYS / 2);
            prop_assert!(run.budget.left(run.now()) >= pace::last_reserve(limit));
        }
        let now = run.now();
        prop_assert!(drain(&mut run.budget, Tier::Urgent, now) >= pace::last_reserve(limit));
    }

    #[test]
    fn what_is_not_used_is_there_for_routine_at_the_end_of_the_day(
        limit in 0..300_u32,
        ops in ops(DAYS / 2, DAYS / 2),
    ) {
        let mut run = Run::new(limit);
        for op in ops {
            if !matches!(op, Op::Believe(..) | Op::Exhaust(_)) {
                run.step(op);
            }
            run.second = run.second.clamp(at(3, 0).as_secs() as i64, at(3, DAY - 61).as_secs() as i64);
        }
        let end = at(3, DAY - 60);
        let (room, spent) = (limit - pace::reserve(limit), run.budget.spent_today(end));
        prop_assert_eq!(drain(&mut run.budget, ROUTINE, end), room.saturating_sub(spent));
    }

    #[test]
    fn no_more_is_taken_than_the_service_said_whatever_is_refunded(
        before in ops(0, 300),
        left in 0..30_u32,
        after in ops(0, 300),
    ) {
        let mut run = Run::new(500);
        run.second = at(3, 0).as_secs() as i64;
        let calm = |op: &Op| !matches!(op, Op::Believe(..) | Op::Exhaust(_) | Op::Move(_));
        before.into_iter().filter(calm).for_each(|op| run.step(op));
        let now = run.now();
        let number = run.budget.taken;
        run.budget.believe(left, None, now);
        for op in after.into_iter().filter(calm) {
            run.step(op);
            let since = run.spends.iter().filter(|(spend, _)| spend.number > number);
            prop_assert!(since.count() as u32 <= left);
        }
    }

    #[test]
    fn a_restart_keeps_what_was_spent(limit in 0..60_u32, ops in ops(DAYS / 2, DAYS / 2)) {
        let mut run = Run::new(limit);
        ops.into_iter().for_each(|op| run.step(op));
        let now = run.now();
        let left = run.budget.left(now);
        let mut stored = run.budget.snapshot();
        let text = serde_json::to_string(&stored).unwrap();
        let mut restarted = Budget::new(limit);
        restarted.restore(serde_json::from_str(&text).unwrap(), now);
        prop_assert_eq!(restarted.left(now), left);
        prop_assert_eq!(restarted.spent_today(now), stored.spent);
        let mut again = restarted.snapshot();
        stored.networks.sort();
        again.networks.sort();
        prop_assert_eq!(again, stored);
    }
}

#[test]
fn a_budget_that_is_gone_says_when_there_is_one_again() {
    let next_day = at(1, 0);
    let mut budget = spent(20, 18, at(0, NOON));
    assert_eq!(budget.gone_until(at(0, NOON)), None);
    let _ = take(&mut budget, Ration::Exempt, at(0, NOON));
    // The last one is for urgent checks: requests of strangers find nothing.
    assert_eq!(budget.left(at(0, NOON)), 1);
    assert_eq!(budget.gone_until(at(0, NOON)), Some(next_day));
    assert_eq!(budget.gone_until(next_day), None);

    let mut budget = spent(10, 2, at(0, NOON));
    budget.exhaust(at(0, NOON + 60), at(0, NOON));
    assert_eq!(budget.gone_until(at(0, NOON)), Some(at(0, NOON + 60)));
    // The later of the two moments, and not behind the day.
    budget.believe(0, Some(at(0, NOON + 90)), at(0, NOON));
    assert_eq!(budget.gone_until(at(0, NOON)), Some(at(0, NOON + 90)));
    assert_eq!(budget.gone_until(at(0, NOON + 89)), Some(at(0, NOON + 90)));
    assert_eq!(budget.gone_until(at(0, NOON + 90)), None);
    budget.believe(0, None, at(0, NOON + 90));
    assert_eq!(budget.gone_until(at(0, NOON + 90)), Some(next_day));

    // Nothing was wanted, so nothing is gone.
    assert_eq!(Budget::new(0).gone_until(at(0, NOON)), None);
}
