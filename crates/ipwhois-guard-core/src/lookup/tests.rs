use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::sync::watch;

use super::*;
use crate::cache::Ages;
use crate::clock::ManualClock;
use crate::error::ApiError;
use crate::service::CheckFuture;

const LISTED: Reputation = Reputation {
    listed: true,
    confidence: 95,
    threat_type: None,
};

/// A service that answers when it is told to, and counts.
#[derive(Clone, Debug)]
struct Service(Arc<ServiceState>);

#[derive(Debug)]
struct ServiceState {
    calls: Mutex<HashMap<IpAddr, usize>>,
    begun: watch::Sender<usize>,
    under_way: watch::Sender<usize>,
    most_under_way: AtomicUsize,
    hold: watch::Sender<bool>,
    fail: watch::Sender<bool>,
}

impl Service {
    fn new() -> Self {
        Self(Arc::new(ServiceState {
            calls: Mutex::default(),
            begun: watch::Sender::new(0),
            under_way: watch::Sender::new(0),
            most_under_way: AtomicUsize::new(0),
            hold: watch::Sender::new(false),
            fail: watch::Sender::new(false),
        }))
    }

    fn calls(&self) -> usize {
        *self.0.begun.borrow()
    }

    fn hold(&self, hold: bool) {
        self.0.hold.send_replace(hold);
    }

    fn fail(&self, fail: bool) {
        self.0.fail.send_replace(fail);
    }

    async fn calls_reach(&self, n: usize) {
        let mut begun = self.0.begun.subscribe();
        begun.wait_for(|begun| *begun >= n).await.unwrap();
    }
}

impl CheckService for Service {
    fn check(&self, ip: IpAddr) -> CheckFuture<'_> {
        Box::pin(async move {
            let state = &self.0;
            *state.calls.lock().unwrap().entry(ip).or_default() += 1;
            state.under_way.send_modify(|n| *n += 1);
            state
                .most_under_way
                .fetch_max(*state.under_way.borrow(), Ordering::SeqCst);
            state.begun.send_modify(|n| *n += 1);
            state.hold.subscribe().wait_for(|hold| !hold).await.unwrap();
            state.under_way.send_modify(|n| *n -= 1);
            if *state.fail.borrow() {
                Err(ApiError::Status { status: 500 })
            } else {
                Ok(LISTED.into())
            }
        })
    }
}

struct Bench {
    lookup: Arc<Lookup>,
    budget: Arc<DailyBudget>,
    service: Service,
    clock: ManualClock,
    /// Rung by the tests.
    alarm: Alarm,
}

fn bench(max_wait: Duration) -> Bench {
    let clock = ManualClock::new();
    let alarm = Alarm::default();
    let service = Service::new();
    let ages = Ages::new(
        Duration::from_secs(3_600),
        Duration::from_secs(86_400),
        Duration::from_secs(30),
    );
    let clock_of_guard: Arc<dyn Clock> = Arc::new(clock.clone());
    let journal = Arc::new(Journal::new(None, Arc::clone(&clock_of_guard)));
    let budget = Arc::new(DailyBudget::new(
        BUDGET,
        Arc::clone(&clock_of_guard),
        Arc::clone(&journal),
    ));
    let lookup = Lookup::new(
        VerdictCache::new(10_000, ages),
        Arc::new(service.clone()),
        clock_of_guard,
        max_wait,
        (Handle::current(), alarm.clone()),
        Arc::clone(&budget),
        journal,
    );
    lookup.open();
    Bench {
        lookup: Arc::new(lookup),
        budget,
        service,
        clock,
        alarm,
    }
}

/// Enough for every test that is not about it.
const BUDGET: u32 = 1_000_000;

fn question(ip: IpAddr) -> Question {
    Question {
        ip,
        purpose: Purpose::Explicit,
        clean_since: Tick::NEVER,
        refresh: false,
    }
}

impl Bench {
    async fn ask(&self, ip: IpAddr) -> Result<Reputation, Unverified> {
        wait(self.lookup.ask(question(ip))).await
    }
}

async fn wait(asked: Asked) -> Result<Reputation, Unverified> {
    let answer = match asked {
        Asked::Settled(answer) => answer,
        Asked::Waiting(waiting) => waiting.await,
    };
    answer.map(|found| found.reputation)
}

