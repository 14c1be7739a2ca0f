//! The store with real Redis servers.

mod cluster;
mod complaints;
mod endless;
mod outage;
mod promises;
mod proxy;
mod refusals;
mod sentinel;
mod server;
mod strange;
mod tls;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use ipwhois_guard_core::store::{
    AttemptId, AttemptLimits, BanRecord, BlockRequest, Count, Login, Scope, SharedVerdict,
};
use ipwhois_guard_core::{Reputation, ThreatType};

const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(25, 0, 0, 7));
const LONG: Duration = Duration::from_secs(3600);
const LIMITS: AttemptLimits = AttemptLimits {
    max_failures: 5,
    find_time: Duration::from_secs(600),
};

fn login(ip: IpAddr) -> Login {
    let (client, account) = (Scope::of(ip), None);
    Login { client, account }
}

fn attempt(n: u64) -> AttemptId {
    AttemptId(n.try_into().expect("a number above 0"))
}

fn ban(ip: IpAddr, left: Duration) -> [BanRecord; 1] {
    let (scope, age) = (Scope::of(ip), Duration::ZERO);
    [BanRecord { scope, age, left }]
}

fn lift(ip: IpAddr) -> [BanRecord; 1] {
    ban(ip, Duration::ZERO)
}

fn listed() -> SharedVerdict {
    SharedVerdict {
        reputation: Reputation {
            listed: true,
            confidence: 95,
            threat_type: Some(ThreatType::Scan),
        },
        verified: SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000),
    }
}

const DAY: u64 = 20_781;

fn block(checks: u32) -> BlockRequest {
    BlockRequest {
        day: DAY,
        limit: 500,
        checks,
        is_spending: true,
        known: Count::default(),
    }
}
