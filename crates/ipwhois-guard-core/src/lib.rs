#![doc = include_str!("../README.md")]

mod address;
mod api;
mod builder;
mod cache;
mod clock;
mod complaints;
mod decision;
mod denial;
mod error;
mod extract;
mod feed;
mod guard;
mod ip_set;
mod lookup;
mod request;
mod rules;
mod settings;
mod token;
mod verdict;
mod worker;

pub use address::Peer;
pub use builder::GuardBuilder;
pub use clock::{Clock, ManualClock, SystemClock};
pub use decision::Decision;
pub use denial::{Denial, DenialKind};
pub use error::{ApiError, BuildError, ReportError};
pub use extract::{AllowedClient, Guarded, SetupMistake};
pub use feed::FeedAction;
pub use guard::{Asking, Guard, Step};
pub use request::RequestHead;
pub use rules::{Mode, OnUnverified, Rule, UnknownChoice};
pub use settings::{ApiKey, Settings};
pub use verdict::{Reputation, Source, ThreatType, UnknownThreatType, Unverified, Verdict};
