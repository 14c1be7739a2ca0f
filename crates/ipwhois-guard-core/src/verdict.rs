//! What the guard knows of a client, and where it knows it from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Which kind of attack an address is known for, in the service's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ThreatType {
    /// `brute-force`: guessing passwords.
    BruteForce,
    /// `spam`
    Spam,
    /// `ddos`
    Ddos,
    /// `scan`: probing for weak spots.
    Scan,
    /// `phishing`
    Phishing,
    /// `malware`
    Malware,
    /// `bot`
    Bot,
    /// `other`, and whatever the service may add.
    Other,
}

impl ThreatType {
    /// All of them, in the order of the service's documentation.
    pub const ALL: [Self; 8] = [
        Self::BruteForce,
        Self::Spam,
        Self::Ddos,
        Self::Scan,
        Self::Phishing,
        Self::Malware,
        Self::Bot,
        Self::Other,
    ];

    /// The service's word: `brute-force`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BruteForce => "brute-force",
            Self::Spam => "spam",
            Self::Ddos => "ddos",
            Self::Scan => "scan",
            Self::Phishing => "phishing",
            Self::Malware => "malware",
            Self::Bot => "bot",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for ThreatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is none of the eight threat types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no threat type: brute-force, spam, ddos, scan, phishing, malware, bot and other are"
)]
pub struct UnknownThreatType(String);

impl FromStr for ThreatType {
    type Err = UnknownThreatType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|threat| threat.as_str() == text)
            .ok_or_else(|| UnknownThreatType(text.to_owned()))
    }
}

/// What the service says of one address. It is the same for every rule: each holds it against its
/// own minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reputation {
    /// Whether the address is on the blacklist.
    pub listed: bool,
    /// How sure the service is, 0 to 100. A fraction is rounded down, so that no threshold is
    /// reached by rounding.
    pub confidence: u8,
    /// What the address is known for, when the service says so.
    pub threat_type: Option<ThreatType>,
}

impl Reputation {
    /// Whether the address is listed with at least this confidence.
    #[must_use]
    pub const fn reaches(self, min_confidence: u8) -> bool {
        self.listed && self.confidence >= min_confidence
    }
}

/// Where a verdict comes from: the step of the decision that settled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// No rule covers the request.
    NotInScope,
    /// The rule's mode is `off`.
    Off,
    /// The address is in the application's allowlist.
    Allowlist,
    /// The address is in the application's denylist.
    Denylist,
    /// The client is banned for too many failed logins.
    Banned,
    /// Loopback, private, reserved or documentation addresses: the service is never asked about
    /// them.
    NonPublic,
    /// The client is one of the trusted proxies: never asked about.
    TrustedProxy,
    /// The address is in the feed, which settled it without a check: by the rule's minimum of 50 or
    /// less, or by `feed_action = block`.
    Feed,
    /// A verdict from memory, younger than `cache_ttl`.
    Cache,
    /// A verdict from memory, older than `cache_ttl` and younger than `stale_ttl`; it is being
    /// refreshed.
    Stale,
    /// A verdict of another machine, by way of the shared store.
    Shared,
    /// The service was asked for this request.
    Api,
    /// Nobody knows. The rule's `on_unverified` decides.
    Unverified(Unverified),
}

impl Source {
    /// A short word for logs, metrics and JSON: `cache`, `api`, `unverified`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotInScope => "not-in-scope",
            Self::Off => "off",
            Self::Allowlist => "allowlist",
            Self::Denylist => "denylist",
            Self::Banned => "banned",
            Self::NonPublic => "non-public",
            Self::TrustedProxy => "trusted-proxy",
            Self::Feed => "feed",
            Self::Cache => "cache",
            Self::Stale => "stale",
            Self::Shared => "shared",
            Self::Api => "api",
            Self::Unverified(_) => "unverified",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unverified(reason) => write!(f, "unverified ({reason})"),
            known => f.write_str(known.as_str()),
        }
    }
}

/// Why a client could not be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unverified {
    /// The framework did not say who is connected. Usually a mistake in the set-up.
    NoPeer,
    /// The peer has no address (a Unix socket) and `trusted_proxies` does not name `unix:`.
    UnixPeer,
    /// The peer is a trusted proxy, and its header is unreadable or not the one that is configured.
    BadHeader,
    /// The peer is a trusted proxy and sends no forwarding header at all: probably its own health
    /// check. If `allow` names the peer, such a request is let in.
    NoHeader,
    /// The service did not answer within `max_wait`. Its answer may still arrive, for the next
    /// request.
    TimedOut,
    /// The call failed or its reply could not be believed.
    CallFailed,
    /// The service said that the limit is used up.
    RateLimited,
    /// The day's budget has no check left for this client, or none yet.
    NoBudget,
    /// The client's network has used up its share of the day's budget.
    Rationed,
    /// The circuit breaker is open: the service failed several times in a row.
    BreakerOpen,
    /// Too many addresses are waiting to be asked about.
    Overloaded,
    /// The guard is ending.
    ShuttingDown,
}

impl Unverified {
    /// A short word for logs and metrics: `timed-out`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPeer => "no-peer",
            Self::UnixPeer => "unix-peer",
            Self::BadHeader => "bad-header",
            Self::NoHeader => "no-header",
            Self::TimedOut => "timed-out",
            Self::CallFailed => "call-failed",
            Self::RateLimited => "rate-limited",
            Self::NoBudget => "no-budget",
            Self::Rationed => "rationed",
            Self::BreakerOpen => "breaker-open",
            Self::Overloaded => "overloaded",
            Self::ShuttingDown => "shutting-down",
        }
    }
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who the client is, whether it is welcome, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) source: Source,
    pub(crate) reputation: Option<Reputation>,
    pub(crate) allowed: bool,
}

impl Verdict {
    /// The client's address; `None` when it cannot be determined.
    #[must_use]
    pub const fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// Which step settled it.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// What the service says of the address, when that was looked at.
    #[must_use]
    pub const fn reputation(&self) -> Option<Reputation> {
        self.reputation
    }

    /// The service's confidence, 0 to 100; `None` when the service's word was not looked at.
    #[must_use]
    pub fn confidence(&self) -> Option<u8> {
        self.reputation.map(|reputation| reputation.confidence)
    }

    /// Whether the rules let this client in. In `monitor` mode a request can be let through
    /// although this is `false`.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.allowed
    }
}
