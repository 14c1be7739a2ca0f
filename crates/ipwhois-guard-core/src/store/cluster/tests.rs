use super::*;
use crate::clock::{Clock, ManualClock};
use crate::state::Journal;
use crate::store::{BanRecord, Claim, InMemory, Scope, Trouble, Troubled};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(26, 0, 0, 1));
const LEASE: Duration = Duration::from_secs(4);
const REFUSED: Result<Option<u32>, Unspent> = Err(Unspent::NoBudget { spent: None });

struct Bench {
    cluster: Arc<Cluster>,
    troubled: Troubled<InMemory>,
    memory: InMemory,
    budget: DailyBudget,
}

fn bench() -> Bench {
    let memory = InMemory::new();
    let troubled = Troubled::new(memory.clone());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    let journal = Arc::new(Journal::new(None, Arc::clone(&clock)));
    Bench {
        cluster: Arc::new(Cluster::new(Arc::new(troubled.clone()), Handle::current())),
        troubled,
        memory,
        budget: DailyBudget::new(50, clock, journal),
    }
}

impl Bench {
    async fn fail_until_it_opens(&self, trouble: Trouble) {
        self.troubled.behave(trouble);
        for _ in 0..3 {
            assert!(self.cluster.is_there());
            assert_eq!(self.cluster.look(CLIENT, LEASE).await, None);
        }
        assert!(!self.cluster.is_there());
    }

    fn claim(&self) -> Claim {
        Claim {
            day: self.budget.today(),
            known: 0,
            below: 50,
            rations: Vec::new(),
        }
    }

    async fn spend(&self, left: u32) -> Result<Option<u32>, Unspent> {
        let mut share = self.cluster.spend(self.claim(), left).await?;
        share.sent();
        Ok(share.spent)
    }

    /// Until it is away for so long that this machine may spend alone.
    async fn keep_until_alone(&self) {
        let alone = async {
            while !self.cluster.state().may_spend_alone() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = self.cluster.keep(&self.budget) => {}
            () = alone => {}
        }
    }

