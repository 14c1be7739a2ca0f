//! The budget's part of the day, where a store grants it in blocks.
//!
//! What other processes hold counts as spent here. Score, price and what a network may waste are
//! each process's own matter.

use std::time::Duration;

use super::Budget;
use crate::store::{Block, BlockRequest, DayLease};

impl Budget {
    /// A budget whose checks a store grants.
    pub(crate) fn shared(limit: u32) -> Self {
        Self {
            lease: DayLease::shared(),
            ..Self::new(limit)
        }
    }

    /// The block to ask the store for now, if any: see [`DayLease::touch`].
    pub(crate) fn next_block(&mut self, now: Duration) -> Option<BlockRequest> {
        self.turn(now);
        let (limit, spent) = (self.day_limit(), self.today.spent);
        self.lease.touch(limit, spent, now)
    }

    /// A request for the count, which also tells it.
    pub(crate) fn count(&mut self, now: Duration) -> Option<BlockRequest> {
        self.turn(now);
        self.lease.count(self.day_limit(), self.today.spent)
    }

    /// What came of a request; `None` when there was no answer.
    pub(crate) fn answered(&mut self, request: BlockRequest, block: Option<Block>, now: Duration) {
        self.turn(now);
        match block {
            Some(block) => {
                if let Some(spent) = self.lease.receive(request, block, now) {
                    self.today.spent = spent;
                }
            }
            None => self.lease.fail(request, now),
        }
    }

    /// Whether checks may be on their way, so that it is worth waiting for them.
    pub(crate) fn is_awaiting_checks(&self, now: Duration) -> bool {
        self.lease.is_awaited(now)
    }

    /// Whether a request is under way.
    pub(crate) const fn is_asking(&self) -> bool {
        self.lease.is_asking()
    }

    /// What to give back: after a long time without a check, or at the end.
    pub(crate) fn surplus(&mut self, is_end: bool, now: Duration) -> Option<(u64, u32)> {
        self.turn(now);
        match is_end {
            true => self.lease.take_all(),
            false => self.lease.take_idle(now),
        }
    }
}
