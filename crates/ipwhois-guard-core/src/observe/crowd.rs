//! Whether all clients look like one: a proxy that nobody configured, or a server that does not say who is connected.
//! Several proxies are for [`Forwarders`].
//!
//! A state machine without a clock. It sees a sample of the guarded requests and keeps one suspect:
//!
//! 1. A request of the suspect is a point for it, one of anybody else takes [`AGAINST`] away. Who has none left is replaced by
//!    the next that comes. So only who makes four requests of five or more collects points.
//! 2. At [`ENOUGH`] points the suspicion is raised, and it is dropped at half of them: what is borderline does not flicker.
//! 3. Points alone say little: a crawler, a health checker or a developer can be alone with a quiet site. What else must speak
//!    for a proxy is in [`Suspect::is_convincing`].

use std::cell::LazyCell;
use std::net::IpAddr;
use std::time::Duration;

use super::forwarders::Forwarders;
use crate::address::is_public;
use crate::verdict::Unverified;

pub(super) const AGAINST: u32 = 4;
pub(super) const ENOUGH: u32 = 100;
/// More points than this do not help, so that a mistake that was mended is forgotten soon.
pub(super) const MOST: u32 = 2 * ENOUGH;

/// A scanner that writes forwarding headers of its own is gone after this time. A proxy is not.
const LONGER_THAN_A_SCAN: Duration = Duration::from_secs(60 * 60);

/// Behind an address that forwards without saying so (a NAT, a proxy on TCP) there are many visitors. A health checker has
/// few paths, and a developer makes fewer requests.
const MANY_REQUESTS: u32 = 300;
const MANY_PATHS: u32 = 8;

/// As whom a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Client(IpAddr),
    /// Nobody knows whose it is.
    Nobody(Unverified),
}

/// What a request tells besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace {
    /// The client is the peer, and the request says that it was forwarded.
    pub(crate) forwarded: bool,
    /// Tells one path from another, more often than not.
    pub(crate) path: u8,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// All clients have this address.
    OneClient { client: IpAddr, forwards: bool },
    /// All clients have one of these addresses, which forward.
    Forwarders(Vec<IpAddr>),
    /// Nobody knows whose the requests are.
    Nobody(Unverified),
}

#[derive(Debug, Default)]
pub(crate) struct Crowd {
    suspect: Option<Suspect>,
    forwarders: Forwarders,
}

#[derive(Debug)]
struct Suspect {
    who: Seen,
    since: Duration,
    points: u32,
    requests: u32,
    forwarded: u32,
    /// One bit for each of 64 kinds of paths.
    paths: u64,
    is_raised: bool,
}

impl Crowd {
    /// Takes note of a request. Its trace is asked for only if it matters.
    pub(crate) fn see(&mut self, who: Seen, now: Duration, trace: impl FnOnce() -> Trace) {
        let trace = LazyCell::new(trace);
        self.forwarders.see(match who {
            Seen::Client(client) if !is_public(client) && trace.forwarded => Some(client),
            _ => None,
        });
        match &mut self.suspect {
            Some(suspect) if suspect.who == who => suspect.add(*trace, now),
            Some(suspect) if suspect.points > AGAINST => suspect.points -= AGAINST,
            suspect => {
                let suspect = suspect.insert(Suspect {
                    who,
                    since: now,
                    points: 0,
                    requests: 0,
                    forwarded: 0,
                    paths: 0,
                    is_raised: false,
                });
                suspect.add(*trace, now);
            }
        }
        if let Some(suspect) = &mut self.suspect
            && suspect.points < ENOUGH / 2
        {
            suspect.is_raised = false;
        }
    }

    pub(crate) fn suspicion(&self) -> Option<Suspicion> {
        // One of several may have enough of the traffic to be suspected alone. Mended are all of them.
        if let Some(suspects) = self.forwarders.suspects() {
            return Some(Suspicion::Forwarders(suspects));
        }
        let suspect = self.suspect.as_ref().filter(|suspect| suspect.is_raised)?;
        Some(match suspect.who {
            Seen::Client(client) => Suspicion::OneClient {
                client,
                forwards: suspect.forwards(),
            },
            Seen::Nobody(reason) => Suspicion::Nobody(reason),
        })
    }
}

impl Suspect {
    fn add(&mut self, trace: Trace, now: Duration) {
        self.points = (self.points + 1).min(MOST);
        self.requests = self.requests.saturating_add(1);
        self.forwarded = self.forwarded.saturating_add(u32::from(trace.forwarded));
        self.paths |= 1 << (trace.path % 64);
        if self.points >= ENOUGH && self.is_convincing(now) {
            self.is_raised = true;
        }
    }

    /// Nine requests of ten say so.
    fn forwards(&self) -> bool {
        u64::from(self.forwarded) * 10 >= u64::from(self.requests) * 9
    }

    fn is_convincing(&self, now: Duration) -> bool {
        let Seen::Client(client) = self.who else {
            return true;
        };
        match (is_public(client), self.forwards()) {
            // Anybody can write such headers, but not for ever.
            (true, true) => now.saturating_sub(self.since) >= LONGER_THAN_A_SCAN,
            // A visitor who is alone with the site.
            (true, false) => false,
            (false, true) => true,
            // A developer's own machine.
            (false, false) if client.is_loopback() => false,
            (false, false) => {
                self.requests >= MANY_REQUESTS && self.paths.count_ones() >= MANY_PATHS
            }
        }
    }
}

#[cfg(test)]
mod tests;
