//! Where a log says which client a request is from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::line::Malformed;

/// The field of a log that holds the client's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientField {
    /// The line's first field, or what a server that writes JSON takes for the client.
    #[default]
    Peer,
    /// The `X-Forwarded-For` header: the third field in quotes after the request, as in nginx's
    /// `main` format, or the header's field in JSON.
    ForwardedFor,
    /// The field in quotes with this number. The first one after the request is 1.
    Quoted(usize),
}

/// The number of `X-Forwarded-For` among the fields in quotes after the request.
const FORWARDED_FOR: usize = 3;

impl FromStr for ClientField {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "peer" => Ok(Self::Peer),
            "x-forwarded-for" => Ok(Self::ForwardedFor),
            number => match number.parse() {
                Ok(number @ 1..=99) => Ok(Self::Quoted(number)),
                _ => Err("it is neither `peer` nor `x-forwarded-for` nor a number from 1 to 99"),
            },
        }
    }
}

impl ClientField {
    /// The number of the field in quotes, or `None` for the line's first field.
    pub(super) const fn number(self) -> Option<usize> {
        match self {
            Self::Peer => None,
            Self::ForwardedFor => Some(FORWARDED_FOR),
            Self::Quoted(number) => Some(number),
        }
    }
}

/// The client in the value of a header that proxies append to. It is `None` when no proxy sent one.
///
/// The nearest proxy wrote the last address. The client is the last one that is not internal: the
/// client itself can write all that is left of it.
pub(super) fn forwarded(list: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    let mut client = None;
    for element in list.rsplit(|&byte| byte == b',') {
        let element = element.trim_ascii();
        if element.is_empty() || element == b"-" {
            continue;
        }
        let ip = single(element).ok_or(Malformed::NoClient)?;
        client = Some(ip);
        if !is_internal(ip) {
            break;
        }
    }
    Ok(client)
}

/// Whether an address is one that proxies have in a network of their own.
fn is_internal(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// The client at the beginning of a line, which a virtual host may precede.
pub(super) fn first(head: &[u8]) -> Option<IpAddr> {
    let mut words = head.split(|&byte| byte == b' ').filter(|w| !w.is_empty());
    // A list, as of a header that proxies append to, does not say which address is the client.
    let first = words.next().filter(|word| !word.ends_with(b","))?;
    let second = words.next();
    let further = words.count();
    // A virtual host may look like an address itself. Then two addresses stand side by side, and
    // the line has one word more than client, ident and user.
    if let Some(client) = second.and_then(address)
        && (address(first).is_none() || further >= 2)
    {
        return Some(client);
    }
    single(first)
}

/// An address, perhaps with a port.
pub(super) fn single(word: &[u8]) -> Option<IpAddr> {
    address(word).or_else(|| with_port(word))
}

fn address(word: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(word).ok()?;
    let text = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let (ip, _zone) = text.split_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    Some(ip.to_canonical())
}

fn with_port(word: &[u8]) -> Option<IpAddr> {
    let address: SocketAddr = str::from_utf8(word).ok()?.parse().ok()?;
    Some(address.ip().to_canonical())
}
