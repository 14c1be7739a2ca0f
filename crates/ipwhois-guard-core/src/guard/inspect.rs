//! What a guard tells of itself.

use std::net::IpAddr;

use super::Guard;
use crate::observe::Health;
use crate::stats::Stats;

impl Guard {
    /// Why the last client without a verdict was checked or not, if it was this one. Each decision
    /// is explained once, so ask right after it: for replays and tests.
    #[must_use]
    pub fn last_bid(&self, ip: IpAddr) -> Option<Bid> {
        let last = self.0.budget.explain(ip.to_canonical())?;
        Some(Bid {
            signs: last.bid.signs.to_string(),
            requests: last.bid.requests,
            probability: last.bid.probability,
            score: last.bid.score,
            price: last.price,
            outcome: last.outcome,
        })
    }

    /// The guard's figures.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.here().0.observer.stats()
    }

    /// Whether the guard works, and what is silently wrong: a proxy that nobody configured, a key
    /// that is refused, a feed that is old. The guard's thread logs each problem when it comes and
    /// when it goes.
    ///
    /// Waits for no I/O, and makes no call. A degraded guard is no reason to take the site out of
    /// rotation, so whoever serves this over HTTP answers 200 in both cases.
    ///
    /// ```
    /// # fn example(guard: &ipwhois_guard_core::Guard) {
    /// for problem in guard.health().problems {
    ///     eprintln!("{}: {problem}", problem.code());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn health(&self) -> Health {
        self.here().0.observer.health()
    }

    /// The name, in lower case, of the only header that is read for the client's address. Adapters
    /// whose framework finds a header quicker by a name that is parsed already keep it.
    #[must_use]
    pub fn client_ip_header(&self) -> &str {
        self.0.resolver.header()
    }

    /// Gives the current metrics to the recorder of the `metrics` crate that is installed, or that
    /// is local to this thread. The guard's thread does it once a second; whoever serves metrics
    /// calls it before rendering them, so that what is read is the present.
    pub fn publish_metrics(&self) {
        self.here().0.observer.publish();
    }
}

/// Why a client was checked or not: [`Guard::last_bid`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bid {
    /// What the client shows, by name, separated by spaces; `none`.
    pub signs: String,
    /// Its recent requests, this one included. Half of them are forgotten after an hour.
    pub requests: f32,
    /// The probability that it is listed, by its signs: 0 to 1.
    pub probability: f64,
    /// The requests that a check bought now is expected to deny.
    pub score: f64,
    /// The score from which a client was checked at that moment.
    pub price: f64,
    /// `checked`, or why not.
    pub outcome: &'static str,
}
