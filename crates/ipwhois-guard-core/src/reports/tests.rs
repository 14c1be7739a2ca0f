mod fakes;
mod log;
mod restart;
mod wire;

use self::fakes::NoShelf;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use self::fakes::{Answer, CALL, Service, Shelf, Time, WRITE, ip};
use super::*;
use crate::verdict::ThreatType;

/// A reporter at work.
struct Bench {
    reporter: Arc<Reporter>,
    task: JoinHandle<()>,
}

impl Bench {
    fn new(service: &Service) -> Self {
        Self::on(service, &Shelf::default())
    }

    fn on(service: &Service, shelf: &Shelf) -> Self {
        Self::at(service, shelf, &Time::new())
    }

    fn at(service: &Service, shelf: &Shelf, time: &Time) -> Self {
        Self::of(Reporter::new(
            Arc::new(service.clone()),
            Arc::new(shelf.clone()),
            Arc::new(time.clone()),
        ))
    }

    fn of(reporter: Reporter) -> Self {
        let reporter = Arc::new(reporter);
        let task = tokio::spawn(Arc::clone(&reporter).run());
        Self { reporter, task }
    }

    #[track_caller]
    fn report(&self, n: u32) -> Ticket {
        let report = Report::new(ip(n), ThreatType::BruteForce).with_message("5 failed logins");
        self.reporter.enqueue(report).unwrap()
    }

    fn counts(&self) -> ReportCounts {
        self.reporter.counts()
    }

