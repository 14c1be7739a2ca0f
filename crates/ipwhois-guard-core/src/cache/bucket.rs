//! A handful of entries that are kept or evicted together.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Ages, Memory};
use crate::clock::Tick;
use crate::verdict::{Reputation, Unverified};

/// An address in 16 bytes. IPv4 takes its mapped form, which no canonical IPv6 address has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    high: u64,
    low: u64,
}

impl PartialEq for Key {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Addresses differ in their low half nearly always. So one comparison an entry, as good as
        // always, is enough.
        if self.low != other.low {
            return false;
        }
        self.high == other.high
    }
}

impl Eq for Key {}

impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.high);
        state.write_u64(self.low);
    }
}

impl From<IpAddr> for Key {
    #[inline]
    fn from(ip: IpAddr) -> Self {
        let bits = match ip {
            IpAddr::V4(v4) => Ipv4Addr::to_ipv6_mapped(&v4).to_bits(),
            IpAddr::V6(v6) => Ipv6Addr::to_bits(v6),
        };
        Self {
            high: (bits >> 64) as u64,
            low: bits as u64,
        }
    }
}

/// 32 bytes; the size is held by a test.
#[derive(Debug)]
struct Entry {
    key: Key,
    verified: Tick,
    failed: Tick,
    used: AtomicU32,
    reputation: Reputation,
    failure: Unverified,
}

/// What an entry is good for, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Nothing,
    Failure,
    Clean,
    Listed,
}

impl Entry {
    fn recall(&self, now: Tick, ages: Ages, clean_since: Tick) -> Memory {
        let failed = || self.failed.is_within(ages.failure, now);
        let counts = self.reputation.listed || self.verified >= clean_since;
        if counts && self.verified.is_within(ages.fresh, now) {
            Memory::Fresh(self.reputation)
        } else if counts && self.verified.is_within(ages.stale, now) {
            Memory::Stale {
                reputation: self.reputation,
                refresh: !failed(),
            }
        } else if failed() {
            match self.failure {
                Unverified::NoBudget => Memory::Unpaid,
                reason => Memory::Failed(reason),
            }
        } else {
            Memory::Nothing
        }
    }

    fn worth(&self, now: Tick, ages: Ages) -> Worth {
        match self.recall(now, ages, Tick::NEVER) {
            Memory::Nothing => Worth::Nothing,
            Memory::Failed(_) | Memory::Unpaid => Worth::Failure,
            Memory::Fresh(reputation) | Memory::Stale { reputation, .. } => {
                if reputation.listed {
                    Worth::Listed
                } else {
                    Worth::Clean
                }
            }
        }
    }

