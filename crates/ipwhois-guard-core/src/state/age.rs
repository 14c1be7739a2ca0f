//! How old is what an earlier process learned?
//!
//! Only the wall clock goes on between two processes, and it jumps: a machine boots with a wrong
//! date, or somebody sets it.

use std::time::{Duration, SystemTime};

use crate::clock::Tick;

/// By how much two clocks, or one clock before and after it was set, may differ without a reason to
/// doubt.
const SLACK: Duration = Duration::from_secs(5 * 60);

/// The age of a verdict; `None` when it may no longer be used.
///
/// A verdict of the future says that the clock went back, and nothing about its age. It counts as
/// exactly `cache_ttl` old: used at once, and refreshed.
pub(crate) fn age(
    verified: SystemTime,
    now: SystemTime,
    cache_ttl: Duration,
    stale_ttl: Duration,
) -> Option<Duration> {
    let age = match now.duration_since(verified) {
        Ok(age) => age,
        Err(ahead) if ahead.duration() <= SLACK => Duration::ZERO,
        Err(_) => cache_ttl,
    };
    (age < stale_ttl).then_some(age)
}

/// When that was on the guard's own clock, which shows `elapsed` now.
pub(crate) fn tick(age: Duration, elapsed: Duration) -> Tick {
    Tick::at(elapsed).earlier(age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ticks;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// `verified` in seconds from now, negative for the past; the age in seconds.
    #[track_caller]
    fn check(verified: i64, expected: Option<u64>) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let distance = Duration::from_secs(verified.unsigned_abs());
        let verified = if verified < 0 {
            now - distance
        } else {
            now + distance
        };
        let age = age(verified, now, HOUR, DAY);
        assert_eq!(age, expected.map(Duration::from_secs));
    }

    #[test]
    fn the_time_between_two_processes_counts() {
        check(0, Some(0));
        check(-1, Some(1));
        check(-7_200, Some(7_200));
    }

    #[test]
    fn what_is_as_old_as_stale_ttl_is_dropped() {
        check(-86_399, Some(86_399));
        check(-86_400, None);
        check(-1_790_000_000, None);
    }

    #[test]
    fn a_clock_that_went_back_a_little_makes_it_new() {
        check(1, Some(0));
        check(300, Some(0));
    }

    #[test]
    fn a_clock_that_went_back_far_makes_it_stale() {
        check(301, Some(3_600));
        check(1_000_000_000, Some(3_600));
    }

    #[test]
    fn without_a_stale_phase_a_verdict_of_the_future_is_dropped() {
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(age(now + DAY, now, HOUR, HOUR), None);
    }

    #[test]
    fn an_age_as_old_as_cache_ttl_is_stale_on_the_guards_clock() {
        let elapsed = Duration::from_millis(250);
        let then = tick(HOUR, elapsed);
        assert!(!then.is_within(ticks(HOUR), Tick::at(elapsed)));
        let younger = tick(HOUR - Duration::from_millis(100), elapsed);
        assert!(younger.is_within(ticks(HOUR), Tick::at(elapsed)));
    }
}
