//! One call on its way, and the requests that wait for it.

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::{fmt, process};

use tokio::sync::oneshot;

use super::elsewhere::Sight;
use super::{Answer, Asked, Lookup, Question};
use crate::alarm::Overdue;
use crate::budget::Spend;
use crate::verdict::{Source, Unverified};

/// Requests that wait for one address. `None` once they are answered: no new one joins.
pub(super) struct Waiters {
    lookup: Arc<Lookup>,
    ip: IpAddr,
    senders: Mutex<Option<Vec<oneshot::Sender<Answer>>>>,
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiters").finish_non_exhaustive()
    }
}

impl Waiters {
    fn new(lookup: Arc<Lookup>, ip: IpAddr) -> Self {
        Self {
            lookup,
            ip,
            senders: Mutex::new(Some(Vec::new())),
        }
    }

    pub(super) fn join(&self) -> Asked {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *senders {
            Some(senders) => {
                let (sender, answer) = oneshot::channel();
                senders.push(sender);
                Asked::Waiting(Waiting {
                    answer,
                    process: process::id(),
                })
            }
            None => Asked::Settled(Err(Unverified::TimedOut)),
        }
    }

    /// Answers every request that waits, the first time. `before` it does.
    fn release(&self, answer: Answer, before: impl FnOnce()) {
        let waiting = {
            let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
            if senders.is_some() {
                before();
            }
            senders.take()
        };
        // Sending wakes tasks of the application, so no lock is held.
        for sender in waiting.into_iter().flatten() {
            // A request that was dropped needs no answer.
            let _ = sender.send(answer);
        }
    }
}

impl Overdue for Waiters {
    /// Remembered as well, so that no other request begins to wait.
    fn overdue(&self) {
        let lookup = &self.lookup;
        self.release(Err(Unverified::TimedOut), || {
            let now = lookup.now();
            lookup
                .cache
                .note_failure(self.ip, Unverified::TimedOut, now);
        });
    }

    fn abandoned(&self) {
        self.release(Err(Unverified::ShuttingDown), || {});
    }
}

/// The answer to a request that waits, at the latest `max_wait` after the flight began.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Waiting {
    answer: oneshot::Receiver<Answer>,
    process: u32,
}

impl Future for Waiting {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        // A forked child has no thread that would answer what the parent asked.
        if self.process != process::id() {
            return Poll::Ready(Err(Unverified::TimedOut));
        }
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        Poll::Ready(answer.unwrap_or(Err(Unverified::ShuttingDown)))
    }
}

/// The right to make the flight of one address, and the duty to end it: dropped at any point, it
/// leaves no flight behind that would never land, and gives back a check that was not sent.
#[derive(Debug)]
pub(super) struct Landing {
    lookup: Arc<Lookup>,
    question: Question,
    /// What the check is paid with. `None` before the state folder is read: nobody knows what is
    /// left until then.
    pub(super) spend: Option<Spend>,
    pub(super) waiters: Arc<Waiters>,
    answer: Option<Answer>,
}

impl Landing {
    pub(super) fn new(lookup: Arc<Lookup>, question: Question, spend: Option<Spend>) -> Self {
        Self {
            waiters: Arc::new(Waiters::new(Arc::clone(&lookup), question.ip)),
            lookup,
            question,
            spend,
            answer: None,
        }
    }

    /// Begins the flight. From now on the waiters' time runs.
    pub(super) fn begin(self) {
        let lookup = Arc::clone(&self.lookup);
        let waiters: Weak<Waiters> = Arc::downgrade(&self.waiters);
        lookup.alarm.after(lookup.max_wait, waiters);
        lookup.runtime.spawn(self.fly());
    }

    async fn fly(mut self) {
        let lookup = Arc::clone(&self.lookup);
        let question = self.question;
        let patience = pin!(tokio::time::sleep(lookup.max_wait));
        // Dropped on any way out without a verdict, which lets another machine try.
        let (lease, alone) = match lookup.look_elsewhere(question).await {
            Sight::Settled(answer) => {
                self.answer = Some(answer);
                return;
            }
            Sight::Ask(lease) => (lease, false),
            Sight::Alone => (None, true),
        };
        let turn = tokio::select! {
            biased;
            turn = lookup.turn() => turn,
            () = patience => {
                self.waiters.overdue();
                return;
            }
        };
        let answer = lookup.call(question, &mut self.spend, alone).await;
        drop(turn);
        if let Ok(found) = answer
            && found.source == Source::Api
        {
            lookup.tell(question.ip, found.reputation);
            if let Some(lease) = lease {
                lease.ended();
            }
        }
        self.answer = Some(answer);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(spend) = self.spend.take() {
            self.lookup.budget.refund(spend);
        }
        self.lookup.flights.remove(&self.question.ip);
        // Without an answer only when the guard ends.
        let answer = self.answer.take();
        self.waiters
            .release(answer.unwrap_or(Err(Unverified::ShuttingDown)), || {});
        self.lookup.leave_the_air();
    }
}
