//! Several guards that work together through a shared store.

use std::time::{Instant, SystemTime};

use ipwhois_guard_core::store::{
    BanRecord, InMemory, Scope, Seen, SharedStore, SharedVerdict, Trouble, Troubled,
};
use ipwhois_guard_core::{ApiError, CheckFuture, CheckService, Reputation};

use super::budget::Blacklist;
use super::*;

const BUDGET: u32 = 50;
const NO_BUDGET: Source = Source::Unverified(Unverified::NoBudget);

/// A service that takes its time.
#[derive(Clone, Debug)]
struct Slow(Blacklist);

impl CheckService for Slow {
    fn check(&self, ip: IpAddr) -> CheckFuture<'_> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.0.check(ip).await
        })
    }
}

/// A service that is down.
#[derive(Debug)]
struct Down;

impl CheckService for Down {
    fn check(&self, _: IpAddr) -> CheckFuture<'_> {
        Box::pin(std::future::ready(Err(ApiError::Status { status: 500 })))
    }
}

fn machine(store: impl SharedStore, service: impl CheckService, budget: u32) -> Guard {
    let guard = Guard::builder()
        .service(service)
        .shared(store)
        .feed_url("")
        .clock(ManualClock::new())
        .daily_budget(budget)
        .max_wait(PATIENCE)
        .build()
        .expect("the settings are right");
    block_on(guard.ready());
    guard
}

fn machines<const N: usize>(store: &InMemory, service: &(impl CheckService + Clone)) -> [Guard; N] {
    std::array::from_fn(|_| machine(store.another(), service.clone(), BUDGET))
}

fn nth(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x1a00_0001 + (n << 8)).into()
}

fn source(guard: &Guard, ip: IpAddr) -> Source {
    block_on(guard.check(ip)).source()
}

fn is_banned(guard: &Guard, ip: IpAddr) -> bool {
    source(guard, ip) == Source::Banned
}

fn fail(guard: &Guard, ip: IpAddr) -> Option<u16> {
    let denial = block_on(guard.failed_login(ip)).err();
    denial.map(|denial| denial.status())
}

