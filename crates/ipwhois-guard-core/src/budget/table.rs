//! A map of fixed size. A new key takes the place of the least useful one in its set, so a flood of
//! keys pushes out itself. Which set a key falls into depends on a seed of the process: no client
//! can aim at one.

use crate::spread::Spread;

/// Places in a set.
const WAYS: usize = 8;

/// What is kept under a key.
pub(super) trait Entry: Copy + Default {
    /// How useful it is. The least useful one goes first.
    fn usefulness(&self, now: f64) -> (u8, u32);
}

/// Keys are not 0: that marks a free place.
#[derive(Debug)]
pub(super) struct Table<V> {
    sets: Box<[[(u64, V); WAYS]]>,
    spread: Spread,
}

impl<V: Entry> Table<V> {
    pub(super) fn new(sets: usize) -> Self {
        Self {
            sets: vec![[(0, V::default()); WAYS]; sets].into_boxed_slice(),
            spread: Spread::default(),
        }
    }

    pub(super) fn get(&self, key: u64) -> Option<&V> {
        let set = &self.sets[self.set_of(key)];
        set.iter()
            .find(|place| place.0 == key)
            .map(|place| &place.1)
    }

    /// The entry of a key, a new one if there is none.
    pub(super) fn entry(&mut self, key: u64, now: f64) -> &mut V {
        let set_of_key = self.set_of(key);
        let set = &mut self.sets[set_of_key];
        let known = set.iter().position(|place| place.0 == key);
        let index = known.unwrap_or_else(|| {
            let usefulness = |place: &(u64, V)| (place.0 != 0, place.1.usefulness(now));
            let least = (0..WAYS).min_by_key(|&index| usefulness(&set[index]));
            let index = least.unwrap_or_default();
            set[index] = (key, V::default());
            index
        });
        &mut set[index].1
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        let places = self.sets.iter().flatten();
        places
            .filter(|place| place.0 != 0)
            .map(|place| (place.0, &place.1))
    }

    pub(super) fn clear(&mut self) {
        self.sets.fill([(0, V::default()); WAYS]);
    }

    fn set_of(&self, key: u64) -> usize {
        self.spread.place(key, self.sets.len() as u32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    struct Used(u32);

    impl Entry for Used {
        fn usefulness(&self, _: f64) -> (u8, u32) {
            (0, self.0)
        }
    }

    #[test]
    fn the_least_useful_entry_makes_room() {
        let mut table = Table::<Used>::new(1);
        for key in 1..=9 {
            table.entry(key, 0.0).0 = if key == 5 { 1 } else { 10 + key as u32 };
        }
        let mut keys: Vec<u64> = table.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        assert_eq!(keys, [1, 2, 3, 4, 6, 7, 8, 9]);
        assert_eq!(table.get(5), None);
        assert_eq!(table.entry(9, 0.0), &Used(19));
    }

    #[test]
    fn a_known_key_costs_no_allocation() {
        let mut table = Table::<Used>::new(64);
        table.entry(7, 0.0).0 = 1;
        let measured = allocation_counter::measure(|| {
            table.entry(7, 0.0).0 += 1;
            table.entry(8, 0.0).0 += 1;
        });
        assert_eq!(measured.count_total, 0);
    }
}
