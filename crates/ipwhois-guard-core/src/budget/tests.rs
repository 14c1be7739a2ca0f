use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);
const NOON: u64 = DAY_SECONDS / 2;

/// A moment of a day that comes long after 1970.
fn at(day: u64, second: u64) -> Duration {
    Duration::from_secs((20_000 + day) * DAY_SECONDS + second)
}

fn v4(network: u32, host: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x1900_0000 | network << 8 | host).into()
}

/// Each from a /16 of its own.
fn far(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x1900_0001 + (n << 16)).into()
}

fn v6(subnet: u16, host: u16) -> IpAddr {
    let bits = 0x3ffe_0001_0002_u128 << 80 | u128::from(subnet) << 64 | u128::from(host);
    Ipv6Addr::from_bits(bits).into()
}

/// A request, and what comes of its bid.
fn request(budget: &mut Budget, ip: IpAddr, signs: Signs, now: Duration) -> Result<Spend, Refusal> {
    let bid = budget.bid(ip, signs, false, now);
    budget.take(Purpose::Request(bid), now).1
}

fn explicit(budget: &mut Budget, now: Duration) -> Result<Spend, Refusal> {
    budget.take(Purpose::Explicit, now).1
}

fn refresh(budget: &mut Budget, ip: IpAddr, now: Duration) -> Result<Spend, Refusal> {
    budget.take(Purpose::Refresh(ip), now).1
}

/// A budget of which so many checks are spent.
fn spent(limit: u32, checks: u32, now: Duration) -> Budget {
    let mut budget = Budget::new(limit);
    for _ in 0..checks {
        let _ = explicit(&mut budget, now).unwrap();
    }
    budget
}

/// Takes explicit checks until one is refused.
fn drain(budget: &mut Budget, now: Duration) -> u32 {
    (0..).take_while(|_| explicit(budget, now).is_ok()).count() as u32
}

/// A budget that has seen a day like this: clients of so many networks, evenly spread.
fn after_a_day(limit: u32, networks: u32, signs: Signs) -> Budget {
    let mut budget = Budget::new(limit);
    for n in 0..networks {
        let now = at(0, u64::from(n) * DAY_SECONDS / u64::from(networks));
        let _ = request(&mut budget, far(n), signs, now);
    }
    budget
}

#[test]
fn where_the_checks_cover_everybody_everybody_is_checked_at_the_first_request() {
    let mut budget = after_a_day(500, 300, Signs::NONE);
    for n in 0..300 {
        let now = at(1, u64::from(n) * 288);
        let visitor = request(
            &mut budget,
            far(300 + n),
            Signs::ASSET | Signs::REFERRER,
            now,
        );
        assert!(visitor.is_ok(), "visitor {n}");
    }
}

/// How many of some visitors without a sign are checked on a day. They come at these seconds, and
/// each from a network of its own.
fn checked(budget: &mut Budget, day: u32, seconds: impl Iterator<Item = u64>) -> usize {
    let is_checked = |(n, second): (u32, u64)| {
        let now = at(day.into(), second);
        let taken = request(budget, far(day * 1_000 + n), Signs::NONE, now);
        taken.map(|spend| budget.found(&spend, false, now)).is_ok()
    };
    (0..).zip(seconds).map(is_checked).filter(|&is| is).count()
}

/// A budget that begins to watch at the first midnight.
fn new_site(limit: u32) -> Budget {
    let mut budget = Budget::new(limit);
    let _ = budget.left(at(0, 0));
    budget
}

#[test]
fn a_new_site_whose_checks_do_for_everybody_checks_everybody() {
    const EIGHT: u64 = 8 * 3_600;
    for (limit, visitors) in [(10, 8), (25, 20), (25, 24), (50, 40), (100, 90), (500, 450)] {
        let evenly = (0..visitors).map(|n| n * DAY_SECONDS / visitors);
        let all = checked(&mut new_site(limit), 0, evenly);
        assert_eq!(all as u64, visitors, "{limit} checks");
        // In working hours, and for three quarters of the checks.
        let visitors = u64::from(limit) * 3 / 4;
        let at_work = (0..visitors).map(|n| EIGHT + n * 10 * 3_600 / visitors);
        let all = checked(&mut new_site(limit), 0, at_work);
        assert_eq!(all as u64, visitors, "{limit} checks, working hours");
    }
}

