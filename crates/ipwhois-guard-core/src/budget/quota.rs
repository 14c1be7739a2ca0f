//! What the service said of its own count.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the service said today. Each count is kept as a ceiling: the number of checks that are
/// spent when nothing is left.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceQuota {
    /// Until the end of the day.
    day: Option<Ceiling>,
    /// Until an earlier moment. A second window waits until this one is over: the service repeats
    /// it with each reply.
    window: Option<(Ceiling, Duration)>,
    /// Nothing is left until then.
    exhausted_until: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Ceiling {
    at: u32,
    /// The number of the last check before the service said it.
    since: u64,
}

/// Its form in a snapshot. Moments are milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StoredQuota {
    day: Option<u32>,
    window: Option<(u32, u64)>,
    exhausted_until: u64,
}

impl ServiceQuota {
    pub(super) fn exhaust(&mut self, until: Duration) {
        self.exhausted_until = self.exhausted_until.max(until);
    }

    pub(super) fn is_exhausted(&self, now: Duration) -> bool {
        now < self.exhausted_until
    }

    /// `left` until the end of the day.
    pub(super) fn believe_day(&mut self, left: u32, spent: u32, since: u64) {
        let at = spent.saturating_add(left);
        if self.day.is_none_or(|day| at <= day.at) {
            self.day = Some(Ceiling { at, since });
        }
    }

    /// `left` until an earlier moment.
    pub(super) fn believe_window(
        &mut self,
        left: u32,
        until: Duration,
        spent: u32,
        since: u64,
        now: Duration,
    ) {
        let at = spent.saturating_add(left);
        let says_less = |&(window, end): &(Ceiling, Duration)| now >= end || at <= window.at;
        if until > now && self.window.as_ref().is_none_or(says_less) {
            self.window = Some((Ceiling { at, since }, until));
        }
    }

    /// What may be spent today, of `limit`.
    pub(super) fn limit(&self, limit: u32) -> u32 {
        self.day.map_or(limit, |day| day.at.min(limit))
    }

    /// What may be spent now, as far as the shorter window goes.
    pub(super) fn window(&self, now: Duration) -> u32 {
        let open = self.window.filter(|&(_, until)| now < until);
        open.map_or(u32::MAX, |(ceiling, _)| ceiling.at)
    }

    /// The moments at which something that the service said ends.
    pub(super) fn ends(&self) -> impl Iterator<Item = Duration> {
        let window = self.window.map(|(_, until)| until);
        window.into_iter().chain([self.exhausted_until])
    }

    /// The check with this number was never sent, so the service did not count it. A ceiling from
    /// after the check must not gain one by it.
    pub(super) fn refund(&mut self, number: u64) {
        for ceiling in self.ceilings() {
            if number <= ceiling.since {
                ceiling.at = ceiling.at.saturating_sub(1);
            }
        }
    }

    /// So many checks turn out to have been spent before.
    pub(super) fn shift(&mut self, spent: u32) {
        for ceiling in self.ceilings() {
            ceiling.at = ceiling.at.saturating_add(spent);
        }
    }

    fn ceilings(&mut self) -> impl Iterator<Item = &mut Ceiling> {
        let window = self.window.as_mut().map(|(ceiling, _)| ceiling);
        self.day.iter_mut().chain(window)
    }

    pub(super) fn snapshot(&self) -> StoredQuota {
        StoredQuota {
            day: self.day.map(|day| day.at),
            window: self
                .window
                .map(|(window, end)| (window.at, milliseconds(end))),
            exhausted_until: milliseconds(self.exhausted_until),
        }
    }

    /// Takes over what was stored, no longer than to `end`.
    pub(super) fn restore(&mut self, stored: &StoredQuota, end: Duration) {
        let until = |stored: u64| Duration::from_millis(stored).min(end);
        self.exhaust(until(stored.exhausted_until));
        if let Some(at) = stored.day {
            self.believe_day(at, 0, 0);
        }
        if let Some((at, window_end)) = stored.window {
            self.believe_window(at, until(window_end), 0, 0, Duration::ZERO);
        }
    }
}

/// Rounded up: a pause is never cut short.
fn milliseconds(at: Duration) -> u64 {
    u64::try_from(at.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
