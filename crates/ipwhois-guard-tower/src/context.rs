use http::{Extensions, Uri};
use http_body::Body;
use ipwhois_guard_core::Peer;

use crate::Unread;

/// Where a server keeps what the guard needs to know of a request besides its head.
///
/// A type that is only named, never made: `GuardLayer::<MyContext>::new(guard)`.
pub trait RequestContext: 'static {
    /// How to make the peer known, for the log when it is not.
    const NO_PEER_HINT: &'static str;

    /// Who is connected, or [`Peer::Unknown`]. Never an address from a header.
    fn peer(extensions: &Extensions) -> Peer;

    /// The path before any router took a prefix off.
    fn path<'r>(uri: &'r Uri, extensions: &'r Extensions) -> &'r str {
        let _ = extensions;
        uri.path()
    }

    /// Lends the inner service a request's body, if the server's body type allows it. A refusal by
    /// an extractor then discards what was left unread. Without it only the layer's own do.
    fn lend<B: Body + Send + 'static>(body: B) -> (B, Option<Unread<B>>) {
        (body, None)
    }
}

/// A request extension that says who is connected. The server inserts it into each request of the
/// connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub Peer);

/// The context of servers that insert [`PeerAddr`] into their requests: hyper, or anything of your
/// own.
#[derive(Clone, Copy, Debug)]
pub struct ExtensionContext;

impl RequestContext for ExtensionContext {
    const NO_PEER_HINT: &'static str = "insert the extension `PeerAddr` into each request";

    fn peer(extensions: &Extensions) -> Peer {
        extensions
            .get::<PeerAddr>()
            .map_or(Peer::Unknown, |peer| peer.0)
    }
}
