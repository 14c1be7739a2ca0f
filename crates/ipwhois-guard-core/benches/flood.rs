//! What a flood of strangers does to memory:
//! `cargo bench -p ipwhois-guard-core --bench flood [-- ADDRESSES]`.
//!
//! Two million different addresses (or as many as the argument says), every second one IPv6 of its
//! own /64, go through a guard of the default capacity, each by a call to the stand-in service over
//! a real socket. Ends with a panic when the cache passes its capacity or a listed verdict is lost.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipwhois_guard_core::{Guard, Source};
use ipwhois_guard_testkit::StandIn;
use tokio::task::JoinSet;

const LISTED: u32 = 1_000;
const REPORTS: u32 = 10;

fn listed(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x1900_0000 + n).into()
}

fn stranger(n: u32) -> IpAddr {
    if n.is_multiple_of(2) {
        Ipv4Addr::from_bits(0x1a00_0000 + n).into()
    } else {
        Ipv6Addr::from_bits(0x3ffe << 112 | u128::from(n) << 64 | 1).into()
    }
}

/// This process's resident memory in KiB, where the system tells.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn main() {
    let addresses: u32 = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(2_000_000);
    let service = StandIn::start().expect("a free port");
    for n in 0..LISTED {
        service.list(listed(n), 95);
    }
    let guard = Guard::builder()
        .api_url(service.url())
        .daily_budget(u32::MAX)
        .max_wait(Duration::from_secs(30))
        .api_timeout(Duration::from_secs(30))
        .build()
        .expect("the settings are right");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        check_all(&guard, (0..LISTED).map(listed)).await;
        println!("addresses    cached    resident KiB");
        for report in 0..REPORTS {
            let part = addresses / REPORTS;
            check_all(&guard, (report * part..(report + 1) * part).map(stranger)).await;
            assert!(guard.cache_entries() <= 100_000);
            service.forget();
            println!(
                "{:9} {:9} {:15}",
                (report + 1) * part,
                guard.cache_entries(),
                resident()
            );
        }
        let mut kept = 0;
        for n in 0..LISTED {
            let verdict = guard.check(listed(n)).await;
            kept += u32::from(verdict.source() == Source::Cache && !verdict.is_allowed());
        }
        println!("listed verdicts kept: {kept} of {LISTED}");
        assert_eq!(kept, LISTED);
    });
}

async fn check_all(guard: &Guard, addresses: impl Iterator<Item = IpAddr>) {
    let mut checks = JoinSet::new();
    for ip in addresses {
        let guard = guard.clone();
        checks.spawn(async move { guard.check(ip).await });
        if checks.len() >= 256 {
            checks.join_next().await;
        }
    }
    for verdict in checks.join_all().await {
        assert_eq!(verdict.source(), Source::Api);
    }
}
