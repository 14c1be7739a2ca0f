use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::verdict::ThreatType;

const MIDDLE: u32 = u32::MAX / 2;
const DAY: Duration = Duration::from_secs(86_400);
const FAILED: Outcome = Outcome::Failed {
    retry_after: None,
    limited: None,
};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn report(n: u32) -> Report {
    let ip = IpAddr::V4(Ipv4Addr::from_bits(0x1900_0000 + n));
    Report::new(ip, ThreatType::Scan)
}

/// Queues a report that is on disk at once.
#[track_caller]
fn push(queue: &mut Queue, n: u32, now: Duration) -> u64 {
    let Pushed::New(id) = queue.push(report(n), now) else {
        panic!("{n} is not new");
    };
    queue.stored(id, now);
    id
}

#[track_caller]
fn attempt(queue: &mut Queue, outcome: Outcome, now: Duration) -> u64 {
    let (id, _) = queue.take(now).unwrap();
    queue.record(outcome, now, MIDDLE).unwrap();
    id
}

#[test]
fn reports_are_sent_in_the_order_in_which_they_came() {
    let mut queue = Queue::new(10);
    let ids = [1, 2, 3].map(|n| push(&mut queue, n, seconds(0)));
    let sent = [(); 3].map(|()| attempt(&mut queue, Outcome::Accepted, seconds(0)));
    assert_eq!(sent, ids);
    assert_eq!(queue.len(), 0);
}

#[test]
fn one_is_in_flight_at_a_time() {
    let mut queue = Queue::new(10);
    push(&mut queue, 1, seconds(0));
    push(&mut queue, 2, seconds(0));
    assert!(queue.take(seconds(0)).is_some());
    assert!(queue.take(seconds(60)).is_none());
    queue.record(FAILED, seconds(60), MIDDLE).unwrap();
    assert!(queue.take(seconds(60)).is_some());
}

#[test]
fn a_report_waits_for_the_disk_but_not_for_ever() {
    let mut queue = Queue::new(10);
    let Pushed::New(id) = queue.push(report(1), seconds(0)) else {
        panic!("not new");
    };
    assert_eq!(queue.next_attempt(), Some(DISK_PATIENCE));
    assert!(queue.take(seconds(4)).is_none());
    queue.stored(id, seconds(4));
    assert!(queue.take(seconds(4)).is_some());

    let mut queue = Queue::new(10);
    queue.push(report(1), seconds(0));
    assert!(queue.take(DISK_PATIENCE).is_some());
}

#[test]
fn a_failed_report_lets_the_others_go_first() {
    let mut queue = Queue::new(10);
    let first = push(&mut queue, 1, seconds(0));
    let second = push(&mut queue, 2, seconds(0));
    assert_eq!(attempt(&mut queue, FAILED, seconds(0)), first);
    assert_eq!(attempt(&mut queue, Outcome::Accepted, seconds(0)), second);
    assert_eq!(queue.next_attempt(), Some(seconds(1)));
    assert_eq!(attempt(&mut queue, FAILED, seconds(1)), first);
    assert_eq!(queue.next_attempt(), Some(seconds(3)));
}

#[test]
fn a_repeated_report_shares_the_fate_of_the_first_for_15_minutes() {
    let mut queue = Queue::new(10);
    let first = push(&mut queue, 1, seconds(0));
    let again = |queue: &mut Queue, now| queue.push(report(1), now);
    let pending = Pushed::Duplicate(Original::Pending(first));
    assert_eq!(again(&mut queue, seconds(1)), pending);
    attempt(&mut queue, Outcome::Accepted, seconds(2));
    let delivered = Pushed::Duplicate(Original::Settled(Fate::Delivered));
    assert_eq!(again(&mut queue, seconds(899)), delivered);
    assert!(matches!(again(&mut queue, seconds(900)), Pushed::New(_)));
    assert_eq!(queue.tally().duplicates, 2);
}

#[test]
fn a_full_queue_drops_the_newest_and_does_not_remember_it() {
    let mut queue = Queue::new(2);
    push(&mut queue, 1, seconds(0));
    push(&mut queue, 2, seconds(0));
    assert_eq!(queue.push(report(3), seconds(0)), Pushed::Full);
    attempt(&mut queue, Outcome::Accepted, seconds(0));
    push(&mut queue, 3, seconds(0));
    assert_eq!(queue.tally().dropped_full, 1);
}

#[test]
fn a_retry_after_holds_up_every_report() {
    let mut queue = Queue::new(10);
    push(&mut queue, 1, seconds(0));
    push(&mut queue, 2, seconds(0));
    let limited = Outcome::Failed {
        retry_after: Some(seconds(120)),
        limited: Some(DAY),
    };
    attempt(&mut queue, limited, seconds(0));
    push(&mut queue, 3, seconds(1));
    queue.hurry(seconds(1));
    assert_eq!(queue.next_attempt(), Some(seconds(120)));
    assert!(queue.take(seconds(119)).is_none());
    assert!(queue.take(seconds(120)).is_some());
}

