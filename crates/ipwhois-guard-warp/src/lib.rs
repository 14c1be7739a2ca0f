#![doc = include_str!("../README.md")]

mod extract;
mod guard;
mod head;
mod in_flight;
mod logins;
mod rejection;
mod unread;

pub use extract::{AllowedIp, IpVerdict, allowed_ip, ip_verdict};
pub use guard::IpGuard;
pub use ipwhois_guard_tower::{
    AllowedClient, BuildError, Decision, Denial, DenialKind, FeedAction, FeedError, FeedUpdate,
    Guard, GuardBuilder, Guarded, Health, HealthStatus, IpGuardLayer, Mode, OnUnverified, Peer,
    PeerAddr, Problem, QueuedReport, ReportError, ReportRequest, Reputation, Rule, Settings,
    Source, Stats, ThreatType, Trip, Unverified, Verdict,
};
pub use logins::LoginAttempt;
pub use rejection::{GuardRejection, recover};
