//! The same requests of the same clients for everyone who measures a cached decision, and what one
//! of them costs.

use std::hint::black_box;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::{Duration, Instant};

use ipwhois_guard_core::{Guard, GuardBuilder, Peer, RequestHead, Step};
use ipwhois_guard_testkit::StandIn;
use tokio::task::JoinSet;

/// How many verdicts the cache holds; its default capacity is full then.
pub(crate) const VERDICTS: u32 = 100_000;
/// Decisions in one batch, and how many batches of each kind alternate.
pub(crate) const BATCH: u32 = 20_000;
pub(crate) const BATCHES: usize = 101;
/// callgrind is slow: it gets a full cache, only smaller.
pub(crate) const COUNTED_VERDICTS: u32 = 1_000;

/// A request that went through two proxies.
pub(crate) struct TwoHops {
    forwarded_for: String,
}

impl RequestHead for TwoHops {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/admin/users/1"
    }

    fn peer(&self) -> Peer {
        Peer::Ip(Ipv4Addr::new(10, 0, 0, 1).into())
    }

    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        let line: Option<&[u8]> = match name {
            "x-forwarded-for" => Some(self.forwarded_for.as_bytes()),
            "user-agent" => Some(AGENT),
            "referer" => Some(b"https://site.example/admin"),
            _ => None,
        };
        line.into_iter()
    }
}

const AGENT: &[u8] =
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/126.0.0.0 Safari/537.36";

fn client(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x1a00_0000 + n).into()
}

/// The clients of `count` requests, spread over the cache in an order that no prefetcher guesses.
pub(crate) fn clients(count: u32, verdicts: u32) -> impl Iterator<Item = IpAddr> {
    let scattered = move |n| u64::from(n) * 48_271 % u64::from(verdicts);
    (0..count).map(move |n| client(u32::try_from(scattered(n)).expect("less than the verdicts")))
}

pub(crate) fn requests(count: u32, verdicts: u32) -> Vec<TwoHops> {
    clients(count, verdicts)
        .map(|client| TwoHops {
            forwarded_for: format!("{client}, 10.1.2.3"),
        })
        .collect()
}

pub(crate) fn settings(service: &StandIn, verdicts: u32) -> GuardBuilder {
    Guard::builder()
        .api_url(service.url())
        .trusted_proxies(["10.0.0.0/8"])
        .protect("/admin")
        .protect("/login")
        .max_wait(Duration::from_secs(30))
        .api_timeout(Duration::from_secs(30))
        .daily_budget(u32::MAX)
        .cache_capacity(verdicts as usize)
        .cache_ttl(Duration::from_secs(24 * 3_600))
}

/// A guard that has asked the service about all clients, so that its cache knows them.
pub(crate) fn learned(settings: GuardBuilder, verdicts: u32) -> Guard {
    let guard = settings.build().expect("the settings are right");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut checks = JoinSet::new();
        for n in 0..verdicts {
            let guard = guard.clone();
            checks.spawn(async move { guard.check(client(n)).await });
            if checks.len() >= 256 {
                checks.join_next().await;
            }
        }
        checks.join_all().await;
    });
    assert_eq!(guard.cache_entries(), verdicts as usize);
    guard
}

#[inline(never)]
pub(crate) fn decide(guard: &Guard, request: &TwoHops) {
    match guard.decide(black_box(request)) {
        Step::Decided(decision) => {
            black_box(decision);
        }
        Step::Asking(_) => panic!("every client is in the cache"),
    }
}

/// Nanoseconds for one of a batch.
pub(crate) fn time(work: &dyn Fn()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() / f64::from(BATCH) * 1e9
}

/// Both times of the pair whose ratio of the second to the first is the median.
pub(crate) fn median_pair(mut pairs: Vec<(f64, f64)>) -> (f64, f64) {
    pairs.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    pairs[pairs.len() / 2]
}

/// Runs this program under callgrind, which counts inside [`decide`] only. With `count`, a number
/// and `arguments` the program calls it so many times. Answers the instructions of one decision, or
/// `None` without valgrind.
pub(crate) fn count_instructions(arguments: &[&str]) -> Option<u64> {
    const DECISIONS: u64 = 10_000;
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=decision::workload::decide")
        .arg(&program)
        .args(["count", &DECISIONS.to_string()])
        .args(arguments)
        .output();
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        output => output.expect("valgrind runs"),
    };
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "it ran to its end:\n{text}");
    let counted: u64 = text
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok())
        .unwrap_or_else(|| panic!("callgrind counted nothing:\n{text}"));
    Some(counted / DECISIONS)
}

/// What [`count_instructions`] counts.
pub(crate) fn run_for_counting(guard: &Guard, decisions: usize) {
    /// Health looks at each of the first requests, and at one in 64 of those that follow.
    const LOOKED_AT: usize = 256;
    let requests = requests(COUNTED_VERDICTS, COUNTED_VERDICTS);
    for request in requests.iter().cycle().take(LOOKED_AT) {
        drop(black_box(guard.decide(request)));
    }
    for request in requests.iter().cycle().take(decisions) {
        decide(guard, request);
    }
}
