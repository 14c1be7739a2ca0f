//! The queue of reports on disk.

use std::sync::{Arc, Mutex, PoisonError};

use super::Journal;
use crate::reports::{BoxFuture, Delivered, Left, ReportShelf};

/// Reports by their number, in the journal.
#[derive(Debug)]
pub(crate) struct Shelf {
    journal: Arc<Journal>,
    /// What an earlier process left, until it is asked for.
    left: Mutex<Left>,
}

impl Shelf {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self {
            journal,
            left: Mutex::default(),
        }
    }

    /// Takes what an earlier process left. To be called before the queue runs.
    pub(crate) fn fill(&self, left: Left) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }
}

impl ReportShelf for Shelf {
    fn load(&self) -> BoxFuture<'_, Left> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let left = std::mem::take(&mut *left);
        Box::pin(async move { left })
    }

    fn put(&self, row: u64, bytes: Vec<u8>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.journal.save_report(row, Some(bytes)).await;
        })
    }

    fn remove(&self, row: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.journal.save_report(row, None).await;
        })
    }

    fn deliver(&self, row: Option<u64>, report: Delivered) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.journal.save_delivered(row, report).await;
        })
    }
}
