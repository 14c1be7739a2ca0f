//! What nearly all clients have in common, where that is the mark of a wrong set-up: a proxy that
//! `trusted_proxies` does not name, or a server that does not say which address is connected.
//!
//! A state machine without a clock. It sees a sample of the guarded requests and keeps one
//! [`Share`] for each fault:
//!
//! 1. A request with the fault is a point, one without it takes [`AGAINST`] away. So a share
//!    collects points only while at least four requests of five have the fault.
//! 2. At [`ENOUGH`] points it is raised, and dropped at half of them: what is borderline does not
//!    flicker.
//! 3. Points alone say little: a crawler, a health check or a developer can be alone with a quiet
//!    site. What else must speak for the fault stands in [`Crowd::see`].
//! 4. A trusted proxy's own health check has no forwarding header and few paths. Such requests
//!    count neither for nor against anything.

use std::net::IpAddr;
use std::time::Duration;

use super::heavy::HeavyHitters;
use crate::address::is_public;
use crate::verdict::Unverified;

const AGAINST: u32 = 4;
const ENOUGH: u32 = 100;
/// More points than this do not help, so that a mistake that was mended is forgotten soon.
const MOST: u32 = 2 * ENOUGH;

/// A scanner that writes forwarding headers of its own is gone after this time. A proxy is not.
const LONGER_THAN_A_SCAN: Duration = Duration::from_secs(60 * 60);

/// More than one visitor makes, and than a developer does.
const MANY_REQUESTS: u32 = 300;
/// More than a health check asks for.
const MANY_PATHS: u32 = 8;
/// A scanner usually names the same made-up client each time.
const SEVERAL_CLIENTS: u32 = 2;

/// An address with less than this part of the faulty requests is not named.
const PART: u32 = 20;

/// At this many requests all counts are halved, so that what is over is forgotten.
const FULL: u32 = 1_024;

/// As whom a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Client(IpAddr),
    /// A client that the application's own lists name.
    Listed(IpAddr),
    /// The address cannot be determined.
    Unknown(Unverified),
}

/// What else a request shows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trace {
    /// The client is the peer, and the request says that it was forwarded.
    pub(crate) forwarded: bool,
    /// The address to the left of the client in the header's list.
    pub(crate) behind: Option<IpAddr>,
    /// Tells one path from another, more often than not.
    pub(crate) path: u8,
}

/// The addresses in question for each fault that is raised, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Suspicions {
    /// Clients cannot be determined.
    pub(crate) unknown: Option<Unverified>,
    /// Peers that forward, and whose header is not read.
    pub(crate) forwarders: Option<Vec<IpAddr>>,
    /// Clients to whose left the list goes on.
    pub(crate) middlemen: Option<Vec<IpAddr>>,
    /// Clients without a public address.
    pub(crate) not_public: Option<Vec<IpAddr>>,
}

#[derive(Debug, Default)]
pub(crate) struct Crowd {
    unknown: Share,
    reason: Option<Unverified>,
    forwarders: Share,
    middlemen: Share,
    not_public: Share,
    /// The paths of requests from a trusted proxy without any forwarding header.
    silent: Kinds,
}

impl Crowd {
    pub(crate) fn see(&mut self, who: Seen, now: Duration, trace: Trace) {
        let client = match who {
            Seen::Client(client) | Seen::Listed(client) => Some(client),
            Seen::Unknown(reason) => {
                if reason == Unverified::NoHeader {
                    self.silent.note(trace.path);
                    if self.silent.count() < MANY_PATHS {
                        return;
                    }
                }
                self.reason = Some(reason);
                None
            }
        };
        let is_client = client.is_some();
        let is_unlisted = matches!(who, Seen::Client(_));
        let is_elsewhere = |ip: IpAddr| !is_public(ip) && !ip.is_loopback();
        let behind = trace.behind.filter(|&behind| is_public(behind));
        let request = |kind| Request { client, kind, now };
        let path = request(trace.path);
        self.unknown.see((!is_client).then_some(path), |_| true);
        let forwards = is_client && trace.forwarded;
        self.forwarders.see(forwards.then_some(path), |share| {
            let is_private = share.public * 10 < share.requests;
            // Anybody can write such headers, but not for ever.
            is_private || now.saturating_sub(share.since) >= LONGER_THAN_A_SCAN
        });
        let middleman = behind.filter(|_| is_client).map(kind_of).map(request);
        self.middlemen.see(middleman, |share| {
            let is_much = share.requests >= MANY_REQUESTS || share.named().nth(1).is_some();
            is_much && share.kinds.count() >= SEVERAL_CLIENTS
        });
        let is_not_public = is_unlisted && client.is_some_and(is_elsewhere);
        self.not_public.see(is_not_public.then_some(path), |share| {
            share.requests >= MANY_REQUESTS && share.kinds.count() >= MANY_PATHS
        });
    }

