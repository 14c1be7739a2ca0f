//! What a guard keeps across restarts, in one folder: verdicts, the budget's counter, the last good
//! feed, reports, failed logins and bans.
//!
//! 1. Only a caller that asks to waits for the disk ([`Journal::save_count`]), and no request does.
//! 2. One file, one transaction a write, on the disk when the write returns. A process that is
//!    killed loses the verdicts of the last second.
//! 3. Nothing is ever deleted. A file that makes no sense is renamed, and a new one takes its
//!    place; one of a newer version is left alone, and the guard runs from memory.
//! 4. One process has the file open. The others join it, and tell it what is to be kept
//!    ([`Journal::join`]). A folder that cannot be had is tried again for ever.
//! 5. A file that somebody removes while it is in use is written anew, with what it held: it is
//!    still open. One that was replaced by another is left alone, and so is the other.
//! 6. Ages go by the wall clock, which jumps: see [`age`].

mod age;
mod codec;
mod error;
mod folder;
mod journal;
mod store;
mod tables;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::reports::Delivered;
use crate::store::Count;
use crate::verdict::Reputation;

pub(crate) use self::age::{age, tick};
pub(crate) use self::folder::FileId;
pub(crate) use self::journal::{Holder, Journal, NotOpened, Shelf};
pub(crate) use self::tables::Batch;

/// What the service said of an address, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredVerdict {
    pub(crate) ip: IpAddr,
    pub(crate) reputation: Reputation,
    pub(crate) verified: SystemTime,
}

/// The last good feed as it came, with what a conditional request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredFeed {
    pub(crate) text: Vec<u8>,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    pub(crate) fetched: SystemTime,
}

/// A row of what failed logins keep, which only they can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) key: Vec<u8>,
    /// `None` deletes it.
    pub(crate) row: Option<Said>,
}

/// Until when a row matters, since 1970, and what it says.
pub(crate) type Said = (Duration, Vec<u8>);

/// What an earlier process left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) verdicts: Vec<StoredVerdict>,
    pub(crate) budget: Option<Vec<u8>>,
    /// Checks granted, by day.
    pub(crate) days: Vec<(u64, Count)>,
    pub(crate) feed: Option<StoredFeed>,
    /// Reports that are not sent yet, by their number.
    pub(crate) reports: Vec<(u64, Vec<u8>)>,
    /// Reports that were delivered lately.
    pub(crate) delivered: Vec<Delivered>,
    /// Failed logins and bans: key, until when the row matters, and the row.
    pub(crate) rows: Vec<(Vec<u8>, Duration, Vec<u8>)>,
    /// Rows that could not be read.
    pub(crate) skipped: usize,
}

#[cfg(test)]
mod testing;