#[test]
fn a_burst_of_visitors_on_a_new_site_is_checked_while_there_are_many_checks() {
    for begin in [0, 1, NOON, DAY_SECONDS - 60] {
        let burst = (0..100).map(|n| begin + n * 14 / 100);
        let all = checked(&mut new_site(500), 0, burst);
        assert_eq!(all, 100, "at second {begin}");
    }
}

#[test]
fn a_burst_that_every_day_brings_is_checked_where_the_checks_do_for_a_day() {
    for begin in [1, 3 * 3_600, NOON, DAY_SECONDS - 60] {
        let burst = || (0..80).map(|n| begin + n * 14 / 80);
        let mut budget = new_site(105);
        let _ = checked(&mut budget, 0, burst());
        for day in 1..4 {
            let all = checked(&mut budget, day, burst());
            assert_eq!(all, 80, "at second {begin} of day {day}");
        }
    }
}

#[test]
fn in_a_shortage_checks_are_for_clients_that_show_signs() {
    let mut budget = after_a_day(50, 2_000, Signs::NONE);
    let (mut visitors, mut probers) = (0, 0);
    for n in 0..2_000 {
        let now = at(1, u64::from(n) * 43);
        let signs = if n % 50 == 7 {
            Signs::PROBE
        } else {
            Signs::NONE
        };
        let taken = request(&mut budget, v4(n, 2), signs, now);
        if let Ok(spend) = taken {
            budget.found(&spend, n % 50 == 7, now);
            *if n % 50 == 7 {
                &mut probers
            } else {
                &mut visitors
            } += 1;
        }
    }
    assert!(probers >= 38, "{probers} of 40 probers");
    assert!(visitors <= 12, "{visitors} visitors");
}

#[test]
fn in_a_shortage_a_client_gets_dearer_with_each_request() {
    let mut budget = Budget::new(50);
    let mut before = 0.0;
    for n in 0..30 {
        let bid = budget.bid(v4(1, 1), Signs::NONE, false, at(0, NOON + n));
        assert!(bid.score > before, "request {n}");
        before = bid.score;
    }
    assert!(before > 2.0, "{before}");
}

#[test]
fn a_client_that_was_away_for_a_day_is_a_new_one_but_for_what_checks_found() {
    let mut budget = Budget::new(500);
    let now = at(0, NOON);
    let spend = request(&mut budget, v4(1, 1), Signs::PROBE, now).unwrap();
    budget.found(&spend, true, now);
    let bid = budget.bid(v4(1, 1), Signs::NONE, false, at(1, NOON + 60));
    assert_eq!(bid.signs, Signs::WAS_LISTED | Signs::NEAR_LISTED);
    assert_eq!(bid.requests, 1.0);
}

#[test]
fn neighbours_of_a_listed_client_are_worth_more_and_of_a_clean_one_less() {
    let score = |is_listed: Option<bool>| {
        let mut budget = Budget::new(500);
        if let Some(is_listed) = is_listed {
            let spend = request(&mut budget, v4(1, 1), Signs::PROBE, at(0, NOON)).unwrap();
            budget.found(&spend, is_listed, at(0, NOON));
        }
        budget.bid(v4(1, 2), Signs::PROBE, false, at(0, NOON)).score
    };
    assert!(score(Some(true)) > score(None) && score(None) > score(Some(false)));
}

#[test]
fn where_a_check_settles_the_request_whatever_it_finds_a_visitor_is_worth_a_probe() {
    let mut budget = Budget::new(50);
    let now = at(0, NOON);
    let mut score = |ip, signs, matters| budget.bid(ip, signs, matters, now).score;
    let visitor = score(v4(1, 1), Signs::REFERRER, true);
    assert!(visitor >= score(v4(2, 1), Signs::PROBE | Signs::SCANNER, false));
    assert!(visitor > 5.0 * score(v4(3, 1), Signs::REFERRER, false));
}

#[test]
fn a_sign_that_shows_after_the_request_counts_for_the_next_one() {
    let mut budget = Budget::new(50);
    let now = at(0, NOON);
    let first = budget.bid(v4(1, 1), Signs::NONE, false, now);
    for signs in [Signs::REFUSED, Signs::FAILED_LOGIN, Signs::SUSPECTED] {
        let noted = v4(signs.bits().into(), 1);
        budget.bid(noted, Signs::NONE, false, now);
        budget.note(noted, signs, now);
        let next = budget.bid(noted, Signs::NONE, false, now);
        assert!(
            next.signs == signs && next.score > 2.0 * first.score,
            "{signs}"
        );
    }
    // Before its first request, too: on a path that no rule covers.
    budget.note(v4(2, 1), Signs::PROBE, now);
    assert_eq!(
        budget.bid(v4(2, 1), Signs::NONE, false, now).signs,
        Signs::PROBE
    );
}

