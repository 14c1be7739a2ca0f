use std::any::Any;
use std::mem;
use std::net::SocketAddr;

use axum::body::{Body, HttpBody};
use axum::extract::connect_info::{Connected, MockConnectInfo};
use axum::extract::{ConnectInfo, OriginalUri};
use axum::serve::IncomingStream;
use http::{Extensions, Uri};
use ipwhois_guard_tower::{ExtensionContext, Peer, RequestContext, Unread};

/// Where axum keeps the peer and the original path: [`ConnectInfo`] of [`SocketAddr`] or of
/// [`ConnectedPeer`], and [`OriginalUri`], which a nested router leaves alone. A path that was
/// rewritten on the way counts as it is now.
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
        let here = uri.path();
        match extensions.get::<OriginalUri>() {
            // A nested router takes a prefix off. Anything else was rewritten on the way, and is
            // routed by what it is now.
            Some(OriginalUri(original)) if here == "/" || original.path().ends_with(here) => {
                original.path()
            }
            _ => here,
        }
    }

    fn lend<B: HttpBody + Send + 'static>(body: B) -> (B, Option<Unread<B>>) {
        let mut lent = (body, None);
        let any: &mut dyn Any = &mut lent;
        // A router's services take no other body.
        if let Some((body, rest)) = any.downcast_mut::<(Body, Option<Unread<Body>>)>() {
            let (borrowed, unread) = Unread::lend(mem::take(body));
            *body = Body::new(borrowed);
            *rest = Some(unread);
        }
        lent
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(original: Option<&'static str>, here: &'static str, expected: &str) {
        let mut extensions = Extensions::new();
        if let Some(original) = original {
            extensions.insert(OriginalUri(Uri::from_static(original)));
        }
        let uri = Uri::from_static(here);
        assert_eq!(ConnectionContext::path(&uri, &extensions), expected);
    }

    #[test]
    fn a_nested_path_is_the_original_one_and_a_rewritten_path_is_itself() {
        check(None, "/admin", "/admin");
        check(Some("/admin/users"), "/users", "/admin/users");
        check(Some("/admin"), "/", "/admin");
        check(Some("/admin?x=1"), "/admin?x=1", "/admin");
        check(Some("/alias"), "/admin", "/admin");
    }

    #[test]
    fn the_peer_is_known_from_each_form_of_connect_info() {
        let address = SocketAddr::from(([25, 0, 0, 7], 80));
        let peer = |insert: &dyn Fn(&mut Extensions)| {
            let mut extensions = Extensions::new();
            insert(&mut extensions);
            ConnectionContext::peer(&extensions)
        };
        let known = Peer::from(address);
        assert_eq!(peer(&|_| ()), Peer::Unknown);
        let real = peer(&|extensions| {
            extensions.insert(ConnectInfo(address));
        });
        assert_eq!(real, known);
        let mocked = peer(&|extensions| {
            extensions.insert(MockConnectInfo(address));
        });
        assert_eq!(mocked, known);
        let unix = peer(&|extensions| {
            extensions.insert(ConnectInfo(ConnectedPeer(Peer::Unix)));
        });
        assert_eq!(unix, Peer::Unix);
        let told = peer(&|extensions| {
            extensions.insert(ipwhois_guard_tower::PeerAddr(known));
        });
        assert_eq!(told, known);
    }
}
