//! `ipwhois-guard replay`.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::made_up::{Shape, made};
use crate::run::{Folder, Ran, run, run_with};

/// Two days, three clients. The second line is late, the fifth is no request, the sixth is no line at all.
const LOG: &str = r#"25.0.0.1 - - [17/May/2015:23:50:00 +0000] "GET / HTTP/1.1" 200 5 "-" "Browser"
www.site.example:443 26.0.0.1 - bob [18/May/2015:01:49:50 +0200] "GET /admin?x HTTP/1.1" 200 5 "-" "Browser"
25.0.0.1 - - [17/May/2015:23:59:00 +0000] "GET /wp-login.php HTTP/1.1" 404 5 "-" "Browser"

3ffe::1 - - [18/May/2015:00:10:00 +0000] "\x16\x03\x01" 400 5 "-" "-"
what is this
25.0.0.1 - - [18/May/2015:00:55:00 +0000] "GET http://a.example/admin HTTP/1.1" 200 5
26.0.0.1 - - [18/May/2015:00:56:00 +0000] "GET / HTTP/1.1" 200 5
"#;

const LISTED: &str = "# hostile\n25.0.0.0/24\n";

fn replay(log: &str, listed: &str, options: &[&str]) -> Ran {
    let folder = Folder::new();
    let log = folder.file("access.log", log.as_bytes());
    let listed = folder.file("listed.txt", listed.as_bytes());
    let arguments = ["replay", &log, "--listed", &listed];
    run([&arguments[..], options].concat())
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

#[track_caller]
fn has(report: &Value, fields: Value) {
    for (name, value) in fields.as_object().expect("an object") {
        assert_eq!(&report[name], value, "{name} in {report:#}");
    }
}

#[test]
fn a_listed_client_is_denied_and_the_others_are_not() {
    let report = replay(LOG, LISTED, &["--json"]).json(0);
    has(
        &report,
        json!({
            "requests": 6, "clients": 3, "days": 2, "malformed": 1, "not_http": 1, "out_of_scope": 0,
            "denied": 3, "denied_clients": 1, "denied_by_client": {"25.0.0.1": 3}, "false_denials": 0,
            "denied_unverified": 0, "listed_clients": 1, "listed_clients_denied": 1, "listed_requests": 3,
            "recall": 1.0, "daily_budget": 500,
            "by_listed_client": {"25.0.0.1": {"requests": 3, "denied": 3, "published_denied": 3}},
            "out_of_order": {"lines": 1, "most_seconds": 10},
        }),
    );
    let first = json!([{
        "line": 6, "text": "what is this",
        "reason": "has no time in brackets with a request in quotes after it",
    }]);
    assert_eq!(report["first_malformed"], first);
    let days = report["checks_per_day"].as_object().expect("an object");
    assert_eq!(
        days.keys().collect::<Vec<_>>(),
        ["2015-05-17", "2015-05-18"]
    );
}

#[test]
fn the_published_module_asks_about_every_client_every_hour() {
    let report = replay(LOG, LISTED, &["--json"]).json(0);
    has(
        &report["published_module"],
        json!({
            "calls": 4, "calls_wanted": 4, "denied": 3, "recall": 1.0, "false_denials": 0,
            "checks_per_day": {"2015-05-17": 2, "2015-05-18": 2},
        }),
    );
    // The one check of each day is the first client's; the listed one is first on the first day only.
    let report = replay(LOG, "26.0.0.1", &["--json", "--daily-budget", "1"]).json(0);
    has(
        &report["published_module"],
        json!({
            "calls": 2, "calls_wanted": 4, "denied": 0, "recall": 0.0,
            "checks_per_day": {"2015-05-17": 1, "2015-05-18": 1},
            "calls_wanted_per_day": {"2015-05-17": 2, "2015-05-18": 2},
        }),
    );
}

#[test]
fn without_a_list_nobody_is_denied_and_there_is_no_recall() {
    let folder = Folder::new();
    let log = folder.file("access.log", LOG.as_bytes());
    let report = run(["replay", &log, "--json"]).json(0);
    has(
        &report,
        json!({"denied": 0, "denied_by_client": {}, "recall": null}),
    );
    assert_eq!(report["published_module"]["recall"], json!(null));
}

#[test]
fn only_what_is_protected_is_decided() {
    let report = replay(LOG, LISTED, &["--json", "--protect", "/admin"]).json(0);
    has(
        &report,
        json!({"requests": 6, "out_of_scope": 3, "denied": 1, "listed_requests": 1, "recall": 1.0}),
    );
    assert_eq!(report["published_module"]["calls_wanted"], 2);
    // A sensitive path alone leaves everything guarded.
    let report = replay(LOG, LISTED, &["--json", "--sensitive", "/admin"]).json(0);
    has(&report, json!({"out_of_scope": 0, "denied": 3}));
    let options = ["--json", "--sensitive", "/admin", "--protect", "/a,/b"];
    let report = replay(LOG, LISTED, &options).json(0);
    has(&report, json!({"out_of_scope": 3, "denied": 1}));
}

#[test]
fn a_log_may_be_compressed_and_come_by_standard_input() {
    let folder = Folder::new();
    let listed = folder.file("listed.txt", LISTED.as_bytes());
    let plain = folder.file("access.log", LOG.as_bytes());
    // In two members, as appended archives are.
    let (one, two) = LOG.split_at(LOG.find("25.0.0.1 - - [18").expect("a line"));
    let packed = [gzip(one.as_bytes()), gzip(two.as_bytes())].concat();
    let file = folder.file("access.log.1", &packed);
    let options = ["--listed", &listed, "--json"];
    let arguments = |log| [&["replay", log], &options[..]].concat();
    let expected = run(arguments(&plain)).json(0);
    assert_eq!(expected["denied"], 3);
    assert_eq!(run(arguments(&file)).json(0), expected);
    assert_eq!(run_with(arguments("-"), &[], &packed).json(0), expected);
    let piped = run_with(arguments("-"), &[], LOG.as_bytes());
    assert_eq!(piped.json(0), expected);
}

#[test]
fn the_text_has_the_figures_and_the_clients_denied_most() {
    let ran = replay(LOG, LISTED, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for words in [
        "requests: 6\nclients: 3\nUTC days: 2015-05-17 to 2015-05-18\n",
        "malformed lines, passed over: 1\n",
        "line 6 has no time in brackets",
        "checks on 2015-05-17, of 500",
        "100.00 %",
    ] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    assert!(ran.out.contains("denied client  denied"), "{}", ran.out);
    assert_eq!(ran.err, "", "no progress without a terminal");
    let none = replay(LOG, LISTED, &["--top", "0"]);
    assert!(!none.out.contains("denied client  denied"), "{none:?}");
}

#[test]
fn input_that_is_no_log_is_refused() {
    let folder = Folder::new();
    let directory = folder.path().to_str().expect("UTF-8");
    run(["replay", directory]).complains(&["cannot read", directory]);
    let missing = folder.path().join("missing.log");
    let missing = missing.to_str().expect("UTF-8");
    run(["replay", missing]).complains(&["cannot read", missing]);
    let empty = folder.file("empty.log", b"\n\n");
    run(["replay", &empty]).complains(&["empty.log", "is empty"]);
    run_with(["replay", "-"], &[], b"").complains(&["standard input is empty"]);
    let binary = folder.file("binary", &[0xff; 300_000]);
    run(["replay", &binary]).complains(&["has no line of an access log: line 1"]);
    let whole = gzip(LOG.repeat(200).as_bytes());
    let cut = folder.file("cut.gz", &whole[..whole.len() / 2]);
    run(["replay", &cut]).complains(&["cut.gz", "cannot read", "after line"]);
}

#[test]
fn lines_of_a_megabyte_and_bytes_that_are_no_text_do_no_harm() {
    let folder = Folder::new();
    let listed = folder.file("listed.txt", LISTED.as_bytes());
    let mut log =
        br#"25.0.0.1 - - [17/May/2015:23:50:00 +0000] "GET / HTTP/1.1" 200 5 "-" ""#.to_vec();
    log.resize(1_024 * 1_024, b'\xff');
    log.extend_from_slice(b"\n\xfe\xff\x00\n");
    log.resize(2_048 * 1_024, b'x');
    log.extend_from_slice(b"\n");
    log.extend_from_slice(LOG.as_bytes());
    let log = folder.file("access.log", &log);
    let report = run(["replay", &log, "--listed", &listed, "--json"]).json(0);
    has(&report, json!({"requests": 7, "malformed": 3, "denied": 4}));
}

#[test]
fn a_value_that_cannot_be_used_is_told_by_option_and_value() {
    for (options, words) in [
        (&["--daily-budget", "many"][..], ["--daily-budget", "many"]),
        (&["--daily-budget", "-1"], ["--daily-budget", "'-1'"]),
        (&["--cache-ttl", "5x"], ["--cache-ttl", "5x"]),
        (&["--cache-ttl", "0s"], ["--cache-ttl", "`0s`"]),
        (&["--cache-ttl", "31d"], ["--cache-ttl", "30 days"]),
        (&["--on-unverified", "maybe"], ["--on-unverified", "maybe"]),
        (&["--feed-action", "maybe"], ["--feed-action", "maybe"]),
        (&["--min-confidence", "101"], ["--min-confidence", "101"]),
        (&["--min-confidence", "-1"], ["--min-confidence", "'-1'"]),
        (&["--protect", "admin"], ["--protect", "`admin`"]),
        (&["--protect", "/a,,/b"], ["--protect", "``"]),
        (&["--sensitive", "login"], ["--sensitive", "`login`"]),
        (&["--stale-ttl", "1m"], ["--stale-ttl 60s", "--cache-ttl"]),
        (&["--feed", "missing"], ["--feed", "cannot read `missing`"]),
        (&["--feed", "-"], ["--feed", "standard input"]),
        (&["--top", "-1"], ["--top", "'-1'"]),
    ] {
        replay(LOG, LISTED, options).complains(&words);
        // Nor does a log hide it that cannot be read itself.
        run([&["replay", "missing.log"], options].concat()).complains(&words);
    }
    replay(LOG, "25.0.0.1\n25.0.0.0/40\n", &[]).complains(&["--listed", "line 2", "25.0.0.0/40"]);
    for place in ["missing", "."] {
        let listed = run(["replay", "access.log", "--listed", place]);
        listed.complains(&["option --listed: cannot read", place]);
    }
    let both = run(["replay", "-", "--listed", "-"]);
    both.complains(&["--listed", "standard input is the log"]);
}

#[test]
fn without_a_budget_nobody_is_asked_about_and_all_go_on() {
    let options = ["--json", "--daily-budget", "0"];
    let report = replay(LOG, LISTED, &options).json(0);
    has(
        &report,
        json!({
            "checks": 0, "denied": 0, "unverified": {"no-budget": 5}, "recall": 0.0,
            "checks_per_day": {"2015-05-17": 0, "2015-05-18": 0},
        }),
    );
    assert_eq!(report["published_module"]["calls"], 0);
}

#[test]
fn settings_of_the_environment_change_nothing() {
    let folder = Folder::new();
    let log = folder.file("access.log", LOG.as_bytes());
    let variables = [
        ("IPWHOIS_GUARD_DENY", "0.0.0.0/0"),
        ("IPWHOIS_GUARD_MODE", "nonsense"),
    ];
    let report = run_with(["replay", &log, "--json"], &variables, b"").json(0);
    has(&report, json!({"denied": 0}));
}

#[test]
fn a_made_up_log_is_replayed_the_same_way_every_time() {
    let folder = Folder::new();
    for shape in [Shape::Spread, Shape::Early, Shape::Burst] {
        let made = made(1, shape);
        let log = folder.file("made.log", made.log.as_bytes());
        let listed = folder.file("made.txt", made.listed.as_bytes());
        let options = ["--json"];
        let arguments = [&["replay", &log, "--listed", &listed], &options[..]].concat();
        let first = run(&arguments);
        let report = first.json(0);
        has(
            &report,
            json!({
                "requests": 10_000, "clients": 1_753, "malformed": 0, "listed_clients": 113,
                "listed_requests": 2_500, "false_denials": 0, "days": 4,
            }),
        );
        assert!(run(&arguments).out == first.out, "{shape}");
    }
}
