use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::EitherBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderName;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use ipwhois_guard_core::{Decision, Denial, Guard, Guarded, Source, Step, Unverified};

use crate::future::State;
use crate::head::ActixHead;
use crate::{GuardRejection, ResponseFuture};

/// A service behind a guard: what [`IpGuard`](crate::IpGuard) makes of an app, a scope or a
/// resource.
pub struct GuardService<S, R>(Rc<Gate<S, R>>);

/// What a request that waits for its decision needs to go on.
pub(crate) struct Gate<S, R> {
    inner: S,
    guard: Guard,
    client_ip_header: Option<HeaderName>,
    respond: R,
}

impl<S, R> Gate<S, R>
where
    S: Service<ServiceRequest>,
    R: Fn(&Denial) -> HttpResponse,
{
    /// On to the handler, with the decision for its extractors, or to the answer to a refused
    /// request.
    pub(crate) fn pass(
        &self,
        request: ServiceRequest,
        decision: Decision,
    ) -> State<S, S::Future, R> {
        if let Some(denial) = decision.denial() {
            return State::refused(request, (self.respond)(denial));
        }
        if decision.verdict().source() == Source::Unverified(Unverified::NoPeer) {
            // Nobody would read the answer: letting it in would only help who wants to act without
            // being looked at.
            let response = GuardRejection::NoPeer.error_response();
            return State::refused(request, response);
        }
        let guarded = Guarded::new(self.guard.clone(), decision);
        let to_tell = guarded.to_tell(request.extensions().get());
        request.extensions_mut().insert(guarded);
        State::Inner {
            future: self.inner.call(request),
            to_tell,
        }
    }
}

impl<S, R> GuardService<S, R> {
    pub(crate) fn new(inner: S, guard: Guard, respond: R) -> Self {
        Self(Rc::new(Gate {
            inner,
            client_ip_header: guard.client_ip_header().parse().ok(),
            guard,
            respond,
        }))
    }
}

impl<S, R> fmt::Debug for GuardService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardService")
            .field("guard", &self.0.guard)
            .finish_non_exhaustive()
    }
}

impl<S, R, B> Service<ServiceRequest> for GuardService<S, R>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    R: Fn(&Denial) -> HttpResponse,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = ResponseFuture<S, R>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let step = Guarded::by_rules(
            request.extensions().get::<Guarded>(),
            &self.0.guard,
            &ActixHead {
                request: request.request(),
                parsed: self.0.client_ip_header.as_ref(),
            },
        );
        match step {
            Step::Decided(decision) => ResponseFuture::decided(self.0.pass(request, decision)),
            Step::Asking(asking) => ResponseFuture::asking(asking, request, Rc::clone(&self.0)),
        }
    }
}
