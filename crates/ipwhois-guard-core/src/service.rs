//! Who is asked about addresses.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use crate::error::ApiError;
use crate::verdict::Reputation;

/// The answer to a check, on its way.
pub type CheckFuture<'a> = Pin<Box<dyn Future<Output = Result<CheckReply, ApiError>> + Send + 'a>>;

/// The answer to a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReply {
    /// What is known of the address.
    pub reputation: Reputation,
    /// How many checks are left, when the answer says so.
    pub quota: Option<Quota>,
}

/// What a service says of its own limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many checks it will still answer.
    pub left: u32,
    /// In how long it counts anew; `None` when it does not say.
    pub resets_in: Option<Duration>,
}

impl From<Reputation> for CheckReply {
    fn from(reputation: Reputation) -> Self {
        Self {
            reputation,
            quota: None,
        }
    }
}

impl CheckReply {
    /// The same answer with what the service says of its limit.
    #[must_use]
    pub fn with_quota(mut self, quota: Option<Quota>) -> Self {
        self.quota = quota;
        self
    }
}

/// Somebody who knows addresses, at the price of a check: the service, or what stands in for it
/// ([`GuardBuilder::service`](crate::GuardBuilder::service)).
pub trait CheckService: fmt::Debug + Send + Sync + 'static {
    /// What is known of an address. Polled on the guard's own thread, so it must not block.
    fn check(&self, ip: IpAddr) -> CheckFuture<'_>;
}
