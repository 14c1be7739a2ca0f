//! A folder of real logs.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const LIMITS: [&str; 5] = ["25", "50", "100", "200", "500"];

pub fn measure(folder: &Path) {
    let mut logs: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".log.gz").map(str::to_owned))
        .collect();
    logs.sort_unstable();
    println!(
        "recall of the guard / of the published module, in % of a clairvoyant's, at {LIMITS:?} a day"
    );
    let mut sums = [[0.0; 2]; LIMITS.len()];
    let mut furthest_behind = f64::NEG_INFINITY;
    for log in &logs {
        let ratios: Vec<[f64; 2]> = replay(folder, log)
            .iter()
            .map(|at| {
                let recall = |field: &str| 100.0 * at[field].as_f64().unwrap_or(0.0);
                assert_eq!(at["false_denials"], 0, "{log}");
                assert!(
                    at["most_checks"].as_u64() <= at["daily_budget"].as_u64(),
                    "{log}"
                );
                let (ours, theirs) = (recall("recall"), recall("published_recall"));
                furthest_behind = furthest_behind.max(theirs - ours);
                [ours, theirs].map(|recall_of| 100.0 * recall_of / recall("clairvoyant_recall"))
            })
            .collect();
        print(log, &ratios);
        for (sum, ratio) in sums.iter_mut().zip(&ratios) {
            *sum = [sum[0] + ratio[0], sum[1] + ratio[1]];
        }
    }
    let means = sums.map(|sum| sum.map(|sum| sum / logs.len().max(1) as f64));
    print("mean", &means);
    println!("furthest behind the published module: {furthest_behind:.2} points");
}

fn print(name: &str, ratios: &[[f64; 2]]) {
    let ratios: Vec<String> = ratios
        .iter()
        .map(|[ours, theirs]| format!("{ours:6.2} /{theirs:6.2}"))
        .collect();
    println!("{name:<10} {}", ratios.join("   "));
}

fn replay(folder: &Path, log: &str) -> Vec<Value> {
    let path = |ending: &str| folder.join(format!("{log}{ending}"));
    let output = Command::new(env!("CARGO_BIN_EXE_ipwhois-guard"))
        .arg("replay")
        .arg(path(".log.gz"))
        .arg("--listed")
        .arg(path(".listed.txt"))
        .args(["--json", "--limits", &LIMITS.join(",")])
        .output()
        .expect("the command");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("a list")
}
