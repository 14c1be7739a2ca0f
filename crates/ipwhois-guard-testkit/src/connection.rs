//! One connection: reading requests, answering them, and answering them badly on purpose.

use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::behaviour::{Behaviour, JSON};
use crate::call::Call;
use crate::reply::Reply;
use crate::request::{self, Refusal, Request};
use crate::state::{Arrival, Open, State};

/// Whether the connection is good for another request.
type Next = ControlFlow<()>;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    // The order matters: the socket is closed before the connection ceases to be counted.
    stream: TcpStream,
    /// What was read and not used yet.
    buffer: Vec<u8>,
    state: Arc<State>,
    _open: Open,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, state: &Arc<State>) -> Self {
        // Answers are small and single bytes are sent on purpose. Without the option everything
        // works, only slower.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            buffer: Vec::new(),
            state: Arc::clone(state),
            _open: Open::new(state),
        }
    }

    /// Answers requests until either side has enough. Errors of the socket end the connection and
    /// are nobody's business.
    pub(crate) async fn run(mut self) {
        while let Ok(ControlFlow::Continue(())) = self.turn().await {}
    }

    async fn turn(&mut self) -> io::Result<Next> {
        let request = match self.read_request().await? {
            Some(Ok(request)) => request,
            Some(Err(refusal)) => return self.refuse(refusal).await,
            None => return Ok(Next::Break(())),
        };
        match Call::read(&request) {
            Ok(call) => {
                let arrival = self.state.arrive(&call);
                self.respond(&call, &arrival, request.keep_alive).await
            }
            Err(reply) => self.send(&reply, request.keep_alive).await,
        }
    }

    /// The next request; `None` when the client has closed.
    async fn read_request(&mut self) -> io::Result<Option<Result<Request, Refusal>>> {
        loop {
            match request::parse(&self.buffer) {
                Ok(Some((request, length))) => {
                    self.buffer.drain(..length.min(self.buffer.len()));
                    return Ok(Some(Ok(request)));
                }
                Ok(None) => {}
                Err(refusal) => return Ok(Some(Err(refusal))),
            }
            self.buffer.reserve(4096);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Says why a request is not read, and closes. What the client is still sending is thrown away
    /// for a while: closing with unread bytes resets the connection, and the answer would be lost.
    async fn refuse(&mut self, refusal: Refusal) -> io::Result<Next> {
        let reply = Reply::error(refusal.status(), refusal.reason());
        self.write(&reply, false).await?;
        self.stream.shutdown().await?;
        let discard = async {
            let mut scratch = [0; 4096];
            for _ in 0..1024 {
                if self.stream.read(&mut scratch).await? == 0 {
                    break;
                }
            }
            Ok::<(), io::Error>(())
        };
        let _ = timeout(Duration::from_secs(1), discard).await;
        Ok(Next::Break(()))
    }

    async fn respond(
        &mut self,
        call: &Call,
        arrival: &Arrival,
        keep_alive: bool,
    ) -> io::Result<Next> {
        let state = Arc::clone(&self.state);
        let normal = || state.answer(call, arrival.admission);
        match &arrival.behaviour {
            Behaviour::Normal => self.send(&normal(), keep_alive).await,
            Behaviour::Delay(time) => {
                self.unless_gone(sleep(*time)).await?;
                self.send(&normal(), keep_alive).await
            }
            Behaviour::Hang => {
                self.unless_gone(std::future::pending()).await?;
                Ok(Next::Break(()))
            }
            Behaviour::Held => {
                let since = arrival.releases;
                self.unless_gone(state.until(|known| known.releases != since))
                    .await?;
                self.send(&normal(), keep_alive).await
            }
            Behaviour::Reset => self.reset(),
            Behaviour::ResetMidBody => {
                self.send_half(&normal(), keep_alive).await?;
                self.reset()
            }
            Behaviour::CloseEarly => Ok(Next::Break(())),
            Behaviour::Truncated => {
                self.send_half(&normal(), keep_alive).await?;
                Ok(Next::Break(()))
            }
            Behaviour::SlowBody { pause } => self.send_slowly(&normal(), keep_alive, *pause).await,
            Behaviour::Endless => self.send_endlessly().await,
            Behaviour::InterimStorm => {
                let storm = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(4_096);
                loop {
                    self.stream.write_all(&storm).await?;
                }
            }
            Behaviour::Reply {
                status,
                headers,
                body,
            } => {
                let reply = Reply {
                    status: *status,
                    headers: headers.clone(),
                    body: body.clone(),
                };
                self.send(&reply, keep_alive).await
            }
            Behaviour::Redirect(location) => {
                let reply = Reply::empty(302).with("Location", location);
                self.send(&reply, keep_alive).await
            }
            Behaviour::Raw(bytes) => {
                self.stream.write_all(bytes).await?;
                Ok(Next::Break(()))
            }
            Behaviour::RateLimited { retry_after } => {
                let mut reply = Reply::error(429, "too many requests");
                if let Some(value) = retry_after {
                    reply = reply.with("Retry-After", value);
                }
                self.send(&reply, keep_alive).await
            }
        }
    }

    async fn send(&mut self, reply: &Reply, keep_alive: bool) -> io::Result<Next> {
        self.write(reply, keep_alive).await?;
        Ok(next(keep_alive))
    }

    async fn write(&mut self, reply: &Reply, keep_alive: bool) -> io::Result<()> {
        let mut bytes = reply.head(keep_alive);
        bytes.extend_from_slice(reply.body());
        self.stream.write_all(&bytes).await
    }

    async fn send_half(&mut self, reply: &Reply, keep_alive: bool) -> io::Result<()> {
        let mut bytes = reply.head(keep_alive);
        let half = reply.body().len() / 2;
        bytes.extend(reply.body().iter().take(half));
        self.stream.write_all(&bytes).await
    }

    async fn send_slowly(
        &mut self,
        reply: &Reply,
        keep_alive: bool,
        pause: Duration,
    ) -> io::Result<Next> {
        self.stream.write_all(&reply.head(keep_alive)).await?;
        for byte in reply.body().chunks(1) {
            self.unless_gone(sleep(pause)).await?;
            self.stream.write_all(byte).await?;
        }
        Ok(next(keep_alive))
    }

    /// Ends with the error of writing to a client that has left.
    async fn send_endlessly(&mut self) -> io::Result<Next> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nConnection: close\r\n\r\n");
        self.stream.write_all(head.as_bytes()).await?;
        self.stream
            .write_all(br#"{"listed":false,"filler":""#)
            .await?;
        let filler = [b'x'; 4096];
        loop {
            self.stream.write_all(&filler).await?;
        }
    }

    /// Makes the coming close a reset.
    fn reset(&self) -> io::Result<Next> {
        self.stream.set_zero_linger()?;
        Ok(Next::Break(()))
    }

    /// Waits for `event`, or fails when the client closes the connection before it.
    async fn unless_gone(&self, event: impl Future<Output = ()>) -> io::Result<()> {
        tokio::select! {
            () = event => Ok(()),
            error = self.gone() => Err(error),
        }
    }

    /// Resolves when the client closes. Should it send its next request early, that is not looked
    /// at here, and its leaving is noticed when the answer is written.
    async fn gone(&self) -> io::Error {
        match self.stream.peek(&mut [0]).await {
            Ok(0) => io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => std::future::pending().await,
            Err(error) => error,
        }
    }
}

const fn next(keep_alive: bool) -> Next {
    if keep_alive {
        Next::Continue(())
    } else {
        Next::Break(())
    }
}