fn client(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x1900_0000 + n))
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_thousand_who_ask_at_once_make_one_call() {
    let bench = bench(LONG);
    bench.service.hold(true);
    let waiting: Vec<Asked> = (0..1_000)
        .map(|_| bench.lookup.ask(question(client(1))))
        .collect();
    bench.service.calls_reach(1).await;
    bench.service.hold(false);
    for asked in waiting {
        assert_eq!(wait(asked).await, Ok(LISTED));
    }
    assert_eq!(bench.service.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_order_of_asking_and_landing_makes_a_second_call() {
    let bench = Arc::new(bench(LONG));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..5_000 {
        let bench = Arc::clone(&bench);
        tasks.spawn(async move { bench.ask(client(n % 50)).await });
    }
    while let Some(answer) = tasks.join_next().await {
        assert_eq!(answer.unwrap(), Ok(LISTED));
    }
    assert_eq!(bench.service.calls(), 50);
}

#[tokio::test]
async fn who_hangs_up_neither_cancels_nor_repeats_the_call() {
    let bench = bench(LONG);
    bench.service.hold(true);
    let impatient = bench.lookup.ask(question(client(1)));
    bench.service.calls_reach(1).await;
    drop(impatient);
    let patient = bench.lookup.ask(question(client(1)));
    bench.service.hold(false);
    assert_eq!(wait(patient).await, Ok(LISTED));
    bench.lookup.settled().await;
    assert_eq!(bench.ask(client(1)).await, Ok(LISTED));
    assert_eq!(bench.service.calls(), 1);
}

/// Whether a request still waits.
fn waits(asked: &mut Asked) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    match asked {
        Asked::Settled(_) => false,
        Asked::Waiting(waiting) => Pin::new(waiting).poll(&mut cx).is_pending(),
    }
}

#[tokio::test]
async fn a_wait_ends_in_time_and_the_call_goes_on_for_the_next_request() {
    let bench = bench(Duration::from_millis(500));
    bench.service.hold(true);
    let before = Instant::now();
    let mut asked = bench.lookup.ask(question(client(1)));
    let after = Instant::now();
    bench.service.calls_reach(1).await;
    let next = bench.alarm.ring(before + Duration::from_millis(499));
    assert!(next.is_some_and(|next| next <= after + Duration::from_millis(500)));
    assert!(waits(&mut asked));
    bench.alarm.ring(after + Duration::from_millis(500));
    assert_eq!(wait(asked).await, Err(Unverified::TimedOut));
    // The same client does not wait again, and makes no second call.
    assert_eq!(
        bench.lookup.recall(client(1)),
        Memory::Failed(Unverified::TimedOut)
    );
    assert!(matches!(
        bench.lookup.ask(question(client(1))),
        Asked::Settled(Err(Unverified::TimedOut))
    ));
    bench.service.hold(false);
    bench.lookup.settled().await;
    assert_eq!(bench.lookup.recall(client(1)), Memory::Fresh(LISTED));
    assert_eq!(bench.service.calls(), 1);
}

#[tokio::test]
async fn who_comes_late_waits_only_for_the_rest() {
    let bench = bench(LONG);
    bench.service.hold(true);
    let first = bench.lookup.ask(question(client(1)));
    let after = Instant::now();
    bench.service.calls_reach(1).await;
    let late = bench.lookup.ask(question(client(1)));
    assert_eq!(bench.alarm.ring(after + LONG), None);
    assert_eq!(wait(first).await, Err(Unverified::TimedOut));
    assert_eq!(wait(late).await, Err(Unverified::TimedOut));
}

#[test]
fn a_wait_ends_though_the_guards_thread_never_runs() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let bench = {
        let _guard = runtime.enter();
        bench(LONG)
    };
    let asked = bench.lookup.ask(question(client(1)));
    bench.alarm.ring(Instant::now() + LONG);
    let mut cx = Context::from_waker(Waker::noop());
    let Asked::Waiting(mut waiting) = asked else {
        panic!("nothing is known");
    };
    let answer = Pin::new(&mut waiting).poll(&mut cx);
    assert_eq!(answer, Poll::Ready(Err(Unverified::TimedOut)));
    assert_eq!(bench.service.calls(), 0);
}

#[tokio::test]
async fn a_failure_is_remembered_and_asked_about_again_later() {
    let bench = bench(LONG);
    bench.service.fail(true);
    assert_eq!(bench.ask(client(1)).await, Err(Unverified::CallFailed));
    assert_eq!(bench.ask(client(1)).await, Err(Unverified::CallFailed));
    assert_eq!(bench.service.calls(), 1);
    bench.service.fail(false);
    bench.clock.advance(Duration::from_secs(30));
    assert_eq!(bench.ask(client(1)).await, Ok(LISTED));
    assert_eq!(bench.service.calls(), 2);
}