#[test]
fn more_checks_never_make_the_same_moment_dearer() {
    let mut prices = Vec::new();
    for limit in [25, 50, 100, 200, 500, 1_000] {
        let mut budget = Budget::new(limit);
        for n in 0..300 {
            budget.bid(v4(n, 1), Signs::PROBE, false, at(0, u64::from(n) * 10));
        }
        prices.push(budget.price(at(0, 3_000)));
    }
    assert!(prices.is_sorted_by(|a, b| a >= b), "{prices:?}");
}

#[test]
fn a_refresh_waits_until_checks_are_to_spare() {
    let mut busy = after_a_day(50, 200, Signs::NONE);
    assert_eq!(
        refresh(&mut busy, far(900), at(1, 60)).unwrap_err(),
        Refusal::Price
    );
    let mut quiet = after_a_day(500, 100, Signs::NONE);
    assert!(refresh(&mut quiet, far(900), at(1, NOON)).is_ok());
}

#[test]
fn refreshes_take_no_more_than_half_of_the_day_so_far() {
    let mut budget = after_a_day(500, 10, Signs::NONE);
    let mut refreshed = 0;
    for second in (0..DAY_SECONDS).step_by(60) {
        // Each finds a listed client: no ration ends them.
        if let Ok(spend) = refresh(&mut budget, v4(1, 1), at(1, second)) {
            budget.found(&spend, true, at(1, second));
            refreshed += 1;
        }
        assert!(
            refreshed <= second * 250 / DAY_SECONDS + 1,
            "{refreshed} by second {second}"
        );
    }
    assert!(refreshed > 80, "{refreshed}");
}

#[test]
fn refreshes_are_rationed() {
    let mut budget = Budget::new(500);
    let now = at(0, DAY_SECONDS - 60);
    let mut refreshes = |ip| {
        (0..20)
            .filter(|_| refresh(&mut budget, ip, now).is_ok())
            .count()
    };
    assert_eq!(refreshes(v4(1, 1)), 2);
    assert_eq!(refreshes(v4(1, 2)), 0, "the pool pays for none");
    assert_eq!(refreshes(v4(2, 1)), 2);
}

#[test]
fn a_refresh_of_a_listed_client_wastes_nothing() {
    let mut budget = Budget::new(500);
    let now = at(0, DAY_SECONDS - 60);
    for _ in 0..10 {
        let spend = refresh(&mut budget, v4(1, 1), now).unwrap();
        budget.found(&spend, true, now);
    }
    let unsent = refresh(&mut budget, v4(1, 1), now).unwrap();
    budget.refund(unsent, now);
    assert_eq!(budget.spent_today(now), 10);
}

#[test]
fn addresses_of_a_64_waste_what_a_network_may_waste_of_its_own() {
    let mut budget = Budget::new(500);
    // None is answered yet. The pool pays once for each further /64.
    for (subnet, checks) in [(1, 2), (2, 1), (3, 1)] {
        let is_checked = |&host: &u16| {
            let now = at(0, 60 + u64::from(host));
            request(&mut budget, v6(subnet, host), Signs::PROBE, now).is_ok()
        };
        assert_eq!((0..100).filter(is_checked).count(), checks, "{subnet}");
    }
}

#[test]
fn explicit_checks_may_use_all_of_the_day_and_requests_leave_a_fiftieth() {
    let now = at(0, 0);
    let mut budget = Budget::new(100);
    let suspected = Signs::PROBE | Signs::SCANNER | Signs::SUSPECTED;
    let mut bought = 0;
    for n in 0..10_000 {
        // Listed ones, so that no ration ends it.
        if let Ok(spend) = request(&mut budget, v4(n * 256, n % 3), suspected, now) {
            budget.found(&spend, true, now);
            bought += 1;
        }
    }
    assert!(bought <= 98, "{bought}");
    assert_eq!(bought + drain(&mut budget, now), 100);
    assert_eq!(explicit(&mut budget, now).unwrap_err(), Refusal::Spent);
}

