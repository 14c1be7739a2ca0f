//! What waits to be written.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use super::super::tables::Batch;
use super::super::{Said, StoredFeed, StoredVerdict};
use crate::reports::Delivered;
use crate::store::Count;

/// About 4 MiB. Only a disk that fails for long fills it; then newcomers are left out.
const MOST_VERDICTS: usize = 65_536;

/// Only a flood or a disk that fails for long fills it; then newcomers are left out.
const MOST_ROWS: usize = 65_536;

/// Only a disk that fails for long fills it; then newcomers are left out.
const MOST_DELIVERED: usize = 10_000;

/// The newest of each.
#[derive(Debug, Default)]
pub(super) struct Pending {
    verdicts: HashMap<IpAddr, StoredVerdict>,
    budget: Option<Vec<u8>>,
    days: HashMap<u64, Count>,
    feed: Option<StoredFeed>,
    /// By their number; `None` removes one.
    reports: HashMap<u64, Option<Vec<u8>>>,
    delivered: Vec<Delivered>,
    delivered_since: Option<u64>,
    /// By their key; without a row it is deleted.
    rows: HashMap<Vec<u8>, Option<Said>>,
    rows_since: Option<Duration>,
    keep: Option<RangeInclusive<SystemTime>>,
}

impl Pending {
    pub(super) fn verdict(&mut self, verdict: StoredVerdict) {
        if self.verdicts.len() < MOST_VERDICTS || self.verdicts.contains_key(&verdict.ip) {
            self.verdicts.insert(verdict.ip, verdict);
        }
    }

    pub(super) fn budget(&mut self, budget: Vec<u8>) {
        self.budget = Some(budget);
    }

    pub(super) fn count(&mut self, day: u64, count: Count) {
        self.days.insert(day, count);
    }

    pub(super) fn feed(&mut self, feed: StoredFeed) {
        self.feed = Some(feed);
    }

    pub(super) fn report(&mut self, number: u64, report: Option<Vec<u8>>) {
        self.reports.insert(number, report);
    }

    /// Takes the report of this number away, if it has one.
    pub(super) fn delivered(&mut self, number: Option<u64>, delivered: Delivered) {
        if let Some(number) = number {
            self.report(number, None);
        }
        if self.delivered.len() < MOST_DELIVERED {
            self.delivered.push(delivered);
        }
    }

    pub(super) fn row(&mut self, key: Vec<u8>, row: Option<Said>) {
        if self.rows.len() < MOST_ROWS || self.rows.contains_key(&key) {
            self.rows.insert(key, row);
        }
    }

    /// Rows that mattered until then are deleted.
    pub(super) fn forget_rows_before(&mut self, since: Duration) {
        self.rows_since = Some(since);
    }

    pub(super) fn forget_delivered_before(&mut self, since: u64) {
        self.delivered_since = Some(since);
    }

    pub(super) fn keep(&mut self, keep: RangeInclusive<SystemTime>) {
        self.keep = Some(keep);
    }

    /// Rows of another process.
    pub(super) fn add(&mut self, rows: Batch) {
        rows.verdicts
            .into_iter()
            .for_each(|verdict| self.verdict(verdict));
        self.reports.extend(rows.reports);
        for (key, row) in rows.rows {
            self.row(key, row);
        }
        for delivered in rows.delivered {
            self.delivered(None, delivered);
        }
    }

    /// After a write that failed. What came since is newer.
    pub(super) fn put_back(&mut self, batch: Batch) {
        for verdict in batch.verdicts {
            if !self.verdicts.contains_key(&verdict.ip) {
                self.verdict(verdict);
            }
        }
        for (day, count) in batch.days {
            self.days.entry(day).or_insert(count);
        }
        for (number, report) in batch.reports {
            self.reports.entry(number).or_insert(report);
        }
        for (key, row) in batch.rows {
            if !self.rows.contains_key(&key) {
                self.row(key, row);
            }
        }
        self.rows_since = self.rows_since.or(batch.rows_since);
        // The older ones first, so that of two the newer one stays.
        let newer = std::mem::replace(&mut self.delivered, batch.delivered);
        for delivered in newer {
            self.delivered(None, delivered);
        }
        self.delivered_since = self.delivered_since.max(batch.delivered_since);
        self.budget = self.budget.take().or(batch.budget);
        self.feed = self.feed.take().or(batch.feed);
        self.keep = self.keep.take().or(batch.keep);
    }

    /// Takes the rows out. What stays is this process's own: what it learned of the site, its copy
    /// of the feed, and when to prune.
    pub(super) fn take_rows(&mut self) -> Self {
        self.days.clear();
        Self {
            verdicts: std::mem::take(&mut self.verdicts),
            reports: std::mem::take(&mut self.reports),
            delivered: std::mem::take(&mut self.delivered),
            rows: std::mem::take(&mut self.rows),
            ..Self::default()
        }
    }

