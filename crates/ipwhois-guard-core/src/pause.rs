//! The pause that a 429 asks for, of checks and of reports alike.

use std::time::{Duration, SystemTime};

/// The limits of what a `Retry-After` may ask for.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The pause without a usable `Retry-After`. It doubles while the 429 go on, up to the service's
/// next day.
const DEFAULT: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Default)]
pub(crate) struct Pause {
    until: Duration,
    /// Number of pauses without a usable `Retry-After` in a row.
    blind: u32,
}

impl Pause {
    pub(crate) const fn new() -> Self {
        Self {
            until: Duration::ZERO,
            blind: 0,
        }
    }

    pub(crate) const fn until(&self) -> Duration {
        self.until
    }

    /// The service answered without a limit.
    pub(crate) const fn answered(&mut self) {
        self.blind = 0;
    }

    /// Begins a pause, or makes it longer. Answers how long a new one lasts.
    pub(crate) fn begin(
        &mut self,
        retry_after: Option<Duration>,
        until_next_day: Duration,
        now: Duration,
    ) -> Option<Duration> {
        let already_paused = now < self.until;
        let pause = match retry_after {
            Some(asked) => asked.clamp(SHORTEST, LONGEST),
            // Calls that were under way together bring one 429 each; they count once.
            None if already_paused => return None,
            None => {
                let doubled = DEFAULT.saturating_mul(1 << self.blind.min(16));
                self.blind += 1;
                doubled.min(until_next_day.max(SHORTEST))
            }
        };
        self.until = self.until.max(now + pause);
        (!already_paused).then_some(pause)
    }
}

/// The service's day is taken to turn at 00:00 UTC.
pub(crate) fn until_next_day(now: SystemTime) -> Duration {
    const DAY: u64 = 24 * 60 * 60;
    let since_epoch = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Duration::from_secs(DAY - since_epoch.as_secs() % DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_turns_at_midnight_utc() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(until_next_day(at(86_399)), Duration::from_secs(1));
        assert_eq!(until_next_day(at(86_400)), Duration::from_secs(86_400));
    }
}
