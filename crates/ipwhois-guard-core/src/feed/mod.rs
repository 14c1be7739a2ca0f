//! The feed: addresses that the service lists for free, fetched as a whole.
//!
//! - A text becomes a [`Feed`] when every doubt about it is dispelled ([`parse`]); reading it is
//!   pure.
//! - A [`FeedSource`](fetch::FeedSource) gets the text from a server or a file, when it has
//!   changed.
//! - The [`FeedKeeper`](keeper::FeedKeeper) holds the last good feed, asks for the next one
//!   ([`schedule`]) and swaps them.

mod action;
mod error;
mod fetch;
mod keeper;
mod once;
mod parse;
mod schedule;

/// What the feed says of each address in it, at least: the service's confidence, 0 to 100.
pub(crate) const CONFIDENCE: u8 = 50;

pub use self::action::FeedAction;
pub use self::error::{BadLine, FeedError};
pub use self::keeper::FeedUpdate;
pub use self::parse::Feed;

pub(crate) use self::fetch::Validators;
pub(crate) use self::keeper::{FeedKeeper, StoredFeed};
