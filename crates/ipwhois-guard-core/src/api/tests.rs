use std::net::Ipv4Addr;

use ipwhois_guard_testkit::{Behaviour, StandIn};

use super::*;
use crate::clock::ManualClock;
use crate::service::Quota;
use crate::settings::Settings;

const LISTED: IpAddr = IpAddr::V4(Ipv4Addr::new(25, 0, 0, 7));
const KEY: &str = "secret-marker-5f1c";

fn service() -> StandIn {
    let service = StandIn::start().unwrap();
    service.list_as(LISTED, 95, "scan");
    service
}

fn client(service: &StandIn, timeout: Duration) -> ApiClient {
    let settings = Settings {
        api_url: service.url(),
        api_key: Some(KEY.into()),
        api_timeout: timeout,
        ..Settings::default()
    };
    ApiClient::new(&settings, Arc::new(ManualClock::new())).unwrap()
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_check_names_the_address_the_key_and_itself() {
    let service = service();
    let reply = client(&service, LONG).check(LISTED).await.unwrap();
    let reputation = reply.reputation;
    assert_eq!(reply.quota, None);
    assert!(reputation.listed);
    assert_eq!(reputation.confidence, 95);
    assert_eq!(reputation.threat_type, Some(ThreatType::Scan));
    let checks = service.checks();
    assert_eq!(checks[0].ip, "25.0.0.7");
    assert_eq!(checks[0].key.as_deref(), Some(KEY));
    assert!(
        checks[0]
            .user_agent
            .as_deref()
            .is_some_and(|agent| agent.starts_with("ipwhois-guard/"))
    );
}

#[tokio::test]
async fn a_base_url_may_end_in_a_slash() {
    let service = service();
    let settings = Settings {
        api_url: format!("{}/", service.url()),
        ..Settings::default()
    };
    let client = ApiClient::new(&settings, Arc::new(ManualClock::new())).unwrap();
    assert!(client.check(LISTED).await.unwrap().reputation.listed);
    assert_eq!(service.checks()[0].key, None);
}

#[tokio::test]
async fn a_report_arrives_with_its_form_fields() {
    let service = service();
    let report = Report::new(LISTED, ThreatType::BruteForce).with_message("5 failed logins & more");
    let client = client(&service, LONG);
    assert!(client.deliver(&report).await.is_ok());
    let reports = service.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].ip, "25.0.0.7");
    assert_eq!(reports[0].threat_type, "brute-force");
    assert_eq!(reports[0].message, "5 failed logins & more");
    assert_eq!(reports[0].source, "waf");
    assert_eq!(reports[0].key.as_deref(), Some(KEY));
}

