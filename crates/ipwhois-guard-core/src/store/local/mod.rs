//! The store of one host: the processes that share a state folder.
//!
//! 1. One process has the folder's file open: the *holder*. It serves the others, the *members*,
//!    over a Unix socket in the folder. All of them use this store like any other.
//! 2. When the holder ends, its members notice at once and the first to take the folder's lock
//!    becomes the holder. It reads the file, which has all that a restart must know.
//! 3. A holder that is stopped (SIGSTOP, or a debugger) serves no more and keeps the lock. After
//!    some seconds of silence a member takes the folder all the same, see
//!    [`Journal::open`]. When the stopped process goes on, it becomes a member.
//! 4. A block of the day's checks is on the holder's disk before it is granted. So the count on the
//!    disk is never below what was spent, whichever processes are killed.
//! 5. A process that can neither have the folder nor join spends a part of the day from memory
//!    ([`Role::Alone`]), tells the count when it can, and tries again for ever.
//! 6. Processes whose protocols differ do not work together: the later one waits, as in 5, until
//!    the folder is free.

#[cfg(unix)]
mod link;
#[cfg(not(unix))]
mod no_sockets;
mod rows;
#[cfg(unix)]
mod serve;
mod wire;

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

#[cfg(unix)]
use self::link::{Link, Unlinked};
#[cfg(not(unix))]
use self::no_sockets::{Link, Unlinked, listen, serve};
use self::rows::Owners;
#[cfg(unix)]
use self::serve::{listen, serve};
use self::wire::Hello;
use super::{
    AccountKey, Announcement, Attempt, AttemptId, AttemptLimits, BanRecord, Block, BlockRequest,
    Failed, Greeting, InMemory, Login, Scope, Seen, SharedError, SharedFuture, SharedStore,
    SharedVerdict,
};
use crate::clock::Clock;
use crate::reports::BoxFuture;
use crate::state::{self, FileId, Journal, Loaded, NotOpened, StoredVerdict};

const SOCKET: &str = "ipwhois-guard.sock";

/// How long the folder may take to open before this process goes on without it.
const OPENING: Duration = Duration::from_secs(5);
/// How soon a folder is tried again: that another process holds and does not serve, at first and
/// later; and that cannot be used, at first and later.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));
const REPAIRED: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// How often the holder looks whether it still has the folder.
const LOOK: Duration = Duration::from_secs(1);
/// How long members have to come back after the holder has changed.
const RETURN: Duration = Duration::from_secs(3);

/// How long the end of the guard waits until its members are answered.
const FAREWELL: Duration = Duration::from_secs(1);

/// Without a folder this process may spend all of the day's checks; while it is not known whether
/// another process counts them, this part of them, and one at least.
const PART_UNREAD: u32 = 10;
const PART_FOREIGN: u32 = 100;

/// What this process is to the others.
#[derive(Clone, Debug)]
enum Role {
    Opening,
    Holder,
    Member(Arc<Link>),
    /// It works from memory, and spends this part of the day.
    Alone(u32),
}

/// The store of one host.
#[derive(Debug)]
pub(crate) struct Local {
    socket: PathBuf,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    cache_ttl: Duration,
    /// A random number that tells this guard from the others.
    member: u64,
    /// What the holder knows; of a process alone, what it does.
    memory: InMemory,
    role: watch::Sender<Role>,
    /// Connections of members.
    members: AtomicUsize,
    /// A day, and the checks of it that were spent alone.
    uncounted: Mutex<Option<(u64, u32)>>,
    /// Reports of the members.
    rows: Arc<Owners>,
    end: watch::Sender<bool>,
    /// Dropped when [`run`](Self::run) has ended.
    running: Mutex<Option<mpsc::Sender<()>>>,
}

/// What is done with what an earlier process left.
pub(crate) trait Restore: Send + Sync {
    fn restore(&self, loaded: Loaded) -> BoxFuture<'_, ()>;

    /// Takes over reports whose process is gone.
    fn adopt(&self, reports: Vec<(u64, Vec<u8>)>);

    /// The rows of this process's own reports.
    fn rows(&self) -> Vec<u64>;
}

impl Local {
    pub(crate) fn new(
        dir: &Path,
        journal: Arc<Journal>,
        clock: Arc<dyn Clock>,
        cache_ttl: Duration,
    ) -> Self {
        Self {
            socket: dir.join(SOCKET),
            journal,
            clock,
            cache_ttl,
            member: RandomState::new().hash_one("member"),
            memory: InMemory::new(),
            role: watch::Sender::new(Role::Opening),
            members: AtomicUsize::new(0),
            uncounted: Mutex::default(),
            rows: Arc::default(),
            end: watch::Sender::new(false),
            running: Mutex::default(),
        }
    }

