//! The verdict cache: what the service said of an address, how long ago, and whether asking failed
//! lately.
//!
//! 1. One entry an address. It holds the *verdict*, never a decision: rules with different minimums
//!    share it.
//! 2. A verdict is fresh until `cache_ttl`, then stale until `stale_ttl`, then nothing. A failed
//!    call is remembered for `error_ttl` beside a verdict or without one, and never hides a verdict
//!    that may still be used. So is a look in vain at what other machines know.
//! 3. There are never more than `cache_capacity` entries. Addresses are spread over buckets of
//!    about [`MEAN_BUCKET`]; when the cache is full, a newcomer takes the place of what is least
//!    worth keeping in its bucket ([`Bucket::least_worth`]). So eviction looks at a handful of
//!    entries, and neither rehashes nor walks the cache.
//! 4. Which bucket an address falls into depends on a seed of the process: nobody outside can aim
//!    at one.

mod bucket;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;

use self::bucket::{Bucket, Key};
use crate::clock::{Tick, ticks};
use crate::spread::Spread;
use crate::verdict::{Reputation, Unverified};

/// How many addresses share a bucket when the cache is full, on average.
const MEAN_BUCKET: usize = 16;

/// How long what is remembered counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ages {
    fresh: u32,
    stale: u32,
    failure: u32,
}

impl Ages {
    pub(crate) fn new(cache_ttl: Duration, stale_ttl: Duration, error_ttl: Duration) -> Self {
        Self {
            fresh: ticks(cache_ttl),
            stale: ticks(stale_ttl),
            failure: ticks(error_ttl),
        }
    }
}

/// What the cache knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Nothing of use.
    Nothing,
    /// A verdict younger than `cache_ttl`.
    Fresh(Reputation),
    /// An older one that may still be used, and whether it is time to refresh it.
    Stale {
        reputation: Reputation,
        refresh: bool,
    },
    /// No verdict, and asking failed less than `error_ttl` ago.
    Failed(Unverified),
    /// No verdict, here or on another machine, less than `error_ttl` ago, and no check to spend on
    /// it then.
    Unpaid,
}

#[derive(Debug)]
pub(crate) struct VerdictCache {
    buckets: DashMap<u32, Bucket, foldhash::fast::RandomState>,
    bucket_count: u32,
    spread: Spread,
    capacity: usize,
    len: AtomicUsize,
    ages: Ages,
}

impl VerdictCache {
    pub(crate) fn new(capacity: usize, ages: Ages) -> Self {
        let bucket_count = u32::try_from(capacity.div_ceil(MEAN_BUCKET)).unwrap_or(u32::MAX);
        let bucket_count = bucket_count.max(1);
        Self {
            buckets: DashMap::with_capacity_and_hasher(
                bucket_count as usize,
                foldhash::fast::RandomState::default(),
            ),
            bucket_count,
            spread: Spread::default(),
            capacity: capacity.max(1),
            len: AtomicUsize::new(0),
            ages,
        }
    }

    /// How many addresses are remembered, those included whose time has passed.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// What is known of an address. Marks it as used.
    pub(crate) fn recall(&self, ip: IpAddr, now: Tick) -> Memory {
        self.recall_since(ip, Tick::NEVER, now)
    }

    /// The same, but a verdict "not listed" from before `clean_since` does not count.
    pub(crate) fn recall_since(&self, ip: IpAddr, clean_since: Tick, now: Tick) -> Memory {
        let key = Key::from(ip);
        let ages = self.ages;
        let recall = move |_: &u32, bucket: &Bucket| bucket.recall(key, now, ages, clean_since);
        self.buckets
            .view(&self.bucket_of(key), recall)
            .unwrap_or(Memory::Nothing)
    }

    /// The same as [`recall`](Self::recall), and as of when the verdict is.
    #[inline]
    pub(crate) fn recall_dated(&self, ip: IpAddr, now: Tick) -> (Memory, Tick) {
        let key = Key::from(ip);
        let ages = self.ages;
        let recall = move |_: &u32, bucket: &Bucket| bucket.recall_dated(key, now, ages);
        let known = self.buckets.view(&self.bucket_of(key), recall).flatten();
        known.unwrap_or((Memory::Nothing, Tick::NEVER))
    }

    /// Remembers a verdict. It replaces an older one and whatever failed before.
    pub(crate) fn learn(&self, ip: IpAddr, reputation: Reputation, now: Tick) {
        self.update(Key::from(ip), now, |bucket, key| {
            bucket.learn(key, reputation, now)
        });
    }

    /// Takes back a verdict of an earlier time, unless a newer one is there.
    pub(crate) fn restore(&self, ip: IpAddr, reputation: Reputation, verified: Tick, now: Tick) {
        self.update(Key::from(ip), now, |bucket, key| {
            bucket.restore(key, reputation, verified, now)
        });
    }

    /// Remembers that an address has just been found to be listed, at that time by another clock: a
    /// verdict "not listed" of any time gives way.
    pub(crate) fn learn_listed(
        &self,
        ip: IpAddr,
        reputation: Reputation,
        verified: Tick,
        now: Tick,
    ) {
        self.update(Key::from(ip), now, |bucket, key| {
            bucket.learn_listed(key, reputation, verified, now)
        });
    }

    /// Remembers that asking failed. A verdict of the same address stays.
    pub(crate) fn note_failure(&self, ip: IpAddr, reason: Unverified, now: Tick) {
        self.update(Key::from(ip), now, |bucket, key| {
            bucket.note_failure(key, reason, now)
        });
    }

    /// Remembers that no other machine has a verdict, and that there was no check to spend.
    pub(crate) fn note_unpaid(&self, ip: IpAddr, now: Tick) {
        self.note_failure(ip, Unverified::NoBudget, now);
    }

    /// Runs `write` on the entry of `key`, after making one if there is none.
    fn update(&self, key: Key, now: Tick, write: impl Fn(&mut Bucket, Key)) {
        let home = self.bucket_of(key);
        {
            let mut bucket = self.buckets.entry(home).or_default();
            if bucket.contains(key) || self.take_place() {
                write(&mut bucket, key);
                return;
            }
            if bucket.evict(now, self.ages) {
                write(&mut bucket, key);
                return;
            }
        }
        // The cache is full and this bucket is empty: take the place from another one. The lock on
        // this bucket is released by now, since two buckets may share a lock.
        if self.evict_elsewhere(home, now) {
            write(&mut self.buckets.entry(home).or_default(), key);
        }
    }

    /// Counts one more entry, if there is room.
    fn take_place(&self) -> bool {
        self.len
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |len| {
                (len < self.capacity).then_some(len + 1)
            })
            .is_ok()
    }

    fn evict_elsewhere(&self, home: u32, now: Tick) -> bool {
        (1..self.bucket_count).any(|step| {
            let other = (u64::from(home) + u64::from(step)) % u64::from(self.bucket_count);
            self.buckets
                .get_mut(&(other as u32))
                .is_some_and(|mut bucket| bucket.evict(now, self.ages))
        })
    }

    fn bucket_of(&self, key: Key) -> u32 {
        self.spread.place(key, self.bucket_count)
    }
}

#[cfg(test)]
mod tests;
