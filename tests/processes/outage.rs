//! Redis in trouble, under load: no request fails or waits for it, and afterwards it is used again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use conformance::client::Request;
use conformance::process::Process;
use conformance::redis::{Proxy, Redis};
use ipwhois_guard_testkit::StandIn;

use super::{BACK, PATIENCE, client, start_with_redis, until, until_they_listen, visit};

/// No request takes longer, on however slow a machine.
const LONG: Duration = Duration::from_secs(2);
/// Half of the requests take less, of clients that are known and of new ones. One that waits for
/// Redis in vain waits that long.
const SHORT: Duration = Duration::from_millis(50);
/// So much longer than any request of a known client no other one takes. A machine that hangs holds
/// up both; only new ones could wait for Redis, a second without a deadline of the guard.
const WAITED_IN_VAIN: Duration = Duration::from_millis(500);
const KNOWN: u32 = 20;

struct Pair {
    service: StandIn,
    processes: [Process; 2],
    /// The numbers of the clients that nobody has seen yet.
    next: AtomicU32,
}

impl Pair {
    fn start(frameworks: [&str; 2], redis: &Redis, url: &str) -> Self {
        let service = StandIn::start().expect("a free port");
        let processes = frameworks.map(|framework| start_with_redis(framework, &service, url, &[]));
        let pair = Self {
            service,
            processes,
            next: AtomicU32::new(KNOWN),
        };
        until_they_listen(redis, 2);
        for client in (0..KNOWN).map(client) {
            for process in &pair.processes {
                assert_eq!(visit(process, &client), Some(200));
            }
        }
        pair.until_they_share();
        pair
    }

    fn new_client(&self) -> String {
        client(self.next.fetch_add(1, Ordering::SeqCst))
    }

    /// Until one knows whom the other has asked about.
    fn until_they_share(&self) {
        until("they share what they know", BACK, || {
            let client = self.new_client();
            for process in &self.processes {
                assert_eq!(visit(process, &client), Some(200));
            }
            self.service.checks_of(client.parse().expect("an address")) == 1
        });
    }

    /// Until each asks for itself, which shows that the trouble is one.
    fn until_they_are_alone(&self) {
        until("each asks for itself", PATIENCE, || {
            let client = self.new_client();
            for process in &self.processes {
                assert_eq!(visit(process, &client), Some(200));
            }
            self.service.checks_of(client.parse().expect("an address")) == 2
        });
    }

    /// Goes through some trouble while clients come.
    fn under_load(&self, trouble: impl FnOnce()) {
        let ends = AtomicBool::new(false);
        let (known, new) = (Times::default(), Times::default());
        thread::scope(|scope| {
            for process in &self.processes {
                scope.spawn(|| {
                    for n in 0.. {
                        if ends.load(Ordering::SeqCst) {
                            return;
                        }
                        let request = Request::get("/admin").from_client(client(n % KNOWN));
                        known.note(timed(process, &request, 200));
                        pause();
                    }
                });
                scope.spawn(|| {
                    while !ends.load(Ordering::SeqCst) {
                        be_new(process, &self.new_client(), &new);
                        pause();
                    }
                });
            }
            // The load ends with the trouble, whatever becomes of that.
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(trouble));
            ends.store(true, Ordering::SeqCst);
            if let Err(panic) = ended {
                std::panic::resume_unwind(panic);
            }
        });
        let longest = known.check("known");
        let longest_of_new = new.check("new");
        assert!(
            longest_of_new < longest + WAITED_IN_VAIN,
            "{longest_of_new:?}, and of known ones {longest:?}"
        );
    }

    /// Until so many clients have come that nobody knew.
    fn until_new_clients_came(&self, clients: u32) {
        let so_far = self.next.load(Ordering::SeqCst);
        until("new clients come", PATIENCE, || {
            self.next.load(Ordering::SeqCst) >= so_far + clients
        });
    }
}

#[derive(Default)]
struct Times(Mutex<Vec<Duration>>);

