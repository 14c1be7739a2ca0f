//! Who the client is: the peer of the connection, or what a trusted proxy says in one header.
//!
//! 1. Without trusted proxies the client is the peer, and no header is read.
//! 2. With `trusted_proxies` a header is read only when the peer is one of them. A list is walked
//!    from the right, the end that the nearest proxy wrote, over trusted addresses; the first other
//!    address is the client. What stands further left may be the client's own invention and decides
//!    nothing.
//! 3. With `trusted_hops` the peer is taken for a proxy whoever it is, and the client is that many
//!    elements from the right.
//! 4. Exactly one header is read. When it is missing or unreadable the client is unknown: no other
//!    header and no element further left takes its place.
//!
//! Nothing here allocates while a request is looked at.

mod elements;
mod forwarded;
mod public;
#[cfg(test)]
mod tests;
mod text;
mod walk;

use std::net::{IpAddr, SocketAddr};

use crate::error::BuildError;
use crate::ip_set::IpSet;
use crate::token::is_token;
use crate::verdict::Unverified;
use elements::Syntax;
use walk::{first_untrusted, from_the_right, only_address};

pub(crate) use public::{is_public, lookup_address};

/// Number of trusted proxies in a row over which [`ClientResolver::behind`] looks.
const MOST_PROXIES: usize = 16;

/// Who is connected, as the framework says: the other end of the connection, which may be a proxy.
///
/// An IPv4-mapped address (`::ffff:192.0.2.1`) counts as IPv4, and `0.0.0.0` and `::` count as
/// [`Peer::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An address.
    Ip(IpAddr),
    /// A Unix socket, whose other end has no address. `trusted_proxies` names such peers as
    /// `unix:`.
    Unix,
    /// The framework does not say. Usually a mistake in the set-up.
    Unknown,
}

impl From<IpAddr> for Peer {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

/// Port and IPv6 scope are dropped.
impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address.ip())
    }
}

/// Finds the client of a request. Built once from the settings.
#[derive(Debug)]
pub(crate) struct ClientResolver {
    trust: Trust,
    format: Format,
    header: String,
}

/// Whose word counts besides the connection's.
#[derive(Debug)]
enum Trust {
    Nobody,
    Proxies { networks: IpSet, unix: bool },
    Hops(u32),
}

/// How the header is written.
#[derive(Clone, Copy, Debug)]
enum Format {
    Elements(Syntax),
    Single,
}

