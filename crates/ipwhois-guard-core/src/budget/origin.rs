//! Whose network an address is in.

use std::net::IpAddr;

use crate::address::lookup_address;

/// Set in the numbers of IPv4 networks; those of IPv6 have 48 bits.
const V4: u64 = 1 << 48;

/// Where a client comes from, as far as rations go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The /24 or /48.
    pub(super) network: u64,
    /// The IPv4 address or the /64: what one client holds, and may change within at will.
    pub(super) host: u64,
    pub(super) is_v6: bool,
}

impl Origin {
    /// The /16, or the /28 of IPv6: a registry gives a /29 to whoever asks.
    pub(super) const fn wide(self) -> u64 {
        if self.is_v6 {
            self.network >> 20
        } else {
            V4 | (self.host >> 16)
        }
    }
}

impl Origin {
    /// An IPv4 address inside an IPv6 one counts as itself: else all of IPv4 were one network behind a NAT64.
    pub(super) fn of(ip: IpAddr) -> Self {
        match lookup_address(ip) {
            IpAddr::V4(ip) => Self {
                network: V4 | u64::from(ip.to_bits() >> 8),
                host: u64::from(ip.to_bits()),
                is_v6: false,
            },
            IpAddr::V6(ip) => {
                let host = (ip.to_bits() >> 64) as u64;
                Self {
                    network: host >> 16,
                    host,
                    is_v6: true,
                }
            }
        }
    }
}
