use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use actix_web::HttpRequest;
use ipwhois_guard_core::{Peer, RequestHead};

/// What actix-web gives as the server's own address when it listens on a Unix socket, or when there is no server.
const NO_SERVER_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

/// A request's head, as core reads it.
pub(crate) struct ActixHead<'r>(pub(crate) &'r HttpRequest);

impl RequestHead for ActixHead<'_> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    /// `match_info` holds the path decoded, and without a scope's prefix.
    fn path(&self) -> &str {
        self.0.uri().path()
    }

    /// Besides Unix sockets, TCP has connections without a peer: those that the client reset before the server accepted
    /// them. Their requests are still read, so they must not pass for a local proxy's.
    fn peer(&self) -> Peer {
        match self.0.peer_addr() {
            Some(address) => address.into(),
            None if self.0.app_config().local_addr() == NO_SERVER_ADDRESS => Peer::Unix,
            None => Peer::Unknown,
        }
    }

    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        self.0.headers().get_all(name).map(|value| value.as_bytes())
    }

    fn no_peer_hint(&self) -> &'static str {
        "the client reset its connection before the server accepted it"
    }
}
