//! What the state file keeps of failed logins. Times are wall clock, in milliseconds since 1970;
//! what cannot be read is none.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Limits;
use super::ban::{Ban, OFFENCE_MEMORY};
use super::bucket::Bucket;
use super::scope::{AccountKey, AccountTag, Scope};
use super::window::Place;
use crate::clock::{Tick, ticks};
use crate::state::StoredRow;
use crate::store::LIFTS_KEPT;

const FAILURES: u8 = b'f';
const BAN: u8 = b'b';
const ACCOUNT_KEY: &[u8] = b"account key";

pub(crate) type Row = StoredRow;

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) tick: Tick,
    pub(crate) wall: SystemTime,
}

impl Moment {
    fn millis(self) -> u64 {
        let since = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock's milliseconds at a tick.
    fn wall_of(self, tick: Tick) -> u64 {
        let ago = as_millis(tick.until(self.tick));
        let ahead = as_millis(self.tick.until(tick));
        self.millis().saturating_sub(ago).saturating_add(ahead)
    }

    /// The tick of a moment in the past. What lies ahead is now: the clock was set back.
    fn tick_of(self, millis: u64) -> Tick {
        let ago = self.millis().saturating_sub(millis);
        self.tick.earlier(Duration::from_millis(ago))
    }
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a row says.
#[derive(Debug)]
pub(super) enum Kept {
    Failures(Scope, Vec<Place>),
    Ban(Ban),
}

fn key(kind: u8, scope: Scope) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend(scope.to_bytes());
    key
}

/// The rows of a scope, each to be written or deleted.
pub(super) fn of(bucket: &Bucket, scope: Scope, limits: &Limits, moment: Moment) -> [Row; 2] {
    let mut windows = bucket.windows().filter(|(known, _)| *known == scope);
    let failures = windows.next().and_then(|(_, window)| {
        let mut row = Vec::new();
        for place in window.failures() {
            row.extend(moment.wall_of(place.at).to_le_bytes());
            row.extend(place.account.map_or(0, |tag| tag.0.get()).to_le_bytes());
        }
        let life = as_millis(limits.attempts.find_time);
        let until = moment.wall_of(window.last_seen()).saturating_add(life);
        (!row.is_empty()).then_some((until, row))
    });
    let ban = bucket.bans().iter().find(|ban| ban.scope == scope);
    let ban = ban.map(|ban| {
        let since = moment.wall_of(ban.since);
        let (ends, memory) = if ban.is_lift() {
            (since, LIFTS_KEPT)
        } else {
            (moment.wall_of(ban.ends), OFFENCE_MEMORY)
        };
        let mut row = since.to_le_bytes().to_vec();
        row.extend(ends.to_le_bytes());
        row.extend(ban.bans_before.to_le_bytes());
        (ends.saturating_add(as_millis(memory)), row)
    });
    [(FAILURES, failures), (BAN, ban)].map(|(kind, row)| Row {
        key: key(kind, scope),
        row: row.map(|(until, row)| (Duration::from_millis(until), row)),
    })
}

pub(super) fn read(key: &[u8], row: &[u8], moment: Moment) -> Option<Kept> {
    let (kind, scope) = key.split_first()?;
    let scope = Scope::from_bytes(scope.try_into().ok()?)?;
    match *kind {
        FAILURES => {
            let (failures, rest) = row.as_chunks::<12>();
            let failures = failures.iter().map(|failure| {
                let (at, tag) = failure.split_at(8);
                let tag = NonZeroU32::new(u32::from_le_bytes(tag.try_into().ok()?));
                let at = u64::from_le_bytes(at.try_into().ok()?);
                Some(Place::failure(moment.tick_of(at), tag.map(AccountTag)))
            });
            let failures = failures.collect::<Option<Vec<_>>>()?;
            rest.is_empty().then_some(Kept::Failures(scope, failures))
        }
        BAN => {
            let (since, row) = row.split_first_chunk()?;
            let (ends, row) = row.split_first_chunk()?;
            let bans_before = u32::from_le_bytes(row.try_into().ok()?);
            let [since_at, ends] = [since, ends].map(|bytes| u64::from_le_bytes(*bytes));
            let since = moment.tick_of(since_at);
            // However far the clock was set back, no ban gets longer than it was.
            let length = ends.saturating_sub(since_at);
            let left = ends.saturating_sub(moment.millis()).min(length);
            let ban = Ban {
                scope,
                since,
                ends: match left {
                    0 => moment.tick_of(ends),
                    left => moment.tick.plus(ticks(Duration::from_millis(left))),
                },
                bans_before,
            };
            let lift = Ban::lifted(scope, since);
            Some(Kept::Ban(if length == 0 { lift } else { ban }))
        }
        _ => None,
    }
}

/// The row of the key that accounts are hashed with.
pub(crate) fn account_key_row(key: AccountKey) -> Row {
    Row {
        key: ACCOUNT_KEY.to_vec(),
        row: Some((Duration::MAX, key.0.to_le_bytes().to_vec())),
    }
}

pub(crate) fn read_account_key(key: &[u8], row: &[u8]) -> Option<AccountKey> {
    let bytes = row.try_into().ok().filter(|_| key == ACCOUNT_KEY)?;
    Some(AccountKey(u128::from_le_bytes(bytes)))
}
