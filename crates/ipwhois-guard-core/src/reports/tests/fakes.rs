//! A service, a shelf and a clock that tests have in their hands. All of them follow tokio's time.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::super::{BoxFuture, Delivered, Left, NotAccepted, Report, ReportService, ReportShelf};
use crate::clock::Clock;
use crate::error::ApiError;

/// How long a call takes, and a write to the shelf.
pub(super) const CALL: Duration = Duration::from_millis(40);
pub(super) const WRITE: Duration = Duration::from_millis(5);

/// 2026-01-01 00:00:00 UTC.
pub(super) const WALL: u64 = 1_767_225_600;

pub(super) fn ip(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x1900_0000 + n))
}

#[derive(Clone, Debug)]
pub(super) struct Time {
    origin: Instant,
    wall_shift: Arc<AtomicI64>,
}

impl Time {
    pub(super) fn new() -> Self {
        Self {
            origin: Instant::now(),
            wall_shift: Arc::default(),
        }
    }

    /// Sets the wall's clock, and no other.
    pub(super) fn shift_wall(&self, seconds: i64) {
        self.wall_shift.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Time {
    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    fn wall(&self) -> SystemTime {
        let shifted = WALL.saturating_add_signed(self.wall_shift.load(Ordering::SeqCst));
        SystemTime::UNIX_EPOCH + Duration::from_secs(shifted) + self.elapsed()
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Accept,
    Status(u16),
    Limited(Option<u64>),
    Unavailable(u64),
    Break,
    Malformed,
    /// The report is taken, the reply lost.
    AcceptAndBreak,
}

type Script = Box<dyn FnMut(usize) -> Answer + Send>;

/// Answers each call by a script that is given the number of calls before it.
#[derive(Clone)]
pub(super) struct Service(Arc<Books>);

struct Books {
    script: Mutex<Script>,
    calls: Mutex<Vec<(Instant, IpAddr)>>,
    accepted: Mutex<HashMap<IpAddr, usize>>,
    under_way: watch::Sender<usize>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

impl Service {
    pub(super) fn new(script: impl FnMut(usize) -> Answer + Send + 'static) -> Self {
        Self(Arc::new(Books {
            script: Mutex::new(Box::new(script)),
            calls: Mutex::default(),
            accepted: Mutex::default(),
            under_way: watch::Sender::new(0),
        }))
    }

    pub(super) fn always(answer: Answer) -> Self {
        Self::new(move |_| answer)
    }

    /// Answers by another script from now on.
    pub(super) fn now(&self, answer: Answer) {
        *self.0.script.lock().unwrap() = Box::new(move |_| answer);
    }

    pub(super) fn calls(&self) -> Vec<(Instant, IpAddr)> {
        self.0.calls.lock().unwrap().clone()
    }

    pub(super) fn accepted(&self) -> HashMap<IpAddr, usize> {
        self.0.accepted.lock().unwrap().clone()
    }

    pub(super) async fn is_called(&self) {
        let mut under_way = self.0.under_way.subscribe();
        under_way.wait_for(|calls| *calls > 0).await.unwrap();
    }

    fn accept(&self, report: &Report) {
        let mut accepted = self.0.accepted.lock().unwrap();
        *accepted.entry(report.ip()).or_default() += 1;
    }
}

struct Call<'a>(&'a Books);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|calls| *calls -= 1);
    }
}

