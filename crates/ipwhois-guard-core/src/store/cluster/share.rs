//! Checks in the count of all machines, or in this one's while it is alone.

use std::sync::Arc;

use super::Cluster;
use crate::store::{Claim, Spent};

/// A check that was counted: by the store, or alone. Dropped before it was [`sent`](Self::sent), it
/// is taken back.
#[derive(Debug)]
#[must_use]
pub(crate) struct Share {
    cluster: Arc<Cluster>,
    claim: Claim,
    /// How many the day has by the store's count; `None` when the check was counted alone.
    pub(crate) spent: Option<u32>,
    sent: bool,
}

/// The check may not be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unspent {
    /// The day has no room, by the store's count, or this machine's share is used up.
    ///
    /// A store that has not answered for a moment only counts as one without room: see
    /// [`State::may_spend_alone`].
    NoBudget {
        spent: Option<u32>,
    },
    Rationed,
}

impl Cluster {
    /// Spends a check, with `left` of them left by this machine's count, this one included.
    pub(crate) async fn spend(
        self: &Arc<Self>,
        mut claim: Claim,
        left: u32,
    ) -> Result<Share, Unspent> {
        claim.known = self.state().told.known(claim.day);
        let counted = if self.is_there() && self.settle().await.is_ok() {
            let call = self.is_there().then(|| self.shared.spend(&claim));
            self.answer(call).await
        } else {
            None
        };
        match counted {
            Some(Spent::Yes { spent }) => {
                let mut state = self.state();
                state.told.hear(claim.day, spent);
                state.alone.end();
                drop(state);
                Ok(self.share(claim, Some(spent)))
            }
            Some(Spent::NoBudget { spent }) => {
                self.state().told.hear(claim.day, spent);
                let spent = Some(spent);
                Err(Unspent::NoBudget { spent })
            }
            Some(Spent::Rationed) => Err(Unspent::Rationed),
            None => self.spend_alone(claim, left),
        }
    }

    /// The same when the store has just failed to answer something else.
    pub(crate) fn spend_alone(self: &Arc<Self>, claim: Claim, left: u32) -> Result<Share, Unspent> {
        let mut state = self.state();
        let heard = state.told.has_heard();
        let spent = state.may_spend_alone() && state.alone.spend(claim.day, left, heard);
        drop(state);
        if spent {
            Ok(self.share(claim, None))
        } else {
            Err(Unspent::NoBudget { spent: None })
        }
    }

    fn share(self: &Arc<Self>, claim: Claim, spent: Option<u32>) -> Share {
        Share {
            cluster: Arc::clone(self),
            claim,
            spent,
            sent: false,
        }
    }

    /// Adds what was spent alone; answers the day and what it has then, if there was anything to
    /// add.
    pub(super) async fn settle(&self) -> Result<Option<(u64, u32)>, ()> {
        let (owed, known) = {
            let mut state = self.state();
            let owed = state.alone.settle();
            (owed, owed.map_or(0, |(day, _)| state.told.known(day)))
        };
        let Some((day, checks)) = owed else {
            return Ok(None);
        };
        match self.add_spent(day, known, checks).await {
            Some(spent) => Ok(Some((day, spent))),
            None => {
                self.state().alone.owe(day, checks);
                Err(())
            }
        }
    }
}

impl Share {
    /// The check goes out: it is spent.
    pub(crate) fn sent(&mut self) {
        self.sent = true;
    }

    /// It did not get through after all.
    pub(crate) fn unsent(&mut self) {
        self.sent = false;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.sent {
            return;
        }
        if self.spent.is_none() {
            self.cluster.state().alone.unspend(self.claim.day);
            return;
        }
        let claim = self.claim.clone();
        self.cluster.state().told.unspend(claim.day);
        self.cluster.background(|cluster| async move {
            let call = cluster.is_there().then(|| cluster.shared.unspend(&claim));
            cluster.answer(call).await;
        });
    }
}
