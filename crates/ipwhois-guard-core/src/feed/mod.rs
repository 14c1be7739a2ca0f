//! The feed: addresses that the service lists for free, fetched as a whole.

mod action;

pub use self::action::FeedAction;
