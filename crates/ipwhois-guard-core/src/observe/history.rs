//! The last 24 hours in quarters of an hour: requests by outcome and source, and the price of a
//! check.
//!
//! It is made of the counts that there are anyway, looked at once a second.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::meter::Meter;
use super::tally::{Outcome, SOURCES};
use crate::serialised::time;
use crate::verdict::Source;

/// Number of quarters that are kept.
const QUARTERS: usize = 96;
const QUARTER: Duration = Duration::from_secs(15 * 60);

/// A quarter of an hour.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Quarter {
    /// When it began, UTC.
    #[serde(serialize_with = "time")]
    pub begin: SystemTime,
    /// The requests, and explicit checks, without those that no rule covers.
    pub counts: Vec<Count>,
    /// The highest price of a check: the score from which a client was checked.
    pub price: f64,
    /// Checks spent of the day so far.
    pub spent: u32,
}

/// How many requests came to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Count {
    /// `allowed`, `denied` or `monitored`.
    pub outcome: &'static str,
    /// Which step settled them: `cache`, `feed`, `banned`, …
    pub source: &'static str,
    /// How many.
    pub requests: u64,
}

type Counted = [[u64; SOURCES.len()]; Outcome::ALL.len()];

#[derive(Debug, Default)]
pub(super) struct History {
    quarters: VecDeque<Filling>,
}

#[derive(Clone, Debug)]
struct Filling {
    begin: SystemTime,
    /// What was counted when it began, and by now.
    before: Counted,
    now: Counted,
    price: f64,
    spent: u32,
}

fn counted(meter: &Meter) -> Counted {
    Outcome::ALL.map(|outcome| SOURCES.map(|source| meter.decisions(outcome, source)))
}

/// The quarter that a moment is in.
fn begin_of(wall: SystemTime) -> SystemTime {
    let since = wall.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.unwrap_or_default().as_secs();
    let begin = seconds - seconds % QUARTER.as_secs();
    SystemTime::UNIX_EPOCH + Duration::from_secs(begin)
}

impl History {
    /// Takes note of what is counted by now.
    pub(super) fn note(&mut self, meter: &Meter, price: f64, spent: u32, wall: SystemTime) {
        let begin = begin_of(wall);
        let now = counted(meter);
        match self.quarters.back_mut() {
            // A clock that goes back a little stays in its quarter.
            Some(last) if begin <= last.begin && last.begin <= begin + QUARTER => {
                last.now = now;
                last.price = last.price.max(price);
                last.spent = spent;
            }
            last => {
                let before = last.map_or_else(Counted::default, |last| last.now);
                self.quarters.retain(|quarter| quarter.begin < begin);
                self.quarters.push_back(Filling {
                    begin,
                    before,
                    now,
                    price,
                    spent,
                });
            }
        }
        while self.quarters.len() > QUARTERS {
            self.quarters.pop_front();
        }
    }

    /// The last 24 hours, oldest first. Quarters in which nobody looked are missing.
    pub(super) fn quarters(&self, wall: SystemTime) -> Vec<Quarter> {
        let oldest = begin_of(wall).checked_sub(QUARTER * (QUARTERS as u32 - 1));
        let recent = self
            .quarters
            .iter()
            .filter(|quarter| Some(quarter.begin) >= oldest);
        recent.map(Filling::quarter).collect()
    }
}

impl Filling {
    fn quarter(&self) -> Quarter {
        let mut counts: Vec<Count> = Vec::new();
        for (outcome, (before, now)) in Outcome::ALL
            .into_iter()
            .zip(self.before.iter().zip(&self.now))
        {
            for (source, (before, now)) in SOURCES.into_iter().zip(before.iter().zip(now)) {
                let requests = now.saturating_sub(*before);
                if requests == 0 || matches!(source, Source::NotInScope | Source::Off) {
                    continue;
                }
                let (outcome, source) = (outcome.as_str(), source.as_str());
                match counts
                    .iter_mut()
                    .find(|it| (it.outcome, it.source) == (outcome, source))
                {
                    Some(count) => count.requests += requests,
                    None => counts.push(Count {
                        outcome,
                        source,
                        requests,
                    }),
                }
            }
        }
        Quarter {
            begin: self.begin,
            counts,
            price: self.price,
            spent: self.spent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Unverified;

    fn at(minutes: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + minutes * 60)
    }

    fn requests(quarter: &Quarter, outcome: &str, source: &str) -> u64 {
        let is_it = |count: &&Count| (count.outcome, count.source) == (outcome, source);
        quarter
            .counts
            .iter()
            .find(is_it)
            .map_or(0, |count| count.requests)
    }

    #[test]
    fn a_quarter_has_the_requests_of_its_own_time() {
        let meter = Meter::default();
        let mut history = History::default();
        history.note(&meter, 0.0, 0, at(0));
        meter.count(Outcome::Denied, Source::Cache);
        meter.count(Outcome::Allowed, Source::NotInScope);
        meter.count(Outcome::Allowed, Source::Unverified(Unverified::NoBudget));
        meter.count(Outcome::Allowed, Source::Unverified(Unverified::TimedOut));
        history.note(&meter, 2.0, 5, at(14));
        meter.count(Outcome::Denied, Source::Cache);
        history.note(&meter, 1.0, 6, at(16));
        let quarters = history.quarters(at(16));
        assert_eq!(quarters.len(), 2);
        assert_eq!(requests(&quarters[0], "denied", "cache"), 1);
        assert_eq!(requests(&quarters[0], "allowed", "unverified"), 2);
        assert_eq!(quarters[0].counts.len(), 2, "{quarters:?}");
        assert_eq!((quarters[0].price, quarters[0].spent), (2.0, 5));
        assert_eq!(requests(&quarters[1], "denied", "cache"), 1);
        assert_eq!((quarters[1].price, quarters[1].spent), (1.0, 6));
    }

    #[test]
    fn a_day_is_kept_and_no_more() {
        let meter = Meter::default();
        let mut history = History::default();
        for quarter in 0..200 {
            history.note(&meter, 0.0, 0, at(15 * quarter));
        }
        let quarters = history.quarters(at(15 * 199));
        assert_eq!(quarters.len(), QUARTERS);
        assert_eq!(quarters[0].begin, at(15 * 104));
        // After a night without a look most of it is gone.
        assert_eq!(history.quarters(at(15 * 289)).len(), 6);
    }

    #[test]
    fn a_clock_that_goes_back_keeps_the_order() {
        let meter = Meter::default();
        let mut history = History::default();
        for minutes in [0, 15, 30, 29, 5, 15] {
            history.note(&meter, 0.0, 0, at(minutes));
        }
        let quarters = history.quarters(at(15));
        assert!(
            quarters.is_sorted_by(|one, next| one.begin < next.begin),
            "{quarters:?}"
        );
    }
}
