//! `ipwhois-guard report`, against the stand-in service.

use ipwhois_guard_testkit::{Behaviour, Endpoint, StandIn};

use crate::run::{Ran, run_with};

fn report(service: &StandIn, arguments: &[&str]) -> Ran {
    let url = service.url();
    let environment = [
        ("IPWHOIS_GUARD_API_URL", url.as_str()),
        ("IPWHOIS_GUARD_API_TIMEOUT", "1s"),
    ];
    run_with([&["report"], arguments].concat(), &environment, b"")
}

#[test]
fn a_report_arrives_and_says_so() {
    let service = StandIn::start().expect("a free port");
    let arguments = [
        "25.0.0.7",
        "--type",
        "scan",
        "--message",
        "asked for\n/.env",
    ];
    let run = report(&service, &arguments);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.out, "25.0.0.7 is reported as scan\n");
    let reports = service.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].message, "asked for /.env");
    assert_eq!(reports[0].source, "waf");
    let json = report(&service, &["25.0.0.8", "--type", "bot", "--json"]).json(0);
    assert_eq!(json["accepted"], true);
    assert_eq!(json["type"], "bot");
}

#[test]
fn a_refusal_is_told_apart_from_a_service_that_is_away() {
    let service = StandIn::start().expect("a free port");
    service.behave_on(Endpoint::Report, Behaviour::status(400));
    let run = report(&service, &["25.0.0.7", "--type", "scan"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.out.contains("status 400"), "{run:?}");
    service.behave_on(Endpoint::Report, Behaviour::json(r#"{"error":"no"}"#));
    let run = report(&service, &["25.0.0.7", "--type", "scan"]);
    run.complains(&["did not accept"]);
}

#[test]
fn what_cannot_be_reported_is_said_with_its_value() {
    let service = StandIn::start().expect("a free port");
    for (arguments, words) in [
        (&["127.0.0.1", "--type", "scan"][..], ["127.0.0.1", "never"]),
        (&["25.0.0.7", "--type", "banana"], ["banana", "brute-force"]),
        (&["25.0.0.777", "--type", "scan"], ["25.0.0.777", "IP"]),
        (
            &["25.0.0.7", "--type", "scan", "--source", "My Shop"],
            ["My Shop", "source"],
        ),
    ] {
        let run = report(&service, arguments);
        run.complains(&words);
    }
    assert!(service.reports().is_empty());
}
