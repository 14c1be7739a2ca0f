//! Refused requests per second next to nginx, which refuses the same clients by its `geo` module:
//!
//! `cargo run --release -p conformance --bin blocked [-- ROUNDS]`
//!
//! Both know the same 186,817 made-up addresses, the guard from a feed that denies. Each
//! framework's app and an nginx of two workers, like the apps, get the same load in turn: sixteen
//! connections, each of which sends its next request when it has the answer to the last one. Every
//! request names another listed client, behind a trusted proxy. The figure is the median over all
//! pairs of rounds. Needs nginx in the `PATH` (Debian: `apt-get install nginx-light`).

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use conformance::bench::{Bench, Setup};
use conformance::client::Request;
use conformance::driver::{Address, Driver};
use conformance::drivers;
use ipwhois_guard_core::FeedAction;

const ENTRIES: usize = 186_817;
const CONNECTIONS: usize = 16;
const REQUESTS: usize = 300;

fn main() -> ExitCode {
    let rounds = std::env::args()
        .nth(1)
        .map_or(51, |text| text.parse().expect("a number of rounds"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let listed = made_up();
    let Some(nginx) = Nginx::start(folder.path(), &listed) else {
        eprintln!(
            "blocked: nginx cannot be started: install it (Debian: apt-get install nginx-light)"
        );
        return ExitCode::FAILURE;
    };
    let feed = folder.path().join("feed.txt");
    write_feed(&feed, &listed);
    println!("framework   refused requests/s ÷ nginx's   (lowest to highest of {rounds} pairs)");
    compare::<drivers::Actix>("actix", &nginx, &feed, &listed, rounds);
    compare::<drivers::Axum>("axum", &nginx, &feed, &listed, rounds);
    compare::<drivers::Rocket>("rocket", &nginx, &feed, &listed, rounds);
    compare::<drivers::Warp>("warp", &nginx, &feed, &listed, rounds);
    ExitCode::SUCCESS
}

fn compare<D: Driver>(name: &str, nginx: &Nginx, feed: &Path, listed: &[Ipv4Addr], rounds: usize) {
    let bench = refusing::<D>(feed);
    let Address::Tcp(guarded) = *bench.address() else {
        unreachable!("TCP was asked for");
    };
    for address in [guarded, nginx.address] {
        load(address, listed);
    }
    let mut ratios: Vec<f64> = (0..rounds)
        .map(|round| {
            // Whoever goes first has the caches to itself: take turns.
            if round % 2 == 0 {
                let ours = load(guarded, listed);
                ours / load(nginx.address, listed)
            } else {
                let theirs = load(nginx.address, listed);
                load(guarded, listed) / theirs
            }
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    assert_eq!(bench.handled(), 0, "every request is refused");
    assert_eq!(bench.service.check_count(), 0, "the feed settles it");
    println!(
        "{name:<11} {:29.3}   ({:.3} to {:.3})",
        ratios[rounds / 2],
        ratios[0],
        ratios[rounds - 1]
    );
}

fn refusing<D: Driver>(feed: &Path) -> Bench {
    let url = format!("file:{}", feed.display());
    let bench = Setup::without_rules()
        .guard(|guard| guard.feed_url(url).feed_action(FeedAction::Block))
        .serve::<D>();
    bench.wait_until_ready();
    assert_eq!(bench.guard.stats().feed_entries, ENTRIES);
    bench
}

/// Distinct addresses in two networks that nobody announces, in an order that no prefetcher guesses
/// (SplitMix64).
fn made_up() -> Vec<Ipv4Addr> {
    let mut state: u64 = 186_817;
    let mut known = BTreeSet::new();
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ipv4Addr::from_bits(0x1900_0000 + (mixed >> 39) as u32)
    });
    random
        .filter(|&address| known.insert(address))
        .take(ENTRIES)
        .collect()
}

fn write_feed(path: &Path, listed: &[Ipv4Addr]) {
    let head = format!("# Generated: 2026-08-22 04:30:03 UTC | Entries: {ENTRIES}\n");
    let lines = listed.iter().map(|address| format!("{address}\n"));
    std::fs::write(path, head + &lines.collect::<String>()).expect("a file");
}

/// An nginx of our own. Dropping it ends it.
struct Nginx {
    address: SocketAddr,
    config: PathBuf,
    child: Child,
}

impl Nginx {
    fn start(folder: &Path, listed: &[Ipv4Addr]) -> Option<Self> {
        let lines = listed.iter().map(|address| format!("{address} 1;\n"));
        let list = folder.join("geo.conf");
        std::fs::write(&list, lines.collect::<String>()).expect("a file");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let config = folder.join("nginx.conf");
        std::fs::write(&config, settings(folder, &list, address)).expect("a file");
        let child = Command::new("nginx").arg("-c").arg(&config).spawn().ok()?;
        let nginx = Self {
            address,
            config,
            child,
        };
        let patience = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > patience {
                return None;
            }
            std::thread::yield_now();
        }
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // By its own means: killed, it would leave its workers behind.
        let config = &self.config;
        let _ = Command::new("nginx")
            .arg("-c")
            .arg(config)
            .args(["-s", "stop"])
            .status();
        let _ = self.child.wait();
    }
}

fn settings(folder: &Path, list: &Path, address: SocketAddr) -> String {
    let (folder, list) = (folder.display(), list.display());
    format!(
        r#"
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    geo $blocked {{
        default 0;
        proxy 127.0.0.0/8;
        proxy_recursive;
        include {list};
    }}
    server {{
        listen {address};
        default_type application/json;
        location / {{
            if ($blocked) {{ return 403 '{{"error":"Blocked"}}'; }}
            return 200 'open';
        }}
    }}
}}
"#
    )
}

/// Sends the load and returns requests per second.
fn load(address: SocketAddr, listed: &[Ipv4Addr]) -> f64 {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for clients in listed.chunks(REQUESTS).take(CONNECTIONS) {
            scope.spawn(move || one_connection(address, clients));
        }
    });
    (CONNECTIONS * REQUESTS) as f64 / begun.elapsed().as_secs_f64()
}

fn one_connection(address: SocketAddr, clients: &[Ipv4Addr]) {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_nodelay(true).expect("a TCP option");
    let mut answers = BufReader::new(&stream);
    for client in clients {
        let request = Request::get("/")
            .from_client(format!("{client}, 127.0.0.2"))
            .header("Accept", "*/*")
            .header("User-Agent", "blocked");
        let bytes = String::from_utf8(request.to_bytes()).expect("a plain request");
        let bytes = bytes.replace("Connection: close\r\n", "");
        (&stream)
            .write_all(bytes.as_bytes())
            .expect("the server reads");
        read_refusal(&mut answers);
    }
}

fn read_refusal(answers: &mut BufReader<&TcpStream>) {
    let mut line = String::new();
    let mut next = |answers: &mut BufReader<&TcpStream>| {
        line.clear();
        answers.read_line(&mut line).expect("the server answers");
        line.trim_end().to_ascii_lowercase()
    };
    assert!(next(answers).starts_with("http/1.1 403"), "it is refused");
    let mut length = None;
    loop {
        let header = next(answers);
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
    }
    let mut body = vec![0; length.expect("a length")];
    answers.read_exact(&mut body).expect("the whole body");
}