/// What happens in the background happens soon.
#[track_caller]
fn until(mut happens: impl FnMut() -> bool) {
    let since = Instant::now();
    while !happens() {
        assert!(since.elapsed() < PATIENCE, "it did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whatever each machine can hear, it hears from now on.
fn until_all_hear(store: &InMemory, guards: &[Guard]) {
    let sentinel = IpAddr::V4(Ipv4Addr::new(26, 255, 0, 1));
    let ban = BanRecord {
        scope: Scope::of(sentinel),
        age: Duration::ZERO,
        left: PATIENCE,
    };
    block_on(store.tell_bans(&[ban])).expect("never away");
    until(|| guards.iter().all(|guard| is_banned(guard, sentinel)));
}

#[test]
fn one_check_is_made_for_a_client_that_five_machines_see_at_once() {
    let blacklist = Blacklist::of([LISTED]);
    let store = InMemory::new();
    let slow = Slow(blacklist.clone());
    let guards: [Guard; 5] = std::array::from_fn(|_| machine(store.another(), slow.clone(), 1_000));
    let head = Head {
        path: "/",
        peer: Peer::Ip(LISTED),
        forwarded_for: None,
    };
    let steps: Vec<Step> = guards
        .iter()
        .flat_map(|guard| [guard.decide(&head), guard.decide(&head)])
        .collect();
    let sources: Vec<Source> = steps
        .into_iter()
        .map(|step| {
            let decision = block_on(step.decision());
            let source = decision.verdict().source();
            assert_eq!(decision.denial().map(Denial::status), Some(403), "{source}");
            source
        })
        .collect();
    assert_eq!(blacklist.checks(), 1);
    let from = |source| sources.iter().filter(|from| **from == source).count();
    // Those who wait have it from the store, or have heard of it.
    assert_eq!(from(Source::Api), 2, "{sources:?}");
    assert_eq!(from(Source::Shared) + from(Source::Cache), 8);
    for guard in &guards {
        assert_eq!(source(guard, LISTED), Source::Cache);
    }
}

#[test]
fn a_verdict_keeps_its_age_on_the_way_to_another_machine() {
    let store = InMemory::new();
    let blacklist = Blacklist::of([]);
    let guard = machine(store.another(), blacklist.clone(), BUDGET);
    let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let of_age = |ip, seconds| {
        let verdict = SharedVerdict {
            reputation: Reputation {
                listed: false,
                confidence: 0,
                threat_type: None,
            },
            verified: epoch - Duration::from_secs(seconds),
        };
        block_on(store.learn(ip, verdict, PATIENCE)).expect("never away");
    };
    of_age(nth(1), 3_599);
    assert_eq!(source(&guard, nth(1)), Source::Shared);
    assert_eq!(source(&guard, nth(1)), Source::Cache);
    assert_eq!(blacklist.checks(), 0);
    assert_eq!(guard.stats().checks_today, 0, "nothing is paid for it");
    // A stale one is used, and refreshed by the service: the store has nothing better.
    of_age(nth(2), 3_601);
    assert_eq!(source(&guard, nth(2)), Source::Stale);
    assert_eq!(source(&guard, nth(2)), Source::Stale);
    until(|| source(&guard, nth(2)) == Source::Cache);
    assert_eq!(blacklist.asked(), [nth(2)]);
    of_age(nth(3), 30 * 24 * 3_600);
    assert_eq!(source(&guard, nth(3)), Source::Api);
}

#[test]
fn when_the_machine_that_asks_dies_another_one_asks() {
    let store = InMemory::new();
    let blacklist = Blacklist::of([]);
    let guard = machine(store.another(), blacklist.clone(), BUDGET);
    let lease = Duration::from_millis(150);
    let seen = block_on(store.another().look(CLEAN, lease)).expect("never away");
    assert_eq!(seen, Seen::Leased);
    let since = Instant::now();
    assert_eq!(source(&guard, CLEAN), Source::Api);
    assert!(since.elapsed() >= lease / 2, "it waited");
}

#[test]
fn who_waits_for_another_machine_waits_as_long_as_for_the_service() {
    let store = InMemory::new();
    let blacklist = Blacklist::of([]);
    let guard = Guard::builder()
        .service(blacklist.clone())
        .shared(store.another())
        .feed_url("")
        .max_wait(Duration::from_millis(30))
        .build()
        .unwrap();
    let other = store.another();
    block_on(other.look(CLEAN, PATIENCE)).expect("never away");
    let timed_out = Source::Unverified(Unverified::TimedOut);
    assert_eq!(source(&guard, CLEAN), timed_out);
    assert_eq!(source(&guard, CLEAN), timed_out, "at once");
    let verdict = SharedVerdict {
        reputation: Reputation {
            listed: false,
            confidence: 0,
            threat_type: None,
        },
        verified: SystemTime::now(),
    };
    block_on(other.learn(CLEAN, verdict, PATIENCE)).expect("never away");
    until(|| source(&guard, CLEAN) == Source::Cache);
    assert_eq!(blacklist.checks(), 0);
}

#[test]
fn who_waits_for_another_machine_goes_on_when_the_tier_misses_an_answer() {
    let memory = InMemory::new();
    let store = Troubled::new(memory.another());
    let blacklist = Blacklist::of([]);
    let guard = machine(store.clone(), blacklist.clone(), BUDGET);
    let other = memory.another();
    block_on(other.look(CLEAN, PATIENCE)).expect("never away");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| source(&guard, CLEAN));
        // The day's count, a block and a greeting at the start, and a look.
        until(|| store.calls() >= 4);
        store.behave(Trouble::Unreadable);
        let before = store.calls();
        // Among them is at least one look: a lost connection brings fewer.
        until(|| store.calls() >= before + 8);
        store.behave(Trouble::None);
        let verdict = SharedVerdict {
            reputation: Reputation {
                listed: false,
                confidence: 0,
                threat_type: None,
            },
            verified: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
        };
        block_on(other.learn(CLEAN, verdict, PATIENCE)).expect("never away");
        assert_eq!(waits.join().expect("an answer"), Source::Shared);
    });
    assert_eq!(blacklist.checks(), 0);
}

