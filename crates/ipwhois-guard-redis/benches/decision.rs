//! What Redis costs a cached decision: `cargo bench -p ipwhois-guard-redis --bench decision`.
//!
//! A guard without Redis and one with it have learnt the same verdicts and take turns at the same
//! requests. A second guard without Redis takes its turn as well: its ratio to the first, which
//! should be 1, is what the measurement cannot tell from nothing. With `-- instructions`, and
//! valgrind installed, the instructions of both are counted.

#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/it/server.rs"]
mod server;
#[path = "../../ipwhois-guard-core/benches/decision/workload.rs"]
mod workload;

use std::time::{Duration, Instant};

use ipwhois_guard_core::Guard;
use ipwhois_guard_redis::RedisStore;
use ipwhois_guard_testkit::StandIn;

use server::{PATIENCE, Server};
use workload::{
    BATCH, BATCHES, COUNTED_VERDICTS, TwoHops, VERDICTS, count_instructions, decide, learned,
    median_pair, requests, run_for_counting, settings, time,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["instructions", ..] => {
            println!("instructions a cached decision");
            println!(
                "  without Redis         {:7}",
                count_instructions(&["without"])
            );
            println!(
                "  with Redis            {:7}",
                count_instructions(&["with"])
            );
        }
        ["count", decisions, which, ..] => {
            let server = Server::start();
            let service = StandIn::start().expect("a free port");
            let guard = match which {
                "with" => with_redis(&service, &server, COUNTED_VERDICTS),
                _ => learned(settings(&service, COUNTED_VERDICTS), COUNTED_VERDICTS),
            };
            run_for_counting(&guard, decisions.parse().expect("a number of decisions"));
        }
        _ => time_and_allocations(),
    }
}

fn with_redis(service: &StandIn, server: &Server, verdicts: u32) -> Guard {
    let store = RedisStore::connect(server.url()).expect("a URL");
    let guard = learned(settings(service, verdicts).shared(store), verdicts);
    let known: u32 = server.does(&["DBSIZE"]);
    assert!(known > 0, "Redis has learnt as well");
    // Under callgrind its answers may have come too late.
    let begun = Instant::now();
    while let Some(error) = guard.stats().shared_error {
        assert!(begun.elapsed() < 6 * PATIENCE, "Redis is used: {error}");
        std::thread::sleep(Duration::from_millis(50));
    }
    guard
}

fn time_and_allocations() {
    let server = Server::start();
    let service = StandIn::start().expect("a free port");
    let first = learned(settings(&service, VERDICTS), VERDICTS);
    let shared = with_redis(&service, &server, VERDICTS);
    let second = learned(settings(&service, VERDICTS), VERDICTS);
    let requests = requests(BATCH, VERDICTS);
    let commands = || -> String { server.does(&["INFO", "commandstats"]) };

    let calls = |info: &str| {
        info.lines()
            .filter(|line| line.starts_with("cmdstat_evalsha"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = calls(&commands());
    let mut with = Vec::new();
    let mut control = Vec::new();
    for round in 0..3 * BATCHES {
        // Each is first, second and third as often as the others.
        let mut times = [0.0; 3];
        for turn in 0..3 {
            let which = (round + turn) % 3;
            let guard = [&first, &shared, &second][which];
            times[which] = time(&|| decide_all(guard, &requests));
        }
        with.push((times[0], times[1]));
        control.push((times[0], times[2]));
    }
    let (without, with) = median_pair(with);
    let (first_again, second_again) = median_pair(control);
    let allocations = [&first, &shared]
        .map(|guard| allocation_counter::measure(|| decide_all(guard, &requests)).count_total);
    assert_eq!(calls(&commands()), before, "nobody asked Redis");

    println!("cached verdicts                     {VERDICTS}");
    println!("cached decision without Redis       {without:7.1} ns (median round)");
    println!("cached decision with Redis          {with:7.1} ns");
    println!("with ÷ without                      {:7.3}", with / without);
    println!(
        "without ÷ without, another guard    {:7.3}",
        second_again / first_again
    );
    println!(
        "allocations in {BATCH} decisions      {:7} without, {} with",
        allocations[0], allocations[1]
    );
}

fn decide_all(guard: &Guard, requests: &[TwoHops]) {
    requests.iter().for_each(|request| decide(guard, request));
}