#[test]
fn a_network_may_waste_its_ration_and_the_pool_and_a_wide_one_a_tenth() {
    for (limit, near, around) in [(50, 1 + 2, 8), (500, 2 + 50, 50), (2_000, 10 + 200, 200)] {
        let wasted = |client: &dyn Fn(u32) -> IpAddr| {
            let mut budget = Budget::new(limit);
            let mut wasted = 0;
            for n in 0..5_000 {
                // Late in the day, when all that is left may be spent.
                let now = at(0, DAY_SECONDS - 60);
                if let Ok(spend) = request(&mut budget, client(n), Signs::PROBE, now) {
                    budget.found(&spend, false, now);
                    wasted += 1;
                }
            }
            wasted
        };
        let one_24 = wasted(&|n| v4(1, n % 256));
        let one_16 = wasted(&|n| v4(n / 250 % 250, n % 250));
        let one_48 = wasted(&|n| v6(n as u16, 1));
        assert!(one_24 <= near.min(around), "{one_24} of {limit}");
        assert!(one_16 <= around, "{one_16} of {limit}");
        assert!(one_48 <= near.min(around), "{one_48} of {limit}");
    }
}

#[test]
fn a_check_that_finds_a_listed_client_takes_nothing_of_the_ration() {
    let mut budget = Budget::new(500);
    let now = at(0, DAY_SECONDS - 60);
    for host in 0..100 {
        let spend = request(&mut budget, v4(1, host), Signs::PROBE, now).unwrap();
        budget.found(&spend, true, now);
    }
}

#[test]
fn addresses_of_a_64_are_one_client() {
    let mut budget = Budget::new(500);
    let now = at(0, NOON);
    let spend = request(&mut budget, v6(1, 1), Signs::PROBE, now).unwrap();
    budget.found(&spend, false, now);
    let bid = budget.bid(v6(1, 2), Signs::NONE, false, now);
    assert!(bid.signs.contain(Signs::PROBE | Signs::WAS_CLEAN));
    assert_eq!(bid.requests, 2.0);
    assert!(bid.score < 0.1, "{}", bid.score);
}

