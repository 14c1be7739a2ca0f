//! Settings, one call each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::all_settings::for_each_setting;
use crate::clock::{Clock, SystemClock};
use crate::error::BuildError;
use crate::feed::FeedAction;
use crate::guard::{Guard, Plan};
use crate::logins::{BanScope, Trip, Wording};
use crate::rules::{Mode, OnUnverified, Rule};
use crate::service::CheckService;
use crate::settings::{ApiKey, SecretUrl, Settings, StatusToken};
use crate::store::SharedStore;

/// Collects the settings of a guard. Each method sets the field of [`Settings`] with its name,
/// where unit and default are described; nothing is checked before the guard is built.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until the guard is built"]
pub struct GuardBuilder {
    pub(crate) settings: Settings,
    clock: Option<Arc<dyn Clock>>,
    service: Option<Arc<dyn CheckService>>,
    wording: Option<Wording>,
    shared: Option<Arc<dyn SharedStore>>,
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
    /// When a setting has a value that cannot be used, two contradict each other, a file cannot be
    /// read, or the thread cannot be started.
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

    /// The clock by which verdicts age, pauses end and the breaker waits; the machine's by default.
    /// Deadlines of calls (`max_wait`, `api_timeout`) are real time whatever the clock says.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Asks somebody else than the service about addresses: a replay, a test, a mirror of your own.
    /// Reports and feed still go by `api_url` and `feed_url`.
    pub fn service(mut self, service: impl CheckService) -> Self {
        self.service = Some(Arc::new(service));
        self
    }

    /// Shares verdicts, the day's budget, failed logins and bans with other machines. One machine
    /// asks the service for all. If the store is slow or down, requests are unaffected: a call has
    /// 50 ms, and after three failures in a row requests no longer wait for it.
    ///
    /// A machine holds a block of the day's checks, and spends it without the store. While the
    /// store is away it spends what it holds, and no more.
    ///
    /// The machines should have the same settings: each goes by its own.
    pub fn shared(mut self, store: impl SharedStore) -> Self {
        self.shared = Some(Arc::new(store));
        self
    }

    /// The guard's name in metrics, as the label `guard`: for a process with several guards. None
    /// by default, and no label then. The counters of guards that have the same name, or none, add
    /// up; their gauges are those of the guard that was the last to publish.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a rule; a path alone is one, too. Without any rule every request is guarded.
    pub fn protect(mut self, rule: impl Into<Rule>) -> Self {
        self.settings.protect.push(rule.into());
        self
    }

    /// Words the reports of clients that are banned for failed logins. By default they say how many
    /// failures there were and in what time, and nothing about accounts. What comes back is made
    /// one line of 1,024 characters at most.
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
}

/// One method for each setting. A list replaces the one that was set before.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $secrecy:ident, $($set:ident)+;)+) => {
        impl GuardBuilder {
            $(setters! { @ $($set)+, $(#[$doc])* $name })+
        }
    };
    (@ none, $($rest:tt)+) => {};
    (@ list, $(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub fn $name<I>(mut self, items: I) -> Self
        where
            I: IntoIterator,
            I::Item: Into<String>,
        {
            let items: Vec<String> = items.into_iter().map(Into::into).collect();
            self.settings.$name = items.into();
            self
        }
    };
    (@ into $type:ident, $(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub fn $name(mut self, value: impl Into<$type>) -> Self {
            let value: $type = value.into();
            self.settings.$name = value.into();
            self
        }
    };
    (@ $type:ident, $(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub fn $name(mut self, value: $type) -> Self {
            self.settings.$name = value.into();
            self
        }
    };
}

for_each_setting!(setters);

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
            .on_unknown_client(OnUnverified::Allow)
            .exempt(["/healthz"])
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
            .ban_scope(BanScope::Logins)
            .feed_interval(second(60))
            .probe_paths(["/.env"])
            .served_paths(["/y.php"])
            .max_failures(9)
            .find_time(second(10))
            .ban_time(second(11))
            .max_ban_time(second(12))
            .redis_url("redis://h")
            .state_dir("/e")
            .status_token("0123456789abcdef");
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
            on_unknown_client = "allow"
            exempt = ["/healthz"]
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
            ban_scope = "logins"
            feed_interval = "60s"
            probe_paths = ["/.env"]
            served_paths = ["/y.php"]
            max_failures = 9
            find_time = "10s"
            ban_time = "11s"
            max_ban_time = "12s"
            redis_url = "redis://h"
            state_dir = "/e"
            status_token = "0123456789abcdef"
        "#;
        let same = Settings::from_toml(toml).unwrap();
        assert_eq!(format!("{:?}", builder.settings()), format!("{same:?}"));
        let secrets = |settings: &Settings| {
            let key = settings.api_key.as_ref().map(|key| key.expose().to_owned());
            let redis = settings
                .redis_url
                .as_ref()
                .map(|url| url.expose().to_owned());
            let feed = settings.feed_url.clone();
            (
                settings.api_url.clone(),
                settings.api_key_header.clone(),
                key,
                redis,
                feed,
            )
        };
        assert_eq!(secrets(builder.settings()), secrets(&same));
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
