use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why a feed was not fetched, or not taken. What was known before stays in force.
///
/// Never contains the feed's URL, which may hold a user's name or a key.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// No feed is configured: `feed_action` is `off`, or `feed_url` is empty.
    #[error("no feed is configured")]
    NoFeed,
    /// No connection, or it broke: DNS, TCP, TLS, HTTP framing.
    #[error("the feed's server cannot be reached")]
    Transport {
        /// The HTTP client's word, without the URL.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The deadline for the whole fetch passed.
    #[error("no complete feed within {limit:?}")]
    Timeout {
        /// The deadline.
        limit: Duration,
    },
    /// Any status but 200, and 304 where the feed is known already. Redirects are not followed.
    #[error("the feed's server answers status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The body has a content encoding, which was not asked for.
    #[error("the feed's body is encoded")]
    Encoded,
    /// A `file:` feed cannot be read.
    #[error("the feed cannot be read from {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        source: Arc<io::Error>,
    },
    /// The text passes the size limit of 64 MiB.
    #[error("the feed is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// An HTML page, as captive portals and broken proxies send it.
    #[error("the feed is an HTML page of {length} bytes and no list")]
    Html {
        /// The page's length, in bytes.
        length: usize,
    },
    /// There is no entry in it.
    #[error("the feed has no entry in {length} bytes")]
    Empty {
        /// The text's length, in bytes.
        length: usize,
    },
    /// More lines are bad than good.
    #[error("the feed has {bad} bad lines and {good} good ones; {first}")]
    BadLines {
        /// How many lines are neither an address nor a CIDR.
        bad: usize,
        /// How many are.
        good: usize,
        /// The first bad one.
        first: BadLine,
    },
    /// The number of lines contradicts `Entries: …` in the feed's own comment.
    #[error("the feed announces {announced} entries and has {found}")]
    Contradiction {
        /// The number in the comment.
        announced: usize,
        /// The number of lines that are no comment, bad ones too.
        found: usize,
    },
    /// The list has lost more than half of its entries since the last good one. It is refused for
    /// seven days since that one was last known to be current, and then taken.
    #[error("the feed has shrunk from {before} entries to {now}")]
    Shrunk {
        /// The entries of the last good feed.
        before: usize,
        /// The entries of this one.
        now: usize,
    },
    /// The guard ended while the feed was being read.
    #[error("reading the feed was given up")]
    GivenUp {
        /// The runtime's word.
        source: Arc<dyn StdError + Send + Sync>,
    },
}

impl FeedError {
    pub(crate) fn transport(error: reqwest::Error) -> Self {
        Self::Transport {
            source: Arc::new(error.without_url()),
        }
    }

    /// Whether something came that cannot be believed, in contrast to nothing.
    pub(crate) const fn is_refusal(&self) -> bool {
        match self {
            Self::Encoded
            | Self::TooLong { .. }
            | Self::Html { .. }
            | Self::Empty { .. }
            | Self::BadLines { .. }
            | Self::Contradiction { .. }
            | Self::Shrunk { .. } => true,
            Self::NoFeed
            | Self::Transport { .. }
            | Self::Timeout { .. }
            | Self::Status { .. }
            | Self::File { .. }
            | Self::GivenUp { .. } => false,
        }
    }

    pub(crate) fn given_up(error: tokio::task::JoinError) -> Self {
        Self::GivenUp {
            source: Arc::new(error),
        }
    }
}

/// A line of a feed that is neither an address nor a CIDR, or one that covers far too much.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadLine {
    /// The line, counted from 1.
    pub line: usize,
    /// Its text, at most 80 characters, none of which could confuse a terminal.
    pub text: String,
    /// What is wrong with it, as the rest of the sentence: "is not an address or CIDR".
    pub reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: `{}` {}", self.line, self.text, self.reason)
    }
}
