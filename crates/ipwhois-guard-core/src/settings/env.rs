//! The settings in the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::{ApiKey, SecretUrl, Settings, text};
use crate::error::BuildError;
use crate::rules::{Rule, UnknownChoice, check_path};

const PREFIX: &str = "IPWHOIS_GUARD_";

/// The one setting of which an empty variable says something: that there is no feed.
const FEED_URL: &str = "feed_url";

/// It may hold a password.
const REDIS_URL: &str = "redis_url";

/// A setting's name, and how it is set from text.
type Entry = (&'static str, fn(&mut Settings, &str) -> Result<(), String>);

/// Every setting. The names are those of the fields of [`Settings`]; a test holds the two together.
const TABLE: &[Entry] = &[
    ("api_url", |s, v| put(&mut s.api_url, owned(v))),
    ("api_key", |s, v| {
        put(&mut s.api_key, Ok(Some(ApiKey::new(v))))
    }),
    ("api_key_file", |s, v| put(&mut s.api_key_file, path(v))),
    ("api_key_header", |s, v| {
        put(&mut s.api_key_header, owned(v))
    }),
    ("api_proxy_from_env", |s, v| {
        put(&mut s.api_proxy_from_env, text::boolean(v))
    }),
    ("api_timeout", |s, v| {
        put(&mut s.api_timeout, text::duration(v))
    }),
    ("max_wait", |s, v| put(&mut s.max_wait, text::duration(v))),
    ("min_confidence", |s, v| {
        put(&mut s.min_confidence, text::confidence(v))
    }),
    ("on_unverified", |s, v| {
        put(&mut s.on_unverified, v.parse().map_err(choice))
    }),
    ("mode", |s, v| put(&mut s.mode, v.parse().map_err(choice))),
    ("protect", |s, v| put(&mut s.protect, rules(v))),
    ("trusted_proxies", |s, v| {
        put(&mut s.trusted_proxies, list(v))
    }),
    ("trusted_hops", |s, v| {
        put(&mut s.trusted_hops, text::number(v).map(Some))
    }),
    ("client_ip_header", |s, v| {
        put(&mut s.client_ip_header, owned(v))
    }),
    ("allow", |s, v| put(&mut s.allow, list(v))),
    ("deny", |s, v| put(&mut s.deny, list(v))),
    ("allow_file", |s, v| put(&mut s.allow_file, path(v))),
    ("deny_file", |s, v| put(&mut s.deny_file, path(v))),
    ("cache_ttl", |s, v| put(&mut s.cache_ttl, text::duration(v))),
    ("stale_ttl", |s, v| put(&mut s.stale_ttl, text::duration(v))),
    ("error_ttl", |s, v| put(&mut s.error_ttl, text::duration(v))),
    ("cache_capacity", |s, v| {
        put(&mut s.cache_capacity, text::number(v))
    }),
    ("daily_budget", |s, v| {
        put(&mut s.daily_budget, text::number(v).map(Some))
    }),
    (FEED_URL, |s, v| put(&mut s.feed_url, owned(v).map(Some))),
    ("feed_action", |s, v| {
        put(&mut s.feed_action, v.parse().map_err(choice))
    }),
    ("feed_interval", |s, v| {
        put(&mut s.feed_interval, text::duration(v))
    }),
    ("probe_paths", |s, v| {
        put(&mut s.probe_paths, list(v).map(Some))
    }),
    ("served_paths", |s, v| put(&mut s.served_paths, list(v))),
    ("login_paths", |s, v| {
        put(&mut s.login_paths, list(v).map(Some))
    }),
    ("max_failures", |s, v| {
        put(&mut s.max_failures, text::number(v))
    }),
    ("find_time", |s, v| put(&mut s.find_time, text::duration(v))),
    ("ban_time", |s, v| put(&mut s.ban_time, text::duration(v))),
    ("max_ban_time", |s, v| {
        put(&mut s.max_ban_time, text::duration(v).map(Some))
    }),
    (REDIS_URL, |s, v| {
        put(&mut s.redis_url, Ok(Some(SecretUrl::new(v))))
    }),
    ("state_dir", |s, v| put(&mut s.state_dir, path(v))),
];

fn put<T>(slot: &mut T, value: Result<T, String>) -> Result<(), String> {
    *slot = value?;
    Ok(())
}

fn owned(value: &str) -> Result<String, String> {
    Ok(value.to_owned())
}

fn path(value: &str) -> Result<Option<PathBuf>, String> {
    Ok(Some(PathBuf::from(value)))
}

fn choice(error: UnknownChoice) -> String {
    error.reason().to_owned()
}

fn list(value: &str) -> Result<Vec<String>, String> {
    Ok(text::items(value).map(str::to_owned).collect())
}

fn rules(value: &str) -> Result<Vec<Rule>, String> {
    text::items(value)
        .map(|path| match check_path(path) {
            Ok(()) => Ok(Rule::path(path)),
            Err(reason) => Err(format!("holds a path, `{path}`, that {reason}")),
        })
        .collect()
}

/// The names of all settings.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// A variable with the guard's prefix that is no setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownVar {
    /// The variable's name.
    pub(crate) name: String,
    /// The variable that was probably meant.
    pub(crate) nearest: Option<String>,
}

