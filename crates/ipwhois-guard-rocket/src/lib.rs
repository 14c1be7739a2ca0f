#![doc = include_str!("../README.md")]

mod answer;
mod fairing;
mod head;
mod memory;
mod rejection;
mod request_guards;
mod settings;
mod status;
mod unread;
mod wiring;

pub use answer::denial_response;
pub use fairing::IpGuard;
pub use ipwhois_guard_core::{
    AllowedClient, BanEntry, BuildError, Decision, Denial, DenialKind, Explanation, FeedAction,
    FeedError, FeedUpdate, Guard, GuardBuilder, Health, HealthStatus, LoginAttempt, Mode,
    OnUnverified, Problem, QueuedReport, Refusal, ReportError, ReportRequest, Reputation, Rule,
    Settings, Source, Stats, StatusData, ThreatType, Trip, Unverified, Verdict,
};
pub use memory::{denial, original_uri};
pub use rejection::GuardRejection;
pub use request_guards::{AllowedIp, IpVerdict};
pub use settings::{ConfigError, settings};
pub use status::status_page;
