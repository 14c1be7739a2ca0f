#![doc = include_str!("../README.md")]

mod extract;
mod guard;
mod head;
mod in_flight;
mod logins;
mod rejection;
mod status;
mod unread;

pub use extract::{AllowedIp, IpVerdict, allowed_ip, ip_verdict};
pub use guard::IpGuard;
pub use ipwhois_guard_tower::{
    AllowedClient, BanEntry, BuildError, Decision, Denial, DenialKind, Explanation, FeedAction,
    FeedError, FeedUpdate, Guard, GuardBuilder, Guarded, Health, HealthStatus, IpGuardLayer, Mode,
    OnUnverified, Peer, PeerAddr, Problem, QueuedReport, Refusal, ReportError, ReportRequest,
    Reputation, Rule, Settings, Source, Stats, StatusData, ThreatType, Trip, Unverified, Verdict,
};
pub use logins::LoginAttempt;
pub use rejection::{GuardRejection, recover};
pub use status::status_page;
