//! What a framework must do to be tested.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use ipwhois_guard_core::{Guard, GuardBuilder, Verdict};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::{oneshot, watch};

/// Serves the test app with one framework.
///
/// | route | guarded by | answer |
/// |---|---|---|
/// | `GET /` | the middleware | `open` |
/// | any method, `/admin` and everything below | the middleware | `admin` |
/// | `GET /whoami` | `IpVerdict` | JSON: `client_ip`, `allowed`, `source`, `confidence` |
/// | `GET /data` | `AllowedIp` | `data` |
/// | `GET /data/twice` | `AllowedIp` and `IpVerdict` | `data` |
/// | `POST /echo` | the middleware | the request's body, streamed: what arrived goes back before the rest is there |
/// | `GET /ws` | the middleware | a WebSocket that sends each text message back |
/// | `GET /answer/{status}` | the middleware | this status, as the framework's handlers refuse a request |
/// | `POST /suspect` | `AllowedIp` | `noted`: the client is suspicious from now on |
/// | `POST /login` | `AllowedIp` | `welcome`, or 401 `wrong`: the body is a password, checked within a `login_attempt`, or `user:password`, within a `login_attempt_for` |
/// | `POST /login/simple` | `AllowedIp` | the same by `failed_login` |
/// | `GET /guard/health` | the middleware | the guard's health as JSON |
/// | `GET /metrics` | the middleware | the guard's metrics in Prometheus' text format |
/// | `GET /hang` | the middleware | none, ever; the handler keeps [`App::hang`] |
///
/// All other paths are unknown to the app: its framework answers them.
///
/// Each handler counts itself in [`App::handled`]. With [`Install::Nested`] the middleware is put
/// on the inner router of `/admin` only.
pub trait Driver {
    /// The cases that this framework cannot meet, each with the reason. They never end in a bypass.
    const EXCEPTIONS: &'static [(&'static str, &'static str)] = &[];

    /// Whether the framework drops a request whose client hung up. Otherwise it runs on to its end.
    const DROPS_ABANDONED_REQUESTS: bool;

    /// Whether the application's own wording, [`Install::CustomResponse`], also holds for what
    /// extractors and handlers refuse.
    const WORDS_REFUSALS_OF_HANDLERS: bool;

    /// What the answer to [`Install::ExtractorsNoPeer`] names, so that the reader can mend it.
    const NO_PEER_ADVICE: &'static str;

    /// Makes the choices that the framework's adapter insists on, without another answer to any
    /// request. Default: none.
    fn settle(guard: GuardBuilder) -> GuardBuilder {
        guard
    }

    /// Serves the app on a runtime of its own until `stop` resolves. Calls `ready` with the address
    /// once it listens.
    fn serve(app: App, ready: impl FnOnce(Address) + Send, stop: oneshot::Receiver<()>);
}

/// Where an app listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP socket. To listen: with port 0.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// The app to serve.
#[derive(Clone, Debug)]
pub struct App {
    /// The guard to install.
    pub guard: Guard,
    /// How.
    pub install: Install,
    /// Where to listen.
    pub listen: Address,
    /// How many requests reached a handler.
    pub handled: Arc<AtomicUsize>,
    /// Hears when the handler of `/hang` begins, and when it is dropped.
    pub hanging: mpsc::Sender<Hanging>,
    /// Checks passwords.
    pub passwords: Arc<Passwords>,
}

/// What becomes of a request to `/hang`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hanging {
    /// The handler runs.
    Begun,
    /// The framework dropped it.
    Dropped,
}

/// What the handler of `/hang` keeps while it runs.
#[derive(Debug)]
pub struct Hang(mpsc::Sender<Hanging>);

impl Drop for Hang {
    fn drop(&mut self) {
        // At the end of a test nobody listens.
        let _ = self.0.send(Hanging::Dropped);
    }
}

/// The password check of `/login`, which a case can hold up.
#[derive(Debug)]
pub struct Passwords {
    begun: watch::Sender<usize>,
    ended: watch::Sender<usize>,
    held: watch::Sender<bool>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            begun: watch::Sender::new(0),
            ended: watch::Sender::new(0),
            held: watch::Sender::new(false),
        }
    }
}

