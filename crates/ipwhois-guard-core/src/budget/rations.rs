//! What each network has had of the day, and what its checks found lately.
//!
//! A check of a clean client is wasted. A /24 (/48) may waste a few checks a day of its own.
//! Further ones come out of a pool that all networks share. The pool pays for no refresh, and only
//! once for an IPv6 /64: that is one client. A /16 (/28) may waste a tenth of the day's checks, and
//! have four times as many in all.

use super::origin::Origin;
use super::{Entry, Table};
use crate::evidence::{Signs, fading};

/// Checks that a /24 (/48) may waste.
const NEAR: Part = Part { least: 1, of: 200 };
/// Checks that a /16 (/28) may waste.
const AROUND: Part = Part { least: 8, of: 10 };
/// How many times as many checks a /16 (/28) may have in all.
const FINDING: u32 = 2;

/// What checks found is forgotten with this half-life.
const MEMORY: f64 = 7.0 * super::DAY;

/// A part of the day's limit: one check in `of`, and `least` of them.
#[derive(Clone, Copy)]
struct Part {
    least: u32,
    of: u32,
}

impl Part {
    fn in_checks(self, limit: u32) -> u32 {
        (limit / self.of).max(self.least)
    }
}

/// The ration that paid for a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paid {
    Own,
    Pool,
}

/// A network that was checked, or an IPv6 client.
#[derive(Clone, Copy, Debug, Default)]
struct Network {
    /// Found, fading, as of `at` in seconds since the Unix epoch.
    listed: f32,
    clean: f32,
    at: u32,
    /// Checks of this day, and those of them that are wasted until they find a listed client.
    day: u32,
    checks: u32,
    wasted: u32,
}

impl Network {
    fn on(self, day: u64) -> Self {
        match u64::from(self.day) == day {
            true => self,
            false => Self {
                day: day as u32,
                checks: 0,
                wasted: 0,
                ..self
            },
        }
    }
}

impl Entry for Network {
    fn usefulness(&self, _: f64) -> (u8, u32) {
        (0, self.day)
    }
}

#[derive(Debug)]
pub(super) struct Rations {
    networks: Table<Network>,
    /// Wasted checks from the pool, today.
    pooled: u32,
}

/// A network in a snapshot: key, checks and wasted checks of the day, and what was found, listed
/// and clean.
pub(super) type StoredNetwork = (u64, u32, u32, f32, f32);

impl Rations {
    pub(super) fn new() -> Self {
        Self {
            networks: Table::new(1_024),
            pooled: 0,
        }
    }

    pub(super) fn begin_day(&mut self) {
        self.pooled = 0;
    }

    /// The ration from which the next check of this origin is paid. `None` if its networks have had
    /// theirs.
    pub(super) fn next(&self, origin: Origin, limit: u32, day: u64) -> Option<Paid> {
        let network = |key| self.networks.get(key).copied().unwrap_or_default().on(day);
        let around = network(origin.around);
        if around.wasted >= AROUND.in_checks(limit) || around.checks >= all_around(limit) {
            return None;
        }
        if network(origin.near).wasted < NEAR.in_checks(limit) {
            return Some(Paid::Own);
        }
        let has_pool = self.pooled < pool(limit) && network(origin.client).wasted == 0;
        has_pool.then_some(Paid::Pool)
    }

    /// A check is bought. It is wasted until it finds its client listed.
    pub(super) fn buy(&mut self, origin: Origin, paid: Paid, day: u64, now: f64) {
        self.pooled += u32::from(paid == Paid::Pool);
        for key in origin.rationed() {
            let network = self.networks.entry(key, now);
            *network = network.on(day);
            network.checks += 1;
            network.wasted += 1;
        }
    }

    /// The check of this day found its client listed.
    pub(super) fn not_wasted(&mut self, origin: Origin, paid: Paid, now: f64) {
        self.pooled = self.pooled.saturating_sub(u32::from(paid == Paid::Pool));
        for key in origin.rationed() {
            let network = self.networks.entry(key, now);
            network.wasted = network.wasted.saturating_sub(1);
        }
    }

    /// The check of this day was never sent.
    pub(super) fn refund(&mut self, origin: Origin, paid: Paid, now: f64) {
        self.not_wasted(origin, paid, now);
        for key in origin.rationed() {
            let network = self.networks.entry(key, now);
            network.checks = network.checks.saturating_sub(1);
        }
    }

    /// What a check of a client there found.
    pub(super) fn found(&mut self, origin: Origin, is_listed: bool, now: f64) {
        let network = self.networks.entry(origin.near, now);
        let fading = fading(now - f64::from(network.at), MEMORY) as f32;
        let found = |count: f32, is_so: bool| count * fading + f32::from(u8::from(is_so));
        network.listed = found(network.listed, is_listed);
        network.clean = found(network.clean, !is_listed);
        network.at = now as u32;
    }

    /// The sign that a client has from its neighbours.
    pub(super) fn neighbours(&self, origin: Origin, now: f64) -> Signs {
        let Some(network) = self.networks.get(origin.near) else {
            return Signs::NONE;
        };
        let fading = fading(now - f64::from(network.at), MEMORY) as f32;
        if network.listed.max(network.clean) * fading < 0.5 {
            Signs::NONE
        } else if network.listed >= network.clean {
            Signs::NEAR_LISTED
        } else {
            Signs::NEAR_CLEAN
        }
    }

    pub(super) fn snapshot(&self, day: u64, now: f64) -> (u32, Vec<StoredNetwork>) {
        let networks = self.networks.iter().map(|(key, network)| {
            let today = network.on(day);
            let fading = fading(now - f64::from(network.at), MEMORY) as f32;
            let found = (network.listed * fading, network.clean * fading);
            (key, today.checks, today.wasted, found.0, found.1)
        });
        let says_something =
            |network: &StoredNetwork| network.1 > 0 || network.3.max(network.4) >= 0.5;
        (self.pooled, networks.filter(says_something).collect())
    }

    /// Adds what an earlier run counted. `is_today`: whether its day is this one.
    pub(super) fn restore(
        &mut self,
        pooled: u32,
        stored: &[StoredNetwork],
        is_today: bool,
        day: u64,
        now: f64,
    ) {
        if is_today {
            self.pooled = self.pooled.saturating_add(pooled);
        }
        for &(key, checks, wasted, listed, clean) in stored {
            if key == 0
                || ![listed, clean]
                    .iter()
                    .all(|found| (0.0..1e6).contains(found))
            {
                continue;
            }
            let network = self.networks.entry(key, now);
            *network = network.on(day);
            if is_today {
                network.checks = network.checks.saturating_add(checks);
                network.wasted = network.wasted.saturating_add(wasted.min(checks));
            }
            network.listed += listed;
            network.clean += clean;
            network.at = now as u32;
        }
    }
}

/// Wasted checks above those of a /24 (/48), of all networks together: a tenth of the day, and less
/// below 100 checks, where each one is missed.
fn pool(limit: u32) -> u32 {
    (limit / 10 * limit.min(100) / 100).max(2)
}

/// How many checks a /16 (/28) may have in a day.
pub(super) fn all_around(limit: u32) -> u32 {
    FINDING.saturating_mul(AROUND.in_checks(limit))
}
