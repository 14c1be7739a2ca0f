use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread;

use ipwhois_guard_testkit::{Behaviour, Endpoint, StandIn};
use tokio::time::Instant;

use super::*;
use crate::clock::ManualClock;
use crate::feed::FeedAction;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn address(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x1900_0000 + n).into()
}

/// A feed of these addresses, with the header that belongs to it.
fn list(addresses: impl IntoIterator<Item = u32>) -> String {
    let entries: Vec<String> = addresses
        .into_iter()
        .map(|n| address(n).to_string())
        .collect();
    let header = "# Generated: 2026-08-22 04:30:03 UTC | Entries:";
    format!("{header} {}\n{}\n", entries.len(), entries.join("\n"))
}

/// A keeper of the stand-in's feed, and what it gives away to be stored.
struct Bench {
    service: StandIn,
    clock: ManualClock,
    keeper: Arc<FeedKeeper>,
    stored: mpsc::Receiver<StoredFeed>,
}

fn settings(service: &StandIn) -> Settings {
    Settings {
        feed_url: Some(service.feed_url()),
        ..Settings::default()
    }
}

fn keeper(
    settings: &Settings,
    clock: &ManualClock,
    deadline: Duration,
) -> (Arc<FeedKeeper>, mpsc::Receiver<StoredFeed>) {
    let (sender, stored) = mpsc::channel();
    let source = FeedSource::new(settings).expect("good settings");
    let keeper = FeedKeeper::with_source(
        source.map(|source| source.with_deadline(deadline)),
        settings.feed_interval,
        Arc::new(clock.clone()),
        Box::new(move |feed| {
            let _ = sender.send(feed);
        }),
    );
    (Arc::new(keeper), stored)
}

impl Bench {
    fn new() -> Self {
        Self::with_deadline(Duration::from_secs(30))
    }

    fn with_deadline(deadline: Duration) -> Self {
        let service = StandIn::start().expect("a free port");
        let clock = ManualClock::new();
        let (keeper, stored) = keeper(&settings(&service), &clock, deadline);
        Self {
            service,
            clock,
            keeper,
            stored,
        }
    }

    /// Serves this text and asks for it.
    async fn offer(&self, text: &str) -> Result<FeedUpdate, FeedError> {
        self.service.set_feed(text);
        self.keeper.refresh().await
    }

    fn lists(&self, n: u32) -> bool {
        self.keeper.lists(address(n)).is_some()
    }

    fn now(&self) -> Tick {
        Tick::at(self.clock.elapsed())
    }
}

#[tokio::test]
async fn a_feed_is_in_force_once_it_is_fetched() {
    let bench = Bench::new();
    assert!(!bench.lists(1));
    assert_eq!(bench.keeper.status(), FeedStatus::default());

    bench.clock.advance(Duration::from_secs(7));
    let text = list([1, 2, 3]);
    let update = bench.offer(&text).await.expect("a good feed");
    assert_eq!(update, FeedUpdate::Replaced { entries: 3 });
    assert_eq!(bench.keeper.lists(address(1)), Some(bench.now()));
    assert!(!bench.lists(4));
    let status = bench.keeper.status();
    assert_eq!(status.entries, 3);
    assert_eq!(status.age, Some(Duration::ZERO));
    assert_eq!(status.last_error, None);

    let stored = bench.stored.try_recv().expect("a feed to store");
    assert_eq!(stored.text, text.as_bytes());
    assert_eq!(stored.fetched, bench.clock.wall());
    assert!(stored.validators.etag.is_some());
}

#[tokio::test]
async fn an_unchanged_list_is_as_old_as_before_and_known_to_be_current() {
    let bench = Bench::new();
    bench.offer(&list([1, 2])).await.expect("a good feed");
    let since = bench.now();
    let _ = bench.stored.try_recv();

    // Not sent again; sent again with another date; and sent by a server that forgot what it sent.
    for text in [list([1, 2]), list([1, 2]).replace("22", "23"), list([2, 1])] {
        bench.clock.advance(Duration::from_secs(60));
        let update = bench.offer(&text).await.expect("the same feed");
        assert_eq!(update, FeedUpdate::Unchanged);
        assert_eq!(bench.keeper.lists(address(1)), Some(since));
        let status = bench.keeper.status();
        assert_eq!(status.age, Some(Duration::ZERO));
        assert!(bench.stored.try_recv().is_err(), "nothing new to store");
    }
    assert_eq!(bench.service.feed_not_modified(), 1);
    // The latest text is the one that is asked about.
    bench.keeper.refresh().await.expect("the same feed");
    assert_eq!(bench.service.feed_not_modified(), 2);
}

