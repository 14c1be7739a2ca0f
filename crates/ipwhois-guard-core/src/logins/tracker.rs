//! The one table of windows and bans, in buckets that share a lock.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ban::{Ban, Settled};
use super::bucket::{Bucket, ROOM};
use super::scope::{AccountTag, Login, Scope};
use super::sync::{AtomicU32, Mutex, Notified, Notify};
use super::window::Place;
use super::{Attack, Failure, Limits, Refused, rows};
use crate::clock::Tick;
use crate::spread::Spread;
use crate::store::{AttemptId, BanRecord};

/// Maximum number of windows, and of bans.
pub(super) const CAPACITY: usize = 65_536;

#[derive(Debug)]
pub(crate) struct Tracker {
    slots: Box<[Slot]>,
    spread: Spread,
    /// Not before any ban ends. Never goes back, so it may be read without a lock.
    last_ban_ends: AtomicU32,
}

#[derive(Debug)]
struct Slot {
    bucket: Mutex<Bucket>,
    /// The same of this bucket alone.
    last_ban_ends: AtomicU32,
    /// Told when a place may be free, or a client is banned.
    freed: Notify,
}

impl Tracker {
    pub(crate) fn new() -> Self {
        Self::with_buckets(CAPACITY / ROOM)
    }

    /// For one client only.
    pub(crate) fn of_one() -> Self {
        Self::with_buckets(1)
    }

    pub(super) fn with_buckets(buckets: usize) -> Self {
        let never = || AtomicU32::new(Tick::NEVER.to_bits());
        let slot = |_| Slot {
            bucket: Mutex::new(Bucket::default()),
            last_ban_ends: never(),
            freed: Notify::new(),
        };
        Self {
            slots: (0..buckets).map(slot).collect(),
            spread: Spread::default(),
            last_ban_ends: never(),
        }
    }

    /// Takes one of the places, before the password check.
    ///
    /// # Errors
    ///
    /// When the client is banned, or all places are taken.
    pub(crate) fn begin(
        &self,
        limits: &Limits,
        login: Login,
        attempt: AttemptId,
        now: Tick,
    ) -> Result<(), Refused> {
        self.slot(login.client)
            .with(|bucket| bucket.begin(login, attempt, now, limits))
    }

    /// Ends an attempt: the password was right. Forgives the client's failures for the account.
    pub(crate) fn succeed(&self, login: Login, attempt: AttemptId) {
        let slot = self.slot(login.client);
        slot.with(|bucket| {
            bucket.end(login.client, attempt);
            bucket.forgive(login);
        });
        slot.freed.notify_waiters();
    }

    /// Gives the place back as if the attempt had never begun.
    pub(crate) fn withdraw(&self, client: Scope, attempt: AttemptId) {
        let slot = self.slot(client);
        slot.with(|bucket| bucket.end(client, attempt));
        slot.freed.notify_waiters();
    }

    /// Counts a failure, and ends its attempt if it had one.
    pub(crate) fn fail(
        &self,
        limits: &Limits,
        login: Login,
        attempt: Option<AttemptId>,
        now: Tick,
    ) -> Failure {
        self.changing_bans(login.client, |bucket| {
            if let Some(attempt) = attempt {
                bucket.end(login.client, attempt);
            }
            bucket.fail(login, now, limits)
        })
    }

    /// Failures that were counted elsewhere are too many.
    pub(crate) fn trip(&self, limits: &Limits, scope: Scope, now: Tick) -> Failure {
        self.changing_bans(scope, |bucket| bucket.trip(scope, now, limits))
    }

    /// Counts that a client failed at an account. It only ever warns: what clients do locks no
    /// account.
    pub(crate) fn note_account(
        &self,
        limits: &Limits,
        account: AccountTag,
        client: Scope,
        now: Tick,
    ) -> Attack {
        let client = NonZeroU32::new(self.spread.place(client, u32::MAX));
        let client = AccountTag(client.unwrap_or(NonZeroU32::MAX));
        let account = Scope::account(account);
        let failure = Place::failure(now, Some(client));
        self.slot(account)
            .with(|bucket| bucket.note_account(account, failure, &limits.attempts))
    }

    /// Forgets all failures of a client.
    pub(crate) fn pardon(&self, client: Scope) {
        let slot = self.slot(client);
        slot.with(|bucket| bucket.pardon(client));
        slot.freed.notify_waiters();
    }

    /// Whether anybody was ever banned.
    #[inline]
    pub(crate) fn has_banned(&self) -> bool {
        self.last_ban_ends.load(Ordering::Relaxed) != Tick::NEVER.to_bits()
    }

    /// How much longer a client is banned, itself or in a wider network.
    ///
    /// Every request asks this, so the usual answers come without a lock: no client is banned, or
    /// none of its bucket.
    pub(crate) fn banned(&self, client: IpAddr, now: Tick) -> Option<Duration> {
        if self.last_ban_ends.load(Ordering::Relaxed) <= now.to_bits() {
            return None;
        }
        let client = Scope::of(client);
        let slot = self.slot(client);
        if slot.last_ban_ends.load(Ordering::Relaxed) <= now.to_bits() {
            return None;
        }
        slot.with(|bucket| bucket.banned(client, now))
    }

