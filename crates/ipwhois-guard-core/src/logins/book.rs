//! The tracker with what it needs around it: its limits, the key of accounts, and the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::rows::{self, Moment};
use super::{AccountKey, Limits, Scope, Tracker};
use crate::clock::{Clock, Tick};
use crate::settings::Settings;
use crate::state::Journal;
use crate::store::AttemptLimits;

/// Maximum number of logins that wait for a place at the same time.
const MOST_WAITING: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Logins {
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) limits: Limits,
    /// Of clients without an address, all together.
    pub(crate) nameless: Tracker,
    pub(crate) nameless_limits: Limits,
    account_key: ArcSwap<AccountKey>,
    waiting: AtomicUsize,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
}

impl Logins {
    pub(crate) fn new(settings: &Settings, journal: Arc<Journal>, clock: Arc<dyn Clock>) -> Self {
        let find_time = settings.find_time;
        let attempts = |max_failures| AttemptLimits {
            max_failures,
            find_time,
        };
        Self {
            tracker: Arc::new(Tracker::new()),
            limits: Limits {
                attempts: attempts(settings.max_failures),
                ban_time: settings.ban_time,
                max_ban_time: settings.max_ban_time,
            },
            nameless: Tracker::of_one(),
            nameless_limits: Limits {
                attempts: attempts(settings.max_failures.saturating_mul(10).min(1_000)),
                ban_time: find_time,
                max_ban_time: None,
            },
            account_key: ArcSwap::from_pointee(AccountKey::random()),
            waiting: AtomicUsize::new(0),
            journal,
            clock,
        }
    }

    /// Where a client's failures are counted, and by which limits.
    pub(crate) fn of(&self, client: Scope) -> (&Tracker, &Limits) {
        if client == Scope::NAMELESS {
            (&self.nameless, &self.nameless_limits)
        } else {
            (&self.tracker, &self.limits)
        }
    }

    pub(crate) fn now(&self) -> Tick {
        Tick::at(self.clock.elapsed())
    }

    /// Has what changed of a client written.
    pub(crate) fn keep(&self, client: Scope) {
        if client != Scope::NAMELESS && self.journal.is_kept() {
            for row in self.tracker.rows(&self.limits, client, self.moment()) {
                self.journal.note_row(row);
            }
        }
    }

    /// Takes over what an earlier process kept, and has the key of accounts written if there is
    /// none yet.
    pub(crate) fn restore(&self, loaded: &[(Vec<u8>, Duration, Vec<u8>)]) {
        let moment = self.moment();
        let mut known = None;
        for (key, _, row) in loaded {
            known = known.or_else(|| rows::read_account_key(key, row));
            self.tracker.restore(&self.limits, key, row, moment);
        }
        match known {
            Some(key) => self.account_key.store(Arc::new(key)),
            None => self
                .journal
                .note_row(rows::account_key_row(self.account_key())),
        }
    }

    pub(crate) fn account_key(&self) -> AccountKey {
        **self.account_key.load()
    }

    /// Takes over the key of the machines that share a store.
    pub(crate) fn adopt_account_key(&self, key: AccountKey) {
        if key != self.account_key() {
            self.account_key.store(Arc::new(key));
            self.journal.note_row(rows::account_key_row(key));
        }
    }

    /// A turn to wait for a place, unless too many wait.
    pub(crate) fn wait(&self) -> Option<Turn<'_>> {
        let turn = Turn(&self.waiting);
        (self.waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(turn)
    }

    fn moment(&self) -> Moment {
        Moment {
            tick: self.now(),
            wall: self.clock.wall(),
        }
    }
}

/// One that waits.
pub(crate) struct Turn<'a>(&'a AtomicUsize);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long a login waits for a place while all are taken by attempts under way.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
