//! Settings, one call each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::error::BuildError;
use crate::feed::FeedAction;
use crate::guard::{Guard, Plan};
use crate::logins::{Trip, Wording};
use crate::rules::{Mode, OnUnverified, Rule};
use crate::service::CheckService;
use crate::settings::{ApiKey, SecretUrl, Settings};
use crate::shared::SharedTier;

/// Collects the settings of a guard. Each method sets the field of [`Settings`] with its name, where unit and default are
/// described; nothing is checked before the guard is built.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until the guard is built"]
pub struct GuardBuilder {
    pub(crate) settings: Settings,
    clock: Option<Arc<dyn Clock>>,
    service: Option<Arc<dyn CheckService>>,
    wording: Option<Wording>,
    shared: Option<Arc<dyn SharedTier>>,
    name: Option<String>,
}

impl GuardBuilder {
    /// A builder with the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// What has been set so far.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Builds the guard and starts its thread. Needs no runtime.
    ///
    /// # Errors
    /// When a setting has a value that cannot be used, two contradict each other, a file cannot be read, or the thread
    /// cannot be started.
    pub fn build(self) -> Result<Guard, BuildError> {
        let clock = self
            .clock
            .unwrap_or_else(|| Arc::new(SystemClock::default()));
        Guard::start(Plan {
            settings: self.settings,
            clock,
            service: self.service,
            wording: self.wording.unwrap_or_default(),
            shared: self.shared,
            name: self.name,
            forked_from: None,
        })
    }

    /// The clock by which verdicts age, pauses end and the breaker waits; the machine's by default. Deadlines of calls
    /// (`max_wait`, `api_timeout`) are real time whatever the clock says.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Asks somebody else than the service about addresses: a replay, a test, a mirror of your own. Reports and feed still go
    /// by `api_url` and `feed_url`.
    pub fn service(mut self, service: impl CheckService) -> Self {
        self.service = Some(Arc::new(service));
        self
    }

    /// Works together with other machines by way of this tier: verdicts, the day's budget, failed logins and bans are shared,
    /// and one machine asks the service for all. A tier that is slow or away fails no request: each call to it has 50 ms, and
    /// after three failures in a row nobody waits for it until it is back. Meanwhile the machine goes on alone. When it has not
    /// reached the tier for three seconds it spends at most a tenth of what was left of the day's budget, or a hundredth if
    /// it has not heard the count since its start, but one check at least; before that, nothing that the tier has not counted.
    /// So the machines together never spend more than the day has, whichever of them are killed and started, but for these
    /// shares of machines that were alone.
    ///
    /// The machines should have the same settings: each goes by its own.
    pub fn shared(mut self, tier: impl SharedTier) -> Self {
        self.shared = Some(Arc::new(tier));
        self
    }

    /// The guard's name in metrics, as the label `guard`: for a process with several guards. None by default, and no label
    /// then. The counters of guards that have the same name, or none, add up; their gauges are those of the guard that was the last
    /// to publish.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The service's base URL.
    pub fn api_url(mut self, url: impl Into<String>) -> Self {
        self.settings.api_url = url.into();
        self
    }

    /// The key for the service.
    pub fn api_key(mut self, key: impl Into<ApiKey>) -> Self {
        self.settings.api_key = Some(key.into());
        self
    }