#[test]
fn haste_makes_everything_due_once() {
    let mut queue = Queue::new(10);
    let first = push(&mut queue, 1, seconds(0));
    for n in 2..=5 {
        push(&mut queue, n, seconds(0));
    }
    for _ in 0..5 {
        attempt(&mut queue, FAILED, seconds(0));
    }
    assert!(queue.take(seconds(0)).is_none());
    queue.hurry(seconds(0));
    assert_eq!(attempt(&mut queue, FAILED, seconds(0)), first);
    for _ in 2..=5 {
        attempt(&mut queue, Outcome::Accepted, seconds(0));
    }
    assert_eq!(queue.next_attempt(), Some(seconds(2)), "the second wait");
}

#[test]
fn a_report_is_given_up_after_24_hours_even_when_it_was_never_tried() {
    let mut queue = Queue::new(10);
    let id = push(&mut queue, 1, seconds(0));
    push(&mut queue, 2, seconds(1));
    assert!(queue.expire(MAX_AGE - seconds(1)).is_none());
    assert_eq!(queue.next_event(), Some(seconds(0)));
    let settled = queue.expire(MAX_AGE).unwrap();
    assert_eq!((settled.id, settled.fate), (id, Fate::GivenUp));
    assert!(queue.expire(MAX_AGE).is_none());
    assert_eq!((queue.tally().given_up, queue.len()), (1, 1));
}

#[test]
fn a_report_in_flight_is_given_up_when_its_last_attempt_has_failed() {
    for (outcome, fate) in [
        (FAILED, Fate::GivenUp),
        (Outcome::Accepted, Fate::Delivered),
    ] {
        let mut queue = Queue::new(10);
        push(&mut queue, 1, seconds(0));
        queue.take(MAX_AGE - seconds(1)).unwrap();
        assert!(queue.expire(MAX_AGE).is_none());
        let change = queue.record(outcome, MAX_AGE, MIDDLE).unwrap();
        assert!(
            matches!(&change, Attempted::Settled(settled) if settled.fate == fate),
            "{change:?}"
        );
    }
}

#[test]
fn a_restored_report_keeps_its_age_and_goes_first() {
    let mut queue = Queue::new(1);
    push(&mut queue, 1, seconds(10));
    let restored = queue.restore(report(2), seconds(600), seconds(10));
    assert!(matches!(restored, Pushed::New(_)));
    let repeated = queue.push(report(2), seconds(309));
    assert!(matches!(repeated, Pushed::Duplicate(_)), "{repeated:?}");
    assert_eq!(queue.push(report(2), seconds(310)), Pushed::Full);
    assert_eq!(queue.take(seconds(10)).unwrap().1.ip(), report(2).ip());
    queue.record(FAILED, seconds(10), MIDDLE);
    let end = MAX_AGE - seconds(600) + seconds(10);
    assert!(queue.expire(end - seconds(1)).is_none());
    assert!(queue.expire(end).is_some());
}

/// What the queue is put through.
#[derive(Clone, Debug)]
enum Step {
    Push(u32),
    Restore(u32, u64),
    Stored(usize),
    Wait(u64),
    Take,
    Record(Outcome),
    Hurry,
    Expire,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let failed = (proptest::option::of(0..100_000_u64), any::<bool>()).prop_map(
        |(retry_after, is_limited)| Outcome::Failed {
            retry_after: retry_after.map(seconds),
            limited: is_limited.then_some(DAY),
        },
    );
    prop_oneof![
        2 => Just(Outcome::Accepted),
        1 => Just(Outcome::Refused { status: 400 }),
        4 => failed,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u32).prop_map(Step::Push),
        1 => (0..12_u32, 0..100_000_u64).prop_map(|(n, age)| Step::Restore(n, age)),
        4 => any::<usize>().prop_map(Step::Stored),
        2 => (0..2_000_u64).prop_map(Step::Wait),
        1 => (0..100_000_000_u64).prop_map(Step::Wait),
        6 => Just(Step::Take),
        6 => outcome().prop_map(Step::Record),
        1 => Just(Step::Hurry),
        2 => Just(Step::Expire),
    ]
}

/// The queue, and a second account of what is in it.
struct Audit {
    queue: Queue,
    now: Duration,
    /// When each report came in, less the age it brought along, in milliseconds.
    came: HashMap<u64, (u32, i64)>,
    fates: HashMap<u64, Fate>,
    in_flight: Option<u64>,
}

