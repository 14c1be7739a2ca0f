//! `ipwhois-guard feed`.

use ipwhois_guard_testkit::{Behaviour, Endpoint, StandIn};
use serde_json::json;

use crate::run::{Folder, run, run_with};

const FEED: &str = "# made up\n25.0.0.1\n25.0.0.2\n26.0.0.0/24 # a network\nno\n# Generated: 2026-08-22 04:30:03 UTC | Entries: 4\n";

#[test]
fn a_good_feed_is_described() {
    let folder = Folder::new();
    let feed = folder.file("feed.txt", FEED.as_bytes());
    let report = run(["feed", &feed, "--json"]).json(0);
    let expected = json!({
        "feed": feed, "refused": null, "entries": 3, "bad_lines": 1, "announced": 4, "diff": null,
        "first_bad_line": "line 5: `no` is not an address or CIDR",
        "generated": "2026-08-22 04:30:03 UTC",
    });
    assert_eq!(report, expected);
    let ran = run(["feed", &feed]);
    let expected = format!(
        "{feed}: good\n  entries: 3\n  bad lines: 1\n  announced: 4\n  first bad line: line 5: `no` is not an address or CIDR\n  generated: 2026-08-22 04:30:03 UTC\n"
    );
    assert_eq!((ran.code, ran.out), (Some(0), expected));
    let piped = run_with(["feed", "-", "--json"], &[], FEED.as_bytes());
    assert_eq!(piped.json(0)["entries"], 3);
}

#[test]
fn what_is_no_feed_is_refused_with_the_reason() {
    let folder = Folder::new();
    for (text, reason) in [
        ("<html><body>Sign in</body></html>", "HTML"),
        ("", "no entry"),
        ("25.0.0.1\n# Generated: now | Entries: 7\n", "announces 7"),
        ("25.0.0.1\nno\nno\n", "bad lines"),
    ] {
        let feed = folder.file("feed.txt", text.as_bytes());
        let ran = run(["feed", &feed]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.out.contains("refused") && ran.out.contains(reason),
            "{ran:?}"
        );
        let report = run(["feed", &feed, "--json"]).json(1);
        let refused = report["refused"].as_str().expect("a reason");
        assert!(refused.contains(reason), "{refused}");
    }
}

#[test]
fn a_difference_is_counted_and_listed() {
    let folder = Folder::new();
    let before = folder.file("before.txt", b"25.0.0.1\n25.0.0.3\n26.0.0.0/24\n");
    let after = folder.file("after.txt", b"25.0.0.1\n25.0.0.4\n25.0.0.5\n26.0.0.0/25\n");
    let ran = run(["feed", &after, "--diff", &before, "--verbose"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out.contains("2 addresses added, 129 removed"),
        "{ran:?}"
    );
    let lines: Vec<&str> = ran
        .out
        .lines()
        .filter(|l| l.starts_with(['+', '-']))
        .collect();
    let expected = ["+25.0.0.4-25.0.0.5", "-25.0.0.3", "-26.0.0.128-26.0.0.255"];
    assert_eq!(lines, expected);
    let report = run(["feed", &after, "--diff", &before, "--json"]).json(0);
    let expected = json!({"other": before, "added": 2, "removed": 129});
    assert_eq!(report["diff"], expected);
    let short = run(["feed", &after, "--diff", &before]);
    assert!(!short.out.contains("\n+"), "{short:?}");
}

#[test]
fn a_feed_that_lost_more_than_half_is_refused() {
    let folder = Folder::new();
    let before: String = (0..10).map(|n| format!("25.0.{n}.1\n")).collect();
    let before = folder.file("before.txt", before.as_bytes());
    let after = folder.file("after.txt", b"25.0.0.1\n");
    let report = run(["feed", &after, "--diff", &before, "--json"]).json(1);
    let refused = report["refused"].as_str().expect("a reason");
    assert!(refused.contains("shrunk"), "{refused}");
    assert_eq!(report["diff"]["removed"], 9);
}

#[test]
fn what_cannot_be_read_is_no_answer() {
    let folder = Folder::new();
    let directory = folder.path().to_str().expect("UTF-8");
    run(["feed", directory]).complains(&["cannot read", directory]);
    let missing = format!("{directory}/missing.txt");
    run(["feed", &missing]).complains(&["cannot read", "missing.txt"]);
    run(["feed", directory, "--verbose"]).complains(&["--diff"]);
    let good = folder.file("feed.txt", FEED.as_bytes());
    run(["feed", &good, "--diff", &missing]).complains(&["option --diff: cannot read"]);
    let nowhere = "http://127.0.0.1:1/feed.txt";
    run(["feed", &good, "--diff", nowhere]).complains(&["option --diff: the feed's server"]);
    run(["feed", "ftp://a.example/feed"]).complains(&["`feed_url`", "https"]);
    run(["feed", "-", "--diff", "-"]).complains(&["--diff", "standard input is the feed"]);
}

#[test]
fn a_replay_refuses_a_feed_that_is_none() {
    let folder = Folder::new();
    let log = br#"25.0.0.1 - - [17/May/2015:23:50:00 +0000] "GET / HTTP/1.1" 200 5"#;
    let log = folder.file("access.log", log);
    let good = folder.file("a feed.txt", FEED.as_bytes());
    let ran = run(["replay", &log, "--feed", &good, "--json"]);
    assert_eq!(ran.json(0)["requests"], 1);
    let bad = folder.file("page.txt", b"<html>");
    run(["replay", &log, "--feed", &bad]).complains(&["--feed", "page.txt", "is no feed", "HTML"]);
    let empty = folder.file("empty.txt", b"# none\n");
    run(["replay", &log, "--feed", &empty]).complains(&["--feed", "empty.txt", "no entry"]);
}

#[test]
fn a_feed_is_fetched_by_its_url_or_as_it_is_configured() {
    let service = StandIn::start().expect("a free port");
    service.set_feed(FEED);
    let url = service.feed_url();
    let report = run(["feed", &url, "--json"]).json(0);
    assert_eq!(
        (&report["feed"], &report["entries"]),
        (&json!(url), &json!(3))
    );
    let api = [("IPWHOIS_GUARD_API_URL", service.url())];
    let variables = [(api[0].0, api[0].1.as_str())];
    let ran = run_with(["feed", "--diff", &url], &variables, b"");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out.starts_with("the configured feed: good\n"),
        "{ran:?}"
    );
    assert!(ran.out.contains("0 addresses added, 0 removed"), "{ran:?}");
    assert_eq!(service.feed_requests(), 3);
    // A scheme has no case.
    let shouted = url.replace("http://", "HTTP://");
    assert_eq!(run(["feed", &shouted, "--json"]).json(0)["entries"], 3);
    let none = [("IPWHOIS_GUARD_FEED_URL", "")];
    run_with(["feed"], &none, b"").complains(&["no feed is configured"]);
}

#[test]
fn a_page_is_refused_and_a_server_that_fails_is_no_answer() {
    let service = StandIn::start().expect("a free port");
    let url = service.feed_url();
    service.behave_on(Endpoint::Feed, Behaviour::html());
    let ran = run(["feed", &url]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.out.contains("refused: the feed is an HTML page"),
        "{ran:?}"
    );
    service.behave_on(Endpoint::Feed, Behaviour::status(503));
    run(["feed", &url]).complains(&["status 503"]);
    service.refuse_connections();
    run(["feed", &url]).complains(&["cannot be reached"]);
}
