//! What a framework must do to be tested.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use ipwhois_guard_core::{Guard, Verdict};
use tokio::sync::oneshot;

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
///
/// Each handler counts itself in [`App::handled`]. With [`Install::Nested`] the middleware is put on the inner router of
/// `/admin` only.
pub trait Driver {
    /// The cases that this framework cannot meet, each with the reason. They never end in a bypass.
    const EXCEPTIONS: &'static [(&'static str, &'static str)] = &[];

    /// What the answer to [`Install::ExtractorsNoPeer`] names, so that the reader can mend it.
    const NO_PEER_ADVICE: &'static str;

    /// Serves the app on a runtime of its own until `stop` resolves. Calls `ready` with the address once it listens.
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
}

impl App {
    /// To be called by each handler.
    pub fn count(&self) {
        self.handled.fetch_add(1, Ordering::SeqCst);
    }
}

/// How the guard is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// The middleware around the whole app.
    Whole,
    /// The middleware around the routes below `/admin` only, inside a nested router.
    Nested,
    /// No middleware: extractors find the guard in the framework's state.
    ExtractorsOnly,
    /// The middleware with a response of the application's own: status 418, body `custom <reference>`.
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
        let (ready, address) = std::sync::mpsc::channel();
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
