//! The body of a refused request.
//!
//! Rocket lets go of it once the answer's body has ended. So the answer's end waits until the body
//! is discarded. The client has the whole answer before: `Content-Length` says where that ends.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ipwhois_guard_core::Denial;
use rocket::data::{Data, DataStream, ToByteUnit};
use rocket::response::Body;
use rocket::tokio::io::{AsyncRead, ReadBuf};
use rocket::tokio::sync::{Semaphore, SemaphorePermit};
use rocket::tokio::time::{Sleep, sleep};
use rocket::{Request, Response};

use crate::memory::Memory;

/// How long a connection stays open after a request guard's refusal. Rocket gives neither the guard
/// nor the catcher the body, so nothing reads it. A proxy reads the answer meanwhile.
const LINGER: Duration = Duration::from_secs(1);

/// How many connections do so at a time: each holds a file descriptor.
static LINGERING: Semaphore = Semaphore::const_new(0x100);

/// An answer's body, and what its end waits for.
struct Unread<'r> {
    answer: Body<'r>,
    rest: Option<DataStream<'r>>,
    left: u64,
    ends: Pin<Box<Sleep>>,
    _permit: Option<SemaphorePermit<'static>>,
}

/// Discards the body of a request, up to [`Denial::MAX_UNREAD_BYTES`] and
/// [`Denial::MAX_UNREAD_TIME`].
pub(crate) async fn discard<'r>(
    answer: Response<'r>,
    request: &Request<'_>,
    data: Data<'r>,
) -> Response<'r> {
    if !ends_by_length(request) {
        return answer;
    }
    let rest = Some(data.open(u64::MAX.bytes()));
    hold(answer, rest, Denial::MAX_UNREAD_TIME, None).await
}

/// Holds the connection open for a moment.
pub(crate) async fn linger<'r>(answer: Response<'r>, request: &Request<'_>) -> Response<'r> {
    match LINGERING.try_acquire() {
        Ok(permit) if ends_by_length(request) => hold(answer, None, LINGER, Some(permit)).await,
        _ => answer,
    }
}

/// Whether the request has a body, and the end of its answer's body is not the end of the answer.
/// On HTTP/2 it is; there hyper ends the stream without harm to the connection. Rocket does not say
/// which version it is, but HTTP/2 has no `Host`.
fn ends_by_length(request: &Request<'_>) -> bool {
    let has_body = Memory::of(request).has_body.load(Ordering::Relaxed);
    has_body && request.headers().contains("host")
}

async fn hold<'r>(
    mut response: Response<'r>,
    rest: Option<DataStream<'r>>,
    time: Duration,
    permit: Option<SemaphorePermit<'static>>,
) -> Response<'r> {
    let mut answer = response.body_mut().take();
    let Some(length) = answer.size().await else {
        *response.body_mut() = answer;
        return response;
    };
    response.set_raw_header("Content-Length", length.to_string());
    // A client that waits for `100 Continue` need not send its body.
    response.set_raw_header("Connection", "close");
    response.set_streamed_body(Unread {
        answer,
        rest,
        left: Denial::MAX_UNREAD_BYTES,
        ends: Box::pin(sleep(time)),
        _permit: permit,
    });
    response
}

impl AsyncRead for Unread<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.answer).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        let mut discarded = [0; 8 * 1024];
        while self.ends.as_mut().poll(cx).is_pending() {
            let Some(rest) = &mut self.rest else {
                return Poll::Pending;
            };
            let mut discarded = ReadBuf::new(&mut discarded);
            let read = ready!(Pin::new(rest).poll_read(cx, &mut discarded));
            let length = discarded.filled().len() as u64;
            match self.left.checked_sub(length) {
                Some(left) if read.is_ok() && length > 0 => self.left = left,
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
