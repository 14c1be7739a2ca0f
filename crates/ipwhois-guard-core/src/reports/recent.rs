//! Which attackers were reported lately, and what became of it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use super::queue::Fate;
use crate::verdict::ThreatType;

/// One attacker and one kind of attack: reported once in a while, however often it is seen.
pub(super) type Pair = (IpAddr, ThreatType);

/// A report that another one would only repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Original {
    /// Still in the queue, under this number.
    Pending(u64),
    /// Out of it.
    Settled(Fate),
}

#[derive(Debug)]
struct Memory {
    id: u64,
    until: Duration,
    original: Original,
}

/// A memory of limited length and size. When it is full the oldest report is forgotten: its pair
/// can then be reported a second time.
#[derive(Debug)]
pub(super) struct Recent {
    limit: usize,
    known: HashMap<Pair, Memory, foldhash::fast::RandomState>,
    by_end: BTreeMap<(Duration, u64), Pair>,
}

impl Recent {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            known: HashMap::default(),
            by_end: BTreeMap::new(),
        }
    }

    /// The report that one of this pair would repeat.
    pub(super) fn original(&mut self, pair: Pair, now: Duration) -> Option<Original> {
        self.forget(now);
        self.known.get(&pair).map(|memory| memory.original)
    }

    /// Remembers a report that was queued.
    pub(super) fn remember(&mut self, pair: Pair, id: u64, until: Duration) {
        let memory = Memory {
            id,
            until,
            original: Original::Pending(id),
        };
        if let Some(before) = self.known.insert(pair, memory) {
            self.by_end.remove(&(before.until, before.id));
        }
        self.by_end.insert((until, id), pair);
        if self.known.len() > self.limit {
            self.forget_first();
        }
    }

    /// Remembers what became of a report, if it is one that is remembered.
    pub(super) fn settle(&mut self, pair: Pair, id: u64, fate: Fate) {
        if let Some(memory) = self.known.get_mut(&pair)
            && memory.id == id
        {
            memory.original = Original::Settled(fate);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    fn forget(&mut self, now: Duration) {
        while let Some((&(until, _), _)) = self.by_end.first_key_value()
            && until <= now
        {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, pair)) = self.by_end.pop_first() {
            self.known.remove(&pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn pair(n: u32) -> Pair {
        let ip = IpAddr::V4(Ipv4Addr::from_bits(0x1900_0000 + n));
        (ip, ThreatType::Scan)
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_report_is_remembered_until_its_end_and_not_longer() {
        let mut recent = Recent::new(10);
        recent.remember(pair(1), 7, seconds(900));
        let original = recent.original(pair(1), seconds(899));
        assert_eq!(original, Some(Original::Pending(7)));
        recent.settle(pair(1), 7, Fate::Delivered);
        let original = recent.original(pair(1), seconds(899));
        assert_eq!(original, Some(Original::Settled(Fate::Delivered)));
        assert_eq!(recent.original(pair(1), seconds(900)), None);
        assert!(recent.known.is_empty() && recent.by_end.is_empty());
    }

    #[test]
    fn another_kind_of_attack_is_another_report() {
        let mut recent = Recent::new(10);
        recent.remember(pair(1), 7, seconds(900));
        let other = (pair(1).0, ThreatType::Spam);
        assert_eq!(recent.original(other, seconds(0)), None);
    }

    #[test]
    fn the_end_of_an_older_report_says_nothing_of_a_newer_one() {
        let mut recent = Recent::new(10);
        recent.remember(pair(1), 7, seconds(900));
        recent.remember(pair(1), 8, seconds(1_800));
        recent.settle(pair(1), 7, Fate::GivenUp);
        let original = recent.original(pair(1), seconds(900));
        assert_eq!(original, Some(Original::Pending(8)));
    }

    #[test]
    fn a_full_memory_forgets_the_oldest() {
        let mut recent = Recent::new(3);
        for n in 0..10 {
            recent.remember(pair(n), u64::from(n), seconds(900 + u64::from(n)));
        }
        let known: Vec<u32> = (0..10)
            .filter(|&n| recent.original(pair(n), seconds(0)).is_some())
            .collect();
        assert_eq!(known, [7, 8, 9]);
        assert_eq!(recent.by_end.len(), 3);
    }
}
