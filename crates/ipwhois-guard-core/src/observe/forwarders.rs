//! Whether a few addresses forward what everybody sends: several proxies, none of which anybody configured.
//!
//! Each of two load balancers has half of the traffic, so neither of them is suspected alone. A state machine without a clock
//! that keeps [`PLACES`] addresses and no more:
//!
//! 1. A forwarder is a client that is not public and whose request says that it was forwarded. Its request is a point for all
//!    of them, one of anybody else takes [`AGAINST`] away, as in [`Crowd`](super::crowd::Crowd).
//! 2. One for whom there is no place is anybody else, unless it can take the place of one that is hardly seen any more.
//! 3. At [`ENOUGH`] points, and with two that each have their part, they are suspected; at half of the points no longer.

use std::net::{IpAddr, Ipv4Addr};

use super::crowd::{AGAINST, ENOUGH, MOST};

const PLACES: usize = 8;

/// Who has made less than this part of the requests is none of them.
const PART: u32 = 20;

/// Then all counts are halved, so that who is gone is forgotten.
const FULL: u32 = 1_024;

#[derive(Clone, Copy, Debug)]
struct Place {
    client: IpAddr,
    /// 0: it is free.
    requests: u32,
}

#[derive(Debug)]
pub(super) struct Forwarders {
    // In place: requests are decided without an allocation.
    places: [Place; PLACES],
    points: u32,
    is_raised: bool,
}

impl Default for Forwarders {
    fn default() -> Self {
        let free = Place {
            client: Ipv4Addr::UNSPECIFIED.into(),
            requests: 0,
        };
        Self {
            places: [free; PLACES],
            points: 0,
            is_raised: false,
        }
    }
}

impl Forwarders {
    /// A request of a forwarder, or of anybody else.
    pub(super) fn see(&mut self, forwarder: Option<IpAddr>) {
        if forwarder.is_some_and(|client| self.count(client)) {
            self.points = (self.points + 1).min(MOST);
            self.is_raised |= self.points >= ENOUGH && self.with_a_part().count() > 1;
        } else if self.points > AGAINST {
            self.points -= AGAINST;
            self.is_raised &= self.points >= ENOUGH / 2;
        } else if self.points > 0 {
            *self = Self::default();
        }
    }

    /// The addresses, if they are suspected.
    pub(super) fn suspects(&self) -> Option<Vec<IpAddr>> {
        if !self.is_raised {
            return None;
        }
        let mut suspects: Vec<_> = self.with_a_part().collect();
        suspects.sort();
        (suspects.len() > 1).then_some(suspects)
    }

    /// False when there is no place for it.
    fn count(&mut self, client: IpAddr) -> bool {
        let all = self.all();
        if all >= FULL {
            for place in &mut self.places {
                place.requests /= 2;
            }
        }
        let is_its_own = |place: &&mut Place| place.requests > 0 && place.client == client;
        if let Some(place) = self.places.iter_mut().find(is_its_own) {
            place.requests += 1;
            return true;
        }
        let least = self.places.iter_mut().min_by_key(|place| place.requests);
        match least {
            Some(place) if place.requests == 0 || place.requests * PART < all => {
                *place = Place {
                    client,
                    requests: 1,
                };
                true
            }
            _ => false,
        }
    }

    fn all(&self) -> u32 {
        self.places.iter().map(|place| place.requests).sum()
    }

    fn with_a_part(&self) -> impl Iterator<Item = IpAddr> {
        let all = self.all();
        let has_a_part = move |place: &&Place| place.requests > 0 && place.requests * PART >= all;
        let places = self.places.iter().filter(has_a_part);
        places.map(|place| place.client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    /// Requests of so many proxies in turn.
    fn go_through(forwarders: &mut Forwarders, proxies: std::ops::Range<u8>, requests: u32) {
        for n in proxies.cycle().take(requests as usize) {
            forwarders.see(Some(proxy(n)));
        }
    }

    fn others(forwarders: &mut Forwarders, requests: u32) {
        for _ in 0..requests {
            forwarders.see(None);
        }
    }

    #[track_caller]
    fn check(proxies: u8, requests: u32, is_suspected: bool) {
        let mut forwarders = Forwarders::default();
        go_through(&mut forwarders, 0..proxies, requests);
        let all = (0..proxies).map(proxy).collect();
        assert_eq!(forwarders.suspects(), is_suspected.then_some(all));
    }

    #[test]
    fn two_to_eight_that_forward_everything_are_suspected_at_the_hundredth_request() {
        check(2, 99, false);
        check(2, 100, true);
        check(3, 100, true);
        check(8, 100, true);
        check(8, 10_000, true);
        check(1, 10_000, false);
        check(12, 10_000, false);
    }

    #[test]
    fn who_is_hardly_ever_seen_is_none_of_them() {
        let mut forwarders = Forwarders::default();
        for n in 10..200 {
            go_through(&mut forwarders, 0..1, 50);
            forwarders.see(Some(proxy(n)));
        }
        assert_eq!(forwarders.suspects(), None);
        go_through(&mut forwarders, 0..2, 1_000);
        assert_eq!(forwarders.suspects(), Some(vec![proxy(0), proxy(1)]));
    }

    #[test]
    fn some_others_do_not_hide_them_and_many_do_clear_them() {
        let mix = |others_in_ten: u32| {
            let mut forwarders = Forwarders::default();
            for _ in 0..200 {
                go_through(&mut forwarders, 0..2, 10 - others_in_ten);
                others(&mut forwarders, others_in_ten);
            }
            forwarders.suspects().is_some()
        };
        assert!(mix(0));
        assert!(mix(1));
        assert!(!mix(3));
        assert!(!mix(10));
    }

    #[test]
    fn they_are_dropped_when_others_come_and_do_not_flicker() {
        let mut forwarders = Forwarders::default();
        go_through(&mut forwarders, 0..2, 200);
        others(&mut forwarders, 37);
        assert!(forwarders.suspects().is_some());
        others(&mut forwarders, 1);
        assert_eq!(forwarders.suspects(), None);
        go_through(&mut forwarders, 0..2, 30);
        assert_eq!(forwarders.suspects(), None, "not enough points yet");
        go_through(&mut forwarders, 0..2, 30);
        assert!(forwarders.suspects().is_some());
    }

    #[test]
    fn proxies_that_take_the_place_of_others_are_named_instead_of_them() {
        let mut forwarders = Forwarders::default();
        go_through(&mut forwarders, 0..8, 10_000);
        go_through(&mut forwarders, 20..23, 10_000);
        let new = vec![proxy(20), proxy(21), proxy(22)];
        assert_eq!(forwarders.suspects(), Some(new));
        go_through(&mut forwarders, 30..32, 10_000);
        assert_eq!(forwarders.suspects(), Some(vec![proxy(30), proxy(31)]));
    }
}
