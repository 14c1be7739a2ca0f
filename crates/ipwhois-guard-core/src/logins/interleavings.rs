//! The tracker under a concurrency checker, which runs each scene once for every order of events
//! that can make a difference.
//!
//! It compiles the tracker a second time, over the checker's lock and atomic numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;

use super::*;
use crate::clock::Tick;
use crate::store::AttemptId;

use super::{bucket, window};

mod sync {
    pub(super) use loom::sync::Mutex;
    pub(super) use loom::sync::atomic::AtomicU32;

    pub(super) type Notified<'a> = std::marker::PhantomData<&'a ()>;

    /// No thread waits here: what is told of is of no consequence.
    #[derive(Debug)]
    pub(super) struct Notify;

    impl Notify {
        pub(super) const fn new() -> Self {
            Self
        }

        pub(super) const fn notify_waiters(&self) {}

        pub(super) const fn notified(&self) -> Notified<'_> {
            std::marker::PhantomData
        }
    }
}

#[allow(dead_code, reason = "the scenes need a part of it")]
#[path = "tracker.rs"]
mod tracker;

use self::tracker::Tracker;

/// Plays a scene in every order, or in every order with at most so many switches away from a thread
/// that could go on. Fewer orders than `at_least` would mean that the checker sees nothing.
#[track_caller]
fn explore(switches: Option<usize>, at_least: usize, scene: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&orders);
    let mut checker = loom::model::Builder::new();
    checker.preemption_bound = switches;
    checker.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        scene();
    });
    let orders = orders.load(Ordering::Relaxed);
    assert!(orders >= at_least, "only {orders} orders");
}

/// A tracker with its limits. All clients share one bucket.
#[derive(Debug)]
struct Table {
    tracker: Tracker,
    limits: Limits,
}

type Scene = Arc<Table>;

#[derive(Clone, Copy, Debug)]
struct Begun(Login, AttemptId);

