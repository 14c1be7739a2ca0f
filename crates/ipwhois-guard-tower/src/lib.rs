#![doc = include_str!("../README.md")]

mod context;
mod future;
mod head;
mod layer;
mod respond;
mod service;
mod unread;

pub use context::{ExtensionContext, PeerAddr, RequestContext};
pub use future::ResponseFuture;
pub use head::HttpHead;
pub use ipwhois_guard_core::{
    AllowedClient, BanEntry, BuildError, Decision, Denial, DenialKind, Explanation, FeedAction,
    FeedError, FeedUpdate, Guard, GuardBuilder, Guarded, Health, HealthStatus, LoginAttempt, Mode,
    OnUnverified, PageAnswer, Peer, Problem, QueuedReport, Refusal, ReportError, ReportRequest,
    Reputation, Rule, Settings, SetupMistake, Source, Stats, StatusData, StatusPage, ThreatType,
    Trip, Unverified, Verdict,
};
pub use layer::{GuardLayer, IpGuardLayer};
pub use respond::{PlainDenial, Respond, denial_response, page_response};
pub use service::GuardService;
pub use unread::{Lent, Unread, discard};
