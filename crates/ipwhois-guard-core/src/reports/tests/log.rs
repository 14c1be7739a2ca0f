//! What the log says of reports, and what it does not.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

const SECRET: &str = "user root with password hunter2";

/// Keeps every event as a line of text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        if metadata.target() == "ipwhois_guard" {
            let mut log = self.0.lock().unwrap();
            let _ = write!(log, "{}", metadata.level());
            event.record(&mut Line(&mut log));
            log.push('\n');
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

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
