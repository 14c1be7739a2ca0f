//! A guard in a forked child, which has none of its threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::Instant;

use fork::{Fork, waitpid_nohang};

use super::*;

/// Runs `work` in a forked child. Kills it and panics if it does not end in time, and panics if it
/// panics.
#[track_caller]
fn in_child(work: impl FnOnce()) {
    let child = match fork::fork().expect("a process") {
        Fork::Child => {
            let ended = catch_unwind(AssertUnwindSafe(work));
            std::process::exit(i32::from(ended.is_err()));
        }
        Fork::Parent(child) => child,
    };
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = waitpid_nohang(child).expect("a child") {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            let _ = Command::new("kill")
                .args(["-KILL", &child.to_string()])
                .status();
            let _ = fork::waitpid(child);
            panic!("the child hangs");
        }
        thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(status, 0, "the child fails");
}

fn head(peer: IpAddr) -> Head {
    Head {
        path: "/",
        peer: Peer::Ip(peer),
        forwarded_for: None,
    }
}

fn source(guard: &Guard, client: IpAddr) -> Source {
    let decision = block_on(guard.decide(&head(client)).decision());
    decision.verdict().source()
}

fn codes(guard: &Guard) -> Vec<&'static str> {
    let health = guard.health();
    health
        .problems
        .iter()
        .map(|problem| problem.code())
        .collect()
}

#[test]
fn a_child_decides_as_its_parent_does_and_so_does_a_child_of_it() {
    let service = service();
    let guard = builder(&service).feed_url("").build().unwrap();
    assert_eq!(source(&guard, CLEAN), Source::Api);
    in_child(|| {
        let known = guard.decide(&head(CLEAN));
        assert!(matches!(known, Step::Decided(_)), "the parent knows it");
        let decision = block_on(guard.decide(&head(LISTED)).decision());
        assert_eq!(decision.verdict().source(), Source::Api);
        assert_eq!(decision.denial().map(Denial::status), Some(403));
        assert_eq!(source(&guard, LISTED), Source::Cache);
        assert_eq!(codes(&guard), ["forked"]);
        in_child(|| assert_eq!(source(&guard, LISTED), Source::Api));
        let attempt = block_on(guard.login_attempt(CLEAN)).expect("it is not banned");
        assert_eq!(block_on(attempt.failed()), Ok(()));
        assert_eq!(block_on(guard.shutdown(PATIENCE)), 0);
        drop(guard);
    });
}

#[test]
fn the_parents_guard_works_on_after_its_child_has_ended() {
    let service = service();
    let guard = builder(&service).feed_url("").build().unwrap();
    assert_eq!(source(&guard, LISTED), Source::Api);
    for n in 1..=3 {
        let client = IpAddr::V4(Ipv4Addr::new(26, 0, 2, n));
        let guard = guard.clone();
        in_child(move || {
            assert_eq!(source(&guard, client), Source::Api);
            drop(guard);
        });
    }
    assert_eq!(source(&guard, CLEAN), Source::Api);
    assert_eq!(codes(&guard), [""; 0]);
}

#[test]
fn a_request_that_waits_when_its_process_forks_is_answered_in_the_child() {
    let service = service();
    service.behave(Behaviour::Hang);
    let guard = builder(&service).feed_url("").build().unwrap();
    let Step::Asking(asking) = guard.decide(&head(CLEAN)) else {
        panic!("nothing is known of the client");
    };
    let mut asking = pin!(asking);
    let mut context = Context::from_waker(Waker::noop());
    assert!(asking.as_mut().poll(&mut context).is_pending());
    in_child(|| {
        let decision = block_on(asking.as_mut());
        let expected = Source::Unverified(Unverified::TimedOut);
        assert_eq!(decision.verdict().source(), expected);
    });
    assert!(asking.as_mut().poll(&mut context).is_pending());
}

#[test]
fn children_of_a_process_that_decides_all_the_time_decide_too() {
    let service = service();
    let guard = builder(&service)
        .feed_url("")
        .daily_budget(10_000_000)
        .build()
        .unwrap();
    let (next, ends) = (AtomicU32::new(0x1b00_0000), AtomicBool::new(false));
    let client = || {
        IpAddr::V4(Ipv4Addr::from_bits(
            next.fetch_add(0x100, Ordering::Relaxed),
        ))
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    let client = client();
                    source(&guard, client);
                    source(&guard, client);
                }
            });
        }
        let forked = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..10 {
                let client = client();
                in_child(|| {
                    assert_eq!(source(&guard, client), Source::Api);
                    assert_eq!(source(&guard, client), Source::Cache);
                });
            }
        }));
        ends.store(true, Ordering::Relaxed);
        assert!(forked.is_ok());
    });
}

#[test]
fn a_child_waits_for_a_service_that_hangs_no_longer_than_its_parent() {
    let service = service();
    service.behave(Behaviour::Hang);
    let wait = Duration::from_millis(500);
    let guard = builder(&service).feed_url("").max_wait(wait).build();
    let guard = guard.unwrap();
    in_child(|| {
        // The first request also waits for the child's guard.
        source(&guard, LISTED);
        let begun = Instant::now();
        let expected = Source::Unverified(Unverified::TimedOut);
        assert_eq!(source(&guard, CLEAN), expected);
        eprintln!("in a child: {:?} of {wait:?}", begun.elapsed());
    });
    assert!(service.check_count() > 0, "it was asked, and never answers");
}
