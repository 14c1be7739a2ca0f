use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use ipwhois_guard_core::{Asking, Decision, Guard, Guarded};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::Respond;

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

impl<R, ReqBody> Admission<R, ReqBody> {
    /// The request with its decision for the extractors, and what to keep for the way out; or the answer to a refused one.
    fn settle<ResBody>(
        self,
        decision: Decision,
    ) -> Result<(Request<ReqBody>, Option<Guarded>), Response<ResBody>>
    where
        R: Respond<ResBody>,
    {
        if let Some(denial) = decision.denial() {
            return Err(self.respond.respond(denial));
        }
        let mut request = self.request;
        let guarded = Guarded::new(self.guard, decision);
        let to_tell = guarded.to_tell(request.extensions().get());
        request.extensions_mut().insert(guarded);
        Ok((request, to_tell))
    }
}

pin_project! {
    /// The future of a [`GuardService`](crate::GuardService)'s response.
    pub struct ResponseFuture<S, R, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, S::Future, R, ReqBody, ResBody>,
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
            to_tell: Option<Guarded>,
        },
        Denied {
            response: Option<Response<ResBody>>,
        },
    }
}

impl<S, R, ReqBody, ResBody> ResponseFuture<S, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: Respond<ResBody>,
{
    pub(crate) fn decided(
        admission: Admission<R, ReqBody>,
        decision: Decision,
        inner: &mut S,
    ) -> Self {
        Self {
            state: State::admitted(admission, decision, inner),
        }
    }

    pub(crate) fn asking(asking: Asking, admission: Admission<R, ReqBody>, inner: S) -> Self {
        Self {
            state: State::Asking {
                asking,
                waiting: Some((admission, inner)),
            },
        }
    }
}

impl<S, R, ReqBody, ResBody> State<S, S::Future, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: Respond<ResBody>,
{
    fn admitted(admission: Admission<R, ReqBody>, decision: Decision, inner: &mut S) -> Self {
        match admission.settle(decision) {
            Ok((request, to_tell)) => Self::Inner {
                future: inner.call(request),
                to_tell,
            },
            Err(response) => Self::Denied {
                response: Some(response),
            },
        }
    }
}

impl<S, R, ReqBody, ResBody> Future for ResponseFuture<S, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: Respond<ResBody>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Asking { asking, waiting } => {
                    let decision = ready!(Pin::new(asking).poll(cx));
                    let (admission, mut inner) = waiting.take().expect("polled after completion");
                    State::admitted(admission, decision, &mut inner)
                }
                StateProjection::Inner { future, to_tell } => {
                    let response = ready!(future.poll(cx))?;
                    if let Some(guarded) = to_tell.take() {
                        guarded.answered(response.status().as_u16());
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

impl<S, R, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
