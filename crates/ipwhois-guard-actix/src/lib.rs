#![doc = include_str!("../README.md")]

mod extract;
mod future;
mod head;
mod middleware;
mod rejection;
mod respond;
mod service;
mod status;

pub use extract::{AllowedIp, ExtractFuture, IpVerdict};
pub use future::ResponseFuture;
pub use ipwhois_guard_core::{
    AllowedClient, BanEntry, BuildError, Decision, Denial, DenialKind, Explanation, FeedAction,
    FeedError, FeedUpdate, Guard, GuardBuilder, Guarded, Health, HealthStatus, LoginAttempt, Mode,
    OnUnverified, PageAnswer, Peer, Problem, QueuedReport, Refusal, ReportError, ReportRequest,
    Reputation, Rule, Settings, SetupMistake, Source, Stats, StatusData, StatusPage, ThreatType,
    Trip, Unverified, Verdict,
};
pub use middleware::IpGuard;
pub use rejection::GuardRejection;
pub use respond::denial_response;
pub use service::GuardService;
pub use status::status_page;
