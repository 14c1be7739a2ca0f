//! Writes a made-up access log, and the addresses of the hostile clients in it.
//!
//! ```text
//! cargo run -p ipwhois-guard-cli --example access-log -- --seed 1 --shape spread --out-log access.log --out-listed listed.txt
//! ```
//!
//! The same options make the same files on every platform. The crate's README says what is in them.

mod attackers;
mod places;
mod random;
mod visitors;
mod words;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use world::{Plan, Shape};

/// Write a made-up access log in the combined format, and the addresses of the hostile clients in
/// it, one a line.
#[derive(Debug, Parser)]
#[command(name = "access-log")]
struct Options {
    /// Another seed makes another log; the same one makes the same log
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// When the attackers come: spread over all days, early in each day, or in one burst of two
    /// hours
    #[arg(long, value_name = "SHAPE", default_value_t = Shape::Spread)]
    shape: Shape,

    /// How many lines the log has
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    requests: u32,

    /// How many addresses they come from
    #[arg(long, value_name = "N", default_value_t = 1_753)]
    clients: u32,

    /// How many of these are hostile. A quarter of the requests is theirs
    #[arg(long, value_name = "N", default_value_t = 113)]
    hostile: u32,

    /// How many days the log covers
    #[arg(long, value_name = "DAYS", default_value_t = 3.5)]
    days: f64,

    /// The log
    #[arg(long, value_name = "FILE")]
    out_log: PathBuf,

    /// The addresses of the hostile clients
    #[arg(long, value_name = "FILE")]
    out_listed: PathBuf,
}

fn main() -> ExitCode {
    match write(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("access-log: {error}");
            ExitCode::from(2)
        }
    }
}

fn write(options: &Options) -> Result<(), String> {
    let plan = Plan::new(
        options.seed,
        options.shape,
        (options.requests, options.clients, options.hostile),
        options.days,
    )?;
    let made = world::make(&plan);
    put(&options.out_log, "--out-log", &made.log)?;
    put(&options.out_listed, "--out-listed", &made.listed)
}

fn put(path: &Path, option: &str, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| {
        let path = path.display();
        format!("option {option}: cannot write `{path}`: {error}")
    })
}
