use std::convert::Infallible;
use std::net::SocketAddr;

use http::{HeaderMap, Method};
use ipwhois_guard_core::{Guarded, Peer, RequestHead};
use ipwhois_guard_tower::PeerAddr;
use warp::Filter;
use warp::path::FullPath;

/// How the user of warp makes the peer known.
pub(crate) const NO_PEER_HINT: &str = "on a Unix socket call `IpGuard::on_unix_socket`; a server of \
     your own around `warp::service` inserts the extension `PeerAddr` into each request";

/// A request's head. warp shows a filter no request, only parts of it, and clones each of them.
#[derive(Debug)]
pub(crate) struct Head {
    method: Method,
    path: FullPath,
    headers: HeaderMap,
    peer: Peer,
    /// What a tower layer around `warp::service` has decided.
    pub(crate) layered: Option<Guarded>,
}

/// Reads the head. Leaves the body and the matched path alone.
pub(crate) fn head() -> impl Filter<Extract = (Head,), Error = Infallible> + Copy {
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::addr::remote())
        .and(warp::ext::optional::<PeerAddr>())
        .and(warp::ext::optional::<Guarded>())
        .map(
            |method, path, headers, remote: Option<SocketAddr>, told: Option<PeerAddr>, layered| {
                let told = told.map_or(Peer::Unknown, |PeerAddr(peer)| peer);
                Head {
                    method,
                    path,
                    headers,
                    peer: remote.map_or(told, Peer::from),
                    layered,
                }
            },
        )
}

impl Head {
    /// Takes `peer` for the other end of a connection that has no address.
    pub(crate) fn or_peer(mut self, peer: Peer) -> Self {
        if self.peer == Peer::Unknown {
            self.peer = peer;
        }
        self
    }

    /// Whether a decision on the one is a decision on the other.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.method == other.method
            && self.path.as_str() == other.path.as_str()
            && self.peer == other.peer
            && self.headers == other.headers
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn path(&self) -> &str {
        self.path.as_str()
    }

    fn peer(&self) -> Peer {
        self.peer
    }

    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        let lines = self.headers.get_all(name).iter();
        lines.map(|value| value.as_bytes())
    }

    fn no_peer_hint(&self) -> &'static str {
        NO_PEER_HINT
    }
}
