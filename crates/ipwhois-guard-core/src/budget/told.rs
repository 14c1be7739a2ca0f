//! What the service said of its own count.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// So many statements for different moments are held. Beyond, the most generous one goes.
const WINDOWS: usize = 4;

/// All that the service said today. Every count is kept as what may have been spent when nothing is left.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Until the end of the day.
    day: Option<Ceiling>,
    windows: Vec<Window>,
    /// Nothing is left for anybody until then.
    exhausted_until: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Ceiling {
    at: u32,
    /// The last check that was taken before it was said.
    since: u64,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ceiling: Ceiling,
    /// Of the window, what is kept for urgent checks.
    reserve: u32,
    until: Duration,
}

/// Its form in a snapshot. The moments are milliseconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredTold {
    day: Option<u32>,
    /// Ceiling, reserve and end of each.
    windows: Vec<(u32, u32, u64)>,
    exhausted_until: u64,
}

impl Told {
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
        self.windows.retain(|other| now < other.until);
        let says_nothing_new = |other: &Window| other.ceiling.at <= at && other.until >= until;
        if until <= now || self.windows.iter().any(says_nothing_new) {
            return;
        }
        self.windows
            .retain(|other| other.ceiling.at < at || other.until > until);
        self.windows.push(Window {
            ceiling: Ceiling { at, since },
            reserve: left.div_ceil(10),
            until,
        });
        if self.windows.len() > WINDOWS {
            self.windows
                .sort_unstable_by_key(|window| window.ceiling.at);
            self.windows.truncate(WINDOWS);
        }
    }

    /// What may be spent today, if the limit is `limit`.
    pub(super) fn limit(&self, limit: u32) -> u32 {
        self.day.map_or(limit, |day| day.at.min(limit))
    }

    /// What may be spent now, as far as shorter windows go; by others than urgent checks, if `reserved`.
    pub(super) fn window(&self, reserved: bool, now: Duration) -> u32 {
        let open = self.windows.iter().filter(|window| now < window.until);
        open.map(|window| {
            let kept = if reserved { window.reserve } else { 0 };
            window.ceiling.at.saturating_sub(kept)
        })
        .min()
        .unwrap_or(u32::MAX)
    }

    /// The moments at which something that was said ends.
    pub(super) fn ends(&self) -> impl Iterator<Item = Duration> {
        let windows = self.windows.iter().map(|window| window.until);
        windows.chain([self.exhausted_until])
    }

    /// The check with this number was never sent. The service did not count it: who was told a count after it was
    /// taken may not gain one.
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
        let windows = self.windows.iter_mut().map(|window| &mut window.ceiling);
        self.day.iter_mut().chain(windows)
    }

    pub(super) fn store(&self) -> StoredTold {
        StoredTold {
            day: self.day.map(|day| day.at),
            windows: self
                .windows
                .iter()
                .map(|window| {
                    (
                        window.ceiling.at,
                        window.reserve,
                        milliseconds(window.until),
                    )
                })
                .collect(),
            exhausted_until: milliseconds(self.exhausted_until),
        }
    }

    /// Takes over what was stored, no longer than to `end`. What was spent since counts against it.
    pub(super) fn restore(&mut self, stored: &StoredTold, end: Duration) {
        let until = |stored: u64| Duration::from_millis(stored).min(end);
        self.exhaust(until(stored.exhausted_until));
        let ceiling = |at: u32| Ceiling { at, since: 0 };
        if let Some(at) = stored.day {
            let restored = ceiling(at);
            if self.day.is_none_or(|day| restored.at < day.at) {
                self.day = Some(restored);
            }
        }
        let restored = stored.windows.iter().map(|&(at, reserve, end)| Window {
            ceiling: ceiling(at),
            reserve,
            until: until(end),
        });
        self.windows.extend(restored.take(WINDOWS));
    }
}

/// Rounded up: a pause is never cut short.
fn milliseconds(at: Duration) -> u64 {
    u64::try_from(at.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
