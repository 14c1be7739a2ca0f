//! Several processes with one state folder and no Redis: they act as one guard.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use conformance::client::Request;
use conformance::process::{Process, signal};
use ipwhois_guard_testkit::{Behaviour, Endpoint, StandIn};

use super::{PATIENCE, client, guess, until, visit, within_a_day};

const FRAMEWORKS: [&str; 4] = ["axum", "actix", "rocket", "warp"];
/// So soon what one process learns is known to all.
const SOON: Duration = Duration::from_secs(1);

/// The clients of the feed.
const CLIENTS: u32 = 10_000;

struct Host {
    service: StandIn,
    folder: tempfile::TempDir,
    processes: Vec<Process>,
}

impl Host {
    fn new() -> Self {
        Self {
            service: StandIn::start().expect("a free port"),
            folder: tempfile::tempdir().expect("a folder"),
            processes: Vec::new(),
        }
    }

    /// A feed that has all clients: no price and no ration holds for them.
    fn with_feed() -> (Self, String) {
        let host = Self::new();
        let mut feed = format!("# Generated: 2026-08-22 04:30:03 UTC | Entries: {CLIENTS}\n");
        for n in 0..CLIENTS {
            writeln!(feed, "{}", client(n)).expect("memory");
        }
        assert_eq!(host.service.list_feed(&feed, 95), CLIENTS as usize);
        let url = host.service.feed_url();
        (host, url)
    }

    /// One process of each of these frameworks, all of them well.
    fn start(frameworks: &[&str], more: &[(&str, &str)]) -> Self {
        let mut host = Self::new();
        for framework in frameworks {
            let process = host.start_process(framework, more);
            until_well(&process);
            host.processes.push(process);
        }
        host
    }

    fn start_process(&self, framework: &str, more: &[(&str, &str)]) -> Process {
        let api_url = self.service.url();
        let folder = self.folder.path().display().to_string();
        let mut settings = vec![
            ("API_URL", api_url.as_str()),
            ("TRUSTED_PROXIES", "127.0.0.0/8"),
            ("STATE_DIR", folder.as_str()),
            ("DAILY_BUDGET", "1000000"),
            ("FEED_URL", ""),
            ("MAX_WAIT", "20s"),
        ];
        settings.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        settings.extend_from_slice(more);
        Process::start(framework, &settings)
    }

    /// What all of them answer when they are asked at once.
    fn visit_all(&self, client: &str) -> Vec<Option<u16>> {
        thread::scope(|scope| {
            let visits = self.processes.iter();
            let visits: Vec<_> = visits
                .map(|process| scope.spawn(move || visit(process, client)))
                .collect();
            let visits = visits.into_iter();
            visits
                .map(|visit| visit.join().expect("an answer"))
                .collect()
        })
    }

    fn checks_of(&self, client: &str) -> usize {
        let client = client.parse().expect("an address");
        self.service.checks_of(client)
    }

    fn list(&self, client: &str) {
        let client = client.parse().expect("an address");
        self.service.list_as(client, 95, "brute-force");
    }
}

fn problems(process: &Process) -> Vec<String> {
    let Ok(response) = Request::get("/guard/health").try_send(&process.address) else {
        return vec!["no answer".to_owned()];
    };
    let health: serde_json::Value = response.json();
    let problems = health["problems"].as_array().expect("a list");
    let codes = problems.iter().map(|problem| problem["code"].as_str());
    codes.flatten().map(str::to_owned).collect()
}

#[track_caller]
fn until_well(process: &Process) {
    until_well_but(process, "");
}