#[tokio::test]
async fn at_most_sixteen_calls_are_under_way() {
    let bench = bench(LONG);
    bench.service.hold(true);
    let waiting: Vec<Asked> = (0..200)
        .map(|n| bench.lookup.ask(question(client(n))))
        .collect();
    bench.service.calls_reach(16).await;
    bench.service.hold(false);
    for asked in waiting {
        assert_eq!(wait(asked).await, Ok(LISTED));
    }
    let most = bench.service.0.most_under_way.load(Ordering::SeqCst);
    assert_eq!(most, 16);
}

#[tokio::test]
async fn a_flood_of_strangers_is_cut_off_and_leaves_nothing_behind() {
    let bench = bench(LONG);
    bench.service.hold(true);
    let waiting: Vec<Asked> = (0..5_000)
        .map(|n| bench.lookup.ask(question(client(n))))
        .collect();
    let turned_away = waiting
        .iter()
        .filter(|asked| matches!(asked, Asked::Settled(Err(Unverified::Overloaded))));
    assert_eq!(turned_away.count(), 5_000 - MAX_FLIGHTS);
    drop(waiting);
    bench.service.hold(false);
    bench.lookup.settled().await;
    assert!(bench.lookup.flights.is_empty());
}

#[tokio::test]
async fn a_service_that_fails_is_left_alone_and_found_again() {
    let bench = bench(LONG);
    bench.service.fail(true);
    for n in 0..5 {
        assert_eq!(bench.ask(client(n)).await, Err(Unverified::CallFailed));
    }
    for n in 5..100 {
        assert_eq!(bench.ask(client(n)).await, Err(Unverified::BreakerOpen));
    }
    assert_eq!(bench.service.calls(), 5);
    let needs_check = || bench.lookup.needs_check(client(300));
    assert!(
        !needs_check(),
        "the breaker is the reason, and not the budget"
    );
    bench.service.fail(false);
    bench.clock.advance(Duration::from_secs(10));
    assert_eq!(bench.ask(client(200)).await, Ok(LISTED));
    assert!(needs_check());
    assert_eq!(bench.ask(client(5)).await, Ok(LISTED));
}

/// All ask before the first call fails.
async fn five_hundred_fail_at_once(bench: &Bench) {
    bench.service.hold(true);
    bench.service.fail(true);
    let waiting: Vec<Asked> = (0..500)
        .map(|n| bench.lookup.ask(question(client(n))))
        .collect();
    bench.service.calls_reach(16).await;
    bench.service.hold(false);
    for asked in waiting {
        assert!(wait(asked).await.is_err());
    }
}

#[tokio::test]
async fn who_queues_behind_a_failing_service_is_answered_without_a_call() {
    let bench = bench(LONG);
    five_hundred_fail_at_once(&bench).await;
    // The breaker opened at the fifth failure; the calls that were under way by then end as they
    // end.
    assert!(bench.service.calls() <= 16 + 5, "{}", bench.service.calls());
}

