//! The settings: one set of names for the builder, TOML, figment and the environment.

mod check;
mod env;
mod file;
mod key;
mod secret_url;
#[cfg(test)]
mod tests;
mod text;

use std::path::PathBuf;
use std::time::Duration;

use crate::feed::FeedAction;
use crate::rules::{Mode, OnUnverified, Policy, Rule};

pub use self::key::ApiKey;
pub use self::secret_url::SecretUrl;

/// Everything that can be configured. What is not said keeps its default.
///
/// In TOML and figment the names are those of the fields, durations are text (`"1h"`, `"500ms"`, `"1h 30m"`), lists are
/// arrays, and an unknown name is an error. In the environment the names are in capitals after `IPWHOIS_GUARD_`, and lists
/// are separated by commas. Values are checked when the guard is built.
///
/// ```toml
/// trusted_proxies = ["10.0.0.0/8"]
/// max_wait = "250ms"
/// protect = ["/admin", { path = "/login", methods = ["POST"], on_unverified = "deny" }]
/// ```
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// The service's base URL, `http` or `https`, without user, query and fragment. Default:
    /// `https://bl.ipwhois.net/api`.
    pub api_url: String,
    /// The key for the service: 1 to 512 visible ASCII characters. Default: none, which is 500 checks a day instead of
    /// 1,000. Never shown in errors, logs and `Debug`.
    pub api_key: Option<ApiKey>,
    /// A file that holds the key, instead of `api_key`; a line end after the key is ignored. Default: none.
    pub api_key_file: Option<PathBuf>,
    /// The header in which the key is sent. Default: `X-API-Key`. The service's documentation does not name it.
    pub api_key_header: String,
    /// Whether calls to the service go through the proxies that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name.
    /// Default: `false`, so that a variable meant for something else does not redirect the checks.
    pub api_proxy_from_env: bool,
    /// How long a call to the service may take in all: DNS, connection, TLS, headers and body. Default: 3 s.
    #[serde(deserialize_with = "text::deserialize_duration")]
    pub api_timeout: Duration,
    /// How long a request waits for a call. The call goes on without it, for the next request. Zero: requests never wait.
    /// Default: 500 ms.
    #[serde(deserialize_with = "text::deserialize_duration")]
    pub max_wait: Duration,
    /// The confidence, 0 to 100, from which a listed client is denied. Rules may say otherwise. Default: 90.
    pub min_confidence: u8,
    /// What happens to a client that cannot be verified. Rules may say otherwise. Default: `allow`.
    pub on_unverified: OnUnverified,
    /// Whether denials are carried out. Rules may say otherwise. Default: `enforce`.
    pub mode: Mode,
    /// The rules that pick which requests are guarded. Default: none, which guards all of them.
    pub protect: Vec<Rule>,
    /// The proxies whose header is believed: addresses, CIDRs, and `unix:` for peers on a Unix socket. Default: none, so the
    /// peer of the connection is the client. Not together with `trusted_hops`.
    pub trusted_proxies: Vec<String>,
    /// How many proxies stand in front of the application, whatever their addresses. Default: none. Not together with
    /// `trusted_proxies`.
    pub trusted_hops: Option<u32>,
    /// The header in which the trusted proxies name the client; no other one is read. Default: `x-forwarded-for`.
    pub client_ip_header: String,
    /// Addresses and CIDRs that are always let in. Default: none.
    pub allow: Vec<String>,
    /// Addresses and CIDRs that are always refused, unless `allow` has them. Default: none.
    pub deny: Vec<String>,
    /// A file with more of `allow`, one a line. Default: none.
    pub allow_file: Option<PathBuf>,
    /// A file with more of `deny`, one a line. Default: none.
    pub deny_file: Option<PathBuf>,
    /// How long a verdict counts as fresh. Default: 1 h.
    #[serde(deserialize_with = "text::deserialize_duration")]
    pub cache_ttl: Duration,
    /// How long a verdict is used at all: once it is older than `cache_ttl` it is still used, and refreshed in the
    /// background. At least `cache_ttl`. Default: 24 h.
    #[serde(deserialize_with = "text::deserialize_duration")]
    pub stale_ttl: Duration,
    /// How long a failed call keeps the same address from being asked about again. Default: 30 s.
    #[serde(deserialize_with = "text::deserialize_duration")]
    pub error_ttl: Duration,
    /// How many verdicts are remembered: 1 to 16,777,216. Default: 100,000.
    pub cache_capacity: usize,
    /// How many checks may be spent in a day (UTC). Zero: none, so that only lists, feed and memory decide. Default: what
    /// the service gives, 500, or 1,000 with a key.
    pub daily_budget: Option<u32>,
    /// Where the feed of listed addresses is: an `http`, `https` or `file` URL. Empty: there is none. Default: `feed.txt` beside
    /// `api_url`, which is `https://bl.ipwhois.net/feed.txt` for the service itself.
    pub feed_url: Option<String>,
    /// What an address in the feed means. Default: `confirm`.
    pub feed_action: FeedAction,
    /// How often the feed is asked for, give or take a tenth: 1 min to 30 days. Default: 30 min.
    #[serde(deserialize_with = "text::deserialize_duration")]
    pub feed_interval: Duration,
    /// Paths that only attackers ask for, in place of the built-in list: `/wp-admin` for a path and what is below it, `*.php`
    /// for an ending. Default: none, which is the [built-in list](crate::built_in_probe_paths).
    pub probe_paths: Option<Vec<String>>,
    /// Paths that the application has although they look like probes, written in the same way: a site that moved here from
    /// PHP and still redirects its old addresses names `*.php`. Default: none.
    pub served_paths: Vec<String>,
    /// Paths where somebody logs in, in place of the built-in list, written in the same way; empty: none. A client that nobody
    /// knows is checked there before others. Default: none, which is the [built-in list](crate::built_in_login_paths).
    pub login_paths: Option<Vec<String>>,
    /// So many failed logins within `find_time` ban a client: 1 to 1,000. Default: 5.
    pub max_failures: u32,
    /// How long a failed login counts. Default: 10 min.
    #[serde(deserialize_with = "text::deserialize_duration")]
    pub find_time: Duration,
    /// How long a ban lasts. Default: 1 h.
    #[serde(deserialize_with = "text::deserialize_duration")]
    pub ban_time: Duration,
    /// How long a ban of a repeat offender may last: each further one within 24 h after the end of the last takes twice as
    /// long, up to this. At least `ban_time`. Default: none, so that all bans last `ban_time`.
    #[serde(deserialize_with = "text::deserialize_some_duration")]
    pub max_ban_time: Option<Duration>,
    /// Where several machines share what they know: a URL such as `redis://host:6379/0`, for the crate `ipwhois-guard-redis`,
    /// which makes a shared tier of it. Built without one, a guard that has this set says so in the log and runs alone.
    /// Never shown by `Debug`: it may hold a password. Default: none.
    pub redis_url: Option<SecretUrl>,
    /// The folder for what outlives a restart: verdicts, the day's count, the last good feed, reports that are not sent. It is
    /// made when it is missing. Default: none, which is memory only.
    pub state_dir: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_url: "https://bl.ipwhois.net/api".to_owned(),
            api_key: None,
            api_key_file: None,
            api_key_header: "X-API-Key".to_owned(),
            api_proxy_from_env: false,
            api_timeout: Duration::from_secs(3),
            max_wait: Duration::from_millis(500),
            min_confidence: 90,
            on_unverified: OnUnverified::Allow,
            mode: Mode::Enforce,
            protect: Vec::new(),
            trusted_proxies: Vec::new(),
            trusted_hops: None,
            client_ip_header: "x-forwarded-for".to_owned(),
            allow: Vec::new(),
            deny: Vec::new(),
            allow_file: None,
            deny_file: None,
            cache_ttl: Duration::from_secs(60 * 60),
            stale_ttl: Duration::from_secs(24 * 60 * 60),
            error_ttl: Duration::from_secs(30),
            cache_capacity: 100_000,
            daily_budget: None,
            feed_url: None,
            feed_action: FeedAction::Confirm,
            feed_interval: Duration::from_secs(30 * 60),
            probe_paths: None,
            served_paths: Vec::new(),
            login_paths: None,
            max_failures: 5,
            find_time: Duration::from_secs(10 * 60),
            ban_time: Duration::from_secs(60 * 60),
            max_ban_time: None,
            redis_url: None,
            state_dir: None,
        }
    }
}

impl Settings {
    /// What holds for a request unless its rule says otherwise.
    pub(crate) const fn default_policy(&self) -> Policy {
        Policy::new(self.min_confidence, self.mode, self.on_unverified)
    }
}
