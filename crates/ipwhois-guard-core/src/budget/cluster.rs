//! The budget as several machines share it: what is left of the common day, and what one check
//! takes from it.
//!
//! Score, price and what a network may waste are each machine's own matter.

use std::time::Duration;

use super::{Budget, DAY_SECONDS, Spend, rations};
use crate::store::{Claim, Ration};

impl Budget {
    /// What to claim from the common count for a check that was taken.
    pub(crate) fn claim(&self, spend: &Spend, now: Duration) -> Claim {
        let limit = self.day_limit();
        let reserve = match spend.is_explicit {
            true => 0,
            false => self.reserve(now.as_secs_f64()) as u32,
        };
        let rations = spend.paid.iter().map(|(origin, _)| Ration {
            name: format!("around-{}-{:x}", spend.day, origin.around),
            below: rations::all_around(limit),
            keep: Duration::from_secs(DAY_SECONDS),
        });
        Claim {
            day: spend.day,
            known: 0,
            below: limit.saturating_sub(reserve),
            rations: rations.collect(),
        }
    }

    /// The machines together have spent so many checks of that day. It only ever raises the count.
    pub(crate) fn adopt_spent(&mut self, day: u64, spent: u32, now: Duration) {
        self.turn(now);
        if day == self.today.day {
            self.today.spent = self.today.spent.max(spent);
        }
    }

    /// The day, in days since 1970.
    pub(crate) fn today(&mut self, now: Duration) -> u64 {
        self.turn(now);
        self.today.day
    }
}
