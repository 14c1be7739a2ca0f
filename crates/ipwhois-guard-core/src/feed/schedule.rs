//! When the feed is asked for next.

use std::time::Duration;

/// After the first failure.
const FIRST_RETRY: Duration = Duration::from_secs(60);

/// How long to wait after so many failures in a row: `interval` after none, otherwise 1 min,
/// doubling up to `interval`. Give or take a tenth, as `random` says, so that guards that were
/// started together do not ask together.
pub(super) fn wait(interval: Duration, failures: u32, random: u64) -> Duration {
    let wait = match failures.checked_sub(1) {
        None => interval,
        Some(doublings) => FIRST_RETRY
            .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX))
            .min(interval),
    };
    // From 90.0 to 110.0 %.
    let permille = 900 + (random % 201) as u32;
    wait.saturating_mul(permille) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_AN_HOUR: Duration = Duration::from_secs(1_800);
    /// What leaves a wait as it is.
    const NO_JITTER: u64 = 100;

    #[track_caller]
    fn check(failures: u32, seconds: u64) {
        let wait = wait(HALF_AN_HOUR, failures, NO_JITTER);
        assert_eq!(wait.as_secs(), seconds, "after {failures} failures");
    }

    #[test]
    fn a_failure_is_retried_sooner_and_then_ever_later() {
        check(0, 1_800);
        check(1, 60);
        check(2, 120);
        check(5, 960);
        check(6, 1_800);
        check(32, 1_800);
        check(33, 1_800);
        check(u32::MAX, 1_800);
    }

    #[test]
    fn the_wait_varies_by_a_tenth_and_no_more() {
        let waits = (0..1_000).map(|random| wait(HALF_AN_HOUR, 0, random).as_secs());
        assert_eq!(waits.clone().min(), Some(1_620));
        assert_eq!(waits.max(), Some(1_980));
        let longest = Duration::from_secs(30 * 24 * 60 * 60);
        assert!(wait(longest, 40, u64::MAX) <= longest * 11 / 10);
    }
}
