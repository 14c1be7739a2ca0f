//! The holder's side of the connections.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Local;
use super::link::{ShortName, is_own};
use super::rows::Claims;
use super::wire::{self, Answer, Ask, Hello, PROTOCOL, Purpose, Request, Rows, Told, WireBan};
use crate::store::{AccountKey, AttemptId, BlockRequest, Count, InMemory, SharedStore};

/// Connections at a time.
const MEMBERS: usize = 256;
/// Frames that wait for a member to read them. One that is slower is cut off.
const BACKLOG: usize = 4096;
/// Requests of one member under way.
const REQUESTS: usize = 256;
/// How long a new connection may take to say what it wants.
const HELLO: Duration = Duration::from_secs(1);
/// How long the last answers may take to be written.
const FAREWELL: Duration = Duration::from_millis(200);

/// Listens in the folder, in the place of an earlier holder. Others than this user have no access.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    let name = ShortName::of(path);
    let path = name.path.as_path();
    let new = path.with_extension("new");
    for path in [&new, path] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}

/// Serves members until this process ends.
pub(super) async fn serve(local: Arc<Local>, listener: UnixListener) {
    let mut members = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if members.len() < MEMBERS && is_own(&stream) => {
                    members.spawn(member(Arc::clone(&local), stream));
                }
                Ok(_) => {}
                // Out of descriptors, for example.
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
            Some(_) = members.join_next() => {}
            () = local.ending() => break,
        }
    }
    while members.join_next().await.is_some() {}
}

async fn member(local: Arc<Local>, mut stream: UnixStream) {
    let Ok(Ok(hello)) = timeout(HELLO, wire::read::<Hello>(&mut stream)).await else {
        return;
    };
    let Ok(greeting) = wire::frame(&Hello::new(local.member)) else {
        return;
    };
    let is_understood = hello.protocol == PROTOCOL && hello.purpose == Purpose::Guard;
    if stream.write_all(&greeting).await.is_err() || !is_understood {
        return;
    }
    if let Some((day, checks)) = hello.uncounted {
        local.count(day, checks).await;
    }
    let _company = Company::new(&local);
    let claims = Claims::new(&local.rows, hello.member, hello.rows);
    let member = Arc::new(Member {
        store: local.memory.another(),
        local,
        claims,
        gone: Notify::new(),
    });
    let (mut read, mut write) = stream.into_split();
    let (frames, mut to_write) = mpsc::channel::<Vec<u8>>(BACKLOG);
    let reading = async move {
        let room = Arc::new(Semaphore::new(REQUESTS));
        let (mut answers, mut announcers) = (JoinSet::new(), JoinSet::new());
        loop {
            let request = tokio::select! {
                request = wire::read(&mut read) => request,
                () = member.local.ending() => break,
                () = member.gone.notified() => return,
            };
            let Ok(Request { number, ask }) = request else {
                return;
            };
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let (member, frames) = (Arc::clone(&member), frames.clone());
            if matches!(ask, Ask::Listen) {
                announcers.spawn(async move { member.announce(number, &frames).await });
                continue;
            }
            answers.spawn(async move {
                let _permit = permit;
                member.handle(number, ask, &frames).await;
            });
            while answers.try_join_next().is_some() {}
        }
        // What was asked before the end is answered.
        while answers.join_next().await.is_some() {}
    };
    let writing = async {
        while let Some(frame) = to_write.recv().await {
            if write.write_all(&frame).await.is_err() {
                return;
            }
        }
    };
    let mut writing = std::pin::pin!(writing);
    tokio::select! {
        () = reading => {}
        () = &mut writing => return,
    }
    let _ = timeout(FAREWELL, writing).await;
}

/// Counts the members that are there.
struct Company(Arc<Local>);

impl Company {
    fn new(local: &Arc<Local>) -> Self {
        local.members.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(local))
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        self.0.members.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection.
struct Member {
    local: Arc<Local>,
    /// What all share, under this member's name.
    store: InMemory,
    claims: Claims,
    /// It has missed an announcement.
    gone: Notify,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.store.release_all();
    }
}

