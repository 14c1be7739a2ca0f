//! What has to be remembered from one look to the next.

use std::time::{Duration, Instant};

use super::INTERVAL;
use super::problem::Problem;

/// How long a loss is a problem.
const LATELY: Duration = Duration::from_secs(60 * 60);

/// The guard's thread is behind when it looks that late.
const BEHIND: Duration = Duration::from_secs(2);

/// A count of losses, and when it grew last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    count: u64,
    last: Option<Duration>,
}

impl Losses {
    /// The count as it is now. It comes back when it grew within the last hour.
    pub(super) fn note(&mut self, count: u64, now: Duration) -> Option<u64> {
        if count > self.count {
            *self = Self {
                count,
                last: Some(now),
            };
        }
        let last = self.last?;
        (now.saturating_sub(last) < LATELY).then_some(self.count)
    }
}

/// Whether the guard's thread looks when it should.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulse {
    last: Instant,
    worst: Option<(Duration, Instant)>,
}

impl Pulse {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            last: now,
            worst: None,
        }
    }

    /// The thread looks.
    pub(super) fn beat(&mut self, now: Instant) {
        let late = self.late(now);
        if late > BEHIND && self.worst(now).is_none_or(|worst| late > worst) {
            self.worst = Some((late, now));
        }
        self.last = now;
    }

    /// How late it is, or was at worst within the last minute.
    pub(super) fn behind(&self, now: Instant) -> Option<Duration> {
        let late = Some(self.late(now)).filter(|&late| late > BEHIND);
        late.max(self.worst(now))
    }

    fn late(&self, now: Instant) -> Duration {
        let since = now.saturating_duration_since(self.last);
        since.saturating_sub(INTERVAL)
    }

    fn worst(&self, now: Instant) -> Option<Duration> {
        let (worst, at) = self.worst?;
        (now.saturating_duration_since(at) < Duration::from_secs(60)).then_some(worst)
    }
}

/// What changed since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) new: Vec<Problem>,
    /// By their codes.
    pub(super) gone: Vec<&'static str>,
}

/// The problems that were told.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<&'static str>);

impl Told {
    /// What to tell of these problems. One with other words is the same one.
    pub(super) fn tell(&mut self, problems: &[Problem]) -> Changes {
        let is_new = |problem: &&Problem| !self.0.contains(&problem.code());
        let new = problems.iter().filter(is_new).cloned().collect();
        let codes: Vec<_> = problems.iter().map(Problem::code).collect();
        let mut gone = std::mem::replace(&mut self.0, codes);
        gone.retain(|code| !self.0.contains(code));
        Changes { new, gone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_behind_while_it_does_not_look_and_for_a_minute_after() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut pulse = Pulse::new(begin);
        pulse.beat(at(1));
        assert_eq!(pulse.behind(at(4)), None, "two seconds late are not behind");
        assert_eq!(pulse.behind(at(5)), Some(Duration::from_secs(3)));
        pulse.beat(at(6));
        pulse.beat(at(7));
        assert_eq!(pulse.behind(at(7)), Some(Duration::from_secs(4)));
        pulse.beat(at(10));
        assert_eq!(pulse.behind(at(10)), Some(Duration::from_secs(4)));
        (11..66).for_each(|second| pulse.beat(at(second)));
        assert_eq!(pulse.behind(at(65)), Some(Duration::from_secs(4)));
        assert_eq!(pulse.behind(at(66)), None);
    }

    #[test]
    fn a_loss_is_a_problem_for_an_hour() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let mut losses = Losses::default();
        assert_eq!(losses.note(0, minutes(0)), None);
        assert_eq!(losses.note(2, minutes(1)), Some(2));
        assert_eq!(losses.note(2, minutes(60)), Some(2));
        assert_eq!(losses.note(2, minutes(61)), None);
        assert_eq!(losses.note(3, minutes(70)), Some(3));
    }

    #[test]
    fn a_problem_is_told_once_when_it_comes_and_once_when_it_goes() {
        let stuck = |pending| Problem::ReportsStuck {
            pending,
            oldest: LATELY,
            error: None,
        };
        let missing = Problem::SharedTierMissing;
        let mut told = Told::default();
        assert_eq!(told.tell(&[]), Changes::default());
        let first = told.tell(&[stuck(1)]);
        assert_eq!(first.new, [stuck(1)]);
        let second = told.tell(&[stuck(2), missing.clone()]);
        assert_eq!((second.new, second.gone), (vec![missing], vec![]));
        let third = told.tell(&[Problem::SharedTierMissing]);
        assert_eq!((third.new, third.gone), (vec![], vec!["reports_stuck"]));
    }
}