#[test]
fn a_budget_that_is_far_too_small_says_how_many_clients_should_have_been_checked() {
    let mut small = after_a_day(50, 2_000, Signs::PROBE | Signs::REFUSED);
    let (wanted, limit) = small.wanted(at(1, 60)).unwrap();
    assert_eq!(limit, 50);
    assert!((1_800..=2_100).contains(&wanted), "{wanted}");
    // Visitors are not worth a check each.
    let mut visitors = after_a_day(50, 2_000, Signs::ASSET | Signs::REFERRER);
    assert_eq!(visitors.wanted(at(1, 60)), None);
    let mut large = after_a_day(1_000, 1_000, Signs::PROBE);
    assert_eq!(large.wanted(at(1, 60)), None);
    assert_eq!(Budget::new(0).wanted(at(0, 0)), None);
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
    let mut budget = spent(50, 50, at(0, DAY_SECONDS - 1));
    assert_eq!(drain(&mut budget, at(1, 0)), 50);
    for earlier in [at(0, DAY_SECONDS - 1), at(0, 0)] {
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
fn a_clock_that_was_a_year_ahead_leaves_no_demand_from_there() {
    let mut budget = Budget::new(50);
    for n in 0..2_000 {
        let _ = request(&mut budget, v4(n, 1), Signs::PROBE, at(365, NOON));
    }
    let _ = budget.left(at(0, NOON));
    let mut fresh = spent(50, budget.spent_today(at(0, NOON)), at(0, NOON));
    let price = |budget: &mut Budget| budget.price(at(0, NOON + 60));
    assert_eq!(price(&mut budget), price(&mut fresh));
}

#[test]
fn a_day_is_not_spent_twice_by_leaving_it() {
    let mut budget = spent(50, 40, at(0, NOON));
    assert_eq!(drain(&mut budget, at(10, 0)), 50);
    assert_eq!(budget.left(at(0, NOON)), 0);
    assert_eq!(budget.left(at(10, NOON)), 0);
    assert_eq!(budget.left(at(11, 0)), 50);
}

#[test]
fn a_refund_gives_all_back() {
    let now = at(0, NOON);
    let mut budget = Budget::new(500);
    for n in 0..100 {
        let spend = request(&mut budget, v4(1, 1), Signs::PROBE, now).expect("it was given back");
        budget.refund(spend, now);
        let spend = explicit(&mut budget, now).unwrap();
        budget.refund(spend, now);
        assert_eq!(budget.left(now), 500, "{n}");
    }
    assert_eq!(budget.rations.snapshot(budget.today.day, 0.0), (0, vec![]));
}

#[test]
fn a_refund_of_another_day_changes_nothing() {
    let mut budget = Budget::new(50);
    let yesterdays = request(&mut budget, v4(1, 1), Signs::PROBE, at(0, NOON)).unwrap();
    let _ = explicit(&mut budget, at(1, NOON)).unwrap();
    let before = budget.snapshot(at(1, NOON));
    budget.refund(yesterdays, at(1, NOON));
    assert_eq!(budget.snapshot(at(1, NOON)), before);
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
    assert_eq!(drain(&mut budget, now), 20);
    assert_eq!(budget.left(at(1, 0)), 500);
}

#[test]
fn what_the_service_says_makes_checks_dearer() {
    let mut budget = after_a_day(500, 300, Signs::NONE);
    let now = at(1, 60);
    assert_eq!(budget.price(now), 0.0);
    budget.believe(20, None, now);
    assert!(budget.price(now) > 0.1);
}

#[test]
fn a_count_for_a_short_window_holds_no_longer() {
    let now = at(0, NOON);
    let later = now + Duration::from_secs(30);
    let mut budget = Budget::new(500);
    budget.believe(10, Some(later), now);
    budget.believe(300, Some(later + HOUR), now);
    assert_eq!(drain(&mut budget, now), 10);
    assert_eq!(budget.left(later - Duration::from_nanos(1)), 0);
    assert_eq!(budget.left(later), 490);
    // The service says it again.
    budget.believe(280, Some(later + HOUR), later);
    assert_eq!(budget.left(later), 280);
    assert_eq!(budget.left(later + HOUR), 490);
}

#[test]
fn what_was_refunded_does_not_add_to_what_the_service_said() {
    let now = at(0, NOON);
    let mut budget = Budget::new(500);
    let unsent = explicit(&mut budget, now).unwrap();
    for until in [None, Some(now + HOUR)] {
        budget.believe(5, until, now);
    }
    budget.refund(unsent, now);
    assert_eq!(budget.left(now), 5);
    let unsent = explicit(&mut budget, now).unwrap();
    budget.refund(unsent, now);
    assert_eq!(budget.left(now), 5);
}

#[test]
fn after_a_429_nothing_is_left_until_it_is_over_or_the_day_turns() {
    let now = at(0, DAY_SECONDS - 7_200);
    for (until, over) in [(now + HOUR, now + HOUR), (at(5, 0), at(1, 0))] {
        let mut budget = Budget::new(50);
        budget.exhaust(until, now);
        budget.exhaust(now + Duration::from_secs(1), now);
        let just_before = over - Duration::from_nanos(1);
        assert_eq!(
            explicit(&mut budget, just_before).unwrap_err(),
            Refusal::Exhausted
        );
        assert_eq!(budget.left(just_before), 0);
        assert_eq!(budget.left(over), 50);
    }
}

#[test]
fn a_budget_that_is_gone_says_when_there_is_one_again() {
    let next_day = at(1, 0);
    let mut budget = spent(100, 98, at(0, NOON));
    assert_eq!(budget.gone_until(at(0, NOON)), None);
    let _ = explicit(&mut budget, at(0, NOON)).unwrap();
    // The last one is kept for explicit checks: clients find none.
    assert_eq!(budget.left(at(0, NOON)), 1);
    assert_eq!(budget.gone_until(at(0, NOON)), Some(next_day));
    assert_eq!(budget.gone_until(next_day), None);

    let mut budget = spent(10, 2, at(0, NOON));
    budget.exhaust(at(0, NOON + 60), at(0, NOON));
    assert_eq!(budget.gone_until(at(0, NOON)), Some(at(0, NOON + 60)));
    // The later of the two moments, and not behind the day.
    budget.believe(0, Some(at(0, NOON + 90)), at(0, NOON));
    assert_eq!(budget.gone_until(at(0, NOON)), Some(at(0, NOON + 90)));
    assert_eq!(budget.gone_until(at(0, NOON + 90)), None);
    budget.believe(0, None, at(0, NOON + 90));
    assert_eq!(budget.gone_until(at(0, NOON + 90)), Some(next_day));
    assert_eq!(Budget::new(0).gone_until(at(0, NOON)), None);
}

#[test]
fn a_restart_knows_what_was_spent_rationed_and_learned() {
    let now = at(1, NOON);
    let mut before = after_a_day(500, 300, Signs::NONE);
    for n in 0..30 {
        let spend = request(&mut before, far(1_000 + n), Signs::PROBE, now).unwrap();
        before.found(&spend, false, now);
    }
    let text = serde_json::to_string(&before.snapshot(now)).unwrap();
    let mut after = Budget::new(500);
    let _ = explicit(&mut after, now).unwrap();
    assert!(after.restore(&serde_json::from_str(&text).unwrap(), now));
    assert_eq!(after.spent_today(now), before.spent_today(now) + 1);
    let near = |budget: &Budget| {
        let networks = budget.rations.snapshot(budget.today.day, now.as_secs_f64());
        (networks.0, networks.1.len())
    };
    assert_eq!(near(&after), near(&before));
    let probability =
        |budget: &mut Budget| budget.bid(v4(900, 1), Signs::PROBE, false, now).probability;
    let (before, after) = (probability(&mut before), probability(&mut after));
    assert!((before / after - 1.0).abs() < 1e-4 && before < 0.7);
}

#[test]
fn what_the_service_said_since_the_start_counts_from_then() {
    let now = at(0, NOON);
    for until in [None, Some(now + HOUR)] {
        let mut budget = spent(500, 1, now);
        budget.believe(100, until, now);
        budget.restore(&spent(500, 30, now).snapshot(now), now);
        assert_eq!(budget.left(now), 100);
    }
}

#[track_caller]
fn check_restored(stored_day: u64, now: Duration, expected: u32) {
    let stored_at = at(stored_day, NOON);
    let stored = spent(50, 30, stored_at).snapshot(stored_at);
    let mut budget = spent(50, 5, now);
    budget.restore(&stored, now);
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
    let restored = |day: u64| {
        let mut budget = Budget::new(50);
        let stored = spent(50, 30, at(day, NOON)).snapshot(at(day, NOON));
        budget.restore(&stored, now);
        budget
    };
    assert_eq!(restored(11).spent_today(at(11, 0)), 30, "the same day");
    assert_eq!(restored(15).spent_today(at(11, 0)), 0, "a new day");
    assert_eq!(restored(15).spent_today(at(15, 0)), 30, "the stored day");
}

#[test]
fn of_another_versions_snapshot_the_count_and_the_services_word_are_read() {
    let now = at(0, NOON);
    let old = r#"{"day":20000,"spent":30,"crowds":3,
        "told":{"day":40,"windows":[[5,1,99]],"exhausted_until":0},"networks":[[7,2]]}"#;
    let strange = r#"{"version":9,"day":20000,"spent":30,"quota":{"day":40},"learned":[1]}"#;
    let damaged = r#"{"version":2,"day":20000,"spent":30,"quota":{"day":40},
        "learned":{"weights":[[null,4.0]]}}"#;
    for text in [old, strange, damaged] {
        let mut budget = Budget::new(50);
        assert!(
            !budget.restore(&serde_json::from_str(text).unwrap(), now),
            "{text}"
        );
        assert_eq!(
            (budget.spent_today(now), budget.left(now)),
            (30, 10),
            "{text}"
        );
    }
}

