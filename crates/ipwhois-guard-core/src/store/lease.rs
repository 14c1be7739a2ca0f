//! The day's checks that this process may spend.
//!
//! A process spends what it holds, so no store and no disk stands on the way of a check. It asks
//! for the next block in the background when half of its block is left. A block is a fortieth of
//! what the day has left, and one check at least. Where an answer takes long it is larger, so that
//! the checks last until the next answer.
//!
//! A process that is killed takes what it holds with it: one block at most. One that ends, or that
//! has spent nothing for [`IDLE`], gives back what it holds.
//!
//! Without a store there is nobody to ask, and the limit alone counts.

use std::time::Duration;

use super::{Block, BlockRequest, Count};

/// A block is this part of what is left.
const PART: u32 = 40;
/// At most this part, however slow the store is.
const LARGEST_PART: u32 = 4;
/// An answer that takes this long makes the next block twice as large.
const SLOW: Duration = Duration::from_millis(50);

/// How long after a request its answer is worth a wait.
const PROMPT: Duration = Duration::from_secs(2);

/// How long to wait after a request that failed, or that brought nothing.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);
const AFTER_NOTHING: Duration = Duration::from_secs(10);

/// How long a process may hold checks without spending any.
const IDLE: Duration = Duration::from_secs(10 * 60);

/// A lease of the day's checks. Time since any fixed moment comes in as an argument.
#[derive(Debug)]
pub(crate) struct DayLease {
    /// Whether checks are granted by a store.
    is_shared: bool,
    day: u64,
    held: u32,
    birth: u64,
    machines: u32,
    /// Since when a request is under way.
    asked: Option<Duration>,
    ask_again: Duration,
    /// How long the last answer took.
    took: Duration,
    spent_at: Duration,
    /// Whether a check was spent, or wanted, since the last long pause.
    is_spending: bool,
    /// A check was wanted when nothing was held.
    is_dry: bool,
}

impl DayLease {
    /// Without a store.
    pub(crate) const fn alone() -> Self {
        Self {
            is_shared: false,
            day: 0,
            held: 0,
            birth: 0,
            machines: 1,
            asked: None,
            ask_again: Duration::ZERO,
            took: Duration::ZERO,
            spent_at: Duration::MAX,
            is_spending: false,
            is_dry: false,
        }
    }

    /// With a store, which has granted nothing yet.
    pub(crate) const fn shared() -> Self {
        Self {
            is_shared: true,
            ..Self::alone()
        }
    }

    /// Another day has begun: what is held was of the one before.
    pub(crate) fn turn(&mut self, day: u64) {
        if self.day != day {
            (self.day, self.held, self.birth) = (day, 0, 0);
            self.ask_again = Duration::ZERO;
        }
    }

    /// Spends one check. False when none is held.
    pub(crate) fn spend(&mut self, now: Duration) -> bool {
        if !self.is_shared {
            return true;
        }
        self.spent_at = now;
        self.is_spending = true;
        self.is_dry = self.held == 0;
        self.held = self.held.saturating_sub(1);
        !self.is_dry
    }

    /// The check was never sent.
    pub(crate) const fn refund(&mut self) {
        if self.is_shared {
            self.held += 1;
        }
    }

    /// This machine's part of what is left, for the price.
    pub(crate) fn share(&self, left: f64) -> f64 {
        left / f64::from(self.machines.max(1))
    }

    /// Whether an answer is on its way that is worth a wait: one that is late already is not.
    pub(crate) fn is_awaited(&self, now: Duration) -> bool {
        self.asked
            .is_some_and(|asked| now.saturating_sub(asked) < PROMPT)
    }

    /// Whether a request is under way.
    pub(crate) const fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// What to ask for now, if anything: then [`receive`](Self::receive) or [`fail`](Self::fail)
    /// must follow. `spent`: checks that are gone for this machine.
    pub(crate) fn touch(&mut self, limit: u32, spent: u32, now: Duration) -> Option<BlockRequest> {
        let request = self.count(limit, spent)?;
        let block = self.block(limit.saturating_sub(request.known.granted));
        let is_low = self.held <= block / 2 && (self.is_dry || !self.is_idle(now));
        if !is_low || self.asked.is_some() || now < self.ask_again {
            return None;
        }
        self.asked = Some(now);
        Some(BlockRequest {
            checks: block.saturating_sub(self.held),
            ..request
        })
    }

    /// Asks for the count, and no checks.
    pub(crate) fn count(&self, limit: u32, spent: u32) -> Option<BlockRequest> {
        let known = Count {
            granted: spent.saturating_add(self.held),
            birth: self.birth,
        };
        self.is_shared.then_some(BlockRequest {
            day: self.day,
            limit,
            checks: 0,
            is_spending: self.is_spending,
            known,
        })
    }

    fn block(&self, left: u32) -> u32 {
        let slow = self.took.as_millis() / SLOW.as_millis();
        let slow = u32::try_from(slow).unwrap_or(u32::MAX);
        let part = left.saturating_mul(slow.saturating_add(1).min(PART)) / PART;
        part.min(left / LARGEST_PART).max(1)
    }

