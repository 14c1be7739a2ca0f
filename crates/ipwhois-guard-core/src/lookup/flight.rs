//! One call on its way, and who waits for it.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Answer, Asked, Lookup};
use crate::verdict::Unverified;

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
/// behind that would never land.
#[derive(Debug)]
pub(super) struct Landing {
    lookup: Arc<Lookup>,
    ip: IpAddr,
    answer: Option<Answer>,
}

impl Landing {
    pub(super) fn new(lookup: Arc<Lookup>, ip: IpAddr) -> Self {
        Self {
            lookup,
            ip,
            answer: None,
        }
    }

    pub(super) async fn fly(mut self) {
        let lookup = &self.lookup;
        let mut patience = pin!(tokio::time::sleep(lookup.max_wait));
        let turn = tokio::select! {
            biased;
            turn = lookup.calls.acquire() => turn,
            () = &mut patience => {
                lookup.give_up_waiting(self.ip);
                return;
            }
        };
        let answer = {
            let mut call = pin!(lookup.call(self.ip));
            tokio::select! {
                biased;
                answer = &mut call => answer,
                () = &mut patience => {
                    lookup.give_up_waiting(self.ip);
                    call.await
                }
            }
        };
        drop(turn);
        self.answer = Some(answer);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.lookup.land(self.ip, self.answer.take());
    }
}
