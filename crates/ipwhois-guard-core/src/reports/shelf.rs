//! Where reports outlive the process.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;

use crate::verdict::ThreatType;

/// A future in a box, as traits need it.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A report that the service accepted: what would repeat it soon is not sent, after a restart
/// either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) ip: IpAddr,
    pub(crate) threat_type: ThreatType,
    /// In seconds since 1970.
    pub(crate) queued_at: u64,
}

/// What earlier runs left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    /// The reports that are not sent yet, by their number.
    pub(crate) rows: Vec<(u64, Vec<u8>)>,
    /// Those that were, of the last minutes and longer.
    pub(crate) delivered: Vec<Delivered>,
}

/// Rows of bytes by number, on disk. Every future ends: what cannot be read is not there, and what
/// cannot be written is said in the log.
pub(crate) trait ReportShelf: fmt::Debug + Send + Sync + 'static {
    /// What earlier runs have left, but for what was loaded before. Called before anything is put.
    fn load(&self) -> BoxFuture<'_, Left>;

    /// Resolves when there is more to load: another process has left it. Never, by default.
    fn more(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    /// Keeps a row. Resolves when it is on disk. Many are under way at once, so that one commit can
    /// hold them all.
    fn put(&self, row: u64, bytes: Vec<u8>) -> BoxFuture<'_, ()>;

    /// Removes a row. Resolves when that is on disk. Never called before the row's `put` has
    /// resolved.
    fn remove(&self, row: u64) -> BoxFuture<'_, ()>;

    /// Keeps that a report was delivered, and removes its row, if it has one, in the same breath.
    /// Resolves when that is on disk.
    fn deliver(&self, row: Option<u64>, report: Delivered) -> BoxFuture<'_, ()>;
}
