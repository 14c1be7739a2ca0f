//! The clients that share a lock: every rule of the tracker is applied here, under that lock.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::client::Client;
use super::parts::Word;
use super::record::{Ban, Limits, Record};
use super::shelf::{Places, Shelf};
use super::{Failure, Refused};
use crate::clock::{Tick, ticks};

/// When to try again while all places are taken: an attempt under way usually ends by then.
const ATTEMPT_UNDER_WAY: Duration = Duration::from_secs(1);

/// What all buckets have in common.
#[derive(Debug)]
pub(super) struct Common<W> {
    pub(super) limits: Limits,
    pub(super) tracked: Places<W>,
    pub(super) banned: Places<W>,
    pub(super) bans_lost: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Bucket {
    records: Shelf<Record>,
    bans: Shelf<Ban>,
    /// Numbers attempts, so that the end of one never gives back the place of another.
    last_attempt: u32,
}

impl Bucket {
    pub(super) const fn new() -> Self {
        Self {
            records: Shelf::new(),
            bans: Shelf::new(),
            last_attempt: 0,
        }
    }

    pub(super) fn begin(
        &mut self,
        client: Client,
        now: Tick,
        common: &Common<impl Word>,
    ) -> Result<u32, Refused> {
        if let Some(retry_after) = self.banned(client, now) {
            return Err(Refused {
                retry_after,
                banned: true,
            });
        }
        self.last_attempt = self.last_attempt.wrapping_add(1);
        let id = self.last_attempt;
        let begun = self.update(client, now, common, |record| {
            record.begin(id, now, &common.limits)
        });
        if begun {
            Ok(id)
        } else {
            Err(Refused {
                retry_after: ATTEMPT_UNDER_WAY,
                banned: false,
            })
        }
    }

    /// Gives back the place of an attempt that ends.
    pub(super) fn end(&mut self, client: Client, attempt: u32, common: &Common<impl Word>) {
        if let Some(record) = self.records.get_mut(client) {
            record.end(attempt);
            if record.is_empty() {
                self.records.remove(client, &common.tracked);
            }
        }
    }

    /// Counts a failure. When it trips, also when the ban ends.
    pub(super) fn fail(
        &mut self,
        client: Client,
        now: Tick,
        common: &Common<impl Word>,
    ) -> (Failure, Option<Tick>) {
        if let Some(retry_after) = self.banned(client, now) {
            return (Failure::Banned { retry_after }, None);
        }
        let left = self.update(client, now, common, |record| {
            record.fail(now, &common.limits)
        });
        match left {
            Some(left) => (Failure::Counted { left }, None),
            None => self.trip(client, now, common),
        }
    }

    /// Bans a client that has failed too often, unless it is banned. When it does, also when the
    /// ban ends.
    pub(super) fn trip(
        &mut self,
        client: Client,
        now: Tick,
        common: &Common<impl Word>,
    ) -> (Failure, Option<Tick>) {
        if let Some(retry_after) = self.banned(client, now) {
            return (Failure::Banned { retry_after }, None);
        }
        let ban = common.limits.ban_after(self.bans_before(client, now));
        let ends = self.ban(client, ban, now, common);
        (Failure::Tripped { ban }, Some(ends))
    }

    pub(super) fn succeed(&mut self, client: Client, common: &Common<impl Word>) {
        if let Some(record) = self.records.get_mut(client) {
            record.clear();
            if record.is_empty() {
                self.records.remove(client, &common.tracked);
            }
        }
    }

    /// Bans a client and forgets its failures. A ban that lasts longer already stays as it is.
    /// Returns when it ends.
    pub(super) fn ban(
        &mut self,
        client: Client,
        duration: Duration,
        now: Tick,
        common: &Common<impl Word>,
    ) -> Tick {
        self.succeed(client, common);
        let ends = now.plus(ticks(duration));
        let bans_before = self.bans_before(client, now);
        if let Some(ban) = self.bans.get_mut(client) {
            ban.bans_before = bans_before;
            ban.ends = ban.ends.max(ends);
            return ban.ends;
        }
        let ban = Ban {
            client,
            ends,
            bans_before,
        };
        let evicted = self.bans.add(ban, now, &common.limits, &common.banned);
        if evicted.is_some_and(|ban| ban.is_active(now)) {
            common.bans_lost.fetch_add(1, Ordering::Relaxed);
        }
        ends
    }

    pub(super) fn unban(&mut self, client: Client, common: &Common<impl Word>) {
        self.bans.remove(client, &common.banned);
    }

    /// How much longer a client is banned.
    pub(super) fn banned(&self, client: Client, now: Tick) -> Option<Duration> {
        let ban = self.bans.get(client)?;
        ban.is_active(now).then(|| now.until(ban.ends))
    }

    pub(super) fn active_bans(&self, now: Tick) -> usize {
        self.bans.iter().filter(|ban| ban.is_active(now)).count()
    }

    pub(super) fn bans(&self, now: Tick) -> Vec<(IpAddr, Duration)> {
        let active = self.bans.iter().filter(|ban| ban.is_active(now));
        active
            .map(|ban| (ban.client.address(), now.until(ban.ends)))
            .collect()
    }

    fn bans_before(&self, client: Client, now: Tick) -> u32 {
        let last = self.bans.get(client);
        last.map_or(0, |ban| ban.before_one_from(now))
    }

    /// Changes the record of a client, after making one if there is none.
    fn update<R>(
        &mut self,
        client: Client,
        now: Tick,
        common: &Common<impl Word>,
        change: impl FnOnce(&mut Record) -> R,
    ) -> R {
        if let Some(record) = self.records.get_mut(client) {
            return change(record);
        }
        let mut record = Record::new(client);
        let outcome = change(&mut record);
        if !record.is_empty() {
            self.records
                .add(record, now, &common.limits, &common.tracked);
        }
        outcome
    }
}