#[test]
fn absurd_limits_and_moments_do_no_harm() {
    let mut budget = Budget::new(u32::MAX);
    for now in [Duration::ZERO, Duration::MAX, at(0, NOON), Duration::MAX] {
        for signs in [Signs::NONE, Signs::PROBE] {
            if let Ok(spend) = request(&mut budget, v4(1, 1), signs, now) {
                budget.found(&spend, true, now);
                budget.refund(spend, now);
            }
        }
        let _ = refresh(&mut budget, v4(1, 1), now);
        budget.believe(u32::MAX, Some(Duration::MAX), now);
        budget.believe(u32::MAX, Some(now), now);
        budget.exhaust(now, Duration::MAX);
        let mut stored = budget.snapshot(now);
        stored.spent = u32::MAX;
        budget.restore(&stored, now);
        stored.day = u64::MAX;
        budget.restore(&stored, now);
        assert_eq!(budget.left(now), 0);
        assert!(budget.price(now) >= 0.0);
    }
}

#[test]
fn nothing_is_taken_at_limit_0() {
    let mut budget = Budget::new(0);
    let now = at(0, DAY_SECONDS - 1);
    budget.believe(100, None, at(0, 0));
    for taken in [
        explicit(&mut budget, now),
        refresh(&mut budget, v4(1, 1), now),
        request(&mut budget, v4(1, 1), Signs::PROBE, now),
    ] {
        assert_eq!(taken.unwrap_err(), Refusal::Spent);
    }
}

#[test]
fn a_request_that_buys_nothing_allocates_nothing() {
    let now = at(0, NOON);
    let mut budget = spent(50, 49, now);
    let refused = allocation_counter::measure(|| {
        for n in 0..10_000 {
            assert!(request(&mut budget, v4(n, 1), Signs::NONE, now).is_err());
            assert!(request(&mut budget, v6(n as u16, 1), Signs::PROBE, now).is_err());
        }
    });
    assert_eq!(refused.count_total, 0);
}

