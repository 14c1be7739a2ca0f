//! Requests per second of a guarded application next to the same one without a guard:
//!
//! `cargo run --release -p conformance --bin throughput [-- ROUNDS]`
//!
//! For each framework both are served in this process, and get the same load in turn: two connections that send
//! batches of requests without waiting for each answer, so that the servers and not the clients are busy. Every request
//! names a client, behind a trusted proxy, whose verdict is cached. The figure is the median over all pairs of rounds.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Instant;

use conformance::bench::{Bench, CLEAN, Setup};
use conformance::client::Request;
use conformance::driver::{Address, Driver, Install};
use conformance::drivers;

const CONNECTIONS: usize = 2;
const BATCH: usize = 64;
const BATCHES: usize = 400;

fn main() {
    let rounds = std::env::args()
        .nth(1)
        .map_or(21, |text| text.parse().expect("a number of rounds"));
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
    (CONNECTIONS * BATCH * BATCHES) as f64 / begun.elapsed().as_secs_f64()
}

fn one_connection(address: SocketAddr) {
    let bytes = String::from_utf8(request().to_bytes()).expect("a plain request");
    let bytes = bytes.replace("Connection: close\r\n", "");
    let batch = bytes.repeat(BATCH);
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    let mut writer = stream.try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        // Writing and reading do not wait for each other: in lockstep both ends would wait for delayed acknowledgements.
        scope.spawn(move || {
            for _ in 0..BATCHES {
                writer
                    .write_all(batch.as_bytes())
                    .expect("the server reads");
            }
        });
        let mut buffer = vec![0; 64 * 1_024];
        let mut answered = 0;
        let mut tail = 0_u32;
        while answered < BATCHES * BATCH {
            let length = stream.read(&mut buffer).expect("the server answers");
            assert_ne!(length, 0, "the server hung up");
            // Each answer's head ends with an empty line, and its body, `open`, has none.
            for byte in &buffer[..length] {
                tail = tail << 8 | u32::from(*byte);
                answered += usize::from(tail == u32::from_be_bytes(*b"\r\n\r\n"));
            }
        }
    });
}
