//! The settings in the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::{NAMES, Settings, text};
use crate::error::BuildError;

const PREFIX: &str = "IPWHOIS_GUARD_";

/// The one setting of which an empty variable says something: that there is no feed.
const FEED_URL: &str = "feed_url";

/// A variable with the guard's prefix that is no setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownVar {
    /// The variable's name.
    pub(crate) name: String,
    /// The variable that was probably meant.
    pub(crate) nearest: Option<String>,
}

impl Settings {
    /// Reads the process's environment: `IPWHOIS_GUARD_API_KEY`, `IPWHOIS_GUARD_MAX_WAIT`, and so
    /// on.
    ///
    /// An empty variable counts as unset, but for `IPWHOIS_GUARD_FEED_URL`, where it means no
    /// feed. An unknown variable with this prefix is logged as a warning with the nearest name,
    /// and is no error: container platforms inject variables of their own.
    ///
    /// # Errors
    ///
    /// [`BuildError::Setting`] for a value that cannot be read. It names the variable, and shows
    /// the value unless that may hold a secret.
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
                _ if name.strip_prefix(PREFIX).is_some_and(is_gone) => tracing::warn!(
                    target: "ipwhois_guard",
                    "the environment variable {name} has no effect: it {GONE}"
                ),
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
        for &name in NAMES {
            let variable = variable(name);
            let Some(value) = vars.get(&variable) else {
                continue;
            };
            let Some(text) = value.to_str() else {
                let value = value.to_string_lossy();
                return Err(BuildError::setting(variable, value, "is not UTF-8"));
            };
            let text = text.trim();
            if !text.is_empty() || name == FEED_URL {
                settings
                    .set(name, text)
                    .map_err(|reason| BuildError::setting(variable, text, reason))?;
            }
        }
        Ok(settings)
    }
}

/// What is said of a setting of an earlier version.
pub(super) const GONE: &str = "is no setting any more: the guard learns from its own checks where attackers come, so remove it";

/// Whether an earlier version had a setting of this name.
pub(super) fn is_gone(name: &str) -> bool {
    name.eq_ignore_ascii_case("login_paths")
}

/// Those of the variables that have the guard's prefix and are no settings.
pub(crate) fn unknown_vars<S: AsRef<str>>(vars: impl Iterator<Item = S>) -> Vec<UnknownVar> {
    vars.filter_map(|variable_name| {
        let variable_name = variable_name.as_ref();
        let name = variable_name.strip_prefix(PREFIX)?;
        let known = NAMES.iter().any(|known| variable(known) == variable_name);
        (!known).then(|| UnknownVar {
            name: variable_name.to_owned(),
            nearest: text::nearest(name, NAMES).map(variable),
        })
    })
    .collect()
}

/// The variable of a setting: `IPWHOIS_GUARD_MAX_WAIT` for `max_wait`.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}
