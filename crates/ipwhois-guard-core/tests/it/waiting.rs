//! How long a request waits while the guard's own thread, or its log, is stopped.

use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

fn client(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x1a00_0001 + (n << 8)).into()
}

fn source(guard: &Guard, peer: IpAddr) -> Source {
    let head = Head {
        path: "/",
        peer: Peer::Ip(peer),
        forwarded_for: None,
    };
    let decision = block_on(guard.decide(&head).decision());
    decision.verdict().source()
}

#[test]
fn a_storm_of_interim_replies_holds_up_neither_requests_nor_the_end() {
    let service = service();
    service.behave(Behaviour::InterimStorm);
    let wait = Duration::from_millis(200);
    let guard = builder(&service).feed_url("").max_wait(wait).build();
    let guard = guard.unwrap();
    let longest = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let guard = &guard;
                scope.spawn(move || {
                    let visits = (0..4).map(|n| {
                        let begun = Instant::now();
                        let source = source(guard, client(thread * 4 + n));
                        assert!(matches!(source, Source::Unverified(_)), "{source}");
                        begun.elapsed()
                    });
                    visits.max().unwrap()
                })
            })
            .collect();
        let longest = threads.into_iter().map(|thread| thread.join().unwrap());
        longest.max().unwrap()
    });
    println!("the longest of 32 waits: {longest:?} of {wait:?}");
    // No call ends before its own deadline, which is `PATIENCE`.
    assert!(service.open_connections() > 0, "the storm goes on");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    let begun = Instant::now();
    drop(guard);
    let took = begun.elapsed();
    println!("the end: {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// A service whose code blocks the thread that it is called on, as a mistake of an application
/// would.
#[derive(Debug)]
struct Blocks(std::sync::Mutex<mpsc::Receiver<()>>);

impl ipwhois_guard_core::CheckService for Blocks {
    fn check(&self, _: IpAddr) -> ipwhois_guard_core::CheckFuture<'_> {
        let _ = self.0.lock().expect("one call").recv();
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_service_that_blocks_the_guards_thread_is_waited_for_no_longer_and_health_says_so() {
    let (hold, blocked) = mpsc::channel();
    let guard = Guard::builder()
        .feed_url("")
        .max_wait(Duration::from_millis(100))
        .service(Blocks(std::sync::Mutex::new(blocked)))
        .build()
        .unwrap();
    for n in 0..3 {
        let expected = Source::Unverified(Unverified::TimedOut);
        assert_eq!(source(&guard, client(n)), expected);
    }
    let begun = Instant::now();
    while !guard
        .health()
        .problems
        .iter()
        .any(|problem| problem.code() == "guard_behind")
    {
        assert!(begun.elapsed() < PATIENCE, "{:?}", guard.health());
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(block_on(guard.shutdown(Duration::from_millis(10))), 0);
    drop(guard);
    // It was never released.
    assert!(hold.send(()).is_ok());
}

/// A log that takes nothing from the moment on that something is sent to it.
struct Stuck(std::sync::Mutex<mpsc::Receiver<()>>);

impl Subscriber for Stuck {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "ipwhois_guard"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        let _ = self.0.lock().expect("one call").recv();
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

const STUCK: &str = "IPWHOIS_GUARD_TEST_STUCK_LOG";

/// The process whose log is blocked. Does nothing when it is run as a test.
#[test]
fn child_whose_log_is_blocked() {
    if std::env::var_os(STUCK).is_none() {
        return;
    }
    let (_hold, stuck) = mpsc::channel();
    tracing::subscriber::set_global_default(Stuck(std::sync::Mutex::new(stuck))).unwrap();
    let service = service();
    let wait = Duration::from_millis(500);
    let guard = builder(&service).max_wait(wait).feed_url("").build();
    let guard = guard.unwrap();
    service.behave(Behaviour::status(500));
    let failed = Source::Unverified(Unverified::CallFailed);
    assert_eq!(source(&guard, client(0)), failed);
    service.behave(Behaviour::Normal);
    // The guard's thread has written of the call, and this one of a refusal.
    let guard_is_alive = |n| assert_eq!(source(&guard, client(n)), Source::Api);
    guard_is_alive(1);
    assert_eq!(source(&guard, LISTED), Source::Api);
    assert_eq!(source(&guard, LISTED), Source::Cache);
    guard_is_alive(2);
    service.behave(Behaviour::Hang);
    let begun = Instant::now();
    let expected = Source::Unverified(Unverified::TimedOut);
    assert_eq!(source(&guard, client(3)), expected);
    println!("with a blocked log: {:?} of {wait:?}", begun.elapsed());
    let begun = Instant::now();
    while !guard
        .health()
        .problems
        .iter()
        .any(|problem| problem.code() == "log_blocked")
    {
        assert!(begun.elapsed() < PATIENCE, "{:?}", guard.health());
        thread::sleep(Duration::from_millis(10));
    }
    drop(guard);
}

#[test]
fn a_log_that_blocks_holds_up_neither_requests_nor_the_guard_nor_its_end() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "waiting::child_whose_log_is_blocked",
            "--exact",
            "--nocapture",
        ])
        .env(STUCK, "1")
        .stdout(Stdio::inherit())
        .spawn()
        .unwrap();
    let id = child.id();
    let (ended, has_ended) = mpsc::channel();
    thread::spawn(move || ended.send(child.wait().unwrap()));
    match has_ended.recv_timeout(2 * PATIENCE) {
        Ok(status) => assert!(status.success()),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            let _ = Command::new("kill")
                .args(["-KILL", &id.to_string()])
                .status();
            panic!("the process hangs");
        }
    }
}
