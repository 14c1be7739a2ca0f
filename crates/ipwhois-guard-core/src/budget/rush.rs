//! When more clients come that are worth a check than there are checks.

use std::time::Duration;

use super::networks::Networks;
use super::origin::Origin;
use crate::decay::decayed;

/// Newcomers are counted as of late: after so long half of each.
const HALF_LIFE: Duration = Duration::from_secs(12 * 60);

/// 1.0 of a newcomer.
const ONE: u32 = 1 << 8;

/// Fewer than so many make no rush, however little is left.
const FEW: u32 = 5 * ONE;

/// Of a /16 eight parts are told apart.
const PARTS: u64 = 0xf8;

/// So many requests are enough for a check in any rush.
pub(super) const HIGHEST_BAR: u32 = 32;

/// The newcomers of late, each network once a day.
#[derive(Debug)]
pub(super) struct Rush {
    seen: Networks,
    newcomers: u32,
    counted_at: Duration,
}

impl Rush {
    pub(super) fn new() -> Self {
        Self {
            seen: Networks::new(),
            newcomers: 0,
            counted_at: Duration::ZERO,
        }
    }

    /// Somebody is worth a check, whether there is one or not.
    pub(super) fn note(&mut self, origin: Origin, now: Duration) {
        // One holder may have a whole /16, or a /28 of IPv6: no rush comes out of one.
        let network = if origin.is_v6 {
            origin.wide()
        } else {
            origin.network & !PARTS
        };
        if self.seen.note(network) {
            self.newcomers = self.newcomers(now).saturating_add(ONE);
            self.counted_at = now;
        }
    }

    /// Whether more come than usually do, wherever that leads.
    pub(super) fn is_on(&self, now: Duration) -> bool {
        self.newcomers(now) >= FEW
    }

    /// How many requests a client must have made for a check, while so many are left: none without a rush.
    ///
    /// Twice the newcomers of late are to be expected. The bar is the square of what they are to what is left: few attackers make
    /// most of the requests, and what is spent on the many small ones is gone when the large ones show.
    pub(super) fn bar(&self, left: u32, now: Duration) -> u32 {
        let newcomers = self.newcomers(now);
        let (expected, left) = (2 * u64::from(newcomers), u64::from(left) * u64::from(ONE));
        if newcomers < FEW || expected <= left || left == 0 {
            return 0;
        }
        let bar = (expected * expected / (left * left)).max(2);
        u32::try_from(bar).map_or(HIGHEST_BAR, |bar| bar.min(HIGHEST_BAR))
    }

    fn newcomers(&self, now: Duration) -> u32 {
        // A clock that goes back leaves no rush behind.
        let age = now.abs_diff(self.counted_at).as_secs();
        let age = u32::try_from(age).unwrap_or(u32::MAX);
        decayed(self.newcomers, age, HALF_LIFE.as_secs() as u32)
    }

    pub(super) fn begin_day(&mut self) {
        self.seen.begin_day();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;

    fn minute(n: u64) -> Duration {
        Duration::from_secs(n * 60)
    }

    fn v4(network: u32, host: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x1900_0000 | network << 8 | host).into()
    }

    /// A rush of so many newcomers at the first moment.
    fn of(newcomers: u32) -> Rush {
        Rush {
            newcomers: newcomers * ONE,
            counted_at: minute(0),
            ..Rush::new()
        }
    }

    #[track_caller]
    fn check(newcomers: u32, left: u32, later: u64, bar: u32) {
        let got = of(newcomers).bar(left, minute(later));
        assert_eq!(
            got, bar,
            "{newcomers} newcomers, {left} left, {later} minutes later"
        );
    }

    #[test]
    fn the_bar_rises_with_the_newcomers_and_as_checks_run_out() {
        check(0, 1, 0, 0);
        check(20, 40, 0, 0);
        check(21, 40, 0, 2);
        check(40, 40, 0, 4);
        check(80, 40, 0, 16);
        check(80, 20, 0, HIGHEST_BAR);
        check(200, 400, 0, 0);
        check(u16::MAX.into(), 1, 0, HIGHEST_BAR);
    }

    #[test]
    fn a_handful_is_no_rush_however_little_is_left() {
        check(4, 1, 0, 0);
        check(5, 1, 0, HIGHEST_BAR);
        check(5, 0, 0, 0);
    }

    #[test]
    fn a_rush_is_forgotten_within_the_hour() {
        check(82, 40, 12, 4);
        check(80, 40, 24, 0);
        check(80, 40, 1 << 40, 0);
    }

    #[test]
    fn a_clock_that_goes_back_leaves_no_rush_behind() {
        let rush = Rush {
            counted_at: minute(600),
            ..of(80)
        };
        assert_eq!(rush.bar(40, minute(600)), 16);
        assert_eq!(rush.bar(40, minute(0)), 0);
    }

    #[test]
    fn the_same_network_counts_again_on_the_next_day() {
        let mut rush = Rush::new();
        for _ in 0..2 {
            rush.note(Origin::of(v4(7, 1)), minute(0));
            rush.note(Origin::of(v4(7, 1)), minute(0));
            rush.begin_day();
        }
        assert_eq!(rush.newcomers, 2 * ONE);
    }

    #[test]
    fn one_network_is_one_newcomer_however_many_addresses_it_has() {
        let mut rush = Rush::new();
        for host in 1..=250 {
            rush.note(Origin::of(v4(7, host)), minute(0));
        }
        for network in 0..256 {
            rush.note(Origin::of(v4(1 << 8 | network, 1)), minute(0));
        }
        for network in 0..1_000_u128 {
            let ip = Ipv6Addr::from_bits(0x3ffe_0010_u128 << 96 | network << 80 | 1);
            rush.note(Origin::of(ip.into()), minute(0));
        }
        assert_eq!(rush.newcomers, 10 * ONE);
    }
}
