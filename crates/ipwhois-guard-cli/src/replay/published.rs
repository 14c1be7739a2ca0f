//! What the published guards for other languages would have done with the same requests.
//!
//! 1. Every client is asked about, and the decision is kept for an hour.
//! 2. Who comes first is asked about first, until the day's limit is used up; the day turns at
//!    00:00 UTC.
//! 3. Without an answer the request goes on, and the next one tries again: nothing is kept of a
//!    failure, which is in their favour, since a new day's limit is used from its first second.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::access_log::day_of;

/// For how long a decision is kept, in seconds.
const KEPT: u64 = 60 * 60;

#[derive(Debug)]
pub(super) struct PublishedModule {
    daily_limit: u64,
    pub(super) days: BTreeMap<Date, Day>,
}

/// The calls of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Day {
    /// Those that were answered.
    pub(super) answered: u64,
    /// Those that there would have been without a limit.
    pub(super) wanted: u64,
}

/// What it keeps of a client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    /// Until when there is a decision.
    decided_until: u64,
    /// Until when there would be one without a limit.
    wanted_until: u64,
}

impl PublishedModule {
    pub(super) fn new(daily_limit: u32) -> Self {
        Self {
            daily_limit: daily_limit.into(),
            days: BTreeMap::new(),
        }
    }

    /// Whether the client is known when this request is answered: only then can it be refused.
    pub(super) fn knows(&mut self, kept: &mut Kept, now: u64) -> bool {
        if now < kept.decided_until && now < kept.wanted_until {
            return true;
        }
        let day = self.days.entry(day_of(now)).or_default();
        if now >= kept.wanted_until {
            kept.wanted_until = now + KEPT;
            day.wanted += 1;
        }
        if now >= kept.decided_until {
            if day.answered >= self.daily_limit {
                return false;
            }
            day.answered += 1;
            kept.decided_until = now + KEPT;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDNIGHT: u64 = 1_767_225_600;

    #[test]
    fn a_client_is_asked_about_once_an_hour() {
        let mut module = PublishedModule::new(500);
        let mut kept = Kept::default();
        for minute in [0, 1, 59, 60, 119, 120] {
            assert!(module.knows(&mut kept, MIDNIGHT + minute * 60));
        }
        let day = module.days[&day_of(MIDNIGHT)];
        assert_eq!((day.answered, day.wanted), (3, 3));
    }

    #[test]
    fn who_comes_after_the_limit_is_unknown_until_the_next_day() {
        let mut module = PublishedModule::new(1);
        let (mut first, mut second) = (Kept::default(), Kept::default());
        let evening = MIDNIGHT - 60;
        assert!(module.knows(&mut first, evening));
        assert!(!module.knows(&mut second, evening));
        assert!(!module.knows(&mut second, evening + 59));
        assert!(module.knows(&mut second, MIDNIGHT));
        assert!(module.knows(&mut first, MIDNIGHT), "still kept");
        let days: Vec<Day> = module.days.values().copied().collect();
        let day = |answered, wanted| Day { answered, wanted };
        assert_eq!(days, [day(1, 2), day(1, 0)]);
    }
}
