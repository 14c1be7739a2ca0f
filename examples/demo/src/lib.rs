//! What the example apps share: their settings, and the stand-in service when none is configured.

mod monitoring;

use std::env;
use std::error::Error;
use std::fmt;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipwhois_guard_core::{Guard, OnUnverified, Rule, Settings, Verdict};
use ipwhois_guard_testkit::StandIn;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

pub use monitoring::{METRICS_TYPE, Monitoring};

/// A made-up attacker, a made-up visitor, and one who guesses passwords, from networks that nobody
/// announces: documentation addresses would not do, since the guard never asks about them.
const LISTED: Ipv4Addr = Ipv4Addr::new(25, 0, 0, 7);
const CLEAN: Ipv4Addr = Ipv4Addr::new(26, 0, 0, 1);
const GUESSER: Ipv4Addr = Ipv4Addr::new(26, 0, 0, 2);

/// The feed of the stand-in service. The guard looks for it beside the API.
const FEED: &str = "# A made-up blacklist\n25.0.0.7\n25.0.0.8\n25.0.1.99\n";

/// How long requests under way may take when the process is asked to end.
const GRACE: Duration = Duration::from_secs(3);

/// What an example app starts with.
#[derive(Debug)]
pub struct Demo {
    /// The guard, from the environment.
    pub guard: Guard,
    /// Where to listen: `127.0.0.1:$PORT`, 3000 by default.
    pub address: SocketAddr,
    /// What `GET /metrics` and `GET /guard/health` answer.
    pub monitoring: Monitoring,
    stand_in: Option<StandIn>,
    refuses_unknown: bool,
}

impl Demo {
    /// To be called on a tokio runtime. Reads the environment (`PORT`, `IPWHOIS_GUARD_…`). Without
    /// `IPWHOIS_GUARD_API_URL` the stand-in service is started inside this process and loopback is
    /// trusted as a proxy, so that the guard can be tried without a network.
    ///
    /// # Errors
    /// When a variable has a value that cannot be used.
    pub fn from_env() -> Result<Self, Box<dyn Error>> {
        Self::with(|_| {})
    }

    /// [`from_env`](Self::from_env), with settings that the framework needs.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn with(change: impl FnOnce(&mut Settings)) -> Result<Self, Box<dyn Error>> {
        let filter = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new("info"))?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(std::io::stdout().is_terminal())
            .init();
        outlive_signals()?;

        let mut settings = Settings::from_env()?;
        if settings.protect.is_empty() {
            settings.protect = vec![Rule::path("/admin")];
        }
        if settings.exempt.is_empty() {
            // Monitoring works whatever is guarded.
            settings.exempt = ["/metrics", "/guard"].map(str::to_owned).into();
        }
        change(&mut settings);
        let refuses_unknown = settings.on_unknown_client == Some(OnUnverified::Deny);
        let configured = env::var("IPWHOIS_GUARD_API_URL").is_ok_and(|url| !url.trim().is_empty());
        let stand_in = if configured {
            None
        } else {
            Some(stand_in(&mut settings)?)
        };
        let guard = ipwhois_guard_redis::guard_from_settings(settings)?;
        Ok(Self {
            monitoring: Monitoring::start(guard.clone())?,
            guard,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port()?)),
            stand_in,
            refuses_unknown,
        })
    }

    /// Says where the app listens and, with the stand-in service, what to try.
    pub fn announce(&self, address: SocketAddr) {
        println!("listening on http://{address}");
        println!("is it working? http://{address}/guard/, http://{address}/metrics");
        if self.stand_in.is_none() {
            return;
        }
        println!(
            "\nNo IPWHOIS_GUARD_API_URL is set: a stand-in for the service runs inside this process, and loopback is\n\
             trusted as a proxy, so that X-Forwarded-For can play the client. Try:\n\n\
             \x20 curl -i -H 'X-Forwarded-For: {CLEAN}' http://{address}/admin            # a clean client: 200\n\
             \x20 curl -i -H 'X-Forwarded-For: {LISTED}' http://{address}/admin            # a listed client: 403\n\
             \x20 curl -i -H 'X-Forwarded-For: {CLEAN}, {LISTED}' http://{address}/admin  # it claims to be the clean one: 403\n\
             \x20 curl -i -H 'X-Forwarded-For: {GUESSER}' -d 'username=demo&password=guess' http://{address}/login   # the fifth time: 429"
        );
        if self.refuses_unknown {
            println!(
                "\x20 curl -i http://{address}/admin                                            # no address: 503"
            );
        }
        println!();
    }

    /// To be awaited when the server has ended: sends what is still to be reported, and says what
    /// could not be.
    pub async fn end(&self) {
        let undelivered = self.guard.shutdown(Duration::from_secs(5)).await;
        if undelivered > 0 {
            println!("{undelivered} reports are not delivered");
        }
    }
}

/// Runs a server that ends gracefully when [`stop_signal`] resolves, but not for longer than some
/// seconds after that: a client that never ends its request must not keep the reports from being
/// sent before the platform's patience is over.
pub async fn until_stopped<T>(server: impl Future<Output = T>) -> Option<T> {
    let overdue = async {
        stop_signal().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = server => Some(result),
        () = overdue => None,
    }
}

/// Resolves when the process is asked to end: by ctrl-c, or by SIGTERM, which is what container
/// platforms send.
pub async fn stop_signal() {
    let ctrl_c = async {
        // Without a handler for the signal there is nothing to wait for but the end.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = ctrl_c => {}
        () = terminated() => {}
    }
}

/// Keeps the signals that ask other servers to reload or to open their logs again from ending the
/// app, as they do by default.
#[cfg(unix)]
fn outlive_signals() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    for (name, kind) in [
        ("SIGHUP", SignalKind::hangup()),
        ("SIGUSR1", SignalKind::user_defined1()),
        ("SIGUSR2", SignalKind::user_defined2()),
    ] {
        let mut signal = signal(kind)?;
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                println!("{name} does nothing here: restart the app to change its settings");
            }
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn outlive_signals() -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

/// The answer of `GET /whoami`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Whoami {
    client_ip: Option<IpAddr>,
    allowed: bool,
    source: &'static str,
    confidence: Option<u8>,
}

impl From<Verdict> for Whoami {
    fn from(verdict: Verdict) -> Self {
        Self {
            client_ip: verdict.client_ip(),
            allowed: verdict.is_allowed(),
            source: verdict.source().as_str(),
            confidence: verdict.confidence(),
        }
    }
}

/// Why an example ended, for `main` to return: shown as sentences, with the causes.
pub struct Failure(Box<dyn Error>);

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

fn stand_in(settings: &mut Settings) -> Result<StandIn, Box<dyn Error>> {
    let stand_in = StandIn::start()?;
    stand_in.list_feed(FEED, 95);
    stand_in.list_as(LISTED.into(), 95, "brute-force");
    settings.api_url = stand_in.url();
    if settings.trusted_proxies.is_empty() && settings.trusted_hops.is_none() {
        settings.trusted_proxies = vec!["127.0.0.0/8".to_owned(), "::1".to_owned()];
    }
    Ok(stand_in)
}

fn port() -> Result<u16, Box<dyn Error>> {
    match env::var("PORT") {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("PORT: `{text}` is not a port number (0 to 65535)").into()),
        Err(env::VarError::NotPresent) => Ok(3000),
        Err(error) => Err(format!("PORT: {error}").into()),
    }
}
