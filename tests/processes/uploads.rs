//! Refused uploads behind nginx: they are answered, and nobody else notices.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use conformance::bench::{CLEAN, LISTED};
use conformance::client::Request;
use conformance::nginx::Nginx;
use conformance::process::Process;
use ipwhois_guard_testkit::{Behaviour, Endpoint, StandIn};

/// Guesses passwords.
const BANNED: &str = "26.0.0.2";
/// The service does not answer about it.
const UNVERIFIED: &str = "26.0.0.3";

const UPLOADS: usize = 200;

/// In KiB. nginx keeps larger ones than its buffer in files.
const SIZES: [usize; 10] = [1, 8, 16, 64, 256, 512, 1_024, 1_024, 2_048, 20_480];

/// Memory of the process, in KiB.
fn resident(process: &Process) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn login(client: &str) -> Request {
    Request::new("POST", "/login")
        .from_client(client)
        .header("Content-Type", "application/x-www-form-urlencoded")
}

fn start(framework: &str, service: &StandIn) -> Process {
    let process = Process::start(
        framework,
        &[
            ("API_URL", service.url().as_str()),
            ("TRUSTED_PROXIES", "127.0.0.0/8"),
            ("DAILY_BUDGET", "1000000"),
            ("MAX_WAIT", "20s"),
            ("ON_UNVERIFIED", "deny"),
        ],
    );
    let admin = |client| {
        let request = Request::get("/admin").from_client(client);
        request.send(&process.address).status
    };
    service.recover();
    assert_eq!(admin(CLEAN), 200);
    assert_eq!(admin(LISTED), 403);
    let guess = login(BANNED).body("username=demo&password=guess");
    let guesses = (0..5).map(|_| guess.send(&process.address).status);
    let statuses: Vec<_> = guesses.collect();
    assert_eq!(statuses.last(), Some(&429));
    service.behave_on(Endpoint::Check, Behaviour::status(500));
    assert_eq!(admin(UNVERIFIED), 503);
    process
}

/// A visitor asks on and on, while refused clients upload.
fn check(framework: &str) {
    let service = StandIn::start().expect("a free port");
    service.list(LISTED.parse().expect("an address"), 95);
    let servers = [0, 1].map(|_| start(framework, &service));
    let nginx = Nginx::start(&servers.each_ref().map(|server| &server.address));
    let (next, visits, ends) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicBool::new(false),
    );
    let upload = |n: usize| {
        let clients = [(LISTED, 403), (BANNED, 429), (UNVERIFIED, 503)];
        let (client, status) = clients[n % clients.len()];
        // By a rule, and by an extractor.
        let path = ["/admin", "/login"][n / 3 % 2];
        let mut body = b"username=demo&password=".to_vec();
        body.resize(SIZES[n % SIZES.len()] * 1_024, b'x');
        let request = Request::new("POST", path).from_client(client);
        let form = request.header("Content-Type", "application/x-www-form-urlencoded");
        let answer = form.body(body).try_send(&nginx.address).expect("an answer");
        assert_eq!(answer.status, status, "{client} uploads {n} to {path}");
    };
    let many = |until: usize| {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while next.load(Ordering::SeqCst) < until {
                        upload(next.fetch_add(1, Ordering::SeqCst));
                    }
                });
            }
        });
    };
    let memory = || {
        servers
            .each_ref()
            .map(|server| resident(server).unwrap_or(0))
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::SeqCst) {
                let visit = Request::get("/admin").from_client(CLEAN);
                assert_eq!(visit.send(&nginx.address).status, 200);
                visits.fetch_add(1, Ordering::SeqCst);
            }
        });
        let uploads = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            many(UPLOADS / 4);
            let warm = memory();
            many(UPLOADS);
            (warm, memory())
        }));
        ends.store(true, Ordering::SeqCst);
        let (warm, now) = uploads.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        println!("{framework}: {warm:?} KiB, {now:?} KiB after {UPLOADS} uploads");
        for (warm, now) in warm.into_iter().zip(now) {
            assert!(now < warm + 16 * 1_024, "{warm} KiB, then {now} KiB");
        }
    });
    let log = nginx.log();
    assert!(!log.contains("upstream"), "{log}");
    assert!(visits.load(Ordering::SeqCst) > 0);
}

#[test]
fn refused_uploads_to_actix_hurt_no_visitor_behind_nginx() {
    check("actix");
}

#[test]
fn refused_uploads_to_axum_hurt_no_visitor_behind_nginx() {
    check("axum");
}

#[test]
fn refused_uploads_to_rocket_hurt_no_visitor_behind_nginx() {
    check("rocket");
}

#[test]
fn refused_uploads_to_warp_hurt_no_visitor_behind_nginx() {
    check("warp");
}
