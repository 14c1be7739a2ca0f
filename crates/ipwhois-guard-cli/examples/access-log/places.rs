//! Addresses: made-up ones, from networks that are public and that nobody announces.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::random::Random;

/// Hands out addresses, none of them twice.
#[derive(Debug)]
pub(crate) struct Places {
    taken: BTreeSet<IpAddr>,
    /// One address in each of the networks that several clients share: offices, carriers, hosters.
    shared: Vec<IpAddr>,
}

impl Places {
    pub(crate) fn new(random: &mut Random, networks: usize) -> Self {
        let shared = (0..networks).map(|_| any(random)).collect();
        Self {
            taken: BTreeSet::new(),
            shared,
        }
    }

    /// A new address; in so many of a hundred cases from a network that others are in, a /24 or a
    /// /64.
    pub(crate) fn next(&mut self, random: &mut Random, percent_shared: u64) -> IpAddr {
        loop {
            let ip = if random.chance(percent_shared) {
                neighbour(random.pick(&self.shared), random)
            } else {
                any(random)
            };
            if self.taken.insert(ip) {
                return ip;
            }
        }
    }
}

fn any(random: &mut Random) -> IpAddr {
    if random.chance(12) {
        let site = u128::from(random.below(1 << 48));
        let host = u128::from(random.below(u64::MAX));
        Ipv6Addr::from_bits(0x3ffe << 112 | site << 64 | host).into()
    } else {
        let network = random.pick(&[25_u32, 26]);
        let rest = u32::try_from(random.below(1 << 24)).unwrap_or_default();
        Ipv4Addr::from_bits(network << 24 | rest).into()
    }
}

fn neighbour(of: IpAddr, random: &mut Random) -> IpAddr {
    match of {
        IpAddr::V4(ip) => {
            let host = u32::try_from(random.within(1, 254)).unwrap_or_default();
            Ipv4Addr::from_bits(ip.to_bits() & !0xff | host).into()
        }
        IpAddr::V6(ip) => {
            let host = u128::from(random.below(u64::MAX));
            Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64 | host).into()
        }
    }
}
