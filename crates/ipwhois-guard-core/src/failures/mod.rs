//! Failed logins and bans, in fail2ban's terms, in memory.
//!
//! 1. A failure counts for `find_time`. The one that makes it `max_failures` trips: the client is
//!    banned for `ban_time`, its failures are forgotten, and exactly that caller learns of it, so
//!    that there is one report.
//! 2. An attempt under way takes one of the places: it begins only while failures and attempts
//!    together are fewer than `max_failures`. So, of any number of guesses at once, at most
//!    `max_failures` reach the password check.
//! 3. An attempt counts by the time of its end. One that never ends holds its place for `find_time`
//!    from its beginning, as a failure at that moment would. One that ends after that, or after its
//!    place was lost, counts all the same.
//! 4. A success forgets the failures that ended before it. Other attempts keep their places, and
//!    one that fails afterwards counts. A success lifts no ban.
//! 5. Failures of a banned client are not counted, whenever their attempt began.
//! 6. Where bans grow, each further ban within 24 h after the end of the last one lasts twice as
//!    long. A ban from elsewhere ([`Tracker::ban`]) counts as one of them, and a lifted one is
//!    forgotten.
//! 7. A client is an IPv4 address or an IPv6 /64 ([`client::Client`]).
//! 8. At most [`CAPACITY`] clients are tracked and as many banned, in buckets that share a lock. In
//!    a full table the newcomer replaces what is least worth keeping in its bucket: of the clients
//!    the one with the fewest places taken, of the bans the one that ends soonest. An empty bucket
//!    has nothing to replace and takes one entry more. A flood of failures evicts no ban: the
//!    tables are separate.
//!
//! Which bucket a client falls into depends on a seed of the process: nobody outside can aim at
//! one.

mod bucket;
mod client;
mod parts;
mod record;
mod shelf;

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::bucket::{Bucket, Common};
use self::client::Client;
use self::parts::{Lock, Parts, Std, Word};
use self::shelf::Places;
use crate::clock::Tick;
use crate::spread::Spread;

pub(crate) use self::client::counted_as;
pub(crate) use self::record::Limits;

/// How many clients are tracked at most, and how many are banned at most.
const CAPACITY: u32 = 65_536;

/// How many clients share a bucket when the table is full, on average.
const MEAN_BUCKET: u32 = 16;

/// The place of an attempt under way. Whoever holds it ends it once, by [`Tracker::succeed`] or
/// [`Tracker::fail`], and by the latter when it is dropped without a word: nothing here does so by
/// itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an attempt that is not ended holds its place for the whole `find_time`"]
pub(crate) struct Reservation {
    client: Client,
    attempt: u32,
}

/// No attempt can begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What is left of the ban. Without a ban: when to try again.
    pub(crate) retry_after: Duration,
    /// Or else attempts under way have taken the last places.
    pub(crate) banned: bool,
}

/// What a failure led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "only one caller learns that a client is banned from now on"]
pub(crate) enum Failure {
    /// So many more failures trip; at least 1.
    Counted { left: u32 },
    /// This one tripped: the client is banned from now on, for so long. It is for the caller to
    /// report.
    Tripped { ban: Duration },
    /// The client was banned already.
    Banned { retry_after: Duration },
}

#[derive(Debug)]
pub(crate) struct Tracker<P: Parts = Std> {
    slots: Box<[Slot<P>]>,
    spread: Spread,
    common: Common<P::Word>,
    /// Not before any ban ends. Never goes back, so it may be read without a lock.
    last_ban_ends: P::Word,
}

#[derive(Debug)]
struct Slot<P: Parts> {
    bucket: P::Lock<Bucket>,
    /// The same of this bucket alone.
    last_ban_ends: P::Word,
}

impl Tracker {
    pub(crate) fn new(limits: Limits) -> Self {
        Self::with_capacity(CAPACITY, limits)
    }

    /// For one client only.
    pub(crate) fn of_one(limits: Limits) -> Self {
        Self::with_capacity(1, limits)
    }
}

impl<P: Parts> Tracker<P> {
    fn with_capacity(capacity: u32, limits: Limits) -> Self {
        let slot = |_| Slot {
            bucket: P::Lock::new(Bucket::new()),
            last_ban_ends: P::Word::new(Tick::NEVER.to_bits()),
        };
        Self {
            slots: (0..capacity.div_ceil(MEAN_BUCKET)).map(slot).collect(),
            spread: Spread::default(),
            common: Common {
                limits,
                tracked: Places::new(capacity),
                banned: Places::new(capacity),
                bans_lost: AtomicU64::new(0),
            },
            last_ban_ends: P::Word::new(Tick::NEVER.to_bits()),
        }
    }

    /// Takes one of the places, before the password check.
    ///
    /// # Errors
    ///
    /// When the client is banned, or attempts under way have taken the last places.
    pub(crate) fn begin(&self, client: IpAddr, now: Tick) -> Result<Reservation, Refused> {
        let client = Client::of(client);
        let begun = self.at(client, |bucket| bucket.begin(client, now, &self.common));
        begun.map(|attempt| Reservation { client, attempt })
    }

