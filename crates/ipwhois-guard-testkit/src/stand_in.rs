//! The handle that tests hold.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::behaviour::{Behaviour, Behaviours, Endpoint};
use crate::blacklist::{self, Listing};
use crate::record::{Check, Report};
use crate::server::{Order, Server};
use crate::state::{Known, State};

/// What a listed address is said to do, unless told otherwise.
const THREAT_TYPE: &str = "scan";

/// A stand-in for the blacklist service, listening on a loopback port.
///
/// It runs on a thread of its own, so it can be used from plain tests and from every async runtime.
/// A clone is a handle to the same service. When the last one is dropped the thread ends and every
/// connection is closed.
///
/// Wherever an address is given or compared, an IPv4-mapped IPv6 address means the IPv4 address
/// inside it.
#[derive(Clone)]
pub struct StandIn {
    state: Arc<State>,
    server: Arc<Server>,
}

impl StandIn {
    /// Starts the service on a free port of 127.0.0.1. It knows no address yet and answers as it
    /// should.
    ///
    /// # Errors
    ///
    /// When the socket cannot be opened or the thread cannot be started.
    pub fn start() -> io::Result<Self> {
        Self::start_on(0)
    }

    /// Starts the service on this port of 127.0.0.1; 0 takes a free one.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and when the port is taken.
    pub fn start_on(port: u16) -> io::Result<Self> {
        let state = Arc::new(State::new());
        let server = Arc::new(Server::start(port, Arc::clone(&state))?);
        Ok(Self { state, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The base URL, `http://127.0.0.1:PORT/api`: checks are at `/check?ip=…` below it, reports at
    /// `/report`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/api", self.addr())
    }

    /// The feed's URL, `http://127.0.0.1:PORT/feed.txt`.
    #[must_use]
    pub fn feed_url(&self) -> String {
        format!("http://{}/feed.txt", self.addr())
    }
}

/// What it knows.
impl StandIn {
    /// Lists an address for scanning. The confidence is sent as it is; the service's own are 0 to
    /// 100.
    pub fn list(&self, ip: IpAddr, confidence: u8) {
        self.list_as(ip, confidence, THREAT_TYPE);
    }

    /// Lists an address for something else. The threat type is sent as it is.
    pub fn list_as(&self, ip: IpAddr, confidence: u8, threat_type: &str) {
        let listing = Listing {
            confidence,
            threat_type: threat_type.into(),
        };
        self.state.change(|known| known.blacklist.list(ip, listing));
    }

    /// Takes an address off the list.
    pub fn unlist(&self, ip: IpAddr) {
        self.state.change(|known| known.blacklist.unlist(ip));
    }

    /// Serves this text as the feed and lists every address in it. Answers how many lines have an
    /// address; comments and other lines are passed over.
    pub fn list_feed(&self, text: &str, confidence: u8) -> usize {
        let listing = Listing {
            confidence,
            threat_type: THREAT_TYPE.into(),
        };
        let addresses: Vec<IpAddr> = blacklist::feed_addresses(text).collect();
        self.state.change(|known| {
            known.feed.set(text);
            for ip in &addresses {
                known.blacklist.list(*ip, listing.clone());
            }
        });
        addresses.len()
    }

    /// Serves this text as the feed, as it is. Nothing else changes: its addresses are not listed
    /// by this. Before the first call the feed has a header and no address.
    ///
    /// A new text has a new `ETag` and `Last-Modified`, so conditional requests see the change.
    pub fn set_feed(&self, text: &str) {
        self.state.change(|known| known.feed.set(text));
    }

    /// How many checks are let in from now on; the ones after that are answered 429 with
    /// `Retry-After: 3600`. `None` (the default): all. Every check of a readable address counts,
    /// whatever [`behave`](Self::behave) makes of it.
    pub fn quota(&self, per_day: Option<u32>) {
        self.state.change(|known| known.access.limit(per_day));
    }

    /// Starts a new day: the quota is whole again.
    pub fn reset_quota(&self) {
        self.state.change(|known| known.access.reset());
    }

    /// Answers checks 401 unless their `X-API-Key` is this key. `None` (the default): no key is
    /// looked at. Reports and the feed never need one.
    pub fn require_key(&self, key: Option<&str>) {
        self.state.change(|known| known.access.require_key(key));
    }
}

/// How it behaves. A request is treated by what is in force when it arrives, later changes do not
/// reach it.
impl StandIn {
    /// Treats every request like this: checks, reports and the feed.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state
            .change(|known| known.behaviours.set_all(behaviour));
    }

    /// Treats requests for one endpoint like this, whatever [`behave`](Self::behave) says.
    pub fn behave_on(&self, endpoint: Endpoint, behaviour: Behaviour) {
        self.state
            .change(|known| known.behaviours.set_endpoint(endpoint, behaviour));
    }

    /// Treats checks of one address like this, whatever [`behave`](Self::behave) and
    /// [`behave_on`](Self::behave_on) say.
    pub fn behave_for(&self, ip: IpAddr, behaviour: Behaviour) {
        self.state
            .change(|known| known.behaviours.set_address(ip, behaviour));
    }

    /// Answers the requests that [`Behaviour::Held`] has kept waiting until now. Later ones wait
    /// for the next call.
    pub fn release(&self) {
        self.state.change(release);
    }

    /// Back to normal, for everything and every address; also answers what was held. The quota, the
    /// key and [`refuse_connections`](Self::refuse_connections) stay as they are.
    pub fn recover(&self) {
        self.state.change(|known| {
            known.behaviours = Behaviours::default();
            release(known);
        });
    }

    /// Stops listening, so that connecting is refused, and closes every connection. Both are done
    /// on return.
    pub fn refuse_connections(&self) {
        // Fails only when the thread has ended, and then connections are refused too.
        let _ = self.server.order(Order::Refuse);
    }

    /// Listens again, on the same port.
    ///
    /// # Panics
    ///
    /// When the system does not give the port back. It is kept meanwhile, so this is not to be
    /// expected.
    pub fn accept_connections(&self) {
        if let Err(error) = self.server.order(Order::Accept) {
            panic!(
                "the stand-in cannot listen on {} again: {error}",
                self.addr()
            );
        }
    }
}

/// What arrived. A request is recorded when it has been read, before it is answered, whatever the
/// behaviour.
impl StandIn {
    /// The checks, in order.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        self.state.read(|known| known.log.checks.clone())
    }

