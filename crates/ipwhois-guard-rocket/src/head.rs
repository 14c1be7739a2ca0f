use ipwhois_guard_core::{Peer, RequestHead};
use rocket::Request;

pub(crate) const NO_PEER_HINT: &str = "requests of Rocket's local client have none unless the test names one: \
     `client.get(\"/\").remote(address)`";

/// A request's head, as Rocket keeps it.
pub(crate) struct Head<'a, 'r>(pub(crate) &'a Request<'r>);

impl RequestHead for Head<'_, '_> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn path(&self) -> &str {
        self.0.uri().path().as_str()
    }

    // Not `client_ip()`: it believes a header, whoever sent it.
    fn peer(&self) -> Peer {
        self.0.remote().map_or(Peer::Unknown, Peer::from)
    }

    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        self.0.headers().get(name).map(str::as_bytes)
    }

    fn drops_lines(&self) -> bool {
        true
    }

    fn no_peer_hint(&self) -> &'static str {
        NO_PEER_HINT
    }
}
