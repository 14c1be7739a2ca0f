//! What a decision costs: `cargo bench -p ipwhois-guard-core --bench decision`.
//!
//! Figures that hold on any machine: the time of a cached decision as a multiple of a bare `DashMap`
//! hit, since both run in alternation in one process, and the heap allocations of a cached decision
//! and of one whose check is too dear. With `-- instructions`, and valgrind installed, the number of
//! instructions of both instead. It fails when a limit is missed, but for the time.

mod workload;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use dashmap::DashMap;
use ipwhois_guard_core::Guard;
use ipwhois_guard_testkit::StandIn;

use workload::{
    BATCH, BATCHES, COUNTED_VERDICTS, VERDICTS, clients, count_instructions, decide, learned,
    median_pair, requests, run_for_counting, settings, time,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("instructions") => instructions(),
        Some("count") => {
            let decisions = arguments.get(1).and_then(|count| count.parse().ok());
            let service = StandIn::start().expect("a free port");
            let guard = match arguments.get(2) {
                Some(_) => short_of_checks(&service),
                None => learned(settings(&service, COUNTED_VERDICTS), COUNTED_VERDICTS),
            };
            run_for_counting(&guard, decisions.expect("a number of decisions"));
            ExitCode::SUCCESS
        }
        _ => time_and_allocations(),
    }
}

fn instructions() -> ExitCode {
    let [cached, unbought] = [&[][..], &["unbought"]].map(count_instructions);
    match (cached, unbought) {
        (Some(cached), Some(unbought)) => {
            let are_within = [
                is_within("instructions of a cached decision", cached, 1_000),
                is_within("instructions where a check is too dear", unbought, 3_000),
            ];
            exit_code(&are_within)
        }
        _ => {
            eprintln!(
                "decision: valgrind is not installed (Debian: apt-get install valgrind), so no \
                 instructions are counted"
            );
            ExitCode::FAILURE
        }
    }
}

/// Prints a figure with its limit.
fn is_within(what: &str, figure: u64, limit: u64) -> bool {
    println!("{what:<40} {figure:7} (limit: {limit})");
    figure <= limit
}

fn exit_code(are_within: &[bool]) -> ExitCode {
    match are_within.iter().all(|&is_within| is_within) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn time_and_allocations() -> ExitCode {
    let service = StandIn::start().expect("a free port");
    let guard = learned(settings(&service, VERDICTS), VERDICTS);
    let of_strangers = requests(COUNTED_VERDICTS, COUNTED_VERDICTS);
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
    let poor = short_of_checks(&service);
    let strangers = || {
        of_strangers
            .iter()
            .for_each(|request| decide(&poor, request))
    };
    let unbought = allocation_counter::measure(strangers);
    exit_code(&[
        is_within(
            "allocations of cached decisions",
            allocations.count_total,
            0,
        ),
        is_within(
            "allocations where checks are too dear",
            unbought.count_total,
            0,
        ),
    ])
}

/// A guard that has spent most of a small budget, and has met all clients once: a check is too dear
/// for nearly all of them.
fn short_of_checks(service: &StandIn) -> Guard {
    let guard = settings(service, COUNTED_VERDICTS).daily_budget(50);
    let guard = guard.build().expect("the settings are right");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for n in 0..40 {
            let client = Ipv4Addr::from_bits(0x2000_0001 + (n << 8));
            guard.check(client.into()).await;
        }
        for request in &requests(COUNTED_VERDICTS, COUNTED_VERDICTS) {
            guard.decide(request).decision().await;
        }
    });
    guard
}
