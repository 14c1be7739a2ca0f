//! What a decision costs: `cargo bench -p ipwhois-guard-core --bench decision`.
//!
//! Two figures that hold on any machine, since both sides run in alternation in one process: the
//! time of a cached decision as a multiple of a bare `DashMap` hit, and the number of heap
//! allocations. With `-- instructions`, and valgrind installed, also the number of instructions.

mod workload;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use dashmap::DashMap;
use ipwhois_guard_core::Guard;
use ipwhois_guard_testkit::StandIn;

use workload::{
    BATCH, BATCHES, COUNTED_VERDICTS, VERDICTS, clients, count_instructions, decide, learned,
    median_pair, requests, run_for_counting, settings, time,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("instructions") => {
            println!(
                "instructions a cached decision      {:7} (budget: 1000)",
                count_instructions(&[])
            );
            println!(
                "instructions an unbought check      {:7} (budget: 3000)",
                count_instructions(&["unbought"])
            );
        }
        Some("count") => {
            let decisions = arguments.get(1).and_then(|count| count.parse().ok());
            let service = StandIn::start().expect("a free port");
            let guard = match arguments.get(2) {
                Some(_) => short_of_checks(&service),
                None => learned(settings(&service, COUNTED_VERDICTS), COUNTED_VERDICTS),
            };
            run_for_counting(&guard, decisions.expect("a number of decisions"));
        }
        _ => time_and_allocations(),
    }
}

fn time_and_allocations() {
    let service = StandIn::start().expect("a free port");
    let guard = learned(settings(&service, VERDICTS), VERDICTS);
    let requests = requests(BATCH, VERDICTS);

    let bare: DashMap<IpAddr, u64> = clients(VERDICTS, VERDICTS).map(|ip| (ip, 0)).collect();
    let keys: Vec<IpAddr> = clients(BATCH, VERDICTS).collect();

    let hits = || {
        for key in &keys {
            black_box(bare.get(black_box(key)).map(|entry| *entry));
        }
    };
    let decisions = || requests.iter().for_each(|request| decide(&guard, request));

    let pairs = (0..BATCHES).map(|_| (time(&hits), time(&decisions)));
    let (hit, decision) = median_pair(pairs.collect());
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

/// A guard that has spent most of a small budget and knows none of the clients: a check is too dear
/// for all of them.
fn short_of_checks(service: &StandIn) -> Guard {
    let guard = settings(service, COUNTED_VERDICTS).daily_budget(50);
    let guard = guard.build().expect("the settings are right");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for n in 0..40 {
            guard
                .check(Ipv4Addr::from_bits(0x2000_0001 + (n << 8)).into())
                .await;
        }
    });
    guard
}
