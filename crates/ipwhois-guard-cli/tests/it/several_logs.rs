//! `ipwhois-guard replay` on several logs.

use serde_json::{Value, json};

use crate::run::{Folder, Ran, run, run_with};

/// Two lines of this day of May 2015, one of them of the listed client.
fn day(day: u32) -> String {
    let line = |client: &str, minute: u32| {
        let time = format!("{day:02}/May/2015:10:{minute:02}:00 +0000");
        format!("{client} - - [{time}] \"GET / HTTP/1.1\" 200 5 \"-\" \"Browser\"\n")
    };
    line("25.0.0.1", 0) + &line("26.0.0.1", day)
}

fn replay(folder: &Folder, logs: &[&str], input: &[u8]) -> Ran {
    let listed = folder.file("listed.txt", b"25.0.0.1\n");
    let arguments = [&["replay", "--json", "--listed", &listed], logs].concat();
    run_with(arguments, &[], input)
}

#[track_caller]
fn as_one_log(report: &Value, days: u32) {
    let found = (&report["requests"], &report["days"], &report["denied"]);
    assert_eq!(
        found,
        (&json!(2 * days), &json!(days), &json!(days)),
        "{report:#}"
    );
    let in_order = json!({"lines": 0, "most_seconds": 0});
    assert_eq!(report["out_of_order"], in_order, "{report:#}");
    assert_eq!(report["malformed"], 0, "{report:#}");
}

#[test]
fn logs_are_put_in_the_order_of_their_first_lines() {
    let folder = Folder::new();
    let logs: Vec<String> = (1..=12)
        .map(|n| folder.file(&format!("access.log.{n}"), day(13 - n).as_bytes()))
        .collect();
    let empty = folder.file("access.log.13", b"\n");
    // As a shell sorts them.
    let mut sorted: Vec<&str> = logs.iter().map(String::as_str).collect();
    sorted.push(&empty);
    sorted.sort_unstable();
    as_one_log(&replay(&folder, &sorted, b"").json(0), 12);
    sorted.reverse();
    as_one_log(&replay(&folder, &sorted, b"").json(0), 12);
}

#[test]
fn standard_input_has_its_place_among_logs() {
    let folder = Folder::new();
    let first = folder.file("first", day(1).as_bytes());
    let last = folder.file("last", day(3).as_bytes());
    let report = replay(&folder, &["-", &last, &first], day(2).as_bytes());
    as_one_log(&report.json(0), 3);
    replay(&folder, &["-", "-"], b"").complains(&["standard input is named twice"]);
}

#[test]
fn a_first_line_of_another_age_does_not_move_its_log() {
    let folder = Folder::new();
    let odd = day(1).replace("/2015:", "/2037:");
    let odd = odd
        .split_inclusive('\n')
        .next()
        .unwrap_or_default()
        .to_owned();
    let first = folder.file("first", (odd + &day(1)).as_bytes());
    let last = folder.file("last", day(2).as_bytes());
    let report = replay(&folder, &[&last, &first], b"").json(0);
    assert_eq!(report["out_of_order"]["lines"], 0, "{report:#}");
    let malformed = &report["first_malformed"][0];
    let file = malformed["file"].as_str().unwrap_or_default();
    assert!(
        file.contains("first") && malformed["line"] == 1,
        "{report:#}"
    );
}

#[test]
fn a_malformed_line_is_shown_with_its_log() {
    let folder = Folder::new();
    let first = folder.file("first", (day(1) + "what is this\n").as_bytes());
    let last = folder.file("last", day(2).as_bytes());
    let ran = run(["replay", &last, &first]);
    assert!(ran.out.contains("first`, line 3 has no time"), "{ran:?}");
}

#[test]
fn logs_that_cannot_be_in_order_are_refused_by_name() {
    let folder = Folder::new();
    let log = folder.file("access.log", day(1).as_bytes());
    let copy = folder.file("copy.log", day(1).as_bytes());
    let words = ["access.log", "copy.log", "is one a copy of the other?"];
    replay(&folder, &[&log, &copy], b"").complains(&words);
    let words = ["access.log", "is one a copy of the other?"];
    replay(&folder, &[&log, &log], b"").complains(&words);
    let other = folder.file("error.log", b"2015/05/17 [error] failed\n");
    let words = [
        "error.log",
        "cannot be put in order",
        "no line of an access log",
    ];
    replay(&folder, &[&log, &other], b"").complains(&words);
    replay(&folder, &[&log, "missing"], b"").complains(&["cannot read `missing`"]);
    let empty = folder.file("empty", b"");
    replay(&folder, &[&empty, "-"], b"").complains(&["all logs are empty"]);
}
