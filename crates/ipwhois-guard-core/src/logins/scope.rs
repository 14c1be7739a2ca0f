//! What failed logins are counted against, and what a ban covers.

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::address::lookup_address;

const IPV4: u8 = 32;
const IPV6: [u8; 3] = [64, 56, 48];
const ACCOUNT: u8 = 0;

/// An IPv4 address, or an IPv6 /64, /56 or /48.
///
/// A client is an address or a /64: whoever has one address of a /64 has them all. Its wider
/// networks count with a higher limit, because providers give a subscriber a /56 or a /48. An
/// address that stands for an IPv4 address (mapped, NAT64, 6to4) is that IPv4 address.
///
/// As text the client is an address, and a wider network has its length: `25.0.0.7`,
/// `3ffe:1:2:3::`, `3ffe:1:2::/48`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// An IPv4 address, or the first half of an IPv6 address.
    bits: u64,
    length: u8,
}

impl Scope {
    /// Stands for all clients without an address together. No client has it.
    pub(crate) const NAMELESS: Self = Self {
        bits: 0,
        length: IPV4,
    };

    /// The client that has this address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match lookup_address(ip) {
            IpAddr::V4(ip) => Self {
                bits: ip.to_bits().into(),
                length: IPV4,
            },
            IpAddr::V6(ip) => Self {
                bits: (Ipv6Addr::to_bits(ip) >> 64) as u64,
                length: IPV6[0],
            },
        }
    }

    pub(crate) fn account(tag: AccountTag) -> Self {
        Self {
            bits: tag.0.get().into(),
            length: ACCOUNT,
        }
    }

    /// The client itself, then its wider networks.
    pub fn with_wider(self) -> impl Iterator<Item = Self> + Clone {
        let lengths: &'static [u8] = if self.is_ipv6() { &IPV6 } else { &[IPV4] };
        let wider = move |&length: &u8| (length <= self.length).then(|| self.widened(length));
        lengths.iter().filter_map(wider)
    }

    /// The widest of them.
    #[must_use]
    pub fn widest(self) -> Self {
        self.widened(IPV6[2])
    }

    /// Whether a client or a network is this one, or in this network.
    #[must_use]
    pub fn covers(self, client: Self) -> bool {
        let is_narrower = self.is_ipv6() && self.length < client.length;
        client == self || is_narrower && client.widened(self.length) == self
    }

    /// Maximum number of failures, as a multiple of `max_failures`.
    pub(crate) const fn allowance(self) -> u32 {
        match self.length {
            48 => 16,
            56 => 4,
            _ => 1,
        }
    }

    /// The address, or the first one of the network.
    #[must_use]
    pub fn address(self) -> IpAddr {
        if self.is_ipv6() {
            Ipv6Addr::from_bits(u128::from(self.bits) << 64).into()
        } else {
            Ipv4Addr::from_bits(self.bits as u32).into()
        }
    }

    const fn is_ipv6(self) -> bool {
        self.length > IPV4
    }

    const fn widened(self, length: u8) -> Self {
        if !self.is_ipv6() {
            return self;
        }
        Self {
            bits: self.bits & (u64::MAX << (64 - length as u32)),
            length,
        }
    }

    pub(super) fn to_bytes(self) -> [u8; 9] {
        let mut bytes = [0; 9];
        bytes[0] = self.length;
        bytes[1..].copy_from_slice(&self.bits.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; 9]) -> Option<Self> {
        let [length, bits @ ..] = bytes;
        let bits = u64::from_be_bytes(bits);
        let scope = Self { bits, length };
        let is_one = match length {
            IPV4 => bits <= u32::MAX.into(),
            _ => IPV6.contains(&length) && scope.widened(length) == scope,
        };
        is_one.then_some(scope)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length {
            ACCOUNT => f.write_str("an account"),
            48 | 56 => write!(f, "{}/{}", self.address(), self.length),
            _ => write!(f, "{}", self.address()),
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Scope {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        let (address, length) = match text.rsplit_once('/') {
            Some((address, "48")) => (address, 48),
            Some((address, "56")) => (address, 56),
            _ => (text, IPV6[0]),
        };
        Ok(Self::of(address.parse()?).widened(length))
    }
}

/// An account, as failed logins know it: a keyed hash. Its name is kept nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountTag(pub NonZeroU32);

/// What the names of accounts are hashed with. Machines that share a store have the same one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccountKey(pub u128);

impl AccountKey {
    /// A new one, from the operating system's randomness.
    #[must_use]
    pub fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let seed = RandomState::new();
        let [high, low] = [1_u8, 0].map(|half| u128::from(seed.hash_one(half)));
        Self(high << 64 | low)
    }

    pub(crate) fn tag(self, account: &str) -> AccountTag {
        use std::hash::Hasher;
        // SipHash-2-4: without the key, a tag says nothing of the account. The standard library
        // has it under this name alone.
        #[expect(deprecated, reason = "the hashers that replace it have no keys")]
        let mut hasher = std::hash::SipHasher::new_with_keys((self.0 >> 64) as u64, self.0 as u64);
        hasher.write(account.as_bytes());
        let hash = hasher.finish();
        AccountTag(NonZeroU32::new(hash as u32).unwrap_or(NonZeroU32::MIN))
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountKey(hidden)")
    }
}