    /// What another process found: the others may use it while it is fresh.
    fn restore_verdict(&self, stored: &StoredVerdict) {
        let verdict = SharedVerdict {
            reputation: stored.reputation,
            verified: stored.verified,
        };
        let (now, ttl) = (self.clock.wall(), self.cache_ttl);
        if let Some(age) = state::age(stored.verified, now, ttl, ttl) {
            self.memory
                .restore_verdict(stored.ip, verdict, ttl.saturating_sub(age));
        }
    }

    /// What accounts are hashed with on this host.
    pub(crate) fn restore_account_key(&self, key: AccountKey) {
        self.memory.restore_account_key(key);
    }

    /// An earlier version has written a count elsewhere.
    pub(crate) fn raise_count(&self, day: u64, spent: u32) {
        self.memory.raise_count(day, spent);
    }

    /// Whether there are other processes to work with.
    pub(crate) fn has_company(&self) -> bool {
        match &*self.role.borrow() {
            Role::Member(_) => true,
            Role::Holder => self.members.load(Ordering::Relaxed) > 0,
            Role::Opening | Role::Alone(_) => false,
        }
    }

    /// Resolves when it is known what this process is to the others.
    pub(crate) async fn settled(&self) {
        self.current().await;
    }

    /// Resolves when this process has joined the others, or they can join it, once more.
    pub(crate) async fn reunited(&self) {
        let mut roles = self.role.subscribe();
        roles.mark_unchanged();
        let is_together = |role: &Role| matches!(role, Role::Holder | Role::Member(_));
        loop {
            if roles.changed().await.is_err() {
                return std::future::pending().await;
            }
            if is_together(&roles.borrow_and_update()) {
                return;
            }
        }
    }

    /// The end of the guard: what members have asked for is answered, and they look for another
    /// holder. Blocks for a moment. The journal gives up the folder.
    pub(crate) fn end(&self) {
        let is_last = self.members.load(Ordering::Relaxed) == 0;
        if matches!(*self.role.borrow(), Role::Holder) && is_last {
            // The next process need not wait for members of this one.
            let _ = std::fs::remove_file(&self.socket);
        }
        let (running, ended) = mpsc::channel();
        let is_running = lock(&self.running).replace(running).is_some();
        self.end.send_replace(true);
        if is_running {
            let _ = ended.recv_timeout(FAREWELL);
        }
    }

    async fn ending(&self) {
        let mut end = self.end.subscribe();
        let _ = end.wait_for(|is_end| *is_end).await;
    }

    /// Runs for the life of the guard: keeps this process together with the others.
    pub(crate) async fn run(self: Arc<Self>, longest_age: Duration, restore: &dyn Restore) {
        *lock(&self.running) = Some(mpsc::channel().0);
        self.stay_together(longest_age, restore).await;
        lock(&self.running).take();
    }

    async fn stay_together(self: &Arc<Self>, longest_age: Duration, restore: &dyn Restore) {
        let mut busy_since = None;
        let mut pause = REPAIRED.0;
        let mut from_stopped = None;
        while !*self.end.borrow() {
            match self.open(longest_age, from_stopped).await {
                Ok(loaded) => {
                    self.hold(loaded, restore).await;
                    (busy_since, pause) = (None, REPAIRED.0);
                    from_stopped = None;
                }
                Err(NotOpened::Closed) => return,
                Err(NotOpened::Failed) => {
                    self.role.send_if_modified(|role| alone(role, 1));
                    self.sleep(pause).await;
                    pause = (2 * pause).min(REPAIRED.1);
                    from_stopped = None;
                }
                Err(NotOpened::Busy) => {
                    let since = *busy_since.get_or_insert_with(Instant::now);
                    let lock = self.journal.current_lock().await;
                    let joined = self.join(restore).await;
                    from_stopped = lock.filter(|_| joined == Err(Unlinked::Silent));
                    match joined {
                        Ok(()) => busy_since = None,
                        Err(Unlinked::Silent) => {}
                        Err(why) => self.stay_out(why, since).await,
                    }
                }
            }
        }
    }

    /// Not longer than this process runs.
    async fn sleep(&self, time: Duration) {
        let _ = timeout(time, self.ending()).await;
    }

    /// Opens the folder. While that takes long, this process goes on from memory.
    async fn open(
        &self,
        longest_age: Duration,
        from_stopped: Option<FileId>,
    ) -> Result<Loaded, NotOpened> {
        let mut opening = std::pin::pin!(self.journal.open(longest_age, from_stopped));
        match timeout(OPENING, &mut opening).await {
            Ok(opened) => opened,
            Err(_) => {
                self.role.send_if_modified(|role| alone(role, PART_UNREAD));
                opening.await
            }
        }
    }

