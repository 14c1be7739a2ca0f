//! What happens to reports when the process ends and another one begins.

use super::fakes::WALL;
use super::*;
use crate::reports::report::encode;

fn row(n: u32, queued_at: u64) -> Vec<u8> {
    encode(&Report::new(ip(n), ThreatType::BruteForce), queued_at)
}

/// A shelf with these rows: number, client, age in seconds.
fn shelf(rows: &[(u64, u32, i64)]) -> Shelf {
    let shelf = Shelf::default();
    for &(number, n, age) in rows {
        shelf.set(number, row(n, WALL.saturating_add_signed(-age)));
    }
    shelf
}

async fn idle(bench: &Bench) {
    assert_eq!(bench.reporter.flush(LONG).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_process_killed_before_the_call_loses_and_repeats_nothing() {
    let (service, shelf) = (Service::always(Answer::Accept), Shelf::default());
    let bench = Bench::on(&service, &shelf);
    for n in 0..100 {
        let _ = bench.report(n);
    }
    bench.report(100).stored().await.unwrap();
    // The first call is under way, and has reached nobody.
    service.is_called().await;
    bench.kill().await;
    assert!(service.accepted().is_empty());
    assert_eq!(shelf.rows().len(), 101);

    let bench = Bench::on(&service, &shelf);
    idle(&bench).await;
    let accepted = service.accepted();
    assert_eq!(accepted.len(), 101);
    assert!(accepted.values().all(|&times| times == 1));
    assert!(shelf.rows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_process_killed_at_any_moment_repeats_one_report_at_most() {
    for ms in 0..400 {
        let (service, shelf) = (Service::always(Answer::Accept), Shelf::default());
        let bench = Bench::on(&service, &shelf);
        for n in 0..5 {
            let _ = bench.report(n);
        }
        bench.report(5).stored().await.unwrap();
        sleep(Duration::from_millis(ms)).await;
        bench.kill().await;
        // The disk's last write, which the end of the process would have stopped, comes after the
        // next start.
        let bench = Bench::on(&service, &shelf_without_last_write(&shelf));
        idle(&bench).await;
        let accepted = service.accepted();
        assert_eq!(accepted.len(), 6, "after {ms} ms");
        let calls: usize = accepted.values().sum();
        assert!(calls <= 7, "{calls} accepted after {ms} ms");
    }
}

/// The shelf as it is now: a copy that later writes do not reach.
fn shelf_without_last_write(shelf: &Shelf) -> Shelf {
    let copy = Shelf::default();
    for delivered in shelf.delivered() {
        copy.set_delivered(delivered);
    }
    for (row, bytes) in shelf.rows() {
        copy.set(row, bytes);
    }
    copy
}

#[tokio::test(start_paused = true)]
async fn a_report_whose_acceptance_got_lost_is_repeated() {
    let service = Service::new(|call| match call {
        0 => Answer::AcceptAndBreak,
        _ => Answer::Accept,
    });
    let bench = Bench::new(&service);
    bench.report(1).delivered().await.unwrap();
    assert_eq!(service.accepted(), [(ip(1), 2)].into());
}

#[tokio::test(start_paused = true)]
async fn old_reports_go_first_and_in_order() {
    let service = Service::always(Answer::Accept);
    let shelf = shelf(&[(7, 1, 50), (3, 2, 10), (5, 3, 4_000)]);
    let bench = Bench::on(&service, &shelf);
    let _ = bench.report(4);
    idle(&bench).await;
    let order: Vec<_> = service.calls().into_iter().map(|(_, ip)| ip).collect();
    assert_eq!(order, [ip(3), ip(1), ip(2), ip(4)]);
}

#[tokio::test(start_paused = true)]
async fn a_new_report_that_repeats_an_old_one_takes_its_row() {
    let service = Service::always(Answer::Accept);
    let shelf = shelf(&[(7, 1, 100), (8, 2, 1_000)]);
    let bench = Bench::on(&service, &shelf);
    // Before the shelf is read.
    let tickets = [bench.report(1), bench.report(2)];
    tickets[0].stored().await.unwrap();
    assert_eq!(shelf.rows().len(), 2);
    for ticket in &tickets {
        ticket.delivered().await.unwrap();
    }
    idle(&bench).await;
    assert_eq!(service.accepted(), [(ip(1), 1), (ip(2), 2)].into());
    assert!(shelf.rows().is_empty());
    assert!(bench.report(1).is_duplicate());
}

#[tokio::test(start_paused = true)]
async fn the_memory_of_a_pending_report_outlives_the_process() {
    let service = Service::always(Answer::Limited(Some(7_200)));
    let shelf = shelf(&[(7, 1, 600)]);
    let bench = Bench::on(&service, &shelf);
    sleep(Duration::from_secs(1)).await;
    assert!(bench.report(1).is_duplicate());
    sleep(Duration::from_secs(300)).await;
    assert!(!bench.report(1).is_duplicate());
    assert_eq!(bench.counts().pending, 2);
}

/// That a report of this age about this client was delivered.
fn delivered(n: u32, age: i64) -> Delivered {
    Delivered {
        ip: ip(n),
        threat_type: ThreatType::BruteForce,
        queued_at: WALL.saturating_add_signed(-age),
    }
}

#[tokio::test(start_paused = true)]
async fn the_memory_of_a_delivered_report_outlives_the_process() {
    let (service, shelf) = (Service::always(Answer::Accept), Shelf::default());
    let bench = Bench::on(&service, &shelf);
    bench.report(1).delivered().await.unwrap();
    bench.kill().await;
    assert_eq!(shelf.delivered(), [delivered(1, 0)]);

    let bench = Bench::on(&service, &shelf);
    idle(&bench).await;
    let again = bench.report(1);
    assert!(again.is_duplicate());
    again.delivered().await.unwrap();
    assert!(!bench.report(2).is_duplicate());
    sleep(Duration::from_secs(901)).await;
    assert!(!bench.report(1).is_duplicate());
    idle(&bench).await;
    assert_eq!(service.accepted(), [(ip(1), 2), (ip(2), 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_report_is_not_repeated_when_it_comes_before_the_memory_is_read() {
    let (service, shelf) = (Service::always(Answer::Accept), Shelf::default());
    shelf.set_delivered(delivered(1, 100));
    let bench = Bench::on(&service, &shelf);
    let (again, other) = (bench.report(1), bench.report(2));
    again.delivered().await.unwrap();
    other.delivered().await.unwrap();
    idle(&bench).await;
    assert_eq!(service.accepted(), [(ip(2), 1)].into());
    let counts = bench.counts();
    assert_eq!((counts.delivered, counts.duplicates), (1, 1));
    assert!(shelf.rows().is_empty());
    sleep(Duration::from_secs(790)).await;
    assert!(bench.report(1).is_duplicate());
    sleep(Duration::from_secs(20)).await;
    assert!(!bench.report(1).is_duplicate());
}

#[tokio::test(start_paused = true)]
async fn only_a_delivery_of_the_last_quarter_of_an_hour_counts() {
    for (age, is_duplicate) in [
        (0, true),
        (890, true),
        (900, false),
        (90_000, false),
        // The wall clock went back.
        (-200, true),
        (-5_000, false),
    ] {
        let (service, shelf) = (Service::always(Answer::Accept), Shelf::default());
        shelf.set_delivered(delivered(1, age));
        let bench = Bench::on(&service, &shelf);
        idle(&bench).await;
        assert_eq!(bench.report(1).is_duplicate(), is_duplicate, "{age} s");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_reported_again_after_a_restart() {
    let (service, shelf) = (Service::always(Answer::Status(403)), Shelf::default());
    let bench = Bench::on(&service, &shelf);
    assert!(bench.report(1).delivered().await.is_err());
    bench.kill().await;
    service.now(Answer::Accept);
    let bench = Bench::on(&service, &shelf);
    bench.report(1).delivered().await.unwrap();
    assert_eq!(service.accepted(), [(ip(1), 1)].into());
}

#[tokio::test(start_paused = true)]
async fn old_reports_that_repeat_each_other_are_sent_once() {
    let service = Service::always(Answer::Accept);
    let shelf = shelf(&[(1, 1, 3_000), (2, 1, 2_101), (3, 1, 2_100), (4, 1, 100)]);
    let bench = Bench::on(&service, &shelf);
    idle(&bench).await;
    assert_eq!(service.accepted(), [(ip(1), 3)].into());
    assert!(shelf.rows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn age_counts_across_the_restart() {
    let service = Service::always(Answer::Break);
    let shelf = shelf(&[(1, 1, 82_800), (2, 2, 86_400), (3, 3, 900_000)]);
    let bench = Bench::on(&service, &shelf);
    sleep(Duration::from_secs(1)).await;
    assert_eq!((bench.counts().given_up, bench.counts().pending), (2, 1));
    sleep(Duration::from_secs(3_590)).await;
    assert_eq!(bench.counts().pending, 1);
    sleep(Duration::from_secs(20)).await;
    assert_eq!((bench.counts().given_up, bench.counts().pending), (3, 0));
    assert!(shelf.rows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_went_back_makes_reports_new_and_not_immortal() {
    let (service, time) = (Service::always(Answer::Break), Time::new());
    let shelf = shelf(&[(1, 1, 0), (2, 1, -5_000)]);
    time.shift_wall(-1_000_000);
    let bench = Bench::at(&service, &shelf, &time);
    sleep(Duration::from_secs(86_000)).await;
    assert_eq!(
        bench.counts().pending,
        1,
        "of the same age, the same report"
    );
    sleep(Duration::from_secs(500)).await;
    assert_eq!((bench.counts().given_up, bench.counts().pending), (1, 0));
    assert!(shelf.rows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_report_from_before_the_date_was_set_is_sent() {
    let service = Service::always(Answer::Accept);
    let shelf = Shelf::default();
    shelf.set(1, row(1, 60));
    let bench = Bench::on(&service, &shelf);
    idle(&bench).await;
    assert_eq!(bench.counts().delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn rows_that_cannot_be_read_are_counted_and_left_alone() {
    let service = Service::always(Answer::Accept);
    let shelf = shelf(&[(1, 1, 0)]);
    let newer = String::from_utf8(row(2, WALL))
        .unwrap()
        .replace("\"v\":1", "\"v\":2");
    shelf.set(8, newer);
    shelf.set(9, "rubbish");
    let bench = Bench::on(&service, &shelf);
    let _ = bench.report(3);
    idle(&bench).await;
    assert_eq!(service.accepted(), [(ip(1), 1), (ip(3), 1)].into());
    assert_eq!(bench.counts().unreadable, 2);
    assert_eq!(shelf.rows().into_keys().collect::<Vec<_>>(), [8, 9]);
}

#[tokio::test(start_paused = true)]
async fn an_old_report_about_an_address_that_was_allowlisted_since_is_withdrawn() {
    let service = Service::always(Answer::Accept);
    let shelf = shelf(&[(1, 1, 0), (2, 2, 0)]);
    let reporter = Reporter::new(
        Arc::new(service.clone()),
        Arc::new(shelf.clone()),
        Arc::new(Time::new()),
    );
    let bench = Bench::of(reporter.screened(|client| client != ip(1)));
    idle(&bench).await;
    assert_eq!(service.accepted(), [(ip(2), 1)].into());
    assert!(shelf.rows().is_empty());
    assert_eq!(bench.counts().withdrawn, 1);
}

#[tokio::test(start_paused = true)]
async fn a_report_is_on_disk_well_within_100_ms() {
    let (service, shelf) = (Service::always(Answer::Break), Shelf::default());
    let bench = Bench::on(&service, &shelf);
    sleep(CALL / 2).await;
    let _ = bench.report(1);
    service.is_called().await;
    // A call is under way, and another after it.
    let late: Vec<Ticket> = (2..1_000).map(|n| bench.report(n)).collect();
    let begin = Instant::now();
    for ticket in &late {
        ticket.stored().await.unwrap();
    }
    assert!(begin.elapsed() <= 2 * WRITE, "{:?}", begin.elapsed());
    assert_eq!(shelf.rows().len(), 999);
}
