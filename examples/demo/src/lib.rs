//! What the example apps share: their settings, and the stand-in service when none is configured.

use std::env;
use std::error::Error;
use std::fmt;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipwhois_guard_core::{Guard, Rule, Settings, Verdict};
use ipwhois_guard_testkit::StandIn;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

/// A made-up attacker and a made-up visitor, from networks that nobody announces: documentation addresses would not do,
/// since the guard never asks about them.
const LISTED: Ipv4Addr = Ipv4Addr::new(25, 0, 0, 7);
const CLEAN: Ipv4Addr = Ipv4Addr::new(26, 0, 0, 1);

/// What an example app starts with.
#[derive(Debug)]
pub struct Demo {
    /// The guard, from the environment.
    pub guard: Guard,
    /// Where to listen: `127.0.0.1:$PORT`, 3000 by default.
    pub address: SocketAddr,
    stand_in: Option<StandIn>,
}

impl Demo {
    /// Reads the environment (`PORT`, `IPWHOIS_GUARD_…`). Without `IPWHOIS_GUARD_API_URL` the stand-in service is started
    /// inside this process and loopback is trusted as a proxy, so that the guard can be tried without a network.
    ///
    /// # Errors
    /// When a variable has a value that cannot be used.
    pub fn from_env() -> Result<Self, Box<dyn Error>> {
        let filter = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new("info"))?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(std::io::stdout().is_terminal())
            .init();

        let mut settings = Settings::from_env()?;
        if settings.protect.is_empty() {
            settings.protect = vec![Rule::path("/admin")];
        }
        let configured = env::var("IPWHOIS_GUARD_API_URL").is_ok_and(|url| !url.trim().is_empty());
        let stand_in = if configured {
            None
        } else {
            Some(stand_in(&mut settings)?)
        };
        Ok(Self {
            guard: Guard::from_settings(settings)?,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port()?)),
            stand_in,
        })
    }

    /// Says where the app listens and, with the stand-in service, what to try.
    pub fn announce(&self, address: SocketAddr) {
        println!("listening on http://{address}");
        if self.stand_in.is_none() {
            return;
        }
        println!(
            "\nNo IPWHOIS_GUARD_API_URL is set: a stand-in for the service runs inside this process, and loopback is\n\
             trusted as a proxy, so that X-Forwarded-For can play the client. Try:\n\n\
             \x20 curl -i -H 'X-Forwarded-For: {CLEAN}' http://{address}/admin            # a clean client: 200\n\
             \x20 curl -i -H 'X-Forwarded-For: {LISTED}' http://{address}/admin            # a listed client: 403\n\
             \x20 curl -i -H 'X-Forwarded-For: {CLEAN}, {LISTED}' http://{address}/admin  # it claims to be the clean one: 403\n"
        );
    }
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
