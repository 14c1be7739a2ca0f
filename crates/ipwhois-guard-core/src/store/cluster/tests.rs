use super::*;
use crate::budget::Purpose;
use crate::clock::{Clock, ManualClock};
use crate::state::Journal;
use crate::store::{BanRecord, Count, InMemory, Scope, Trouble, Troubled};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(26, 0, 0, 1));
const LEASE: Duration = Duration::from_secs(4);

struct Bench {
    cluster: Arc<Cluster>,
    troubled: Troubled<InMemory>,
    memory: InMemory,
    budget: Arc<DailyBudget>,
}

fn bench() -> Bench {
    bench_of(50)
}

fn bench_of(limit: u32) -> Bench {
    let memory = InMemory::new();
    let troubled = Troubled::new(memory.clone());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    let journal = Arc::new(Journal::new(None, Arc::clone(&clock)));
    let cluster = Arc::new(Cluster::new(Arc::new(troubled.clone()), Handle::current()));
    Bench {
        budget: Arc::new(DailyBudget::new(
            limit,
            clock,
            journal,
            Some(Arc::clone(&cluster)),
        )),
        cluster,
        troubled,
        memory,
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

    /// Spends checks as long as there are some, at most so many.
    async fn spend(&self, most: usize) -> usize {
        for n in 0..most {
            let patience = Duration::from_secs(10);
            let ip = IpAddr::from([26, 0, 0, 1]);
            let taken = self
                .budget
                .take_granted(Purpose::Explicit, ip, patience)
                .await;
            if taken.is_err() {
                return n;
            }
        }
        most
    }

    /// What the store has counted.
    async fn granted(&self) -> u32 {
        let request = self.budget.count().unwrap();
        let known = Count::default();
        let counted = self.memory.grant(BlockRequest { known, ..request });
        counted.await.unwrap().count.granted
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
async fn the_whole_day_is_spent_and_no_check_more() {
    for limit in [1, 50, 500, 1_000] {
        let bench = bench_of(limit);
        bench.cluster.begin(&bench.budget).await;
        assert_eq!(bench.spend(2_000).await, limit as usize);
        assert_eq!(bench.granted().await, limit);
        assert_eq!(bench.budget.spent_today(), limit);
    }
}

#[tokio::test(start_paused = true)]
async fn two_machines_spend_one_day() {
    let bench = bench_of(500);
    let other = bench.memory.another();
    let request = BlockRequest {
        checks: 100,
        ..bench.budget.count().unwrap()
    };
    assert_eq!(other.grant(request).await.unwrap().checks, 100);
    bench.cluster.begin(&bench.budget).await;
    assert_eq!(bench.budget.spent_today(), 100, "what others hold is gone");
    assert_eq!(bench.spend(2_000).await, 400);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_what_is_held_is_spent_and_no_more() {
    for trouble in [Trouble::Away, Trouble::Silent, Trouble::Unreadable] {
        let bench = bench_of(500);
        bench.cluster.begin(&bench.budget).await;
        assert_eq!(bench.spend(1).await, 1);
        bench.troubled.behave(trouble);
        let alone = bench.spend(500).await;
        assert!((6..=12).contains(&alone), "{alone} while it is {trouble:?}");
        bench.troubled.behave(Trouble::None);
        tokio::time::sleep(Duration::from_secs(10)).await;
        bench.cluster.probe(&bench.budget).await;
        assert_eq!(bench.spend(1_000).await, 500 - 1 - alone, "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_away_at_the_start_grants_as_soon_as_it_is_there() {
    let bench = bench();
    bench.troubled.behave(Trouble::Away);
    bench.cluster.begin(&bench.budget).await;
    assert_eq!(bench.spend(50).await, 0);
    bench.troubled.behave(Trouble::None);
    bench.cluster.probe(&bench.budget).await;
    assert_eq!(bench.spend(100).await, 50);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_has_forgotten_the_day_is_told_with_the_next_block() {
    let bench = bench();
    bench.cluster.begin(&bench.budget).await;
    assert_eq!(bench.spend(20).await, 20);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.memory.forget();
    assert_eq!(bench.spend(100).await, 30);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_has_forgotten_the_day_is_told_by_a_machine_that_spends_nothing() {
    let bench = bench();
    bench.cluster.begin(&bench.budget).await;
    assert_eq!(bench.spend(5).await, 5);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.memory.forget();
    let told = async {
        while bench.granted().await < 6 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = bench.cluster.keep(&bench.budget) => {}
        told = tokio::time::timeout(Duration::from_secs(31), told) => told.expect("it is told"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_given_back_at_the_end() {
    let bench = bench_of(500);
    bench.cluster.begin(&bench.budget).await;
    assert_eq!(bench.spend(3).await, 3);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(bench.granted().await > 3);
    let (day, checks) = bench.budget.surplus(true).unwrap();
    bench.cluster.give_back(day, checks).await;
    assert_eq!(bench.granted().await, 3);
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
