//! How soon a report is tried again, and how soon any is.

use std::time::Duration;

use crate::pause::Pause;

/// The wait after the first attempt that failed. It doubles with each further one, up to the second
/// value.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(5 * 60);

/// After so many failures in a row, of whichever reports, all of them wait: each alone would be
/// patient enough, ten thousand of them would not.
const FAILURES: u32 = 5;

/// A token bucket: one report a second, and this many at once after a pause. So a botnet that is
/// banned within seconds is no flood for the service, and a full queue is empty within three hours.
const TURN: Duration = Duration::from_secs(1);
const BURST: u32 = 60;

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
    /// After a 429, or whatever else has a `Retry-After`.
    pause: Pause,
    /// When the bucket is full again.
    full_at: Duration,
}

impl Pace {
    pub(super) fn opens_at(&self) -> Duration {
        let pause = self.pause.until();
        self.resting_until.max(pause).max(self.next_turn())
    }

    /// When the bucket has a token.
    fn next_turn(&self) -> Duration {
        self.full_at.saturating_sub(TURN * (BURST - 1))
    }

    /// A report is sent that was due at this time. Answers whether it waited for a token.
    pub(super) fn send(&mut self, due: Duration, now: Duration) -> bool {
        let could_go = due.max(self.resting_until).max(self.pause.until());
        let has_waited = self.next_turn() > could_go;
        self.full_at = self.full_at.max(now) + TURN;
        has_waited
    }

    /// The service took or refused a report: it is there.
    pub(super) fn answered(&mut self) {
        self.pause.answered();
        self.hurry();
    }

    /// An attempt failed. `limited`: by a 429, with the time until the service's next day. Answers
    /// the pause for all reports when one begins.
    pub(super) fn failed(
        &mut self,
        retry_after: Option<Duration>,
        limited: Option<Duration>,
        now: Duration,
        random: u32,
    ) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        if retry_after.is_some() || limited.is_some() {
            return self
                .pause
                .begin(retry_after, limited.unwrap_or_default(), now);
        }
        let rests = self.failures.saturating_sub(FAILURES - 1);
        (rests > 0).then(|| {
            let pause = backoff(rests, random);
            self.resting_until = now + pause;
            pause
        })
    }

    /// Forgets the failures, and keeps what the service asked for.
    pub(super) fn hurry(&mut self) {
        self.failures = 0;
        self.resting_until = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u32 = u32::MAX / 2;
    const DAY: Option<Duration> = Some(Duration::from_secs(86_400));

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
            pace.failed(Some(seconds(asked)), DAY, seconds(10), MIDDLE);
            assert_eq!(pace.opens_at(), seconds(10 + pause));
            pace.hurry();
            assert_eq!(pace.opens_at(), seconds(10 + pause));
        }
    }

    #[test]
    fn all_reports_rest_from_the_fifth_failure_in_a_row() {
        let mut pace = Pace::default();
        for _ in 0..4 {
            assert_eq!(pace.failed(None, None, seconds(10), MIDDLE), None);
        }
        assert_eq!(pace.opens_at(), Duration::ZERO);
        for wait in [1, 2, 4] {
            let pause = pace.failed(None, None, seconds(10), MIDDLE);
            assert_eq!(pause, Some(seconds(wait)));
            assert_eq!(pace.opens_at(), seconds(10 + wait));
        }
        pace.answered();
        assert_eq!(pace.opens_at(), Duration::ZERO);
        assert_eq!(pace.failed(None, None, seconds(20), MIDDLE), None);
    }

    #[test]
    fn a_limit_without_retry_after_pauses_all_reports_as_it_does_checks() {
        let mut pace = Pace::default();
        let mut now = seconds(10);
        for minutes in [15, 30, 60] {
            let pause = pace.failed(None, DAY, now, MIDDLE);
            assert_eq!(pause, Some(seconds(minutes * 60)));
            assert_eq!(pace.opens_at(), now + seconds(minutes * 60));
            now = pace.opens_at();
        }
        let pause = pace.failed(None, Some(seconds(70)), now, MIDDLE);
        assert_eq!(pause, Some(seconds(70)), "the next day");
        pace.answered();
        now = pace.opens_at();
        let pause = pace.failed(None, DAY, now, MIDDLE);
        assert_eq!(pause, Some(seconds(15 * 60)));
    }

    #[test]
    fn sixty_reports_may_go_at_once_and_then_one_a_second() {
        let mut pace = Pace::default();
        let start = seconds(1_000);
        for _ in 0..60 {
            assert!(pace.opens_at() <= start);
            assert!(!pace.send(start, start));
        }
        for n in 1..=10 {
            assert_eq!(pace.opens_at(), start + seconds(n));
            assert!(pace.send(start, start + seconds(n)), "{n} waited");
        }
        let later = start + seconds(70);
        assert!(pace.opens_at() <= later);
        assert!(!pace.send(later, later), "a token was there");
        // A failure's own wait is not the bucket's.
        pace.failed(Some(seconds(600)), None, later, MIDDLE);
        assert!(!pace.send(later, pace.opens_at()));
    }
}
