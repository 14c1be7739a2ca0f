//! Reports, through the guard.

use ipwhois_guard_core::{ReportError, ThreatType};
use ipwhois_guard_testkit::Endpoint;

use super::*;

#[test]
fn a_report_reaches_the_service_with_the_fields_of_its_form() {
    let service = service();
    let guard = builder(&service).build().unwrap();
    let queued = block_on(
        guard
            .report(LISTED, ThreatType::Scan)
            .message("asked for /.env\r\n\u{7}again")
            .source("shop"),
    );
    block_on(queued.unwrap().delivered()).unwrap();
    let reports = service.reports();
    assert_eq!(reports.len(), 1);
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        reports[0].fields,
        [
            field("ip", "25.0.0.7"),
            field("type", "scan"),
            field("message", "asked for /.env again"),
            field("source", "shop"),
        ]
    );
    // What the service knows of a NAT64 client is its IPv4 address.
    let nat64 = "64:ff9b::1900:8".parse().unwrap();
    let queued = guard.report(nat64, ThreatType::Scan).queue().unwrap();
    block_on(queued.delivered()).unwrap();
    assert_eq!(service.reports()[1].ip, "25.0.0.8");
}

#[test]
fn all_eight_threat_types_are_told_apart_and_the_same_thing_is_told_once() {
    let service = service();
    let guard = builder(&service).build().unwrap();
    for threat_type in ThreatType::ALL {
        for repeat in [false, true] {
            let queued = block_on(guard.report(LISTED, threat_type)).unwrap();
            assert_eq!(queued.is_duplicate(), repeat);
            block_on(queued.delivered()).unwrap();
        }
    }
    assert_eq!(service.reports().len(), 8);
    assert_eq!(guard.stats().reports_delivered, 8);
    assert!("banana".parse::<ThreatType>().is_err());
}

#[test]
fn ones_own_addresses_are_never_reported() {
    let service = service();
    let guard = builder(&service)
        .trusted_proxies(["25.1.0.0/16"])
        .allow(["25.2.0.0/16"])
        .deny(["25.3.0.0/16"])
        .build()
        .unwrap();
    for own in [
        "127.0.0.1",
        "10.0.0.1",
        "::1",
        "25.1.0.1",
        "25.2.0.1",
        "::ffff:10.0.0.1",
    ] {
        let result = block_on(guard.report(own.parse().unwrap(), ThreatType::Scan));
        assert!(
            matches!(result, Err(ReportError::NeverReported { .. })),
            "{own}"
        );
    }
    assert!(service.reports().is_empty());
    let queued = block_on(guard.report([25, 3, 0, 1].into(), ThreatType::Scan));
    block_on(queued.unwrap().delivered()).unwrap();
}

#[test]
fn a_report_that_is_refused_for_good_says_so_and_others_wait() {
    let service = service();
    let guard = builder(&service).build().unwrap();
    service.behave_on(Endpoint::Report, Behaviour::status(400));
    let refused = block_on(guard.report(LISTED, ThreatType::Scan)).unwrap();
    let error = block_on(refused.delivered()).unwrap_err();
    assert!(
        matches!(error, ReportError::Refused { status: 400 }),
        "{error:?}"
    );
    service.behave_on(Endpoint::Report, Behaviour::html());
    let waits = block_on(guard.report(CLEAN, ThreatType::Scan)).unwrap();
    assert!(service.wait_for_reports(2, PATIENCE));
    assert_eq!(guard.stats().reports_pending, 1);
    service.recover();
    block_on(waits.delivered()).unwrap();
    let stats = guard.stats();
    assert_eq!((stats.reports_refused, stats.reports_delivered), (1, 1));
}

#[test]
fn a_source_that_is_no_name_is_an_error_that_shows_it() {
    let guard = builder(&service()).build().unwrap();
    let report = guard.report(LISTED, ThreatType::Scan).source("My Shop!");
    let error = report.queue().unwrap_err().to_string();
    assert!(
        error.contains("`source`") && error.contains("My Shop!"),
        "{error}"
    );
}

#[test]
fn shutdown_sends_what_waits_and_takes_no_more() {
    let service = service();
    let guard = builder(&service).build().unwrap();
    let queued: Vec<_> = (0..20)
        .map(|n| guard.report([25, 0, 1, n].into(), ThreatType::Bot).queue())
        .collect();
    assert_eq!(block_on(guard.shutdown(PATIENCE)), 0);
    assert_eq!(service.reports().len(), 20);
    for queued in queued {
        block_on(queued.unwrap().delivered()).unwrap();
    }
    let late = guard.report(LISTED, ThreatType::Bot).queue();
    assert!(matches!(late, Err(ReportError::ShuttingDown)));
    assert!(!block_on(guard.check(LISTED)).is_allowed());
}

#[test]
fn what_is_not_delivered_at_the_end_is_sent_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let service = service();
    service.behave_on(Endpoint::Report, Behaviour::status(503));
    let guard = || builder(&service).state_dir(folder.path()).build().unwrap();
    let first = guard();
    for n in 0..3 {
        block_on(first.report([25, 0, 1, n].into(), ThreatType::Bot)).unwrap();
    }
    let left = block_on(first.shutdown(Duration::from_millis(200)));
    assert_eq!(left, 3);
    drop(first);
    let before = service.reports().len();
    service.recover();
    let second = guard();
    assert!(service.wait_for_reports(before + 3, PATIENCE));
    assert_eq!(block_on(second.shutdown(PATIENCE)), 0);
    assert_eq!(service.reports().len(), before + 3);
    drop(second);
    let third = guard();
    block_on(third.ready());
    assert_eq!(block_on(third.shutdown(PATIENCE)), 0);
    assert_eq!(service.reports().len(), before + 3, "none is sent twice");
    drop(third);
    // Nor is one that would repeat another within a quarter of an hour.
    let fourth = guard();
    block_on(fourth.report([25, 0, 1, 0].into(), ThreatType::Bot)).unwrap();
    block_on(fourth.report([25, 0, 1, 0].into(), ThreatType::Scan)).unwrap();
    assert_eq!(block_on(fourth.shutdown(PATIENCE)), 0);
    assert_eq!(service.reports().len(), before + 4);
}
