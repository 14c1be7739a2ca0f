//! Whether the store is asked at all.
//!
//! A state machine without a clock: whoever probes waits as long as [`Breaker::wait`] says.

use std::time::Duration;

/// So many failures in a row open the breaker.
const FAILURES: u32 = 3;
/// The wait for the first probe; it doubles with each probe that fails, up to the second value.
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LAST_PROBE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaker {
    Closed { failures: u32 },
    Open { wait: Duration },
}

impl Breaker {
    pub(super) const fn new() -> Self {
        Self::Closed { failures: 0 }
    }

    /// How long to wait for the next probe; `None` while the store is asked.
    pub(super) const fn wait(self) -> Option<Duration> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { wait } => Some(wait),
        }
    }

    /// A call was answered. While the breaker is open that says nothing: only a probe closes it.
    pub(super) const fn succeed(&mut self) {
        if let Self::Closed { failures } = self {
            *failures = 0;
        }
    }

    /// A call failed. True when that opens the breaker.
    pub(super) const fn fail(&mut self) -> bool {
        let Self::Closed { failures } = self else {
            return false;
        };
        *failures += 1;
        if *failures < FAILURES {
            return false;
        }
        *self = Self::Open { wait: FIRST_PROBE };
        true
    }

    /// A probe came back, or did not.
    pub(super) fn probed(&mut self, answered: bool) {
        *self = match *self {
            Self::Open { wait } if !answered => Self::Open {
                wait: (wait * 2).min(LAST_PROBE),
            },
            _ => Self::new(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Breaker {
        let mut breaker = Breaker::new();
        assert!(!breaker.fail());
        assert!(!breaker.fail());
        assert!(breaker.fail());
        breaker
    }

    #[test]
    fn three_failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let mut breaker = Breaker::new();
        for _ in 0..10 {
            assert!(!breaker.fail());
            assert!(!breaker.fail());
            breaker.succeed();
        }
        assert_eq!(breaker.wait(), None);
        assert_eq!(opened().wait(), Some(FIRST_PROBE));
    }

    #[test]
    fn the_wait_doubles_to_half_a_minute() {
        let mut breaker = opened();
        for expected in [2, 4, 8, 16, 30, 30] {
            breaker.probed(false);
            assert_eq!(breaker.wait(), Some(Duration::from_secs(expected)));
        }
        breaker.probed(true);
        assert_eq!(breaker, Breaker::new());
    }

    #[test]
    fn what_was_under_way_when_it_opened_changes_nothing() {
        let mut breaker = opened();
        breaker.succeed();
        assert!(!breaker.fail());
        assert_eq!(breaker, opened());
    }
}
