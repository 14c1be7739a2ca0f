//! A stand-in service, a guard that asks it, and an app behind that guard.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipwhois_guard_core::{Guard, GuardBuilder, ManualClock, Rule};
use ipwhois_guard_testkit::StandIn;

use crate::client::{Request, Response};
use crate::driver::{Address, App, Driver, Install, Server};

/// Listed at confidence 95. Made up, like all addresses here: from networks that nobody announces, since the guard
/// never asks about documentation addresses.
pub const LISTED: &str = "25.0.0.7";
/// Listed at confidence 60.
pub const SUSPECT: &str = "25.0.0.60";
/// An IPv6 address listed at confidence 95.
pub const LISTED_V6: &str = "3ffe::bad:1";
/// Not listed.
pub const CLEAN: &str = "26.0.0.1";
/// Not listed either.
pub const CLEAN_V6: &str = "3ffe::900d:1";

/// One framework's app behind a guard.
#[derive(Debug)]
pub struct Bench {
    /// The service.
    pub service: StandIn,
    /// The guard's clock.
    pub clock: ManualClock,
    handled: Arc<AtomicUsize>,
    server: Server,
}

/// A bench under construction.
#[derive(Debug)]
pub struct Setup {
    service: StandIn,
    clock: ManualClock,
    builder: GuardBuilder,
    install: Install,
    listen: Address,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// A guard with the rule `/admin`, behind a proxy on loopback, that waits for the service as long as it takes.
    ///
    /// # Panics
    /// When the stand-in service cannot be started.
    #[must_use]
    pub fn new() -> Self {
        Self::without_rules().guard(|guard| guard.protect(Rule::path("/admin")))
    }

    /// The same guard without a rule: every request is guarded.
    ///
    /// # Panics
    /// When the stand-in service cannot be started.
    #[must_use]
    pub fn without_rules() -> Self {
        let service = StandIn::start().expect("a free port");
        service.list(address(LISTED), 95);
        service.list(address(SUSPECT), 60);
        service.list(address(LISTED_V6), 95);
        let clock = ManualClock::new();
        let builder = Guard::builder()
            .api_url(service.url())
            .clock(clock.clone())
            .trusted_proxies(["127.0.0.0/8", "::1"])
            .max_wait(Duration::from_secs(20))
            .api_timeout(Duration::from_secs(25));
        Self {
            service,
            clock,
            builder,
            install: Install::Whole,
            listen: Address::Tcp((Ipv4Addr::LOCALHOST, 0).into()),
        }
    }

    /// Installs the guard in another way.
    #[must_use]
    pub fn install(mut self, install: Install) -> Self {
        self.install = install;
        self
    }

    /// Listens elsewhere.
    #[must_use]
    pub fn listen(mut self, address: Address) -> Self {
        self.listen = address;
        self
    }

    /// Changes the guard's settings.
    #[must_use]
    pub fn guard(mut self, change: impl FnOnce(GuardBuilder) -> GuardBuilder) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// Serves the app.
    ///
    /// # Panics
    /// When the settings are wrong.
    #[must_use]
    pub fn serve<D: Driver>(self) -> Bench {
        let guard = self.builder.build().expect("the settings are right");
        let handled = Arc::new(AtomicUsize::new(0));
        let app = App {
            guard,
            install: self.install,
            listen: self.listen,
            handled: Arc::clone(&handled),
        };
        Bench {
            service: self.service,
            clock: self.clock,
            handled,
            server: Server::start::<D>(app),
        }
    }
}

impl Bench {
    /// Where the app listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.server.address
    }

    /// How many requests reached a handler.
    #[must_use]
    pub fn handled(&self) -> usize {
        self.handled.load(Ordering::SeqCst)
    }

    /// Sends a request and reads the answer.
    #[must_use]
    pub fn send(&self, request: &Request) -> Response {
        request.send(&self.server.address)
    }

    /// `GET /admin` for a client behind the proxy: the status.
    #[must_use]
    pub fn status_of(&self, client: &str) -> u16 {
        self.send(&Request::get("/admin").from_client(client))
            .status
    }

    /// The answer to `GET /whoami`.
    #[must_use]
    pub fn whoami(&self, request: Request) -> serde_json::Value {
        self.send(&request).json()
    }

    /// Waits until the service was asked `n` times.
    ///
    /// # Panics
    /// When it is not.
    pub fn wait_for_checks(&self, n: usize) {
        let patience = Duration::from_secs(30);
        assert!(self.service.wait_for_checks(n, patience), "no check came");
    }
}

/// An address from its text.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
