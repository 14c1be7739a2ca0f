use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response, Version};
use http_body::Body;
use ipwhois_guard_core::{Asking, Decision, Denial, Guard, Guarded};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{RequestContext, Respond, Unread, discard};

/// A request that is about to be let in or refused.
pub(crate) struct Admission<R, ReqBody> {
    request: Request<ReqBody>,
    guard: Guard,
    respond: R,
}

impl<R: Clone, ReqBody> Admission<R, ReqBody> {
    pub(crate) fn new(request: Request<ReqBody>, guard: &Guard, respond: &R) -> Self {
        Self {
            request,
            guard: guard.clone(),
            respond: respond.clone(),
        }
    }
}

/// What the way out needs to know of a request that was let in.
struct WayOut<ReqBody> {
    to_tell: Option<Guarded>,
    unread: Option<Unread<ReqBody>>,
    version: Version,
}

impl<ReqBody: Body + Send + 'static> WayOut<ReqBody> {
    fn pass<ResBody>(self, response: &mut Response<ResBody>) {
        if let Some(guarded) = self.to_tell {
            guarded.answered(response.status().as_u16());
        }
        // An extractor or a handler has refused the request after all.
        if response.extensions().get::<Denial>().is_some()
            && let Some(body) = self.unread.and_then(Unread::take)
        {
            discard(body, self.version, response);
        }
    }
}

impl<R, ReqBody: Body + Send + 'static> Admission<R, ReqBody> {
    /// The request with its decision for the extractors, and what to keep for the way out; or the
    /// answer to a refused one.
    fn settle<C: RequestContext, ResBody>(
        self,
        decision: Decision,
    ) -> Result<(Request<ReqBody>, WayOut<ReqBody>), Response<ResBody>>
    where
        R: Respond<ResBody>,
    {
        let version = self.request.version();
        if let Some(denial) = decision.denial() {
            let mut response = self.respond.respond(denial);
            discard(self.request.into_body(), version, &mut response);
            return Err(response);
        }
        let (parts, body) = self.request.into_parts();
        let (body, unread) = if body.is_end_stream() {
            (body, None)
        } else {
            C::lend(body)
        };
        let mut request = Request::from_parts(parts, body);
        let guarded = Guarded::new(self.guard, decision);
        let to_tell = guarded.to_tell(request.extensions().get());
        request.extensions_mut().insert(guarded);
        let way_out = WayOut {
            to_tell,
            unread,
            version,
        };
        Ok((request, way_out))
    }
}

pin_project! {
    /// The future of a [`GuardService`](crate::GuardService)'s response.
    pub struct ResponseFuture<S, C, R, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, S::Future, R, ReqBody, ResBody>,
        context: PhantomData<fn() -> C>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F, R, ReqBody, ResBody> {
        Asking {
            asking: Asking,
            waiting: Option<(Admission<R, ReqBody>, S)>,
        },
        Inner {
            #[pin]
            future: F,
            way_out: Option<WayOut<ReqBody>>,
        },
        Denied {
            response: Option<Response<ResBody>>,
        },
    }
}

impl<S, C, R, ReqBody, ResBody> ResponseFuture<S, C, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    C: RequestContext,
    R: Respond<ResBody>,
    ReqBody: Body + Send + 'static,
{
    pub(crate) fn decided(
        admission: Admission<R, ReqBody>,
        decision: Decision,
        inner: &mut S,
    ) -> Self {
        State::admitted::<C>(admission, decision, inner).into()
    }

    pub(crate) fn asking(asking: Asking, admission: Admission<R, ReqBody>, inner: S) -> Self {
        let waiting = Some((admission, inner));
        State::Asking { asking, waiting }.into()
    }
}

impl<S, C, R, ReqBody, ResBody> From<State<S, S::Future, R, ReqBody, ResBody>>
    for ResponseFuture<S, C, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn from(state: State<S, S::Future, R, ReqBody, ResBody>) -> Self {
        Self {
            state,
            context: PhantomData,
        }
    }
}

impl<S, R, ReqBody, ResBody> State<S, S::Future, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: Respond<ResBody>,
    ReqBody: Body + Send + 'static,
{
    fn admitted<C: RequestContext>(
        admission: Admission<R, ReqBody>,
        decision: Decision,
        inner: &mut S,
    ) -> Self {
        match admission.settle::<C, _>(decision) {
            Ok((request, way_out)) => Self::Inner {
                future: inner.call(request),
                way_out: Some(way_out),
            },
            Err(response) => Self::Denied {
                response: Some(response),
            },
        }
    }
}

impl<S, C, R, ReqBody, ResBody> Future for ResponseFuture<S, C, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    C: RequestContext,
    R: Respond<ResBody>,
    ReqBody: Body + Send + 'static,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Asking { asking, waiting } => {
                    let decision = ready!(Pin::new(asking).poll(cx));
                    let (admission, mut inner) = waiting.take().expect("polled after completion");
                    State::admitted::<C>(admission, decision, &mut inner)
                }
                StateProjection::Inner { future, way_out } => {
                    let mut response = ready!(future.poll(cx))?;
                    if let Some(way_out) = way_out.take() {
                        way_out.pass(&mut response);
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Denied { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
            };
            state.set(next);
        }
    }
}

impl<S, C, R, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, C, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
