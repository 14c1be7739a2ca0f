//! Bans and lifts. Of what is known of one scope the latest counts, whoever said it and in whatever
//! order it comes: so processes and machines may tell each other what they know at any time.

use std::time::Duration;

use super::Limits;
use super::scope::Scope;
use crate::clock::{Tick, ticks};
use crate::store::{BanRecord, LIFTS_KEPT};

/// A ban within this time after the end of the last one is a further one, where bans grow.
pub(super) const OFFENCE_MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

impl Limits {
    /// How long a ban lasts that has so many before it.
    pub(super) fn ban_after(&self, bans_before: u32) -> Duration {
        let Some(longest) = self.max_ban_time else {
            return self.ban_time;
        };
        let doubled = self
            .ban_time
            .saturating_mul(2_u32.saturating_pow(bans_before));
        doubled.min(longest).max(self.ban_time)
    }
}

/// A ban, or, when it ends [`Tick::NEVER`], that one was lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ban {
    pub(super) scope: Scope,
    pub(super) since: Tick,
    pub(super) ends: Tick,
    /// How many bans came before it, each within [`OFFENCE_MEMORY`] of the next.
    pub(super) bans_before: u32,
}

/// What came of something that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It was known, or something later is.
    Known,
    /// The scope is banned from now on, or for longer than it was.
    Banned,
    /// A ban was lifted.
    Lifted,
}

impl Ban {
    pub(super) const fn lifted(scope: Scope, since: Tick) -> Self {
        Self {
            scope,
            since,
            ends: Tick::NEVER,
            bans_before: 0,
        }
    }

    pub(super) fn is_active(&self, now: Tick) -> bool {
        now < self.ends
    }

    pub(super) const fn is_lift(&self) -> bool {
        self.ends.is_never()
    }

    pub(super) fn news(&self, now: Tick) -> Settled {
        match (self.is_lift(), self.is_active(now)) {
            (true, _) => Settled::Lifted,
            (false, true) => Settled::Banned,
            (false, false) => Settled::Known,
        }
    }

    /// How many bans came before one that begins now. While this ban lasts, that one only lengthens
    /// it.
    pub(super) fn before_one_from(&self, now: Tick) -> u32 {
        if self.is_lift() {
            0
        } else if self.is_active(now) {
            self.bans_before
        } else if self.ends.is_within(ticks(OFFENCE_MEMORY), now) {
            self.bans_before.saturating_add(1)
        } else {
            0
        }
    }

    /// Takes over what is told, if it is later. A ban in force is never made shorter by another.
    pub(super) fn settle(&mut self, told: Self, now: Tick) -> Settled {
        if told.since < self.since || told.is_lift() && self.is_lift() {
            return Settled::Known;
        }
        let ends = self.ends;
        let bans_before = told.bans_before.max(self.before_one_from(told.since));
        let was_active = self.is_active(now);
        *self = told;
        if told.is_lift() {
            return Settled::Lifted;
        }
        self.bans_before = bans_before;
        if was_active && ends >= told.ends {
            self.ends = ends;
            return Settled::Known;
        }
        self.news(now)
    }

    /// What is over is kept where it makes the next ban longer, or keeps a lifted one from coming
    /// back.
    pub(super) fn is_worth_keeping(&self, now: Tick) -> bool {
        if self.is_lift() {
            return self.since.is_within(ticks(LIFTS_KEPT), now);
        }
        self.is_active(now) || self.ends.is_within(ticks(OFFENCE_MEMORY), now)
    }

    /// How the store is told.
    pub(super) fn record(&self, now: Tick) -> BanRecord {
        BanRecord {
            scope: self.scope,
            age: self.since.until(now),
            left: if self.is_lift() {
                Duration::ZERO
            } else {
                now.until(self.ends)
            },
        }
    }

    pub(super) fn from_record(told: BanRecord, now: Tick) -> Self {
        let since = now.earlier(told.age);
        if told.left.is_zero() {
            return Self::lifted(told.scope, since);
        }
        Self {
            scope: told.scope,
            since,
            ends: now.plus(ticks(told.left)),
            bans_before: 0,
        }
    }
}
