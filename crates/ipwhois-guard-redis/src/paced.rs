//! Connections that read no faster than [`RATE`].
//!
//! The client library keeps what it has read of a reply until the reply is complete, and has no
//! limit for that. A call without an answer gives its connection up after a second
//! ([`crate::connection`]), and one that listens is asked every ten seconds. Together with the rate
//! this bounds the memory that a server can take.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster_async::Connect;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline,
    RedisFuture, RedisResult, Value,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::connection::{ANSWER, CONNECT};

/// Maximum number of bytes read in each [`WINDOW`]: some twenty thousand replies a second.
const RATE: usize = 256 * 1024;
const WINDOW: Duration = Duration::from_millis(100);

/// A connection for calls.
#[derive(Clone)]
pub(crate) struct Paced {
    calls: MultiplexedConnection,
    /// Ends with the last clone. Otherwise a server that sends without end would keep it.
    _driver: Arc<Driver>,
}

struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) async fn connect(info: &ConnectionInfo) -> RedisResult<Paced> {
    within_connect(async {
        let config = AsyncConnectionConfig::new().set_response_timeout(ANSWER);
        let stream = open(&info.addr).await?;
        let (calls, driver) =
            MultiplexedConnection::new_with_config(&info.redis, stream, config).await?;
        let _driver = Arc::new(Driver(tokio::spawn(driver)));
        Ok(Paced { calls, _driver })
    })
    .await
}

/// A connection to listen with.
pub(crate) async fn pubsub(info: &ConnectionInfo) -> RedisResult<PubSub> {
    within_connect(async { PubSub::new(&info.redis, open(&info.addr).await?).await }).await
}

async fn within_connect<T>(work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match timeout(CONNECT, work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}

impl Connect for Paced {
    fn connect_with_config<'a, T>(info: T, _: AsyncConnectionConfig) -> RedisFuture<'a, Self>
    where
        T: IntoConnectionInfo + Send + 'a,
    {
        Box::pin(async move { connect(&info.into_connection_info()?).await })
    }
}

impl ConnectionLike for Paced {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.calls.req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.calls.req_packed_commands(cmd, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.calls.get_db()
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn open(address: &ConnectionAddr) -> io::Result<PacedStream> {
    let stream: Box<dyn Stream> = match address {
        ConnectionAddr::Tcp(host, port) => Box::new(tcp(host, *port).await?),
        ConnectionAddr::TcpTls { host, port, .. } => Box::new(tls(host, *port).await?),
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
        #[cfg(not(unix))]
        ConnectionAddr::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
    };
    Ok(PacedStream {
        stream,
        left: RATE,
        window: Box::pin(sleep(WINDOW)),
    })
}

/// All addresses of the host are tried at once.
async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let connecting: Vec<_> = lookup_host((host, port))
        .await?
        .map(|address| Box::pin(TcpStream::connect(address)))
        .collect();
    if connecting.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let (stream, _) = select_ok(connecting).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// With the authorities of the system, or of the file in `SSL_CERT_FILE`.
async fn tls(host: &str, port: u16) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut loaded = rustls_native_certs::load_native_certs();
    if let Some(error) = loaded.errors.pop() {
        return Err(io::Error::other(error));
    }
    let mut roots = RootCertStore::empty();
    for certificate in loaded.certs {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, tcp(host, port).await?).await
}

struct PacedStream {
    stream: Box<dyn Stream>,
    /// Bytes that may still be read in this window.
    left: usize,
    window: Pin<Box<Sleep>>,
}

impl AsyncRead for PacedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            ready!(self.window.as_mut().poll(context));
        }
        let now = Instant::now();
        if now >= self.window.deadline() {
            self.left = RATE;
            self.window.as_mut().reset(now + WINDOW);
        }
        let left = self.left.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(left));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        self.left -= read;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
