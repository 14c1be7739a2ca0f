//! Instructions of the server for one request, counted by callgrind.
//!
//! Start and end of the server's process cancel out: it is run with few requests and with many.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use conformance::bench::CLEAN;
use conformance::client::Request;

use crate::server::Server;
use crate::{FRAMEWORKS, GUARDED, UNGUARDED};

/// More than the first ones, at which a guard looks more closely.
const FEW: usize = 1_000;
const MANY: usize = 6_000;

pub(crate) fn compare() {
    println!("framework   instructions a request: unguarded, guarded   the guard's");
    for framework in FRAMEWORKS {
        let of = |which| a_request([framework.name, which]);
        let (without, with) = (of(UNGUARDED), of(GUARDED));
        println!(
            "{:<11} {without:34} {with:9} {:13}",
            framework.name,
            with - without
        );
    }
}

fn a_request(which: [&str; 2]) -> i64 {
    let counted = |requests| {
        let counted = count(which, requests);
        i64::try_from(counted).expect("a number of instructions")
    };
    (counted(MANY) - counted(FEW)) / (MANY - FEW) as i64
}

/// All instructions of a server that answers this number of requests.
fn count(which: [&str; 2], requests: usize) -> u64 {
    let callgrind = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
    ];
    let server = Server::start(&callgrind, which);
    one_connection(server.address, requests);
    let output = server.end();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "it ran to its end:\n{text}");
    text.lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok())
        .unwrap_or_else(|| panic!("callgrind counted nothing:\n{text}"))
}

/// Sends the requests one after the other.
fn one_connection(address: SocketAddr, requests: usize) {
    let request = Request::get("/")
        .from_client(format!("{CLEAN}, 127.0.0.2"))
        .header("Accept", "*/*")
        .header("User-Agent", "throughput");
    let bytes = String::from_utf8(request.to_bytes()).expect("a plain request");
    let bytes = bytes.replace("Connection: close\r\n", "");
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_nodelay(true).expect("a TCP option");
    let mut buffer = [0; 4 * 1_024];
    for _ in 0..requests {
        stream
            .write_all(bytes.as_bytes())
            .expect("the server reads");
        let mut length = 0;
        while !buffer[..length].ends_with(b"\r\n\r\nopen") {
            let more = stream
                .read(&mut buffer[length..])
                .expect("the server answers");
            assert_ne!(more, 0, "the server hung up");
            length += more;
        }
    }
}
