//! The day's count as the store told it: what it is told in turn, should it have forgotten.

#[derive(Debug, Default)]
pub(super) struct Told {
    /// Days since 1970.
    day: u64,
    spent: u32,
    heard: bool,
}

impl Told {
    /// What an earlier run of this machine knew.
    pub(super) fn remember(&mut self, day: u64, spent: u32) {
        if self.day == day {
            self.spent = self.spent.max(spent);
        } else {
            (self.day, self.spent) = (day, spent);
        }
    }

    /// The store has answered. An earlier answer may come later.
    pub(super) fn hear(&mut self, day: u64, spent: u32) {
        self.remember(day, spent);
        self.heard = true;
    }

    /// A check of this machine is taken back, so the store's count is one less.
    pub(super) fn unspend(&mut self, day: u64) {
        if self.day == day {
            self.spent = self.spent.saturating_sub(1);
        }
    }

    pub(super) const fn known(&self, day: u64) -> u32 {
        if self.day == day { self.spent } else { 0 }
    }

    /// Whether the store has told a count since this machine started.
    pub(super) const fn has_heard(&self) -> bool {
        self.heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_count_of_the_day_is_known_less_what_was_taken_back() {
        let mut told = Told::default();
        told.remember(1, 7);
        assert!(!told.has_heard());
        told.hear(1, 9);
        told.hear(1, 8);
        assert_eq!(told.known(1), 9);
        told.unspend(1);
        told.unspend(2);
        assert_eq!((told.known(1), told.known(2)), (8, 0));
        told.hear(2, 1);
        assert_eq!((told.known(1), told.known(2)), (0, 1));
        assert!(told.has_heard());
    }
}