#[test]
fn when_the_machine_that_asks_gets_no_answer_another_one_asks() {
    let store = InMemory::new();
    let blacklist = Blacklist::of([]);
    let failed = Source::Unverified(Unverified::CallFailed);
    assert_eq!(
        source(&machine(store.another(), Down, BUDGET), CLEAN),
        failed
    );
    let guard = machine(store.another(), blacklist, BUDGET);
    let since = Instant::now();
    assert_eq!(source(&guard, CLEAN), Source::Api);
    // The lease is one of seconds.
    assert!(since.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_listed_verdict_replaces_the_clean_one_of_the_other_machines_at_once() {
    let store = InMemory::new();
    let guards = machines::<3>(&store, &Blacklist::of([]));
    until_all_hear(&store, &guards);
    for guard in &guards {
        assert!(block_on(guard.check(CLEAN)).is_allowed());
    }
    let verdict = SharedVerdict {
        reputation: Reputation {
            listed: true,
            confidence: 95,
            threat_type: None,
        },
        // By a clock that is late.
        verified: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 - 20),
    };
    block_on(store.learn(CLEAN, verdict, PATIENCE)).expect("never away");
    for guard in &guards {
        until(|| !block_on(guard.check(CLEAN)).is_allowed());
        assert_eq!(source(guard, CLEAN), Source::Cache);
    }
}

#[test]
fn five_guesses_spread_over_five_machines_trip_and_are_reported_once() {
    let service = service();
    let store = InMemory::new();
    let guards: [Guard; 5] =
        std::array::from_fn(|_| builder(&service).shared(store.another()).build().unwrap());
    until_all_hear(&store, &guards);
    for guard in &guards[..4] {
        assert_eq!(fail(guard, CLEAN), None);
    }
    assert_eq!(fail(&guards[4], CLEAN), Some(429));
    for guard in &guards {
        until(|| is_banned(guard, CLEAN));
    }
    assert!(service.wait_for_reports(1, PATIENCE));
    for guard in &guards {
        assert_eq!(block_on(guard.shutdown(PATIENCE)), 0);
    }
    assert_eq!(service.reports().len(), 1);
}

#[test]
fn of_a_hundred_guesses_at_once_on_five_machines_five_reach_the_password_check() {
    let store = InMemory::new();
    let guards = machines::<5>(&store, &Blacklist::of([]));
    until_all_hear(&store, &guards);
    let begun: Vec<_> = std::thread::scope(|scope| {
        let guess = |n: usize| block_on(guards[n % 5].login_attempt(CLEAN)).ok();
        let guesses: Vec<_> = (0..100).map(|n| scope.spawn(move || guess(n))).collect();
        let begun = guesses
            .into_iter()
            .filter_map(|guess| guess.join().unwrap());
        begun.collect()
    });
    assert_eq!(begun.len(), 5);
    let failed = begun.into_iter().map(|attempt| block_on(attempt.failed()));
    let refused = failed.filter(Result::is_err).count();
    assert_eq!(refused, 1);
    for guard in &guards {
        until(|| is_banned(guard, CLEAN));
    }
}

#[test]
fn an_attempt_that_is_dropped_counts_as_failed_on_all_machines() {
    let store = InMemory::new();
    let guards = machines::<5>(&store, &Blacklist::of([]));
    until_all_hear(&store, &guards);
    for guard in &guards {
        drop(block_on(guard.login_attempt(CLEAN)).expect("a place is left"));
    }
    for guard in &guards {
        until(|| is_banned(guard, CLEAN));
    }
}

#[test]
fn a_refused_guess_costs_the_client_nothing_on_this_machine() {
    let store = InMemory::new();
    let [one, other] = machines::<2>(&store, &Blacklist::of([]));
    let under_way: Vec<_> = (0..5)
        .map(|_| block_on(one.login_attempt(CLEAN)).expect("a place is left"))
        .collect();
    for _ in 0..2 {
        assert!(block_on(other.login_attempt(CLEAN)).is_err());
    }
    assert_eq!(other.stats().tracked_clients, 0);
    for attempt in under_way {
        block_on(attempt.succeeded());
    }
    assert!(block_on(other.login_attempt(CLEAN)).is_ok());
}

#[test]
fn a_success_on_one_machine_forgives_its_account_in_the_common_count() {
    let guards = machines::<2>(&InMemory::new(), &Blacklist::of([]));
    let begin = |guard: &Guard| block_on(guard.login_attempt_for(CLEAN, "demo")).unwrap();
    for _ in 0..3 {
        for guard in &guards {
            block_on(begin(guard).failed()).unwrap();
            block_on(begin(guard).failed()).unwrap();
        }
        for guard in &guards {
            block_on(begin(guard).succeeded());
        }
    }
}

#[test]
fn a_store_that_was_emptied_is_told_the_bans_again_and_none_that_was_lifted() {
    let store = InMemory::new();
    let guards = machines::<2>(&store, &Blacklist::of([]));
    until_all_hear(&store, &guards);
    let lifted = nth(1);
    for ip in [CLEAN, lifted] {
        guards[0].ban(ip, Duration::from_secs(600));
        until(|| is_banned(&guards[1], ip));
    }
    guards[0].unban(lifted);
    until(|| !is_banned(&guards[1], lifted));
    store.forget();
    // One that starts then knows nothing but what the others tell.
    let late = machine(store.another(), Blacklist::of([]), BUDGET);
    until(|| is_banned(&late, CLEAN));
    assert!(!is_banned(&late, lifted));
}

#[test]
fn an_attempt_whose_begin_was_given_up_is_taken_back_when_the_store_answers() {
    let memory = InMemory::new();
    let troubled = Troubled::new(memory.another());
    let one = Guard::builder()
        .shared(troubled.clone())
        .feed_url("")
        .build()
        .unwrap();
    let other = machine(memory.another(), Blacklist::of([]), BUDGET);
    troubled.behave(Trouble::Late);
    let attempts: Vec<_> = (0..5)
        .map(|_| block_on(one.login_attempt(CLEAN)).unwrap())
        .collect();
    troubled.behave(Trouble::Silent);
    attempts
        .into_iter()
        .for_each(|attempt| block_on(attempt.succeeded()));
    troubled.behave(Trouble::None);
    until(|| {
        let attempts = (0..5).map(|_| block_on(other.login_attempt(CLEAN)).ok());
        let all = attempts.collect::<Option<Vec<_>>>();
        all.map(|all| {
            all.into_iter()
                .for_each(|attempt| block_on(attempt.succeeded()))
        })
        .is_some()
    });
}

#[test]
fn a_ban_on_one_machine_refuses_on_all_and_so_does_its_end() {
    let store = InMemory::new();
    let guards = machines::<3>(&store, &Blacklist::of([]));
    until_all_hear(&store, &guards);
    let in_a_64 = "3ffe:1:2:3::9".parse().unwrap();
    for ip in [CLEAN, in_a_64] {
        guards[0].ban(ip, Duration::from_secs(60));
        for guard in &guards {
            until(|| is_banned(guard, ip));
        }
    }
    // One that has just started hears of it as well.
    let late = machine(store.another(), Blacklist::of([]), BUDGET);
    until(|| is_banned(&late, CLEAN));
    guards[1].unban(CLEAN);
    for guard in &guards {
        until(|| !is_banned(guard, CLEAN));
    }
}

#[test]
fn ones_own_addresses_are_not_banned_on_another_machines_word() {
    let store = InMemory::new();
    let careful = Guard::builder()
        .shared(store.another())
        .feed_url("")
        .trusted_proxies(["26.0.0.1"])
        .build()
        .unwrap();
    let guards = [careful, machine(store.another(), Blacklist::of([]), BUDGET)];
    guards[1].ban(CLEAN, PATIENCE);
    until_all_hear(&store, &guards);
    assert_eq!(source(&guards[0], CLEAN), Source::TrustedProxy);
}

#[test]
fn five_machines_never_spend_more_than_the_day_has() {
    let blacklist = Blacklist::of([]);
    let guards = machines::<5>(&InMemory::new(), &blacklist);
    std::thread::scope(|scope| {
        for (m, guard) in guards.iter().enumerate() {
            scope.spawn(move || {
                for n in 0..30 {
                    let source = source(guard, nth(m as u32 * 1_000 + n));
                    assert!(matches!(source, Source::Api | NO_BUDGET), "{source}");
                }
            });
        }
    });
    assert_eq!(blacklist.checks(), BUDGET as usize);
    for guard in &guards {
        // Who was through early knows it when it asks again.
        assert_eq!(source(guard, nth(9_999)), NO_BUDGET);
        assert_eq!(guard.stats().checks_left, 0);
        assert_eq!(guard.stats().checks_today, BUDGET);
    }
}

#[test]
fn what_a_machine_knows_from_before_counts_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let start = |store: &InMemory| {
        let guard = Guard::builder()
            .service(Blacklist::of([]))
            .shared(store.another())
            .feed_url("")
            .clock(ManualClock::new())
            .daily_budget(BUDGET)
            .state_dir(folder.path())
            .max_wait(PATIENCE)
            .build()
            .unwrap();
        block_on(guard.ready());
        guard
    };
    let guard = start(&InMemory::new());
    for n in 0..7 {
        assert_eq!(source(&guard, nth(n)), Source::Api);
    }
    drop(guard);
    // A place that knows nothing of it.
    let store = InMemory::new();
    assert_eq!(start(&store).stats().checks_today, 7);
    let other = machine(store.another(), Blacklist::of([]), BUDGET);
    assert_eq!(other.stats().checks_today, 7);
}

