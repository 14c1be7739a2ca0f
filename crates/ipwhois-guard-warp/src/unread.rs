//! The body of a refused request, which only a filter can take out of warp's hands.
//!
//! A rejection makes `or` try the next branch in the same poll, on the same thread. So the branch
//! for refused requests finds the refusal in a thread-local cell. Only it takes the body: after any
//! other rejection another branch may want that.

use std::cell::Cell;
use std::future::{Ready, poll_fn, ready};
use std::task::Poll;

use futures_util::{Stream, TryStreamExt};
use http::Version;
use http_body::Frame;
use http_body_util::StreamBody;
use ipwhois_guard_tower::discard;
use warp::reply::Response;
use warp::{Buf, Filter, Rejection};

use crate::GuardRejection;

thread_local! {
    static REFUSAL: Cell<Option<GuardRejection>> = const { Cell::new(None) };
}

/// Passes a rejection on to [`refused`], which acts on those that left the body unread.
pub(crate) fn hand_over(rejection: Rejection) -> Ready<Result<(Response,), Rejection>> {
    let refusal = rejection.find::<GuardRejection>();
    REFUSAL.set(refusal.filter(|refusal| refusal.is_body_unread).cloned());
    ready(Err(rejection))
}

/// Answers the refusal of the branch before and discards the body.
pub(crate) fn refused() -> impl Filter<Extract = (Response,), Error = Rejection> + Copy {
    warp::any()
        .and_then(|| ready(REFUSAL.take().ok_or_else(warp::reject::not_found)))
        .and(warp::body::stream())
        .then(answer)
}

async fn answer<B: Buf + Send + 'static>(
    refusal: GuardRejection,
    body: impl Stream<Item = Result<B, warp::Error>> + Send + 'static,
) -> Response {
    let mut response = refusal.response();
    let mut body = Box::pin(body);
    // The stream of a request without a body ends at once.
    let first = poll_fn(|cx| Poll::Ready(body.as_mut().poll_next(cx))).await;
    if !matches!(first, Poll::Ready(None)) {
        let body = StreamBody::new(body.map_ok(Frame::data));
        // On HTTP/2 hyper takes `Connection` out again.
        discard(body, Version::HTTP_11, &mut response);
    }
    response
}
