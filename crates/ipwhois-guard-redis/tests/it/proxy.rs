//! A TCP server in front of Redis, which counts commands and breaks off.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixStream};

pub(crate) struct Proxy {
    addr: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    commands: AtomicUsize,
    connections: AtomicUsize,
    cuts: AtomicBool,
}

impl Proxy {
    pub(crate) async fn start(socket: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("its address");
        let seen = Arc::new(Seen::default());
        tokio::spawn(accept(listener, socket.to_owned(), Arc::clone(&seen)));
        Self { addr, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }

    /// How many commands went through.
    pub(crate) fn commands(&self) -> usize {
        self.seen.commands.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// Breaks off in the middle of the next reply.
    pub(crate) fn cut_next_reply(&self) {
        self.seen.cuts.store(true, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, seen: Arc<Seen>) {
    while let Ok((client, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::Relaxed);
        let (socket, seen) = (socket.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            let _ = pass(client, &socket, &seen).await;
        });
    }
}

async fn pass(client: TcpStream, socket: &Path, seen: &Seen) -> io::Result<()> {
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = UnixStream::connect(socket).await?.into_split();
    let commands = async {
        let mut from_client = BufReader::new(from_client);
        while let Some(command) = read_command(&mut from_client).await? {
            seen.commands.fetch_add(1, Ordering::Relaxed);
            to_server.write_all(&command).await?;
        }
        Ok(())
    };
    let replies = async {
        let mut reply = vec![0; 64 * 1024];
        loop {
            let length = from_server.read(&mut reply).await?;
            if length == 0 || seen.cuts.swap(false, Ordering::Relaxed) {
                return to_client.write_all(&reply[..length / 2]).await;
            }
            to_client.write_all(&reply[..length]).await?;
        }
    };
    // The first that ends closes both connections.
    tokio::select! {
        ended = commands => ended,
        ended = replies => ended,
    }
}

/// Reads one command as it was sent: a list of texts, each with its length in front.
pub(crate) async fn read_command(
    from: &mut BufReader<tokio::net::tcp::OwnedReadHalf>,
) -> io::Result<Option<Vec<u8>>> {
    let mut command = Vec::new();
    let Some(texts) = read_number(from, &mut command).await? else {
        return Ok(None);
    };
    for _ in 0..texts {
        let length = read_number(from, &mut command).await?.unwrap_or(0);
        let begin = command.len();
        command.resize(begin + length + 2, 0);
        from.read_exact(&mut command[begin..]).await?;
    }
    Ok(Some(command))
}

async fn read_number(
    from: &mut BufReader<tokio::net::tcp::OwnedReadHalf>,
    command: &mut Vec<u8>,
) -> io::Result<Option<usize>> {
    let begin = command.len();
    from.read_until(b'\n', command).await?;
    let line = std::str::from_utf8(&command[begin..]).unwrap_or_default();
    Ok(line.get(1..).and_then(|number| number.trim().parse().ok()))
}

/// A server that answers every command with the same line.
pub(crate) async fn always(line: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (from_client, mut to_client) = client.into_split();
                let mut from_client = BufReader::new(from_client);
                while let Ok(Some(_)) = read_command(&mut from_client).await {
                    let answer = format!("{line}\r\n");
                    if to_client.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("redis://{addr}")
}
