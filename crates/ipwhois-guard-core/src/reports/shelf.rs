//! Where reports outlive the process.

use std::fmt;
use std::pin::Pin;

/// A future in a box, as traits need it.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Rows of bytes by number, on disk. Every future ends: what cannot be read is not there, and what cannot be written is
/// said in the log.
pub(crate) trait ReportShelf: fmt::Debug + Send + Sync + 'static {
    /// All rows of earlier runs. Called once, before anything is put.
    fn load(&self) -> BoxFuture<'_, Vec<(u64, Vec<u8>)>>;

    /// Keeps a row. Resolves when it is on disk. Many are under way at once, so that one commit can hold them all.
    fn put(&self, row: u64, bytes: Vec<u8>) -> BoxFuture<'_, ()>;

    /// Removes a row. Resolves when that is on disk. Never called before the row's `put` has resolved.
    fn remove(&self, row: u64) -> BoxFuture<'_, ()>;
}