impl Member {
    async fn handle(&self, number: u64, ask: Ask, frames: &mpsc::Sender<Vec<u8>>) {
        let granted = match ask {
            Ask::Grant { day, .. } => Some(day),
            _ => None,
        };
        let answer = self.answer(ask).await;
        let block = answer.block().map_or(0, |block| block.checks);
        let is_sent = send(frames, &Told::Answer { number, answer });
        if let (false, Some(day)) = (is_sent, granted) {
            self.local.take_back(day, block);
        }
    }

    async fn answer(&self, ask: Ask) -> Answer {
        let store = &self.store;
        let done = |()| Answer::Done;
        let answer = match ask {
            Ask::Ping | Ask::Listen => Ok(Answer::Done),
            Ask::Look { ip, lease } => store.look(ip, lease).await.map(Answer::from),
            Ask::Learn { ip, verdict, keep } => match verdict.read() {
                Some(verdict) => store.learn(ip, verdict, keep).await.map(done),
                None => return senseless(),
            },
            Ask::Release { ip } => store.release(ip).await.map(done),
            Ask::Grant {
                day,
                limit,
                checks,
                is_spending,
                granted,
                birth,
            } => {
                let request = BlockRequest {
                    day,
                    limit,
                    checks,
                    is_spending,
                    known: Count { granted, birth },
                };
                self.local
                    .grant_on_disk(store, request)
                    .await
                    .map(Answer::from)
            }
            Ask::GiveBack { day, checks } => {
                self.local.take_back(day, checks);
                Ok(Answer::Done)
            }
            Ask::BeginAttempt(attempt) => match attempt.read() {
                Some((login, id, limits)) => {
                    let begun = store.begin_attempt(login, id, limits);
                    begun.await.map(Answer::from)
                }
                None => return senseless(),
            },
            Ask::FailAttempt(attempt) => match attempt.read() {
                Some((login, id, limits)) => {
                    let failed = store.fail_attempt(login, id, limits);
                    failed.await.map(Answer::from)
                }
                None => return senseless(),
            },
            Ask::EndAttempt { login, attempt } => match login.read() {
                Some(login) => store.end_attempt(login, AttemptId(attempt)).await.map(done),
                None => return senseless(),
            },
            Ask::ClearFailures { client } => match client.read() {
                Some(client) => store.clear_failures(client).await.map(done),
                None => return senseless(),
            },
            Ask::TellBans(bans) => {
                let bans: Vec<_> = bans.iter().filter_map(WireBan::read).collect();
                store.tell_bans(&bans).await.map(done)
            }
            Ask::Greet { proposed } => {
                let greeting = store.greet(AccountKey(proposed));
                greeting.await.map(Answer::from)
            }
            Ask::Keep(rows) => Ok(Answer::Kept(self.keep(rows).await)),
        };
        answer.unwrap_or_else(|error| Answer::Failed(error.to_string()))
    }

    async fn keep(&self, rows: Rows) -> bool {
        for (row, report) in &rows.reports {
            self.claims.note(*row, report.as_deref());
        }
        let batch = rows.batch();
        for stored in &batch.verdicts {
            self.local.restore_verdict(stored);
        }
        self.local.journal.save_rows(batch).await
    }

    /// Passes on what is announced, for as long as the connection lasts.
    async fn announce(&self, number: u64, frames: &mpsc::Sender<Vec<u8>>) {
        let answer = Answer::Done;
        if !send(frames, &Told::Answer { number, answer }) {
            return;
        }
        let missed = Notify::new();
        let hear = |announcement| {
            if !send(frames, &Told::from(announcement)) {
                missed.notify_one();
            }
        };
        // Whoever has missed something listens again, and hears of the bans in force.
        tokio::select! {
            _ = self.store.listen(&hear) => {}
            () = missed.notified() => {}
        }
        self.gone.notify_one();
    }
}

/// Something that no process of this version asks.
fn senseless() -> Answer {
    Answer::Failed("what was asked makes no sense".to_owned())
}

/// False when the member is gone, or too slow.
fn send(frames: &mpsc::Sender<Vec<u8>>, told: &Told) -> bool {
    match wire::frame(told) {
        Ok(frame) => frames.try_send(frame).is_ok(),
        Err(_) => false,
    }
}