impl Passwords {
    /// The one that is right.
    pub const RIGHT: &str = "right";

    /// What the handlers ask.
    pub async fn are_right(&self, password: &[u8]) -> bool {
        let _check = PasswordCheck::begin(self);
        let mut held = self.held.subscribe();
        let _ = held.wait_for(|held| !held).await;
        let colon = password.iter().position(|&byte| byte == b':');
        &password[colon.map_or(0, |at| at + 1)..] == Self::RIGHT.as_bytes()
    }

    /// The account that a body names before its password.
    #[must_use]
    pub fn account(body: &[u8]) -> Option<&str> {
        let (account, _) = std::str::from_utf8(body).ok()?.split_once(':')?;
        Some(account)
    }

    /// From now on checks take until [`release`](Self::release).
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Ends what was held.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// How many guesses reached the check.
    #[must_use]
    pub fn begun(&self) -> usize {
        *self.begun.borrow()
    }

    /// Follows [`begun`](Self::begun).
    #[must_use]
    pub fn watch_begun(&self) -> watch::Receiver<usize> {
        self.begun.subscribe()
    }

    /// Follows how many checks were ended or dropped.
    #[must_use]
    pub fn watch_ended(&self) -> watch::Receiver<usize> {
        self.ended.subscribe()
    }
}

struct PasswordCheck<'p>(&'p Passwords);

impl<'p> PasswordCheck<'p> {
    fn begin(passwords: &'p Passwords) -> Self {
        passwords.begun.send_modify(|begun| *begun += 1);
        Self(passwords)
    }
}

impl Drop for PasswordCheck<'_> {
    fn drop(&mut self) {
        self.0.ended.send_modify(|ended| *ended += 1);
    }
}

impl App {
    /// To be called by each handler.
    pub fn count(&self) {
        self.handled.fetch_add(1, Ordering::SeqCst);
    }

    /// The answer of `GET /guard/health`.
    #[must_use]
    pub fn health_json(&self) -> String {
        serde_json::to_string(&self.guard.health()).expect("plain data")
    }

    /// The answer of `GET /metrics`. The guards of all cases share this process, so each has a
    /// recorder of its own.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || self.guard.publish_metrics());
        recorder.handle().render()
    }

    /// To be kept by the handler of `/hang`.
    #[must_use]
    pub fn hang(&self) -> Hang {
        let _ = self.hanging.send(Hanging::Begun);
        Hang(self.hanging.clone())
    }
}

/// How the guard is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// The middleware around the whole app.
    Whole,
    /// The middleware of one guard twice, one around the other.
    Twice,
    /// The middleware around the routes below `/admin` only, inside a nested router.
    Nested,
    /// No middleware: extractors find the guard in the framework's state.
    ExtractorsOnly,
    /// The middleware with a response of the application's own: status 404, as if nothing were
    /// there, and the body `custom <reference>`.
    CustomResponse,
    /// The middleware, while the framework does not say who is connected.
    NoPeer,
    /// The extractors alone, while the framework does not say who is connected.
    ExtractorsNoPeer,
    /// Extractors without any guard to be found.
    ExtractorsNoGuard,
}

/// The answer of `GET /whoami`.
#[must_use]
pub fn whoami_json(verdict: Verdict) -> String {
    let value = serde_json::json!({
        "client_ip": verdict.client_ip(),
        "allowed": verdict.is_allowed(),
        "source": verdict.source().as_str(),
        "confidence": verdict.confidence(),
    });
    value.to_string()
}

/// A served app. Dropping it ends the server.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: Address,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves an app with a framework.
    ///
    /// # Panics
    /// When the server does not come up.
    #[must_use]
    pub fn start<D: Driver>(app: App) -> Self {
        let (ready, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            D::serve(
                app,
                move |address| ready.send(address).expect("the test waits"),
                stopped,
            );
        });
        Self {
            address: address.recv().expect("the server listens"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the server panicked");
        }
    }
}
