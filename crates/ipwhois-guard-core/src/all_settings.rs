//! Every setting, defined once: name, type, default, secrecy, setter and meaning.
//!
//! The struct [`Settings`](crate::Settings), its TOML, the environment, the builder and what
//! errors show are made of this table.

/// Expands `$with!` with every setting, as `name: Type = default, secrecy, setter;`.
///
/// - secrecy: `secret` where the text may hold a password or a key, so that nothing shows it;
///   else `open`;
/// - setter: the type that the builder's method takes, `into Type`, `list` for an iterator of
///   texts, or `none` where the builder has a method of its own.
macro_rules! for_each_setting {
    ($with:ident) => {
        $with! {
            /// The service's base URL: `http` or `https`, without user, query and fragment. Errors
            /// and `Debug` do not show it. Default: `https://bl.ipwhois.net/api`.
            api_url: String = "https://bl.ipwhois.net/api".to_owned(), secret, into String;
            /// The key for the service: 1 to 512 visible ASCII characters. Errors, logs and
            /// `Debug` do not show it. Default: none. The service gives 500 checks a day without
            /// a key, and 1,000 with one.
            api_key: Option<ApiKey> = None, secret, into ApiKey;
            /// A file that holds the key, instead of `api_key`. A line end after the key is
            /// ignored. Default: none.
            api_key_file: Option<PathBuf> = None, open, into PathBuf;
            /// The header that carries the key. The service's documentation does not name it.
            /// Default: `X-API-Key`.
            api_key_header: String = "X-API-Key".to_owned(), secret, into String;
            /// Whether calls to the service go through the proxies that `HTTP_PROXY`,
            /// `HTTPS_PROXY` and `NO_PROXY` name. Default: `false`, so that a variable meant for
            /// something else does not redirect the checks.
            api_proxy_from_env: bool = false, open, bool;
            /// How long a call to the service may take in all: DNS, connection, TLS, headers and
            /// body. Default: 3 s.
            api_timeout: Duration = Duration::from_secs(3), open, Duration;
            /// How long a request waits for a call. The call goes on without it, for the next
            /// request. Zero: requests never wait. Default: 500 ms.
            max_wait: Duration = Duration::from_millis(500), open, Duration;
            /// The confidence, 0 to 100, from which a listed client is denied. A rule can say
            /// otherwise. Default: 90.
            min_confidence: u8 = 90, open, u8;
            /// What happens to a client that cannot be verified. A rule can say otherwise.
            /// Default: `allow`.
            on_unverified: OnUnverified = OnUnverified::Allow, open, OnUnverified;
            /// What happens to a client whose address cannot be determined: the trusted proxy's
            /// header is missing or unreadable. A rule can say otherwise. Default: none, which is
            /// the same as `on_unverified`.
            on_unknown_client: Option<OnUnverified> = None, open, OnUnverified;
            /// Whether denials are carried out. A rule can say otherwise. Default: `enforce`.
            mode: Mode = Mode::Enforce, open, Mode;
            /// The rules that pick which requests are guarded. Default: none, which guards all of
            /// them.
            protect: Vec<Rule> = Vec::new(), open, none;
            /// Paths that are never guarded, whatever the rules say: `/healthz` for the path and
            /// what is below it. Health checks of a load balancer belong here. Only the plain
            /// spelling of such a path is exempt. An extractor on a handler still decides.
            /// Default: none.
            exempt: Vec<String> = Vec::new(), open, list;
            /// The proxies whose header is believed: addresses, CIDRs, and `unix:` for peers on a
            /// Unix socket. Default: none, so the peer of the connection is the client. Not
            /// together with `trusted_hops`.
            trusted_proxies: Vec<String> = Vec::new(), open, list;
            /// How many proxies stand in front of the application, whatever their addresses.
            /// Default: none. Not together with `trusted_proxies`.
            trusted_hops: Option<u32> = None, open, u32;
            /// The header in which the trusted proxies name the client. No other one is read.
            /// Default: `x-forwarded-for`.
            client_ip_header: String = "x-forwarded-for".to_owned(), open, into String;
            /// Addresses and CIDRs that are always let in. A trusted proxy among them is let in
            /// without any forwarding header, too: that is its own health check. Default: none.
            allow: Vec<String> = Vec::new(), open, list;
            /// Addresses and CIDRs that are always refused, unless `allow` has them. Default:
            /// none.
            deny: Vec<String> = Vec::new(), open, list;
            /// A file with more of `allow`, one a line. It is read again within 10 s when it
            /// changes; one that cannot be used leaves the list as it was. Default: none.
            allow_file: Option<PathBuf> = None, open, into PathBuf;
            /// A file with more of `deny`, one a line, read again like `allow_file`. Default:
            /// none.
            deny_file: Option<PathBuf> = None, open, into PathBuf;
            /// How long a verdict counts as fresh. Default: 1 h.
            cache_ttl: Duration = Duration::from_secs(60 * 60), open, Duration;
            /// How long a verdict is used at all. Once it is older than `cache_ttl` it is still
            /// used, and refreshed in the background. At least `cache_ttl`. Default: 24 h.
            stale_ttl: Duration = Duration::from_secs(24 * 60 * 60), open, Duration;
            /// How long a failed call keeps the same address from being asked about again.
            /// Default: 30 s.
            error_ttl: Duration = Duration::from_secs(30), open, Duration;
            /// How many verdicts are remembered: 1 to 16,777,216. Default: 100,000.
            cache_capacity: usize = 100_000, open, usize;
            /// How many checks may be spent in a day (UTC). Zero: none, so that only lists, feed
            /// and memory decide. Default: what the service gives, 500, or 1,000 with a key.
            daily_budget: Option<u32> = None, open, u32;
            /// Where the feed of listed addresses is: an `http`, `https` or `file` URL. Empty:
            /// there is none. Errors and `Debug` do not show it. Default: `feed.txt` beside
            /// `api_url`, which is `https://bl.ipwhois.net/feed.txt` for the service itself.
            feed_url: Option<String> = None, secret, into String;
            /// What an address in the feed means. Default: `confirm`.
            feed_action: FeedAction = FeedAction::Confirm, open, FeedAction;
            /// How often the feed is asked for, give or take a tenth: 1 min to 30 days. Default:
            /// 30 min.
            feed_interval: Duration = Duration::from_secs(30 * 60), open, Duration;
            /// Paths that only attackers ask for, in place of the built-in list: `/wp-admin` for a
            /// path and what is below it, `*.php` for an ending. Default: none, which is the
            /// [built-in list](crate::built_in_probe_paths).
            probe_paths: Option<Vec<String>> = None, open, list;
            /// Paths that the application has although they look like probes, written in the same
            /// way. A site that moved here from PHP and still redirects its old addresses names
            /// `*.php`. Default: none.
            served_paths: Vec<String> = Vec::new(), open, list;
            /// Number of failed logins within `find_time` that ban a client: 1 to 1,000. Default:
            /// 5.
            max_failures: u32 = 5, open, u32;
            /// How long a failed login counts. Default: 10 min.
            find_time: Duration = Duration::from_secs(10 * 60), open, Duration;
            /// How long a ban lasts. Default: 1 h.
            ban_time: Duration = Duration::from_secs(60 * 60), open, Duration;
            /// Maximum length of a repeat offender's ban. Each further ban within 24 h after the
            /// end of the last takes twice as long, up to this. At least `ban_time`. Default:
            /// none, so that all bans last `ban_time`.
            max_ban_time: Option<Duration> = None, open, Duration;
            /// What a banned client is refused: every guarded request, or logins alone. Default:
            /// `guarded`.
            ban_scope: BanScope = BanScope::Guarded, open, BanScope;
            /// Where several machines share what they know: a URL for the crate
            /// `ipwhois-guard-redis`, which makes a shared store of it. Built without one, a guard
            /// that has this set says so in the log and runs alone. Errors and `Debug` do not show
            /// it. Default: none.
            redis_url: Option<SecretUrl> = None, secret, into SecretUrl;
            /// The folder for what outlives a restart: verdicts, the day's count, the last good
            /// feed, and reports that are not sent. It is made when it is missing. Default: none,
            /// which is memory only.
            state_dir: Option<PathBuf> = None, open, into PathBuf;
        }
    };
}

pub(crate) use for_each_setting;
