//! The queue of reports on disk.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Journal;
use crate::reports::{BoxFuture, Delivered, Left, ReportShelf};

/// Reports by their number, in the journal.
#[derive(Debug)]
pub(crate) struct Shelf {
    journal: Arc<Journal>,
    /// What earlier processes left, until it is asked for.
    left: Mutex<Left>,
    more: Notify,
}

impl Shelf {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self {
            journal,
            left: Mutex::default(),
            more: Notify::new(),
        }
    }

    /// Takes what an earlier process left.
    pub(crate) fn fill(&self, left: Left) {
        {
            let mut all = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            all.rows.extend(left.rows);
            all.delivered.extend(left.delivered);
        }
        self.more.notify_one();
    }
}

impl ReportShelf for Shelf {
    fn load(&self) -> BoxFuture<'_, Left> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let left = std::mem::take(&mut *left);
        Box::pin(async move { left })
    }

    fn more(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.more.notified())
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