#[tokio::test]
async fn one_deadline_covers_every_way_to_be_slow() {
    for slow in [
        Behaviour::Hang,
        Behaviour::SlowBody {
            pause: Duration::from_millis(20),
        },
    ] {
        let service = service();
        service.behave(slow);
        let error = client(&service, Duration::from_millis(100))
            .check(LISTED)
            .await
            .unwrap_err();
        assert!(matches!(error, ApiError::Timeout { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn each_trouble_has_its_name() {
    let service = service();
    let client = client(&service, LONG);
    let name = async |behaviour| {
        service.behave(behaviour);
        let error = client.check(LISTED).await.unwrap_err();
        match error {
            ApiError::Transport { connected, .. } => {
                assert!(connected);
                "transport"
            }
            ApiError::RateLimited { retry_after } => {
                assert_eq!(retry_after, Some(Duration::from_secs(7)));
                "rate limited"
            }
            ApiError::KeyRefused { .. } => "key refused",
            ApiError::Status { .. } => "status",
            ApiError::Malformed { .. } => "malformed",
            ApiError::TooLarge { .. } => "too large",
            ApiError::Page { .. } => "page",
            ApiError::Timeout { .. } => "timeout",
        }
    };
    assert_eq!(name(Behaviour::Reset).await, "transport");
    assert_eq!(name(Behaviour::CloseEarly).await, "transport");
    assert_eq!(name(Behaviour::Truncated).await, "transport");
    assert_eq!(name(Behaviour::ResetMidBody).await, "transport");
    assert_eq!(name(Behaviour::rate_limited(7)).await, "rate limited");
    assert_eq!(name(Behaviour::status(401)).await, "key refused");
    assert_eq!(name(Behaviour::status(403)).await, "key refused");
    assert_eq!(name(Behaviour::status(500)).await, "status");
    assert_eq!(name(Behaviour::status(204)).await, "status");
    assert_eq!(
        name(Behaviour::Redirect("/api/check".into())).await,
        "status"
    );
    assert_eq!(name(Behaviour::html()).await, "page");
    assert_eq!(name(Behaviour::Endless).await, "too large");
}

#[tokio::test]
async fn no_error_shows_the_key_or_the_url() {
    let service = service();
    let client = client(&service, LONG);
    assert!(!format!("{client:?}").contains(KEY));
    service.refuse_connections();
    let error = client.check(LISTED).await.unwrap_err();
    let mut text = format!("{error:?}");
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        text.push_str(&error.to_string());
        cause = error.source();
    }
    assert!(!text.contains(KEY), "{text}");
    assert!(!text.contains("check?ip="), "{text}");
}

#[tokio::test]
async fn a_reply_may_say_how_many_checks_are_left() {
    let service = service();
    service.behave(Behaviour::Reply {
        status: 200,
        headers: vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("RateLimit-Remaining".to_owned(), "17".to_owned()),
        ],
        body: br#"{"listed":false}"#.to_vec(),
    });
    let reply = client(&service, LONG).check(LISTED).await.unwrap();
    let quota = Quota {
        left: 17,
        resets_in: None,
    };
    assert_eq!(reply.quota, Some(quota));
}

#[tokio::test]
async fn a_call_that_never_reached_the_service_says_so() {
    let service = service();
    let client = client(&service, LONG);
    service.refuse_connections();
    let error = client.check(LISTED).await.unwrap_err();
    assert!(
        matches!(
            error,
            ApiError::Transport {
                connected: false,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn only_json_is_the_services_own_word_on_the_key() {
    let service = service();
    let client = client(&service, LONG);
    let told = async |status, content_type, body: &str| {
        service.behave(Behaviour::reply(status, content_type, body));
        let check = client.check(LISTED).await.unwrap_err();
        let report = Report::new(LISTED, ThreatType::Scan);
        let report = client.deliver(&report).await.unwrap_err().error;
        assert_eq!(check.to_string(), report.to_string());
        check.to_string()
    };
    const PAGE: &str = "<!doctype html><title>One moment</title>";
    for status in [401, 403] {
        let key = format!("the service refuses the key: status {status}");
        for body in [r#"{"error":"invalid API key"}"#, " {}"] {
            assert_eq!(told(status, "application/json", body).await, key);
            assert_eq!(told(status, "text/plain", body).await, key);
        }
        let page = format!("a page came instead of a reply (status {status}): a challenge");
        for (content_type, body) in [
            ("text/html; charset=UTF-8", PAGE),
            ("TEXT/HTML", r#"{"error":"invalid API key"}"#),
            ("application/xhtml+xml", ""),
            ("text/plain", PAGE),
        ] {
            let text = told(status, content_type, body).await;
            assert!(text.starts_with(&page), "{text}");
        }
        let neither = format!("the service answers status {status}: this is not");
        for body in ["", "forbidden", "[]", r#"{"error":"#] {
            let text = told(status, "text/plain", body).await;
            assert!(text.starts_with(&neither), "{text}");
        }
    }
    for (status, content_type, words) in [
        (
            404,
            "text/plain",
            "status 404: is `api_url` the base, without `/check`?",
        ),
        (
            404,
            "text/html",
            "(status 404): is `api_url` the base, without `/check`?",
        ),
        (301, "text/html", "status 301: no redirect is followed"),
        (402, "text/plain", "status 402: the plan"),
        (407, "text/plain", "status 407: a proxy"),
        (
            407,
            "text/html",
            "(status 407): a challenge, a firewall or a proxy",
        ),
        (503, "text/html", "the service answers status 503"),
    ] {
        let text = told(status, content_type, "").await;
        assert!(text.contains(words), "{text}");
    }
}
