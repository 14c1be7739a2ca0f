//! What takes a real socket.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, rt, web};
use ipwhois_guard_actix::{Guard, IpGuard};

use crate::bench::{CLEAN, LISTED, guard};

/// A server that ends when it is dropped.
struct Server {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start<R>(guard: Guard, workers: usize, routes: R) -> Self
    where
        R: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    {
        let (ready, started) = mpsc::channel();
        let thread = thread::spawn(move || {
            rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    let middleware = IpGuard::new(guard.clone());
                    App::new().configure(routes.clone()).wrap(middleware)
                });
                let server = server
                    .workers(workers)
                    .disable_signals()
                    // How long it takes what still comes for a request that it has answered: as
                    // long as it takes.
                    .client_disconnect_timeout(Duration::from_secs(60));
                let server = server.bind(("127.0.0.1", 0)).expect("a free port");
                let address = server.addrs()[0];
                let server = server.run();
                let sent = ready.send((address, server.handle()));
                sent.expect("the test waits");
                server.await.expect("the server runs");
            });
        });
        let (address, handle) = started.recv().expect("the server starts");
        Self {
            address,
            handle,
            thread: Some(thread),
        }
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        // Only so that a broken server fails the test instead of stopping it.
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).expect("a timeout");
        stream.set_write_timeout(patience).expect("a timeout");
        Connection(stream)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the server panicked");
        }
    }
}

struct Connection(TcpStream);

impl Connection {
    fn send(&mut self, head: &str, client: &str, body: &[u8]) {
        let head = format!("{head}\r\nHost: test\r\nX-Forwarded-For: {client}\r\n\r\n");
        self.0.write_all(head.as_bytes()).expect("the server reads");
        self.0.write_all(body).expect("the server reads");
    }

    /// One answer: its head in lower case, and its body.
    fn receive(&mut self) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head)
            .expect("a head")
            .to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        self.0.read_exact(&mut body).expect("the whole body");
        (head, String::from_utf8(body).expect("text"))
    }

    fn get(&mut self, path: &str, client: &str) -> (String, String) {
        self.send(&format!("GET {path} HTTP/1.1"), client, b"");
        self.receive()
    }
}

#[track_caller]
fn expect_status(answer: &(String, String), status: u16) {
    let start = format!("http/1.1 {status} ");
    assert!(answer.0.starts_with(&start), "{answer:?}");
}

#[test]
fn all_workers_share_one_cache() {
    let (guard, service) = guard(|guard| guard.trusted_proxies(["127.0.0.1"]));
    let server = Server::start(guard, 4, |config| {
        let worker = || async { format!("{:?}", thread::current().id()) };
        config.route("/admin", web::get().to(worker));
    });
    // The workers take new connections in turn.
    let mut connections: Vec<_> = (0..16).map(|_| server.connect()).collect();
    let workers: HashSet<String> = connections
        .iter_mut()
        .map(|connection| connection.get("/admin", CLEAN).1)
        .collect();
    assert!(workers.len() > 1, "one worker did it all: {workers:?}");
    assert_eq!(service.check_count(), 1);
}

fn upload_routes(config: &mut web::ServiceConfig) {
    let upload = |body: web::Bytes| async move { body.len().to_string() };
    config
        .app_data(web::PayloadConfig::new(64 << 20))
        .route("/admin", web::post().to(upload))
        .route("/", web::get().to(|| async { "open" }));
}

/// Larger than what the sockets' buffers hold.
const LARGE: usize = 16 << 20;

/// The first time the service is asked, the second time the answer is known at once.
fn check_upload(client: &str, framing: &str, body: &[u8], check: impl Fn(Connection)) {
    let (guard, _service) = guard(|guard| guard.trusted_proxies(["127.0.0.1"]));
    let server = Server::start(guard, 1, upload_routes);
    for _ in 0..2 {
        let mut connection = server.connect();
        let head = format!("POST /admin HTTP/1.1\r\n{framing}");
        connection.send(&head, client, body);
        check(connection);
    }
}

fn check_uploads(client: &str, check: impl Fn(Connection)) {
    let length = format!("Content-Length: {LARGE}");
    check_upload(client, &length, &vec![b'x'; LARGE], &check);
    let mut chunked = format!("{LARGE:x}\r\n").into_bytes();
    chunked.resize(chunked.len() + LARGE, b'x');
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    check_upload(client, "Transfer-Encoding: chunked", &chunked, check);
}

#[test]
fn an_allowed_upload_keeps_its_connection() {
    check_uploads(CLEAN, |mut connection| {
        let answer = connection.receive();
        expect_status(&answer, 200);
        assert_eq!(answer.1, LARGE.to_string());
        expect_status(&connection.get("/", CLEAN), 200);
    });
}

#[test]
fn a_denied_upload_is_answered_whole_and_ends_without_a_reset() {
    check_uploads(LISTED, |mut connection| {
        let answer = connection.receive();
        expect_status(&answer, 403);
        assert!(answer.0.contains("connection: close"), "{answer:?}");
        connection.0.shutdown(Shutdown::Write).expect("no reset");
        let end = connection.0.read_to_end(&mut Vec::new()).expect("no reset");
        assert_eq!(end, 0);
    });
}

#[test]
fn a_denied_request_without_a_body_keeps_its_connection() {
    let (guard, _service) = guard(|guard| guard.trusted_proxies(["127.0.0.1"]));
    let server = Server::start(guard, 1, upload_routes);
    let mut connection = server.connect();
    for _ in 0..3 {
        expect_status(&connection.get("/admin", LISTED), 403);
        expect_status(&connection.get("/", LISTED), 200);
    }
}

/// For such a connection actix-web knows no peer, as for a Unix socket, and yet serves the requests
/// that it read.
#[actix_web::test]
async fn a_client_that_resets_before_it_is_accepted_slips_past_nothing() {
    let (guard, service) = guard(|guard| guard.trusted_proxies(["unix:"]));
    let handled = Arc::new(AtomicUsize::new(0));
    let (entered, busy) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Arc::new(Mutex::new(released));
    let count = Arc::clone(&handled);
    let server = Server::start(guard, 1, move |config| {
        let (entered, released) = (entered.clone(), Arc::clone(&released));
        let block = move || {
            entered.send(()).expect("the test waits");
            let released = released.lock().expect("one request at a time");
            released.recv().expect("the test goes on");
            async { "released" }
        };
        let count = Arc::clone(&count);
        let admin = move || {
            count.fetch_add(1, Ordering::SeqCst);
            async { "admin" }
        };
        config
            .route("/block", web::get().to(block))
            .route("/admin", web::get().to(admin));
    });
    let mut blocking = server.connect();
    blocking.send("GET /block HTTP/1.1", "", b"");
    busy.recv().expect("the worker is busy");
    // The only worker is busy, so that the connection waits for it.
    let gone = rt::net::TcpStream::connect(server.address).await;
    let gone = gone.expect("the kernel accepts");
    gone.set_zero_linger().expect("a reset instead of an end");
    gone.writable().await.expect("writable");
    let request = format!("GET /admin HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {CLEAN}\r\n\r\n");
    let sent = gone.try_write(request.as_bytes()).expect("a short request");
    assert_eq!(sent, request.len());
    drop(gone);
    release.send(()).expect("the worker waits");
    expect_status(&blocking.receive(), 200);
    for _ in 0..20 {
        expect_status(&server.connect().get("/admin", CLEAN), 200);
    }
    assert_eq!(handled.load(Ordering::SeqCst), 20);
    assert_eq!(service.check_count(), 0);
}
