//! How often a check of a client that nobody suspected found it listed, lately.

/// 1.0 in 1/256ths.
const ONE: u32 = 256;

/// From a fifth on they are many.
const MANY: u32 = ONE / 5;

/// The share of hits, fading by an eighth with each check: two hits among the last few are many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hits(u32);

impl Hits {
    pub(super) fn note(&mut self, hit: bool) {
        self.0 = self.0 * 7 / 8 + if hit { ONE / 8 } else { 0 };
    }

    pub(super) const fn are_many(self) -> bool {
        self.0 >= MANY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(checks: &str, many: bool) {
        let mut hits = Hits::default();
        checks.chars().for_each(|check| hits.note(check == 'x'));
        assert_eq!(hits.are_many(), many, "{checks}");
    }

    #[test]
    fn two_hits_of_a_few_are_many_and_one_is_not() {
        check("", false);
        check("x", false);
        check("xx", true);
        check("x.x", true);
        check("x...x", false);
        check("x....x...x", true);
        check("xxxxxxxxxxxxxxxxxxxxxxxxxxx...........", true);
        check("xxxxxxxxxxxxxxxxxxxxxxxxxxx............", false);
    }
}
