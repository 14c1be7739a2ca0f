//! Where a feed comes from.

use std::path::Path;

use ipwhois_guard_core::{Feed, FeedAction, FeedError, Settings};

use crate::input;
use crate::outcome::{Failure, chain};

/// Longer texts are refused by the parser.
const LONGEST: u64 = 64 * 1_024 * 1_024;

/// Why there is no feed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The text cannot be had.
    Unreadable(Failure),
    /// There is a text, and it is no feed.
    NoFeed(String),
}

/// The feed in a file, at a URL, or on standard input. `whose` begins the sentence that says why it
/// cannot be read.
pub(super) fn read(whose: &str, place: &str) -> Result<Feed, Refusal> {
    if is_url(place) {
        return fetch(whose, Some(place));
    }
    let text = input::read(whose, Path::new(place), LONGEST).map_err(Refusal::Unreadable)?;
    Feed::parse(&text).map_err(|error| Refusal::NoFeed(chain(&error)))
}

/// `file:`, or anything that has a scheme and an authority. The guard knows which schemes can be
/// fetched.
fn is_url(place: &str) -> bool {
    let scheme = place.split_once(':').map(|(scheme, rest)| {
        scheme.eq_ignore_ascii_case("file")
            || rest.starts_with("//") && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    scheme.unwrap_or(false)
}

/// The feed that the environment names; the service's own when it names none.
pub(super) fn configured() -> Result<Feed, Refusal> {
    fetch("", None)
}

/// The feed in a file that an option names.
pub(crate) fn read_file(option: &str, path: &Path) -> Result<Feed, Failure> {
    let text = input::read(&format!("option {option}: "), path, LONGEST)?;
    Feed::parse(&text).map_err(|error| {
        let name = input::name(path);
        Failure::caused(format!("option {option}: {name} is no feed"), &error)
    })
}

fn fetch(whose: &str, url: Option<&str>) -> Result<Feed, Refusal> {
    let unusable = |error: &dyn std::error::Error| {
        let why = chain(error);
        Refusal::Unreadable(Failure::new(format!("{whose}{why}")))
    };
    let mut settings = Settings::from_env().map_err(|error| unusable(&error))?;
    settings.feed_action = FeedAction::Confirm;
    if let Some(url) = url {
        settings.feed_url = Some(url.to_owned());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| unusable(&error))?;
    let fetching = Feed::fetch(&settings).map_err(|error| unusable(&error))?;
    runtime.block_on(fetching).map_err(|error| match error {
        FeedError::NoFeed
        | FeedError::Transport { .. }
        | FeedError::Timeout { .. }
        | FeedError::Status { .. }
        | FeedError::File { .. }
        | FeedError::GivenUp { .. } => unusable(&error),
        _ => Refusal::NoFeed(chain(&error)),
    })
}
