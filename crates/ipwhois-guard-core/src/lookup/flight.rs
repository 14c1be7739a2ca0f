//! One call on its way, and who waits for it.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::elsewhere::Sight;
use super::{Answer, Asked, Lookup, Question};
use crate::budget::Spend;
use crate::verdict::{Source, Unverified};

/// Who waits for an address. `None`: the wait was in vain, nobody else begins one.
#[derive(Debug)]
pub(super) struct Flight {
    passengers: Option<Vec<oneshot::Sender<Answer>>>,
}

impl Flight {
    pub(super) const fn empty() -> Self {
        Self {
            passengers: Some(Vec::new()),
        }
    }

    pub(super) fn with_passenger() -> (Self, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let flight = Self {
            passengers: Some(vec![sender]),
        };
        (flight, receiver)
    }

    pub(super) fn join(&mut self) -> Asked {
        match &mut self.passengers {
            Some(passengers) => {
                let (sender, receiver) = oneshot::channel();
                passengers.push(sender);
                Asked::Waiting(receiver)
            }
            None => Asked::Settled(Err(Unverified::TimedOut)),
        }
    }

    /// Answers everybody who waits; from now on nobody does.
    pub(super) fn release(&mut self, answer: Answer) {
        for passenger in self.passengers.take().into_iter().flatten() {
            // Who hung up does not want to know.
            let _ = passenger.send(answer);
        }
    }
}

/// The right to make the flight of one address, and the duty to end it: dropped at any point, it leaves no flight
/// behind that would never land, and gives back a check that was not sent.
#[derive(Debug)]
pub(super) struct Landing {
    lookup: Arc<Lookup>,
    question: Question,
    /// What the check is paid with. `None` before the state folder is read: nobody knows what is left until then.
    pub(super) spend: Option<Spend>,
    answer: Option<Answer>,
}

impl Landing {
    pub(super) fn new(lookup: Arc<Lookup>, question: Question, spend: Option<Spend>) -> Self {
        Self {
            lookup,
            question,
            spend,
            answer: None,
        }
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.question.ip
    }

    pub(super) async fn fly(mut self) {
        let lookup = Arc::clone(&self.lookup);
        let question = self.question;
        let mut patience = pin!(tokio::time::sleep(lookup.max_wait));
        let sight = {
            let mut look = pin!(lookup.look_elsewhere(question));
            tokio::select! {
                biased;
                sight = &mut look => sight,
                () = &mut patience => {
                    lookup.give_up_waiting(question.ip);
                    look.await
                }
            }
        };
        // Dropped on any way out without a verdict, which lets another machine try.
        let (lease, alone) = match sight {
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
            () = &mut patience => {
                lookup.give_up_waiting(question.ip);
                return;
            }
        };
        let answer = {
            let mut call = pin!(lookup.call(question, &mut self.spend, alone));
            tokio::select! {
                biased;
                answer = &mut call => answer,
                () = &mut patience => {
                    lookup.give_up_waiting(question.ip);
                    call.await
                }
            }
        };
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
            self.lookup.purse.refund(spend);
        }
        self.lookup.land(self.ip(), self.answer.take());
    }
}