    /// Keeps the store until it is there, and answers how long that took.
    async fn keep_until_there(&self) -> Duration {
        let since = Instant::now();
        let there = async {
            while !self.cluster.is_there() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = self.cluster.keep(&self.budget) => {}
            () = there => {}
        }
        since.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_silent_tier_waits_50_ms_and_the_fourth_does_not_wait() {
    let bench = bench();
    bench.troubled.behave(Trouble::Silent);
    for expected in [50, 50, 50, 0, 0] {
        let since = Instant::now();
        assert_eq!(bench.cluster.look(CLIENT, LEASE).await, None);
        let waited = since.elapsed().as_millis();
        assert!((expected..=expected + 1).contains(&waited), "{waited} ms");
    }
    assert_eq!(bench.troubled.calls(), 3);
    assert_eq!(bench.cluster.status().1, 3);
}

#[tokio::test(start_paused = true)]
async fn a_probe_after_a_second_finds_it_back() {
    let bench = bench();
    bench.fail_until_it_opens(Trouble::Away).await;
    let (error, _) = bench.cluster.status();
    assert!(error.is_some_and(|error| error.contains("cannot be reached")));
    bench.troubled.behave(Trouble::None);
    let away = bench.keep_until_there().await.as_millis();
    assert!((1_000..1_010).contains(&away), "{away} ms");
    assert_eq!(bench.cluster.status(), (None, 3));
}

#[tokio::test]
async fn what_nobody_can_read_opens_nothing() {
    let bench = bench();
    bench.troubled.behave(Trouble::Unreadable);
    for _ in 0..10 {
        assert_eq!(bench.cluster.look(CLIENT, LEASE).await, None);
    }
    assert!(bench.cluster.is_there());
    let (error, failures) = bench.cluster.status();
    assert!(error.is_some_and(|error| error.contains("a list where a number should be")));
    assert_eq!(failures, 10);
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_alone_is_added_before_anybody_spends_again() {
    let bench = bench();
    assert_eq!(bench.spend(50).await, Ok(Some(1)));
    bench.fail_until_it_opens(Trouble::Away).await;
    bench.keep_until_alone().await;
    for _ in 0..4 {
        assert_eq!(bench.spend(49).await, Ok(None));
    }
    assert_eq!(bench.spend(45).await, REFUSED);
    bench.troubled.behave(Trouble::None);
    bench.keep_until_there().await;
    assert_eq!(bench.budget.spent_today(), 5, "believed");
    assert_eq!(bench.spend(45).await, Ok(Some(6)));
}

#[tokio::test(start_paused = true)]
async fn for_three_seconds_nothing_is_spent_without_the_tier_and_then_a_share() {
    for (trouble, heard, share) in [
        (Trouble::Away, false, 1),
        (Trouble::Silent, false, 1),
        (Trouble::Away, true, 5),
    ] {
        let bench = bench();
        if heard {
            bench.cluster.begin(&bench.budget).await;
        }
        bench.troubled.behave(trouble);
        for _ in 0..10 {
            assert_eq!(bench.spend(50).await, REFUSED, "{trouble:?}");
        }
        let since = Instant::now();
        bench.keep_until_alone().await;
        let waited = since.elapsed().as_millis();
        assert!((3_000..3_200).contains(&waited), "{waited} ms");
        for n in 0..10 {
            let expected = if n < share { Ok(None) } else { REFUSED };
            assert_eq!(bench.spend(50).await, expected, "{trouble:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_misses_a_deadline_now_and_then_is_never_done_without() {
    let bench = bench();
    for n in 1..=20 {
        bench.troubled.behave(Trouble::Silent);
        assert_eq!(bench.spend(50).await, REFUSED);
        assert_eq!(bench.spend(50).await, REFUSED);
        bench.troubled.behave(Trouble::None);
        assert_eq!(bench.spend(50).await, Ok(Some(n)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_has_forgotten_the_day_is_told_with_the_next_check() {
    let bench = bench();
    for n in 1..=20 {
        assert_eq!(bench.spend(50).await, Ok(Some(n)));
    }
    bench.memory.forget();
    assert_eq!(bench.spend(30).await, Ok(Some(21)));
    // What is taken back is not told.
    drop(bench.cluster.spend(bench.claim(), 29).await);
    tokio::task::yield_now().await;
    bench.memory.forget();
    assert_eq!(bench.spend(29).await, Ok(Some(22)));
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_has_forgotten_the_day_is_told_by_a_machine_that_spends_nothing() {
    let bench = bench();
    bench.cluster.begin(&bench.budget).await;
    assert_eq!(bench.spend(50).await, Ok(Some(1)));
    bench.memory.forget();
    let day = bench.budget.today();
    let told = async {
        while bench.cluster.shared.add_spent(day, 0, 0).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = bench.cluster.keep(&bench.budget) => {}
        told = tokio::time::timeout(Duration::from_secs(31), told) => told.expect("it is told"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_knew_is_told_though_the_start_missed_the_tier() {
    let bench = bench();
    bench.budget.adopt(bench.budget.today(), 20);
    bench.troubled.behave(Trouble::Silent);
    bench.cluster.begin(&bench.budget).await;
    bench.troubled.behave(Trouble::None);
    assert_eq!(bench.spend(30).await, Ok(Some(21)));
}

#[tokio::test]
async fn a_failure_that_opens_nothing_is_settled_by_the_next_check() {
    let bench = bench();
    bench.troubled.behave(Trouble::Unreadable);
    assert_eq!(bench.spend(50).await, Ok(None));
    bench.troubled.behave(Trouble::None);
    assert_eq!(bench.spend(49).await, Ok(Some(2)));
    assert_eq!(bench.spend(48).await, Ok(Some(3)));
}

#[tokio::test]
async fn a_check_that_was_not_sent_is_taken_back() {
    let bench = bench();
    let share = bench.cluster.spend(bench.claim(), 50).await.unwrap();
    assert_eq!(share.spent, Some(1));
    drop(share);
    tokio::task::yield_now().await;
    assert_eq!(bench.spend(50).await, Ok(Some(1)));
}

#[tokio::test]
async fn a_lease_that_is_dropped_lets_another_machine_try() {
    let bench = bench();
    let other = bench.cluster.shared.look(CLIENT, LEASE).await.unwrap();
    assert_eq!(other, Seen::Leased);
    assert_eq!(bench.cluster.look(CLIENT, LEASE).await, Some(Seen::Awaited));
    drop(Lease::new(Arc::clone(&bench.cluster), CLIENT));
    tokio::task::yield_now().await;
    assert_eq!(bench.cluster.look(CLIENT, LEASE).await, Some(Seen::Leased));
    Lease::new(Arc::clone(&bench.cluster), CLIENT).ended();
    tokio::task::yield_now().await;
    assert_eq!(bench.cluster.look(CLIENT, LEASE).await, Some(Seen::Awaited));
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_answers_and_cannot_be_listened_to_is_told_until_it_can() {
    let bench = bench();
    bench.troubled.behave(Trouble::Mute);
    let until_heard = |is_heard: bool| {
        let bench = &bench;
        async move {
            let since = Instant::now();
            while bench.cluster.unheard().is_none() != is_heard {
                assert!(since.elapsed() < Duration::from_secs(60));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    let script = async {
        let since = Instant::now();
        until_heard(false).await;
        let after = since.elapsed().as_secs();
        assert_eq!(after, 3, "100, 200, … 1,600 ms between six attempts");
        let unheard = bench.cluster.unheard();
        assert!(unheard.is_some_and(|error| error.contains("NOPERM")));
        // What is called is well, and is no answer to that.
        assert!(bench.cluster.look(CLIENT, LEASE).await.is_some());
        let (error, _) = bench.cluster.status();
        assert!(error.is_some_and(|error| error.contains("NOPERM")));
        bench.troubled.behave(Trouble::None);
        until_heard(true).await;
        assert_eq!(bench.cluster.status().0, None);
    };
    tokio::select! {
        () = bench.cluster.listen(|_| ()) => {}
        () = script => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_taken_up_again_and_brings_the_bans_in_force() {
    let bench = bench();
    let ban = BanRecord {
        scope: Scope::of(CLIENT),
        age: Duration::ZERO,
        left: LEASE,
    };
    bench.troubled.behave(Trouble::Away);
    let heard = Mutex::new(Vec::new());
    let hear = |announcement| heard.lock().unwrap().push(announcement);
    let script = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        // At once, after 100 ms, and 200 ms after that.
        assert_eq!(bench.cluster.status().1, 2);
        bench.troubled.behave(Trouble::None);
        bench.cluster.tell_bans(&[ban]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    tokio::select! {
        () = bench.cluster.listen(hear) => {}
        () = script => {}
    }
    let heard = heard.lock().unwrap();
    assert!(
        matches!(heard[..], [Announcement::Ban(heard)] if heard.scope == ban.scope),
        "{heard:?}"
    );
}
