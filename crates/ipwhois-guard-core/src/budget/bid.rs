//! What is offered for a check, and what comes of it.

use std::net::IpAddr;

use super::origin::Origin;
use super::rations::Paid;
use crate::evidence::Signs;

/// What a check is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// A feed hit, or the application asks. Clients cannot bring these about.
    Explicit,
    /// A request of a client with a stale verdict.
    Refresh(IpAddr),
    /// A request of a client without a verdict.
    Request(Bid),
}

/// What a client without a verdict offers with one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bid {
    pub(super) origin: Origin,
    pub(crate) signs: Signs,
    /// Its recent requests, this one included.
    pub(crate) requests: f32,
    /// That it is listed.
    pub(crate) probability: f64,
    /// The requests that a check bought now is expected to deny.
    pub(crate) score: f64,
}

/// Why a check may not be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The service said that nothing is left until a moment of today.
    Exhausted,
    /// The day's checks are spent, but for those that are kept for others.
    Spent,
    /// The price is above the score, or too high for a refresh.
    Price,
    /// Its network has had its ration.
    Rationed,
}

impl Refusal {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "the service's limit is used up",
            Self::Spent => "the day is spent",
            Self::Price => "too dear",
            Self::Rationed => "its network has had its ration",
        }
    }
}

/// A check that was taken. Give it back with [`refund`](super::Budget::refund) if it is not sent.
/// Otherwise tell [`found`](super::Budget::found) what it found, or drop it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Spend {
    pub(super) day: u64,
    pub(super) number: u64,
    /// What bought it.
    pub(super) bid: Option<Bid>,
    /// Which ration paid.
    pub(super) paid: Option<(Origin, Paid)>,
    pub(super) is_explicit: bool,
}

/// The last bid for a check, with the price and what came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Explained {
    pub(crate) bid: Bid,
    pub(crate) price: f64,
    pub(crate) outcome: &'static str,
}
