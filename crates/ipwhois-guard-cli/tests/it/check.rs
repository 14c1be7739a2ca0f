//! `ipwhois-guard check` against the stand-in service.

use ipwhois_guard_testkit::{Behaviour, StandIn};
use serde_json::json;

use crate::run::{Ran, run, run_with};

const LISTED: &str = "25.0.0.7";
const CLEAN: &str = "26.0.0.1";

fn service() -> StandIn {
    let service = StandIn::start().expect("a free port");
    service.list(LISTED.parse().expect("an address"), 95);
    service
}

fn check(service: &StandIn, arguments: &[&str]) -> Ran {
    check_with(service, arguments, &[], "")
}

fn check_with(
    service: &StandIn,
    arguments: &[&str],
    variables: &[(&str, &str)],
    input: &str,
) -> Ran {
    let url = service.url();
    let mut all = vec![("IPWHOIS_GUARD_API_URL", url.as_str())];
    all.extend_from_slice(variables);
    let arguments = [&["check"], arguments].concat();
    run_with(arguments, &all, input.as_bytes())
}

#[test]
fn the_exit_code_says_whether_one_is_listed() {
    let service = service();
    let clean = check(&service, &[CLEAN]);
    assert_eq!(clean.code, Some(0), "{clean:?}");
    let listed = check(&service, &[CLEAN, LISTED]);
    assert_eq!(listed.code, Some(1), "{listed:?}");
    let above = check(&service, &[LISTED, "--min-confidence", "96"]);
    assert_eq!(above.code, Some(0), "{above:?}");
    let minimum = [("IPWHOIS_GUARD_MIN_CONFIDENCE", "96")];
    let set = check_with(&service, &[LISTED], &minimum, "");
    assert_eq!(set.code, Some(0), "{set:?}");
    let option = check_with(&service, &[LISTED, "--min-confidence=95"], &minimum, "");
    assert_eq!(option.code, Some(1), "{option:?}");
}

#[test]
fn the_table_says_who_is_listed_and_how_it_is_known() {
    let ran = check(&service(), &[LISTED, CLEAN, "10.0.0.1"]);
    let expected = "\
address   listed  confidence  threat type  source
25.0.0.7  yes             95  scan         api
26.0.0.1  no               0  -            api
10.0.0.1  -                -  -            never asked: not a public address
";
    assert_eq!(ran.out, expected);
    assert_eq!(ran.err, "");
}

#[test]
fn json_has_an_object_for_each_address_in_its_order() {
    let service = service();
    let ran = check(&service, &["--json", CLEAN, LISTED, "::1"]);
    let clean = json!({
        "address": CLEAN, "listed": false, "confidence": 0, "threat_type": null,
        "source": "api", "unverified": null, "allowed": true,
    });
    let listed = json!({
        "address": LISTED, "listed": true, "confidence": 95, "threat_type": "scan",
        "source": "api", "unverified": null, "allowed": false,
    });
    let loopback = json!({
        "address": "::1", "listed": null, "confidence": null, "threat_type": null,
        "source": "non-public", "unverified": null, "allowed": true,
    });
    assert_eq!(ran.json(1), json!([clean, listed, loopback]));
    assert_eq!((service.check_count(), service.feed_requests()), (2, 0));
}

#[test]
fn addresses_come_from_standard_input_too() {
    let service = service();
    let input = format!("# all\n{LISTED} # one\n\n  {CLEAN}\t3ffe::1\r\n");
    let ran = check_with(&service, &["26.0.0.2", "-", "--json"], &[], &input);
    let asked: Vec<String> = ran
        .json(1)
        .as_array()
        .expect("an array")
        .iter()
        .map(|row| row["address"].as_str().expect("a text").to_owned())
        .collect();
    assert_eq!(asked, ["26.0.0.2", LISTED, CLEAN, "3ffe::1"]);
    let bad = check_with(&service, &["-"], &[], "26.0.0.1\nnobody\n");
    bad.complains(&["standard input:2: `nobody` is no IP address"]);
    check_with(&service, &["-"], &[], "# none\n").complains(&["standard input has no IP address"]);
}

#[test]
fn many_addresses_are_all_asked_about() {
    let service = service();
    let input: String = (0..40).map(|n| format!("26.0.{n}.1\n")).collect();
    let ran = check_with(&service, &["-"], &[], &input);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(service.check_count(), 40);
}

#[test]
fn an_address_that_cannot_be_verified_outweighs_a_listed_one() {
    let service = service();
    service.behave_for(CLEAN.parse().expect("an address"), Behaviour::status(500));
    let ran = check(&service, &["--json", LISTED, CLEAN]);
    let rows = ran.json(2);
    assert_eq!(rows[0]["listed"], true);
    assert_eq!(rows[1]["listed"], json!(null));
    assert_eq!(rows[1]["unverified"], "call-failed");
    assert!(ran.err.contains("check failed"), "{ran:?}");
}

#[test]
fn a_slow_service_is_waited_for_until_its_own_deadline() {
    let service = service();
    // Longer than a request would wait.
    let slow = Behaviour::Delay(std::time::Duration::from_millis(700));
    service.behave(slow);
    let waits = [
        ("IPWHOIS_GUARD_MAX_WAIT", "1ms"),
        ("IPWHOIS_GUARD_API_TIMEOUT", "60s"),
    ];
    let ran = check_with(&service, &[CLEAN], &waits, "");
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn the_applications_own_lists_hold() {
    let service = service();
    let lists = [
        ("IPWHOIS_GUARD_ALLOW", LISTED),
        ("IPWHOIS_GUARD_DENY", CLEAN),
    ];
    let ran = check_with(&service, &[LISTED, CLEAN], &lists, "");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("never asked: allowlist"), "{ran:?}");
    assert!(ran.out.contains("never asked: denylist"), "{ran:?}");
    assert_eq!(service.check_count(), 0);
}

#[test]
fn wrong_usage_is_told_by_name_and_value() {
    run(["check"]).complains(&["<IP>"]);
    run(["check", "nobody"]).complains(&["argument <IP>", "`nobody` is no IP address"]);
    run(["check", CLEAN, "--min-confidence", "101"]).complains(&["--min-confidence", "101"]);
    let bad = [("IPWHOIS_GUARD_API_TIMEOUT", "soon")];
    let ran = run_with(["check", CLEAN], &bad, b"");
    ran.complains(&["IPWHOIS_GUARD_API_TIMEOUT", "`soon`"]);
}
