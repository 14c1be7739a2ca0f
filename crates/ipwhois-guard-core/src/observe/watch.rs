//! What has to be remembered from one look to the next.

use std::time::Duration;

use super::problem::Problem;

/// How long a loss is a problem.
const LATELY: Duration = Duration::from_secs(60 * 60);

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
