//! What earlier runs left on the shelf.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;

use super::queue::DEDUPLICATION;
use super::recent::Pair;
use super::report::{self, Report};
use super::shelf::{Delivered, Left};

/// The reports of earlier runs.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Row, time of queueing in seconds since 1970, and report, the oldest first.
    pub(super) reports: Vec<(u64, u64, Report)>,
    /// Rows to remove: reports that repeat others, and those that may not be sent any more.
    pub(super) superfluous: Vec<u64>,
    /// The first row for new reports. A random one: other processes have rows on the same shelf.
    pub(super) next_row: u64,
    /// Those that were delivered.
    pub(super) delivered: Vec<Delivered>,
    /// Reports about addresses that may not be reported any more.
    pub(super) withdrawn: u64,
    /// Rows that cannot be read. They stay as they are: a newer version may have written them.
    pub(super) unreadable: u64,
}

impl Leftovers {
    pub(super) fn read(earlier: Left, may_report: impl Fn(IpAddr) -> bool) -> Self {
        let mut left = Self {
            delivered: earlier.delivered,
            next_row: RandomState::new().hash_one("row"),
            ..Self::default()
        };
        let mut readable = Vec::new();
        for (row, bytes) in earlier.rows {
            match report::decode(&bytes) {
                Some((report, queued_at)) => readable.push((row, queued_at, report)),
                None => left.unreadable += 1,
            }
        }
        readable.sort_unstable_by_key(|&(row, queued_at, _)| (queued_at, row));
        let mut before: HashMap<Pair, u64> = HashMap::new();
        for (row, queued_at, report) in readable {
            let pair = report.pair();
            let is_repeated = before
                .get(&pair)
                .is_some_and(|&before| queued_at - before < DEDUPLICATION.as_secs());
            if is_repeated {
                left.superfluous.push(row);
            } else if !may_report(report.ip()) {
                left.withdrawn += 1;
                left.superfluous.push(row);
            } else {
                before.insert(pair, queued_at);
                left.reports.push((row, queued_at, report));
            }
        }
        left
    }

    pub(super) fn log(&self) {
        if self.unreadable > 0 {
            let rows = self.unreadable;
            event!(
                WARN,
                rows,
                "some reports of an earlier run cannot be read and are left alone"
            );
        }
    }
}