#[test]
fn a_tier_in_trouble_fails_no_request_and_no_login() {
    for trouble in [Trouble::Away, Trouble::Silent, Trouble::Unreadable] {
        let store = Troubled::new(InMemory::new());
        let guard = machine(store.clone(), Blacklist::of([LISTED]), 10_000);
        // It holds a block.
        assert_eq!(source(&guard, nth(100)), Source::Api);
        store.behave(trouble);
        for n in 0..20 {
            assert_eq!(source(&guard, nth(n)), Source::Api, "{trouble:?}");
        }
        assert!(!block_on(guard.check(LISTED)).is_allowed());
        for _ in 0..4 {
            assert_eq!(fail(&guard, CLEAN), None, "{trouble:?}");
        }
        assert_eq!(fail(&guard, CLEAN), Some(429), "{trouble:?}");
        let stats = guard.stats();
        assert!(stats.shared_error.is_some(), "{trouble:?}");
        assert!(stats.shared_failures >= 3, "{trouble:?}");
        // Whatever answers is asked, whatever does not is left alone but for a probe.
        let asked = store.calls();
        assert_eq!(asked > 15, trouble == Trouble::Unreadable, "{asked}");
    }
}

#[test]
fn while_the_tier_is_away_what_is_held_is_spent_and_no_more() {
    let memory = InMemory::new();
    let store = Troubled::new(memory.another());
    let blacklist = Blacklist::of([]);
    let guard = machine(store.clone(), blacklist.clone(), 500);
    assert_eq!(source(&guard, nth(0)), Source::Api);
    store.behave(Trouble::Away);
    let alone = (1..60).filter(|n| source(&guard, nth(*n)) == Source::Api);
    let alone = alone.count();
    assert!((6..=12).contains(&alone), "{alone} of a block of 12");
    assert_eq!(source(&guard, nth(60)), NO_BUDGET);
    store.behave(Trouble::None);
    until(|| guard.stats().shared_error.is_none());
    until(|| source(&guard, nth(61)) == Source::Api);
    assert_eq!(guard.stats().checks_today, blacklist.checks() as u32);
    // What one holds is gone for the other.
    let other = machine(memory.another(), blacklist.clone(), 500);
    until(|| other.stats().checks_today > 0);
    let spent = other.stats().checks_today as usize;
    let most = blacklist.checks() + 12;
    assert!((blacklist.checks()..=most).contains(&spent), "{spent}");
}