    /// Bans a client. A ban that lasts longer already stays as it is. Answers how the store is
    /// told.
    pub(crate) fn ban(&self, client: Scope, length: Duration, now: Tick) -> Vec<BanRecord> {
        self.changing_bans(client, |bucket| {
            bucket.ban(client, length, now);
            records(bucket, now, |scope| scope == client)
        })
    }

    /// Lifts a client's bans, those of its wider networks too. It is remembered that they were.
    pub(crate) fn unban(&self, client: Scope, now: Tick) -> Vec<BanRecord> {
        self.changing_bans(client, |bucket| {
            let banned = |scope: &Scope| {
                let bans = bucket.bans().iter();
                let mut active = bans.filter(|ban| ban.is_active(now));
                *scope == client || active.any(|ban| ban.scope == *scope)
            };
            let scopes: Vec<_> = client.with_wider().filter(banned).collect();
            for scope in &scopes {
                bucket.unban(*scope, now);
            }
            records(bucket, now, |scope| scopes.contains(&scope))
        })
    }

    /// Takes over what another machine or process says of a ban.
    pub(crate) fn settle(&self, told: BanRecord, now: Tick) -> Settled {
        let ban = Ban::from_record(told, now);
        self.changing_bans(told.scope, |bucket| bucket.settle(ban, now))
    }

    /// All bans in force and all lifts that are remembered.
    pub(crate) fn records(&self, now: Tick) -> Vec<BanRecord> {
        let slots = self.slots.iter();
        slots
            .flat_map(|slot| slot.with(|bucket| records(bucket, now, |_| true)))
            .collect()
    }

    /// Resolves when a place of the client may be free.
    pub(crate) fn freed(&self, client: Scope) -> Notified<'_> {
        self.slot(client).freed.notified()
    }

    /// How many clients, networks and accounts have failures or attempts under way, some of those
    /// included whose time has passed.
    pub(crate) fn tracked_clients(&self) -> usize {
        self.sum(|bucket| bucket.windows().count())
    }

    /// How many bans are in force.
    pub(crate) fn active_bans(&self, now: Tick) -> usize {
        self.sum(|bucket| {
            bucket
                .bans()
                .iter()
                .filter(|ban| ban.is_active(now))
                .count()
        })
    }

    /// How many bans ended before their time because there was no room for another one.
    pub(crate) fn bans_lost(&self) -> u64 {
        let slots = self.slots.iter();
        slots
            .map(|slot| slot.with(|bucket| bucket.bans_lost()))
            .sum()
    }

    /// What is to be kept of a client across a restart.
    pub(crate) fn rows(
        &self,
        limits: &Limits,
        client: Scope,
        moment: rows::Moment,
    ) -> Vec<rows::Row> {
        self.slot(client).with(|bucket| {
            client
                .with_wider()
                .flat_map(|scope| rows::of(bucket, scope, limits, moment))
                .collect()
        })
    }

    /// Takes over what an earlier process kept. What came since counts for more.
    pub(crate) fn restore(&self, limits: &Limits, key: &[u8], row: &[u8], moment: rows::Moment) {
        match rows::read(key, row, moment) {
            Some(rows::Kept::Ban(ban)) => {
                self.changing_bans(ban.scope, |bucket| bucket.settle(ban, moment.tick));
            }
            Some(rows::Kept::Failures(scope, failures)) => self
                .slot(scope)
                .with(|bucket| bucket.restore(scope, &failures, &limits.attempts)),
            None => {}
        }
    }

    /// Changes a bucket and lets [`banned`](Self::banned) know of its bans, under the lock: what
    /// takes it next must not find a ban in one place and not in the other.
    fn changing_bans<R>(&self, scope: Scope, change: impl FnOnce(&mut Bucket) -> R) -> R {
        let slot = self.slot(scope);
        let outcome = slot.with(|bucket| {
            let outcome = change(bucket);
            let ends = bucket.bans().iter().filter(|ban| !ban.is_lift());
            if let Some(last) = ends.map(|ban| ban.ends.to_bits()).max() {
                slot.last_ban_ends.fetch_max(last, Ordering::Relaxed);
                self.last_ban_ends.fetch_max(last, Ordering::Relaxed);
            }
            outcome
        });
        slot.freed.notify_waiters();
        outcome
    }

    fn sum(&self, count: impl Fn(&Bucket) -> usize) -> usize {
        let slots = self.slots.iter();
        slots.map(|slot| slot.with(|bucket| count(bucket))).sum()
    }

    /// A client and its wider networks share a bucket, and so a lock. They are few: a network that
    /// has failed too often is banned.
    fn slot(&self, scope: Scope) -> &Slot {
        let slots = self.slots.len() as u32;
        &self.slots[self.spread.place(scope.widest(), slots) as usize]
    }
}

impl Slot {
    fn with<R>(&self, work: impl FnOnce(&mut Bucket) -> R) -> R {
        work(&mut self.bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn records(bucket: &Bucket, now: Tick, is_meant: impl Fn(Scope) -> bool) -> Vec<BanRecord> {
    let bans = bucket.bans().iter();
    bans.filter(|ban| is_meant(ban.scope) && (ban.is_active(now) || ban.is_lift()))
        .map(|ban| ban.record(now))
        .collect()
}
