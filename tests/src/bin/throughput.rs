//! Requests per second of a guarded application next to the same one without a guard:
//!
//! `cargo run --release -p conformance --bin throughput [-- ROUNDS]`
//!
//! For each framework both are served in this process, and get the same load in turn: sixteen connections, each of which
//! sends its next request when it has the answer to the last one. Every request names a client, behind a trusted proxy,
//! whose verdict is cached; the handler does nothing. The figure is the median over all pairs of rounds.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Instant;

use conformance::bench::{Bench, CLEAN, Setup};
use conformance::client::Request;
use conformance::driver::{Address, Driver, Install};
use conformance::drivers;

const CONNECTIONS: usize = 16;
const REQUESTS: usize = 300;

fn main() {
    let rounds = std::env::args()
        .nth(1)
        .map_or(151, |text| text.parse().expect("a number of rounds"));
    println!("framework   guarded/unguarded   (lowest to highest of {rounds} pairs)");
    compare::<drivers::Actix>("actix", rounds);
    compare::<drivers::Axum>("axum", rounds);
    compare::<drivers::Rocket>("rocket", rounds);
    compare::<drivers::Warp>("warp", rounds);
}

fn compare<D: Driver>(name: &str, rounds: usize) {
    let serve = |install| {
        Setup::without_rules()
            .install(install)
            .listen(Address::Tcp((Ipv4Addr::LOCALHOST, 0).into()))
            .serve::<D>()
    };
    let guarded = serve(Install::Whole);
    let unguarded = serve(Install::ExtractorsNoGuard);
    for bench in [&guarded, &unguarded] {
        assert_eq!(bench.send(&request()).status, 200);
        load(bench);
    }
    let mut ratios: Vec<f64> = (0..rounds)
        .map(|round| {
            // Whoever goes first has the caches to itself: take turns.
            if round % 2 == 0 {
                let with = load(&guarded);
                with / load(&unguarded)
            } else {
                let without = load(&unguarded);
                load(&guarded) / without
            }
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    assert_eq!(guarded.service.check_count(), 1);
    println!(
        "{name:<11} {:17.3}   ({:.3} to {:.3})",
        ratios[rounds / 2],
        ratios[0],
        ratios[rounds - 1]
    );
}

fn request() -> Request {
    Request::get("/")
        .from_client(format!("{CLEAN}, 127.0.0.2"))
        .header("Accept", "*/*")
        .header("User-Agent", "throughput")
}

/// Sends the load and returns requests per second.
fn load(bench: &Bench) -> f64 {
    let Address::Tcp(address) = *bench.address() else {
        unreachable!("TCP was asked for");
    };
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(move || one_connection(address));
        }
    });
    (CONNECTIONS * REQUESTS) as f64 / begun.elapsed().as_secs_f64()
}

fn one_connection(address: SocketAddr) {
    let bytes = String::from_utf8(request().to_bytes()).expect("a plain request");
    let bytes = bytes.replace("Connection: close\r\n", "");
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_nodelay(true).expect("a TCP option");
    let mut buffer = [0; 4 * 1_024];
    for _ in 0..REQUESTS {
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
