//! The checks of values that belong to no other module, and the two settings that have to be worked
//! out.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use super::{ApiKey, Settings, StatusToken};
use crate::error::BuildError;
use crate::feed::FeedAction;
use crate::shown::{HIDDEN, slip};
use crate::token::is_token;

/// A feed that changes twice an hour is not asked for more often.
const SHORTEST_FEED_INTERVAL: Duration = Duration::from_secs(60);
/// Longer ones are mistakes, and short enough not to overflow any clock.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const MOST_FAILURES: u32 = 1_000;
const MOST_CACHED: usize = 16_777_216;
const LONGEST_KEY: usize = 512;
/// A shorter token could be guessed.
const SHORTEST_TOKEN: usize = 16;

impl Settings {
    /// Checks what can be checked without reading a file.
    pub(crate) fn validate(&self) -> Result<(), BuildError> {
        self.check_texts()?;
        if self.min_confidence > 100 {
            let value = self.min_confidence.to_string();
            let reason = "is no confidence from 0 to 100";
            return Err(BuildError::setting("min_confidence", value, reason));
        }
        self.check_durations()?;
        if !(1..=MOST_CACHED).contains(&self.cache_capacity) {
            let value = self.cache_capacity.to_string();
            let reason = format!("is not within 1 and {MOST_CACHED}");
            return Err(BuildError::setting("cache_capacity", value, reason));
        }
        if !(1..=MOST_FAILURES).contains(&self.max_failures) {
            let value = self.max_failures.to_string();
            let reason = format!("is not within 1 and {MOST_FAILURES}");
            return Err(BuildError::setting("max_failures", value, reason));
        }
        self.api_base()?;
        self.feed_location()?;
        self.check_key()?;
        self.check_status_token()?;
        if !is_token(&self.api_key_header) {
            let reason = "is no name of a header";
            return Err(BuildError::setting(
                "api_key_header",
                &self.api_key_header,
                reason,
            ));
        }
        Ok(())
    }

    fn check_durations(&self) -> Result<(), BuildError> {
        let durations = [
            ("api_timeout", self.api_timeout),
            ("max_wait", self.max_wait),
            ("cache_ttl", self.cache_ttl),
            ("stale_ttl", self.stale_ttl),
            ("error_ttl", self.error_ttl),
            ("feed_interval", self.feed_interval),
            ("find_time", self.find_time),
            ("ban_time", self.ban_time),
            ("max_ban_time", self.max_ban_time.unwrap_or(self.ban_time)),
        ];
        for (name, duration) in durations {
            let may_be_zero = name == "max_wait";
            let reason = match duration {
                Duration::ZERO if !may_be_zero => "is not longer than nothing",
                shorter if name == "feed_interval" && shorter < SHORTEST_FEED_INTERVAL => {
                    "is shorter than 1 minute"
                }
                longer if longer > LONGEST => "is longer than 30 days",
                _ => continue,
            };
            let value = humantime::format_duration(duration).to_string();
            return Err(BuildError::setting(name, value, reason));
        }
        if self
            .max_ban_time
            .is_some_and(|longest| longest < self.ban_time)
        {
            return Err(BuildError::Conflict {
                first: "max_ban_time",
                second: "ban_time",
                reason: "contradict each other: the longest ban cannot be shorter than the first",
            });
        }
        if self.stale_ttl < self.cache_ttl {
            return Err(BuildError::Conflict {
                first: "stale_ttl",
                second: "cache_ttl",
                reason: "contradict each other: a verdict cannot expire before it is stale",
            });
        }
        Ok(())
    }

    /// The service's base URL. Its path may or may not end with a slash.
    pub(crate) fn api_base(&self) -> Result<reqwest::Url, BuildError> {
        let refuse = |reason: &str| Err(BuildError::setting("api_url", &self.api_url, reason));
        let url = match reqwest::Url::parse(&self.api_url) {
            Ok(url) => url,
            Err(error) => {
                let reason = format!("is no URL such as `https://host/api`: {error}");
                return refuse(&reason);
            }
        };
        if !matches!(url.scheme(), "http" | "https") {
            return refuse("is neither an http nor an https URL");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("names a user; a key belongs into `api_key`");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("has a query or a fragment; a key belongs into `api_key`");
        }
        Ok(url)
    }

    /// Where the feed is; `None` when there is none.
    pub(crate) fn feed_location(&self) -> Result<Option<reqwest::Url>, BuildError> {
        let text = match &self.feed_url {
            _ if self.feed_action == FeedAction::Off => return Ok(None),
            None => return self.feed_beside_api().map(Some),
            Some(text) if text.is_empty() => return Ok(None),
            Some(text) => text,
        };
        let refuse = |reason: &str| Err(BuildError::setting("feed_url", text, reason));
        let url = match reqwest::Url::parse(text) {
            Ok(url) => url,
            Err(_) if text.starts_with(['/', '.', '~']) => {
                return refuse("is a path: a file's URL is `file:///` and its path");
            }
            Err(error) => {
                let reason = format!("is no URL such as `https://host/feed.txt`: {error}");
                return refuse(&reason);
            }
        };
        match url.scheme() {
            "http" | "https" => Ok(Some(url)),
            "file" if url.to_file_path().is_ok() => Ok(Some(url)),
            "file" => refuse("is no path of a file on this machine"),
            _ => refuse("is neither an http, an https nor a file URL"),
        }
    }