    /// As if the process were killed: nothing that was under way goes on.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn a_report_is_on_the_shelf_until_the_service_has_accepted_it() {
    let (service, shelf) = (Service::always(Answer::Accept), Shelf::default());
    let bench = Bench::on(&service, &shelf);
    let ticket = bench.report(1);
    assert!(shelf.rows().is_empty());
    ticket.stored().await.unwrap();
    assert_eq!(shelf.rows().len(), 1);
    assert!(service.accepted().is_empty());
    ticket.delivered().await.unwrap();
    assert!(shelf.rows().is_empty());
    assert_eq!(service.accepted(), [(ip(1), 1)].into());
    let counts = bench.counts();
    assert_eq!((counts.pending, counts.delivered), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_reports_all_arrive_once_although_every_second_call_fails() {
    let service = Service::new(|call| match call % 8 {
        1 => Answer::Status(500),
        3 => Answer::Break,
        5 => Answer::Malformed,
        7 => Answer::Limited(Some(1)),
        _ => Answer::Accept,
    });
    let shelf = Shelf::default();
    let bench = Bench::on(&service, &shelf);
    let tickets: Vec<Ticket> = (0..10_000).map(|n| bench.report(n)).collect();
    for ticket in &tickets {
        ticket.delivered().await.unwrap();
    }
    let accepted = service.accepted();
    assert_eq!(accepted.len(), 10_000);
    assert!(accepted.values().all(|&times| times == 1));
    assert!(shelf.rows().is_empty());
    let counts = bench.counts();
    assert_eq!((counts.pending, counts.delivered), (0, 10_000));
}

#[tokio::test(start_paused = true)]
async fn what_one_reports_twice_is_sent_once_and_both_are_told() {
    let service = Service::always(Answer::Accept);
    let bench = Bench::new(&service);
    let first = bench.report(1);
    let second = bench.report(1);
    assert!(!first.is_duplicate() && second.is_duplicate());
    second.delivered().await.unwrap();
    let third = bench.report(1);
    third.delivered().await.unwrap();
    sleep(Duration::from_secs(901)).await;
    let later = bench.report(1);
    assert!(!later.is_duplicate());
    later.delivered().await.unwrap();
    assert_eq!(service.accepted(), [(ip(1), 2)].into());
    assert_eq!(bench.counts().duplicates, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_report_is_dropped_and_said() {
    for status in [400, 401, 403, 404, 413, 422] {
        let (service, shelf) = (Service::always(Answer::Status(status)), Shelf::default());
        let bench = Bench::on(&service, &shelf);
        let (ticket, same) = (bench.report(1), bench.report(1));
        for ticket in [&ticket, &same, &bench.report(1)] {
            let error = ticket.delivered().await.unwrap_err();
            assert!(matches!(error, ReportError::Refused { status: s } if s == status));
        }
        sleep(LONG).await;
        assert_eq!(service.calls().len(), 1, "{status}");
        assert!(shelf.rows().is_empty());
        assert_eq!((bench.counts().refused, bench.counts().pending), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn every_other_trouble_passes() {
    for trouble in [
        Answer::Status(500),
        Answer::Status(302),
        Answer::Status(409),
        Answer::Unavailable(5),
        Answer::Limited(Some(5)),
        Answer::Limited(None),
        Answer::Break,
        Answer::Malformed,
    ] {
        let service = Service::new(move |call| match call {
            0 | 1 => trouble,
            _ => Answer::Accept,
        });
        let bench = Bench::new(&service);
        bench.report(1).delivered().await.unwrap();
        assert_eq!(service.calls().len(), 3, "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_comes_back_gets_what_it_missed() {
    let (service, shelf) = (Service::always(Answer::Break), Shelf::default());
    let bench = Bench::on(&service, &shelf);
    let tickets: Vec<Ticket> = (0..100).map(|n| bench.report(n)).collect();
    sleep(LONG).await;
    assert_eq!(bench.counts().pending, 100);
    // Each report alone would have tried 19 times by now.
    let calls = service.calls().len();
    assert!((10..=40).contains(&calls), "{calls} calls");
    service.now(Answer::Accept);
    let back = Instant::now();
    for ticket in &tickets {
        ticket.delivered().await.unwrap();
    }
    assert!(
        back.elapsed() < Duration::from_secs(11 * 60),
        "{:?}",
        back.elapsed()
    );
    assert!(service.accepted().values().all(|&times| times == 1));
    assert!(shelf.rows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_retry_after_is_over() {
    for pause in [Answer::Limited(Some(600)), Answer::Unavailable(600)] {
        let service = Service::new(move |call| if call == 0 { pause } else { Answer::Accept });
        let bench = Bench::new(&service);
        let tickets = [bench.report(1), bench.report(2)];
        sleep(Duration::from_secs(300)).await;
        let late = bench.report(3);
        for ticket in &tickets {
            ticket.delivered().await.unwrap();
        }
        late.delivered().await.unwrap();
        let calls = service.calls();
        assert_eq!(calls.len(), 4);
        let gap = calls[1].0 - calls[0].0;
        assert!(gap >= Duration::from_secs(600), "{gap:?}");
        assert!(gap < Duration::from_secs(601), "{gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_is_given_up_after_24_hours() {
    let (service, shelf) = (Service::always(Answer::Break), Shelf::default());
    let bench = Bench::on(&service, &shelf);
    let begin = Instant::now();
    let error = bench.report(1).delivered().await.unwrap_err();
    assert!(matches!(error, ReportError::GivenUp), "{error:?}");
    let hours = begin.elapsed().as_secs_f64() / 3_600.0;
    assert!((23.99..24.01).contains(&hours), "{hours} h");
    assert!(shelf.rows().is_empty());
    assert_eq!((bench.counts().given_up, bench.counts().pending), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_the_newest() {
    let service = Service::always(Answer::Break);
    let bench = Bench::new(&service);
    for n in 0..10_000 {
        let _ = bench.report(n);
    }
    let one_more = Report::new(ip(10_000), ThreatType::Scan);
    let error = bench.reporter.enqueue(one_more).unwrap_err();
    assert!(matches!(error, ReportError::QueueFull));
    let counts = bench.counts();
    assert_eq!((counts.pending, counts.dropped_full), (10_000, 1));
    assert!(bench.report(7).is_duplicate());
}

#[tokio::test(start_paused = true)]
async fn a_flush_sends_what_waits_after_a_failure() {
    let (service, shelf) = (Service::always(Answer::Break), Shelf::default());
    let bench = Bench::on(&service, &shelf);
    let tickets: Vec<Ticket> = (0..20).map(|n| bench.report(n)).collect();
    sleep(LONG).await;
    service.now(Answer::Accept);
    let begin = Instant::now();
    assert_eq!(bench.reporter.flush(Duration::from_secs(5)).await, 0);
    assert!(shelf.rows().is_empty(), "what was sent is off the disk too");
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    for ticket in tickets {
        ticket.delivered().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_the_disk_to_forget_what_was_accepted() {
    let (service, shelf) = (Service::always(Answer::Accept), Shelf::default());
    let bench = Bench::on(&service, &shelf);
    let _ = bench.report(1);
    while service.accepted().is_empty() {
        sleep(WRITE / 5).await;
    }
    assert_eq!(shelf.rows().len(), 1);
    assert_eq!(bench.reporter.flush(LONG).await, 0);
    assert!(shelf.rows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_with_everything_on_disk() {
    let (service, shelf) = (
        Service::always(Answer::Limited(Some(600))),
        Shelf::default(),
    );
    let bench = Bench::on(&service, &shelf);
    let _ = (bench.report(1), bench.report(2));
    let begin = Instant::now();
    assert_eq!(bench.reporter.flush(Duration::from_secs(5)).await, 2);
    assert_eq!(shelf.rows().len(), 2);
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "no use in waiting"
    );

    service.now(Answer::Accept);
    let _ = bench.report(3);
    assert_eq!(bench.reporter.flush(Duration::from_secs(5)).await, 3);
    assert_eq!(service.calls().len(), 1, "the pause holds");
    assert_eq!(shelf.rows().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_outlast_its_time() {
    let service = Service::always(Answer::Accept);
    let bench = Bench::new(&service);
    for n in 0..1_000 {
        let _ = bench.report(n);
    }
    let begin = Instant::now();
    let left = bench.reporter.flush(Duration::from_secs(5)).await;
    assert!(begin.elapsed() <= Duration::from_secs(5));
    assert_eq!(left, 1_000 - service.accepted().len());
    // Sixty at once, then one a second.
    assert!((930..=940).contains(&left), "{left}");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_holds_up_no_report_for_long() {
    let (service, shelf) = (Service::always(Answer::Accept), Shelf::default());
    let bench = Bench::on(&service, &shelf);
    bench.report(0).delivered().await.unwrap();
    shelf.hang(true);
    let begin = Instant::now();
    bench.report(1).delivered().await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(6),
        "{:?}",
        begin.elapsed()
    );
    shelf.hang(false);
    let stored = bench.report(2);
    stored.stored().await.unwrap();
    shelf.hang(true);
    stored.delivered().await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(12),
        "{:?}",
        begin.elapsed()
    );
    shelf.hang(false);
    sleep(LONG).await;
    assert!(
        shelf.rows().is_empty(),
        "what the disk was late with is removed in the end"
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_when_the_guard_ends_is_told() {
    let service = Service::always(Answer::Break);
    let bench = Bench::new(&service);
    let ticket = bench.report(1);
    service.is_called().await;
    bench.reporter.close();
    let late = bench.reporter.enqueue(Report::new(ip(2), ThreatType::Scan));
    assert!(matches!(late, Err(ReportError::ShuttingDown)));
    bench.kill().await;
    let error = ticket.delivered().await.unwrap_err();
    assert!(matches!(error, ReportError::ShuttingDown), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_shelf_reports_are_delivered_all_the_same() {
    let service = Service::new(|call| {
        if call == 0 {
            Answer::Break
        } else {
            Answer::Accept
        }
    });
    let bench = Bench::of(Reporter::new(
        Arc::new(service.clone()),
        Arc::new(NoShelf),
        Arc::new(Time::new()),
    ));
    let ticket = bench.report(1);
    ticket.stored().await.unwrap();
    ticket.delivered().await.unwrap();
    assert_eq!(bench.reporter.flush(LONG).await, 0);
}

#[test]
fn chance_is_not_always_the_same() {
    let numbers: std::collections::HashSet<u32> = (0..100).map(|_| sender::random()).collect();
    assert!(numbers.len() > 90, "{}", numbers.len());
}