impl Table {
    fn begin(&self, client: Scope, now: Tick) -> Result<Begun, Refused> {
        let login = login(client);
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

    fn note_failure(&self, client: Scope, now: Tick) -> Failure {
        self.tracker.fail(&self.limits, login(client), None, now)
    }

    fn note_success(&self, client: Scope) {
        self.tracker.pardon(client);
    }

    fn banned(&self, client: Scope, now: Tick) -> Option<Duration> {
        self.tracker.banned(client.address(), now)
    }

    fn active_bans(&self, now: Tick) -> usize {
        self.tracker.active_bans(now)
    }

    fn tracked_clients(&self) -> usize {
        self.tracker.tracked_clients()
    }
}

fn login(client: Scope) -> Login {
    let account = Some(AccountTag(std::num::NonZeroU32::MIN));
    Login { client, account }
}

fn tracker(max_failures: u32) -> Scene {
    let limits = Limits {
        attempts: AttemptLimits {
            max_failures,
            find_time: Duration::from_secs(600),
        },
        ban_time: BAN_TIME,
        max_ban_time: None,
    };
    let tracker = Tracker::with_buckets(1);
    Arc::new(Table { tracker, limits })
}

const BAN_TIME: Duration = Duration::from_secs(3_600);

fn at(tenths: u64) -> Tick {
    Tick::at(Duration::from_millis(tenths * 100))
}

fn client(n: u8) -> Scope {
    Scope::of([25, 0, 0, n].into())
}

/// What several threads saw together.
#[derive(Debug, Default)]
struct Seen {
    checked: AtomicUsize,
    tripped: AtomicUsize,
}

impl Seen {
    fn note(&self, failure: Failure) {
        if matches!(failure, Failure::Tripped { .. }) {
            self.tripped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn guess_wrong(&self, tracker: &Table, client: Scope, now: Tick) {
        if let Ok(attempt) = tracker.begin(client, now) {
            self.checked.fetch_add(1, Ordering::Relaxed);
            self.note(tracker.fail(attempt, now));
        }
    }

    fn totals(&self) -> (usize, usize) {
        let [checked, tripped] = [&self.checked, &self.tripped].map(|n| n.load(Ordering::Relaxed));
        (checked, tripped)
    }
}

/// Runs the work of each thread, the last one here, and waits for all.
fn together<const N: usize>(threads: [Box<dyn FnOnce() + Send>; N], here: impl FnOnce()) {
    let threads = threads.map(thread::spawn);
    here();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn guessing(max_failures: u32, threads: usize, switches: Option<usize>, at_least: usize) {
    explore(switches, at_least, move || {
        let tracker = tracker(max_failures);
        let seen = Arc::new(Seen::default());
        let guesses = || {
            let (tracker, seen) = (Arc::clone(&tracker), Arc::clone(&seen));
            move || {
                for _ in 0..2 {
                    seen.guess_wrong(&tracker, client(1), at(0));
                }
            }
        };
        if threads == 2 {
            together([Box::new(guesses())], guesses());
        } else {
            together([Box::new(guesses()), Box::new(guesses())], guesses());
        }
        assert_eq!(seen.totals(), (max_failures as usize, 1));
        assert_eq!(tracker.active_bans(at(0)), 1);
        assert_eq!(tracker.tracked_clients(), 0);
    });
}

#[test]
fn two_threads_that_guess_get_as_many_checks_as_there_are_places() {
    guessing(2, 2, None, 50);
    guessing(3, 2, None, 50);
}

#[test]
fn three_threads_that_guess_get_as_many_checks_as_there_are_places() {
    guessing(2, 3, None, 10_000);
    guessing(3, 3, Some(3), 500);
}

#[test]
fn a_success_forgives_the_failures_that_ended_before_it_in_every_order() {
    explore(None, 6, || {
        let tracker = tracker(3);
        let _ = tracker.note_failure(client(1), at(0));
        let right = tracker.begin(client(1), at(0)).unwrap();
        let wrong = tracker.begin(client(1), at(0)).unwrap();
        let succeed = {
            let tracker = Arc::clone(&tracker);
            move || tracker.succeed(right)
        };
        let begin = {
            let tracker = Arc::clone(&tracker);
            move || match tracker.begin(client(1), at(0)) {
                Ok(attempt) => tracker.succeed(attempt),
                Err(refused) => assert!(matches!(refused, Refused::Full { .. })),
            }
        };
        let mut failure = None;
        together([Box::new(succeed), Box::new(begin)], || {
            failure = Some(tracker.fail(wrong, at(0)));
        });
        // It failed first and was forgotten, or it failed last. The third thread's success may have
        // come between.
        let next = tracker.note_failure(client(1), at(0));
        match failure {
            Some(Failure::Counted { left: 1 }) => assert_eq!(next, Failure::Counted { left: 2 }),
            Some(Failure::Counted { left: 2 }) => {
                assert!(matches!(next, Failure::Counted { left: 1 | 2 }), "{next:?}")
            }
            other => panic!("{other:?}"),
        }
        tracker.note_success(client(1));
        assert_eq!(tracker.tracked_clients(), 0, "every place was given back");
    });
}

#[test]
fn at_the_end_of_a_ban_one_attempt_begins_and_none_before() {
    explore(None, 20, || {
        let tracker = tracker(1);
        let end = at(36_000);
        let just_before = at(35_999);
        let seen = Arc::new(Seen::default());
        seen.note(tracker.note_failure(client(1), at(0)));
        let guess = || {
            let (tracker, seen) = (Arc::clone(&tracker), Arc::clone(&seen));
            move || seen.guess_wrong(&tracker, client(1), end)
        };
        together([Box::new(guess()), Box::new(guess())], || {
            let refused = tracker.begin(client(1), just_before).unwrap_err();
            assert!(matches!(refused, Refused::Banned { .. }));
            assert!(tracker.banned(client(1), just_before).is_some());
        });
        assert_eq!(seen.totals(), (1, 2));
        assert_eq!(tracker.banned(client(1), end), Some(BAN_TIME));
    });
}

#[test]
fn failures_without_a_place_and_attempts_trip_once_together() {
    explore(None, 20, || {
        let tracker = tracker(2);
        let seen = Arc::new(Seen::default());
        let note = || {
            let (tracker, seen) = (Arc::clone(&tracker), Arc::clone(&seen));
            move || seen.note(tracker.note_failure(client(1), at(0)))
        };
        together([Box::new(note()), Box::new(note())], || {
            seen.guess_wrong(&tracker, client(1), at(0));
        });
        assert_eq!(seen.totals().1, 1);
        assert_eq!(tracker.banned(client(1), at(0)), Some(BAN_TIME));
        assert_eq!(tracker.tracked_clients(), 0);
    });
}

#[test]
fn a_ban_that_an_attempt_ran_into_is_seen_without_the_lock() {
    explore(None, 3, || {
        let tracker = tracker(1);
        let fail = {
            let tracker = Arc::clone(&tracker);
            move || {
                let _ = tracker.note_failure(client(1), at(0));
                assert!(tracker.banned(client(1), at(0)).is_some());
            }
        };
        together([Box::new(fail)], || {
            assert_eq!(tracker.banned(client(2), at(0)), None);
            if tracker.begin(client(1), at(0)).is_err() {
                assert!(tracker.banned(client(1), at(0)).is_some());
            }
        });
        assert!(tracker.banned(client(1), at(0)).is_some());
    });
}

#[test]
fn networks_that_trip_while_their_clients_guess_are_banned_once() {
    explore(Some(2), 20, || {
        let tracker = tracker(1);
        let seen = Arc::new(Seen::default());
        // Three of the four failures that ban the /56.
        let neighbour = |n: u16| Scope::of([0x3ffe, 1, 2, n, 0, 0, 0, 1].into());
        for n in 0..2 {
            let _ = tracker.note_failure(neighbour(n), at(0));
        }
        let guess = |n| {
            let (tracker, seen) = (Arc::clone(&tracker), Arc::clone(&seen));
            move || seen.guess_wrong(&tracker, neighbour(n), at(0))
        };
        together([Box::new(guess(2)), Box::new(guess(3))], guess(4));
        let (checked, tripped) = seen.totals();
        assert!(checked == 2 && tripped == 2, "{checked} {tripped}");
        assert!(tracker.banned(neighbour(9), at(0)).is_some());
    });
}