#[tokio::test]
async fn another_list_replaces_the_last_one_whole() {
    let bench = Bench::new();
    bench.offer(&list([1, 2])).await.expect("a good feed");
    bench.clock.advance(Duration::from_secs(60));
    bench.offer(&list([2, 3])).await.expect("another feed");
    assert!(!bench.lists(1));
    assert_eq!(bench.keeper.lists(address(2)), Some(bench.now()));
    assert!(bench.lists(3));
    assert_eq!(bench.stored.try_iter().count(), 2);
}

#[tokio::test]
async fn whatever_goes_wrong_the_last_good_feed_stays() {
    let bench = Bench::new();
    let page = "<!DOCTYPE html>\n<html>25.0.0.1</html>\n";
    let served = |text: &str| Behaviour::reply(200, "text/plain", text);
    let troubles: [(Behaviour, &str); 10] = [
        (Behaviour::Truncated, "the feed's server cannot be reached"),
        (
            Behaviour::ResetMidBody,
            "the feed's server cannot be reached",
        ),
        (Behaviour::CloseEarly, "the feed's server cannot be reached"),
        (
            Behaviour::status(500),
            "the feed's server answers status 500",
        ),
        (
            Behaviour::status(304),
            "the feed's server answers status 304",
        ),
        (Behaviour::html(), "is an HTML page"),
        (served(page), "is an HTML page of 38 bytes"),
        (
            served(&list([1]).replace("Entries: 1", "Entries: 9")),
            "announces 9 entries and has 1",
        ),
        (served(""), "has no entry in 0 bytes"),
        (served("rubbish"), "has 1 bad lines and 0 good ones"),
    ];
    for round in 0..2 {
        // Another list than the one in force, so that there is something to send.
        bench.service.set_feed(&list(1..12));
        for (behaviour, message) in &troubles {
            // An unconditional 304 is a fault only for who has nothing.
            if round == 1 && *behaviour == Behaviour::status(304) {
                continue;
            }
            bench.service.behave_on(Endpoint::Feed, behaviour.clone());
            let error = bench.keeper.refresh().await.expect_err(message);
            assert!(
                error.to_string().contains(message),
                "{error} is not {message}"
            );
            let told = bench.keeper.status().last_error.expect("an error");
            assert!(told.contains(message), "{told} is not {message}");
            assert_eq!(bench.lists(1), round == 1, "after {message}");
            assert_eq!(bench.keeper.status().entries, 10 * round, "after {message}");
        }
        bench.service.recover();
        bench.service.set_feed(&list(0..10));
        bench.keeper.refresh().await.expect("it has recovered");
        assert_eq!(bench.keeper.status().last_error, None);
    }
    assert_eq!(bench.stored.try_iter().count(), 1);
}

#[tokio::test]
async fn however_slow_a_server_is_the_last_good_feed_stays() {
    let bench = Bench::with_deadline(Duration::from_millis(100));
    bench.keeper.restore(StoredFeed {
        text: list(0..10).into(),
        validators: Validators::default(),
        fetched: bench.clock.wall(),
    });
    bench.service.set_feed(&list(1..12));
    let trickle = Behaviour::SlowBody {
        pause: Duration::from_millis(20),
    };
    for slow in [Behaviour::Hang, trickle] {
        bench.service.behave_on(Endpoint::Feed, slow);
        let error = bench.keeper.refresh().await.expect_err("no feed in time");
        assert_eq!(error.to_string(), "no complete feed within 100ms");
        assert_eq!(bench.keeper.status().last_error, Some(error.to_string()));
        assert!(bench.lists(0) && !bench.lists(11));
    }
}

