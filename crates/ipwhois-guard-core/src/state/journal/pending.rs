//! What waits to be written.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::SystemTime;

use super::super::tables::Batch;
use super::super::{StoredFeed, StoredVerdict};

/// About 4 MiB. Only a disk that fails for long fills it; then newcomers are left out.
const MOST_VERDICTS: usize = 65_536;

/// The newest of each.
#[derive(Debug, Default)]
pub(super) struct Pending {
    verdicts: HashMap<IpAddr, StoredVerdict>,
    budget: Option<Vec<u8>>,
    feed: Option<StoredFeed>,
    /// By their number; `None` removes one.
    reports: HashMap<u64, Option<Vec<u8>>>,
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

    pub(super) fn feed(&mut self, feed: StoredFeed) {
        self.feed = Some(feed);
    }

    pub(super) fn report(&mut self, number: u64, report: Option<Vec<u8>>) {
        self.reports.insert(number, report);
    }

    pub(super) fn keep(&mut self, keep: RangeInclusive<SystemTime>) {
        self.keep = Some(keep);
    }

    /// After a write that failed. What came since is newer.
    pub(super) fn put_back(&mut self, batch: Batch) {
        for verdict in batch.verdicts {
            if !self.verdicts.contains_key(&verdict.ip) {
                self.verdict(verdict);
            }
        }
        for (number, report) in batch.reports {
            self.reports.entry(number).or_insert(report);
        }
        self.budget = self.budget.take().or(batch.budget);
        self.feed = self.feed.take().or(batch.feed);
        self.keep = self.keep.take().or(batch.keep);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether somebody waits for the write.
    pub(super) fn is_urgent(&self) -> bool {
        self.budget.is_some() || !self.reports.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.verdicts.len()
            + self.reports.len()
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
            feed: pending.feed,
            reports: pending.reports.into_iter().collect(),
            keep: pending.keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::testing::{feed, ip, now, verdict};
    use super::*;

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
