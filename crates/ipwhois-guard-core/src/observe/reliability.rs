//! Whether the service can be relied upon, by what became of the last calls to it.
//!
//! The breaker knows only failures in a row. A service that fails four calls of five, or that
//! answers each one too late for who waits, opens none, and yet hardly anybody is verified.
//!
//! A state machine without a clock. Only calls count that say something of the service: an
//! exhausted limit and a refused key are problems of their own.
//!
//! 1. Of the last [`MOST`] calls within [`RECENT`], and [`ENOUGH`] at least, half went wrong: that
//!    is told.
//! 2. It is well again after [`GOOD`] good ones in a row. Then all is forgotten, so what is
//!    borderline does not flicker.
//! 3. Where no call was made for that long, nobody knows, and nothing is told.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::ApiError;

const MOST: usize = 20;
const ENOUGH: usize = 10;
const GOOD: usize = 8;
const RECENT: Duration = Duration::from_secs(6 * 60 * 60);

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Good,
    Failed,
    /// The answer came when nobody waited any more.
    Late,
}

impl Fate {
    /// `None` when the call says nothing of the service.
    pub(super) fn of<T>(result: Result<&T, &ApiError>, is_late: bool) -> Option<Self> {
        match result {
            Ok(_) if is_late => Some(Self::Late),
            Ok(_) => Some(Self::Good),
            Err(ApiError::RateLimited { .. } | ApiError::KeyRefused { .. }) => None,
            Err(_) => Some(Self::Failed),
        }
    }
}

/// How many of the last calls went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreliable {
    pub(super) calls: usize,
    pub(super) failed: usize,
    pub(super) late: usize,
}

#[derive(Debug, Default)]
pub(super) struct Reliability {
    /// With their time, the oldest first.
    last: VecDeque<(Duration, Fate)>,
    is_raised: bool,
}

impl Reliability {
    pub(super) fn note(&mut self, fate: Fate, now: Duration) {
        while self.last.len() >= MOST || self.last.front().is_some_and(|&call| is_old(call, now)) {
            self.last.pop_front();
        }
        self.is_raised &= !self.last.is_empty();
        self.last.push_back((now, fate));
        let last = || self.last.iter().rev().map(|&(_, fate)| fate);
        if self.is_raised {
            let good = last().take_while(|&fate| fate == Fate::Good).count();
            if good >= GOOD {
                *self = Self::default();
            }
        } else {
            let bad = last().filter(|&fate| fate != Fate::Good).count();
            self.is_raised = self.last.len() >= ENOUGH && bad * 2 >= self.last.len();
        }
    }

    pub(super) fn trouble(&self, now: Duration) -> Option<Unreliable> {
        let recent = || self.last.iter().filter(|&&call| !is_old(call, now));
        let count = |which| recent().filter(|&&(_, fate)| fate == which).count();
        let calls = recent().count();
        (self.is_raised && calls > 0).then(|| Unreliable {
            calls,
            failed: count(Fate::Failed),
            late: count(Fate::Late),
        })
    }
}

fn is_old((at, _): (Duration, Fate), now: Duration) -> bool {
    now.saturating_sub(at) >= RECENT
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    /// What is said after these calls, one a minute: `.` good, `x` failed, `~` late.
    fn after(calls: &str) -> (Reliability, Option<Unreliable>) {
        let mut reliability = Reliability::default();
        let mut now = START;
        for call in calls.chars() {
            now += Duration::from_secs(60);
            let fate = match call {
                '.' => Fate::Good,
                'x' => Fate::Failed,
                _ => Fate::Late,
            };
            reliability.note(fate, now);
        }
        let trouble = reliability.trouble(now);
        (reliability, trouble)
    }

    #[track_caller]
    fn check(calls: &str, expected: Option<(usize, usize, usize)>) {
        let expected = expected.map(|(calls, failed, late)| Unreliable {
            calls,
            failed,
            late,
        });
        assert_eq!(after(calls).1, expected, "{calls}");
    }

    #[test]
    fn half_of_at_least_ten_calls_is_too_many() {
        check("", None);
        check("xxxxxxxxx", None);
        check("xxxxxxxxxx", Some((10, 10, 0)));
        check("xxxx.xxxx.", Some((10, 8, 0)));
        check("~~~~~~~~~~", Some((10, 0, 10)));
        check("x~.x~.x~.x", Some((10, 4, 3)));
        check("x.x.x.x.x.", Some((10, 5, 0)));
        check("x..x..x..x", None);
        check("....................", None);
    }

    #[test]
    fn the_last_twenty_count() {
        check("xxxx......xxxx............", None);
        check("..............................xxxxxxxxx", None);
        check(
            "..............................xxxxxxxxxx",
            Some((20, 10, 0)),
        );
    }

    #[test]
    fn it_is_well_again_after_eight_good_ones_in_a_row_and_does_not_flicker() {
        check("xxxxxxxxxx.......", Some((17, 10, 0)));
        check("xxxxxxxxxx.......x.......", Some((20, 6, 0)));
        check("xxxxxxxxxx........", None);
        check("xxxxxxxxxx........xxxxxxxxx", None);
        check("xxxxxxxxxx........xxxxxxxxxx", Some((10, 10, 0)));
    }

    #[test]
    fn what_is_six_hours_old_does_not_count() {
        let (mut reliability, trouble) = after("xxxxxxxxxx");
        assert!(trouble.is_some());
        let last = START + Duration::from_secs(10 * 60);
        let told = |reliability: &Reliability, now| {
            let trouble = reliability.trouble(now);
            trouble.map(|trouble| trouble.calls)
        };
        let almost = last + RECENT - Duration::from_secs(1);
        assert_eq!(told(&reliability, almost), Some(1));
        assert_eq!(told(&reliability, last + RECENT), None);
        reliability.note(Fate::Failed, last + RECENT);
        assert_eq!(told(&reliability, last + RECENT), None, "one is not enough");
    }

    #[test]
    fn what_says_nothing_of_the_service_does_not_count() {
        let fate = |error| Fate::of::<()>(Err(&error), true);
        let status = 401;
        assert_eq!(fate(ApiError::KeyRefused { status }), None);
        assert_eq!(fate(ApiError::RateLimited { retry_after: None }), None);
        let refused = fate(ApiError::Status { status: 400 });
        assert_eq!(refused, Some(Fate::Failed));
        assert_eq!(Fate::of(Ok(&()), true), Some(Fate::Late));
        assert_eq!(Fate::of(Ok(&()), false), Some(Fate::Good));
    }
}
