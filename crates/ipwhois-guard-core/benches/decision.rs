//! What a decision costs: `cargo bench -p ipwhois-guard-core --bench decision`.
//!
//! Two figures that hold on any machine, since both sides run in alternation in one process: the time of a cached
//! decision as a multiple of a bare `DashMap` hit, and the number of heap allocations. With `-- instructions`, and
//! valgrind installed, also the number of instructions.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use ipwhois_guard_core::{Guard, Peer, RequestHead, Step};
use ipwhois_guard_testkit::StandIn;
use tokio::task::JoinSet;

/// How many verdicts the cache holds; its default capacity is full then.
const VERDICTS: u32 = 100_000;
/// Decisions in one batch, and how many batches of each kind alternate.
const BATCH: u32 = 20_000;
const BATCHES: usize = 101;

/// A request that went through two proxies.
struct TwoHops {
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
        (name == "x-forwarded-for")
            .then_some(self.forwarded_for.as_bytes())
            .into_iter()
    }
}

fn client(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x1a00_0000 + n).into()
}

fn requests(count: u32) -> Vec<TwoHops> {
    (0..count)
        .map(|n| TwoHops {
            // Spread over the cache, in an order that no prefetcher guesses.
            forwarded_for: format!("{}, 10.1.2.3", client(n.wrapping_mul(48_271) % VERDICTS)),
        })
        .collect()
}

fn guard(service: &StandIn, capacity: u32) -> Guard {
    Guard::builder()
        .api_url(service.url())
        .trusted_proxies(["10.0.0.0/8"])
        .protect("/admin")
        .protect("/login")
        .max_wait(Duration::from_secs(30))
        .api_timeout(Duration::from_secs(30))
        .daily_budget(u32::MAX)
        .cache_capacity(capacity as usize)
        .cache_ttl(Duration::from_secs(24 * 3_600))
        .build()
        .expect("the settings are right")
}

/// Asks the service about `count` addresses, so that the cache knows them.
fn learn(guard: &Guard, count: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut checks = JoinSet::new();
        for n in 0..count {
            let guard = guard.clone();
            checks.spawn(async move { guard.check(client(n)).await });
            if checks.len() >= 256 {
                checks.join_next().await;
            }
        }
        checks.join_all().await;
    });
}

#[inline(never)]
fn decide(guard: &Guard, request: &TwoHops) {
    let step = guard.decide(black_box(request));
    let is_decided = matches!(black_box(&step), Step::Decided(_));
    assert!(is_decided, "every client is in the cache");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("instructions") => instructions(),
        Some("count") => {
            let count = arguments.get(1).and_then(|count| count.parse().ok());
            run_for_counting(count.expect("a number of decisions"));
        }
        _ => time_and_allocations(),
    }
}

fn time_and_allocations() {
    let service = StandIn::start().expect("a free port");
    let guard = guard(&service, VERDICTS);
    learn(&guard, VERDICTS);
    assert_eq!(guard.cached_verdicts(), VERDICTS as usize);
    let requests = requests(BATCH);

    let bare: DashMap<IpAddr, u64> = (0..VERDICTS).map(|n| (client(n), 0)).collect();
    let keys: Vec<IpAddr> = (0..BATCH)
        .map(|n| client(n.wrapping_mul(48_271) % VERDICTS))
        .collect();

    let time = |work: &dyn Fn()| {
        let begun = Instant::now();
        work();
        begun.elapsed().as_secs_f64() / f64::from(BATCH) * 1e9
    };
    let hits = || {
        for key in &keys {
            black_box(bare.get(black_box(key)).map(|entry| *entry));
        }
    };
    let decisions = || requests.iter().for_each(|request| decide(&guard, request));

    let mut times: Vec<(f64, f64)> = (0..BATCHES)
        .map(|_| (time(&hits), time(&decisions)))
        .collect();
    times.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    let (hit, decision) = times[BATCHES / 2];
    let allocations = allocation_counter::measure(decisions);

    println!("cached verdicts                     {VERDICTS}");
    println!("bare DashMap hit                    {hit:7.1} ns (median batch)");
    println!("cached decision, two-hop header     {decision:7.1} ns");
    println!(
        "ratio                               {:7.2} (budget: 10)",
        decision / hit
    );
    println!(
        "allocations in {BATCH} decisions      {:7} (budget: 0)",
        allocations.count_total
    );
}

/// Runs itself under callgrind, which counts inside [`decide`] only.
fn instructions() {
    const DECISIONS: u64 = 10_000;
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=decision::decide")
        .arg(&program)
        .args(["count", &DECISIONS.to_string()])
        .output()
        .expect("valgrind is installed (Debian: apt-get install valgrind)");
    let text = String::from_utf8_lossy(&output.stderr);
    let counted: u64 = text
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok())
        .unwrap_or_else(|| panic!("callgrind counted nothing:\n{text}"));
    println!(
        "instructions a cached decision      {:7} (budget: 1000)",
        counted / DECISIONS
    );
}

fn run_for_counting(decisions: u64) {
    let service = StandIn::start().expect("a free port");
    // A full cache, only smaller: callgrind is slow.
    let guard = guard(&service, 1_000);
    learn(&guard, 1_000);
    let requests: Vec<TwoHops> = (0..1_000)
        .map(|n| TwoHops {
            forwarded_for: format!("{}, 10.1.2.3", client(n)),
        })
        .collect();
    for request in requests.iter().cycle().take(decisions as usize) {
        decide(&guard, request);
    }
}
