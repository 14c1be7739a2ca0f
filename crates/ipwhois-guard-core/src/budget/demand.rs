//! How many bidders there are at each level of score: histograms of the highest bid of each. Each
//! check that was bought counts as one bidder, and so does each network that still waits for a
//! check.

use super::{DAY, Entry, Table};
use crate::evidence::{exp2, fading, log2};

/// How much of a doubling of the score a level is.
const OCTAVES_A_LEVEL: f64 = 1.0 / 4.0;

/// The lowest one holds everything below a thousandth of a request, the highest one everything
/// above 10,000.
const LEVELS: usize = 96;

/// A past day counts half as much as the day after it.
const PAST_HALF_LIFE: f64 = DAY;

/// Recent demand fades with this time constant.
const RECENT: f64 = 3.0 * 3_600.0;

/// Rates are estimated as if no request had come for so long before.
const QUIET_BEFORE: f64 = 1_800.0;

/// The lowest level that the checks cover in part is bought in part, by score, up to this share. It
/// may be a botnet whose clients all do the same: waiting until the checks cover all of it would
/// leave them to the last minutes of the day.
const PART: f64 = 0.25;

/// The weight of one whole day before this one. A site that was watched for less is a new one.
const WHOLE_DAY: f64 = 0.5;

/// A new site is expected to have as many bidders on its first day as its checks do for: this part
/// of them at any time, the others evenly over the day.
const AT_ONCE: f64 = 0.25;

/// Everybody is covered as well while the day's checks do for so many usual days.
const LARGE_DAY: f64 = 1.25;

/// How often recent demand is faded.
const FADE_INTERVAL: f64 = RECENT / 200.0;

/// More than any site has in a day.
const MOST: f32 = 1e8;

/// A class of scores.
pub(super) type Level = u8;

pub(super) fn level_of(score: f64) -> Level {
    let level = log2((score * 1_000.0).max(1.0)) / OCTAVES_A_LEVEL;
    (level as usize).min(LEVELS - 1) as Level
}

/// The lowest score of a level, or a score inside of one. Beyond the last one it is a score that no
/// client reaches.
fn score_of(level: f64) -> f64 {
    if level <= 0.0 {
        return 0.0;
    }
    exp2(level * OCTAVES_A_LEVEL) / 1_000.0
}

/// A /24 or /48 from which clients without a verdict came. It counts once, at its highest bid: many
/// addresses in it cannot raise the price.
#[derive(Clone, Copy, Debug, Default)]
struct Bidder {
    /// One more than the level of the highest bid within a day; 0 for none.
    bid: u8,
    /// In seconds since the Unix epoch.
    at: u32,
}

impl Entry for Bidder {
    fn usefulness(&self, _: f64) -> (u8, u32) {
        (0, self.at)
    }
}

#[derive(Debug)]
pub(super) struct Demand {
    bidders: Table<Bidder>,
    /// Past days: how many bidders, in how many days, both fading.
    past: [f64; LEVELS],
    past_days: f64,
    /// Today, since `since`.
    today: [f64; LEVELS],
    since: f64,
    /// Recent bidders, fading, as of `faded`.
    recent: [f64; LEVELS],
    faded: f64,
    /// Since when recent bidders are counted.
    began: f64,
}

/// How many bidders there are at some levels.
#[derive(Clone, Copy, Debug, Default)]
struct Bidders {
    past: f64,
    today: f64,
    recent: f64,
}

/// What outlives a restart.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(super) struct StoredDemand {
    past: Vec<f32>,
    past_days: f32,
    today: Vec<f32>,
    /// The part of the day before `today` begins.
    part: f32,
}

impl Demand {
    pub(super) fn new() -> Self {
        Self {
            bidders: Table::new(2_048),
            past: [0.0; LEVELS],
            past_days: 0.0,
            today: [0.0; LEVELS],
            since: 0.0,
            recent: [0.0; LEVELS],
            faded: 0.0,
            began: 0.0,
        }
    }

