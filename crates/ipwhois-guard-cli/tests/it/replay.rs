//! `ipwhois-guard replay`.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::made_up::{Shape, made};
use crate::run::{Folder, Ran, run, run_with};

/// Two days, three clients. The second line is late, the fifth is no request, the sixth is no line
/// at all.
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
    // The one check of each day is the first client's; the listed one is first on the first day
    // only.
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

#[test]
fn each_limit_has_the_figures_of_a_replay_at_this_limit_alone() {
    let (log, listed) = (scarce(), "26.30.0.0/24\n26.31.0.1\n26.7.0.1\n");
    let compared = replay(&log, listed, &["--json", "--limits", "3,500"]).json(0);
    for (at, limit) in [(0, "3"), (1, "500")] {
        let alone = replay(&log, listed, &["--json", "--daily-budget", limit]).json(0);
        let checks = alone["checks_per_day"].as_object().expect("days").values();
        has(
            &compared[at],
            json!({
                "daily_budget": alone["daily_budget"], "recall": alone["recall"],
                "published_recall": alone["published_module"]["recall"],
                "clairvoyant_recall": alone["clairvoyant_recall"],
                "most_checks": checks.map(|checks| checks.as_u64()).max(), "false_denials": 0,
            }),
        );
    }
    let recall = |at: usize, of: &str| compared[at][of].as_f64().expect("a share");
    assert!(recall(0, "recall") < recall(1, "recall"));
    assert!(recall(0, "recall") <= recall(0, "clairvoyant_recall"));
}

#[test]
fn a_clairvoyant_checks_the_listed_clients_with_most_requests() {
    let line = |ip: &str, minute: u32| {
        format!("{ip} - - [17/May/2015:10:{minute:02}:00 +0000] \"GET /.env HTTP/1.1\" 404 5\n")
    };
    let log: String = [
        ("25.0.0.1", 0),
        ("25.1.0.1", 1),
        ("25.1.0.1", 2),
        ("25.1.0.1", 3),
    ]
    .map(|(ip, minute)| line(ip, minute))
    .concat();
    let ran = replay(&log, "25.0.0.0/8", &["--limits", "1,2"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows: Vec<Vec<&str>> = ran
        .out
        .lines()
        .map(|row| row.split_whitespace().collect())
        .collect();
    // The published module spends its only check on the first client.
    assert_eq!(rows[1][3..7], ["25.00", "%", "75.00", "%"], "{}", ran.out);
    assert_eq!(rows[2][3..7], ["100.00", "%", "100.00", "%"], "{}", ran.out);
}

/// Three days on which forty clients of as many networks ask for a page, and one for what only
/// scanners want.
fn scarce() -> String {
    let line = |day: u32, n: u32, path: &str| {
        format!(
            "26.{n}.0.1 - - [{:02}/May/2015:{:02}:{:02}:00 +0000] \"GET {path} HTTP/1.1\" 404 5\n",
            day + 16,
            n / 4 + 1,
            n % 4 * 15
        )
    };
    let visits = (0..3).flat_map(|day| (0..40).map(move |n| (day, n)));
    visits
        .map(|(day, n)| line(day, n, if n == 30 { "/wp-login.php" } else { "/page" }))
        .collect()
}

#[test]
fn an_explanation_tells_for_each_decision_score_price_and_what_came_of_it() {
    let log = scarce();
    let explain = |ip: &str| {
        let options = ["--json", "--daily-budget", "3", "--explain", ip];
        replay(&log, "26.30.0.1", &options).json(0)["explained"].clone()
    };
    let mut outcomes = Vec::new();
    for ip in (0..40).map(|n| format!("26.{n}.0.1")) {
        for why in explain(&ip).as_array().expect("a list") {
            let figure = |name: &str| why[name].as_f64().expect("a number");
            let (score, price) = (figure("score"), figure("price"));
            let outcome = why["outcome"].as_str().expect("words");
            match outcome {
                "checked" => assert!(score >= price, "{ip}: {why}"),
                "too dear" => assert!(score < price, "{ip}: {why}"),
                _ => {}
            }
            assert!((0.0..=1.0).contains(&figure("probability")) && figure("requests") >= 1.0);
            outcomes.push(outcome.to_owned());
        }
    }
    for expected in ["checked", "too dear"] {
        assert!(
            outcomes.iter().any(|outcome| outcome == expected),
            "{expected}"
        );
    }
    // Checks counted by explanations are those that the day paid for: none is told twice.
    let checked = outcomes.iter().filter(|outcome| *outcome == "checked");
    let report = replay(&log, "26.30.0.1", &["--json", "--daily-budget", "3"]).json(0);
    assert_eq!(report["checks"], checked.count());
    let scanner = explain("26.30.0.1");
    assert_eq!(scanner[0]["request"], "GET /wp-login.php", "{scanner}");
    assert_eq!(scanner[0]["time"], "16/May/2015:08:30:00 +0000");
    assert_eq!(scanner[0]["signs"], "probe", "{scanner}");
}

#[test]
fn an_explanation_is_read_without_the_documentation() {
    let log = scarce();
    let explained = |ip: &str, budget: &str| {
        let options = ["--daily-budget", budget, "--explain", ip];
        let ran = replay(&log, "26.30.0.1", &options);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out
    };
    #[track_caller]
    fn says(text: &str, words: &[&str]) {
        for words in words {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let checked = explained("26.30.0.1", "500");
    says(
        &checked,
        &[
            "26.30.0.1: 3 requests, 3 denied, ",
            "16/May/2015:08:30:00 +0000  probe",
            "  checked  ",
            "score: the requests that a check",
            "A client is checked when its score is not below the price",
        ],
    );
    let unchecked = explained("26.39.0.1", "3");
    says(
        &unchecked,
        &["26.39.0.1: 3 requests, 0 denied", "not checked: "],
    );
    let absent = explained("25.9.9.9", "3");
    says(&absent, &["25.9.9.9 makes no request in this log"]);
    let internal = LOG.replace("26.0.0.1", "10.0.0.1");
    let ran = replay(&internal, LISTED, &["--explain", "10.0.0.1"]);
    says(
        &ran.out,
        &[
            "10.0.0.1: 2 requests, 0 denied, 0 without a verdict",
            "no score",
        ],
    );
}

#[test]
fn limits_and_clients_that_are_none_are_told() {
    for (options, words) in [
        (&["--limits", "many"][..], ["--limits", "many"]),
        (&["--limits", "50,-1"], ["--limits", "-1"]),
        (&["--limits", "-1"], ["--limits", "'-1'"]),
        (&["--limits", "50,,100"], ["--limits", "''"]),
        (&["--limits", "5000000000"], ["--limits", "5000000000"]),
        (&["--limits", ""], ["--limits", "''"]),
        (
            &["--limits", "50", "--daily-budget", "50"],
            ["--limits", "--daily-budget"],
        ),
        (&["--explain", "25.0.0"], ["--explain", "25.0.0"]),
        (&["--explain", "25.0.0.0/24"], ["--explain", "25.0.0.0/24"]),
        (&["--explain", ""], ["--explain", "''"]),
        (
            &["--explain", "25.0.0.1", "--limits", "50"],
            ["--explain", "--limits"],
        ),
    ] {
        replay(LOG, LISTED, options).complains(&words);
    }
}
