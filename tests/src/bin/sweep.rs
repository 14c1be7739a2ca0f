//! Runs the example app's rules against a whole blacklist, over real sockets:
//!
//! `cargo run --release -p conformance --bin sweep -- FEED [CONFIDENCE]`
//!
//! The stand-in service lists every address of the feed file at the confidence (95 by default).
//! Each of them, and as many that are not listed, asks for `/admin` through a trusted proxy's
//! `X-Forwarded-For`; twice, so that the second round comes from memory. Ends with 1 when an answer
//! or the number of checks is not as it should be.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::Duration;

use conformance::bench::Setup;
use conformance::drivers;

fn main() -> ExitCode {
    match sweep() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sweep: {error}");
            ExitCode::FAILURE
        }
    }
}

fn sweep() -> Result<bool, String> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: sweep FEED [CONFIDENCE]")?;
    let confidence = match arguments.next() {
        Some(text) => text
            .parse()
            .map_err(|_| format!("`{text}` is no confidence from 0 to 100"))?,
        None => 95,
    };
    let feed = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let listed: Vec<IpAddr> = feed
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect();
    let known: HashSet<&IpAddr> = listed.iter().collect();
    let clean: Vec<IpAddr> = (0..)
        .map(|n| IpAddr::V4(Ipv4Addr::from_bits(0x1a00_0001 + n)))
        .filter(|ip| !known.contains(ip))
        .take(listed.len())
        .collect();

    let setup = Setup::new().guard(|guard| {
        // So much that the pace of the day never holds a check back.
        let guard = guard.daily_budget(u32::MAX);
        guard.max_wait(Duration::from_secs(30))
    });
    let bench = setup.serve::<drivers::Axum>();
    bench.service.list_feed(&feed, confidence);
    let refused = if confidence >= 90 { 403 } else { 200 };
    let mut right = true;
    for round in ["first", "second"] {
        for (what, clients, expected) in [("listed", &listed, refused), ("clean", &clean, 200)] {
            let answers = clients.iter().map(|ip| bench.status_of(&ip.to_string()));
            let count = answers.filter(|status| *status == expected).count();
            println!(
                "{round} round: {count} of {} {what} clients answered {expected}",
                clients.len()
            );
            right &= count == clients.len();
        }
    }
    let each_once = listed
        .iter()
        .chain(&clean)
        .all(|ip| bench.service.checks_of(*ip) == 1);
    println!(
        "checks: {}, each address exactly once: {each_once}",
        bench.service.check_count()
    );
    Ok(right && each_once)
}