    /// A block has come. Answers how many checks are gone for this machine: those that it has
    /// spent, and those of the others. `None` when
    /// that cannot be told.
    pub(crate) fn receive(
        &mut self,
        request: BlockRequest,
        block: Block,
        now: Duration,
    ) -> Option<u32> {
        self.machines = block.machines.max(1);
        if request.checks > 0 {
            self.took = now.saturating_sub(self.asked.take().unwrap_or(now));
        }
        // A count that comes while a block is on its way may be with it or without it.
        if request.day != self.day || (request.checks == 0 && self.asked.is_some()) {
            return None;
        }
        self.held = self.held.saturating_add(block.checks);
        self.birth = block.count.birth;
        if request.checks > 0 && block.checks == 0 {
            self.ask_again = now.saturating_add(AFTER_NOTHING);
        } else if request.checks > 0 {
            // It may be kept for as long as one that was just used.
            self.spent_at = now;
            self.is_dry = false;
        } else if block.count.granted < request.limit {
            // The store is there, and has some.
            self.ask_again = Duration::ZERO;
        }
        Some(block.count.granted.saturating_sub(self.held))
    }

    /// No answer has come.
    pub(crate) fn fail(&mut self, request: BlockRequest, now: Duration) {
        if request.checks > 0 {
            self.asked = None;
            self.ask_again = now.saturating_add(AFTER_A_FAILURE);
        }
    }

    fn is_idle(&self, now: Duration) -> bool {
        now.saturating_sub(self.spent_at) >= IDLE
    }

    /// What to give back because it has not been used for long.
    pub(crate) fn take_idle(&mut self, now: Duration) -> Option<(u64, u32)> {
        if !self.is_idle(now) {
            return None;
        }
        self.is_spending = false;
        self.take_all()
    }

    /// What to give back: the day, and checks of it.
    pub(crate) fn take_all(&mut self) -> Option<(u64, u32)> {
        let held = std::mem::take(&mut self.held);
        (held > 0).then_some((self.day, held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 20_781;

    fn lease() -> DayLease {
        let mut lease = DayLease::shared();
        lease.turn(DAY);
        lease
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(1_000_000 + n)
    }

    /// Asks for a block, which is granted after this time.
    fn refill(lease: &mut DayLease, limit: u32, spent: u32, took: Duration) -> Option<u32> {
        let now = seconds(0);
        let request = lease.touch(limit, spent, now)?;
        let count = Count {
            granted: request.known.granted + request.checks,
            birth: 1,
        };
        let block = Block {
            checks: request.checks,
            count,
            machines: 1,
        };
        assert_eq!(lease.receive(request, block, now + took), Some(spent));
        Some(request.checks)
    }

    #[test]
    fn a_block_is_a_fortieth_and_one_check_at_least() {
        for (limit, expected) in [
            (1, 1),
            (50, 1),
            (79, 1),
            (500, 12),
            (1_000, 25),
            (40 << 20, 1 << 20),
        ] {
            let block = refill(&mut lease(), limit, 0, Duration::ZERO);
            assert_eq!(block, Some(expected), "of {limit}");
        }
    }

    #[test]
    fn the_next_block_is_asked_for_when_half_is_left_and_never_more_than_one_is_held() {
        let mut lease = lease();
        refill(&mut lease, 500, 0, Duration::ZERO);
        for spent in 1..=5 {
            assert!(lease.spend(seconds(0)));
            assert_eq!(lease.touch(500, spent, seconds(0)), None);
        }
        assert!(lease.spend(seconds(0)));
        assert_eq!(refill(&mut lease, 500, 6, Duration::ZERO), Some(6));
        assert_eq!(lease.take_all(), Some((DAY, 12)));
    }

    #[test]
    fn where_an_answer_takes_long_the_next_block_is_larger() {
        let mut lease = lease();
        refill(&mut lease, 500, 0, Duration::from_millis(400));
        assert_eq!(
            refill(&mut lease, 500, 0, Duration::from_millis(400)),
            Some(97)
        );
        let slow = Duration::from_secs(60);
        assert_eq!(refill(&mut lease, 500, 0, slow), None, "it is enough");
    }

    #[test]
    fn a_new_day_voids_what_is_held() {
        let mut lease = lease();
        let request = lease.touch(500, 0, seconds(0)).unwrap();
        lease.turn(DAY + 1);
        let block = Block {
            checks: 12,
            count: Count::default(),
            machines: 1,
        };
        assert_eq!(lease.receive(request, block, seconds(0)), None);
        assert!(!lease.spend(seconds(0)));
    }

    #[test]
    fn an_idle_machine_gives_back_and_asks_again_when_a_check_is_wanted() {
        let mut lease = lease();
        refill(&mut lease, 500, 0, Duration::ZERO);
        assert_eq!(lease.take_idle(seconds(599)), None);
        assert_eq!(lease.take_idle(seconds(600)), Some((DAY, 12)));
        assert_eq!(lease.touch(500, 0, seconds(601)), None, "nothing is wanted");
        assert!(!lease.spend(seconds(602)));
        assert!(lease.touch(500, 0, seconds(602)).is_some());
    }

    #[test]
    fn a_request_that_failed_is_repeated_after_a_second() {
        let mut lease = lease();
        let request = lease.touch(50, 0, seconds(0)).unwrap();
        assert_eq!(lease.touch(50, 0, seconds(100)), None, "one at a time");
        lease.fail(request, seconds(100));
        assert_eq!(lease.touch(50, 0, seconds(100)), None);
        assert!(lease.touch(50, 0, seconds(101)).is_some());
    }

    #[test]
    fn without_a_store_nothing_is_asked_for() {
        let mut lease = DayLease::alone();
        lease.turn(DAY);
        assert!((0..1_000).all(|_| lease.spend(seconds(0))));
        assert_eq!(lease.touch(50, 50, seconds(0)), None);
        assert_eq!(lease.take_all(), None);
    }
}
