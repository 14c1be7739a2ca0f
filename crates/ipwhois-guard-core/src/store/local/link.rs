//! A member's connection to the holder.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::wire::{self, Answer, Ask, Hello, PROTOCOL, Request, Rows, Told, WireAttempt};
use crate::reports::BoxFuture;
use crate::state::{Batch, Holder};
use crate::store::{
    AccountKey, Announcement, Attempt, AttemptId, AttemptLimits, BanRecord, Block, BlockRequest,
    Failed, Greeting, Login, Scope, Seen, SharedError, SharedFuture, SharedStore, SharedVerdict,
};

/// How long the holder may take for its hello.
const HELLO: Duration = Duration::from_secs(1);
/// How often the holder is asked whether it is there, and how long it may take.
const PING: Duration = Duration::from_millis(500);
const SILENCE: Duration = Duration::from_secs(2);
/// How long the holder's disk may take.
const KEEPING: Duration = Duration::from_secs(5);
/// Requests and announcements that may wait.
const ROOM: usize = 1024;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unlinked {
    /// Nothing listens.
    Away,
    /// Something listens and does not answer, as a process that is stopped.
    Silent,
    /// It is of another version, with this protocol.
    Foreign(u32),
}

/// Whether the other end is a process of this user.
pub(super) fn is_own(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own)
}

/// The name of a file in a folder. A socket's name has little room; Linux has a shorter one for any
/// folder that is open.
pub(super) struct ShortName {
    _folder: Option<File>,
    pub(super) path: PathBuf,
}

impl ShortName {
    pub(super) fn of(path: &Path) -> Self {
        const ROOM: usize = 90;
        let folder = match path.parent() {
            Some(folder) if path.as_os_str().len() > ROOM => File::open(folder).ok(),
            _ => None,
        };
        let short = folder.as_ref().map(|folder| {
            let number = folder.as_raw_fd();
            let name = path.file_name().unwrap_or_default();
            PathBuf::from(format!("/proc/self/fd/{number}")).join(name)
        });
        Self {
            path: short.unwrap_or_else(|| path.to_owned()),
            _folder: folder,
        }
    }
}

type Waiting = Mutex<HashMap<u64, oneshot::Sender<Answer>>>;

/// A connection. It ends with the last reference, or when the holder ends.
#[derive(Debug)]
pub(super) struct Link {
    numbers: AtomicU64,
    waiting: Arc<Waiting>,
    frames: mpsc::Sender<Vec<u8>>,
    announcements: broadcast::Sender<Announcement>,
    ended: watch::Receiver<Option<Unlinked>>,
}

impl Link {
    pub(super) async fn connect(path: &Path, hello: &Hello) -> Result<Arc<Self>, Unlinked> {
        let name = ShortName::of(path);
        let connecting = timeout(HELLO, UnixStream::connect(&name.path));
        let mut stream = match connecting.await {
            Ok(Ok(stream)) => stream,
            // The queue of a stopped process is full.
            Err(_) => return Err(Unlinked::Silent),
            Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(Unlinked::Silent);
            }
            Ok(Err(_)) => return Err(Unlinked::Away),
        };
        if !is_own(&stream) {
            return Err(Unlinked::Away);
        }
        let greeting = async {
            stream.write_all(&wire::frame(hello)?).await?;
            wire::read::<Hello>(&mut stream).await
        };
        let theirs = match timeout(HELLO, greeting).await {
            Ok(Ok(theirs)) => theirs,
            Ok(Err(_)) => return Err(Unlinked::Away),
            Err(_) => return Err(Unlinked::Silent),
        };
        if theirs.protocol != PROTOCOL {
            return Err(Unlinked::Foreign(theirs.protocol));
        }
        let (frames, to_write) = mpsc::channel(ROOM);
        let (end, ended) = watch::channel(None);
        let link = Arc::new(Self {
            numbers: AtomicU64::new(1),
            waiting: Arc::default(),
            frames,
            announcements: broadcast::Sender::new(ROOM),
            ended,
        });
        let (read, write) = stream.into_split();
        tokio::spawn(drive(Arc::downgrade(&link), read, write, to_write, end));
        Ok(link)
    }

    /// Resolves when the connection is lost, and says why.
    pub(super) async fn ended(&self) -> Unlinked {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Unlinked::Away),
            Err(_) => Unlinked::Away,
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, SharedError> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let frame = wire::frame(&Request { number, ask }).map_err(away)?;
        let (answer, answered) = oneshot::channel();
        self.waiting().insert(number, answer);
        let _forget = Forget(self, number);
        if self.frames.try_send(frame).is_err() || self.ended.borrow().is_some() {
            return Err(away(
                "the process that has the state folder does not answer",
            ));
        }
        match answered.await {
            Ok(Answer::Failed(reason)) => Err(SharedError::Refused { reason }),
            Ok(answer) => Ok(answer),
            Err(error) => Err(away(error)),
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take<'a, T: Send + 'a>(
        &'a self,
        ask: Ask,
        read: impl FnOnce(&Answer) -> Option<T> + Send + 'a,
    ) -> SharedFuture<'a, T> {
        Box::pin(async move {
            let answer = self.ask(ask).await?;
            read(&answer).ok_or_else(|| SharedError::Unreadable {
                reason: "an answer to something else".to_owned(),
            })
        })
    }

    fn tell(&self, ask: Ask) -> SharedFuture<'_, ()> {
        self.take(ask, |answer| matches!(answer, Answer::Done).then_some(()))
    }

    async fn keep_rows(&self, rows: &Batch) -> Result<bool, SharedError> {
        for part in Rows::from(rows).parts() {
            let answer = self.ask(Ask::Keep(part)).await?;
            if !matches!(answer, Answer::Kept(true)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// An answer that is not awaited any more has no place.
struct Forget<'a>(&'a Link, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.waiting().remove(&self.1);
    }
}

impl Holder for Link {
    fn keep<'a>(&'a self, rows: &'a Batch) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let kept = timeout(KEEPING, self.keep_rows(rows)).await;
            matches!(kept, Ok(Ok(true)))
        })
    }
}

