//! Which of some places a thing is kept in.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;

/// Spreads things over places evenly, by a seed of its own: nobody outside can aim at one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spread(RandomState);

impl Spread {
    /// The place of a thing, of so many that are numbered from 0. It is always the same one.
    pub(crate) fn place(&self, thing: impl Hash, places: u32) -> u32 {
        let hash = self.0.hash_one(thing);
        // Multiply and shift: even over any number of places, without a division.
        ((u128::from(hash) * u128::from(places)) >> u64::BITS) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_used_about_as_often_as_any_other() {
        const PLACES: u32 = 10;
        let spread = Spread::default();
        let mut used = [0_u32; PLACES as usize];
        for thing in 0..10_000_u32 {
            let place = spread.place(thing, PLACES);
            assert_eq!(spread.place(thing, PLACES), place);
            used[place as usize] += 1;
        }
        // 1,000 each, give or take 7 standard deviations.
        assert!(
            used.iter().all(|times| (800..=1_200).contains(times)),
            "{used:?}"
        );
    }
}
