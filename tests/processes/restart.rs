//! A kill, a restart, and what is on disk in between.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use conformance::client::Request;
use conformance::process::Process;
use ipwhois_guard_testkit::{Behaviour, Endpoint, StandIn};

use super::{client, kill, visit, within_a_day};

/// So soon a verdict is on the disk: within a second, and some time for the write.
const WRITTEN: Duration = Duration::from_secs(2);

fn start(service: &StandIn, folder: &str, budget: &str) -> Process {
    let settings = [
        ("API_URL", service.url()),
        ("TRUSTED_PROXIES", "127.0.0.0/8".to_owned()),
        ("STATE_DIR", folder.to_owned()),
        ("DAILY_BUDGET", budget.to_owned()),
        ("MAX_WAIT", "20s".to_owned()),
    ];
    let settings = settings
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    Process::start("axum", &settings)
}

#[test]
fn a_killed_process_knows_its_clients_again_but_for_the_last_second() {
    let service = StandIn::start().expect("a free port");
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().display().to_string();
    let mut process = start(&service, &folder, "1000000");
    let next = AtomicU32::new(0);
    let begun = Instant::now();
    let (answered, killed): (Vec<(String, Instant)>, Instant) = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = Vec::new();
                    loop {
                        let client = client(next.fetch_add(1, Ordering::SeqCst));
                        match visit(&process, &client) {
                            Some(status) => assert_eq!(status, 200),
                            None => return answered,
                        }
                        answered.push((client, Instant::now()));
                    }
                })
            })
            .collect();
        assert!(service.wait_for_checks(400, Duration::from_secs(60)));
        thread::sleep((3 * WRITTEN).saturating_sub(begun.elapsed()));
        // Under load: the threads go on until they notice.
        let killed = Instant::now();
        kill(&process);
        let threads = threads.into_iter();
        let answered = threads.flat_map(|thread| thread.join().expect("an answer"));
        (answered.collect(), killed)
    });
    process.kill();
    assert!(answered.len() >= 380, "{}", answered.len());

    let process = start(&service, &folder, "1000000");
    let earlier = answered.iter().filter(|(_, at)| *at + WRITTEN < killed);
    let earlier: Vec<&String> = earlier.map(|(client, _)| client).collect();
    assert!(!earlier.is_empty());
    for client in &earlier {
        assert_eq!(visit(&process, client), Some(200));
    }
    let checks_of = |client: &str| service.checks_of(client.parse().expect("an address"));
    let again = earlier.iter().filter(|client| checks_of(client) > 1);
    assert_eq!(again.count(), 0, "of {}", earlier.len());
}

#[test]
fn a_process_that_is_killed_again_and_again_never_spends_more_than_its_budget() {
    within_a_day(|| {
        let service = StandIn::start().expect("a free port");
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().display().to_string();
        for run in 0..6 {
            let process = start(&service, &folder, "60");
            thread::scope(|scope| {
                let visitors: Vec<_> = (0..4)
                    .map(|visitor| {
                        let (process, service) = (&process, &service);
                        scope.spawn(move || {
                            let numbers = (0..1_000).map(|n| run * 10_000 + visitor * 1_000 + n);
                            // No ration holds for checks that find their client listed.
                            let clients = numbers.map(client).inspect(|client| {
                                service.list(client.parse().expect("an address"), 95);
                            });
                            clients
                                .take_while(|client| visit(process, client).is_some())
                                .count()
                        })
                    })
                    .collect();
                let so_far = service.check_count();
                let _ = service.wait_for_checks(so_far + 12, Duration::from_secs(2));
                kill(&process);
                for visitor in visitors {
                    visitor.join().expect("it ends when the process does");
                }
            });
        }
        let checks = service.check_count();
        // A process that forgot the count would spend 12 or more in each run. The price keeps some
        // for later: the visitors are a rush.
        assert!(checks <= 60, "{checks} checks");
        assert!(checks >= 20, "{checks} checks");
    });
}

#[test]
fn reports_of_a_killed_process_arrive_once_when_the_service_is_back() {
    let service = StandIn::start().expect("a free port");
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().display().to_string();
    let mut process = start(&service, &folder, "1000000");
    service.behave_on(Endpoint::Report, Behaviour::status(503));
    for n in 0..8 {
        let guess = Request::new("POST", "/login")
            .from_client(client(n))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("username=demo&password=guess");
        let statuses = (0..6).map(|_| guess.send(&process.address).status);
        assert_eq!(statuses.collect::<Vec<_>>(), [401, 401, 401, 401, 429, 429]);
    }
    // What was reported first has been tried by now; the others wait behind it.
    assert!(service.wait_for_reports(1, Duration::from_secs(30)));
    thread::sleep(WRITTEN);
    process.kill();

    let tried = service.reports().len();
    service.recover();
    let process = start(&service, &folder, "1000000");
    let all_arrive = service.wait_for_reports(tried + 8, Duration::from_secs(60));
    let arrived = service.reports().len() - tried;
    assert!(all_arrive, "{arrived} of 8");
    drop(process);
    let arrived = service.reports().split_off(tried);
    let addresses: BTreeSet<String> = arrived.iter().map(|report| report.ip.clone()).collect();
    assert_eq!(addresses, (0..8).map(client).collect());
    assert_eq!(arrived.len(), 8, "none arrives twice");
}