    /// The number of checks.
    #[must_use]
    pub fn check_count(&self) -> usize {
        self.state.read(check_count)
    }

    /// The number of checks that asked about this address.
    #[must_use]
    pub fn checks_of(&self, ip: IpAddr) -> usize {
        let ip = ip.to_canonical();
        let asks = |check: &&Check| {
            check
                .address()
                .is_some_and(|asked| asked.to_canonical() == ip)
        };
        self.state
            .read(|known| known.log.checks.iter().filter(asks).count())
    }

    /// The reports, in order; refused ones too.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.state.read(|known| known.log.reports.clone())
    }

    /// The number of requests for the feed.
    #[must_use]
    pub fn feed_requests(&self) -> usize {
        self.state.read(|known| known.log.feed_requests)
    }

    /// The number of requests for the feed that were answered 304.
    #[must_use]
    pub fn feed_not_modified(&self) -> usize {
        self.state.read(|known| known.log.feed_not_modified)
    }

    /// The number of connections that are open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.state.read(|known| known.log.open_connections)
    }

    /// The most checks that were being answered at once. A check counts from its arrival until its
    /// answer is written or its connection has ended.
    #[must_use]
    pub fn max_concurrent_checks(&self) -> usize {
        self.state.read(|known| known.log.max_concurrent_checks)
    }

    /// Clears what arrived, and nothing else.
    pub fn forget(&self) {
        self.state.change(|known| known.log.forget());
    }
}

/// Waiting without sleeping. The futures need no particular runtime and have no deadline of their
/// own.
impl StandIn {
    /// Resolves when at least `n` checks have arrived.
    pub fn checks_reach(&self, n: usize) -> impl Future<Output = ()> + Send {
        self.state.until(move |known| check_count(known) >= n)
    }

    /// Blocks until at least `n` checks have arrived; false when they do not within the time.
    #[must_use]
    pub fn wait_for_checks(&self, n: usize, within: Duration) -> bool {
        self.state.wait(|known| check_count(known) >= n, within)
    }

    /// Resolves when at least `n` reports have arrived.
    pub fn reports_reach(&self, n: usize) -> impl Future<Output = ()> + Send {
        self.state.until(move |known| known.log.reports.len() >= n)
    }

    /// Blocks until at least `n` reports have arrived; false when they do not within the time.
    #[must_use]
    pub fn wait_for_reports(&self, n: usize, within: Duration) -> bool {
        self.state
            .wait(|known| known.log.reports.len() >= n, within)
    }

    /// Resolves when the feed was asked for at least `n` times.
    pub fn feed_requests_reach(&self, n: usize) -> impl Future<Output = ()> + Send {
        self.state.until(move |known| known.log.feed_requests >= n)
    }

    /// Blocks until the feed was asked for at least `n` times; false when it is not within the
    /// time.
    #[must_use]
    pub fn wait_for_feed_requests(&self, n: usize, within: Duration) -> bool {
        self.state
            .wait(|known| known.log.feed_requests >= n, within)
    }

    /// Resolves when at most `n` connections are open.
    pub fn connections_fall_to(&self, n: usize) -> impl Future<Output = ()> + Send {
        self.state
            .until(move |known| known.log.open_connections <= n)
    }

    /// Blocks until at most `n` connections are open; false when more stay open for that time.
    #[must_use]
    pub fn wait_for_connections_to_fall(&self, n: usize, within: Duration) -> bool {
        self.state
            .wait(|known| known.log.open_connections <= n, within)
    }
}

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (listed, checks, reports) = self.state.read(|known| {
            let log = &known.log;
            (known.blacklist.len(), log.checks.len(), log.reports.len())
        });
        f.debug_struct("StandIn")
            .field("url", &self.url())
            .field("listed", &listed)
            .field("checks", &checks)
            .field("reports", &reports)
            .finish_non_exhaustive()
    }
}

fn release(known: &mut Known) {
    known.releases = known.releases.wrapping_add(1);
}

fn check_count(known: &Known) -> usize {
    known.log.checks.len()
}