impl ReportService for Service {
    fn deliver<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Result<(), NotAccepted>> {
        Box::pin(async move {
            let books = &*self.0;
            books.under_way.send_modify(|calls| *calls += 1);
            let _call = Call(books);
            assert_eq!(*books.under_way.borrow(), 1, "one call at a time");
            let number = {
                let mut calls = books.calls.lock().unwrap();
                calls.push((Instant::now(), report.ip()));
                calls.len() - 1
            };
            sleep(CALL).await;
            let answer = (*books.script.lock().unwrap())(number);
            let broken = || ApiError::Transport {
                connected: true,
                source: "connection reset".into(),
            };
            let (error, retry_after) = match answer {
                Answer::Accept => {
                    self.accept(report);
                    return Ok(());
                }
                Answer::AcceptAndBreak => {
                    self.accept(report);
                    (broken(), None)
                }
                Answer::Break => (broken(), None),
                Answer::Status(status @ (401 | 403)) => (ApiError::KeyRefused { status }, None),
                Answer::Status(status) => (ApiError::Status { status }, None),
                Answer::Unavailable(seconds) => (
                    ApiError::Status { status: 503 },
                    Some(Duration::from_secs(seconds)),
                ),
                Answer::Limited(seconds) => {
                    let retry_after = seconds.map(Duration::from_secs);
                    (ApiError::RateLimited { retry_after }, retry_after)
                }
                Answer::Malformed => (
                    ApiError::Malformed {
                        reason: "HTML".to_owned(),
                    },
                    None,
                ),
            };
            Err(NotAccepted { error, retry_after })
        })
    }
}

/// A shelf in memory. What was put is on it after [`WRITE`]; clones are the same shelf.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf(Arc<Boards>);

#[derive(Debug, Default)]
struct Boards {
    rows: Mutex<BTreeMap<u64, Vec<u8>>>,
    delivered: Mutex<Vec<Delivered>>,
    hangs: AtomicBool,
}

impl Shelf {
    pub(super) fn rows(&self) -> BTreeMap<u64, Vec<u8>> {
        self.0.rows.lock().unwrap().clone()
    }

    pub(super) fn set(&self, row: u64, bytes: impl Into<Vec<u8>>) {
        self.0.rows.lock().unwrap().insert(row, bytes.into());
    }

    pub(super) fn delivered(&self) -> Vec<Delivered> {
        self.0.delivered.lock().unwrap().clone()
    }

    pub(super) fn set_delivered(&self, delivered: Delivered) {
        self.0.delivered.lock().unwrap().push(delivered);
    }

    /// Whether writes take an hour from now on.
    pub(super) fn hang(&self, hangs: bool) {
        self.0.hangs.store(hangs, Ordering::SeqCst);
    }

    async fn write(&self) {
        let hangs = self.0.hangs.load(Ordering::SeqCst);
        sleep(if hangs {
            Duration::from_secs(3_600)
        } else {
            WRITE
        })
        .await;
    }
}

impl ReportShelf for Shelf {
    fn load(&self) -> BoxFuture<'_, Left> {
        Box::pin(async {
            sleep(WRITE).await;
            Left {
                // In no particular order.
                rows: self.rows().into_iter().rev().collect(),
                delivered: self.delivered(),
            }
        })
    }

    fn put(&self, row: u64, bytes: Vec<u8>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.write().await;
            let before = self.0.rows.lock().unwrap().insert(row, bytes);
            assert_eq!(before, None, "row {row} is taken");
        })
    }

    fn remove(&self, row: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.write().await;
            let before = self.0.rows.lock().unwrap().remove(&row);
            assert!(before.is_some(), "row {row} is not there");
        })
    }

    fn deliver(&self, row: Option<u64>, report: Delivered) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.write().await;
            self.0.delivered.lock().unwrap().push(report);
            if let Some(row) = row {
                let before = self.0.rows.lock().unwrap().remove(&row);
                assert!(before.is_some(), "row {row} is not there");
            }
        })
    }
}

/// A shelf that keeps nothing: reports live as long as the process.
#[derive(Debug)]
pub(super) struct NoShelf;

impl ReportShelf for NoShelf {
    fn load(&self) -> BoxFuture<'_, Left> {
        Box::pin(async { Left::default() })
    }

    fn put(&self, _: u64, _: Vec<u8>) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn remove(&self, _: u64) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn deliver(&self, _: Option<u64>, _: Delivered) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