    pub(super) fn has_rows(&self) -> bool {
        !(self.verdicts.is_empty()
            && self.reports.is_empty()
            && self.delivered.is_empty()
            && self.rows.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether somebody waits for the write.
    pub(super) fn is_urgent(&self) -> bool {
        !self.days.is_empty() || !self.reports.is_empty() || !self.delivered.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.verdicts.len()
            + self.reports.len()
            + self.days.len()
            + self.delivered.len()
            + self.rows.len()
            + usize::from(self.rows_since.is_some())
            + usize::from(self.delivered_since.is_some())
            + usize::from(self.budget.is_some())
            + usize::from(self.feed.is_some())
            + usize::from(self.keep.is_some())
    }
}

impl From<Pending> for Batch {
    fn from(pending: Pending) -> Self {
        Self {
            verdicts: pending.verdicts.into_values().collect(),
            budget: pending.budget,
            days: pending.days.into_iter().collect(),
            feed: pending.feed,
            reports: pending.reports.into_iter().collect(),
            delivered: pending.delivered,
            delivered_since: pending.delivered_since,
            rows: pending.rows.into_iter().collect(),
            rows_since: pending.rows_since,
            keep: pending.keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{feed, ip, now, verdict};
    use super::*;
    use crate::verdict::ThreatType;

    #[test]
    fn of_an_address_the_newest_verdict_waits() {
        let mut pending = Pending::default();
        let later = verdict(1, now() + Duration::from_secs(1));
        pending.verdict(verdict(1, now()));
        pending.verdict(later);
        assert_eq!(Batch::from(pending).verdicts, [later]);
    }

    #[test]
    fn what_comes_back_from_a_failed_write_does_not_replace_what_came_since() {
        let mut failed = Pending::default();
        failed.verdict(verdict(1, now()));
        failed.verdict(verdict(2, now()));
        failed.budget(vec![1]);
        failed.feed(feed("old"));
        let mut pending = Pending::default();
        let later = verdict(1, now() + Duration::from_secs(1));
        pending.verdict(later);
        pending.budget(vec![2]);
        pending.put_back(failed.into());
        let mut batch = Batch::from(pending);
        batch.verdicts.sort_by_key(|verdict| verdict.ip);
        assert_eq!(batch.verdicts, [later, verdict(2, now())]);
        assert_eq!(batch.budget, Some(vec![2]));
        assert_eq!(batch.feed, Some(feed("old")));
    }

    #[test]
    fn a_report_that_was_removed_meanwhile_does_not_come_back_from_a_failed_write() {
        let mut failed = Pending::default();
        failed.report(1, Some(vec![1]));
        failed.report(2, Some(vec![2]));
        let mut pending = Pending::default();
        pending.report(1, None);
        pending.put_back(failed.into());
        let mut batch = Batch::from(pending);
        batch.reports.sort();
        assert_eq!(batch.reports, [(1, None), (2, Some(vec![2]))]);
    }

    #[test]
    fn a_delivery_and_the_end_of_its_report_are_one_write_also_after_one_that_failed() {
        let delivered = |n, queued_at| Delivered {
            ip: ip(n),
            threat_type: ThreatType::Scan,
            queued_at,
        };
        let mut failed = Pending::default();
        failed.report(7, Some(vec![7]));
        failed.delivered(Some(7), delivered(1, 100));
        failed.forget_delivered_before(50);
        let mut pending = Pending::default();
        pending.delivered(None, delivered(1, 200));
        assert!(pending.is_urgent());
        pending.put_back(failed.into());
        let batch = Batch::from(pending);
        assert_eq!(batch.reports, [(7, None)]);
        assert_eq!(batch.delivered, [delivered(1, 100), delivered(1, 200)]);
        assert_eq!(batch.delivered_since, Some(50));
    }

    #[test]
    fn a_disk_that_fails_for_long_does_not_fill_the_memory() {
        let mut pending = Pending::default();
        for n in 0..70_000 {
            pending.verdict(verdict(n, now()));
        }
        assert_eq!(pending.len(), MOST_VERDICTS);
        let later = verdict(1, now() + Duration::from_secs(1));
        pending.verdict(later);
        assert_eq!(pending.verdicts.get(&ip(1)), Some(&later));
        let mut failed = Pending::default();
        failed.verdict(verdict(80_000, now()));
        pending.put_back(failed.into());
        assert_eq!(pending.len(), MOST_VERDICTS);
    }
}
