//! Time as an argument: nothing in core reads a clock but through [`Clock`], so no test sleeps for
//! an expiry.

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

/// A moment in tenths of a second: what a cache entry can afford. Good for 13 years.
///
/// The clock's origin is [`BEFORE_ORIGIN`] ticks in, so that what an earlier process learned has
/// its place before it. The first tick is 1, so that 0 can mean "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u32);

/// 30 days, which is the longest that a verdict may be used (`stale_ttl`).
const BEFORE_ORIGIN: u32 = 30 * 24 * 60 * 60 * 10;

impl Tick {
    pub(crate) const NEVER: Self = Self(0);

    #[inline]
    pub(crate) fn at(elapsed: Duration) -> Self {
        Self(tenths(elapsed).saturating_add(BEFORE_ORIGIN + 1))
    }

    /// The moment that lies `by` before this one, at the earliest 30 days before the clock's
    /// origin.
    pub(crate) fn earlier(self, by: Duration) -> Self {
        if self.is_never() {
            return self;
        }
        Self(self.0.saturating_sub(tenths(by)).max(1))
    }

    pub(crate) const fn is_never(self) -> bool {
        self.0 == 0
    }

    /// Whether fewer than `ticks` tenths of a second lie between this moment and `now`.
    pub(crate) const fn is_within(self, ticks: u32, now: Self) -> bool {
        !self.is_never() && self.age(now) < ticks
    }

    /// Tenths of a second from this moment to `now`; 0 when `now` is not later.
    pub(crate) const fn age(self, now: Self) -> u32 {
        now.0.saturating_sub(self.0)
    }

    /// The moment so many tenths of a second later.
    pub(crate) const fn plus(self, ticks: u32) -> Self {
        Self(self.0.saturating_add(ticks))
    }

    /// How long it is from this moment to a later one. Zero when that is not later.
    pub(crate) const fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0) as u64 * 100)
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }
}

/// A duration in tenths of a second, at least 1.
pub(crate) fn ticks(duration: Duration) -> u32 {
    tenths(duration).max(1)
}

#[inline]
/// So many ticks.
pub(crate) fn duration(ticks: u32) -> Duration {
    Duration::from_millis(u64::from(ticks) * 100)
}

fn tenths(duration: Duration) -> u32 {
    // Not by `as_millis`, which divides 128 bits: every decision comes here.
    let seconds = duration.as_secs().min(u32::MAX.into());
    let tenths = seconds * 10 + u64::from(duration.subsec_millis() / 100);
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
    fn an_age_never_runs_backwards() {
        let then = Tick::at(Duration::from_secs(10));
        let now = Tick::at(Duration::from_millis(12_500));
        assert_eq!(then.age(now), 25);
        assert_eq!(now.age(then), 0);
    }

    #[test]
    fn a_moment_before_the_clock_began_has_its_age() {
        let month = Duration::from_secs(30 * 24 * 60 * 60);
        let then = Tick::at(Duration::ZERO).earlier(month);
        assert!(!then.is_never());
        assert!(then.is_within(ticks(month) + 1, Tick::at(Duration::ZERO)));
        assert!(!then.is_within(ticks(month), Tick::at(Duration::ZERO)));
    }

    #[test]
    fn what_is_too_early_is_the_first_tick_and_never_stays_never() {
        assert!(!Tick::at(Duration::ZERO).earlier(Duration::MAX).is_never());
        assert!(Tick::NEVER.earlier(Duration::from_secs(1)).is_never());
    }

    #[test]
    fn a_moment_is_as_far_away_as_it_was_set() {
        let now = Tick::at(Duration::from_secs(10));
        let minute = Duration::from_secs(60);
        let then = now.plus(ticks(minute));
        assert_eq!(now.until(then), minute);
        assert_eq!(then.until(now), Duration::ZERO);
        assert!(now.plus(u32::MAX) > then);
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