#[test]
fn a_flood_of_new_addresses_pushes_out_itself() {
    let mut budget = Budget::new(50);
    let now = at(0, NOON);
    for _ in 0..20 {
        budget.bid(v4(1, 1), Signs::PROBE, false, now);
    }
    for n in 0..400_000_u32 {
        let flood = Ipv4Addr::from_bits(0x1a00_0000 + n);
        budget.bid(flood.into(), Signs::NONE, false, now);
    }
    let bid = budget.bid(v4(1, 1), Signs::NONE, false, now);
    assert_eq!((bid.signs, bid.requests), (Signs::PROBE, 21.0));
}

#[test]
fn a_client_takes_24_bytes() {
    assert_eq!(size_of::<(u64, Client)>(), 24);
}

#[derive(Clone, Debug)]
enum Op {
    Explicit,
    Refresh(IpAddr),
    Request(IpAddr, u16),
    Note(IpAddr),
    Found(prop::sample::Index, bool),
    Refund(prop::sample::Index),
    Believe(u32, Option<u64>),
    Exhaust(u64),
    Move(i64),
}

fn client() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        2 => (0..4_u32, 0..60_u32).prop_map(|(network, host)| v4(network, host)),
        2 => (0..60_u16, 0..2_u16).prop_map(|(subnet, host)| v6(subnet, host)),
        1 => (0..10_000_u32).prop_map(|network| v4(network, 1)),
    ]
}

/// Operations under a clock that moves by at most so many seconds either way, or stands still.
fn ops(back: i64, forward: i64) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => Just(Op::Explicit),
        1 => client().prop_map(Op::Refresh),
        12 => (client(), 0..(1_u16 << 10)).prop_map(|(ip, signs)| Op::Request(ip, signs)),
        1 => client().prop_map(Op::Note),
        4 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(n, is)| Op::Found(n, is)),
        2 => any::<prop::sample::Index>().prop_map(Op::Refund),
        1 => (0..80_u32, prop::option::of(0..90_000_u64)).prop_map(|(n, s)| Op::Believe(n, s)),
        1 => (0..90_000_u64).prop_map(Op::Exhaust),
        2 => (-back..=forward).prop_map(Op::Move),
        2 => (-60..=600_i64).prop_map(Op::Move),
    ];
    prop::collection::vec(op, 1..300)
}

/// Runs operations. What was taken and not given back stays in `spends`, with whether it found a
/// listed client.
struct Run {
    budget: Budget,
    second: i64,
    spends: Vec<(Spend, Option<bool>)>,
}

