//! The thread that listens: starting it, its accept loop, and the orders it takes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc as blocking};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::state::State;

/// The backlog of connections that are not accepted yet.
const BACKLOG: u32 = 1024;

/// The order and where to say that it is done.
type Command = (Order, blocking::Sender<io::Result<()>>);

/// What a handle asks of the thread.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Close the listening socket and all connections.
    Refuse,
    /// Listen again.
    Accept,
}

/// The running thread. Dropping it ends the thread, and with it every connection.
#[derive(Debug)]
pub(crate) struct Server {
    addr: SocketAddr,
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the thread; `port` 0 takes a free one.
    pub(crate) fn start(port: u16, state: Arc<State>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let (commands, orders) = mpsc::unbounded_channel();
        let (started, start) = blocking::channel();
        let thread = std::thread::Builder::new()
            .name("ipwhois-stand-in".to_owned())
            .spawn(move || run(addr, listener, state, orders, &started))?;
        let server = Self {
            addr,
            commands: Some(commands),
            thread: Some(thread),
        };
        start.recv().unwrap_or_else(|_| Err(ended()))?;
        Ok(server)
    }

    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Gives an order and blocks until it is carried out, which takes no longer than a few system
    /// calls.
    pub(crate) fn order(&self, order: Order) -> io::Result<()> {
        let (done, result) = blocking::channel();
        self.commands
            .as_ref()
            .and_then(|commands| commands.send((order, done)).ok())
            .ok_or_else(ended)?;
        result.recv().unwrap_or_else(|_| Err(ended()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The thread ends when the last sender is gone.
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn ended() -> io::Error {
    io::Error::other("the stand-in's thread has ended")
}

/// The thread's whole life.
fn run(
    addr: SocketAddr,
    listener: std::net::TcpListener,
    state: Arc<State>,
    orders: mpsc::UnboundedReceiver<Command>,
    started: &blocking::Sender<io::Result<()>>,
) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(started.send(Err(error))),
    };
    runtime.block_on(async {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                let _ = started.send(Ok(()));
                let porter = Porter {
                    addr,
                    door: Door::Open(listener),
                    connections: JoinSet::new(),
                    state,
                };
                porter.run(orders).await;
            }
            Err(error) => drop(started.send(Err(error))),
        }
    });
}

/// The accept loop.
struct Porter {
    addr: SocketAddr,
    door: Door,
    connections: JoinSet<()>,
    state: Arc<State>,
}

enum Door {
    Open(TcpListener),
    /// Nobody listens. The socket keeps the port from being given to somebody else.
    Shut(Option<TcpSocket>),
}

impl Door {
    async fn accept(&self) -> io::Result<TcpStream> {
        match self {
            Self::Open(listener) => Ok(listener.accept().await?.0),
            Self::Shut(_) => std::future::pending().await,
        }
    }
}

impl Porter {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Command>) {
        loop {
            tokio::select! {
                accepted = self.door.accept() => match accepted {
                    Ok(stream) => {
                        self.connections.spawn(Connection::new(stream, &self.state).run());
                    }
                    // Out of file descriptors, most likely: some may become free.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                },
                command = orders.recv() => match command {
                    Some((order, done)) => {
                        let result = self.obey(order).await;
                        let _ = done.send(result);
                    }
                    None => return,
                },
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn obey(&mut self, order: Order) -> io::Result<()> {
        match (order, &mut self.door) {
            (Order::Refuse, Door::Open(_)) => {
                self.door = Door::Shut(None);
                self.door = Door::Shut(bound(self.addr).ok());
                self.connections.shutdown().await;
            }
            (Order::Accept, Door::Shut(kept)) => {
                let socket = match kept.take() {
                    Some(socket) => socket,
                    None => bound(self.addr)?,
                };
                self.door = Door::Open(socket.listen(BACKLOG)?);
            }
            (Order::Refuse, Door::Shut(_)) | (Order::Accept, Door::Open(_)) => {}
        }
        Ok(())
    }
}

/// A socket with the address and nothing more: connecting to it is refused.
fn bound(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Old connections linger for minutes and must not keep the port. On Windows the option means
    // something else.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}
