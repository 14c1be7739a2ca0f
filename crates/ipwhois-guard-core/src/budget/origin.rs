//! Whose requests belong together, as keys of tables. 0 is no key.

use std::net::IpAddr;

use crate::address::lookup_address;

/// Where a request comes from. An IPv4 address inside an IPv6 one counts as itself: else all of
/// IPv4 were one network behind a NAT64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The IPv4 address, or the /64 that one IPv6 client holds.
    pub(super) client: u64,
    /// The /24 or /48.
    pub(super) near: u64,
    /// The /16 or /28. A registry gives a /29 to each member that asks.
    pub(super) around: u64,
}

impl Origin {
    /// What rations count: the networks, and a /64. An IPv4 client needs none, for its verdict
    /// answers for all of it.
    pub(super) fn rationed(self) -> impl Iterator<Item = u64> {
        let is_v6 = self.client >> 63 == 1;
        let client = is_v6.then_some(self.client);
        [self.near, self.around].into_iter().chain(client)
    }

    pub(super) fn of(ip: IpAddr) -> Self {
        // The first byte tells the kinds of keys apart. Public IPv6 addresses begin with 001, so
        // XOR loses nothing of a /64.
        let key = |kind: u64, network: u64| kind << 56 ^ network;
        match lookup_address(ip) {
            IpAddr::V4(ip) => {
                let bits = u64::from(ip.to_bits());
                Self {
                    client: key(0x40, bits),
                    near: key(0x41, bits >> 8),
                    around: key(0x42, bits >> 16),
                }
            }
            IpAddr::V6(ip) => {
                let bits = (ip.to_bits() >> 64) as u64;
                Self {
                    client: key(0x80, bits),
                    near: key(0x81, bits >> 16),
                    around: key(0x82, bits >> 36),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ip: &str) -> Origin {
        Origin::of(ip.parse().unwrap())
    }

    #[test]
    fn a_client_is_an_address_or_a_64_and_its_networks_are_around_it() {
        let together = |a: &str, b: &str| {
            let (a, b) = (of(a), of(b));
            [a.client == b.client, a.near == b.near, a.around == b.around]
        };
        assert_eq!(together("25.0.0.1", "25.0.0.2"), [false, true, true]);
        assert_eq!(together("25.0.0.1", "25.0.1.1"), [false, false, true]);
        assert_eq!(together("25.0.0.1", "25.1.0.1"), [false, false, false]);
        assert_eq!(together("3ffe::1", "3ffe::2"), [true, true, true]);
        assert_eq!(together("3ffe::1", "3ffe:0:0:1::1"), [false, true, true]);
        assert_eq!(together("3ffe::1", "3ffe:0:1::1"), [false, false, true]);
        assert_eq!(together("3ffe::1", "3ffe:10::1"), [false, false, false]);
        assert_eq!(together("64:ff9b::1900:1", "25.0.0.1"), [true; 3]);
    }

    #[test]
    fn rations_count_an_ipv6_client_beside_its_networks() {
        assert_eq!(of("25.0.0.1").rationed().count(), 2);
        assert_eq!(of("64:ff9b::1900:1").rationed().count(), 2);
        for ip in ["2001:db8::1", "3ffe::1"] {
            assert!(of(ip).rationed().any(|key| key == of(ip).client), "{ip}");
        }
    }

    #[test]
    fn no_two_kinds_of_keys_are_the_same() {
        for ip in ["25.0.0.1", "3ffe::1", "2001:db8::", "1.0.0.0"] {
            let Origin {
                client,
                near,
                around,
            } = of(ip);
            assert!(client != near && near != around && client != around && client != 0);
        }
    }
}
