//! A stand-in service, a guard that asks it, and an app behind that guard.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipwhois_guard_core::{Guard, GuardBuilder, ManualClock, RequestHead, Rule};
use ipwhois_guard_testkit::StandIn;
use tokio::sync::watch;

use crate::client::{Request, Response};
use crate::driver::{Address, App, Driver, Hanging, Install, Passwords, Server};

/// Listed at confidence 95. Made up, like all addresses here: from networks that nobody announces,
/// since the guard never asks about documentation addresses.
pub const LISTED: &str = "25.0.0.7";
/// Listed at confidence 60.
pub const SUSPECT: &str = "25.0.0.60";
/// An IPv6 address listed at confidence 95.
pub const LISTED_V6: &str = "3ffe::bad:1";
/// Not listed.
pub const CLEAN: &str = "26.0.0.1";
/// Not listed either.
pub const CLEAN_V6: &str = "3ffe::900d:1";

/// Only so that a broken server fails a test instead of stopping it.
const PATIENCE: Duration = Duration::from_secs(30);

/// One framework's app behind a guard.
#[derive(Debug)]
pub struct Bench {
    /// The service.
    pub service: StandIn,
    /// The guard's clock.
    pub clock: ManualClock,
    /// The guard.
    pub guard: Guard,
    /// The password check of the app's `/login`.
    pub passwords: Arc<Passwords>,
    handled: Arc<AtomicUsize>,
    hanging: Mutex<mpsc::Receiver<Hanging>>,
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
    /// A guard with the rule `/admin`, behind a proxy on loopback, that waits for the service as
    /// long as it takes.
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
        static SETUPS: AtomicUsize = AtomicUsize::new(0);
        let nth = SETUPS.fetch_add(1, Ordering::Relaxed);
        let service = StandIn::start().expect("a free port");
        service.list(address(LISTED), 95);
        service.list(address(SUSPECT), 60);
        service.list(address(LISTED_V6), 95);
        let clock = ManualClock::new();
        let builder = Guard::builder()
            .api_url(service.url())
            .clock(clock.clone())
            // What is counted of guards that have no name adds up.
            .name(format!("bench {nth}"))
            .trusted_proxies(["127.0.0.0/8", "::1"])
            // Enough for every client of a case; what the budget does is for the cases about it to
            // say.
            .daily_budget(1_000_000)
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

    /// Changes how the service is when the guard first asks it.
    #[must_use]
    pub fn service(self, change: impl FnOnce(&StandIn)) -> Self {
        change(&self.service);
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
        let guard = D::settle(self.builder)
            .build()
            .expect("the settings are right");
        let handled = Arc::new(AtomicUsize::new(0));
        let (says, hanging) = mpsc::channel();
        let passwords = Arc::<Passwords>::default();
        let app = App {
            guard: guard.clone(),
            install: self.install,
            listen: self.listen,
            handled: Arc::clone(&handled),
            hanging: says,
            passwords: Arc::clone(&passwords),
        };
        Bench {
            service: self.service,
            clock: self.clock,
            guard,
            passwords,
            handled,
            hanging: Mutex::new(hanging),
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

    /// Waits until a handler of `/hang` begins, or is dropped.
    ///
    /// # Panics
    /// When something else happens first.
    pub fn wait_until_hanging_is(&self, expected: Hanging) {
        let hanging = self.hanging.lock().expect("nobody panicked");
        let heard = hanging.recv_timeout(PATIENCE);
        assert_eq!(heard, Ok(expected));
    }

    /// Waits until `n` guesses have reached the password check.
    ///
    /// # Panics
    /// When they do not.
    pub fn wait_for_guesses(&self, n: usize) {
        wait_until(self.passwords.watch_begun(), n);
    }

    /// Waits until the checks of `n` guesses have ended or were dropped.
    ///
    /// # Panics
    /// When they are not.
    pub fn wait_for_ended_guesses(&self, n: usize) {
        wait_until(self.passwords.watch_ended(), n);
    }

    /// Waits until `n` reports have reached the service.
    ///
    /// # Panics
    /// When they do not.
    pub fn wait_for_reports(&self, n: usize) {
        assert!(self.service.wait_for_reports(n, PATIENCE), "no report came");
    }

    /// Waits until nothing is left to be reported: what was not sent by then never is.
    ///
    /// # Panics
    /// When the service does not take it.
    pub fn wait_for_all_reports(&self) {
        assert_eq!(block_on(self.guard.shutdown(PATIENCE)), Some(0));
    }

    /// Waits until the first feed is in force, or cannot be had.
    ///
    /// # Panics
    /// When neither happens.
    pub fn wait_until_ready(&self) {
        assert_eq!(block_on(self.guard.ready()), Some(()));
    }

    /// Has the guard ask for the feed now, whatever comes of it.
    ///
    /// # Panics
    /// When nothing does.
    pub fn refresh_feed(&self) {
        let refreshed = block_on(self.guard.refresh_feed());
        assert!(refreshed.is_some(), "the feed was not asked for");
    }

    /// Decides a request that does not come by the network.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn decide(&self, request: &impl RequestHead) {
        let decision = block_on(self.guard.decide(request).decision());
        assert!(decision.is_some(), "no decision came");
    }

    /// Checks an address, as the application may at any time.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn ask_about(&self, client: &str) {
        let verdict = block_on(self.guard.check(address(client)));
        assert!(verdict.is_some(), "no verdict came");
    }

    /// Waits until the service was asked `n` times.
    ///
    /// # Panics
    /// When it is not.
    pub fn wait_for_checks(&self, n: usize) {
        assert!(self.service.wait_for_checks(n, PATIENCE), "no check came");
    }
}

/// Runs a future, as long as patience lasts.
fn block_on<F: Future>(future: F) -> Option<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.ok() })
}

fn wait_until(mut count: watch::Receiver<usize>, n: usize) {
    let reached = block_on(async { count.wait_for(|count| *count >= n).await.is_ok() });
    assert_eq!(reached, Some(true), "not {n}, but {}", *count.borrow());
}

/// An address from its text.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
