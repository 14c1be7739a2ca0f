//! One address or CIDR, read strictly, as the range of addresses that it stands for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// First and last address of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    V4((u32, u32)),
    V6((u128, u128)),
}

/// Why a text is neither an address nor a CIDR. Reads on after the text itself.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("is not an address or CIDR")]
    Text,
    #[error("is not an address or CIDR: it is empty")]
    Empty,
    #[error("is not an address or CIDR: the prefix is not a plain number from 0 to {longest}")]
    Prefix { longest: u8 },
    #[error("is not an address or CIDR: prefix {prefix} is longer than {longest}")]
    TooLong { prefix: u16, longest: u8 },
    #[error(
        "is not an address or CIDR: prefix {prefix} of an IPv4-mapped address is shorter than 96"
    )]
    MappedTooShort { prefix: u8 },
}

impl Network {
    /// Reads the bytes of a line.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Invalid> {
        let text = str::from_utf8(bytes).map_err(|_| Invalid::Text)?;
        Self::parse(text)
    }

    /// Reads `address` or `address/prefix`. IPv4 in IPv6 (`::ffff:10.0.0.0/104`) becomes IPv4
    /// (`10.0.0.0/8`).
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::Empty);
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| Invalid::Text)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |digits| parse_prefix(digits, longest))?;
        match address {
            IpAddr::V4(address) => Ok(Self::v4(address, prefix)),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(inner) => prefix
                    .checked_sub(96)
                    .map(|prefix| Self::v4(inner, prefix))
                    .ok_or(Invalid::MappedTooShort { prefix }),
                None => Ok(Self::v6(address, prefix)),
            },
        }
    }

    fn v4(address: Ipv4Addr, prefix: u8) -> Self {
        Self::V4(address.to_bits().network(prefix))
    }

    fn v6(address: Ipv6Addr, prefix: u8) -> Self {
        Self::V6(address.to_bits().network(prefix))
    }
}

/// Digits only: the parser of the standard library would take a sign, and leading zeros mean octal
/// elsewhere.
fn parse_prefix(digits: &str, longest: u8) -> Result<u8, Invalid> {
    const DIGITS: RangeInclusive<usize> = 1..=3;
    let is_plain = DIGITS.contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    let prefix: u16 = match digits.parse() {
        Ok(prefix) if is_plain => prefix,
        _ => return Err(Invalid::Prefix { longest }),
    };
    u8::try_from(prefix)
        .ok()
        .filter(|&prefix| prefix <= longest)
        .ok_or(Invalid::TooLong { prefix, longest })
}

/// The bits of an address, of either family.
pub(super) trait Bits: Copy + Ord {
    /// The first and the last address there is.
    const ALL: (Self, Self);

    /// The next address; `None` after the last one.
    fn successor(self) -> Option<Self>;

    /// First and last address of the network with this prefix that the address is in.
    fn network(self, prefix: u8) -> (Self, Self);
}

macro_rules! bits {
    ($($integer:ty),*) => {$(
        impl Bits for $integer {
            const ALL: (Self, Self) = (Self::MIN, Self::MAX);

            fn successor(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn network(self, prefix: u8) -> (Self, Self) {
                // A prefix as long as the address leaves no host bits: that shift would be too far.
                let hosts = Self::MAX.checked_shr(prefix.into()).unwrap_or(0);
                (self & !hosts, self | hosts)
            }
        }
    )*};
}

bits!(u32, u128);
