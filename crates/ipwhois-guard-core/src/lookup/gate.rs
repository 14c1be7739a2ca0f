//! Whether the service may be called now: the circuit breaker, and the pause after a 429.
//!
//! A state machine without a clock: time since the guard's start comes in as an argument.

use std::time::Duration;

use crate::pause::Pause;
use crate::verdict::Unverified;

/// So many failures in a row open the breaker.
const FAILURES: u32 = 5;
/// The first probe comes after this time; the wait doubles with each probe that fails, up to the
/// second value.
const FIRST_PROBE: Duration = Duration::from_secs(10);
const LAST_PROBE: Duration = Duration::from_secs(5 * 60);

/// Leave to make one call. What came of it goes back through [`Gate::record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Permit {
    Ordinary,
    /// The one call that finds out whether the service is back.
    Probe,
}

/// What came of a call, as far as the gate cares.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Answered,
    /// The service refused this address, which says nothing of the next one.
    Refused,
    Failed,
    RateLimited {
        retry_after: Option<Duration>,
        until_next_day: Duration,
    },
}

/// What changed, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Opened { wait: Duration },
    Closed,
    Paused { pause: Duration },
}

#[derive(Clone, Copy, Debug)]
enum Breaker {
    Closed { failures: u32 },
    Open { probe_at: Duration, wait: Duration },
}

#[derive(Debug)]
pub(super) struct Gate {
    breaker: Breaker,
    pause: Pause,
}

impl Gate {
    pub(super) const fn new() -> Self {
        Self {
            breaker: Breaker::Closed { failures: 0 },
            pause: Pause::new(),
        }
    }

    /// Whether a call that wants to be made now would be admitted.
    pub(super) fn look(&self, now: Duration) -> Result<(), Unverified> {
        if now < self.pause.until() {
            return Err(Unverified::RateLimited);
        }
        match self.breaker {
            Breaker::Open { probe_at, .. } if now < probe_at => Err(Unverified::BreakerOpen),
            _ => Ok(()),
        }
    }

    /// Whether every call is admitted: no breaker is open, and there was never a pause.
    pub(super) const fn is_plain(&self) -> bool {
        matches!(self.breaker, Breaker::Closed { .. }) && self.pause.until().is_zero()
    }

    /// In how long the service is tried again, while the breaker is open.
    pub(super) const fn open_for(&self, now: Duration) -> Option<Duration> {
        match self.breaker {
            Breaker::Closed { .. } => None,
            Breaker::Open { probe_at, .. } => Some(probe_at.saturating_sub(now)),
        }
    }

    /// How long the pause after a 429 still lasts.
    pub(super) const fn pause_left(&self, now: Duration) -> Duration {
        self.pause.until().saturating_sub(now)
    }

    /// Leave to make a call now.
    pub(super) fn admit(&mut self, now: Duration) -> Result<Permit, Unverified> {
        self.look(now)?;
        match &mut self.breaker {
            Breaker::Closed { .. } => Ok(Permit::Ordinary),
            Breaker::Open { probe_at, wait } => {
                // The next probe is due even if nothing is ever heard of this one.
                *probe_at = now + *wait;
                Ok(Permit::Probe)
            }
        }
    }

    pub(super) fn record(&mut self, permit: Permit, outcome: Outcome, now: Duration) -> Change {
        match outcome {
            Outcome::Answered => {
                self.pause.answered();
                self.close()
            }
            Outcome::Refused => Change::None,
            Outcome::Failed => self.fail(permit, now),
            Outcome::RateLimited {
                retry_after,
                until_next_day,
            } => {
                // The service is there, it only wants peace.
                let _ = self.close();
                match self.pause.begin(retry_after, until_next_day, now) {
                    Some(pause) => Change::Paused { pause },
                    None => Change::None,
                }
            }
        }
    }

    fn close(&mut self) -> Change {
        let was_open = matches!(self.breaker, Breaker::Open { .. });
        self.breaker = Breaker::Closed { failures: 0 };
        if was_open {
            Change::Closed
        } else {
            Change::None
        }
    }

