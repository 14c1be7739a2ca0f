//! The last good feed: held for the requests, asked about in the background, replaced without a
//! pause.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::error::FeedError;
use super::fetch::{FeedSource, Fetched, Validators};
use super::parse::Feed;
use super::schedule;
use crate::clock::{Clock, Tick};
use crate::error::{BuildError, with_causes};
use crate::observe::Meter;
use crate::settings::Settings;

/// A list that lost more than half is taken all the same when the last good one is older than this.
const TRUSTED_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What came of asking for the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedUpdate {
    /// It lists what it listed before.
    Unchanged,
    /// Another list is in force now.
    Replaced {
        /// The number of its different entries.
        entries: usize,
    },
}

/// A feed as it is kept for the next run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredFeed {
    /// The text, as it was fetched.
    pub(crate) text: Vec<u8>,
    /// What its server gave to ask for a newer one with.
    pub(crate) validators: Validators,
    /// When it was fetched.
    pub(crate) fetched: SystemTime,
}

/// How the feed is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FeedStatus {
    /// The different entries of the list in force; 0 when there is none.
    pub(crate) entries: usize,
    /// How long ago that list was last known to be the current one: fetched, or confirmed by the
    /// server. `None` without a list.
    pub(crate) age: Option<Duration>,
    /// When the service made it, as its own comment says.
    pub(crate) generated: Option<SystemTime>,
    /// Why the last attempt failed, if it did.
    pub(crate) last_error: Option<String>,
    /// Whether it failed because what came cannot be believed.
    pub(crate) is_refused: bool,
}

/// Told of each list that is newly in force, on the guard's own thread: it must not block.
pub(crate) type OnFeed = Box<dyn Fn(StoredFeed) + Send + Sync>;

/// Holds the feed and keeps it current.
pub(crate) struct FeedKeeper {
    source: Option<FeedSource>,
    interval: Duration,
    clock: Arc<dyn Clock>,
    on_feed: OnFeed,
    meter: Arc<Meter>,
    current: ArcSwapOption<InForce>,
    /// The same of [`InForce::since`], for those who need no more than that; 0 without a feed.
    since: AtomicU32,
    state: Mutex<State>,
    /// Whoever holds it is refreshing. Inside: what came of the last time.
    turn: tokio::sync::Mutex<Option<Result<FeedUpdate, FeedError>>>,
    /// How many refreshes have ended.
    refreshes: AtomicU64,
    attempted: watch::Sender<bool>,
}

struct InForce {
    feed: Feed,
    since: Tick,
}

/// A moment, perhaps of an earlier run, that no change of the date moves.
#[derive(Clone, Copy)]
struct Since {
    /// On the guard's clock.
    noted: Duration,
    /// How long ago it was by then.
    age: Duration,
}

impl Since {
    fn age(self, now: Duration) -> Duration {
        self.age.saturating_add(now.saturating_sub(self.noted))
    }
}

/// Changes together with [`FeedKeeper::current`], under one lock; lookups do not need it.
#[derive(Default)]
struct State {
    validators: Validators,
    current_as_of: Option<Since>,
    generated: Option<SystemTime>,
    last_error: Option<String>,
    is_refused: bool,
}

impl FeedKeeper {
    /// A keeper without a feed yet. `on_feed` is told of each new one, but not of what is restored
    /// or merely confirmed.
    pub(crate) fn new(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        on_feed: OnFeed,
    ) -> Result<Self, BuildError> {
        let source = FeedSource::new(settings)?;
        Ok(Self::with_source(
            source,
            settings.feed_interval,
            clock,
            on_feed,
        ))
    }

    fn with_source(
        source: Option<FeedSource>,
        interval: Duration,
        clock: Arc<dyn Clock>,
        on_feed: OnFeed,
    ) -> Self {
        Self {
            source,
            interval,
            clock,
            on_feed,
            meter: Arc::default(),
            current: ArcSwapOption::empty(),
            since: AtomicU32::new(Tick::NEVER.to_bits()),
            state: Mutex::default(),
            turn: tokio::sync::Mutex::new(None),
            refreshes: AtomicU64::new(0),
            attempted: watch::Sender::new(false),
        }
    }

