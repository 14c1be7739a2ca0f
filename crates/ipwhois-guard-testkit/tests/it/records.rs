//! What arrived, and waiting for it.

use std::thread;
use std::time::Duration;

use ipwhois_guard_testkit::Behaviour;

use crate::client::{Client, LONG, block_on, ip, start};

#[test]
fn a_check_is_recorded_as_it_was_asked() {
    let service = start();
    let mut client = Client::of(&service);
    client.get(
        "/api/check?x=1&ip=%3A%3Affff%3A25.0.0.1",
        "X-Api-Key: secret\r\nUser-Agent: guard/1\r\nAccept: a/b\r\n",
    );
    client.check("nonsense");
    let checks = service.checks();
    let [first, second] = checks.as_slice() else {
        panic!("two checks: {checks:?}");
    };
    assert_eq!(first.ip, "::ffff:25.0.0.1");
    assert_eq!(first.key.as_deref(), Some("secret"));
    assert_eq!(first.user_agent.as_deref(), Some("guard/1"));
    assert_eq!(first.header("accept"), Some("a/b"));
    assert_eq!(first.headers.len(), 4);
    assert_eq!((&*second.ip, &second.key), ("nonsense", &None));
    assert_eq!(service.checks_of(ip("25.0.0.1")), 1);
    assert_eq!(service.checks_of(ip("26.0.0.1")), 0);
}

#[test]
fn a_report_is_recorded_decoded_even_when_it_is_refused() {
    let service = start();
    let mut client = Client::of(&service);
    client.report("ip=25.0.0.1&type=scan&message=a+%26+b&source=waf");
    client.report("message=only");
    let reports = service.reports();
    let [first, second] = reports.as_slice() else {
        panic!("two reports: {reports:?}");
    };
    assert_eq!((&*first.ip, &*first.threat_type), ("25.0.0.1", "scan"));
    assert_eq!((&*first.message, &*first.source), ("a & b", "waf"));
    assert_eq!(first.key.as_deref(), Some("k"));
    assert_eq!(first.user_agent.as_deref(), Some("ua"));
    assert_eq!(first.header("x-api-key"), Some("k"));
    assert_eq!((&*second.ip, &*second.message), ("", "only"));
    assert_eq!(second.fields, [("message".to_owned(), "only".to_owned())]);
    assert!(service.wait_for_reports(2, LONG));
}

#[test]
fn concurrent_checks_are_counted_at_their_height() {
    let service = start();
    service.behave(Behaviour::Held);
    let mut clients: Vec<Client> = (0..5).map(|_| Client::of(&service)).collect();
    for client in &mut clients {
        client.send_check("26.0.0.1");
    }
    block_on(service.checks_reach(5));
    assert_eq!(service.max_concurrent_checks(), 5);
    assert_eq!(service.open_connections(), 5);
    service.forget();
    assert_eq!(service.max_concurrent_checks(), 5, "they still go on");
    service.recover();
    for client in &mut clients {
        client.reply();
    }
    service.forget();
    clients[0].check("26.0.0.1");
    clients[1].check("26.0.0.1");
    assert_eq!(service.max_concurrent_checks(), 1);
}

#[test]
fn forgetting_clears_the_records_only() {
    let service = start();
    service.list(ip("25.0.0.1"), 95);
    let mut client = Client::of(&service);
    client.check("25.0.0.1");
    client.report("ip=25.0.0.1&type=scan");
    client.get("/feed.txt", "");
    service.forget();
    assert_eq!(service.check_count(), 0);
    assert_eq!(service.checks(), []);
    assert_eq!(service.reports(), []);
    assert_eq!(service.feed_requests(), 0);
    assert_eq!(service.max_concurrent_checks(), 0);
    assert_eq!(service.open_connections(), 1);
    assert!(client.check("25.0.0.1").body.contains("true"));
}

#[test]
fn waiting_ends_when_it_happens_or_when_the_time_is_up() {
    let service = start();
    assert!(service.wait_for_checks(0, Duration::ZERO));
    assert!(!service.wait_for_checks(1, Duration::from_millis(5)));
    assert!(!service.wait_for_reports(1, Duration::ZERO));
    assert!(!service.wait_for_feed_requests(1, Duration::ZERO));

    let waiting = service.clone();
    let waiter = thread::spawn(move || {
        block_on(async {
            waiting.checks_reach(1).await;
            waiting.reports_reach(1).await;
            waiting.feed_requests_reach(1).await;
            waiting.connections_fall_to(0).await;
        });
    });
    let mut client = Client::of(&service);
    client.check("26.0.0.1");
    client.report("ip=25.0.0.1&type=scan");
    client.get("/feed.txt", "");
    assert!(service.wait_for_feed_requests(1, LONG));
    assert!(!service.wait_for_connections_to_fall(0, Duration::from_millis(5)));
    drop(client);
    waiter.join().unwrap();
    assert_eq!(service.open_connections(), 0);
}