impl Times {
    fn note(&self, time: Duration) {
        self.0.lock().expect("no panic").push(time);
    }

    /// Answers the longest.
    #[track_caller]
    fn check(self, whose: &str) -> Duration {
        let mut times = self.0.into_inner().expect("no panic");
        times.sort_unstable();
        let half = times[times.len() / 2];
        let longest = times[times.len() - 1];
        println!(
            "{} visits of {whose} clients: half within {half:?}, all within {longest:?}",
            times.len()
        );
        assert!(half < SHORT, "{whose}: {half:?}");
        longest
    }
}

/// Not to measure the machine's limits.
fn pause() {
    thread::sleep(Duration::from_millis(5));
}

fn be_new(process: &Process, client: &str, times: &Times) {
    let probe = Request::get("/.env").from_client(client);
    let admin = Request::get("/admin").from_client(client);
    let guess = Request::new("POST", "/login")
        .from_client(client)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("username=demo&password=guess");
    for (request, status) in [(probe, 404), (admin, 200), (guess, 401)] {
        times.note(timed(process, &request, status));
    }
}

#[track_caller]
fn timed(process: &Process, request: &Request, status: u16) -> Duration {
    let begun = Instant::now();
    let response = request.try_send(&process.address).expect("an answer");
    let time = begun.elapsed();
    assert_eq!(response.status, status, "{request:?}: {response:?}");
    assert!(time < LONG, "{request:?}: {time:?}");
    time
}

/// Enough to notice the trouble several times over.
const MANY: u32 = 40;

#[test]
fn redis_is_killed_and_comes_back_empty() {
    let mut redis = Redis::start();
    let pair = Pair::start(["axum", "actix"], &redis, &redis.url());
    pair.under_load(|| {
        redis.kill();
        pair.until_they_are_alone();
        pair.until_new_clients_came(MANY);
        redis.run();
        pair.until_new_clients_came(MANY);
    });
    pair.until_they_share();
    until_they_listen(&redis, 2);
}

#[test]
fn redis_stops_and_goes_on() {
    let redis = Redis::start();
    let pair = Pair::start(["rocket", "warp"], &redis, &redis.url());
    pair.under_load(|| {
        redis.signal("STOP");
        pair.until_they_are_alone();
        pair.until_new_clients_came(MANY);
        redis.signal("CONT");
        pair.until_new_clients_came(MANY);
    });
    pair.until_they_share();
    until_they_listen(&redis, 2);
}

#[test]
fn redis_is_restarted_in_a_moment_and_is_empty() {
    let mut redis = Redis::start();
    let pair = Pair::start(["warp", "axum"], &redis, &redis.url());
    pair.under_load(|| {
        for _ in 0..3 {
            redis.kill();
            redis.run();
            pair.until_new_clients_came(MANY / 2);
        }
    });
    pair.until_they_share();
    until_they_listen(&redis, 2);
}

#[test]
fn redis_is_full() {
    let redis = Redis::start();
    let pair = Pair::start(["actix", "rocket"], &redis, &redis.url());
    pair.under_load(|| {
        let limit = |bytes| redis.does(&["CONFIG", "SET", "maxmemory", bytes]);
        assert_eq!(limit("1mb"), "OK");
        pair.until_they_are_alone();
        pair.until_new_clients_came(MANY);
        assert_eq!(limit("0"), "OK");
        pair.until_new_clients_came(MANY);
    });
    pair.until_they_share();
    until_they_listen(&redis, 2);
}

#[test]
fn connections_to_redis_break_off_in_the_middle_of_a_reply() {
    let redis = Redis::start();
    let proxy = Proxy::start(redis.address());
    let pair = Pair::start(["axum", "warp"], &redis, &proxy.url());
    pair.under_load(|| {
        proxy.cut(true);
        pair.until_they_are_alone();
        pair.until_new_clients_came(MANY);
        proxy.cut(false);
        pair.until_new_clients_came(MANY);
    });
    pair.until_they_share();
    until_they_listen(&redis, 2);
}
