//! The log's time as a guard's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use ipwhois_guard_core::Clock;

/// Stands at the latest time that the log has shown. Clones show the same time.
#[derive(Clone, Debug)]
pub(super) struct LogClock(Arc<Times>);

#[derive(Debug)]
struct Times {
    first: u64,
    latest: AtomicU64,
}

impl LogClock {
    /// A clock that begins at this time, in seconds since 1970.
    pub(super) fn starting_at(time: u64) -> Self {
        Self(Arc::new(Times {
            first: time,
            latest: AtomicU64::new(time),
        }))
    }

    /// Moves on to a time, unless that is past already: servers write a request when it ends, under
    /// the time when it began.
    pub(super) fn reach(&self, time: u64) {
        self.0.latest.fetch_max(time, Ordering::SeqCst);
    }

    /// The time, in seconds since 1970.
    pub(super) fn now(&self) -> u64 {
        self.0.latest.load(Ordering::SeqCst)
    }
}

impl Clock for LogClock {
    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.now() - self.0.first)
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let clock = LogClock::starting_at(1_000);
        clock.reach(1_060);
        clock.reach(1_030);
        assert_eq!(clock.elapsed(), Duration::from_secs(60));
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_060);
        assert_eq!(clock.wall(), wall);
    }
}