    fn fail(&mut self, permit: Permit, now: Duration) -> Change {
        let wait = match (self.breaker, permit) {
            (Breaker::Closed { failures }, _) if failures + 1 < FAILURES => {
                self.breaker = Breaker::Closed {
                    failures: failures + 1,
                };
                return Change::None;
            }
            (Breaker::Closed { .. }, _) => FIRST_PROBE,
            (Breaker::Open { wait, .. }, Permit::Probe) => (wait * 2).min(LAST_PROBE),
            // A call from before the breaker opened: nothing new.
            (Breaker::Open { .. }, Permit::Ordinary) => return Change::None,
        };
        self.breaker = Breaker::Open {
            probe_at: now + wait,
            wait,
        };
        Change::Opened { wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn limited(retry_after: Option<Duration>) -> Outcome {
        Outcome::RateLimited {
            retry_after,
            until_next_day: DAY,
        }
    }

    /// Makes one call that ends at once.
    #[track_caller]
    fn call(gate: &mut Gate, outcome: Outcome, now: Duration) -> Change {
        let permit = gate.admit(now).unwrap();
        gate.record(permit, outcome, now)
    }

    fn opened() -> Gate {
        let mut gate = Gate::new();
        for _ in 0..FAILURES {
            call(&mut gate, Outcome::Failed, Duration::ZERO);
        }
        gate
    }

    #[test]
    fn five_failures_in_a_row_open_the_breaker() {
        let mut gate = Gate::new();
        for _ in 0..4 {
            assert_eq!(call(&mut gate, Outcome::Failed, seconds(0)), Change::None);
        }
        call(&mut gate, Outcome::Answered, seconds(0));
        for _ in 0..4 {
            assert_eq!(call(&mut gate, Outcome::Failed, seconds(0)), Change::None);
        }
        let change = call(&mut gate, Outcome::Failed, seconds(0));
        assert_eq!(change, Change::Opened { wait: seconds(10) });
        assert_eq!(gate.look(seconds(9)), Err(Unverified::BreakerOpen));
    }

    #[test]
    fn one_probe_at_a_time_finds_out_whether_the_service_is_back() {
        let mut gate = opened();
        let permit = gate.admit(seconds(10)).unwrap();
        assert_eq!(permit, Permit::Probe);
        assert_eq!(gate.admit(seconds(10)), Err(Unverified::BreakerOpen));
        let change = gate.record(permit, Outcome::Answered, seconds(11));
        assert_eq!(change, Change::Closed);
        assert_eq!(gate.admit(seconds(11)), Ok(Permit::Ordinary));
    }

    #[test]
    fn a_probe_of_which_nothing_is_heard_does_not_close_the_gate_for_good() {
        let mut gate = opened();
        let _lost = gate.admit(seconds(10)).unwrap();
        assert_eq!(gate.admit(seconds(20)), Ok(Permit::Probe));
    }

    #[test]
    fn the_wait_doubles_to_five_minutes() {
        let mut gate = opened();
        let mut now = Duration::ZERO;
        let mut wait = seconds(10);
        for expected in [20, 40, 80, 160, 300, 300] {
            now += wait;
            let change = call(&mut gate, Outcome::Failed, now);
            wait = seconds(expected);
            assert_eq!(change, Change::Opened { wait });
        }
    }

    #[test]
    fn late_failures_of_ordinary_calls_do_not_lengthen_the_wait() {
        let mut gate = opened();
        let change = gate.record(Permit::Ordinary, Outcome::Failed, seconds(5));
        assert_eq!(change, Change::None);
        assert_eq!(gate.look(seconds(10)), Ok(()));
    }

    #[test]
    fn a_429_pauses_for_its_retry_after_within_limits() {
        for (asked, expected) in [(0, 1), (60, 60), (90_000, 86_400), (u64::MAX, 86_400)] {
            let mut gate = Gate::new();
            let change = call(&mut gate, limited(Some(seconds(asked))), seconds(0));
            let pause = seconds(expected);
            assert_eq!(change, Change::Paused { pause });
            assert_eq!(gate.look(pause - seconds(1)), Err(Unverified::RateLimited));
            assert_eq!(gate.look(pause), Ok(()));
        }
    }

    #[test]
    fn without_retry_after_the_pause_doubles_to_the_next_day() {
        let mut gate = Gate::new();
        let mut now = Duration::ZERO;
        for expected in [15, 30, 60, 120] {
            let pause = seconds(expected * 60);
            assert_eq!(
                call(&mut gate, limited(None), now),
                Change::Paused { pause }
            );
            now += pause;
        }
        let near_midnight = Outcome::RateLimited {
            retry_after: None,
            until_next_day: seconds(70),
        };
        let pause = seconds(70);
        assert_eq!(
            call(&mut gate, near_midnight, now),
            Change::Paused { pause }
        );
        now += pause;
        call(&mut gate, Outcome::Answered, now);
        let pause = seconds(15 * 60);
        assert_eq!(
            call(&mut gate, limited(None), now),
            Change::Paused { pause }
        );
    }

    #[test]
    fn a_429_is_a_sign_of_life() {
        let mut gate = opened();
        let permit = gate.admit(seconds(10)).unwrap();
        let _ = gate.record(permit, limited(Some(seconds(5))), seconds(10));
        assert_eq!(gate.admit(seconds(15)), Ok(Permit::Ordinary));
    }

    #[test]
    fn a_shorter_pause_does_not_end_a_longer_one() {
        let mut gate = Gate::new();
        let first = gate.admit(seconds(0)).unwrap();
        let second = gate.admit(seconds(0)).unwrap();
        let _ = gate.record(first, limited(Some(seconds(600))), seconds(0));
        let _ = gate.record(second, limited(Some(seconds(5))), seconds(1));
        assert_eq!(gate.look(seconds(599)), Err(Unverified::RateLimited));
    }

    #[test]
    fn refused_addresses_open_no_breaker() {
        let mut gate = Gate::new();
        for _ in 0..20 {
            assert_eq!(call(&mut gate, Outcome::Refused, seconds(0)), Change::None);
        }
        assert_eq!(gate.look(seconds(0)), Ok(()));
    }

    #[test]
    fn a_volley_of_429_counts_once() {
        let mut gate = Gate::new();
        let permits: Vec<_> = (0..16).map(|_| gate.admit(seconds(0)).unwrap()).collect();
        for permit in permits {
            let _ = gate.record(permit, limited(None), seconds(0));
        }
        assert_eq!(gate.look(seconds(15 * 60)), Ok(()));
    }
}
