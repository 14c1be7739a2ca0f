#![doc = include_str!("../README.md")]

mod extract;
mod future;
mod head;
mod middleware;
mod rejection;
mod respond;
mod service;

pub use extract::{AllowedIp, ExtractFuture, IpVerdict};
pub use future::ResponseFuture;
pub use ipwhois_guard_core::{
    AllowedClient, BuildError, Decision, Denial, DenialKind, FeedAction, FeedError, FeedUpdate,
    Guard, GuardBuilder, Guarded, Health, HealthStatus, LoginAttempt, Mode, OnUnverified, Peer,
    Problem, QueuedReport, ReportError, ReportRequest, Reputation, Rule, Settings, SetupMistake,
    Source, Stats, ThreatType, Trip, Unverified, Verdict,
};
pub use middleware::IpGuard;
pub use rejection::GuardRejection;
pub use respond::denial_response;
pub use service::GuardService;