    /// Counts here what comes of asking.
    pub(crate) fn measured(self, meter: Arc<Meter>) -> Self {
        Self { meter, ..self }
    }

    /// Whether there is a feed to be had at all.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.source.is_some()
    }

    /// Since when the list that has this address, which must not be an IPv4-mapped one, is in
    /// force. `None`: not listed.
    ///
    /// Neither waits nor allocates.
    #[inline]
    pub(crate) fn lists(&self, ip: IpAddr) -> Option<Tick> {
        let current = self.current.load();
        let in_force = current.as_ref()?;
        in_force.feed.contains(ip).then_some(in_force.since)
    }

    /// Since when the list in force is, [`Tick::NEVER`] without one. What is younger needs no look
    /// at it.
    #[inline]
    pub(crate) fn since(&self) -> Tick {
        Tick::from_bits(self.since.load(Ordering::Acquire))
    }

    pub(crate) fn status(&self) -> FeedStatus {
        let state = self.state();
        FeedStatus {
            entries: self.current.load().as_ref().map_or(0, |it| it.feed.len()),
            age: state
                .current_as_of
                .map(|since| since.age(self.clock.elapsed())),
            generated: state.generated,
            last_error: state.last_error.clone(),
            is_refused: state.is_refused,
        }
    }

    /// Puts the feed of an earlier run in force, unless there is one already. Its text is read on
    /// the caller's thread.
    ///
    /// It counts as known since it was fetched, so a verdict of this run is newer.
    pub(crate) fn restore(&self, stored: StoredFeed) {
        if self.source.is_none() {
            return;
        }
        let feed = match Feed::parse(&stored.text) {
            Ok(feed) => feed,
            Err(error) => {
                event!(
                    WARN,
                    "the feed of the last run is not used: {}",
                    with_causes(&error)
                );
                return;
            }
        };
        // A date in the future is a clock's mistake.
        let now = self.clock.wall();
        let fetched = stored.fetched.min(now);
        let age = now.duration_since(fetched).unwrap_or_default();
        let noted = self.clock.elapsed();
        let since = Tick::at(noted.saturating_sub(age));
        let mut validators = stored.validators;
        if validators.etag.is_none() {
            // The feed may have moved since. A tag is of one text; a date would make another server
            // confirm this one.
            validators.last_modified = None;
        }
        let entries = feed.len();
        {
            let mut state = self.state();
            if self.current.load().is_some() {
                return;
            }
            state.is_current(Since { noted, age }, validators, &feed);
            self.current.store(Some(Arc::new(InForce { feed, since })));
            self.since.store(since.to_bits(), Ordering::Release);
        }
        event!(INFO, entries, "the feed of the last run is in force");
    }

    /// Asks for the feed and puts it in force if it is a good and another one. Whoever comes while
    /// that is being done waits and gets the same answer.
    ///
    /// A list that lost more than half of its entries is refused for seven days since the last good
    /// one was known to be current, and then taken: by then it is the service's word and no
    /// accident.
    ///
    /// # Errors
    ///
    /// When it cannot be had or cannot be believed. What was in force stays.
    pub(crate) async fn refresh(&self) -> Result<FeedUpdate, FeedError> {
        let Some(source) = &self.source else {
            return Err(FeedError::NoFeed);
        };
        let before = self.refreshes.load(Ordering::Acquire);
        let mut last = self.turn.lock().await;
        if let Some(outcome) = &*last
            && self.refreshes.load(Ordering::Acquire) != before
        {
            return outcome.clone();
        }
        let outcome = self.attempt(source).await;
        self.conclude(&outcome);
        *last = Some(outcome.clone());
        self.refreshes.fetch_add(1, Ordering::Release);
        self.attempted.send_replace(true);
        outcome
    }

    /// Refreshes now and then every `feed_interval`, sooner after a failure. Ends at once when
    /// there is no source, and otherwise never.
    pub(crate) async fn keep(self: Arc<Self>) {
        if self.source.is_none() {
            return;
        }
        let mut failures = 0_u32;
        loop {
            failures = match self.refresh().await {
                Ok(_) => 0,
                Err(_) => failures.saturating_add(1),
            };
            tokio::time::sleep(schedule::wait(self.interval, failures, random())).await;
        }
    }

    /// Resolves when the first refresh has ended, well or badly, and at once when there is no
    /// source. Only as long as somebody [refreshes](Self::keep).
    pub(crate) async fn first_attempt_done(&self) {
        if self.source.is_some() {
            // The sender lives as long as `self`.
            let _ = self.attempted.subscribe().wait_for(|&done| done).await;
        }
    }

    async fn attempt(&self, source: &FeedSource) -> Result<FeedUpdate, FeedError> {
        let known = self.state().validators.clone();
        match source.fetch(&known).await? {
            Fetched::Unchanged => {
                self.state().current_as_of = Some(self.now());
                Ok(FeedUpdate::Unchanged)
            }
            Fetched::Text { text, validators } => {
                let fetched = self.clock.wall();
                // On another thread: calls and timers of this one would wait for it.
                let (text, feed) = tokio::task::spawn_blocking(move || {
                    let feed = Feed::parse(&text);
                    (text, feed)
                })
                .await
                .map_err(FeedError::given_up)?;
                let stored = StoredFeed {
                    text,
                    validators,
                    fetched,
                };
                self.judge(feed?, stored)
            }
        }
    }

    /// Puts the feed in force, if nothing speaks against it.
    fn judge(&self, feed: Feed, stored: StoredFeed) -> Result<FeedUpdate, FeedError> {
        let now = self.now();
        let (before, in_force) = {
            let mut state = self.state();
            if let Some(last_good) = &*self.current.load() {
                if let Err(shrunk) = feed.may_replace(&last_good.feed)
                    && state.is_trusted(now)
                {
                    return Err(shrunk);
                }
                if feed.lists_what(&last_good.feed) {
                    state.is_current(now, stored.validators, &feed);
                    return Ok(FeedUpdate::Unchanged);
                }
            }
            state.is_current(now, stored.validators.clone(), &feed);
            let since = Tick::at(self.clock.elapsed());
            let in_force = Arc::new(InForce { feed, since });
            let before = self.current.swap(Some(Arc::clone(&in_force)));
            self.since.store(since.to_bits(), Ordering::Release);
            (before, in_force)
        };
        let feed = &in_force.feed;
        let entries = feed.len();
        let before = before.map(|before| before.feed.len());
        let generated = feed.generated().map(str::to_owned);
        event!(INFO, entries, before, generated, "a new feed is in force");
        if let Some(first) = feed.first_bad_line() {
            let (bad_lines, first) = (feed.bad_lines(), first.clone());
            event!(
                WARN,
                bad_lines,
                "the feed has bad lines, which are passed over; {first}"
            );
        }
        (self.on_feed)(stored);
        Ok(FeedUpdate::Replaced { entries })
    }

    fn conclude(&self, outcome: &Result<FeedUpdate, FeedError>) {
        self.meter.feed_asked(outcome);
        let error = outcome.as_ref().err().map(|error| with_causes(error));
        if let Some(error) = error.clone() {
            let last_good = self.current.load();
            match last_good.as_ref().map(|last_good| last_good.feed.len()) {
                Some(entries) => event!(
                    WARN,
                    "{error}; the last good feed with {entries} entries stays in force"
                ),
                None => event!(WARN, "{error}; no feed is in force until one is had"),
            }
        }
        let mut state = self.state();
        state.last_error = error;
        state.is_refused = outcome.as_ref().is_err_and(FeedError::is_refusal);
    }

    fn now(&self) -> Since {
        Since {
            noted: self.clock.elapsed(),
            age: Duration::ZERO,
        }
    }

    /// Nothing that runs under the lock leaves the state half changed, so a panic of another holder
    /// is no reason to stop.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_current(&mut self, since: Since, validators: Validators, feed: &Feed) {
        self.current_as_of = Some(since);
        self.validators = validators;
        self.generated = feed.generated_at();
    }

    /// Whether the last good feed is young enough to be believed more than one that lost half.
    fn is_trusted(&self, now: Since) -> bool {
        let then = self.current_as_of;
        then.is_some_and(|then| then.age(now.noted) < TRUSTED_FOR)
    }
}

/// The hasher's seed is the only randomness that the standard library gives.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests;