    /// Begins to watch, or watches again after the clock went back. The past stays.
    pub(super) fn begin(&mut self, now: f64) {
        self.bidders.clear();
        self.today = [0.0; LEVELS];
        self.recent = [0.0; LEVELS];
        (self.since, self.faded, self.began) = (now, now, now);
    }

    /// A new day has begun.
    pub(super) fn turn(&mut self, now: f64) {
        let midnight = (now / DAY).floor() * DAY;
        let fading = fading(midnight - (self.since / DAY).floor() * DAY, PAST_HALF_LIFE);
        for (past, today) in self.past.iter_mut().zip(&mut self.today) {
            *past = (*past + std::mem::take(today)) * fading;
        }
        self.past_days = (self.past_days + 1.0 - part_of_day(self.since)) * fading;
        self.since = midnight;
    }

    /// A client of this network bids. Only a bid above the network's earlier ones counts.
    pub(super) fn bid(&mut self, network: u64, level: Level, now: f64) {
        self.fade(now);
        let bidder = self.bidders.entry(network, now);
        let at = f64::from(bidder.at);
        if (now - at).abs() > DAY {
            bidder.bid = 0;
        }
        if level < bidder.bid {
            return;
        }
        if let Some(before) = bidder.bid.checked_sub(1).map(usize::from) {
            if at >= self.since {
                self.today[before] -= 1.0;
            }
            let faded = left_after(now - at);
            self.recent[before] = (self.recent[before] - faded).max(0.0);
        }
        *bidder = Bidder {
            bid: level + 1,
            at: now as u32,
        };
        self.today[usize::from(level)] += 1.0;
        self.recent[usize::from(level)] += 1.0;
    }

    /// A client of this network was checked: the next one bids for another check.
    pub(super) fn bought(&mut self, network: u64, now: f64) {
        self.bidders.entry(network, now).bid = 0;
    }

    fn fade(&mut self, now: f64) {
        if now - self.faded > FADE_INTERVAL {
            let fading = left_after(now - self.faded);
            self.recent.iter_mut().for_each(|count| *count *= fading);
            self.faded = now;
        }
    }

    /// The lowest score at which `left` checks cover all bidders that are expected before midnight
    /// with at least this score. And the same for the usual bidders alone.
    pub(super) fn price(&mut self, left: f64, [spent, limit]: [f64; 2], now: f64) -> [f64; 2] {
        self.fade(now);
        let all = (0..LEVELS).fold(Bidders::default(), |sum, level| self.add(sum, level));
        if self.everybody(all, spent, limit, now) <= left {
            return [0.0; 2];
        }
        // A burst on a day that has checks to spare is over before its checks could be spread.
        let is_short = self.usual_day(all.past) * (1.0 - part_of_day(now)) > left;
        let most = [if is_short { PART } else { 0.0 }, PART];
        let mut prices = [None; 2];
        let mut above = Bidders::default();
        let mut covered = [0.0; 2];
        for level in (0..LEVELS).rev() {
            above = self.add(above, level);
            let usual_day = self.usual_day(above.past);
            let usual = usual_day * (1.0 - part_of_day(now));
            let expected = [usual + self.unusual(above, usual_day, now), usual];
            for of in 0..2 {
                if expected[of] > left {
                    let part = (left - covered[of]) / (expected[of] - covered[of]);
                    let price = score_of(level as f64 + 1.0 - part.clamp(0.0, most[of]));
                    prices[of].get_or_insert(price);
                }
            }
            covered = expected;
            if prices[1].is_some() {
                break;
            }
        }
        prices.map(Option::unwrap_or_default)
    }

    /// Whether checks are to spare: `left` of them cover everybody, even if all that came lately goes
    /// on. For refreshes, which no forecast counts.
    pub(super) fn are_to_spare(&mut self, left: f64, now: f64) -> bool {
        self.fade(now);
        let all = (0..LEVELS).fold(Bidders::default(), |sum, level| self.add(sum, level));
        let usual = self.usual_day(all.past) * (1.0 - part_of_day(now));
        usual + self.unusual(all, 0.0, now) <= left
    }