#[test]
fn machines_that_miss_the_tier_at_their_start_and_end_spend_nothing_that_it_does_not_know() {
    let memory = InMemory::new();
    let blacklist = Blacklist::of([]);
    for life in 0..20 {
        // The first calls fail, as they do when a machine has much to do.
        let store = Troubled::new(memory.another());
        store.behave(Trouble::Away);
        let guard = machine(store.clone(), blacklist.clone(), BUDGET);
        for n in 0..5 {
            source(&guard, nth(100 * life + n));
        }
        // It ends without a word to the store.
        drop(guard);
    }
    assert_eq!(blacklist.checks(), 0);
}

fn visit(guard: &Guard, ip: IpAddr, path: &'static str) -> Source {
    let head = Head {
        path,
        peer: Peer::Ip(ip),
        forwarded_for: None,
    };
    block_on(guard.decide(&head).decision()).verdict().source()
}

/// How many calls to the store come of this, whatever is done in the background included.
#[track_caller]
fn calls(store: &Troubled<InMemory>, expected: usize, of: impl Fn()) {
    let before = store.calls();
    of();
    until(|| store.calls() >= before + expected);
    // Whoever looks for another machine's leases finds none: nothing more is on its way.
    assert_eq!(store.calls(), before + expected);
}

#[test]
fn a_client_that_the_budget_refuses_costs_the_tier_two_calls_and_then_none_for_a_while() {
    let clock = ManualClock::new();
    let memory = InMemory::new();
    let store = Troubled::new(memory.another());
    let guard = Guard::builder()
        .service(Blacklist::of([]))
        .shared(store.clone())
        .feed_url("")
        .clock(clock.clone())
        .daily_budget(BUDGET)
        .max_wait(PATIENCE)
        .build()
        .unwrap();
    block_on(guard.ready());
    for n in 0..BUDGET {
        assert_eq!(source(&guard, nth(n)), Source::Api);
    }
    // A look, a block, and what was learnt; the count, a block and a greeting
    // at the start.
    until(|| store.calls() == 3 + 3 * BUDGET as usize);
    let refused = || assert_eq!(source(&guard, nth(999)), NO_BUDGET);
    // A look, and its lease given back.
    calls(&store, 2, refused);
    calls(&store, 0, || (0..20).for_each(|_| refused()));
    clock.advance(Duration::from_secs(31));
    calls(&store, 2, refused);
    calls(&store, 0, || (0..20).for_each(|_| refused()));
    // What another machine knows is found then.
    let learn = |ip, seconds| {
        let verdict = SharedVerdict {
            reputation: Reputation {
                listed: false,
                confidence: 0,
                threat_type: None,
            },
            verified: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        };
        block_on(memory.another().learn(ip, verdict, PATIENCE)).expect("never away");
    };
    learn(nth(999), 1_767_225_600);
    refused();
    clock.advance(Duration::from_secs(31));
    assert_eq!(source(&guard, nth(999)), Source::Shared);
    // A verdict that cannot be refreshed is looked for once more.
    learn(nth(1_000), 1_767_225_600 - 4_000);
    let is_stale = || assert_eq!(source(&guard, nth(1_000)), Source::Stale);
    calls(&store, 1, is_stale);
    calls(&store, 1, is_stale);
    block_on(guard.settled());
    calls(&store, 0, || (0..20).for_each(|_| is_stale()));
}