    /// Ends an attempt: the password was right.
    pub(crate) fn succeed(&self, reservation: Reservation) {
        let Reservation { client, attempt } = reservation;
        self.at(client, |bucket| {
            bucket.end(client, attempt, &self.common);
            bucket.succeed(client, &self.common);
        });
    }

    /// Ends an attempt: the password was wrong, or nobody knows.
    pub(crate) fn fail(&self, reservation: Reservation, now: Tick) -> Failure {
        self.count(reservation.client, Some(reservation.attempt), now)
    }

    /// Gives the place back as if the attempt had never begun.
    pub(crate) fn withdraw(&self, reservation: Reservation) {
        let Reservation { client, attempt } = reservation;
        self.at(client, |bucket| bucket.end(client, attempt, &self.common));
    }

    /// Failures that were counted elsewhere have reached `max_failures`.
    pub(crate) fn trip(&self, client: IpAddr, now: Tick) -> Failure {
        let client = Client::of(client);
        let slot = self.slot(client);
        slot.bucket.with(|bucket| {
            let (failure, ends) = bucket.trip(client, now, &self.common);
            if let Some(ends) = ends {
                self.announce(slot, ends);
            }
            failure
        })
    }

    /// Counts a failure that had no place reserved.
    pub(crate) fn note_failure(&self, client: IpAddr, now: Tick) -> Failure {
        self.count(Client::of(client), None, now)
    }

    /// Forgets the failures of a client that had no place reserved.
    pub(crate) fn note_success(&self, client: IpAddr) {
        let client = Client::of(client);
        self.at(client, |bucket| bucket.succeed(client, &self.common));
    }

    /// Whether anybody was ever banned.
    #[inline]
    pub(crate) fn has_banned(&self) -> bool {
        self.last_ban_ends.get() != Tick::NEVER.to_bits()
    }

    /// How much longer a client is banned.
    ///
    /// Every request asks this, so the usual answers come without a lock: nobody is banned, or
    /// nobody of its bucket.
    pub(crate) fn banned(&self, client: IpAddr, now: Tick) -> Option<Duration> {
        if self.last_ban_ends.get() <= now.to_bits() {
            return None;
        }
        let client = Client::of(client);
        let slot = self.slot(client);
        if slot.last_ban_ends.get() <= now.to_bits() {
            return None;
        }
        slot.bucket.with(|bucket| bucket.banned(client, now))
    }

    /// Bans a client on somebody else's word. A ban that lasts longer already stays as it is.
    pub(crate) fn ban(&self, client: IpAddr, duration: Duration, now: Tick) {
        let client = Client::of(client);
        let slot = self.slot(client);
        slot.bucket.with(|bucket| {
            let ends = bucket.ban(client, duration, now, &self.common);
            self.announce(slot, ends);
        });
    }

    /// Lifts a ban, and forgets it where bans grow.
    pub(crate) fn unban(&self, client: IpAddr) {
        let client = Client::of(client);
        self.at(client, |bucket| bucket.unban(client, &self.common));
    }

    /// How many clients have failures or attempts under way, some of those included whose time has
    /// passed.
    pub(crate) fn tracked_clients(&self) -> usize {
        self.common.tracked.taken() as usize
    }

    /// How many bans are in force. Looks through all of them.
    pub(crate) fn active_bans(&self, now: Tick) -> usize {
        let slots = self.slots.iter();
        slots
            .filter(|slot| now.to_bits() < slot.last_ban_ends.get())
            .map(|slot| slot.bucket.with(|bucket| bucket.active_bans(now)))
            .sum()
    }

    /// The bans in force, with how much longer each lasts. Looks through all of them.
    pub(crate) fn bans(&self, now: Tick) -> Vec<(IpAddr, Duration)> {
        let slots = self.slots.iter();
        slots
            .filter(|slot| now.to_bits() < slot.last_ban_ends.get())
            .flat_map(|slot| slot.bucket.with(|bucket| bucket.bans(now)))
            .collect()
    }

    /// How many bans ended before their time because there was no room for another one.
    pub(crate) fn bans_lost(&self) -> u64 {
        self.common.bans_lost.load(Ordering::Relaxed)
    }

    fn count(&self, client: Client, attempt: Option<u32>, now: Tick) -> Failure {
        let slot = self.slot(client);
        slot.bucket.with(|bucket| {
            if let Some(attempt) = attempt {
                bucket.end(client, attempt, &self.common);
            }
            let (failure, ban_ends) = bucket.fail(client, now, &self.common);
            if let Some(ends) = ban_ends {
                self.announce(slot, ends);
            }
            failure
        })
    }

    /// Lets [`Tracker::banned`] know of a ban. Under the lock: whoever takes it next must not find
    /// the ban in one place and not in the other.
    fn announce(&self, slot: &Slot<P>, ends: Tick) {
        slot.last_ban_ends.raise_to(ends.to_bits());
        self.last_ban_ends.raise_to(ends.to_bits());
    }

    fn at<R>(&self, client: Client, work: impl FnOnce(&mut Bucket) -> R) -> R {
        self.slot(client).bucket.with(work)
    }

    fn slot(&self, client: Client) -> &Slot<P> {
        let places = self.slots.len() as u32;
        &self.slots[self.spread.place(client, places) as usize]
    }
}
