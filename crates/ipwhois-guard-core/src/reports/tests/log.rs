//! What the log says of reports, and what it does not.

use super::*;
use crate::testing::Log;

const SECRET: &str = "user root with password hunter2";

#[tokio::test(start_paused = true)]
async fn a_lost_report_is_said_with_its_client_and_type_and_never_its_message() {
    let log = Log::default();
    let _on = tracing::subscriber::set_default(log.clone());
    let service = Service::new(|call| match call {
        0 => Answer::Status(401),
        1 => Answer::Accept,
        _ => Answer::Break,
    });
    let bench = Bench::new(&service);
    let tickets = [1, 2, 3].map(|n| {
        let report = Report::new(ip(n), ThreatType::BruteForce).with_message(SECRET);
        bench.reporter.enqueue(report).unwrap()
    });
    for ticket in &tickets {
        let _ = ticket.delivered().await;
    }
    crate::events::flush(Duration::from_secs(20));
    let log = log.0.lock().unwrap().clone();
    let warning = |client: &str, words: &str| {
        log.lines().any(|line| {
            let is_about = line.contains(client) && line.contains("threat_type=brute-force");
            line.starts_with("WARN") && is_about && line.contains(words)
        })
    };
    assert!(warning("client=25.0.0.1", "status=401"), "{log}");
    assert!(warning("client=25.0.0.3", "given up"), "{log}");
    assert!(!warning("client=25.0.0.2", ""), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}
