//! How soon a report is tried again, and how soon any is.

use std::time::Duration;

/// The wait after the first attempt that failed. It doubles with each further one, up to the second value.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(5 * 60);

/// After so many failures in a row, of whichever reports, all of them wait: each alone would be patient enough, ten
/// thousand of them would not.
const FAILURES: u32 = 5;

/// The limits of what a `Retry-After` may ask for.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// The wait after so many attempts that failed, 20 % more or less as `random` has it.
pub(super) fn backoff(attempts: u32, random: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    let per_mille = 800 + ((u64::from(random) * 401) >> 32) as u32;
    doubled.min(LAST_WAIT) * per_mille / 1_000
}

/// When the service may be called at all.
#[derive(Debug, Default)]
pub(super) struct Pace {
    failures: u32,
    resting_until: Duration,
    asked_until: Duration,
}

impl Pace {
    pub(super) fn opens_at(&self) -> Duration {
        self.resting_until.max(self.asked_until)
    }

    /// The service took or refused a report: it is there.
    pub(super) fn answered(&mut self) {
        self.failures = 0;
        self.resting_until = Duration::ZERO;
    }

    /// An attempt failed. Answers the pause for all reports when one begins.
    pub(super) fn failed(
        &mut self,
        retry_after: Option<Duration>,
        is_limited: bool,
        now: Duration,
        random: u32,
    ) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        if let Some(asked) = retry_after {
            let pause = asked.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            self.asked_until = self.asked_until.max(now + pause);
            return Some(pause);
        }
        // A limit concerns the next report as much as this one.
        let rests = match is_limited {
            true => self.failures,
            false => self.failures.saturating_sub(FAILURES - 1),
        };
        (rests > 0).then(|| {
            let pause = backoff(rests, random);
            self.resting_until = now + pause;
            pause
        })
    }

    /// Forgets the failures, and keeps what the service asked for.
    pub(super) fn hurry(&mut self) {
        self.answered();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u32 = u32::MAX / 2;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_wait_doubles_from_a_second_to_five_minutes_give_or_take_a_fifth() {
        let expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300];
        for (attempts, wait) in (1..).zip(expected) {
            assert_eq!(backoff(attempts, MIDDLE), seconds(wait), "{attempts}");
            assert_eq!(backoff(attempts, 0), seconds(wait) * 8 / 10);
            assert_eq!(backoff(attempts, u32::MAX), seconds(wait) * 12 / 10);
        }
        assert_eq!(backoff(u32::MAX, MIDDLE), seconds(300));
    }

    #[test]
    fn a_retry_after_holds_within_its_limits_and_outlives_a_success() {
        for (asked, pause) in [(0, 1), (60, 60), (90_000, 86_400), (u64::MAX, 86_400)] {
            let mut pace = Pace::default();
            pace.failed(Some(seconds(asked)), true, seconds(10), MIDDLE);
            assert_eq!(pace.opens_at(), seconds(10 + pause));
            pace.hurry();
            assert_eq!(pace.opens_at(), seconds(10 + pause));
        }
    }

    #[test]
    fn all_reports_rest_from_the_fifth_failure_in_a_row() {
        let mut pace = Pace::default();
        for _ in 0..4 {
            assert_eq!(pace.failed(None, false, seconds(10), MIDDLE), None);
        }
        assert_eq!(pace.opens_at(), Duration::ZERO);
        for wait in [1, 2, 4] {
            let pause = pace.failed(None, false, seconds(10), MIDDLE);
            assert_eq!(pause, Some(seconds(wait)));
            assert_eq!(pace.opens_at(), seconds(10 + wait));
        }
        pace.answered();
        assert_eq!(pace.opens_at(), Duration::ZERO);
        assert_eq!(pace.failed(None, false, seconds(20), MIDDLE), None);
    }

    #[test]
    fn a_limit_without_retry_after_makes_all_reports_rest_at_once() {
        let mut pace = Pace::default();
        for wait in [1, 2, 4] {
            let pause = pace.failed(None, true, seconds(10), MIDDLE);
            assert_eq!(pause, Some(seconds(wait)));
        }
    }
}