    fn feed_beside_api(&self) -> Result<reqwest::Url, BuildError> {
        let mut url = self.api_base()?;
        let api = url.path().trim_end_matches('/');
        let folder = api.rsplit_once('/').map_or("", |(folder, _)| folder);
        let feed = format!("{folder}/feed.txt");
        url.set_path(&feed);
        Ok(url)
    }

    /// Warns of settings that are said and that other ones leave without effect.
    pub(crate) fn warn_of_idle(&self) {
        let default = Self::default();
        let trusts = !self.trusted_proxies.is_empty() || self.trusted_hops.is_some();
        let has_key = self.api_key.is_some() || self.api_key_file.is_some();
        let has_feed = self.feed_action != FeedAction::Off;
        let is_other_header = self.client_ip_header != default.client_ip_header;
        let is_other_key_header = self.api_key_header != default.api_key_header;
        let has_feed_url = self.feed_url.as_ref().is_some_and(|url| !url.is_empty());
        let is_other_interval = self.feed_interval != default.feed_interval;
        for (name, is_said, has_effect, lacks) in [
            (
                "client_ip_header",
                is_other_header,
                trusts,
                "`trusted_proxies` or `trusted_hops`",
            ),
            (
                "api_key_header",
                is_other_key_header,
                has_key,
                "`api_key` or `api_key_file`",
            ),
            (
                "feed_url",
                has_feed_url,
                has_feed,
                "a `feed_action` other than `off`",
            ),
            (
                "feed_interval",
                is_other_interval,
                has_feed,
                "a `feed_action` other than `off`",
            ),
        ] {
            if is_said && !has_effect {
                tracing::warn!(target: "ipwhois_guard", "`{name}` has no effect without {lacks}");
            }
        }
    }

    /// How many checks a day may cost.
    #[allow(dead_code)]
    pub(crate) fn checks_a_day(&self) -> u32 {
        let has_key = self.api_key.is_some() || self.api_key_file.is_some();
        self.daily_budget
            .unwrap_or(if has_key { 1_000 } else { 500 })
    }

    /// The key, from `api_key` or from `api_key_file`.
    pub(crate) fn load_key(&self) -> Result<Option<ApiKey>, BuildError> {
        self.check_key()?;
        match (&self.api_key, &self.api_key_file) {
            (Some(key), _) => Ok(Some(key.clone())),
            (None, Some(path)) => read_key(path).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn check_status_token(&self) -> Result<(), BuildError> {
        match self.status_token.as_ref().map(StatusToken::expose) {
            Some(token) if !is_key(token) || token.len() < SHORTEST_TOKEN => {
                let reason =
                    format!("is not {SHORTEST_TOKEN} to {LONGEST_KEY} visible ASCII characters");
                Err(BuildError::setting("status_token", token, reason))
            }
            _ => Ok(()),
        }
    }

    fn check_key(&self) -> Result<(), BuildError> {
        if self.api_key.is_some() && self.api_key_file.is_some() {
            return Err(BuildError::Conflict {
                first: "api_key",
                second: "api_key_file",
                reason: "are both given: one of them is enough",
            });
        }
        match &self.api_key {
            Some(key) if !is_key(key.expose()) => {
                let reason = format!("is not 1 to {LONGEST_KEY} visible ASCII characters");
                Err(BuildError::setting("api_key", key.expose(), reason))
            }
            _ => Ok(()),
        }
    }
}

fn read_key(path: &Path) -> Result<ApiKey, BuildError> {
    const SETTING: &str = "api_key_file";
    // A file that cannot be a key is not read to its end, which `/dev/zero` does not have.
    let at_most = LONGEST_KEY.saturating_add(16) as u64;
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(at_most).read_to_end(&mut text))
        .map_err(|source| match path.components().count() {
            // It may be the key.
            1 => BuildError::Setting {
                setting: SETTING.to_owned(),
                value: HIDDEN.to_owned(),
                reason: format!("is no file; a key itself belongs into `api_key`: {source}"),
            },
            _ => BuildError::File {
                setting: SETTING,
                path: path.to_owned(),
                source,
            },
        })?;
    let key = std::str::from_utf8(&text)
        .unwrap_or_default()
        .trim_end_matches(['\r', '\n']);
    let reason = match slip(key, true) {
        _ if !is_key(key) => {
            format!("does not hold a key of 1 to {LONGEST_KEY} visible ASCII characters")
        }
        Some(slip) => format!("holds a key that {slip}"),
        None => return Ok(ApiKey::new(key)),
    };
    let path = path.display().to_string();
    Err(BuildError::setting(SETTING, path, reason))
}

fn is_key(text: &str) -> bool {
    (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