impl ClientResolver {
    /// `header` is the name of the one header that may be read, in any case: `Forwarded` is read by
    /// RFC 7239, a name that ends in `Forwarded-For` as a list, any other as a single address.
    ///
    /// # Errors
    ///
    /// [`BuildError`] for a proxy that is no address, CIDR or `unix:`, for proxies that cover a
    /// whole address family, for a hop count of 0 or one that the header cannot serve, for proxies
    /// and a hop count together, and for a name that no header can have.
    pub(crate) fn new(
        trusted_proxies: &[String],
        trusted_hops: Option<u32>,
        header: &str,
    ) -> Result<Self, BuildError> {
        let is_variable = header
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case("http_"));
        if !is_token(header) || is_variable {
            let reason = "is not the name of an HTTP header (RFC 9110, section 5.1)";
            return Err(BuildError::setting("client_ip_header", header, reason));
        }
        let header = header.to_ascii_lowercase();
        let format = if header == "forwarded" {
            Format::Elements(Syntax::Forwarded)
        } else if header.ends_with("forwarded-for") {
            Format::Elements(Syntax::List)
        } else {
            Format::Single
        };
        let trust = match trusted_hops {
            None if trusted_proxies.is_empty() => Trust::Nobody,
            None => trust_proxies(trusted_proxies)?,
            Some(hops) if trusted_proxies.is_empty() => trust_hops(hops, format, &header)?,
            Some(_) => {
                return Err(BuildError::Conflict {
                    first: "trusted_proxies",
                    second: "trusted_hops",
                    reason: "are two answers to one question: give the proxies' addresses or their number, not both",
                });
            }
        };
        Ok(Self {
            trust,
            format,
            header,
        })
    }

    /// The name of the header whose lines [`resolve`](Self::resolve) may ask for, in lower case.
    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// The client's address, never an IPv4-mapped one. `lines` gives the values of the header's
    /// lines in their order, and is not called unless the peer is trusted.
    ///
    /// # Errors
    ///
    /// Why the client is not known: [`Unverified::NoPeer`], [`Unverified::UnixPeer`] or
    /// [`Unverified::BadHeader`].
    #[inline]
    pub(crate) fn resolve<'h, L, I>(&self, peer: Peer, lines: L) -> Result<IpAddr, Unverified>
    where
        L: Fn() -> I,
        I: Iterator<Item = &'h [u8]>,
    {
        let peer = match peer {
            Peer::Ip(ip) => Some(usable(ip).ok_or(Unverified::NoPeer)?),
            Peer::Unix => None,
            Peer::Unknown => return Err(Unverified::NoPeer),
        };
        let told = match (&self.trust, peer) {
            (Trust::Nobody, _) => return peer.ok_or(Unverified::UnixPeer),
            (Trust::Proxies { unix: false, .. }, None) => return Err(Unverified::UnixPeer),
            (Trust::Proxies { networks, .. }, Some(ip)) if !networks.contains(ip) => return Ok(ip),
            (Trust::Proxies { networks, .. }, _) => match self.format {
                Format::Elements(syntax) => first_untrusted(lines(), syntax, networks),
                Format::Single => only_address(lines()),
            },
            (Trust::Hops(hops), _) => match self.format {
                Format::Elements(syntax) => nth(from_the_right(lines, syntax), *hops),
                Format::Single => only_address(lines()),
            },
        };
        told.ok_or(Unverified::BadHeader)
    }

    /// The address to the left of the client in the header's list, if the list goes on there.
    /// `lines` is as in [`resolve`](Self::resolve).
    pub(crate) fn behind<'h, L, I>(&self, client: IpAddr, peer: Peer, lines: L) -> Option<IpAddr>
    where
        L: Fn() -> I,
        I: Iterator<Item = &'h [u8]>,
    {
        let Format::Elements(syntax) = self.format else {
            return None;
        };
        let mut elements = from_the_right(lines, syntax);
        let found = match (&self.trust, peer) {
            (Trust::Nobody, _) => return None,
            (Trust::Proxies { networks, .. }, Peer::Ip(ip))
                if !networks.contains(ip.to_canonical()) =>
            {
                return None;
            }
            (Trust::Proxies { networks, .. }, _) => {
                let is_client = |ip: &Option<IpAddr>| !ip.is_some_and(|ip| networks.contains(ip));
                elements.by_ref().take(MOST_PROXIES).find(is_client)?
            }
            (Trust::Hops(hops), _) => nth(&mut elements, *hops),
        };
        found.filter(|&ip| ip == client)?;
        elements.next()?
    }

    /// The proxies' networks. None with a hop count.
    pub(crate) fn trusted_proxies(&self) -> IpSet {
        match &self.trust {
            Trust::Proxies { networks, .. } => networks.clone(),
            Trust::Nobody | Trust::Hops(_) => IpSet::default(),
        }
    }

    /// Whether no proxy is trusted, so that no header is read.
    pub(crate) const fn trusts_nobody(&self) -> bool {
        matches!(self.trust, Trust::Nobody)
    }

    /// Whether a header is read that is a list, to which proxies append.
    pub(crate) const fn reads_list(&self) -> bool {
        !self.trusts_nobody() && matches!(self.format, Format::Elements(_))
    }

    /// Whether `trusted_proxies` names the address. With a hop count nobody is known by address.
    #[inline]
    pub(crate) fn is_trusted_proxy(&self, ip: IpAddr) -> bool {
        match &self.trust {
            Trust::Proxies { networks, .. } => networks.contains(ip),
            Trust::Nobody | Trust::Hops(_) => false,
        }
    }
}

fn trust_proxies(trusted_proxies: &[String]) -> Result<Trust, BuildError> {
    const SETTING: &str = "trusted_proxies";
    let is_unix = |proxy: &&String| proxy.trim() == "unix:";
    let networks = IpSet::parse(
        SETTING,
        trusted_proxies.iter().filter(|proxy| !is_unix(proxy)),
    )?;
    if networks.covers_all_of_a_family() {
        let reason = "trusts every address, so that any client could name itself: \
                      give the addresses of your own proxies";
        return Err(BuildError::setting(
            SETTING,
            trusted_proxies.join(", "),
            reason,
        ));
    }
    Ok(Trust::Proxies {
        networks,
        unix: trusted_proxies.iter().any(|proxy| is_unix(&proxy)),
    })
}

fn trust_hops(hops: u32, format: Format, header: &str) -> Result<Trust, BuildError> {
    let refuse = |reason: String| {
        Err(BuildError::setting(
            "trusted_hops",
            hops.to_string(),
            reason,
        ))
    };
    match (hops, format) {
        (0, _) => refuse("is no number of proxies: leave it out when there is none".to_owned()),
        (2.., Format::Single) => refuse(format!(
            "does not go with the client_ip_header `{header}`: that has a single address and cannot tell of more than \
             one proxy, so use 1, or a list such as `x-forwarded-for`"
        )),
        _ => Ok(Trust::Hops(hops)),
    }
}

/// The `hops`-th of the elements. `None` when it is no address or there are fewer.
fn nth(mut elements: impl Iterator<Item = Option<IpAddr>>, hops: u32) -> Option<IpAddr> {
    let before = usize::try_from(hops).ok()?.checked_sub(1)?;
    elements.nth(before)?
}

/// The address in its one form, IPv4-mapped as IPv4. `None` for `0.0.0.0` and `::`, which belong to
/// nobody.
#[inline]
fn usable(ip: IpAddr) -> Option<IpAddr> {
    let ip = ip.to_canonical();
    (!ip.is_unspecified()).then_some(ip)
}