    pub(crate) fn suspicions(&self) -> Suspicions {
        Suspicions {
            unknown: self.reason.filter(|_| self.unknown.is_raised),
            forwarders: self.forwarders.suspects(),
            middlemen: self.middlemen.suspects(),
            not_public: self.not_public.suspects(),
        }
    }

    /// Whether this client is one of those in question. `forwards`: its request says that another
    /// client stands behind it.
    pub(crate) fn suspects(&self, client: IpAddr, forwards: bool) -> bool {
        let names = |share: &Share| {
            share.is_raised && (forwards || share.named().any(|named| named == client))
        };
        let is_elsewhere = !is_public(client) && !client.is_loopback();
        names(&self.forwarders)
            || names(&self.middlemen)
            || self.not_public.is_raised && is_elsewhere
    }

    /// Whether any client may be suspected.
    pub(crate) const fn is_suspicious(&self) -> bool {
        self.forwarders.is_raised || self.middlemen.is_raised || self.not_public.is_raised
    }
}

/// A request with the fault.
#[derive(Clone, Copy)]
struct Request {
    client: Option<IpAddr>,
    /// Its path, or what else tells requests apart.
    kind: u8,
    now: Duration,
}

/// The part of the requests that have a fault.
#[derive(Debug, Default)]
struct Share {
    points: u32,
    requests: u32,
    /// Those of them with a public client.
    public: u32,
    since: Duration,
    clients: HeavyHitters,
    kinds: Kinds,
    is_raised: bool,
}

impl Share {
    /// A request with the fault, or `None` for one without it.
    fn see(&mut self, request: Option<Request>, is_convincing: impl FnOnce(&Self) -> bool) {
        let Some(Request { client, kind, now }) = request else {
            if self.points > AGAINST {
                self.points -= AGAINST;
                self.is_raised &= self.points >= ENOUGH / 2;
            } else if self.points > 0 {
                *self = Self::default();
            }
            return;
        };
        if self.requests == 0 {
            self.since = now;
        }
        if self.requests >= FULL {
            self.requests /= 2;
            self.public /= 2;
            self.clients.halve();
        }
        self.points = (self.points + 1).min(MOST);
        self.requests += 1;
        self.kinds.note(kind);
        if let Some(client) = client {
            self.public += u32::from(is_public(client));
            self.clients.note(client, now);
        }
        self.is_raised |= self.points >= ENOUGH && is_convincing(self);
    }

    /// The clients that have each made their part of these requests.
    fn named(&self) -> impl Iterator<Item = IpAddr> {
        let part = self.requests.div_ceil(PART);
        self.clients.at_least(part).map(|(client, _)| client)
    }

    fn suspects(&self) -> Option<Vec<IpAddr>> {
        self.is_raised.then(|| {
            let mut suspects: Vec<_> = self.named().collect();
            // One address among many that come seldom is not all of them.
            if suspects.len() == 1 && self.clients.at_least(self.requests / 2).next().is_none() {
                suspects.clear();
            }
            suspects.sort();
            suspects
        })
    }
}

/// How many different things there are, of 64 that can be told apart. What has not come for a while
/// is forgotten.
#[derive(Debug, Default)]
struct Kinds {
    noted: u32,
    now: u64,
    before: u64,
}

impl Kinds {
    fn note(&mut self, kind: u8) {
        self.noted += 1;
        if self.noted >= FULL {
            *self = Self {
                before: self.now,
                ..Self::default()
            };
        }
        self.now |= 1 << (kind % 64);
    }

    const fn count(&self) -> u32 {
        (self.now | self.before).count_ones()
    }
}

fn kind_of(address: IpAddr) -> u8 {
    let bytes = match address {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    kind(bytes.into_iter())
}

/// Tells one text from another, more often than not.
pub(crate) fn kind(bytes: impl Iterator<Item = u8>) -> u8 {
    bytes.fold(0, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte))
}

#[cfg(test)]
mod tests;
