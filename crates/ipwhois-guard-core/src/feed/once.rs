//! A feed without a guard, once.

use super::error::FeedError;
use super::fetch::{FeedSource, Fetched, Validators};
use super::parse::Feed;
use crate::error::BuildError;
use crate::settings::Settings;

impl Feed {
    /// Fetches and reads the feed that the settings name: `feed_url`, or `feed.txt` beside
    /// `api_url`. For tools; a guard does it by itself.
    ///
    /// The future runs on a tokio runtime with I/O and time. It takes 30 s at most.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when `feed_url` or `api_url` is no URL or the HTTP client cannot be started.
    /// The future's are those of [`parse`](Self::parse), [`FeedError::NoFeed`] when the settings
    /// name none, and the ways in which a text cannot be had: [`FeedError::Transport`],
    /// [`FeedError::Timeout`], [`FeedError::Status`], [`FeedError::Encoded`] and
    /// [`FeedError::File`].
    pub fn fetch(
        settings: &Settings,
    ) -> Result<impl Future<Output = Result<Self, FeedError>> + Send + use<>, BuildError> {
        let source = FeedSource::new(settings)?;
        Ok(async move {
            let source = source.ok_or(FeedError::NoFeed)?;
            match source.fetch(&Validators::default()).await? {
                Fetched::Text { text, .. } => Self::parse(&text),
                // No condition was set, so nobody can say that it holds.
                Fetched::Unchanged => Err(FeedError::Status { status: 304 }),
            }
        })
    }
}