    /// A file that holds the key, instead of [`api_key`](Self::api_key).
    pub fn api_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.api_key_file = Some(path.into());
        self
    }

    /// The header in which the key is sent.
    pub fn api_key_header(mut self, name: impl Into<String>) -> Self {
        self.settings.api_key_header = name.into();
        self
    }

    /// Whether calls to the service go through the proxies that the environment names.
    pub fn api_proxy_from_env(mut self, yes: bool) -> Self {
        self.settings.api_proxy_from_env = yes;
        self
    }

    /// How long a call to the service may take in all.
    pub fn api_timeout(mut self, timeout: Duration) -> Self {
        self.settings.api_timeout = timeout;
        self
    }

    /// How long a request waits for a call; zero: never.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.settings.max_wait = wait;
        self
    }

    /// The confidence, 0 to 100, from which a listed client is denied.
    pub fn min_confidence(mut self, min_confidence: u8) -> Self {
        self.settings.min_confidence = min_confidence;
        self
    }

    /// What happens to a client that cannot be verified.
    pub fn on_unverified(mut self, on_unverified: OnUnverified) -> Self {
        self.settings.on_unverified = on_unverified;
        self
    }

    /// Whether denials are carried out.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.settings.mode = mode;
        self
    }

    /// Adds a rule; a path alone is one, too. Without any rule every request is guarded.
    pub fn protect(mut self, rule: impl Into<Rule>) -> Self {
        self.settings.protect.push(rule.into());
        self
    }

    /// The proxies whose header is believed, in place of those set before.
    pub fn trusted_proxies<I>(mut self, proxies: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.settings.trusted_proxies = strings(proxies);
        self
    }

    /// How many proxies stand in front of the application.
    pub fn trusted_hops(mut self, hops: u32) -> Self {
        self.settings.trusted_hops = Some(hops);
        self
    }

    /// The header in which the trusted proxies name the client.
    pub fn client_ip_header(mut self, name: impl Into<String>) -> Self {
        self.settings.client_ip_header = name.into();
        self
    }

    /// Addresses and CIDRs that are always let in, in place of those set before.
    pub fn allow<I>(mut self, addresses: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.settings.allow = strings(addresses);
        self
    }

    /// Addresses and CIDRs that are always refused, in place of those set before.
    pub fn deny<I>(mut self, addresses: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.settings.deny = strings(addresses);
        self
    }

    /// A file with more addresses and CIDRs that are always let in.
    pub fn allow_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.allow_file = Some(path.into());
        self
    }

    /// A file with more addresses and CIDRs that are always refused.
    pub fn deny_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.deny_file = Some(path.into());
        self
    }

    /// How long a verdict counts as fresh.
    pub fn cache_ttl(mut self, ttl: Duration) -> Self {
        self.settings.cache_ttl = ttl;
        self
    }

    /// How long a verdict is used at all; at least `cache_ttl`.
    pub fn stale_ttl(mut self, ttl: Duration) -> Self {
        self.settings.stale_ttl = ttl;
        self
    }

    /// How long a failed call keeps the same address from being asked about again.
    pub fn error_ttl(mut self, ttl: Duration) -> Self {
        self.settings.error_ttl = ttl;
        self
    }

    /// How many verdicts are remembered.
    pub fn cache_capacity(mut self, entries: usize) -> Self {
        self.settings.cache_capacity = entries;
        self
    }

    /// How many checks may be spent in a day (UTC).
    pub fn daily_budget(mut self, checks: u32) -> Self {
        self.settings.daily_budget = Some(checks);
        self
    }

    /// Where the feed of listed addresses is: an `http`, `https` or `file` URL; empty for none.
    pub fn feed_url(mut self, url: impl Into<String>) -> Self {
        self.settings.feed_url = Some(url.into());
        self
    }

    /// What an address in the feed means.
    pub fn feed_action(mut self, action: FeedAction) -> Self {
        self.settings.feed_action = action;
        self
    }

    /// How often the feed is asked for.
    pub fn feed_interval(mut self, interval: Duration) -> Self {
        self.settings.feed_interval = interval;
        self
    }

    /// Paths that only attackers ask for, in place of the built-in list and of those set before.
    pub fn probe_paths<I>(mut self, paths: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.settings.probe_paths = Some(strings(paths));
        self
    }

    /// Paths that the application has although they look like probes, in place of those set before.
    pub fn served_paths<I>(mut self, paths: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.settings.served_paths = strings(paths);
        self
    }

    /// Paths where somebody logs in, in place of the built-in list and of those set before.
    pub fn login_paths<I>(mut self, paths: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.settings.login_paths = Some(strings(paths));
        self
    }

    /// So many failed logins within `find_time` ban a client.
    pub fn max_failures(mut self, failures: u32) -> Self {
        self.settings.max_failures = failures;
        self
    }

    /// How long a failed login counts.
    pub fn find_time(mut self, time: Duration) -> Self {
        self.settings.find_time = time;
        self
    }

    /// How long a ban lasts.
    pub fn ban_time(mut self, time: Duration) -> Self {
        self.settings.ban_time = time;
        self
    }

    /// How long a ban of a repeat offender may last.
    pub fn max_ban_time(mut self, time: Duration) -> Self {
        self.settings.max_ban_time = Some(time);
        self
    }

    /// Words the reports of clients that are banned for failed logins. By default they say how many failures there were
    /// and in what time, and nothing about accounts. What comes back is made one line of 1,024 characters at most.
    ///
    /// ```
    /// # use ipwhois_guard_core::{Guard, Trip};
    /// let builder = Guard::builder()
    ///     .word_reports(|trip: &Trip| format!("{} wrong passwords at the shop", trip.failures));
    /// # drop(builder);
    /// ```
    pub fn word_reports(
        mut self,
        wording: impl Fn(&Trip) -> String + Send + Sync + 'static,
    ) -> Self {
        self.wording = Some(Wording::new(wording));
        self
    }

    /// Where several machines share what they know, for the crate `ipwhois-guard-redis`.
    pub fn redis_url(mut self, url: impl Into<String>) -> Self {
        self.settings.redis_url = Some(SecretUrl::new(url));
        self
    }

    /// The folder for what outlives a restart.
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.settings.state_dir = Some(folder.into());
        self
    }
}

