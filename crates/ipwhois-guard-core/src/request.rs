//! What core reads of a request, in `std` types: each adapter says where its framework keeps it.

use crate::address::Peer;

/// A request's head.
///
/// Everything is given as it arrived: no decoding, no normalising, no guessing. What it means is
/// core's business.
pub trait RequestHead {
    /// The method, `GET`.
    fn method(&self) -> &str;

    /// The path as the client wrote it, percent-encoding included, before any router took a prefix
    /// off.
    fn path(&self) -> &str;

    /// Who is connected: the socket's peer, never an address from a header.
    fn peer(&self) -> Peer;

    /// All lines of one header, in the order of arrival. `name` is in lower case.
    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]>;

    /// Whether the framework drops header lines that are not UTF-8. A client behind a proxy that
    /// appends to its line can make the whole line vanish there. Default: no.
    fn drops_lines(&self) -> bool {
        false
    }

    /// How the user of this framework makes the peer known, for the log when it is not.
    fn no_peer_hint(&self) -> &'static str {
        "the server must tell the guard who is connected"
    }
}
