#![doc = include_str!("../README.md")]

#[macro_use]
mod events;

mod address;
mod alarm;
mod all_settings;
mod api;
mod budget;
mod builder;
mod cache;
mod clock;
mod decision;
mod denial;
mod error;
mod evidence;
mod extract;
mod feed;
mod guard;
mod ip_set;
mod logins;
mod lookup;
mod observe;
mod pause;
mod report_request;
mod reports;
mod request;
mod rules;
mod service;
mod settings;
mod shown;
mod spread;
mod state;
mod stats;
pub mod store;
#[cfg(test)]
mod testing;
mod token;
mod verdict;
mod warnings;
mod worker;

pub use address::Peer;
pub use builder::GuardBuilder;
pub use clock::{Clock, ManualClock, SystemClock};
pub use decision::Decision;
pub use denial::{Denial, DenialKind};
pub use error::{ApiError, BuildError, ReportError};
pub use evidence::built_in_probe_paths;
pub use extract::{AllowedClient, Guarded, Looking, SetupMistake};
pub use feed::{BadLine, Feed, FeedAction, FeedError, FeedUpdate};
pub use guard::{Asking, Explanation, Guard, Step};
pub use logins::{BanScope, LoginAttempt, Trip};
pub use observe::{Health, HealthStatus, Problem};
pub use report_request::{QueuedReport, ReportRequest};
pub use request::RequestHead;
pub use rules::{Mode, OnUnverified, Rule, UnknownChoice};
pub use service::{CheckFuture, CheckReply, CheckService, Quota};
pub use settings::{ApiKey, SecretUrl, Settings};
pub use stats::Stats;
pub use verdict::{Reputation, Source, ThreatType, UnknownThreatType, Unverified, Verdict};