impl Settings {
    /// Reads the process's environment: `IPWHOIS_GUARD_API_KEY`, `IPWHOIS_GUARD_MAX_WAIT`, and so on.
    ///
    /// An empty variable counts as unset, but for `IPWHOIS_GUARD_FEED_URL`, where it means no feed. An unknown variable with this prefix is logged as a warning with the nearest
    /// name, and is no error: container platforms inject variables of their own.
    ///
    /// # Errors
    ///
    /// [`BuildError::Setting`] for a value that cannot be read. It names the variable, and shows the value unless it is the
    /// key.
    pub fn from_env() -> Result<Self, BuildError> {
        Self::from_vars(std::env::vars_os())
    }

    /// [`from_env`](Self::from_env) over other variables than the process's.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use ipwhois_guard_core::Settings;
    /// let settings = Settings::from_vars([("IPWHOIS_GUARD_MIN_CONFIDENCE", "75")])?;
    /// assert_eq!(settings.min_confidence, 75);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_vars<I, N, V>(vars: I) -> Result<Self, BuildError>
    where
        I: IntoIterator<Item = (N, V)>,
        N: Into<OsString>,
        V: Into<OsString>,
    {
        // In the order of their names, so that of two mistakes always the same one is told first.
        let vars: BTreeMap<String, OsString> = vars
            .into_iter()
            .map(|(name, value)| (name.into().to_string_lossy().into_owned(), value.into()))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        for UnknownVar { name, nearest } in unknown_vars(vars.keys()) {
            match nearest {
                Some(nearest) => tracing::warn!(
                    target: "ipwhois_guard",
                    "the environment variable {name} is no setting and has no effect: is {nearest} meant?"
                ),
                None => tracing::warn!(
                    target: "ipwhois_guard",
                    "the environment variable {name} is no setting and has no effect"
                ),
            }
        }
        let mut settings = Self::default();
        for &(name, set) in TABLE {
            let variable = variable(name);
            let Some(value) = vars.get(&variable) else {
                continue;
            };
            let secret = name == "api_key" || name == REDIS_URL;
            let shown = |value: &str| if secret { "(hidden)" } else { value }.to_owned();
            let Some(value) = value.to_str() else {
                let value = shown(&value.to_string_lossy());
                return Err(BuildError::setting(variable, value, "is not UTF-8"));
            };
            let value = value.trim();
            if !value.is_empty() || name == FEED_URL {
                set(&mut settings, value)
                    .map_err(|reason| BuildError::setting(variable, shown(value), reason))?;
            }
        }
        Ok(settings)
    }
}

/// Those of the variables that have the guard's prefix and are no settings.
pub(crate) fn unknown_vars<S: AsRef<str>>(vars: impl Iterator<Item = S>) -> Vec<UnknownVar> {
    vars.filter_map(|variable_name| {
        let variable_name = variable_name.as_ref();
        let name = variable_name.strip_prefix(PREFIX)?;
        let known = names().any(|known| variable(known) == variable_name);
        (!known).then(|| UnknownVar {
            name: variable_name.to_owned(),
            nearest: text::nearest(name, names()).map(variable),
        })
    })
    .collect()
}

/// The variable of a setting: `IPWHOIS_GUARD_MAX_WAIT` for `max_wait`.
fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}
