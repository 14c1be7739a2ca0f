//! How far suspicious clients may run ahead of the day: a crowd is told from scattered ones, and half an hour has its share.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::quality::RandomState;

use super::origin::Origin;

/// Networks are watched in so many rows of so many places, 48 bytes each.
const ROWS: usize = 256;
const A_ROW: usize = 4;

/// How long it takes until what elevated checks may take at once is whole again.
pub(super) const SPAN: Duration = Duration::from_secs(30 * 60);

/// What elevated checks may take at once, or within [`SPAN`] in the long run: a sixth of the day's limit.
pub(super) const fn at_once(limit: u32) -> u32 {
    limit.div_ceil(6)
}

/// What all crowds together may take in a day: an eighth.
const fn all_crowds(limit: u32) -> u32 {
    limit.div_ceil(8)
}

/// What a wide network may take in a day: a tenth, at least 8.
fn a_wide_network(limit: u32) -> u32 {
    (limit / 10).max(8)
}

/// While crowds have had more than their part, a network is watched for so long before its first check.
const PROBATION: Duration = Duration::from_secs(60);

/// A network with suspicious clients.
#[derive(Clone, Copy, Debug)]
struct Place {
    network: u64,
    /// The first client that was seen.
    host: u64,
    /// Whether there was a second one.
    crowd: bool,
    seen_at: Duration,
    /// Elevated checks that it has had today.
    taken: u32,
}

/// What is known of a network when one of its suspicious clients asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Scattered { seen_at: Duration },
    Crowd,
}

#[derive(Debug)]
pub(super) struct Suspects {
    /// Which row a network falls into depends on a seed: nobody outside can aim at one.
    rows: Box<[[Option<Place>; A_ROW]]>,
    seed: RandomState,
    /// What crowds took today, what they took before they were known for one included.
    crowds: u32,
    /// What wide networks took today. It grows with the checks that were taken.
    wide: HashMap<u64, u32, RandomState>,
    /// When the share is whole again.
    whole_at: Duration,
}

impl Suspects {
    pub(super) fn new() -> Self {
        Self {
            rows: vec![[None; A_ROW]; ROWS].into_boxed_slice(),
            seed: RandomState::default(),
            crowds: 0,
            wide: HashMap::default(),
            whole_at: Duration::ZERO,
        }
    }

    /// A suspicious client asks.
    pub(super) fn note(&mut self, origin: Origin, now: Duration) -> Standing {
        if let Some(place) = self.find(origin) {
            if !place.crowd && place.host == origin.host {
                let seen_at = place.seen_at;
                return Standing::Scattered { seen_at };
            }
            if !place.crowd {
                place.crowd = true;
                let taken = place.taken;
                self.crowds = self.crowds.saturating_add(taken);
            }
            return Standing::Crowd;
        }
        let worth = |place: &Option<Place>| place.map(|place| (place.crowd, place.taken));
        match self.row(origin).iter_mut().min_by_key(|place| worth(place)) {
            Some(place) if !place.is_some_and(|place| place.crowd) => {
                *place = Some(Place {
                    network: origin.network,
                    host: origin.host,
                    crowd: false,
                    seen_at: now,
                    taken: 0,
                });
                Standing::Scattered { seen_at: now }
            }
            // Crowds keep their places for the day. In a row of crowds a newcomer is taken at face value.
            _ => Standing::Scattered {
                seen_at: Duration::ZERO,
            },
        }
    }

    /// Whether an elevated check fits into its share, and a crowd's into what crowds may have.
    pub(super) fn allow(
        &self,
        standing: Option<Standing>,
        origin: Option<Origin>,
        limit: u32,
        now: Duration,
    ) -> Result<(), Held> {
        let had = origin.and_then(|origin| self.wide.get(&origin.wide()));
        if had.is_some_and(|&had| had >= a_wide_network(limit)) {
            return Err(Held::Crowd);
        }
        let share = match standing {
            Some(Standing::Crowd) if self.crowds >= all_crowds(limit) => return Err(Held::Crowd),
            // A crowd leaves half of the share to others.
            Some(Standing::Crowd) => SPAN / 2,
            Some(Standing::Scattered { seen_at })
                if self.crowds > all_crowds(limit) && now.saturating_sub(seen_at) < PROBATION =>
            {
                return Err(Held::Early);
            }
            Some(Standing::Scattered { .. }) | None => SPAN,
        };
        let used = self.whole_at.saturating_sub(now).min(SPAN);
        match share.checked_sub(one(limit)) {
            Some(most) if used <= most => Ok(()),
            _ => Err(Held::Early),
        }
    }

    /// An elevated check is taken.
    pub(super) fn count(&mut self, origin: Option<Origin>, limit: u32, now: Duration) {
        let used_until = self.whole_at.clamp(now, now.saturating_add(SPAN));
        self.whole_at = used_until.saturating_add(one(limit));
        self.change(origin, |taken| taken.saturating_add(1));
    }

    /// It was not sent.
    pub(super) fn uncount(&mut self, origin: Option<Origin>, limit: u32) {
        self.whole_at = self.whole_at.saturating_sub(one(limit));
        self.change(origin, |taken| taken.saturating_sub(1));
    }

    fn change(&mut self, origin: Option<Origin>, change: impl Fn(u32) -> u32) {
        let Some(origin) = origin else {
            return;
        };
        let wide = self.wide.entry(origin.wide()).or_default();
        *wide = change(*wide);
        let Some(place) = self.find(origin) else {
            return;
        };
        place.taken = change(place.taken);
        if place.crowd {
            self.crowds = change(self.crowds);
        }
    }

    fn find(&mut self, origin: Origin) -> Option<&mut Place> {
        let places = self.row(origin).iter_mut().flatten();
        places
            .into_iter()
            .find(|place| place.network == origin.network)
    }

    fn row(&mut self, origin: Origin) -> &mut [Option<Place>; A_ROW] {
        &mut self.rows[self.seed.hash_one(origin.network) as usize % ROWS]
    }

    pub(super) fn begin_day(&mut self) {
        self.rows.fill([None; A_ROW]);
        self.crowds = 0;
        self.wide.clear();
    }

    pub(super) fn crowds(&self) -> u32 {
        self.crowds
    }

    pub(super) fn add_crowds(&mut self, crowds: u32) {
        self.crowds = self.crowds.saturating_add(crowds);
    }
}

/// Why an elevated check has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// Crowds have had what they may have today.
    Crowd,
    /// It may come again.
    Early,
}

/// How much of the span a check takes.
fn one(limit: u32) -> Duration {
    SPAN / at_once(limit).max(1)
}
