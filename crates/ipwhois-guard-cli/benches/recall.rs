//! What share of the requests of hostile clients is denied:
//! `cargo bench -p ipwhois-guard-cli --bench recall -- 301 400`.
//!
//! Makes up logs with each seed from the first to the last one and in each shape, replays them at
//! 50 and at 500 checks a day with the command as it is, and prints lowest, median and highest
//! recall, beside the median of the published module.
//!
//! With a folder instead, it replays each `NAME.log.gz` there with `NAME.listed.txt` at 25 to 500
//! checks a day. It prints the recall of the guard, of the published module and of a clairvoyant.
//! Two harder variants follow: half of the listed clients listed, and a fifth of them without
//! signs.

#[path = "../examples/access-log/attackers.rs"]
mod attackers;
#[path = "../examples/access-log/places.rs"]
mod places;
#[path = "../examples/access-log/random.rs"]
mod random;
#[path = "recall/real.rs"]
mod real;
#[path = "recall/seeds.rs"]
mod seeds;
#[path = "../examples/access-log/visitors.rs"]
mod visitors;
#[path = "../examples/access-log/words.rs"]
mod words;
#[path = "../examples/access-log/world.rs"]
mod world;

use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;

use world::{Plan, Shape};

const BUDGETS: [u32; 2] = [50, 500];
const SHAPES: [Shape; 3] = [Shape::Spread, Shape::Early, Shape::Burst];
/// Requests, clients, hostile clients, days.
const SITE: ((u32, u32, u32), f64) = ((10_000, 1_753, 113), 3.5);

/// What wrong usage exits with, as the command does.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    // Cargo adds the one that is left out.
    let arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let arguments: Vec<String> = arguments.collect();
    if let [folder] = &arguments[..]
        && Path::new(folder).is_dir()
    {
        real::measure(Path::new(folder));
        return ExitCode::SUCCESS;
    }
    match seeds::read(&arguments) {
        Ok((first, last)) => {
            measure(first, last);
            ExitCode::SUCCESS
        }
        Err(sentence) => {
            eprintln!("recall: {sentence}");
            ExitCode::from(UNUSABLE)
        }
    }
}

fn measure(first: u64, last: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    println!("seeds {first} to {last}: lowest, median, highest; the published module's median");
    for shape in SHAPES {
        let logs: Vec<_> = (first..=last)
            .map(|seed| write(folder.path(), seed, shape))
            .collect();
        for budget in BUDGETS {
            let replays: Vec<Value> = logs
                .iter()
                .map(|(log, listed)| replay(log, listed, budget))
                .collect();
            print(shape, budget, &replays);
        }
    }
}

fn write(folder: &Path, seed: u64, shape: Shape) -> (String, String) {
    let (counts, days) = SITE;
    let made = world::make(&Plan::new(seed, shape, counts, days).expect("a plan"));
    let put = |name: &str, text: &str| {
        let path = folder.join(format!("{shape}-{seed}-{name}"));
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    (put("log", &made.log), put("listed", &made.listed))
}

fn replay(log: &str, listed: &str, budget: u32) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_ipwhois-guard"))
        .args(["replay", log, "--listed", listed, "--json"])
        .args(["--daily-budget", &budget.to_string()])
        .output()
        .expect("the command");
    assert!(output.status.success(), "{output:?}");
    let replay: Value = serde_json::from_slice(&output.stdout).expect("an object");
    assert_eq!(replay["false_denials"], 0);
    for checks in replay["checks_per_day"].as_object().expect("days").values() {
        assert!(
            checks
                .as_u64()
                .is_some_and(|checks| checks <= budget.into())
        );
    }
    replay
}

fn print(shape: Shape, budget: u32, replays: &[Value]) {
    let sorted = |recall: &dyn Fn(&Value) -> &Value| {
        let recalls = replays.iter().map(recall);
        let mut recalls: Vec<f64> = recalls
            .map(|recall| 100.0 * recall.as_f64().expect("a share"))
            .collect();
        recalls.sort_by(f64::total_cmp);
        recalls
    };
    let median = |sorted: &[f64]| (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
    let guard = sorted(&|replay| &replay["recall"]);
    let published = sorted(&|replay| &replay["published_module"]["recall"]);
    println!(
        "{shape:<7} at {budget:>3} a day: {:5.1} {:5.1} {:5.1} % ({:5.1} %)",
        guard[0],
        median(&guard),
        guard[guard.len() - 1],
        median(&published),
    );
}
