//! What a machine may spend while the store is away, and what it owes the store afterwards.

/// A machine alone may spend this part of what was left when the store went away, and one check at
/// least. So ten machines without a store stay within the day's limit.
const PART: u32 = 10;
/// The same for one that has not heard the day's count since its start: it does not know what is
/// left, and may have been started many times.
const UNHEARD_PART: u32 = 100;

#[derive(Debug, Default)]
pub(super) struct Alone {
    /// Days since 1970.
    day: u64,
    /// What may be spent in this outage; `None` while the store is there.
    share: Option<u32>,
    /// What was spent in this outage.
    spent: u32,
    /// What was spent in this day and the store does not know yet.
    owed: u32,
}

impl Alone {
    /// Spends one check, if the share has room; `left` of the day with this one, as far as this
    /// machine has `heard`.
    pub(super) fn spend(&mut self, day: u64, left: u32, heard: bool) -> bool {
        if self.day != day {
            // The day that is over has no use for its count.
            *self = Self {
                day,
                ..Self::default()
            };
        }
        let part = if heard { PART } else { UNHEARD_PART };
        let share = *self.share.get_or_insert((left / part).max(1));
        let room = self.spent < share;
        if room {
            self.spent += 1;
            self.owed += 1;
        }
        room
    }

    /// The check was never sent.
    pub(super) fn unspend(&mut self, day: u64) {
        if self.day == day && self.owed > 0 {
            self.owed -= 1;
            self.spent = self.spent.saturating_sub(1);
        }
    }

    /// The store is back.
    pub(super) fn end(&mut self) {
        self.share = None;
        self.spent = 0;
    }

    /// What to tell the store, and for which day. It is owed no longer: see [`owe`](Self::owe).
    pub(super) fn settle(&mut self) -> Option<(u64, u32)> {
        let owed = std::mem::take(&mut self.owed);
        (owed > 0).then_some((self.day, owed))
    }

    /// The store could not be told.
    pub(super) fn owe(&mut self, day: u64, checks: u32) {
        if self.day == day {
            self.owed = self.owed.saturating_add(checks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_worth_a_tenth_of_what_was_left_when_it_began() {
        for (left, expected) in [(50, 5), (59, 5), (9, 1), (1, 1), (1_000, 100)] {
            let mut alone = Alone::default();
            let spent = (0..left)
                .take_while(|n| alone.spend(1, left - n, true))
                .count();
            assert_eq!(spent, expected, "of {left}");
            assert_eq!(alone.settle(), Some((1, expected as u32)));
            assert_eq!(alone.settle(), None, "told once");
            assert!(
                !alone.spend(1, left, true),
                "what is told is not given back"
            );
        }
    }

    #[test]
    fn who_has_not_heard_the_count_has_a_hundredth() {
        for (limit, expected) in [(50, 1), (500, 5), (1_000, 10)] {
            let mut alone = Alone::default();
            let spent = (0..limit)
                .take_while(|n| alone.spend(1, limit - n, false))
                .count();
            assert_eq!(spent, expected, "of {limit}");
        }
    }

    #[test]
    fn another_outage_has_a_share_of_its_own_and_another_day_owes_nothing() {
        let mut alone = Alone::default();
        assert!(alone.spend(1, 1, true));
        assert!(!alone.spend(1, 1, true));
        alone.end();
        assert!(alone.spend(1, 1, true));
        assert!(alone.spend(2, 50, true));
        assert_eq!(alone.settle(), Some((2, 1)));
        alone.owe(1, 7);
        assert_eq!(alone.settle(), None);
        alone.owe(2, 7);
        assert_eq!(alone.settle(), Some((2, 7)));
    }

    #[test]
    fn a_check_that_was_not_sent_is_not_owed() {
        let mut alone = Alone::default();
        assert!(alone.spend(1, 1, true));
        alone.unspend(1);
        assert_eq!(alone.settle(), None);
        assert!(alone.spend(1, 1, true));
    }
}
