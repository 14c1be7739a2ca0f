//! A folder of real logs, and two harder variants of each: fewer clients are listed, or some of
//! them show no sign.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::MultiGzDecoder;
use serde_json::Value;

const LIMITS: [&str; 5] = ["25", "50", "100", "200", "500"];

const PLAIN_REQUEST: &[u8] =
    br#""GET / HTTP/1.1" 200 5 "-" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/135.0""#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    AsLogged,
    /// Every second listed client, by a hash of its address, is not listed.
    HalfListed,
    /// Each request of every fifth listed client is a plain one for the front page.
    FifthWithoutSigns,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsLogged => "as logged",
            Self::HalfListed => "half of the listed clients listed",
            Self::FifthWithoutSigns => "a fifth of the listed clients without signs",
        })
    }
}

/// Recalls in percent.
#[derive(Clone, Copy, Debug, Default)]
struct Recalls {
    guard: f64,
    published: f64,
    clairvoyant: f64,
    /// Of the guard's recall to the clairvoyant's.
    ratio: f64,
}

pub(crate) fn measure(folder: &Path) {
    let mut logs: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".log.gz").map(str::to_owned))
        .collect();
    logs.sort_unstable();
    assert!(!logs.is_empty(), "{} has no log", folder.display());
    for variant in [
        Variant::AsLogged,
        Variant::HalfListed,
        Variant::FifthWithoutSigns,
    ] {
        println!("{variant}");
        println!("log        a day   guard  published  clairvoyant  guard/clairvoyant");
        let mut sums = [Recalls::default(); LIMITS.len()];
        let mut furthest_behind = f64::NEG_INFINITY;
        for log in &logs {
            for ((at, sum), limit) in replay(folder, log, variant)
                .iter()
                .zip(&mut sums)
                .zip(LIMITS)
            {
                let recalls = recalls(at, log);
                furthest_behind = furthest_behind.max(recalls.published - recalls.guard);
                if variant == Variant::AsLogged {
                    print(log, limit, recalls);
                }
                sum.guard += recalls.guard;
                sum.published += recalls.published;
                sum.clairvoyant += recalls.clairvoyant;
                sum.ratio += recalls.ratio;
            }
        }
        let count = logs.len() as f64;
        for (sum, limit) in sums.iter().zip(LIMITS) {
            let mean = Recalls {
                guard: sum.guard / count,
                published: sum.published / count,
                clairvoyant: sum.clairvoyant / count,
                ratio: sum.ratio / count,
            };
            print("mean", limit, mean);
        }
        println!("furthest behind the published module: {furthest_behind:.2} points\n");
    }
}

fn recalls(at: &Value, log: &str) -> Recalls {
    assert_eq!(at["false_denials"], 0, "{log}");
    let (most, limit) = (at["most_checks"].as_u64(), at["daily_budget"].as_u64());
    assert!(most <= limit, "{log}: {most:?} of {limit:?}");
    let recall = |field: &str| 100.0 * at[field].as_f64().unwrap_or(0.0);
    let (guard, clairvoyant) = (recall("recall"), recall("clairvoyant_recall"));
    Recalls {
        guard,
        published: recall("published_recall"),
        clairvoyant,
        ratio: 100.0 * guard / clairvoyant,
    }
}

fn print(name: &str, limit: &str, of: Recalls) {
    println!(
        "{name:<10} {limit:>5}  {:6.2}     {:6.2}       {:6.2}             {:6.2}",
        of.guard, of.published, of.clairvoyant, of.ratio
    );
}

fn replay(folder: &Path, log: &str, variant: Variant) -> Vec<Value> {
    let made = tempfile::tempdir().expect("a folder");
    let (log, listed) = files(folder, log, variant, made.path());
    let output = Command::new(env!("CARGO_BIN_EXE_ipwhois-guard"))
        .arg("replay")
        .arg(log)
        .arg("--listed")
        .arg(listed)
        .args(["--json", "--limits", &LIMITS.join(",")])
        .output()
        .expect("the command");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("a list")
}

/// The log and the list of a variant.
fn files(folder: &Path, log: &str, variant: Variant, made: &Path) -> (PathBuf, PathBuf) {
    let packed = folder.join(format!("{log}.log.gz"));
    let listed = folder.join(format!("{log}.listed.txt"));
    let read = || std::fs::read_to_string(&listed).expect("a list");
    match variant {
        Variant::AsLogged => (packed, listed),
        Variant::HalfListed => {
            let text = read();
            let half: Vec<&str> = text
                .lines()
                .filter(|ip| lot(ip).is_multiple_of(2))
                .collect();
            let path = made.join("listed");
            std::fs::write(&path, half.join("\n")).expect("a file");
            (packed, path)
        }
        Variant::FifthWithoutSigns => {
            let text = read();
            let hidden = text.lines().filter(|ip| lot(ip).is_multiple_of(5));
            let path = made.join("log");
            let plain = without_signs(&packed, &hidden.collect::<Vec<_>>());
            std::fs::write(&path, plain).expect("a file");
            (path, listed)
        }
    }
}

/// The log, with a plain request in each line of these clients that has one.
fn without_signs(packed: &Path, clients: &[&str]) -> Vec<u8> {
    let file = std::fs::File::open(packed).expect("a log");
    let mut log = Vec::new();
    let mut unpacking = MultiGzDecoder::new(file);
    unpacking.read_to_end(&mut log).expect("a gzip");
    let mut plain = Vec::with_capacity(log.len());
    for line in log.split_inclusive(|&byte| byte == b'\n') {
        let client = line.split(|&byte| byte == b' ').next().unwrap_or_default();
        let is_hidden = clients.iter().any(|hidden| hidden.as_bytes() == client);
        let has_request = line.windows(6).any(|bytes| bytes == b" HTTP/");
        let time_end = line.iter().position(|&byte| byte == b']');
        match time_end {
            Some(end) if is_hidden && has_request => {
                plain.extend_from_slice(&line[..=end]);
                plain.push(b' ');
                plain.extend_from_slice(PLAIN_REQUEST);
                plain.push(b'\n');
            }
            _ => plain.extend_from_slice(line),
        }
    }
    plain
}

/// A number that depends on nothing but the text (FNV-1a).
fn lot(text: &str) -> u64 {
    let hash = text
        .trim()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    hash >> 32
}
