//! A client that sees every byte.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use ipwhois_guard_testkit::StandIn;

/// Long enough for the slowest machine; only a failing test waits for it.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn start() -> StandIn {
    StandIn::start().expect("the stand-in starts")
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A complete reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

#[derive(Debug)]
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn of(service: &StandIn) -> Self {
        let stream = TcpStream::connect(service.addr()).expect("connects");
        stream
            .set_read_timeout(Some(LONG))
            .expect("takes a timeout");
        Self(stream)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("sends");
    }

    pub(crate) fn send_check(&mut self, ip: &str) {
        self.send(format!(
            "GET /api/check?ip={ip} HTTP/1.1\r\nHost: h\r\n\r\n"
        ));
    }

    pub(crate) fn check(&mut self, ip: &str) -> Reply {
        self.send_check(ip);
        self.reply()
    }

    pub(crate) fn get(&mut self, path: &str, headers: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n"));
        self.reply()
    }

    pub(crate) fn report(&mut self, body: &str) -> Reply {
        let length = body.len();
        self.send(format!(
            "POST /api/report HTTP/1.1\r\nHost: h\r\nX-Api-Key: k\r\nUser-Agent: ua\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        self.reply()
    }

    /// Reads one reply by its `Content-Length` and leaves the connection usable.
    pub(crate) fn reply(&mut self) -> Reply {
        self.try_reply().expect("a complete reply")
    }

    pub(crate) fn try_reply(&mut self) -> io::Result<Reply> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            head.extend_from_slice(&byte);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let mut reply = Reply {
            status: status.expect("a status line"),
            head,
            body: String::new(),
        };
        let length = reply
            .header("content-length")
            .map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        reply.body = String::from_utf8_lossy(&body).into_owned();
        Ok(reply)
    }

    /// Reads until the service closes. The bytes, and the error when it was no orderly close.
    pub(crate) fn rest(&mut self) -> (String, Option<io::ErrorKind>) {
        let mut bytes = Vec::new();
        let error = self.0.read_to_end(&mut bytes).err();
        (
            String::from_utf8_lossy(&bytes).into_owned(),
            error.map(|error| error.kind()),
        )
    }

    /// Reads what there is, up to this many bytes.
    pub(crate) fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        self.0.read_exact(&mut read).expect("that many bytes");
        read
    }

    /// Whether nothing has arrived and the connection is open.
    pub(crate) fn is_silent(&self) -> bool {
        self.0.set_nonblocking(true).expect("nonblocking");
        let silent = matches!(self.0.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.0.set_nonblocking(false).expect("blocking");
        silent
    }
}

/// The smallest runtime there is: what works here works in all of them.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park_timeout(LONG),
        }
    }
}
