//! Who is asked about addresses.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;

use crate::error::ApiError;
use crate::verdict::Reputation;

/// The answer to a check, on its way.
pub type CheckFuture<'a> = Pin<Box<dyn Future<Output = Result<Reputation, ApiError>> + Send + 'a>>;

/// Somebody who knows addresses, at the price of a check: the service, or what stands in for it
/// ([`GuardBuilder::service`](crate::GuardBuilder::service)).
pub trait CheckService: fmt::Debug + Send + Sync + 'static {
    /// What is known of an address. Polled on the guard's own thread, so it must not block.
    fn check(&self, ip: IpAddr) -> CheckFuture<'_>;
}