#[tokio::test]
async fn a_list_that_lost_more_than_half_is_taken_after_seven_days() {
    let bench = Bench::new();
    bench.offer(&list(0..10)).await.expect("a good feed");
    bench.clock.advance(3 * DAY);
    bench.keeper.refresh().await.expect("the same feed");

    bench.clock.advance(7 * DAY - Duration::from_secs(1));
    let error = bench.offer(&list(0..4)).await.expect_err("too few");
    assert_eq!(
        error.to_string(),
        "the feed has shrunk from 10 entries to 4"
    );
    assert!(bench.lists(9), "the last good one stays");
    bench
        .keeper
        .refresh()
        .await
        .expect_err("it is asked about the last good one, and so gets the short one again");

    bench.clock.advance(Duration::from_secs(1));
    let update = bench.keeper.refresh().await.expect("its time has come");
    assert_eq!(update, FeedUpdate::Replaced { entries: 4 });
    assert!(!bench.lists(9));
}

/// A clock whose date is set, as machines do at their start.
#[derive(Debug)]
struct Dated {
    clock: ManualClock,
    date: Mutex<SystemTime>,
}

impl Clock for Dated {
    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn wall(&self) -> SystemTime {
        *self.date.lock().unwrap()
    }
}

#[tokio::test]
async fn a_date_that_is_set_makes_no_feed_older_or_younger() {
    let service = StandIn::start().unwrap();
    service.set_feed(&list([1, 2, 3, 4]));
    let clock = Arc::new(Dated {
        clock: ManualClock::new(),
        date: Mutex::new(SystemTime::UNIX_EPOCH),
    });
    let settings = settings(&service);
    let keeper = FeedKeeper::new(&settings, clock.clone(), Box::new(|_| {})).unwrap();
    keeper.refresh().await.expect("a good feed");
    let today = ManualClock::new().wall();
    for date in [today, today + 10 * DAY, today - 400 * DAY] {
        *clock.date.lock().unwrap() = date;
        assert_eq!(keeper.status().age, Some(Duration::ZERO), "{date:?}");
        service.set_feed(&list([1]));
        assert!(keeper.refresh().await.is_err(), "it lost more than half");
    }
    clock.clock.advance(Duration::from_secs(60));
    assert_eq!(keeper.status().age, Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn the_feeds_own_date_is_read_again_with_each_text() {
    let bench = Bench::new();
    let mut seen = Vec::new();
    for day in ["20", "22", "soon"] {
        let text = format!("# Generated: 2026-08-{day} 04:30:03 UTC | Entries: 1\n25.0.0.1\n");
        bench.offer(&text).await.expect("a good feed");
        let generated = bench.keeper.status().generated;
        seen.push(generated.map(|date| humantime::format_rfc3339_seconds(date).to_string()));
    }
    let dates = ["2026-08-20T04:30:03Z", "2026-08-22T04:30:03Z"];
    assert_eq!(
        seen,
        [Some(dates[0].to_owned()), Some(dates[1].to_owned()), None]
    );
}

#[tokio::test]
async fn a_restored_feed_is_in_force_and_asked_about() {
    let bench = Bench::new();
    bench.offer(&list([1, 2])).await.expect("a good feed");
    let stored = bench.stored.try_recv().expect("a feed to store");

    bench.clock.advance(Duration::from_secs(60));
    let (next, told) = keeper(&settings(&bench.service), &bench.clock, DAY);
    next.restore(stored.clone());
    // It is as old as it was, so verdicts that came after it are newer.
    assert_eq!(next.lists(address(1)), Some(Tick::at(Duration::ZERO)));
    assert_eq!(next.status().age, Some(Duration::from_secs(60)));
    let update = next.refresh().await.expect("the same feed");
    assert_eq!(update, FeedUpdate::Unchanged);
    assert_eq!(bench.service.feed_not_modified(), 1);
    assert_eq!(next.status().age, Some(Duration::ZERO));
    assert!(
        told.try_recv().is_err(),
        "what is stored is not stored again"
    );
}

#[tokio::test]
async fn a_restored_feed_never_takes_the_place_of_a_fetched_one() {
    let bench = Bench::new();
    bench.offer(&list([1, 2])).await.expect("a good feed");
    let stored = bench.stored.try_recv().expect("a feed to store");
    bench.offer(&list([2, 3])).await.expect("another feed");
    bench.keeper.restore(stored);
    assert!(bench.lists(3) && !bench.lists(1));
}

#[tokio::test]
async fn a_restored_date_alone_confirms_nothing() {
    let bench = Bench::new();
    bench.offer(&list([1, 2])).await.expect("a good feed");
    let mut stored = bench.stored.try_recv().expect("a feed to store");
    stored.validators.etag = None;
    let (next, _told) = keeper(&settings(&bench.service), &bench.clock, DAY);
    next.restore(stored);
    next.refresh().await.expect("the same feed");
    assert_eq!(bench.service.feed_not_modified(), 0);
}

#[test]
fn a_stored_text_that_is_no_feed_is_ignored() {
    let bench = Bench::new();
    for text in [
        &b""[..],
        b"<html>",
        b"\xff\0\n",
        b"# Generated: x | Entries: 2\n25.0.0.1",
    ] {
        bench.keeper.restore(StoredFeed {
            text: text.into(),
            validators: Validators::default(),
            fetched: bench.clock.wall(),
        });
        assert_eq!(bench.keeper.status(), FeedStatus::default());
    }
}

#[tokio::test]
async fn refreshes_at_the_same_time_are_one() {
    let bench = Bench::new();
    bench.service.set_feed(&list([1]));
    bench.service.behave_on(Endpoint::Feed, Behaviour::Held);
    let refresh = || {
        let keeper = Arc::clone(&bench.keeper);
        tokio::spawn(async move { keeper.refresh().await })
    };
    let all = [refresh(), refresh(), refresh()];
    bench.service.feed_requests_reach(1).await;
    // Every task has run up to the point where it waits: there is only this one thread.
    tokio::task::yield_now().await;
    bench.service.release();
    for one in all {
        let update = one.await.expect("no panic").expect("a good feed");
        assert_eq!(update, FeedUpdate::Replaced { entries: 1 });
    }
    assert_eq!(bench.service.feed_requests(), 1);
    bench.service.recover();
    let update = bench.keeper.refresh().await.expect("the same feed");
    assert_eq!(update, FeedUpdate::Unchanged, "a later one is another one");
}

#[tokio::test]
async fn a_refresh_that_is_given_up_leaves_the_next_one_to_itself() {
    let bench = Bench::new();
    bench.service.set_feed(&list([1]));
    bench.service.behave_on(Endpoint::Feed, Behaviour::Hang);
    let keeper = Arc::clone(&bench.keeper);
    let hanging = tokio::spawn(async move { keeper.refresh().await });
    bench.service.feed_requests_reach(1).await;
    let keeper = Arc::clone(&bench.keeper);
    let waiting = tokio::spawn(async move { keeper.refresh().await });
    tokio::task::yield_now().await;
    bench.service.recover();
    hanging.abort();
    let update = waiting.await.expect("no panic").expect("a good feed");
    assert_eq!(update, FeedUpdate::Replaced { entries: 1 });
}

#[tokio::test]
async fn without_a_source_nothing_is_listed_and_nobody_waits() {
    let service = StandIn::start().expect("a free port");
    let clock = ManualClock::new();
    for settings in [
        Settings {
            feed_action: FeedAction::Off,
            ..settings(&service)
        },
        Settings {
            feed_url: Some(String::new()),
            ..Settings::default()
        },
    ] {
        let clock = Arc::new(clock.clone());
        let keeper = FeedKeeper::new(&settings, clock.clone(), Box::new(drop)).expect("a keeper");
        keeper.restore(StoredFeed {
            text: list([1]).into(),
            validators: Validators::default(),
            fetched: clock.wall(),
        });
        assert_eq!(keeper.lists(address(1)), None);
        keeper.first_attempt_done().await;
        assert!(matches!(keeper.refresh().await, Err(FeedError::NoFeed)));
        Arc::new(keeper).keep().await;
    }
    assert_eq!(service.feed_requests(), 0);
}

#[tokio::test]
async fn the_first_attempt_is_done_when_it_has_failed_too() {
    let bench = Bench::new();
    bench.service.behave_on(Endpoint::Feed, Behaviour::Held);
    let keeping = tokio::spawn(Arc::clone(&bench.keeper).keep());
    bench.service.feed_requests_reach(1).await;
    let done = tokio::spawn({
        let keeper = Arc::clone(&bench.keeper);
        async move { keeper.first_attempt_done().await }
    });
    tokio::task::yield_now().await;
    assert!(!done.is_finished());
    // The stand-in's feed has no entry yet.
    bench.service.release();
    done.await.expect("no panic");
    let error = bench.keeper.status().last_error.expect("an error");
    assert!(error.contains("has no entry"), "{error}");
    bench.keeper.first_attempt_done().await;
    keeping.abort();
}

/// A feed in a file, so that time can be paused: nothing is waited for but the guard's own timers.
struct FileFeed(PathBuf);

impl FileFeed {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("feed-keeper-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        Self(path)
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).expect("a file to write");
    }

    fn settings(&self) -> Settings {
        Settings {
            feed_url: Some(format!("file://{}", self.0.display())),
            feed_interval: Duration::from_secs(30 * 60),
            ..Settings::default()
        }
    }
}

impl Drop for FileFeed {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[track_caller]
fn about(took: Duration, minutes: u64) {
    let expected = Duration::from_secs(60 * minutes);
    let tolerated = expected * 9 / 10..=expected * 11 / 10 + Duration::from_millis(10);
    assert!(
        tolerated.contains(&took),
        "{took:?} is not about {expected:?}"
    );
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn the_feed_is_asked_for_again_and_again_and_sooner_after_a_failure() {
    let file = FileFeed::new("loop");
    let (sender, mut fed) = tokio::sync::mpsc::unbounded_channel();
    let on_feed = Box::new(move |feed: StoredFeed| {
        let _ = sender.send(feed);
    });
    let clock = Arc::new(ManualClock::new());
    let keeper = Arc::new(FeedKeeper::new(&file.settings(), clock, on_feed).expect("a keeper"));
    let begun = Instant::now();
    let keeping = tokio::spawn(Arc::clone(&keeper).keep());

    keeper.first_attempt_done().await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "at once");
    assert!(keeper.status().last_error.is_some(), "there is no file yet");

    file.write(&list([1]));
    fed.recv().await.expect("a feed");
    about(begun.elapsed(), 1);

    for n in 2..5 {
        let last = Instant::now();
        file.write(&list(0..n));
        fed.recv().await.expect("another feed");
        about(last.elapsed(), 30);
    }
    keeping.abort();
}

#[tokio::test]
async fn no_lookup_misses_an_address_while_the_feed_is_swapped() {
    let bench = Bench::new();
    let keeper = &*bench.keeper;
    let both = 0..500_u32;
    let feeds = [0, 1].map(|odd| {
        let text = list(both.clone().chain((0..500).map(|n| 10_000 + 2 * n + odd)));
        Feed::parse(text.as_bytes()).expect("a good feed")
    });
    let stored = StoredFeed {
        text: Vec::new(),
        validators: Validators::default(),
        fetched: bench.clock.wall(),
    };
    let install = |feed: &Feed| keeper.judge(feed.clone(), stored.clone());
    install(&feeds[0]).expect("a good feed");

    let swapping = AtomicBool::new(true);
    thread::scope(|scope| {
        let lookups: Vec<_> = (0..3)
            .map(|_| {
                let both = both.clone();
                let swapping = &swapping;
                scope.spawn(move || {
                    let mut rounds = 0;
                    while rounds == 0 || swapping.load(Ordering::Relaxed) {
                        for n in both.clone() {
                            assert!(keeper.lists(address(n)).is_some(), "{n} is in both lists");
                        }
                        rounds += 1;
                    }
                })
            })
            .collect();
        for n in 1..=2_000 {
            let update = install(&feeds[n % 2]).expect("a good feed");
            assert_eq!(update, FeedUpdate::Replaced { entries: 1_000 });
        }
        swapping.store(false, Ordering::Relaxed);
        for lookup in lookups {
            lookup.join().expect("no lookup missed");
        }
    });
}

#[tokio::test]
async fn a_lookup_allocates_nothing() {
    let bench = Bench::new();
    bench.offer(&list(0..1_000)).await.expect("a good feed");
    assert!(bench.lists(1), "this thread's first lookup may");
    let allocations = allocation_counter::measure(|| {
        for n in 0..2_000 {
            assert_eq!(bench.lists(n), n < 1_000);
        }
    });
    assert_eq!(allocations.count_total, 0);
}