#[tokio::test]
async fn a_stale_verdict_is_refreshed_once_however_often_it_is_used() {
    let bench = bench(LONG);
    bench.ask(client(1)).await.unwrap();
    bench.clock.advance(Duration::from_secs(3_600));
    bench.service.hold(true);
    for _ in 0..100 {
        bench.lookup.refresh(client(1), false);
    }
    bench.service.calls_reach(2).await;
    bench.service.hold(false);
    bench.lookup.settled().await;
    assert_eq!(bench.lookup.recall(client(1)), Memory::Fresh(LISTED));
    assert_eq!(bench.service.calls(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_order_of_using_and_landing_refreshes_twice() {
    let bench = Arc::new(bench(LONG));
    for round in 1..=100 {
        bench.ask(client(1)).await.unwrap();
        bench.clock.advance(Duration::from_secs(3_600));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let bench = Arc::clone(&bench);
            tasks.spawn(async move {
                if let Memory::Stale { refresh: true, .. } = bench.lookup.recall(client(1)) {
                    bench.lookup.refresh(client(1), false);
                }
            });
        }
        tasks.join_all().await;
        bench.lookup.settled().await;
        assert_eq!(bench.service.calls(), 1 + round);
    }
}

#[tokio::test]
async fn refreshes_leave_room_for_strangers() {
    let bench = bench(LONG);
    for n in 0..200 {
        bench.ask(client(n)).await.unwrap();
    }
    bench.clock.advance(Duration::from_secs(3_600));
    bench.service.hold(true);
    for n in 0..200 {
        bench.lookup.refresh(client(n), false);
    }
    assert_eq!(bench.lookup.in_the_air.load(Ordering::Relaxed), 64);
    assert!(matches!(
        bench.lookup.ask(question(client(1_000))),
        Asked::Waiting(_)
    ));
    bench.service.hold(false);
    bench.lookup.settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_strangers_is_over_when_it_ends() {
    let bench = bench(Duration::from_millis(500));
    bench.service.hold(true);
    let burst: Vec<Asked> = (0..2_000)
        .map(|n| bench.lookup.ask(question(client(n))))
        .collect();
    bench
        .alarm
        .ring(Instant::now() + Duration::from_millis(500));
    for asked in burst {
        assert!(wait(asked).await.is_err());
    }
    // Those whose turn did not come in time are gone; only the calls themselves go on.
    while bench.lookup.in_the_air.load(Ordering::Relaxed) > MAX_CALLS {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(bench.service.calls(), MAX_CALLS);
    bench.service.hold(false);
    assert_eq!(bench.ask(client(9_999)).await, Ok(LISTED));
}

#[tokio::test]
async fn a_flight_that_is_thrown_away_strands_nobody() {
    let bench = bench(LONG);
    let landing = bench.lookup.prepare(question(client(1)), MAX_FLIGHTS);
    let landing = landing.unwrap();
    assert_eq!(bench.budget.spent_today(), 1);
    let waiting = landing.waiters.join();
    let waiters = Arc::clone(&landing.waiters);
    bench.lookup.flights.insert(client(1), waiters);
    drop(landing);
    assert_eq!(wait(waiting).await, Err(Unverified::ShuttingDown));
    assert_eq!(bench.budget.spent_today(), 0, "the check was not sent");
    assert!(bench.lookup.flights.is_empty());
    assert_eq!(bench.lookup.in_the_air.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn who_asks_before_the_state_folder_is_read_waits_for_it_and_pays_then() {
    let bench = bench(LONG);
    bench.lookup.opened.store(false, Ordering::SeqCst);
    let known = bench.lookup.ask(question(client(1)));
    let stranger = bench.lookup.ask(question(client(2)));
    tokio::task::yield_now().await;
    assert_eq!(bench.service.calls(), 0);
    assert_eq!(bench.budget.spent_today(), 0);
    bench.lookup.restore(client(1), LISTED, bench.lookup.now());
    bench.lookup.open();
    assert_eq!(wait(known).await, Ok(LISTED));
    assert_eq!(wait(stranger).await, Ok(LISTED));
    assert_eq!(bench.service.calls(), 1);
    assert_eq!(bench.budget.spent_today(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_for_the_state_folder_than_for_the_service() {
    let bench = bench(Duration::from_millis(500));
    bench.lookup.opened.store(false, Ordering::SeqCst);
    assert_eq!(bench.ask(client(1)).await, Err(Unverified::TimedOut));
    assert_eq!(bench.service.calls(), 0);
    bench.lookup.open();
    bench.clock.advance(Duration::from_secs(30));
    assert_eq!(bench.ask(client(1)).await, Ok(LISTED));
}

#[tokio::test]
async fn a_check_that_is_not_sent_is_given_back() {
    let bench = bench(LONG);
    five_hundred_fail_at_once(&bench).await;
    bench.lookup.settled().await;
    // The breaker opened; those that queued were never sent.
    let sent = u32::try_from(bench.service.calls()).unwrap();
    assert_eq!(bench.budget.spent_today(), sent);
}

#[tokio::test]
async fn a_clean_verdict_from_before_the_feed_does_not_answer_the_feeds_question() {
    let bench = bench(LONG);
    let now = bench.lookup.now();
    let clean = Reputation {
        listed: false,
        ..LISTED
    };
    bench.lookup.restore(client(1), clean, now);
    bench.clock.advance(Duration::from_secs(60));
    let doubted = Question {
        clean_since: bench.lookup.now(),
        ..question(client(1))
    };
    assert_eq!(bench.ask(client(1)).await, Ok(clean));
    assert_eq!(wait(bench.lookup.ask(doubted)).await, Ok(LISTED));
    assert_eq!(bench.service.calls(), 1);
}