impl From<Settings> for GuardBuilder {
    fn from(settings: Settings) -> Self {
        Self {
            settings,
            clock: None,
            service: None,
            wording: None,
            shared: None,
            name: None,
        }
    }
}

fn strings<I>(items: I) -> Vec<String>
where
    I: IntoIterator,
    I::Item: Into<String>,
{
    items.into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setter_sets_its_own_field_and_no_other() {
        let second = Duration::from_secs;
        let builder = GuardBuilder::new()
            .api_url("http://127.0.0.1:1/api")
            .api_key("k1")
            .api_key_file("/a")
            .api_key_header("X-Key")
            .api_proxy_from_env(true)
            .api_timeout(second(1))
            .max_wait(second(2))
            .min_confidence(11)
            .on_unverified(OnUnverified::Deny)
            .mode(Mode::Monitor)
            .protect("/one")
            .protect(Rule::path("/two").min_confidence(12))
            .trusted_proxies(["10.0.0.0/8"])
            .trusted_hops(3)
            .client_ip_header("forwarded")
            .allow(["25.0.0.1".to_owned()])
            .deny(vec!["26.0.0.1"])
            .allow_file("/b")
            .deny_file("/c")
            .cache_ttl(second(4))
            .stale_ttl(second(5))
            .error_ttl(second(6))
            .cache_capacity(7)
            .daily_budget(8)
            .feed_url("file:/d")
            .feed_action(FeedAction::Block)
            .feed_interval(second(60))
            .probe_paths(["/.env"])
            .served_paths(["/y.php"])
            .login_paths(["/enter"])
            .max_failures(9)
            .find_time(second(10))
            .ban_time(second(11))
            .max_ban_time(second(12))
            .redis_url("redis://h")
            .state_dir("/e");
        let toml = r#"
            api_url = "http://127.0.0.1:1/api"
            api_key = "k1"
            api_key_file = "/a"
            api_key_header = "X-Key"
            api_proxy_from_env = true
            api_timeout = "1s"
            max_wait = "2s"
            min_confidence = 11
            on_unverified = "deny"
            mode = "monitor"
            protect = ["/one", { path = "/two", min_confidence = 12 }]
            trusted_proxies = ["10.0.0.0/8"]
            trusted_hops = 3
            client_ip_header = "forwarded"
            allow = ["25.0.0.1"]
            deny = ["26.0.0.1"]
            allow_file = "/b"
            deny_file = "/c"
            cache_ttl = "4s"
            stale_ttl = "5s"
            error_ttl = "6s"
            cache_capacity = 7
            daily_budget = 8
            feed_url = "file:/d"
            feed_action = "block"
            feed_interval = "60s"
            probe_paths = ["/.env"]
            served_paths = ["/y.php"]
            login_paths = ["/enter"]
            max_failures = 9
            find_time = "10s"
            ban_time = "11s"
            max_ban_time = "12s"
            redis_url = "redis://h"
            state_dir = "/e"
        "#;
        let same = Settings::from_toml(toml).unwrap();
        assert_eq!(format!("{:?}", builder.settings()), format!("{same:?}"));
        let key = |settings: &Settings| settings.api_key.clone().map(|key| key.expose().to_owned());
        assert_eq!(key(builder.settings()), key(&same));
        let again = GuardBuilder::from(same);
        assert_eq!(format!("{again:?}"), format!("{builder:?}"));
    }

    #[test]
    fn a_list_replaces_the_one_before_and_a_rule_is_added() {
        let builder = GuardBuilder::new()
            .allow(["25.0.0.1"])
            .allow(["25.0.0.2"])
            .protect("/a")
            .protect("/b".to_owned());
        assert_eq!(builder.settings().allow, ["25.0.0.2"]);
        let rules = [Rule::path("/a"), Rule::path("/b")];
        assert_eq!(builder.settings().protect, rules);
    }
}