    /// Serves the others until another process has taken the folder.
    async fn hold(self: &Arc<Self>, mut loaded: Loaded, restore: &dyn Restore) {
        self.memory.restore_counts(&loaded.days);
        let own: std::collections::HashSet<u64> = restore.rows().into_iter().collect();
        let reports = std::mem::take(&mut loaded.reports);
        self.rows.forget();
        self.rows.found(
            reports
                .into_iter()
                .filter(|(row, _)| !own.contains(row))
                .collect(),
        );
        for stored in &loaded.verdicts {
            self.restore_verdict(stored);
        }
        restore.restore(loaded).await;
        self.count_uncounted().await;
        let had_holder = self.socket.exists();
        let listener = match listen(&self.socket) {
            Ok(listener) => Some(listener),
            Err(error) => {
                let path = self.socket.display().to_string();
                event!(ERROR, path, %error, "other processes cannot join this one");
                None
            }
        };
        self.role.send_replace(Role::Holder);
        event!(DEBUG, "this process has the state folder");
        let serving = async {
            match listener {
                Some(listener) => serve(Arc::clone(self), listener).await,
                None => self.ending().await,
            }
        };
        let adopting = async {
            // Members of the holder before come back soon, if there are any.
            if had_holder {
                sleep(RETURN).await;
            }
            loop {
                let orphans = self.rows.take_orphans();
                if !orphans.is_empty() {
                    restore.adopt(orphans);
                }
                sleep(RETURN).await;
            }
        };
        let looking = async {
            // A process that was stopped does not know it.
            loop {
                sleep(LOOK).await;
                self.journal.look_at_lock().await;
            }
        };
        tokio::select! {
            () = self.journal.lost() => {}
            () = looking => {}
            () = serving => {}
            () = adopting => {}
        }
        if *self.end.borrow() {
            return;
        }
        event!(
            WARN,
            "another process has taken the state folder: this one joins it"
        );
        self.role.send_replace(Role::Opening);
    }

    /// Joins the holder, until it ends.
    async fn join(self: &Arc<Self>, restore: &dyn Restore) -> Result<(), Unlinked> {
        let hello = Hello {
            rows: restore.rows(),
            uncounted: *self.uncounted(),
            ..Hello::new(self.member)
        };
        let link = Link::connect(&self.socket, &hello).await?;
        *self.uncounted() = None;
        self.journal.join(Some(Arc::clone(&link) as _));
        self.role.send_replace(Role::Member(Arc::clone(&link)));
        event!(
            DEBUG,
            "this process has joined the one that has the state folder"
        );
        let why = tokio::select! {
            why = link.ended() => why,
            // What is held and pending goes to the holder still.
            () = self.ending() => return Ok(()),
        };
        self.role.send_replace(Role::Opening);
        self.journal.join(None);
        match why {
            Unlinked::Silent => Err(why),
            _ => Ok(()),
        }
    }

    /// The folder is in use, and this process cannot join.
    async fn stay_out(&self, why: Unlinked, since: Instant) {
        let foreign = match why {
            Unlinked::Foreign(protocol) => Some(format!(
                "is in use by a version of ipwhois-guard that speaks protocol {protocol}, and this one speaks {}",
                wire::PROTOCOL
            )),
            // Between the holder's lock and its socket there is a moment.
            _ if since.elapsed() < OPENING => None,
            _ => Some("is in use by a process that serves no other, such as an earlier version of ipwhois-guard".to_owned()),
        };
        if let Some(foreign) = foreign {
            let folder = self.socket.with_file_name("");
            let folder = folder.display();
            self.journal.explain(Some(format!(
                "`{folder}` {foreign}: until that one ends, this process works from memory, and may spend a hundredth of the day's checks"
            )));
            self.role.send_if_modified(|role| alone(role, PART_FOREIGN));
        }
        let is_new = since.elapsed() < OPENING;
        self.sleep(if is_new { AGAIN.0 } else { AGAIN.1 }).await;
    }

    /// Counts checks that were spent while they could not be counted.
    async fn count(&self, day: u64, checks: u32) {
        let count = self.memory.add_count(day, checks);
        self.journal.save_count(day, count).await;
    }

    async fn count_uncounted(&self) {
        let uncounted = self.uncounted().take();
        if let Some((day, checks)) = uncounted {
            self.count(day, checks).await;
        }
    }

    fn take_back(&self, day: u64, checks: u32) {
        if let Some(count) = self.memory.take_count(day, checks) {
            self.journal.note_count(day, count);
        }
    }

    /// Grants a block when it is on the disk.
    async fn grant_on_disk(
        &self,
        store: &InMemory,
        request: BlockRequest,
    ) -> Result<Block, SharedError> {
        let block = store.grant(request).await?;
        if block.checks > 0 && !self.journal.save_count(request.day, block.count).await {
            self.memory.take_count(request.day, block.checks);
            let reason = "the state folder cannot be written".to_owned();
            return Err(SharedError::Refused { reason });
        }
        Ok(block)
    }