    /// How many bidders are expected before midnight: no more than a large day still has to bring,
    /// and what is unusual for this day, or for the first one of a new site. Checks that are spent
    /// for others than bidders make a day as large as bidders do.
    fn everybody(&self, all: Bidders, spent: f64, limit: f64, now: f64) -> f64 {
        let usual_day = self.usual_day(all.past);
        let is_new = 1.0 - (self.past_days / WHOLE_DAY).min(1.0);
        let first_day = AT_ONCE + (1.0 - AT_ONCE) * ((now - self.began) / DAY).clamp(0.0, 1.0);
        let usual = usual_day * (1.0 - part_of_day(now));
        let still_to_come = (LARGE_DAY * usual_day - all.today).max(0.0);
        let not_unusual = usual_day.max(is_new * first_day * limit / LARGE_DAY);
        let all = Bidders {
            today: all.today.max(spent),
            ..all
        };
        usual.min(still_to_come) + self.unusual(all, not_unusual, now)
    }

    /// How many bidders are expected before midnight above the usual ones: as many as the last
    /// hours brought in the same time. A burst counts only as far as the day has brought more
    /// than a usual day.
    fn unusual(&self, of: Bidders, usual_day: f64, now: f64) -> f64 {
        let watched = RECENT * (1.0 - left_after(now - self.began));
        let recent = of.recent - self.usual_day(of.past) * watched / DAY;
        let unusual = recent.min(of.today - usual_day).max(0.0);
        unusual * DAY * (1.0 - part_of_day(now)) / (watched + QUIET_BEFORE)
    }

    fn usual_day(&self, past: f64) -> f64 {
        past / self.past_days.max(WHOLE_DAY)
    }

    fn add(&self, to: Bidders, level: usize) -> Bidders {
        Bidders {
            past: to.past + self.past[level],
            today: to.today + self.today[level],
            recent: to.recent + self.recent[level],
        }
    }

    /// How many checks at this score or more a day wants: of today so far and of a usual day the
    /// greater figure.
    pub(super) fn wanted(&self, score: f64) -> f64 {
        let levels = usize::from(level_of(score))..LEVELS;
        let sum = levels.fold(Bidders::default(), |sum, level| self.add(sum, level));
        sum.today.max(self.usual_day(sum.past))
    }

    pub(super) fn snapshot(&self) -> StoredDemand {
        let counts = |counts: &[f64]| counts.iter().map(|&count| count as f32).collect();
        StoredDemand {
            past: counts(&self.past),
            past_days: self.past_days as f32,
            today: counts(&self.today),
            part: part_of_day(self.since) as f32,
        }
    }

    /// Takes over the demand of earlier days, and adds that of `day`. Counts that no site has are
    /// dropped.
    pub(super) fn restore(&mut self, stored: &StoredDemand, day: u64, now: f64) {
        let counts = |stored: &[f32]| {
            let is_possible = |count: &&f32| (0.0..MOST).contains(*count);
            let mut counts = [0.0; LEVELS];
            for (count, stored) in counts.iter_mut().zip(stored) {
                *count = Some(stored)
                    .filter(is_possible)
                    .map_or(0.0, |&count| count.into());
            }
            counts
        };
        if !(0.0..10.0).contains(&stored.past_days) || !(0.0..=1.0).contains(&stored.part) {
            return;
        }
        let (since, since_start) = (self.since, self.today);
        (self.past, self.past_days) = (counts(&stored.past), stored.past_days.into());
        self.today = counts(&stored.today);
        self.since = (day as f64 + f64::from(stored.part)) * DAY;
        if day != (now / DAY) as u64 {
            self.turn(now);
            self.since = since;
        }
        for (today, since_start) in self.today.iter_mut().zip(since_start) {
            *today += since_start;
        }
    }
}

/// What is left of recent demand after so long. A clock that goes back adds nothing.
fn left_after(age: f64) -> f64 {
    exp2(-age.max(0.0) / RECENT * std::f64::consts::LOG2_E)
}

pub(super) fn part_of_day(now: f64) -> f64 {
    (now / DAY).fract()
}

#[cfg(test)]
mod tests;
