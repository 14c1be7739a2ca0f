//! Warnings that every request could cause.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Tick, ticks};
use crate::verdict::Unverified;

/// Says each of them once a minute, with the number of requests since.
pub(crate) struct Complaints {
    clock: Arc<dyn Clock>,
    last: AtomicU32,
    since: AtomicU32,
}

impl Complaints {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            last: AtomicU32::new(Tick::NEVER.to_bits()),
            since: AtomicU32::new(0),
        }
    }

    #[cold]
    pub(crate) fn no_client(&self, reason: Unverified, hint: &'static str) {
        if let Some(requests) = self.due() {
            event!(WARN, %reason,
                requests,
                hint = (reason == Unverified::NoPeer).then_some(hint),
                "the client's address cannot be determined"
            );
        }
    }

    /// Counts one more. When it is time to say so: how many there were since the last time.
    fn due(&self) -> Option<u32> {
        self.since.fetch_add(1, Ordering::Relaxed);
        let now = Tick::at(self.clock.elapsed()).to_bits();
        let last = self.last.load(Ordering::Relaxed);
        let is_due = last == Tick::NEVER.to_bits()
            || now.saturating_sub(last) >= ticks(Duration::from_secs(60));
        let is_mine = is_due
            && self
                .last
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        is_mine.then(|| self.since.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_complaint_is_made_once_a_minute_with_its_number() {
        let clock = ManualClock::new();
        let complaints = Complaints::new(Arc::new(clock.clone()));
        assert_eq!(complaints.due(), Some(1));
        for _ in 0..10 {
            assert_eq!(complaints.due(), None);
        }
        clock.advance(Duration::from_secs(60));
        assert_eq!(complaints.due(), Some(11));
        assert_eq!(complaints.due(), None);
    }
}