fn away(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SharedError {
    SharedError::Away {
        source: source.into(),
    }
}

/// Reads, writes and asks whether the holder is there, until one of them fails.
async fn drive(
    link: std::sync::Weak<Link>,
    mut read: OwnedReadHalf,
    mut write: OwnedWriteHalf,
    mut to_write: mpsc::Receiver<Vec<u8>>,
    end: watch::Sender<Option<Unlinked>>,
) {
    let reading = async {
        while let Ok(told) = wire::read::<Told>(&mut read).await {
            let Some(link) = link.upgrade() else { break };
            link.hear(told);
        }
        Unlinked::Away
    };
    let writing = async {
        while let Some(frame) = to_write.recv().await {
            if write.write_all(&frame).await.is_err() {
                // Its last answers are still to be read: a block that was granted is among them.
                std::future::pending::<()>().await;
            }
        }
        Unlinked::Away
    };
    let pinging = async {
        loop {
            sleep(PING).await;
            let Some(link) = link.upgrade() else {
                return Unlinked::Away;
            };
            match timeout(SILENCE, link.ask(Ask::Ping)).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Unlinked::Away,
                Err(_) => return Unlinked::Silent,
            }
        }
    };
    let why = tokio::select! {
        why = reading => why,
        why = writing => why,
        why = pinging => why,
    };
    end.send_replace(Some(why));
    if let Some(link) = link.upgrade() {
        // Whoever waits for an answer is told that there is none.
        link.waiting().clear();
    }
}

impl Link {
    fn hear(&self, told: Told) {
        let announcement = match told {
            Told::Answer { number, answer } => {
                if let Some(waiting) = self.waiting().remove(&number) {
                    // Nobody waits any more: nothing is lost.
                    let _ = waiting.send(answer);
                }
                return;
            }
            Told::Listed { ip, verdict } => match verdict.read() {
                Some(verdict) => Announcement::Listed { ip, verdict },
                None => return,
            },
            Told::Ban(ban) => match ban.read() {
                Some(ban) => Announcement::Ban(ban),
                None => return,
            },
        };
        let _ = self.announcements.send(announcement);
    }
}

impl SharedStore for Link {
    fn look(&self, ip: IpAddr, lease: Duration) -> SharedFuture<'_, Seen> {
        self.take(Ask::Look { ip, lease }, Answer::seen)
    }

    fn learn(&self, ip: IpAddr, verdict: SharedVerdict, keep: Duration) -> SharedFuture<'_, ()> {
        let verdict = verdict.into();
        self.tell(Ask::Learn { ip, verdict, keep })
    }

    fn release(&self, ip: IpAddr) -> SharedFuture<'_, ()> {
        self.tell(Ask::Release { ip })
    }

    fn grant(&self, request: BlockRequest) -> SharedFuture<'_, Block> {
        self.take(request.into(), Answer::block)
    }

    fn give_back(&self, day: u64, checks: u32) -> SharedFuture<'_, ()> {
        self.tell(Ask::GiveBack { day, checks })
    }

    fn begin_attempt(
        &self,
        login: Login,
        attempt: AttemptId,
        limits: AttemptLimits,
    ) -> SharedFuture<'_, Attempt> {
        let attempt = WireAttempt::new(login, attempt, limits);
        self.take(Ask::BeginAttempt(attempt), Answer::attempt)
    }

    fn fail_attempt(
        &self,
        login: Login,
        attempt: AttemptId,
        limits: AttemptLimits,
    ) -> SharedFuture<'_, Failed> {
        let attempt = WireAttempt::new(login, attempt, limits);
        self.take(Ask::FailAttempt(attempt), Answer::failed)
    }

    fn end_attempt(&self, login: Login, attempt: AttemptId) -> SharedFuture<'_, ()> {
        self.tell(Ask::EndAttempt {
            login: login.into(),
            attempt: attempt.0,
        })
    }

    fn clear_failures(&self, client: Scope) -> SharedFuture<'_, ()> {
        let client = client.into();
        self.tell(Ask::ClearFailures { client })
    }

    fn tell_bans<'a>(&'a self, bans: &'a [BanRecord]) -> SharedFuture<'a, ()> {
        let bans = bans.iter().map(|ban| (*ban).into()).collect();
        self.tell(Ask::TellBans(bans))
    }

    fn greet(&self, proposed: AccountKey) -> SharedFuture<'_, Greeting> {
        let proposed = proposed.0;
        self.take(Ask::Greet { proposed }, Answer::greeting)
    }

    fn listen<'a>(
        &'a self,
        hear: &'a (dyn Fn(Announcement) + Send + Sync),
    ) -> SharedFuture<'a, ()> {
        Box::pin(async move {
            let mut announcements = self.announcements.subscribe();
            self.tell(Ask::Listen).await?;
            loop {
                tokio::select! {
                    heard = announcements.recv() => hear(heard.map_err(away)?),
                    _ = self.ended() => return Err(away("the connection is lost")),
                }
            }
        })
    }
}
