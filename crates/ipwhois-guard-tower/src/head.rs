use std::fmt;
use std::marker::PhantomData;

use http::{Extensions, HeaderMap, Method, Request, Uri, request::Parts};
use ipwhois_guard_core::{Peer, RequestHead};

use crate::RequestContext;

/// An `http` request's head, as core reads it.
pub struct HttpHead<'r, C> {
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
    extensions: &'r Extensions,
    context: PhantomData<fn() -> C>,
}

impl<C> fmt::Debug for HttpHead<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers stay out: they may carry credentials.
        f.debug_struct("HttpHead")
            .field("method", self.method)
            .field("uri", self.uri)
            .finish_non_exhaustive()
    }
}

impl<'r, C, B> From<&'r Request<B>> for HttpHead<'r, C> {
    fn from(request: &'r Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            context: PhantomData,
        }
    }
}

impl<'r, C> From<&'r Parts> for HttpHead<'r, C> {
    fn from(parts: &'r Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
            context: PhantomData,
        }
    }
}

impl<C: RequestContext> RequestHead for HttpHead<'_, C> {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn path(&self) -> &str {
        C::path(self.uri, self.extensions)
    }

    fn peer(&self) -> Peer {
        C::peer(self.extensions)
    }

    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        self.headers
            .get_all(name)
            .iter()
            .map(|value| value.as_bytes())
    }

    fn no_peer_hint(&self) -> &'static str {
        C::NO_PEER_HINT
    }
}
