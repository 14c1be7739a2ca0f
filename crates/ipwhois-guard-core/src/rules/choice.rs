//! The two choices a rule can make besides its threshold.

use std::fmt;
use std::str::FromStr;

/// What the guard does with its decisions. Default: [`Enforce`](Self::Enforce).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A client that is not allowed gets the denial as its response.
    #[default]
    Enforce,
    /// Everything is decided, recorded and visible to handlers, and nothing is refused.
    Monitor,
    /// The guard leaves the requests alone.
    Off,
}

impl Mode {
    pub(super) const ALL: [Self; 3] = [Self::Enforce, Self::Monitor, Self::Off];

    /// The word of the settings: `enforce`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Monitor => "monitor",
            Self::Off => "off",
        }
    }

    /// The one of the two that refuses more.
    pub(super) const fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Enforce, _) | (_, Self::Enforce) => Self::Enforce,
            (Self::Monitor, _) | (_, Self::Monitor) => Self::Monitor,
            (Self::Off, Self::Off) => Self::Off,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| UnknownChoice::new(text, "is none of `enforce`, `monitor` and `off`"))
    }
}

/// What happens to a client that cannot be verified: the service is down, the budget is used up,
/// the address is not determinable. Default: [`Allow`](Self::Allow), so that the guard never takes
/// the site down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnverified {
    /// The request goes on.
    #[default]
    Allow,
    /// The request is answered with 503 and `Retry-After`.
    Deny,
}

impl OnUnverified {
    pub(super) const ALL: [Self; 2] = [Self::Allow, Self::Deny];

    /// The word of the settings: `allow`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    /// The one of the two that refuses more.
    pub(super) const fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Deny, _) | (_, Self::Deny) => Self::Deny,
            (Self::Allow, Self::Allow) => Self::Allow,
        }
    }
}

impl fmt::Display for OnUnverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OnUnverified {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.as_str() == text)
            .ok_or_else(|| UnknownChoice::new(text, "is none of `allow` and `deny`"))
    }
}

/// The text is no [`Mode`] or no [`OnUnverified`]; the message lists what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {reason}")]
pub struct UnknownChoice {
    text: String,
    reason: &'static str,
}

impl UnknownChoice {
    pub(crate) fn new(text: &str, reason: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            reason,
        }
    }

    /// The message without the text, for errors that show the value themselves.
    pub(crate) const fn reason(&self) -> &'static str {
        self.reason
    }
}
