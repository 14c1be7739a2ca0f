use std::fmt;
use std::marker::PhantomData;

use http::Response;
use ipwhois_guard_core::{Denial, Guard};
use tower_layer::Layer;

use crate::{ExtensionContext, GuardService, PlainDenial};

/// The layer that puts a guard around a service. `C` says where the server keeps the peer's address
/// ([`RequestContext`](crate::RequestContext)), `R` how a denial becomes a response
/// ([`Respond`](crate::Respond)).
pub struct GuardLayer<C, R = PlainDenial> {
    guard: Guard,
    respond: R,
    context: PhantomData<fn() -> C>,
}

/// The layer for servers that insert [`PeerAddr`](crate::PeerAddr) into their requests.
pub type IpGuardLayer<R = PlainDenial> = GuardLayer<ExtensionContext, R>;

impl<C> GuardLayer<C> {
    /// A layer whose denials are answered as core words them.
    #[must_use]
    pub fn new(guard: Guard) -> Self {
        Self {
            guard,
            respond: PlainDenial,
            context: PhantomData,
        }
    }

    /// Answers denials with the application's own response.
    #[must_use]
    pub fn respond_with<F, B>(self, respond: F) -> GuardLayer<C, F>
    where
        F: Fn(&Denial) -> Response<B> + Clone,
    {
        GuardLayer {
            guard: self.guard,
            respond,
            context: PhantomData,
        }
    }
}

impl<C, R: Clone> Clone for GuardLayer<C, R> {
    fn clone(&self) -> Self {
        Self {
            guard: self.guard.clone(),
            respond: self.respond.clone(),
            context: PhantomData,
        }
    }
}

impl<C, R> fmt::Debug for GuardLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardLayer")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl<S, C, R: Clone> Layer<S> for GuardLayer<C, R> {
    type Service = GuardService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService::new(inner, self.guard.clone(), self.respond.clone())
    }
}
