//! A shared store with troubles of one's choice.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::{
    AccountKey, Announcement, Attempt, AttemptId, AttemptLimits, BanRecord, Block, BlockRequest,
    Failed, Greeting, Login, Scope, Seen, SharedError, SharedFuture, SharedStore, SharedVerdict,
};

/// What is wrong with a [`Troubled`] store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// It fails at once.
    Away,
    /// It never answers, and nothing of what it is told has an effect.
    Silent,
    /// It never answers, and what it is told has its effect all the same.
    Late,
    /// It answers, and nobody can read it.
    Unreadable,
    /// It answers, and refuses whoever wants to listen.
    Mute,
}

/// A store that fails as it is told to: for tests of what is around it. Clones share their trouble.
#[derive(Clone, Debug)]
pub struct Troubled<T> {
    store: T,
    trouble: Arc<watch::Sender<Trouble>>,
    calls: Arc<AtomicUsize>,
}

impl<T> Troubled<T> {
    /// Without any trouble yet.
    pub fn new(store: T) -> Self {
        Self {
            store,
            trouble: Arc::new(watch::Sender::new(Trouble::None)),
            calls: Arc::default(),
        }
    }

    /// From now on. A connection that listens is lost with any trouble.
    pub fn behave(&self, trouble: Trouble) {
        self.trouble.send_replace(trouble);
    }

    /// How many calls were made, listening not counted.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn call<'a, R: Send + 'a>(
        &self,
        answer: impl FnOnce() -> SharedFuture<'a, R>,
    ) -> SharedFuture<'a, R> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match *self.trouble.borrow() {
            Trouble::None | Trouble::Mute => answer(),
            Trouble::Silent => Box::pin(std::future::pending()),
            Trouble::Late => {
                let effect = answer();
                Box::pin(async move {
                    let _ = effect.await;
                    std::future::pending().await
                })
            }
            trouble => Box::pin(std::future::ready(Err(error(trouble)))),
        }
    }
}

fn error(trouble: Trouble) -> SharedError {
    match trouble {
        Trouble::Unreadable => SharedError::Unreadable {
            reason: "a list where a number should be".to_owned(),
        },
        Trouble::Mute => SharedError::Refused {
            reason: "NOPERM no subscription".to_owned(),
        },
        _ => SharedError::Away {
            source: "the connection is gone".into(),
        },
    }
}

impl<T: SharedStore> SharedStore for Troubled<T> {
    fn look(&self, ip: IpAddr, lease: Duration) -> SharedFuture<'_, Seen> {
        self.call(|| self.store.look(ip, lease))
    }

    fn learn(&self, ip: IpAddr, verdict: SharedVerdict, keep: Duration) -> SharedFuture<'_, ()> {
        self.call(|| self.store.learn(ip, verdict, keep))
    }

    fn release(&self, ip: IpAddr) -> SharedFuture<'_, ()> {
        self.call(|| self.store.release(ip))
    }

    fn grant(&self, request: BlockRequest) -> SharedFuture<'_, Block> {
        self.call(|| self.store.grant(request))
    }

    fn give_back(&self, day: u64, checks: u32) -> SharedFuture<'_, ()> {
        self.call(|| self.store.give_back(day, checks))
    }

    fn begin_attempt(
        &self,
        login: Login,
        attempt: AttemptId,
        limits: AttemptLimits,
    ) -> SharedFuture<'_, Attempt> {
        self.call(|| self.store.begin_attempt(login, attempt, limits))
    }

    fn fail_attempt(
        &self,
        login: Login,
        attempt: AttemptId,
        limits: AttemptLimits,
    ) -> SharedFuture<'_, Failed> {
        self.call(|| self.store.fail_attempt(login, attempt, limits))
    }

    fn end_attempt(&self, login: Login, attempt: AttemptId) -> SharedFuture<'_, ()> {
        self.call(|| self.store.end_attempt(login, attempt))
    }

    fn clear_failures(&self, client: Scope) -> SharedFuture<'_, ()> {
        self.call(|| self.store.clear_failures(client))
    }

    fn tell_bans<'a>(&'a self, bans: &'a [BanRecord]) -> SharedFuture<'a, ()> {
        self.call(|| self.store.tell_bans(bans))
    }

    fn greet(&self, proposed: AccountKey) -> SharedFuture<'_, Greeting> {
        self.call(|| self.store.greet(proposed))
    }

    fn listen<'a>(
        &'a self,
        hear: &'a (dyn Fn(Announcement) + Send + Sync),
    ) -> SharedFuture<'a, ()> {
        Box::pin(async move {
            let mut trouble = self.trouble.subscribe();
            tokio::select! {
                lost = self.store.listen(hear) => lost,
                // The sender lives as long as this one.
                Ok(trouble) = trouble.wait_for(|trouble| *trouble != Trouble::None) => {
                    Err(error(*trouble))
                }
            }
        })
    }
}
