use std::fmt;
use std::str::FromStr;

use crate::rules::UnknownChoice;

/// What it means for a client that its address is in the feed. Default: [`Confirm`](Self::Confirm).
///
/// The feed says of an address that the service's confidence is at least 50, and no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedAction {
    /// Where the minimum confidence is 50 or less, the client is denied without a check. Above, it
    /// is checked before anybody else.
    #[default]
    Confirm,
    /// The client is denied without a check, whatever the minimum confidence.
    Block,
    /// No feed is fetched, and none is asked.
    Off,
}

impl FeedAction {
    const ALL: [Self; 3] = [Self::Confirm, Self::Block, Self::Off];

    /// The word of the settings: `confirm`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Block => "block",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for FeedAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FeedAction {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str() == text)
            .ok_or_else(|| UnknownChoice::new(text, "is none of `confirm`, `block` and `off`"))
    }
}
