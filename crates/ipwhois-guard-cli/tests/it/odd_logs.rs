//! `ipwhois-guard replay` on logs that somebody or something has spoilt.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::run::{Folder, Ran, run};

/// A line with this client, time of 17 May 2015, and request.
fn line(client: &str, time: &str, request: &str) -> String {
    format!("{client} - - [{time}] \"{request}\" 200 5 \"-\" \"Browser\"\n")
}

/// A line of 25.0.0.1 at this time.
fn at(time: &str) -> String {
    line("25.0.0.1", time, "GET / HTTP/1.1")
}

/// Twenty lines, a second apart.
fn plain() -> Vec<String> {
    let seconds = 0..20;
    seconds
        .map(|second| at(&format!("17/May/2015:10:00:{second:02} +0000")))
        .collect()
}

fn replay(log: &[u8], options: &[&str]) -> Ran {
    let folder = Folder::new();
    let log = folder.file("access.log", log);
    let listed = folder.file("listed.txt", b"25.0.0.1\n");
    run([&["replay", &log, "--listed", &listed], options].concat())
}

#[track_caller]
fn check(log: &[u8], fields: Value) -> Value {
    let report = replay(log, &["--json"]).json(0);
    for (name, value) in fields.as_object().expect("an object") {
        assert_eq!(&report[name], value, "{name} in {report:#}");
    }
    report
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

#[test]
fn a_line_of_another_age_does_not_move_the_clock() {
    for year in ["2037", "9999", "1970", "0001", "2016"] {
        for place in [0, 10, 20] {
            let mut log = plain();
            log.insert(place, at(&format!("17/Jun/{year}:10:00:00 +0000")));
            let log = log.concat();
            let in_time = json!({
                "requests": 20, "malformed": 1, "days": 1, "denied": 20, "checks": 1,
                "out_of_order": {"lines": 0, "most_seconds": 0},
            });
            let report = check(log.as_bytes(), in_time);
            let first = &report["first_malformed"][0];
            assert_eq!(first["line"], place + 1, "{year}: {first}");
        }
    }
}

#[test]
fn malformed_lines_are_shown_in_their_order() {
    let mut log = plain();
    log.insert(10, at("17/May/2037:10:00:00 +0000"));
    log.insert(11, "what is this\n".to_owned());
    let report = check(log.concat().as_bytes(), json!({"malformed": 2}));
    let numbers = [0, 1].map(|n| report["first_malformed"][n]["line"].as_u64());
    assert_eq!(numbers, [Some(11), Some(12)]);
}

#[test]
fn a_gap_of_years_in_a_log_is_believed() {
    let later = plain().concat().replace("/2015:", "/2019:");
    let log = plain().concat() + &later;
    check(
        log.as_bytes(),
        json!({"requests": 40, "malformed": 0, "days": 2}),
    );
}

#[test]
fn workers_and_time_zones_that_mingle_are_one_log() {
    let mut log = plain();
    log.swap(3, 7);
    log.push(at("17/May/2015:12:00:21 +0200"));
    // Two in the morning comes twice when summer time ends.
    log.push(at("25/Oct/2015:02:59:59 +0200"));
    log.push(at("25/Oct/2015:02:00:01 +0100"));
    let expected = json!({
        "requests": 23, "malformed": 0, "days": 2, "out_of_order": {"lines": 4, "most_seconds": 4},
    });
    check(log.concat().as_bytes(), expected);
}

#[test]
fn a_log_that_is_not_sorted_is_advised_to_be() {
    let older = plain().concat().replace("17/May", "10/May");
    let log = plain().concat() + &older;
    let ran = replay(log.as_bytes(), &["--json"]);
    let advice =
        "20 lines are older than a line before, by up to 604,819 seconds: sort the log by time";
    assert!(ran.err.contains(advice), "{ran:?}");
    let report = ran.json(0);
    let warning = report["warnings"][0].as_str();
    assert!(
        warning.is_some_and(|warning| warning.contains(advice)),
        "{report:#}"
    );
    let mut log = plain();
    log.swap(3, 7);
    let ran = replay(log.concat().as_bytes(), &[]);
    assert!(ran.out.contains("older than a line before"), "{ran:?}");
    assert_eq!(ran.err, "", "a few seconds are nothing");
}

#[test]
fn a_log_of_which_most_lines_are_out_of_order_by_days_has_no_figures() {
    let older = plain().concat().replace("17/May", "10/May");
    let oldest = older.replace("10/May", "03/May");
    let log = plain().concat() + &older + &oldest;
    for options in [&[][..], &["--json"]] {
        let words = [
            "40 of 60 lines are older by days",
            "14 days",
            "replay access.log*",
        ];
        replay(log.as_bytes(), options).complains(&words);
    }
}

#[test]
fn a_byte_order_mark_and_foreign_line_ends_cost_no_line() {
    let log = plain().concat();
    let expected = json!({"requests": 20, "malformed": 0, "denied": 20});
    check(format!("\u{feff}{log}").as_bytes(), expected.clone());
    check(log.replace('\n', "\r\n").as_bytes(), expected.clone());
    check(format!("\0\0{log}\0\0\0\n\0").as_bytes(), expected.clone());
    check(log.trim_end().as_bytes(), expected);
}

#[test]
fn what_is_no_request_is_counted_apart() {
    let time = "17/May/2015:10:00:00 +0000";
    let mut log = plain();
    for request in ["-", "", r"\x16\x03\x01\x02\x00\x01\x00", "\x16\x03\x01\0"] {
        log.push(line("25.0.0.1", time, request));
    }
    check(
        log.concat().as_bytes(),
        json!({"requests": 24, "not_http": 4, "malformed": 0, "denied": 20}),
    );
}

#[test]
fn a_request_of_megabytes_is_named_as_what_it_is() {
    let long = format!("GET /{} HTTP/1.1", "a".repeat(10_000_000));
    let mut log = plain();
    log.insert(0, line("25.0.0.1", "17/May/2015:10:00:00 +0000", &long));
    let report = check(
        log.concat().as_bytes(),
        json!({"requests": 20, "malformed": 1}),
    );
    let reason = report["first_malformed"][0]["reason"].as_str();
    assert!(
        reason.is_some_and(|reason| reason.contains("longer than any server takes")),
        "{reason:?}"
    );
}

#[test]
fn what_stands_behind_a_compressed_log_is_passed_over_and_counted() {
    let log = plain().concat();
    let whole = gzip(log.as_bytes());
    for (behind, bytes) in [(&b""[..], 0), (b"appended", 8), (&[0; 512], 512)] {
        let packed = [&whole, &whole, behind].concat();
        check(
            &packed,
            json!({"requests": 40, "malformed": 0, "trailing_bytes": bytes}),
        );
    }
    let ran = replay(&[&whole, &b"appended"[..]].concat(), &[]);
    let note = "bytes behind the compressed log, passed over: 8\n";
    assert!(ran.out.contains(note), "{ran:?}");
}

#[test]
fn a_compressed_log_that_is_cut_or_damaged_has_no_figures() {
    let log = plain().concat();
    let whole = gzip(log.as_bytes());
    for cut in [3, whole.len() / 2, whole.len() - 1] {
        let ran = replay(&whole[..cut], &["--json"]);
        ran.complains(&["cannot read", "the gzip breaks off"]);
    }
    let ran = replay(&[&whole, &whole[..40]].concat(), &[]);
    ran.complains(&["after line 20", "the gzip breaks off"]);
    let mut damaged = whole;
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    replay(&damaged, &[]).complains(&["after line 20", "the gzip is damaged"]);
}

/// 120 requests, each of these clients in turn, with this behind the user agent.
fn requests_of(clients: &[&str], behind: impl Fn(usize) -> String) -> Vec<u8> {
    let lines = (0..120).map(|n| {
        let client = clients[n % clients.len()];
        let time = format!("17/May/2015:10:{:02}:{:02} +0000", n / 60, n % 60);
        let line = line(client, &time, "GET / HTTP/1.1");
        format!("{}{}\n", line.trim_end(), behind(n))
    });
    lines.collect::<String>().into_bytes()
}

#[test]
fn a_log_that_seems_to_name_its_proxy_is_doubted() {
    let none = |_| String::new();
    for (clients, warning) in [
        (
            &["10.0.0.2"][..],
            "from 10.0.0.2, which is not public: is that a proxy?",
        ),
        (&["26.0.0.9"], "from 26.0.0.9: is that a proxy?"),
        (
            &["10.0.0.2", "fd00::1"],
            "an address that is not public, like",
        ),
    ] {
        let report = check(&requests_of(clients, none), json!({"requests": 120}));
        let said = report["warnings"][0].as_str().unwrap_or_default();
        assert!(said.starts_with("almost every request comes"), "{said}");
        assert!(
            said.contains(warning) && said.contains("--client-field"),
            "{said}"
        );
    }
    let several = &["26.0.0.1", "26.0.0.2", "10.0.0.2", "10.0.0.3"];
    check(&requests_of(several, none), json!({"warnings": []}));
    // Too few to say.
    check(plain().concat().as_bytes(), json!({"warnings": []}));
}

#[test]
fn the_client_is_read_from_the_field_that_is_named() {
    let behind = |n: usize| format!(" \"25.0.9.9, 25.0.0.{}, 10.0.0.7\"", n % 3);
    let log = requests_of(&["10.0.0.2"], behind);
    for field in ["x-forwarded-for", "3"] {
        let report = replay(&log, &["--json", "--client-field", field]).json(0);
        let found = (&report["clients"], &report["denied"], &report["warnings"]);
        assert_eq!(found, (&json!(3), &json!(40), &json!([])), "{field}");
    }
    let report = replay(&log, &["--json", "--client-field", "4"]);
    report.complains(&["line 1 has no field in quotes where --client-field looks"]);
    for wrong in ["0", "100", "last", ""] {
        let words = [
            "--client-field",
            "`peer` nor `x-forwarded-for` nor a number",
        ];
        replay(&log, &["--client-field", wrong]).complains(&words);
    }
}

#[test]
fn a_proxy_that_sent_no_header_is_the_client_itself() {
    let log = requests_of(&["10.0.0.2", "25.0.0.1"], |_| " \"-\"".to_owned());
    let report = replay(&log, &["--json", "--client-field", "x-forwarded-for"]).json(0);
    assert_eq!(
        (&report["clients"], &report["denied"]),
        (&json!(2), &json!(60))
    );
}

#[test]
fn a_form_that_is_not_read_is_named_with_the_command_that_reads_it() {
    let words = [
        "cannot read",
        "it is compressed by bzip2",
        "`bzcat FILE | ipwhois-guard replay -`",
    ];
    replay(b"BZh91AY&SY\x12", &[]).complains(&words);
}

#[test]
fn a_log_that_names_no_status_where_the_client_went_away_is_read() {
    let lines = plain().concat();
    for word in ["0", "-", "%!d(<nil>)"] {
        let log = lines.replace("\" 200 ", &format!("\" {word} "));
        check(
            log.as_bytes(),
            json!({"requests": 20, "malformed": 0, "denied": 20}),
        );
    }
}
