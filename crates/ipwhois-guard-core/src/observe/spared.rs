//! Failed logins of a client that is never banned because it looks like a proxy.

use std::net::IpAddr;
use std::time::Duration;

/// How long a failure is remembered.
const LATELY: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Default)]
pub(super) struct Spared {
    /// Who it was last, when, and how often without a pause of an hour.
    last: Option<(IpAddr, Duration, u32)>,
}

impl Spared {
    pub(super) fn note(&mut self, client: IpAddr, now: Duration) {
        let before = match self.lately(now) {
            Some((same, failures)) if same == client => failures,
            _ => 0,
        };
        self.last = Some((client, now, before.saturating_add(1)));
    }

    pub(super) fn lately(&self, now: Duration) -> Option<(IpAddr, u32)> {
        let (client, at, failures) = self.last?;
        (now.saturating_sub(at) < LATELY).then_some((client, failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_client_are_counted_for_an_hour_after_the_last() {
        let (one, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let mut spared = Spared::default();
        assert_eq!(spared.lately(minutes(0)), None);
        spared.note(one, minutes(1));
        spared.note(one, minutes(60));
        assert_eq!(spared.lately(minutes(119)), Some((one, 2)));
        assert_eq!(spared.lately(minutes(120)), None);
        spared.note(one, minutes(121));
        assert_eq!(spared.lately(minutes(121)), Some((one, 1)));
        spared.note(other, minutes(122));
        assert_eq!(spared.lately(minutes(122)), Some((other, 1)));
    }
}