impl Audit {
    fn step(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Push(n) => {
                let pushed = self.queue.push(report(n), now);
                self.came(pushed, n, Duration::ZERO);
            }
            Step::Restore(n, age) => {
                let age = seconds(age).min(MAX_AGE);
                let pushed = self.queue.restore(report(n), age, now);
                self.came(pushed, n, age);
            }
            Step::Stored(nth) => {
                let waiting: Vec<u64> = self.queue.entries.keys().copied().collect();
                if !waiting.is_empty() {
                    self.queue.stored(waiting[nth % waiting.len()], now);
                }
            }
            Step::Wait(ms) => self.now += Duration::from_millis(ms),
            Step::Take => {
                let was_in_flight = self.in_flight;
                if let Some((id, _)) = self.queue.take(now) {
                    assert_eq!(was_in_flight, None, "two in flight");
                    let next_try = self.queue.entries[&id].next_try;
                    for (other, entry) in &self.queue.entries {
                        let is_in_order = (next_try, id) <= (entry.next_try, *other);
                        assert!(is_in_order, "{other} was due before {id}");
                    }
                    assert!(next_try <= now, "not due");
                    self.in_flight = Some(id);
                }
            }
            Step::Record(outcome) => {
                let recorded = self.queue.record(outcome, now, MIDDLE);
                let flown = self.in_flight.take();
                assert_eq!(recorded.is_some(), flown.is_some());
                if let Some(Attempted::Settled(settled)) = recorded {
                    assert_eq!(Some(settled.id), flown);
                    self.settled(&settled);
                }
            }
            Step::Hurry => self.queue.hurry(now),
            Step::Expire => {
                while let Some(settled) = self.queue.expire(now) {
                    assert_ne!(Some(settled.id), self.in_flight);
                    self.settled(&settled);
                }
            }
        }
        self.is_complete();
    }

    fn came(&mut self, pushed: Pushed, n: u32, age: Duration) {
        if let Pushed::New(id) = pushed {
            let at = self.now.as_millis() as i64 - age.as_millis() as i64;
            let before = self.came.insert(id, (n, at));
            assert_eq!(before, None, "a number was used twice");
        }
    }

    fn settled(&mut self, settled: &Settled) {
        let before = self.fates.insert(settled.id, settled.fate);
        assert_eq!(before, None, "{} has two fates", settled.id);
    }

    /// Each that came in is in the queue or has a fate, in all of the queue's books.
    fn is_complete(&self) {
        let queue = &self.queue;
        for id in self.came.keys() {
            assert_ne!(queue.entries.contains_key(id), self.fates.contains_key(id));
        }
        assert_eq!(queue.len() + self.fates.len(), self.came.len());
        let waiting = queue.len() - usize::from(queue.in_flight.is_some());
        assert_eq!(queue.due.len(), waiting);
        assert_eq!(queue.expiring.len(), waiting);
        assert!(queue.recent.len() <= 4 * queue.capacity);
    }

    /// Of one pair, no two that came within 15 minutes were new.
    fn is_deduplicated(&self) {
        for (id, (n, at)) in &self.came {
            for (other, (_, other_at)) in self.came.iter().filter(|(_, (m, _))| m == n) {
                let is_apart = (at - other_at).abs() >= DEDUPLICATION.as_millis() as i64;
                assert!(id == other || is_apart, "{n} came at {at} and {other_at}");
            }
        }
    }
}

fn audit(steps: Vec<Step>) -> Audit {
    let mut audit = Audit {
        queue: Queue::new(8),
        now: seconds(0),
        came: HashMap::new(),
        fates: HashMap::new(),
        in_flight: None,
    };
    for step in steps {
        audit.step(step);
    }
    audit
}

fn count(audit: &Audit, is: impl Fn(Fate) -> bool) -> u64 {
    audit.fates.values().filter(|fate| is(**fate)).count() as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_order_of_events_loses_or_repeats_a_report(
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let mut audit = audit(steps);
        audit.step(Step::Record(FAILED));
        audit.step(Step::Wait(MAX_AGE.as_millis() as u64));
        audit.step(Step::Expire);
        prop_assert_eq!(audit.queue.len(), 0);
        let tally = audit.queue.tally();
        prop_assert_eq!(tally.delivered, count(&audit, |fate| fate == Fate::Delivered));
        prop_assert_eq!(tally.given_up, count(&audit, |fate| fate == Fate::GivenUp));
        prop_assert_eq!(tally.refused, count(&audit, |fate| matches!(fate, Fate::Refused { .. })));
    }

    #[test]
    fn no_order_of_events_lets_a_repetition_in(
        steps in prop::collection::vec(
            step().prop_filter("restored ones come with a past", |step| !matches!(step, Step::Restore(..))),
            1..100,
        ),
    ) {
        audit(steps).is_deduplicated();
    }
}
