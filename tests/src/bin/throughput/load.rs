//! Requests per second.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use conformance::bench::{Bench, CLEAN};
use conformance::client::Request;
use conformance::driver::Address;

use crate::Framework;

const CONNECTIONS: usize = 16;
const REQUESTS: usize = 300;

pub(crate) fn compare(frameworks: &[Framework], rounds: usize) {
    println!("framework   guarded/unguarded   (lowest to highest of {rounds} pairs)");
    for framework in frameworks {
        let mut ratios = ratios(*framework, rounds);
        ratios.sort_by(f64::total_cmp);
        println!(
            "{:<11} {:17.3}   ({:.3} to {:.3})",
            framework.name,
            ratios[rounds / 2],
            ratios[0],
            ratios[rounds - 1]
        );
    }
}

fn ratios(framework: Framework, rounds: usize) -> Vec<f64> {
    let (guarded, unguarded) = (framework.guarded(), framework.unguarded());
    for bench in [&guarded, &unguarded] {
        assert_eq!(bench.send(&request()).status, 200);
        load(bench);
    }
    let ratios = (0..rounds)
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
    assert_eq!(guarded.service.check_count(), 1);
    ratios
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
            scope.spawn(move || one_connection(address, REQUESTS));
        }
    });
    (CONNECTIONS * REQUESTS) as f64 / begun.elapsed().as_secs_f64()
}

/// Sends so many requests, each when the last one is answered.
pub(crate) fn one_connection(address: SocketAddr, requests: usize) {
    let bytes = String::from_utf8(request().to_bytes()).expect("a plain request");
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