/// Until it has no problem but this one.
#[track_caller]
fn until_well_but(process: &Process, expected: &str) {
    let begun = Instant::now();
    loop {
        let mut problems = problems(process);
        problems.retain(|code| code != expected);
        if problems.is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{problems:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Tells it to end, and waits until it has said its last words.
#[track_caller]
fn end(mut process: Process) {
    signal(process.id(), "TERM");
    assert!(process.ends(PATIENCE));
}

#[test]
fn four_processes_of_one_folder_make_one_check_for_a_client() {
    let host = Host::start(&FRAMEWORKS, &[]);
    let client = client(1);
    host.list(&client);
    host.service.behave_on(Endpoint::Check, Behaviour::Held);
    let statuses = thread::scope(|scope| {
        let visits = scope.spawn(|| host.visit_all(&client));
        assert!(host.service.wait_for_checks(1, PATIENCE));
        // The others have time enough to ask as well, if they would.
        assert!(!host.service.wait_for_checks(2, Duration::from_millis(500)));
        host.service.recover();
        visits.join().expect("answers")
    });
    assert_eq!(statuses, [Some(403); 4]);
    assert_eq!(host.service.check_count(), 1);
}

#[test]
fn five_guesses_at_four_processes_of_one_folder_trip_and_ban_at_all() {
    let host = Host::start(&FRAMEWORKS, &[]);
    let client = client(1);
    let places = host.processes.iter().cycle().take(5);
    let statuses: Vec<u16> = places.map(|process| guess(process, &client)).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 429]);
    for process in &host.processes {
        until("the ban is known", SOON, || {
            visit(process, &client) == Some(429)
        });
    }
}

#[test]
fn when_the_holder_is_killed_another_process_has_its_verdicts() {
    let mut host = Host::start(&FRAMEWORKS[..3], &[]);
    let known = client(1);
    assert_eq!(visit(&host.processes[0], &known), Some(200));
    // Written behind, within a second.
    thread::sleep(Duration::from_millis(1_500));
    host.processes.remove(0).kill();
    let begun = Instant::now();
    assert_eq!(visit(&host.processes[0], &client(2)), Some(200));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    thread::sleep(Duration::from_secs(1));
    for process in &host.processes {
        until_well(process);
        assert_eq!(visit(process, &known), Some(200));
        assert_eq!(visit(process, &client(2)), Some(200));
    }
    assert_eq!((host.checks_of(&known), host.checks_of(&client(2))), (1, 1));
}

#[test]
fn a_holder_that_is_stopped_is_replaced_and_joins_when_it_goes_on() {
    let host = Host::start(&FRAMEWORKS[..3], &[]);
    let holder = &host.processes[0];
    assert_eq!(visit(holder, &client(1)), Some(200));
    thread::sleep(Duration::from_millis(1_500));
    signal(holder.id(), "STOP");
    let others = &host.processes[1..];
    for n in 2..40 {
        for process in others {
            let begun = Instant::now();
            assert_eq!(visit(process, &client(n)), Some(200));
            let took = begun.elapsed();
            assert!(took < Duration::from_millis(500), "{took:?}");
        }
        thread::sleep(Duration::from_millis(100));
    }
    for process in others {
        until_well(process);
    }
    signal(holder.id(), "CONT");
    until("the others' verdicts are its own", PATIENCE, || {
        let before = host.service.check_count();
        visit(holder, &client(39)) == Some(200) && host.service.check_count() == before
    });
    // It was late, and says so for a minute.
    until_well_but(holder, "guard_behind");
    for process in &host.processes {
        assert_eq!(visit(process, &client(1)), Some(200));
    }
    assert_eq!(host.checks_of(&client(1)), 1);
}

/// A budget that clients would use up many times over, and a process that is ended in each of
/// these ways again and again.
#[test]
fn four_processes_of_one_folder_never_spend_more_than_the_day_has() {
    within_a_day(|| {
        let (mut host, feed) = Host::with_feed();
        let more = [
            ("DAILY_BUDGET", "50"),
            ("MAX_WAIT", "1s"),
            ("FEED_URL", feed.as_str()),
        ];
        for framework in FRAMEWORKS {
            let process = host.start_process(framework, &more);
            host.processes.push(process);
        }
        let next = AtomicU32::new(0);
        let mut kills = 0;
        for round in 0..20_usize {
            let so_far = host.service.check_count();
            let ends = AtomicBool::new(false);
            thread::scope(|scope| {
                for process in &host.processes {
                    scope.spawn(|| {
                        while !ends.load(Ordering::SeqCst) {
                            let n = next.fetch_add(1, Ordering::SeqCst);
                            let _ = visit(process, &client(n % CLIENTS));
                        }
                    });
                }
                let _ = host
                    .service
                    .wait_for_checks(so_far + 2, Duration::from_secs(1));
                // The oldest process holds the folder.
                match round % 3 {
                    0 => signal(host.processes[0].id(), "KILL"),
                    1 => signal(host.processes[0].id(), "TERM"),
                    _ => signal(host.processes[0].id(), "STOP"),
                }
                let _ = host
                    .service
                    .wait_for_checks(so_far + 3, Duration::from_secs(3));
                if round % 3 == 2 {
                    signal(host.processes[0].id(), "CONT");
                }
                ends.store(true, Ordering::SeqCst);
            });
            let mut old = host.processes.remove(0);
            match round % 3 {
                0 => kills += 1,
                1 => assert!(old.ends(PATIENCE)),
                _ => end(old),
            }
            let process = host.start_process(FRAMEWORKS[round % 4], &more);
            host.processes.push(process);
        }
        let checks = host.service.check_count();
        println!("{checks} checks, {kills} kills");
        assert!(checks <= 50, "{checks} checks");
        assert!(checks + kills >= 40, "{checks} checks, {kills} kills");
    });
}

#[test]
fn a_rolling_restart_fails_no_request_and_asks_about_no_client_again() {
    let mut host = Host::start(&FRAMEWORKS[..2], &[]);
    let clients: Vec<String> = (1..=50).map(client).collect();
    for client in &clients {
        assert_eq!(visit(&host.processes[0], client), Some(200));
    }
    thread::sleep(Duration::from_millis(1_500));
    let requests = AtomicUsize::new(0);
    for round in 0..10 {
        // The new one is there before the old one ends.
        let process = host.start_process(FRAMEWORKS[round % 4], &[]);
        let old = host.processes.remove(0);
        host.processes.push(process);
        let ends = AtomicBool::new(false);
        thread::scope(|scope| {
            for process in &host.processes {
                scope.spawn(|| {
                    for client in clients.iter().cycle() {
                        if ends.load(Ordering::SeqCst) {
                            break;
                        }
                        assert_eq!(visit(process, client), Some(200));
                        requests.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            thread::sleep(Duration::from_millis(200));
            end(old);
            for process in &host.processes {
                until_well(process);
            }
            ends.store(true, Ordering::SeqCst);
        });
    }
    let requests = requests.load(Ordering::SeqCst);
    println!("{requests} requests");
    for client in &clients {
        assert_eq!(host.checks_of(client), 1, "{client}");
    }
}

#[test]
fn a_rolling_restart_loses_no_check() {
    within_a_day(|| {
        let (mut host, feed) = Host::with_feed();
        let more = [("DAILY_BUDGET", "50"), ("FEED_URL", feed.as_str())];
        for framework in &FRAMEWORKS[..2] {
            let process = host.start_process(framework, &more);
            until_well_but(&process, "feed_old");
            host.processes.push(process);
        }
        let mut clients = (0..).map(client);
        for round in 0..10 {
            let process = host.start_process(FRAMEWORKS[round % 4], &more);
            until_well_but(&process, "feed_old");
            host.processes.push(process);
            // Each has spent, and asks for the next block while the holder ends.
            for process in &host.processes {
                let _ = visit(process, &clients.next().expect("many"));
            }
            end(host.processes.remove(0));
        }
        until("the whole day is spent", Duration::from_secs(10), || {
            for process in &host.processes {
                let _ = visit(process, &clients.next().expect("many"));
            }
            host.service.check_count() >= 50
        });
        assert_eq!(host.service.check_count(), 50);
    });
}

#[test]
fn no_report_is_lost_or_sent_twice_when_holders_are_killed() {
    let mut host = Host::start(&FRAMEWORKS[..2], &[]);
    host.service
        .behave_on(Endpoint::Report, Behaviour::status(503));
    let mut reported = BTreeSet::new();
    for round in 0..12_u32 {
        for (n, process) in (0_u32..).zip(&host.processes) {
            let client = client(10 * round + n);
            let statuses: Vec<u16> = (0..5).map(|_| guess(process, &client)).collect();
            assert_eq!(statuses, [401, 401, 401, 401, 429]);
            reported.insert(client);
        }
        // A report that is older is on the disk.
        thread::sleep(Duration::from_millis(100));
        host.processes.remove(0).kill();
        let process = host.start_process(FRAMEWORKS[round as usize % 4], &[]);
        until_well(&process);
        host.processes.push(process);
    }
    let tried = host.service.reports().len();
    host.service.recover();
    for _ in 0..2 {
        // Whose reports they were, they are sent.
        host.processes.remove(0).kill();
        let process = host.start_process("axum", &[]);
        host.processes.push(process);
    }
    assert!(
        host.service
            .wait_for_reports(tried + reported.len(), Duration::from_secs(60))
    );
    thread::sleep(Duration::from_secs(3));
    let arrived = host.service.reports().split_off(tried);
    let addresses: BTreeSet<String> = arrived.iter().map(|report| report.ip.clone()).collect();
    assert_eq!(addresses, reported);
    assert_eq!(arrived.len(), reported.len(), "none arrives twice");
}
