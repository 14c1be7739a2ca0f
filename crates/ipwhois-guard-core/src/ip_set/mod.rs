//! A set of addresses and networks, from settings and from list files.
//!
//! The networks become ranges that neither overlap nor touch, IPv4 and IPv6 apart, so a lookup is
//! one binary search. Single IPv4 addresses, which a list of clients is mostly made of, are kept
//! beside them ([`Hosts`]) and found by an index. An IPv4 entry takes 8 bytes at most. Host bits
//! are accepted: `10.1.2.3/8` is `10.0.0.0/8`.

mod file;
mod hosts;
mod lines;
mod network;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::error::BuildError;
use hosts::Hosts;
use network::Bits;

pub(crate) use lines::{lines, without_mark};
pub(crate) use network::Network;

/// Addresses and networks to look an address up in.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct IpSet {
    /// Single IPv4 addresses that are in no range.
    hosts: Hosts,
    ipv4: Ranges<u32>,
    ipv6: Ranges<u128>,
}

impl IpSet {
    /// The set of what `items` name, each an address or a CIDR. White space around an item does not
    /// count.
    ///
    /// # Errors
    ///
    /// [`BuildError::Setting`] with the name `setting` for the first item that is neither.
    pub(crate) fn parse(
        setting: &str,
        items: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, BuildError> {
        let mut collected = Collector::default();
        for item in items {
            let item = item.as_ref();
            let network = Network::parse(item.trim())
                .map_err(|invalid| BuildError::setting(setting, item, invalid.to_string()))?;
            collected.add(network);
        }
        Ok(collected.finish())
    }

    /// What is in either set.
    #[must_use]
    pub(crate) fn union(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        let mut collected = Collector::default();
        for set in [self, other] {
            collected.hosts.extend(set.hosts.iter());
            collected.ipv4.extend(set.ipv4.0);
            collected.ipv6.extend(set.ipv6.0);
        }
        collected.finish()
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the address, which must not be an IPv4-mapped one, is in one of the networks.
    #[inline]
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        debug_assert_eq!(ip, ip.to_canonical());
        match ip {
            IpAddr::V4(ip) => {
                let bits = ip.to_bits();
                self.ipv4.contains(bits) || self.hosts.contains(bits)
            }
            IpAddr::V6(ip) => self.contains_ipv6(ip.to_bits()),
        }
    }

    // Apart, so that the little that there is to do for IPv4 is done in place.
    #[inline(never)]
    fn contains_ipv6(&self, bits: u128) -> bool {
        self.ipv6.contains(bits)
    }

    /// What is in the set, ascending, IPv4 first: ranges with a gap between one and the next.
    /// Sorts, so it is for no request.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = RangeInclusive<IpAddr>> {
        let ipv4 = self.ipv4_ranges().into_iter().map(|(first, last)| {
            Ipv4Addr::from_bits(first).into()..=Ipv4Addr::from_bits(last).into()
        });
        let ipv6 = self.ipv6.0.iter().map(|&(first, last)| {
            Ipv6Addr::from_bits(first).into()..=Ipv6Addr::from_bits(last).into()
        });
        ipv4.chain(ipv6)
    }

    fn ipv4_ranges(&self) -> Vec<(u32, u32)> {
        let hosts = self.hosts.iter().map(|address| (address, address));
        joined(in_order(hosts.chain(self.ipv4.0.iter().copied()).collect()))
    }

    /// Whether every IPv4 address or every IPv6 address is in it, by however many networks.
    pub(crate) fn covers_all_of_a_family(&self) -> bool {
        // Single addresses may fill the gaps between networks.
        self.ipv4_ranges() == [u32::ALL] || *self.ipv6.0 == [u128::ALL]
    }
}

/// Counts instead of contents: a list file may have hundreds of thousands of lines.
impl fmt::Debug for IpSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpSet")
            .field("ipv4_hosts", &self.hosts.len())
            .field("ipv4_ranges", &self.ipv4.0.len())
            .field("ipv6_ranges", &self.ipv6.0.len())
            .finish()
    }
}

/// Networks on their way into a set.
#[derive(Default)]
pub(crate) struct Collector {
    hosts: Vec<u32>,
    ipv4: Vec<(u32, u32)>,
    ipv6: Vec<(u128, u128)>,
}

impl Collector {
    pub(crate) fn add(&mut self, network: Network) {
        match network {
            Network::V4((first, last)) if first == last => self.hosts.push(first),
            Network::V4(range) => self.ipv4.push(range),
            Network::V6(range) => self.ipv6.push(range),
        }
    }

    pub(crate) fn finish(self) -> IpSet {
        self.finish_and_count().0
    }

    /// The set, and how many different addresses and networks went into it.
    pub(crate) fn finish_and_count(self) -> (IpSet, usize) {
        let networks = in_order(self.ipv4);
        let ipv6 = in_order(self.ipv6);
        let mut hosts = Hosts::new(self.hosts);
        let different = hosts.len() + networks.len() + ipv6.len();
        let ipv4 = Ranges::new(networks);
        if !ipv4.0.is_empty() {
            let alone = hosts.iter().filter(|&address| !ipv4.contains(address));
            hosts = Hosts::new(alone.collect());
        }
        let ipv6 = Ranges::new(ipv6);
        (IpSet { hosts, ipv4, ipv6 }, different)
    }
}

/// The ranges in ascending order, each once.
fn in_order<T: Bits>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}

/// One range for each group of ascending ones that overlap or touch.
fn joined<T: Bits>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    ranges.dedup_by(|later, kept| {
        // Nothing comes after the last address of all, so a range that reaches it takes in whatever
        // follows.
        let joined = kept.1.successor().is_none_or(|after| later.0 <= after);
        if joined {
            kept.1 = kept.1.max(later.1);
        }
        joined
    });
    ranges
}

/// So few ranges are looked through one after the other: that is quicker.
const FEW: usize = 4;

/// First and last address of each range: ascending, and with a gap between one range and the next.
#[derive(Clone, PartialEq, Eq)]
struct Ranges<T>(Box<[(T, T)]>);

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<T: Bits> Ranges<T> {
    /// What these ranges, which are ascending, cover.
    fn new(ranges: Vec<(T, T)>) -> Self {
        Self(joined(ranges).into_boxed_slice())
    }

    #[inline]
    fn contains(&self, address: T) -> bool {
        if self.0.len() <= FEW {
            let covers = |&(first, last): &(T, T)| first <= address && address <= last;
            return self.0.iter().any(covers);
        }
        let after = self.0.partition_point(|&(first, _)| first <= address);
        after
            .checked_sub(1)
            .and_then(|at| self.0.get(at))
            .is_some_and(|&(_, last)| address <= last)
    }
}