/// Whose login it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// The client.
    pub client: Scope,
    /// The account, if the application says which one.
    pub account: Option<AccountTag>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(ip: &str) -> Scope {
        Scope::of(ip.parse().unwrap())
    }

    #[track_caller]
    fn check(one: &str, other: &str, same: bool) {
        assert_eq!(scope(one) == scope(other), same, "{one} and {other}");
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_64() {
        check("25.0.0.1", "25.0.0.1", true);
        check("25.0.0.1", "25.0.0.2", false);
        check("3ffe::1", "3ffe::ffff:ffff:ffff:ffff", true);
        check("3ffe::1", "3ffe:0:0:1::1", false);
        check("0.0.0.1", "::1", false);
    }

    #[test]
    fn an_address_that_stands_for_an_ipv4_address_is_that_address() {
        check("::ffff:25.0.0.1", "25.0.0.1", true);
        check("::ffff:25.0.0.1", "::ffff:25.0.0.2", false);
        check("64:ff9b::25.0.0.1", "25.0.0.1", true);
        check("64:ff9b::25.0.0.1", "64:ff9b::25.0.0.2", false);
        check("2002:1900:1::1", "25.0.0.1", true);
    }

    #[test]
    fn an_ipv6_client_has_two_wider_networks_and_an_ipv4_client_none() {
        for (ip, expected) in [
            ("25.0.0.1", "25.0.0.1"),
            (
                "3ffe:1:2:345::9",
                "3ffe:1:2:345:: 3ffe:1:2:300::/56 3ffe:1:2::/48",
            ),
        ] {
            let texts: Vec<_> = scope(ip)
                .with_wider()
                .map(|scope| scope.to_string())
                .collect();
            assert_eq!(texts.join(" "), expected);
            for scope in scope(ip).with_wider() {
                assert_eq!(scope.to_string().parse(), Ok(scope));
                assert_eq!(Scope::from_bytes(scope.to_bytes()), Some(scope));
                assert!(scope.covers(self::scope(ip)));
                assert!(!scope.covers(self::scope("25.0.0.9")));
                assert!(!scope.covers(self::scope("3ffe:1:3::")));
            }
        }
    }

    #[test]
    fn bytes_that_are_no_scope_are_none() {
        let mut bytes = scope("3ffe:1:2:345::").to_bytes();
        bytes[0] = 48;
        assert_eq!(Scope::from_bytes(bytes), None, "bits beyond the prefix");
        bytes[0] = ACCOUNT;
        assert_eq!(
            Scope::from_bytes(bytes),
            None,
            "nothing of accounts is kept"
        );
    }

    #[test]
    fn a_tag_depends_on_the_key_and_the_key_is_never_shown() {
        let [one, other] = [AccountKey(1), AccountKey(2)];
        assert_eq!(one.tag("demo"), one.tag("demo"));
        assert_ne!(one.tag("demo"), one.tag("Demo"));
        assert_ne!(one.tag("demo"), other.tag("demo"));
        assert_ne!(AccountKey::random(), AccountKey::random());
        assert_eq!(format!("{one:?}"), "AccountKey(hidden)");
    }
}
