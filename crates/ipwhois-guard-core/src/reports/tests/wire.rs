//! Reports to the stand-in service, over a real socket.

use super::fakes::NoShelf;
use ipwhois_guard_testkit::{Behaviour, Endpoint, StandIn};

use super::*;
use crate::api::ApiClient;
use crate::clock::SystemClock;
use crate::reports::queue::Outcome;
use crate::settings::Settings;

fn client(service: &StandIn) -> ApiClient {
    let settings = Settings {
        api_url: service.url(),
        api_timeout: Duration::from_secs(30),
        ..Settings::default()
    };
    ApiClient::new(&settings, Arc::new(SystemClock::default())).unwrap()
}

fn bench(service: &StandIn) -> Bench {
    Bench::of(Reporter::new(
        Arc::new(client(service)),
        Arc::new(NoShelf),
        Arc::new(SystemClock::default()),
    ))
}

fn report(n: u32) -> Report {
    Report::new(ip(n), ThreatType::BruteForce)
}

#[tokio::test]
async fn a_report_has_the_documented_fields_and_no_others() {
    let service = StandIn::start().unwrap();
    let bench = bench(&service);
    let report = report(1)
        .with_message("5 failed logins & more\r\nX: ü")
        .with_source("my-app")
        .unwrap();
    let ticket = bench.reporter.enqueue(report).unwrap();
    ticket.delivered().await.unwrap();
    let reports = service.reports();
    assert_eq!(reports.len(), 1);
    let expected = [
        ("ip", "25.0.0.1"),
        ("type", "brute-force"),
        ("message", "5 failed logins & more X: ü"),
        ("source", "my-app"),
    ];
    let fields: Vec<_> = reports[0]
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(fields, expected);
    assert_eq!(
        reports[0].header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
}

#[tokio::test]
async fn every_threat_type_is_accepted() {
    let service = StandIn::start().unwrap();
    let bench = bench(&service);
    for threat_type in ThreatType::ALL {
        let report = Report::new("3ffe::1".parse().unwrap(), threat_type);
        let ticket = bench.reporter.enqueue(report).unwrap();
        ticket.delivered().await.unwrap();
    }
    assert_eq!(service.reports().len(), 8);
}

#[tokio::test]
async fn each_reply_is_told_apart() {
    let service = StandIn::start().unwrap();
    let client = client(&service);
    let outcome = async |behaviour| {
        service.behave_on(Endpoint::Report, behaviour);
        match client.deliver(&report(1)).await {
            Ok(()) => "accepted".to_owned(),
            Err(not_accepted) => match not_accepted.outcome(Duration::ZERO) {
                Outcome::Refused { status } => format!("refused {status}"),
                Outcome::Failed {
                    retry_after,
                    limited,
                } => format!("failed {retry_after:?} {}", limited.is_some()),
                Outcome::Accepted => panic!("an error is no acceptance"),
            },
        }
    };
    const FAILED: &str = "failed None false";
    assert_eq!(outcome(Behaviour::Normal).await, "accepted");
    assert_eq!(outcome(Behaviour::json("")).await, "accepted");
    assert_eq!(outcome(Behaviour::status(204)).await, "accepted");
    assert_eq!(outcome(Behaviour::json(r#"{"error":"no"}"#)).await, FAILED);
    assert_eq!(outcome(Behaviour::json("[]")).await, FAILED);
    assert_eq!(outcome(Behaviour::html()).await, FAILED);
    assert_eq!(outcome(Behaviour::Endless).await, FAILED);
    assert_eq!(outcome(Behaviour::Truncated).await, FAILED);
    assert_eq!(outcome(Behaviour::Reset).await, FAILED);
    assert_eq!(outcome(Behaviour::Redirect("/".into())).await, FAILED);
    assert_eq!(outcome(Behaviour::status(500)).await, FAILED);
    assert_eq!(
        outcome(Behaviour::rate_limited(7)).await,
        "failed Some(7s) true"
    );
    let unavailable = Behaviour::Reply {
        status: 503,
        headers: vec![("Retry-After".to_owned(), "9".to_owned())],
        body: Vec::new(),
    };
    assert_eq!(outcome(unavailable).await, "failed Some(9s) false");
    let page = Behaviour::reply(403, "text/html", "<html></html>");
    assert_eq!(outcome(page).await, FAILED, "it is not the service's word");
    for status in [400, 401, 403, 404, 413, 422] {
        let refused = format!("refused {status}");
        assert_eq!(outcome(Behaviour::status(status)).await, refused);
    }
}

#[tokio::test]
async fn the_service_refuses_for_good() {
    let service = StandIn::start().unwrap();
    service.behave_on(Endpoint::Report, Behaviour::status(401));
    let bench = bench(&service);
    let ticket = bench.reporter.enqueue(report(1)).unwrap();
    let error = ticket.delivered().await.unwrap_err();
    assert!(
        matches!(error, ReportError::Refused { status: 401 }),
        "{error:?}"
    );
}

#[tokio::test]
async fn reports_from_an_outage_arrive_when_it_is_over() {
    let service = StandIn::start().unwrap();
    service.refuse_connections();
    let bench = bench(&service);
    let tickets: Vec<Ticket> = (1..=20)
        .map(|n| bench.reporter.enqueue(report(n)).unwrap())
        .collect();
    assert_eq!(bench.reporter.flush(Duration::from_millis(50)).await, 20);
    service.accept_connections();
    service.behave_on(Endpoint::Report, Behaviour::html());
    assert_eq!(bench.reporter.flush(Duration::from_millis(300)).await, 20);
    service.recover();
    service.forget();
    assert_eq!(bench.reporter.flush(Duration::from_secs(30)).await, 0);
    for ticket in &tickets {
        ticket.delivered().await.unwrap();
    }
    assert_eq!(service.reports().len(), 20);
}

#[tokio::test]
async fn a_limit_holds_up_the_flush_too() {
    let service = StandIn::start().unwrap();
    service.behave_on(Endpoint::Report, Behaviour::rate_limited(600));
    let bench = bench(&service);
    let _ = bench.reporter.enqueue(report(1)).unwrap();
    let _ = bench.reporter.enqueue(report(2)).unwrap();
    service.reports_reach(1).await;
    let within = Duration::from_secs(30);
    assert_eq!(bench.reporter.flush(within).await, 2);
    service.recover();
    assert_eq!(bench.reporter.flush(within).await, 2);
    assert_eq!(service.reports().len(), 1);
}
