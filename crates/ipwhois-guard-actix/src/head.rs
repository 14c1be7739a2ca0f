use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use ipwhois_guard_core::{Peer, RequestHead};

/// What actix-web gives as the server's own address when it listens on a Unix socket, or when there
/// is no server.
const NO_SERVER_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

/// A request's head, as core reads it.
pub(crate) struct ActixHead<'r> {
    pub(crate) request: &'r HttpRequest,
    /// The name of the header that is asked for most: found without parsing it.
    pub(crate) parsed: Option<&'r HeaderName>,
}

impl RequestHead for ActixHead<'_> {
    fn method(&self) -> &str {
        self.request.method().as_str()
    }

    /// `match_info` holds the path decoded, and without a scope's prefix.
    fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// Besides Unix sockets, TCP has connections without a peer: those that the client reset before
    /// the server accepted them. Their requests are still read, so they must not pass for a local
    /// proxy's.
    fn peer(&self) -> Peer {
        match self.request.peer_addr() {
            Some(address) => address.into(),
            None if self.request.app_config().local_addr() == NO_SERVER_ADDRESS => Peer::Unix,
            None => Peer::Unknown,
        }
    }

    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        let headers = self.request.headers();
        let lines = match self.parsed {
            Some(parsed) if parsed == name => headers.get_all(parsed),
            _ => headers.get_all(name),
        };
        lines.map(|value| value.as_bytes())
    }

    fn no_peer_hint(&self) -> &'static str {
        "the client reset its connection before the server accepted it"
    }
}
