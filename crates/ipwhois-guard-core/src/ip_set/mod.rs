//! A set of addresses and networks, from settings and from list files.
//!
//! The networks become sorted ranges that neither overlap nor touch, IPv4 and IPv6 apart, so a lookup is one binary
//! search and an IPv4 entry takes 8 bytes. Host bits are accepted: `10.1.2.3/8` is `10.0.0.0/8`.

mod file;
mod network;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use crate::error::BuildError;
use file::printable;
use network::{Bits, Network};

/// Addresses and networks to look an address up in.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct IpSet {
    ipv4: Ranges<u32>,
    ipv6: Ranges<u128>,
}

impl IpSet {
    /// The set of what `items` name, each an address or a CIDR. White space around an item does not count.
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
            let network = Network::parse(item.trim()).map_err(|invalid| {
                BuildError::setting(setting, printable(item.as_bytes()), invalid.to_string())
            })?;
            collected.add(network);
        }
        Ok(collected.finish())
    }

    /// What is in either set.
    #[must_use]
    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            ipv4: self.ipv4.union(other.ipv4),
            ipv6: self.ipv6.union(other.ipv6),
        }
    }

    /// Whether the address, which must not be an IPv4-mapped one, is in one of the networks.
    #[inline]
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        debug_assert_eq!(ip, ip.to_canonical());
        match ip {
            IpAddr::V4(ip) => self.ipv4.contains(ip.to_bits()),
            IpAddr::V6(ip) => self.ipv6.contains(ip.to_bits()),
        }
    }

    /// Whether every IPv4 address or every IPv6 address is in it, by however many networks.
    pub(crate) fn covers_all_of_a_family(&self) -> bool {
        self.ipv4.is_full() || self.ipv6.is_full()
    }
}

/// Counts instead of contents: a list file may have hundreds of thousands of lines.
impl fmt::Debug for IpSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpSet")
            .field("ipv4_ranges", &self.ipv4.0.len())
            .field("ipv6_ranges", &self.ipv6.0.len())
            .finish()
    }
}

/// Networks on their way into a set.
#[derive(Default)]
struct Collector {
    ipv4: Vec<(u32, u32)>,
    ipv6: Vec<(u128, u128)>,
}

impl Collector {
    fn add(&mut self, network: Network) {
        match network {
            Network::V4(range) => self.ipv4.push(range),
            Network::V6(range) => self.ipv6.push(range),
        }
    }

    fn finish(self) -> IpSet {
        IpSet {
            ipv4: Ranges::new(self.ipv4),
            ipv6: Ranges::new(self.ipv6),
        }
    }
}

/// First and last address of each range: ascending, and with a gap between one range and the next.
#[derive(Clone, PartialEq, Eq)]
struct Ranges<T>(Box<[(T, T)]>);

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<T: Bits> Ranges<T> {
    fn new(mut ranges: Vec<(T, T)>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|later, kept| {
            // Nothing comes after the last address of all, so a range that reaches it takes in whatever follows.
            let joined = kept.1.successor().is_none_or(|after| later.0 <= after);
            if joined {
                kept.1 = kept.1.max(later.1);
            }
            joined
        });
        Self(ranges.into_boxed_slice())
    }

    fn union(self, other: Self) -> Self {
        if self.0.is_empty() {
            return other;
        }
        let mut ranges = self.0.into_vec();
        ranges.extend(other.0);
        Self::new(ranges)
    }

    fn contains(&self, address: T) -> bool {
        let after = self.0.partition_point(|&(first, _)| first <= address);
        after
            .checked_sub(1)
            .and_then(|at| self.0.get(at))
            .is_some_and(|&(_, last)| address <= last)
    }

    fn is_full(&self) -> bool {
        self.0.first() == Some(&T::ALL)
    }
}
