//! How many checks are left: of the limit, and by what the service says.

use std::time::Duration;

use super::demand::part_of_day;
use super::{Budget, Purpose};

/// The part of the limit that is kept for feed hits and explicit checks, at the start of a day.
const RESERVE: f64 = 1.0 / 50.0;

impl Budget {
    /// How many checks are left for this purpose.
    pub(super) fn left_for(&self, purpose: Purpose, moment: Duration) -> f64 {
        let most = self.day_limit().min(self.quota.window(moment));
        let left = f64::from(most) - f64::from(self.today.spent);
        match purpose {
            Purpose::Explicit => left,
            _ => left - self.reserve(moment.as_secs_f64()),
        }
    }

    /// The service says that so many checks are left, until that moment or else for the rest of the
    /// day.
    pub(crate) fn believe(&mut self, left: u32, until: Option<Duration>, now: Duration) {
        let moment = self.turn(now);
        let spent = self.today.spent;
        match until.map(|until| carry(until, now, moment)) {
            Some(until) if until < self.today.end() => {
                self.quota
                    .believe_window(left, until, spent, self.taken, moment);
            }
            _ => self.quota.believe_day(left, spent, self.taken),
        }
    }

    /// Nothing is left for anything until that moment, at most to the end of the UTC day.
    pub(crate) fn exhaust(&mut self, until: Duration, now: Duration) {
        let moment = self.turn(now);
        let until = carry(until, now, moment);
        self.quota.exhaust(until.min(self.today.end()));
    }

    /// How many explicit checks could be taken now.
    pub(crate) fn left(&mut self, now: Duration) -> u32 {
        let now = self.turn(now);
        if self.quota.is_exhausted(now) {
            return 0;
        }
        let most = self.day_limit().min(self.quota.window(now));
        most.saturating_sub(self.today.spent)
    }

    /// When there is a check for clients again, if there is none now; at the latest with the next
    /// day. `None` as well with a limit of 0.
    pub(crate) fn gone_until(&mut self, now: Duration) -> Option<Duration> {
        let moment = self.turn(now);
        let reserve = self.reserve(moment.as_secs_f64()) as u32;
        let has_room = |at: Duration| {
            let most = self.day_limit().min(self.quota.window(at));
            !self.quota.is_exhausted(at) && self.today.spent.saturating_add(reserve) < most
        };
        if self.limit == 0 || has_room(moment) {
            return None;
        }
        let end = self.today.end();
        let next = self.quota.ends().filter(|&at| at > moment && has_room(at));
        Some(next.min().unwrap_or(end).min(end))
    }

    /// What is kept for explicit checks.
    pub(super) fn reserve(&self, now: f64) -> f64 {
        (f64::from(self.limit) * RESERVE * (1.0 - part_of_day(now))).round()
    }

    /// What may be spent today.
    pub(super) fn day_limit(&self) -> u32 {
        self.quota.limit(self.limit)
    }
}

/// As far ahead of `moment` as it is of `now`: a clock that went back over midnight ends no pause
/// before it begins.
fn carry(until: Duration, now: Duration, moment: Duration) -> Duration {
    until.saturating_sub(now).saturating_add(moment)
}
