//! Refused requests with a body: the client reads the answer, and the server is not held.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use ipwhois_guard_core::{Denial, OnUnverified};
use ipwhois_guard_testkit::{Behaviour, Endpoint};

use crate::bench::{Bench, CLEAN, LISTED, Setup};
use crate::client::{Connection, Request, Response};
use crate::driver::Driver;

/// More than the sockets' buffers hold.
const LARGE: usize = 20 * 1024 * 1024;

/// On a slow machine.
const SLACK: Duration = Duration::from_secs(20);

fn post(path: &str, client: &str) -> Request {
    Request::new("POST", path)
        .from_client(client)
        .header("Content-Type", "text/plain")
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::new();
    for chunk in body.chunks(64 * 1024) {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    chunks
}

/// A head that announces a body, and what is sent of it.
fn begin(bench: &Bench, head: &Request, body: &[u8]) -> Box<dyn Connection> {
    let mut connection = head.begin(bench.address());
    connection.write_all(body).expect("the server reads");
    connection
}

/// The answer, and the end of the connection without a reset.
#[track_caller]
fn read(mut connection: Box<dyn Connection>) -> Response {
    let mut bytes = Vec::new();
    let read = connection.read_to_end(&mut bytes);
    read.expect("the server closes and does not reset");
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    Response::parse(bytes.strip_prefix(interim).unwrap_or(&bytes))
}

/// Sends bodies of several sizes, with a length and in chunks, and reads only then.
#[track_caller]
fn check(bench: &Bench, path: &str, client: &str, status: u16) {
    for size in [1, 1_024, 100_000, LARGE] {
        let body = vec![b'x'; size];
        let length = post(path, client).header("Content-Length", size.to_string());
        let chunks = post(path, client).header("Transfer-Encoding", "chunked");
        for (head, body) in [(length, body.clone()), (chunks, chunked(&body))] {
            let answer = read(begin(bench, &head, &body));
            assert_eq!(answer.status, status, "{size} bytes");
        }
    }
    assert_eq!(bench.handled(), 0);
}

pub fn a_refused_client_may_write_its_whole_body_before_it_reads<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    check(&bench, "/admin", LISTED, 403);
}

pub fn a_client_refused_by_an_extractor_may_write_its_whole_body_before_it_reads<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    // While an extractor waits for the service, actix-web's extractor of the body refuses its size.
    bench.ask_about(LISTED);
    check(&bench, "/login", LISTED, 403);
}

pub fn a_banned_and_an_unverified_client_may_write_before_they_read<D: Driver>() {
    let bench = Setup::new()
        .guard(|guard| guard.on_unverified(OnUnverified::Deny))
        .serve::<D>();
    for _ in 0..5 {
        let _ = bench.send(&post("/login", CLEAN).body("wrong"));
    }
    let body = vec![b'x'; LARGE];
    let large = |client| post("/admin", client).header("Content-Length", LARGE.to_string());
    assert_eq!(read(begin(&bench, &large(CLEAN), &body)).status, 429);
    let service = &bench.service;
    service.behave_on(Endpoint::Check, Behaviour::status(500));
    let stranger = large("26.0.0.9");
    assert_eq!(read(begin(&bench, &stranger, &body)).status, 503);
}

pub fn a_refusal_waits_for_no_body<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    bench.ask_about(LISTED);
    let begun = Instant::now();
    // The bytes in which Rocket looks for a form's method, and no more.
    let head = post("/admin", LISTED).header("Content-Length", LARGE.to_string());
    let mut connection = begin(&bench, &head.keep_alive(), &[b'x'; 16]);
    let mut first = [0; 12];
    connection.read_exact(&mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 403");
    assert!(begun.elapsed() < Denial::MAX_UNREAD_TIME);
    // The rest never comes: the connection ends within the bound.
    let mut rest = Vec::new();
    connection
        .read_to_end(&mut rest)
        .expect("the server closes");
    assert!(begun.elapsed() < Denial::MAX_UNREAD_TIME + SLACK);
}

fn expectant() -> Request {
    post("/admin", LISTED)
        .keep_alive()
        .header("Content-Length", LARGE.to_string())
        .header("Expect", "100-continue")
}

pub fn a_refused_client_need_not_wait_for_its_continuation<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let answer = read(begin(&bench, &expectant(), &vec![b'x'; LARGE]));
    assert_eq!(answer.status, 403);
}

pub fn a_refused_client_is_not_asked_for_its_body<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let mut connection = begin(&bench, &expectant(), b"");
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).expect("it closes");
    let answer = Response::parse(&bytes);
    assert_eq!(answer.status, 403);
    // What came next on this connection would be taken for the body.
    assert_eq!(answer.header("connection"), Some("close"));
}

pub fn an_endless_body_is_cut_off<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    bench.ask_about(LISTED);
    let head = post("/admin", LISTED).header("Transfer-Encoding", "chunked");
    let mut connection = begin(&bench, &head, b"");
    let begun = Instant::now();
    let chunk = chunked(&[b'x'; 64 * 1024]);
    let chunk = chunk.strip_suffix(b"0\r\n\r\n").expect("the end");
    while connection.write_all(chunk).is_ok() {
        assert!(begun.elapsed() < Denial::MAX_UNREAD_TIME + SLACK);
    }
}

pub fn a_refused_request_without_a_body_keeps_its_connection<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let get = Request::get("/admin").from_client(LISTED);
    let last = get.to_bytes();
    let mut connection = begin(&bench, &get.keep_alive(), &last);
    let mut answers = String::new();
    let read = connection.read_to_string(&mut answers);
    read.expect("the server closes");
    assert_eq!(answers.matches("HTTP/1.1 403").count(), 2, "{answers}");
}
