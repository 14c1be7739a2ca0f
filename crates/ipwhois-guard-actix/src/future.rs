use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::EitherBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpResponse};
use ipwhois_guard_core::{Asking, Denial, Guarded};
use pin_project_lite::pin_project;

use crate::respond::with_unread;
use crate::service::Gate;

pin_project! {
    /// The future of a [`GuardService`](crate::GuardService)'s response.
    pub struct ResponseFuture<S, R>
    where
        S: Service<ServiceRequest>,
    {
        #[pin]
        state: State<S, S::Future, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    pub(crate) enum State<S, F, R> {
        Asking {
            asking: Asking,
            waiting: Option<(ServiceRequest, Rc<Gate<S, R>>)>,
        },
        Inner {
            #[pin]
            future: F,
            to_tell: Option<Guarded>,
        },
        Denied {
            response: Option<ServiceResponse>,
        },
    }
}

impl<S, R> ResponseFuture<S, R>
where
    S: Service<ServiceRequest>,
{
    pub(crate) const fn decided(state: State<S, S::Future, R>) -> Self {
        Self { state }
    }

    pub(crate) fn asking(asking: Asking, request: ServiceRequest, gate: Rc<Gate<S, R>>) -> Self {
        Self {
            state: State::Asking {
                asking,
                waiting: Some((request, gate)),
            },
        }
    }
}

impl<S, F, R> State<S, F, R> {
    pub(crate) fn refused(request: ServiceRequest, response: HttpResponse) -> Self {
        let (request, payload) = request.into_parts();
        let response = with_unread(payload, response);
        Self::Denied {
            response: Some(ServiceResponse::new(request, response)),
        }
    }
}

impl<S, R, B> Future for ResponseFuture<S, R>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    R: Fn(&Denial) -> HttpResponse,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Asking { asking, waiting } => {
                    let decision = ready!(Pin::new(asking).poll(cx));
                    let (request, gate) = waiting.take().expect("polled after completion");
                    gate.pass(request, decision)
                }
                StateProjection::Inner { future, to_tell } => {
                    let answer = ready!(future.poll(cx));
                    if let Some(guarded) = to_tell.take() {
                        // An inner middleware's error becomes a response only further out.
                        let status = match &answer {
                            Ok(response) => response.status(),
                            Err(error) => error.error_response().status(),
                        };
                        guarded.answered(status.as_u16());
                    }
                    return Poll::Ready(answer.map(ServiceResponse::map_into_left_body));
                }
                StateProjection::Denied { response } => {
                    let response = response.take().expect("polled after completion");
                    return Poll::Ready(Ok(response.map_into_right_body()));
                }
            };
            state.set(next);
        }
    }
}

impl<S, R> fmt::Debug for ResponseFuture<S, R>
where
    S: Service<ServiceRequest>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
