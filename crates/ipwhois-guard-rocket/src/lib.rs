#![doc = include_str!("../README.md")]

mod answer;
mod fairing;
mod head;
mod memory;
mod rejection;
mod request_guards;
mod settings;
mod unread;
mod wiring;

pub use answer::denial_response;
pub use fairing::IpGuard;
pub use ipwhois_guard_core::{
    AllowedClient, BuildError, Decision, Denial, DenialKind, FeedAction, FeedError, FeedUpdate,
    Guard, GuardBuilder, Health, HealthStatus, LoginAttempt, Mode, OnUnverified, Problem,
    QueuedReport, ReportError, ReportRequest, Reputation, Rule, Settings, Source, Stats,
    ThreatType, Trip, Unverified, Verdict,
};
pub use memory::{denial, original_uri};
pub use rejection::GuardRejection;
pub use request_guards::{AllowedIp, IpVerdict};
pub use settings::{ConfigError, settings};
