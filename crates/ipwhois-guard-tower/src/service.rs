use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use ipwhois_guard_core::{Guard, Guarded, Step};
use tower_service::Service;

use crate::future::{Admission, ResponseFuture};
use crate::{HttpHead, RequestContext, Respond};

/// A service behind a guard. The body types stay those of the inner service.
pub struct GuardService<S, C, R> {
    inner: S,
    guard: Guard,
    respond: R,
    context: PhantomData<fn() -> C>,
}

impl<S, C, R> GuardService<S, C, R> {
    pub(crate) fn new(inner: S, guard: Guard, respond: R) -> Self {
        Self {
            inner,
            guard,
            respond,
            context: PhantomData,
        }
    }
}

impl<S: Clone, C, R: Clone> Clone for GuardService<S, C, R> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.guard.clone(), self.respond.clone())
    }
}

impl<S, C, R> fmt::Debug for GuardService<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardService")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl<S, C, R, ReqBody, ResBody> Service<Request<ReqBody>> for GuardService<S, C, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    C: RequestContext,
    R: Respond<ResBody> + Clone,
    ReqBody: Body + Send + 'static,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, C, R, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let earlier = request.extensions().get::<Guarded>();
        let step = Guarded::by_rules(earlier, &self.guard, &HttpHead::<C>::from(&request));
        match step {
            Step::Decided(decision) => {
                let admission = Admission::new(request, &self.guard, &self.respond);
                ResponseFuture::decided(admission, decision, &mut self.inner)
            }
            Step::Asking(asking) => {
                // The service that was polled ready is the one that must be called.
                let spare = self.inner.clone();
                let inner = mem::replace(&mut self.inner, spare);
                let admission = Admission::new(request, &self.guard, &self.respond);
                ResponseFuture::asking(asking, admission, inner)
            }
        }
    }
}