#[test]
fn a_client_that_was_refused_in_its_turn_is_checked_when_it_becomes_suspicious() {
    let guard = machine(InMemory::new(), Blacklist::of([]), BUDGET);
    let refused = (0..60)
        .map(nth)
        .find(|client| visit(&guard, *client, "/") == NO_BUDGET)
        .expect("a stranger is not worth a check");
    assert_eq!(visit(&guard, refused, "/.env"), Source::Api);
}

#[test]
fn a_decision_from_memory_asks_no_tier_and_allocates_nothing() {
    let store = Troubled::new(InMemory::new());
    let guard = machine(store.clone(), Blacklist::of([]), BUDGET);
    assert_eq!(source(&guard, CLEAN), Source::Api);
    block_on(guard.settled());
    // The day's count, a block and a greeting at the start, a look, the next block, and what was
    // learnt.
    until(|| store.calls() == 6);
    let head = Head {
        path: "/",
        peer: Peer::Ip(CLEAN),
        forwarded_for: None,
    };
    let decide = || match guard.decide(&head) {
        Step::Decided(decision) => assert!(decision.denial().is_none()),
        Step::Asking(_) => panic!("no question is open"),
    };
    decide();
    assert_eq!(allocation_counter::measure(decide).count_total, 0);
    assert_eq!(store.calls(), 6);
}

#[test]
fn who_listens_does_not_keep_a_guard_alive() {
    let service = service();
    let store = InMemory::new();
    let guard = builder(&service).shared(store.another()).build().unwrap();
    until_all_hear(&store, std::slice::from_ref(&guard));
    assert_eq!(source(&guard, LISTED), Source::Api);
    drop(guard);
    assert!(service.wait_for_connections_to_fall(0, PATIENCE));
}
