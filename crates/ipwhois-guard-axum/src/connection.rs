use std::net::SocketAddr;

use axum::extract::connect_info::{Connected, MockConnectInfo};
use axum::extract::{ConnectInfo, OriginalUri};
use axum::serve::IncomingStream;
use http::{Extensions, Uri};
use ipwhois_guard_tower::{ExtensionContext, Peer, RequestContext};

/// Where axum keeps the peer and the original path: [`ConnectInfo`] of [`SocketAddr`] or of [`ConnectedPeer`], and
/// [`OriginalUri`], which a nested router leaves alone.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionContext;

impl RequestContext for ConnectionContext {
    const NO_PEER_HINT: &'static str = "serve the router with \
         `router.into_make_service_with_connect_info::<std::net::SocketAddr>()`";

    fn peer(extensions: &Extensions) -> Peer {
        if let Some(ConnectInfo(address)) = extensions.get::<ConnectInfo<SocketAddr>>() {
            Peer::from(*address)
        } else if let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<ConnectedPeer>>() {
            peer.0
        } else if let Some(MockConnectInfo(address)) =
            extensions.get::<MockConnectInfo<SocketAddr>>()
        {
            Peer::from(*address)
        } else {
            ExtensionContext::peer(extensions)
        }
    }

    fn path<'r>(uri: &'r Uri, extensions: &'r Extensions) -> &'r str {
        extensions
            .get::<OriginalUri>()
            .map_or(uri, |OriginalUri(original)| original)
            .path()
    }
}

/// Connect info for TCP and Unix sockets alike:
/// `router.into_make_service_with_connect_info::<ConnectedPeer>()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectedPeer(pub Peer);

impl Connected<IncomingStream<'_, tokio::net::TcpListener>> for ConnectedPeer {
    fn connect_info(stream: IncomingStream<'_, tokio::net::TcpListener>) -> Self {
        Self(Peer::from(*stream.remote_addr()))
    }
}

#[cfg(unix)]
impl Connected<IncomingStream<'_, tokio::net::UnixListener>> for ConnectedPeer {
    fn connect_info(_: IncomingStream<'_, tokio::net::UnixListener>) -> Self {
        Self(Peer::Unix)
    }
}
