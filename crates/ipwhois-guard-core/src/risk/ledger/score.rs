//! How much speaks against a client, fading.

use super::{MINUTE, Signal};
use crate::clock::Tick;
use crate::decay::decayed;

/// 1.0 in 1/256ths.
const ONE: u32 = 256;

const HALF_LIFE: u32 = 10 * MINUTE;

/// From here on a client is suspicious.
const SUSPICIOUS: u32 = 3 * ONE;

/// Six half-lives above the mark: suspicious for an hour.
const PLAIN: u32 = SUSPICIOUS << 6;

/// Two of them are enough within 10 minutes, and so is one every 15; one every 20 is not.
const REFUSED: u32 = 2 * ONE;

/// Eight at once are enough, one every 3 minutes is not: a page with some broken images makes nobody suspicious.
const REFUSED_LIKE_OTHERS: u32 = ONE * 2 / 5;

/// Noticed, and with one refusal more suspicious.
const SCRIPT: u32 = ONE * 3 / 2;

/// However much speaks against a client: 64 minutes after the last signal it is clear.
const MOST: u32 = 256 * ONE;

/// The sum of the signals. It is computed anew only when a signal comes: a client that is seen often loses nothing more by
/// rounding than one that is not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Score {
    points: u32,
    at: Tick,
}

impl Score {
    pub(super) const ZERO: Self = Self {
        points: 0,
        at: Tick::NEVER,
    };

    /// The points at this moment, in 1/256ths.
    pub(super) const fn points(self, now: Tick) -> u32 {
        decayed(self.points, self.at.age(now), HALF_LIFE)
    }

    pub(super) const fn is_suspicious(self, now: Tick) -> bool {
        self.points(now) >= SUSPICIOUS
    }

    pub(super) const fn is_noticed(self, now: Tick) -> bool {
        self.points(now) >= ONE
    }

    pub(super) fn add(&mut self, signal: Signal, now: Tick) {
        let weight = match signal {
            Signal::Probe | Signal::FailedLogin | Signal::RefusedChange | Signal::Told => PLAIN,
            Signal::Script => SCRIPT.saturating_sub(self.points(now)),
            Signal::Refused => REFUSED,
            Signal::RefusedLikeOthers => REFUSED_LIKE_OTHERS,
        };
        // Of who is suspicious, or noticed, it says nothing new; and computing a high score anew costs it more than this would add.
        let says_nothing = match signal {
            Signal::RefusedLikeOthers => self.is_suspicious(now),
            Signal::Script => self.points(now) >= SCRIPT,
            _ => false,
        };
        if says_nothing {
            return;
        }
        self.points = self.points(now).saturating_add(weight).min(MOST);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(tenths: u32) -> Tick {
        Tick::at(Duration::from_millis(u64::from(tenths) * 100))
    }

    fn signal() -> impl Strategy<Value = Signal> {
        prop_oneof![
            Just(Signal::Probe),
            Just(Signal::Script),
            Just(Signal::Refused),
            Just(Signal::RefusedLikeOthers),
            Just(Signal::RefusedChange),
            Just(Signal::FailedLogin),
            Just(Signal::Told),
        ]
    }

    /// Signals and the times between them, in tenths of a second: mostly within some half-lives, sometimes anything.
    fn history() -> impl Strategy<Value = Vec<(u32, Signal)>> {
        let gap = prop_oneof![9 => 0_u32..20_000, 1 => any::<u32>()];
        prop::collection::vec((gap, signal()), 0..12)
    }

    fn after(history: &[(u32, Signal)]) -> (Score, u32) {
        let mut score = Score::ZERO;
        let mut now: u32 = 0;
        for (gap, signal) in history {
            now = now.saturating_add(*gap);
            score.add(*signal, at(now));
        }
        (score, now)
    }

    proptest! {
        #[test]
        fn without_a_signal_it_never_rises(history in history(), gap: u32, longer in 0_u32..50_000) {
            let (score, now) = after(&history);
            let then = now.saturating_add(gap);
            prop_assert!(score.points(at(then)) <= score.points(at(now)));
            prop_assert!(score.points(at(now.saturating_add(longer))) <= score.points(at(now)));
            prop_assert!(score.points(at(then.saturating_add(longer))) <= score.points(at(then)));
        }

        #[test]
        fn one_signal_more_never_lowers_it(
            history in history(), gap in 0_u32..40_000, more in signal(), later in 0_u32..80_000,
        ) {
            let (without, now) = after(&history);
            let now = now.saturating_add(gap);
            let mut with = without;
            with.add(more, at(now));
            let later = at(now.saturating_add(later));
            prop_assert!(with.points(later) >= without.points(later));
        }

        #[test]
        fn it_is_never_more_than_the_most_nor_less_than_the_last_signal(history in history(), gap: u32) {
            let (mut score, now) = after(&history);
            let now = at(now.saturating_add(gap));
            score.add(Signal::Refused, now);
            prop_assert!((REFUSED..=MOST).contains(&score.points(now)));
        }

        #[test]
        fn a_clock_that_another_thread_read_earlier_does_no_harm(history in history(), back: u32) {
            let (mut score, now) = after(&history);
            let earlier = at(now.saturating_sub(back));
            let before = score.points(at(now));
            score.add(Signal::Probe, earlier);
            prop_assert!(score.points(at(now)) >= before);
        }
    }
}
