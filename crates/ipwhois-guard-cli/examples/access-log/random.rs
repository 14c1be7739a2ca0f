//! Numbers that look random and are the same everywhere: whole ones only, since rounding and
//! logarithms differ between platforms.

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014): a
/// counter that steps by the golden ratio of 2⁶⁴, each value of which is mixed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, all alike; 0 when there is none.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The high half of a product: without the bias that matters here, and without a loop.
        let wide = u128::from(self.next()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// A number from `first` to `last`.
    pub(crate) fn within(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// Yes in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.below(from.len() as u64);
        from[usize::try_from(index).unwrap_or_default()]
    }

    /// A number with a heavy tail, 1 to `most`: twice as large is half as likely (Pareto, with
    /// exponent 1).
    pub(crate) fn heavy(&mut self, most: u64) -> u64 {
        (most / self.within(1, most)).max(1)
    }

    /// Splits `total` into as many parts as there are weights, each at least 1 and the rest by
    /// weight. Nothing is lost: the parts add up to `total`, which must be no less than the number
    /// of parts.
    pub(crate) fn split(total: u64, weights: &[u64]) -> Vec<u64> {
        let sum: u128 = weights.iter().copied().map(u128::from).sum();
        let spare = total.saturating_sub(weights.len() as u64);
        let mut seen: u128 = 0;
        let mut given: u64 = 0;
        weights
            .iter()
            .map(|&weight| {
                // What all parts up to this one have together, less what those before it have.
                seen += u128::from(weight);
                let due = u128::from(spare) * seen / sum.max(1);
                let due = u64::try_from(due).unwrap_or(u64::MAX);
                let part = due - given;
                given = due;
                1 + part
            })
            .collect()
    }
}
