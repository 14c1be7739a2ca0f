//! Which UTC day it is, when the clock may jump, and what was spent in days that were left.

use std::time::Duration;

use super::DAY_SECONDS as DAY;

/// How many days that the clock has left are remembered, in case it comes back to them.
const REMEMBERED: usize = 8;

/// What a look at the clock brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Same,
    /// A day that was not seen before.
    New,
    /// A day that is earlier than the last one, or was seen before: nothing is given back.
    Back,
}

#[derive(Debug, Default)]
pub(super) struct Today {
    /// Days since the Unix epoch.
    pub(super) day: u64,
    pub(super) spent: u32,
    past: Vec<(u64, u32)>,
}

impl Today {
    pub(super) fn turn(&mut self, now: Duration) -> Turn {
        let day = day_of(now);
        if day == self.day || day.checked_add(1) == Some(self.day) {
            return Turn::Same;
        }
        let known = self.recall(day);
        let turn = match known {
            None if day > self.day => Turn::New,
            _ => Turn::Back,
        };
        self.remember(self.day, self.spent);
        self.spent = match turn {
            Turn::New => 0,
            // Forward to a day that was seen: it is among what was spent since, or more was.
            _ if day > self.day => self.spent.max(known.unwrap_or(0)),
            _ => self.spent.saturating_add(known.unwrap_or(0)),
        };
        self.day = day;
        turn
    }

    /// Days that were left without spending are as good as unseen.
    pub(super) fn remember(&mut self, day: u64, spent: u32) {
        if spent == 0 {
            return;
        }
        self.past.retain(|&(other, _)| other != day);
        if self.past.len() == REMEMBERED {
            self.past.remove(0);
        }
        self.past.push((day, spent));
    }

    fn recall(&self, day: u64) -> Option<u32> {
        let found = self.past.iter().find(|&&(other, _)| other == day);
        found.map(|&(_, spent)| spent)
    }

    /// The moment as this day knows it: a clock that went back a little stands at the day's start.
    pub(super) fn moment(&self, now: Duration) -> Duration {
        now.clamp(start_of(self.day), self.end())
    }

    /// The start of the next day.
    pub(super) fn end(&self) -> Duration {
        start_of(self.day.saturating_add(1))
    }
}

pub(super) fn day_of(now: Duration) -> u64 {
    now.as_secs() / DAY
}

fn start_of(day: u64) -> Duration {
    Duration::from_secs(day.saturating_mul(DAY))
}