impl Run {
    fn new(limit: u32) -> Self {
        Self {
            budget: Budget::new(limit),
            second: at(3, NOON).as_secs() as i64,
            spends: Vec::new(),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_secs(self.second as u64)
    }

    fn step(&mut self, op: Op) {
        let now = self.now();
        let budget = &mut self.budget;
        let before = (budget.left(now), budget.spent_today(now));
        let later = |seconds| now + Duration::from_secs(seconds);
        let taken = match op {
            Op::Explicit => explicit(budget, now),
            Op::Refresh(ip) => refresh(budget, ip, now),
            Op::Request(ip, signs) => request(budget, ip, Signs::from_bits(signs), now),
            Op::Note(ip) => {
                budget.note(ip, Signs::REFUSED, now);
                return;
            }
            Op::Found(which, is_listed) => {
                let open = self.spends.iter_mut().filter(|(_, found)| found.is_none());
                let mut open: Vec<_> = open.collect();
                if !open.is_empty() {
                    let index = which.index(open.len());
                    let (spend, found) = &mut open[index];
                    budget.found(spend, is_listed, now);
                    *found = Some(is_listed);
                }
                return;
            }
            Op::Refund(which) => {
                let open: Vec<usize> = (0..self.spends.len())
                    .filter(|&index| self.spends[index].1.is_none())
                    .collect();
                if !open.is_empty() {
                    let (spend, _) = self.spends.remove(open[which.index(open.len())]);
                    budget.refund(spend, now);
                    let after = budget.left(now);
                    assert!(after == before.0 || after == before.0 + 1);
                }
                return;
            }
            Op::Believe(left, until) => {
                budget.believe(left, until.map(later), now);
                let holds = until.is_none_or(|seconds| seconds > 0);
                assert!(!holds || budget.left(now) <= left.max(before.0));
                return;
            }
            Op::Exhaust(seconds) => return budget.exhaust(later(seconds), now),
            Op::Move(seconds) => {
                let (first, last) = (at(0, 0).as_secs(), at(8, DAY_SECONDS - 1).as_secs());
                self.second = (self.second + seconds).clamp(first as i64, last as i64);
                return;
            }
        };
        if let Ok(spend) = taken {
            self.spends.push((spend, None));
            let after = (budget.left(now) + 1, budget.spent_today(now) - 1);
            assert_eq!(after, before);
        }
    }

    fn most<K: std::hash::Hash + Eq>(
        &self,
        key: impl Fn(&(Spend, Option<bool>)) -> Option<K>,
    ) -> u32 {
        let mut counts = HashMap::new();
        for key in self.spends.iter().filter_map(key) {
            *counts.entry(key).or_insert(0) += 1;
        }
        counts.into_values().max().unwrap_or(0)
    }
}

const DAYS: i64 = DAY_SECONDS as i64;

proptest! {
    #[test]
    fn never_more_than_the_limit_is_taken_in_a_day_whatever_the_clock_does(
        limit in 0..60_u32,
        ops in ops(4 * DAYS, 4 * DAYS),
    ) {
        let mut run = Run::new(limit);
        for op in ops {
            run.step(op);
            prop_assert!(run.most(|(spend, _)| Some(spend.day)) <= limit);
        }
    }

    #[test]
    fn no_network_wastes_more_than_its_ration(
        limit in prop_oneof![1..60_u32, Just(1_000)],
        ops in ops(0, DAYS / 2),
    ) {
        let mut run = Run::new(limit);
        // The service's word lowers the rations meanwhile.
        let calm = |op: &Op| !matches!(op, Op::Believe(..) | Op::Move(..=-1));
        ops.into_iter().filter(calm).for_each(|op| run.step(op));
        let wasted = |key: fn(&Origin) -> Option<u64>| {
            run.most(|(spend, found)| {
                let (origin, _) = spend.paid.as_ref().filter(|_| *found != Some(true))?;
                Some((spend.day, key(origin)?))
            })
        };
        let tenth = limit / 10;
        prop_assert!(wasted(|origin| Some(origin.near)) <= (limit / 200).max(1) + (limit.saturating_sub(30) / 10).max(2));
        prop_assert!(wasted(|origin| origin.rationed().nth(2)) <= (limit / 200).max(1));
        prop_assert!(wasted(|origin| Some(origin.around)) <= tenth.max(8));
        let all = run.most(|(spend, _)| Some((spend.day, spend.paid.as_ref()?.0.around)));
        prop_assert!(all <= 2 * tenth.max(8));
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
    fn a_restart_keeps_what_was_spent_and_learned(limit in 0..60_u32, ops in ops(DAYS / 2, DAYS / 2)) {
        let mut run = Run::new(limit);
        ops.into_iter().for_each(|op| run.step(op));
        let now = run.now();
        let left = run.budget.left(now);
        let stored = run.budget.snapshot(now);
        let text = serde_json::to_string(&stored).unwrap();
        let mut restarted = Budget::new(limit);
        prop_assert!(restarted.restore(&serde_json::from_str(&text).unwrap(), now));
        prop_assert_eq!(restarted.left(now), left);
        prop_assert_eq!(restarted.spent_today(now), stored.spent);
        prop_assert_eq!(restarted.weights.snapshot(), run.budget.weights.snapshot());
        prop_assert_eq!(restarted.forecast.snapshot(), run.budget.forecast.snapshot());
    }

    #[test]
    fn figures_stay_finite_and_the_price_never_rises_with_the_checks_left(ops in ops(4 * DAYS, 4 * DAYS)) {
        let mut run = Run::new(50);
        for op in ops {
            run.step(op);
            // The day begins with the first look.
            let _ = run.budget.left(run.now());
            let now = run.now().as_secs_f64();
            let prices: Vec<f64> = (-1..100).map(|left| run.budget.demand.price(left.into(), [0.0, 50.0], now)[0]).collect();
            // But for the part of a level that is bought only where demand is usually short.
            prop_assert!(prices.is_sorted_by(|a, b| *a >= b * 0.95), "{prices:?}");
            let bid = run.budget.bid(v4(1, 1), Signs::NONE, true, run.now());
            prop_assert!(bid.score.is_finite() && bid.score > 0.0, "{bid:?}");
        }
    }
}
