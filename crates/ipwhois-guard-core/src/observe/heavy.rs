//! The few addresses that come most often, in a place that never grows.
//!
//! The Misra-Gries summary: an address for which there is no place takes one from every count, and
//! a count of zero frees its place. An address with more than a ninth of all notes always keeps its
//! place.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Number of addresses told apart. A few load balancers, nodes or edges are that many.
const PLACES: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Place {
    address: IpAddr,
    /// 0: the place is free.
    count: u32,
    last: Duration,
}

/// Estimates which addresses come most often. It allocates nothing.
#[derive(Clone, Debug)]
pub(super) struct HeavyHitters([Place; PLACES]);

impl Default for HeavyHitters {
    fn default() -> Self {
        Self(
            [Place {
                address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                count: 0,
                last: Duration::ZERO,
            }; PLACES],
        )
    }
}

impl HeavyHitters {
    pub(super) fn note(&mut self, address: IpAddr, now: Duration) {
        let is_its_own = |place: &Place| place.count > 0 && place.address == address;
        let is_free = |place: &Place| place.count == 0;
        // The first free place may stand before the address's own.
        let at = self.0.iter().position(is_its_own);
        let at = at.or_else(|| self.0.iter().position(is_free));
        match at.and_then(|at| self.0.get_mut(at)) {
            Some(place) => {
                *place = Place {
                    address,
                    count: place.count.saturating_add(1),
                    last: now,
                };
            }
            None => self.0.iter_mut().for_each(|place| place.count -= 1),
        }
    }

    /// Forgets half of everything.
    pub(super) fn halve(&mut self) {
        for place in &mut self.0 {
            place.count /= 2;
        }
    }

    /// Forgets addresses that were not noted for this long.
    pub(super) fn forget(&mut self, longer_than: Duration, now: Duration) {
        for place in &mut self.0 {
            if now.saturating_sub(place.last) >= longer_than {
                place.count = 0;
            }
        }
    }

    /// The addresses with at least this count, with their counts.
    pub(super) fn at_least(&self, count: u32) -> impl Iterator<Item = (IpAddr, u32)> {
        let places = self.0.iter().map(|place| (place.address, place.count));
        places.filter(move |&(_, its)| its >= count.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn address(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    fn noted(numbers: impl Iterator<Item = u8>) -> HeavyHitters {
        let mut heavy = HeavyHitters::default();
        numbers.for_each(|n| heavy.note(address(n), MINUTE));
        heavy
    }

    #[track_caller]
    fn check(heavy: &HeavyHitters, count: u32, expected: &[u8]) {
        let mut told: Vec<_> = heavy.at_least(count).map(|(address, _)| address).collect();
        told.sort();
        let expected: Vec<_> = expected.iter().map(|&n| address(n)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn up_to_eight_addresses_are_counted_each() {
        let heavy = noted((0..8).cycle().take(83));
        check(&heavy, 10, &[0, 1, 2, 3, 4, 5, 6, 7]);
        check(&heavy, 11, &[0, 1, 2]);
    }

    #[test]
    fn a_frequent_address_keeps_its_place_among_many_that_come_once() {
        let heavy = noted((10..210).flat_map(|n| [1, n]));
        check(&heavy, 100, &[1]);
    }

    #[test]
    fn addresses_that_take_the_place_of_others_are_named_instead() {
        let mut heavy = noted((0..8).cycle().take(80));
        for n in (20..23).cycle().take(300) {
            heavy.note(address(n), MINUTE);
        }
        check(&heavy, 30, &[20, 21, 22]);
    }

    #[test]
    fn an_address_is_forgotten_after_a_pause_and_counts_can_be_halved() {
        let mut heavy = noted([1, 1, 1, 1, 2].into_iter());
        heavy.note(address(1), 2 * MINUTE);
        heavy.forget(MINUTE, 2 * MINUTE);
        check(&heavy, 1, &[1]);
        check(&heavy, 5, &[1]);
        heavy.halve();
        check(&heavy, 3, &[]);
        check(&heavy, 2, &[1]);
    }
}
