//! A client that sends what it is told, byte for byte, and reads the whole answer.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::driver::Address;

/// A TCP or a Unix socket.
pub trait Connection: Read + Write + Send {}

impl<T: Read + Write + Send> Connection for T {}

fn connect(address: &Address) -> io::Result<Box<dyn Connection>> {
    // Only so that a broken server fails the test instead of stopping it.
    let patience = Some(Duration::from_secs(60));
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(patience)?;
            Ok(Box::new(stream))
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(patience)?;
            Ok(Box::new(stream))
        }
    }
}

/// A request under construction.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<u8>,
    body: Vec<u8>,
    keep_alive: bool,
}

impl Request {
    /// A request with this method and target, as they are.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            keep_alive: false,
        }
    }

    /// Does not ask the server to close the connection.
    #[must_use]
    pub fn keep_alive(mut self) -> Self {
        self.keep_alive = true;
        self
    }

    /// A `GET`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Adds a header line. The value may hold any bytes.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.extend_from_slice(name.as_bytes());
        self.headers.extend_from_slice(b": ");
        self.headers.extend_from_slice(value.as_ref());
        self.headers.extend_from_slice(b"\r\n");
        self
    }

    /// As the proxy on loopback sends it for a client.
    #[must_use]
    pub fn from_client(self, client: impl AsRef<[u8]>) -> Self {
        self.header("X-Forwarded-For", client)
    }

    /// Sets the body, with its length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nHost: test\r\n", self.method, self.target).into_bytes();
        if !self.keep_alive {
            bytes.extend_from_slice(b"Connection: close\r\n");
        }
        if !self.body.is_empty() {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(&self.headers);
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends the request and leaves the connection open, unread.
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[must_use]
    pub fn begin(&self, address: &Address) -> Box<dyn Connection> {
        let mut stream = connect(address).expect("the server accepts");
        stream
            .write_all(&self.to_bytes())
            .expect("the server reads");
        stream
    }

    /// Asks for a WebSocket and, when it is granted, sends one text message and returns the answer;
    /// otherwise the status.
    ///
    /// # Errors
    /// The status, when it is not 101.
    ///
    /// # Panics
    /// When what comes back is no short text frame.
    pub fn say_by_websocket(self, address: &Address, text: &str) -> Result<String, u16> {
        let upgrade = self
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let bytes = String::from_utf8(upgrade.to_bytes()).expect("a plain head");
        let bytes = bytes.replace("Connection: close", "Connection: Upgrade");
        let mut stream = connect(address).expect("the server accepts");
        stream
            .write_all(bytes.as_bytes())
            .expect("the server reads");
        let head = read_head(&mut *stream);
        let status = Response::parse(&head).status;
        if status != 101 {
            return Err(status);
        }
        // RFC 6455, section 5.2: a final text frame, masked with zeros.
        let length = u8::try_from(text.len()).expect("a short text");
        let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        stream.write_all(&frame).expect("the server reads");
        let mut echo = vec![0; 2 + text.len()];
        stream.read_exact(&mut echo).expect("a frame");
        assert_eq!(echo[..2], [0x81, length]);
        Ok(String::from_utf8_lossy(&echo[2..]).into_owned())
    }

    /// Sends the request and reads the answer to its end.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn send(&self, address: &Address) -> Response {
        self.try_send(address)
            .expect("the server answers and closes")
    }

    /// Sends the request to a server that may end in the middle.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub fn try_send(&self, address: &Address) -> io::Result<Response> {
        let mut stream = connect(address)?;
        stream.write_all(&self.to_bytes())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Response::parse(&bytes))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, chunks put together.
    pub body: Vec<u8>,
}

impl Response {
    /// Reads an answer.
    ///
    /// # Panics
    /// When the bytes are not a complete one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let status = head.parse(bytes).expect("an HTTP answer");
        let httparse::Status::Complete(length) = status else {
            panic!(
                "the answer is cut off: {:?}",
                String::from_utf8_lossy(bytes)
            );
        };
        let mut response = Self {
            status: head.code.expect("a status"),
            headers: head
                .headers
                .iter()
                .map(|header| {
                    let value = String::from_utf8_lossy(header.value).into_owned();
                    (header.name.to_ascii_lowercase(), value)
                })
                .collect(),
            body: bytes[length..].to_vec(),
        };
        if response.header("transfer-encoding") == Some("chunked") {
            response.body = unchunk(&response.body);
        }
        response
    }

    /// The value of a header that stands once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.iter().filter(|(line, _)| line == name);
        let (_, value) = lines.next()?;
        assert!(lines.next().is_none(), "{name} stands twice");
        Some(value)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// Reads up to the empty line, byte by byte: what follows is somebody else's.
fn read_head(stream: &mut dyn Connection) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    head
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(chunk)) => chunk,
            broken => panic!("a chunk is broken: {broken:?}"),
        };
        let end = start + usize::try_from(size).expect("a small chunk");
        body.extend_from_slice(&rest[start..end]);
        if size == 0 {
            return body;
        }
        rest = &rest[end + 2..];
    }
}
