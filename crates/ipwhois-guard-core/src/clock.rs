//! Time as an argument: nothing in core reads a clock but through [`Clock`], so no test sleeps for an expiry.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Where a guard takes the time from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Time since a moment that stays the same for the life of the clock. Never goes back.
    fn elapsed(&self) -> Duration;

    /// The date, for what the service says in dates. May jump.
    fn wall(&self) -> SystemTime;
}

/// The machine's clock.
#[derive(Clone, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that stands still until it is told to move: for tests. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    elapsed_ms: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock at 0, which is 2026-01-01 00:00:00 UTC on its wall.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock on, in whole milliseconds.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.elapsed_ms.fetch_add(by, Ordering::SeqCst);
    }
}

/// 2026-01-01 00:00:00 UTC.
const MANUAL_EPOCH: Duration = Duration::from_secs(1_767_225_600);

impl Clock for ManualClock {
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms.load(Ordering::SeqCst))
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + MANUAL_EPOCH + self.elapsed()
    }
}

/// A moment in tenths of a second since the clock's origin: what a cache entry can afford. Good for 13 years.
///
/// The first tick is 1, so that 0 can mean "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u32);

impl Tick {
    pub(crate) const NEVER: Self = Self(0);

    pub(crate) fn at(elapsed: Duration) -> Self {
        Self(tenths(elapsed).saturating_add(1))
    }

    pub(crate) const fn is_never(self) -> bool {
        self.0 == 0
    }

    /// Whether fewer than `ticks` tenths of a second lie between this moment and `now`.
    pub(crate) const fn is_within(self, ticks: u32, now: Self) -> bool {
        !self.is_never() && now.0.saturating_sub(self.0) < ticks
    }

    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }
}

/// A duration in tenths of a second, at least 1.
pub(crate) fn ticks(duration: Duration) -> u32 {
    tenths(duration).max(1)
}

fn tenths(duration: Duration) -> u32 {
    // Not by `as_millis`, which divides 128 bits: every decision comes here.
    let tenths = duration
        .as_secs()
        .saturating_mul(10)
        .saturating_add(u64::from(duration.subsec_millis() / 100));
    u32::try_from(tenths).unwrap_or(u32::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_ends_exactly_at_its_limit() {
        let then = Tick::at(Duration::from_secs(10));
        let limit = ticks(Duration::from_secs(30));
        assert!(then.is_within(limit, Tick::at(Duration::from_millis(39_999))));
        assert!(!then.is_within(limit, Tick::at(Duration::from_secs(40))));
    }

    #[test]
    fn never_is_not_within_any_age() {
        assert!(!Tick::NEVER.is_within(u32::MAX, Tick::at(Duration::ZERO)));
    }

    #[test]
    fn the_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new();
        let same = clock.clone();
        assert_eq!(clock.elapsed(), Duration::ZERO);
        same.advance(Duration::from_millis(1_500));
        assert_eq!(clock.elapsed(), Duration::from_millis(1_500));
        let date = httpdate::fmt_http_date(clock.wall());
        assert_eq!(date, "Thu, 01 Jan 2026 00:00:01 GMT");
    }
}
