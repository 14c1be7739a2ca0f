//! Requests per CPU second of the server.
//!
//! The server has one core to itself and wrk another, so that the client's work is not counted. A
//! pair is 2 s of each, in turn; the figure is the median of the pairs.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use conformance::bench::CLEAN;

use crate::server::{CLIENT_CORE, SERVER_CORE, Server};
use crate::{FRAMEWORKS, GUARDED, UNGUARDED, peers};

pub(crate) fn compare(pairs: usize) {
    println!("requests per CPU second, with ÷ without   (lowest to highest of {pairs} pairs)");
    for framework in FRAMEWORKS {
        let without = [framework.name, UNGUARDED];
        show(
            &format!("{}, guarded", framework.name),
            [framework.name, GUARDED],
            without,
            pairs,
        );
    }
    for peer in peers::NAMES {
        show(
            &format!("axum, {peer}"),
            [peers::FRAMEWORK, peer],
            [peers::FRAMEWORK, UNGUARDED],
            pairs,
        );
    }
}

fn show(name: &str, with: [&str; 2], without: [&str; 2], pairs: usize) {
    let start = |which| Server::start(&["taskset", "--cpu-list", SERVER_CORE], which);
    let (with, without) = (start(with), start(without));
    // Both have their caches warm.
    load(&with);
    load(&without);
    let mut ratios: Vec<f64> = (0..pairs)
        .map(|pair| {
            // The first of a pair has an advantage: they take turns.
            if pair % 2 == 0 {
                let with = load(&with);
                with / load(&without)
            } else {
                let without = load(&without);
                load(&with) / without
            }
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let [lowest, median, highest] = [0, pairs / 2, pairs - 1].map(|n| ratios[n]);
    println!("{name:<40} {median:.3}   ({lowest:.3} to {highest:.3})");
}

/// Requests that the server answers for a second of its CPU time.
fn load(server: &Server) -> f64 {
    let before = cpu_seconds(server.id());
    let requests = wrk(server.address);
    requests / (cpu_seconds(server.id()) - before)
}

/// CPU time that all threads of a process have taken, by the scheduler's count in nanoseconds.
fn cpu_seconds(process: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the server runs");
    let of_task = |task: std::io::Result<fs::DirEntry>| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.filter_map(of_task).sum::<f64>() / 1e9
}

/// The number of requests that were answered.
fn wrk(address: SocketAddr) -> f64 {
    let output = Command::new("taskset")
        .args([
            "--cpu-list",
            CLIENT_CORE,
            "wrk",
            "-t1",
            "-c16",
            "-d2s",
            "-H",
        ])
        .arg(format!("X-Forwarded-For: {CLEAN}, 127.0.0.2"))
        .args(["-H", "Accept: */*", "-H", "User-Agent: throughput"])
        .arg(format!("http://{address}/"))
        .output()
        .expect("taskset is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "wrk ran (Debian: apt-get install wrk): {errors}"
    );
    assert!(
        !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "{said}"
    );
    let words = said.lines().find(|line| line.contains(" requests in "));
    let count = words.and_then(|line| line.split_whitespace().next()?.parse().ok());
    count.unwrap_or_else(|| panic!("wrk counted nothing: {said}"))
}
