//! Several processes with one Redis: what one learns and counts, all know.

use std::thread;
use std::time::Duration;

use conformance::client::Request;
use conformance::process::Process;
use conformance::redis::Redis;
use ipwhois_guard_testkit::{Behaviour, Endpoint, StandIn};

use super::{PATIENCE, client, start_with_redis, until, until_they_listen, visit};

const FRAMEWORKS: [&str; 5] = ["axum", "actix", "rocket", "warp", "axum"];
/// So soon what one process learns is known to all.
const SOON: Duration = Duration::from_secs(1);

struct Together {
    redis: Redis,
    service: StandIn,
    processes: Vec<Process>,
}

impl Together {
    fn start(frameworks: &[&str]) -> Self {
        let mut together = Self {
            redis: Redis::start(),
            service: StandIn::start().expect("a free port"),
            processes: Vec::new(),
        };
        for framework in frameworks {
            together.add(framework, &[]);
        }
        together
    }

    /// Another process, when it shares what it learns.
    fn add(&mut self, framework: &str, more: &[(&str, &str)]) {
        let process = start_with_redis(framework, &self.service, &self.redis.url(), more);
        let first = 50_000 + 1_000 * u32::try_from(self.processes.len()).expect("a few");
        let mut clients = (first..).map(client);
        until("it has a connection for calls", PATIENCE, || {
            let client = clients.next().expect("there are many");
            assert_eq!(visit(&process, &client), Some(200));
            let key = format!("ipwhois-guard:verdict:{{{client}}}");
            self.redis.does(&["EXISTS", &key]) == "1"
        });
        self.processes.push(process);
        until_they_listen(&self.redis, self.processes.len());
    }

    fn checks_of(&self, client: &str) -> usize {
        self.service.checks_of(client.parse().expect("an address"))
    }

    /// What all of them answer when they are asked at once.
    fn visit_all(&self, client: &str) -> Vec<Option<u16>> {
        thread::scope(|scope| {
            let visits = self
                .processes
                .iter()
                .map(|process| scope.spawn(move || visit(process, client)));
            let visits: Vec<_> = visits.collect();
            let visits = visits.into_iter();
            visits
                .map(|visit| visit.join().expect("an answer"))
                .collect()
        })
    }

    fn list(&self, client: &str) {
        let ip = client.parse().expect("an address");
        self.service.list_as(ip, 95, "brute-force");
    }
}

#[track_caller]
fn check_that_one_asks_for_all(frameworks: &[&str]) {
    let together = Together::start(frameworks);
    let service = &together.service;
    let mut clients = (1..=10).map(client);
    // On a machine with much to do an answer of Redis may be late: then nobody asks twice, but not
    // all know.
    until("all know what one has asked", PATIENCE, || {
        let client = clients.next().expect("ten times in a row");
        together.list(&client);
        service.forget();
        service.behave_on(Endpoint::Check, Behaviour::Held);
        let statuses = thread::scope(|scope| {
            let visits = scope.spawn(|| together.visit_all(&client));
            assert!(service.wait_for_checks(1, PATIENCE));
            // The others have time enough to ask as well, if they would.
            assert!(!service.wait_for_checks(2, Duration::from_millis(500)));
            service.recover();
            visits.join().expect("answers")
        });
        assert_eq!(service.check_count(), 1);
        statuses == vec![Some(403); frameworks.len()]
    });
}

#[test]
fn of_two_processes_that_are_asked_at_once_one_asks_the_service() {
    check_that_one_asks_for_all(&FRAMEWORKS[1..3]);
}

#[test]
fn of_five_processes_that_are_asked_at_once_one_asks_the_service() {
    check_that_one_asks_for_all(&FRAMEWORKS);
}

#[test]
fn five_guesses_at_five_processes_trip_and_ban_at_all() {
    let together = Together::start(&FRAMEWORKS);
    let client = client(1);
    let guess = Request::new("POST", "/login")
        .from_client(&client)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("username=demo&password=guess");
    let statuses: Vec<u16> = together
        .processes
        .iter()
        .map(|process| guess.send(&process.address).status)
        .collect();
    assert_eq!(statuses, [401, 401, 401, 401, 429]);
    for process in &together.processes {
        let is_banned = || visit(process, &client) == Some(429);
        until("the ban is known", SOON, is_banned);
        assert_eq!(guess.send(&process.address).status, 429);
    }
}

#[test]
fn a_verdict_that_changes_for_one_process_changes_for_all() {
    let mut together = Together::start(&FRAMEWORKS[..4]);
    let client = client(1);
    assert_eq!(together.visit_all(&client), [Some(200); 4]);
    assert_eq!(together.checks_of(&client), 1);
    together.list(&client);
    assert_eq!(together.visit_all(&client), [Some(200); 4]);
    assert_eq!(
        together.checks_of(&client),
        1,
        "all have it in their caches"
    );

    // One that believes nobody for more than a second asks again.
    together.add("axum", &[("CACHE_TTL", "1s")]);
    let (hasty, others) = together.processes.split_last().expect("five");
    until("it asks again", PATIENCE, || {
        visit(hasty, &client) == Some(403)
    });
    for process in others {
        until("the others are told", SOON, || {
            visit(process, &client) == Some(403)
        });
    }
    assert_eq!(together.checks_of(&client), 2);
}