    fn touch(&self, now: Tick) {
        // Reading first keeps a busy entry's cache line shared between cores.
        if self.used.load(Ordering::Relaxed) != now.to_bits() {
            self.used.store(now.to_bits(), Ordering::Relaxed);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Bucket {
    entries: Vec<Entry>,
}

impl Bucket {
    #[inline]
    pub(super) fn recall(&self, key: Key, now: Tick, ages: Ages, clean_since: Tick) -> Memory {
        match self.entries.iter().find(|entry| entry.key == key) {
            Some(entry) => {
                entry.touch(now);
                entry.recall(now, ages, clean_since)
            }
            None => Memory::Nothing,
        }
    }

    /// What is known of an address, and as of when.
    #[inline]
    pub(super) fn recall_dated(&self, key: Key, now: Tick, ages: Ages) -> Option<(Memory, Tick)> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        entry.touch(now);
        Some((entry.recall(now, ages, Tick::NEVER), entry.verified))
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    pub(super) fn learn(&mut self, key: Key, reputation: Reputation, now: Tick) {
        let entry = self.entry(key, now);
        entry.reputation = reputation;
        entry.verified = now;
        entry.failed = Tick::NEVER;
    }

    /// Takes back a verdict of that time, unless a newer one is there.
    pub(super) fn restore(&mut self, key: Key, reputation: Reputation, verified: Tick, now: Tick) {
        let entry = self.entry(key, now);
        if entry.verified < verified {
            entry.reputation = reputation;
            entry.verified = verified;
        }
    }

    /// Takes over a listed verdict of that time, unless a newer listed one is there.
    pub(super) fn learn_listed(
        &mut self,
        key: Key,
        reputation: Reputation,
        verified: Tick,
        now: Tick,
    ) {
        let entry = self.entry(key, now);
        if !entry.reputation.listed || entry.verified < verified {
            entry.reputation = reputation;
            entry.verified = verified;
            entry.failed = Tick::NEVER;
        }
    }

    pub(super) fn note_failure(&mut self, key: Key, reason: Unverified, now: Tick) {
        let entry = self.entry(key, now);
        entry.failure = reason;
        entry.failed = now;
    }

    /// Removes the entry that is least worth keeping. False when there is none.
    pub(super) fn evict(&mut self, now: Tick, ages: Ages) -> bool {
        match self.least_worth(now, ages) {
            Some(index) => {
                self.entries.swap_remove(index);
                true
            }
            None => false,
        }
    }

    /// What has expired goes first, then failures, clean verdicts and listed ones; among equals
    /// what was not used for the longest time. Listed verdicts that hold more than three quarters
    /// of the bucket lose their privilege: the blacklist is larger than the cache, and a botnet
    /// must not leave clean clients without a place.
    fn least_worth(&self, now: Tick, ages: Ages) -> Option<usize> {
        let worths = || self.entries.iter().map(|entry| entry.worth(now, ages));
        let listed = worths().filter(|worth| *worth == Worth::Listed).count();
        let crowded = listed * 4 > self.entries.len() * 3;
        self.entries
            .iter()
            .zip(worths())
            .enumerate()
            .min_by_key(|(_, (entry, worth))| {
                let worth = match worth {
                    Worth::Listed if crowded => Worth::Clean,
                    worth => *worth,
                };
                (worth, entry.used.load(Ordering::Relaxed), entry.verified)
            })
            .map(|(index, _)| index)
    }

    fn entry(&mut self, key: Key, now: Tick) -> &mut Entry {
        let index = match self.entries.iter().position(|entry| entry.key == key) {
            Some(index) => index,
            None => {
                if self.entries.len() == self.entries.capacity() {
                    // In small steps: doubling would leave half of the cache's memory unused.
                    self.entries.reserve_exact(4);
                }
                self.entries.push(Entry {
                    key,
                    verified: Tick::NEVER,
                    failed: Tick::NEVER,
                    used: AtomicU32::new(now.to_bits()),
                    reputation: Reputation {
                        listed: false,
                        confidence: 0,
                        threat_type: None,
                    },
                    failure: Unverified::CallFailed,
                });
                self.entries.len() - 1
            }
        };
        &mut self.entries[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_half_of_what_a_cached_verdict_may_cost() {
        assert_eq!(size_of::<Entry>(), 32);
    }

    #[test]
    fn an_ipv4_address_and_its_mapped_form_are_one_key() {
        let v4: IpAddr = "25.0.0.1".parse().unwrap();
        let v6: IpAddr = "::ffff:25.0.0.1".parse().unwrap();
        assert_eq!(Key::from(v4), Key::from(v6));
        let other: IpAddr = "3ffe::1900:1".parse().unwrap();
        assert_ne!(Key::from(v4), Key::from(other));
    }

    #[test]
    fn addresses_that_share_either_half_are_two_keys() {
        let keys = ["3ffe:1::1", "3ffe:2::1", "3ffe:1::2"].map(|text| {
            let ip: IpAddr = text.parse().unwrap();
            Key::from(ip)
        });
        assert_ne!(keys[0], keys[1]);
        assert_ne!(keys[0], keys[2]);
    }
}