    /// Grants a block from memory, of a part of the day.
    async fn grant_alone(&self, part: u32, request: BlockRequest) -> Result<Block, SharedError> {
        let limit = (request.limit / part).max(request.limit.min(1));
        let block = self.memory.grant(BlockRequest { limit, ..request }).await?;
        let mut uncounted = self.uncounted();
        let before = uncounted.filter(|(day, _)| *day == request.day);
        let before = before.map_or(0, |(_, checks)| checks);
        *uncounted = Some((request.day, before.saturating_add(block.checks)));
        Ok(block)
    }

    fn uncounted(&self) -> MutexGuard<'_, Option<(u64, u32)>> {
        lock(&self.uncounted)
    }

    async fn current(&self) -> Role {
        let mut roles = self.role.subscribe();
        let settled = roles.wait_for(|role| !matches!(role, Role::Opening)).await;
        settled.map_or(Role::Opening, |role| role.clone())
    }

    fn with<'a, T: Send + 'a>(
        &'a self,
        call: impl for<'s> FnOnce(&'s dyn SharedStore) -> SharedFuture<'s, T> + Send + 'a,
    ) -> SharedFuture<'a, T> {
        Box::pin(async move {
            match self.current().await {
                Role::Member(link) => call(&*link).await,
                _ => call(&self.memory).await,
            }
        })
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is complete before anything could panic.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that is neither holder nor member goes on alone. Whether that is new.
fn alone(role: &mut Role, part: u32) -> bool {
    let is_new = !matches!(role, Role::Alone(known) if *known == part);
    *role = Role::Alone(part);
    is_new
}

impl SharedStore for Local {
    fn look(&self, ip: IpAddr, lease: Duration) -> SharedFuture<'_, Seen> {
        self.with(move |store| store.look(ip, lease))
    }

    fn learn(&self, ip: IpAddr, verdict: SharedVerdict, keep: Duration) -> SharedFuture<'_, ()> {
        self.with(move |store| store.learn(ip, verdict, keep))
    }

    fn release(&self, ip: IpAddr) -> SharedFuture<'_, ()> {
        self.with(move |store| store.release(ip))
    }

    fn grant(&self, request: BlockRequest) -> SharedFuture<'_, Block> {
        Box::pin(async move {
            match self.current().await {
                Role::Member(link) => link.grant(request).await,
                Role::Alone(part) => self.grant_alone(part, request).await,
                _ => self.grant_on_disk(&self.memory, request).await,
            }
        })
    }

    fn give_back(&self, day: u64, checks: u32) -> SharedFuture<'_, ()> {
        Box::pin(async move {
            match self.current().await {
                Role::Member(link) => link.give_back(day, checks).await,
                _ => {
                    self.take_back(day, checks);
                    Ok(())
                }
            }
        })
    }

    fn begin_attempt(
        &self,
        login: Login,
        attempt: AttemptId,
        limits: AttemptLimits,
    ) -> SharedFuture<'_, Attempt> {
        self.with(move |store| store.begin_attempt(login, attempt, limits))
    }

    fn fail_attempt(
        &self,
        login: Login,
        attempt: AttemptId,
        limits: AttemptLimits,
    ) -> SharedFuture<'_, Failed> {
        self.with(move |store| store.fail_attempt(login, attempt, limits))
    }

    fn end_attempt(&self, login: Login, attempt: AttemptId) -> SharedFuture<'_, ()> {
        self.with(move |store| store.end_attempt(login, attempt))
    }

    fn clear_failures(&self, client: Scope) -> SharedFuture<'_, ()> {
        self.with(move |store| store.clear_failures(client))
    }

    fn tell_bans<'a>(&'a self, bans: &'a [BanRecord]) -> SharedFuture<'a, ()> {
        Box::pin(async move {
            match self.current().await {
                Role::Member(link) => link.tell_bans(bans).await,
                _ => self.memory.tell_bans(bans).await,
            }
        })
    }

    fn greet(&self, proposed: AccountKey) -> SharedFuture<'_, Greeting> {
        self.with(move |store| store.greet(proposed))
    }

    fn listen<'a>(
        &'a self,
        hear: &'a (dyn Fn(Announcement) + Send + Sync),
    ) -> SharedFuture<'a, ()> {
        Box::pin(async move {
            let role = self.current().await;
            let mut roles = self.role.subscribe();
            roles.mark_unchanged();
            let listening = match &role {
                Role::Member(link) => link.listen(hear),
                _ => self.memory.listen(hear),
            };
            tokio::select! {
                lost = listening => lost,
                // Others are listened to from now on.
                _ = roles.changed() => Ok(()),
            }
        })
    }
}

#[cfg(all(test, unix))]
mod tests;
