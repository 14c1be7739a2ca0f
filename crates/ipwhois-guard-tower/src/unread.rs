//! The body of a refused request: read and discarded, beside the answer and after it.
//!
//! A server that closes a connection while the client still writes resets it. The client then loses
//! the answer. A proxy counts a failed server, and stops using it.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Buf;
use http::header::{CONNECTION, HeaderValue};
use http::{Response, Version};
use http_body::{Body, Frame, SizeHint};
use ipwhois_guard_core::Denial;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Discards the body of a refused request, if there is one, in a tokio task of its own. The answer
/// does not wait for it. The task ends after [`Denial::MAX_UNREAD_BYTES`] or
/// [`Denial::MAX_UNREAD_TIME`].
///
/// On HTTP/1 the answer says `Connection: close`. A client that waits for `100 Continue` need not
/// send its body, so what it sends next would be ambiguous.
///
/// Outside a tokio runtime the body is dropped. The runtime's timer must be on (`enable_all`, as in
/// `#[tokio::main]`).
pub fn discard<B, R>(body: B, version: Version, response: &mut Response<R>)
where
    B: Body + Send + 'static,
{
    if body.is_end_stream() {
        return;
    }
    if version <= Version::HTTP_11 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    if let Ok(runtime) = Handle::try_current() {
        // Made inside the task: without a timer it is this that panics, and no request.
        runtime.spawn(async { timeout(Denial::MAX_UNREAD_TIME, read(body)).await });
    }
}

async fn read<B: Body>(body: B) {
    let mut body = pin!(body);
    let mut left = Denial::MAX_UNREAD_BYTES;
    while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let length = frame.data_ref().map_or(0, Buf::remaining) as u64;
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// What a service leaves unread of a body that was lent to it.
pub struct Unread<B>(Arc<Mutex<Option<B>>>);

impl<B: Body + Unpin> Unread<B> {
    /// A body for the service, and where its rest goes when the service drops it.
    pub fn lend(body: B) -> (Lent<B>, Self) {
        let rest = Arc::default();
        let lent = Lent {
            body: Some(body),
            rest: Arc::clone(&rest),
        };
        (lent, Self(rest))
    }
}

impl<B> Unread<B> {
    /// The rest. `None` while the service holds the body, or when it was read to its end.
    pub(crate) fn take(self) -> Option<B> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A body that returns its rest to an [`Unread`] when it is dropped.
pub struct Lent<B: Body + Unpin> {
    body: Option<B>,
    rest: Arc<Mutex<Option<B>>>,
}

impl<B: Body + Unpin> Body for Lent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.as_ref();
        body.map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<B: Body + Unpin> Drop for Lent<B> {
    fn drop(&mut self) {
        if !self.is_end_stream() {
            *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
        }
    }
}

impl<B> fmt::Debug for Unread<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unread").finish_non_exhaustive()
    }
}

impl<B: Body + Unpin> fmt::Debug for Lent<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}
