//! What each network has had of the day.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::quality::RandomState;

use super::origin::Origin;
use super::pace::DAY;
use super::{HOUR, Tier};

/// So many checks a /64 gets within an hour.
pub(super) const A_SUBNET_AN_HOUR: usize = 3;

/// So many networks are told apart, and as many /64. Beyond, a new one gets nothing; urgent checks have the same again.
const MOST: usize = 65_536;

/// When a /64 was checked last.
type Recent = [Option<Duration>; A_SUBNET_AN_HOUR];

/// The counts. They grow with the checks of the day, never with who asks.
#[derive(Debug, Default)]
pub(super) struct Rations {
    networks: HashMap<u64, u32, RandomState>,
    /// How many checks of today found somebody there listed.
    listed: HashMap<u64, u32, RandomState>,
    subnets: HashMap<u64, Recent, RandomState>,
}

/// What a network may have of a day's limit.
pub(super) fn a_network_a_day(limit: u32) -> u32 {
    (limit / 125).max(2)
}

impl Rations {
    pub(super) fn allow(&self, origin: Origin, limit: u32, tier: Tier, now: Duration) -> bool {
        let most = if tier == Tier::Urgent { 2 * MOST } else { MOST };
        let network = match self.networks.get(&origin.network) {
            Some(&had) => had < self.share(origin, limit, tier),
            None => self.networks.len() < most,
        };
        network && (!origin.is_v6 || self.allow_subnet(origin.host, most, now))
    }

    /// What a tier may reach of a network's share. The last check is for suspicious clients; and for them a check that found
    /// somebody listed there counts for nothing, until the share has doubled.
    pub(super) fn share(&self, origin: Origin, limit: u32, tier: Tier) -> u32 {
        let usual = a_network_a_day(limit);
        match tier {
            Tier::Elevated | Tier::FailedLogin | Tier::Urgent => {
                let listed = self.listed.get(&origin.network);
                usual + listed.map_or(0, |&listed| listed.min(usual))
            }
            _ => usual - 1,
        }
    }

    /// The check was worth it.
    pub(super) fn note_listed(&mut self, origin: Origin) {
        *self.listed.entry(origin.network).or_default() += 1;
    }

    fn allow_subnet(&self, subnet: u64, most: usize, now: Duration) -> bool {
        match self.subnets.get(&subnet) {
            Some(recent) => recent.iter().any(|&at| !is_recent(at, now)),
            None => self.subnets.len() < most,
        }
    }

    /// One check more, that was allowed.
    pub(super) fn count(&mut self, origin: Origin, now: Duration) {
        *self.networks.entry(origin.network).or_default() += 1;
        if origin.is_v6
            && let Some(oldest) = self
                .subnets
                .entry(origin.host)
                .or_default()
                .iter_mut()
                .min()
        {
            *oldest = Some(now);
        }
    }

    /// The check of that moment was not sent.
    pub(super) fn uncount(&mut self, origin: Origin, at: Duration) {
        if let Some(had) = self.networks.get_mut(&origin.network) {
            *had = had.saturating_sub(1);
            if *had == 0 {
                self.networks.remove(&origin.network);
            }
        }
        if let Some(recent) = self.subnets.get_mut(&origin.host).filter(|_| origin.is_v6) {
            if let Some(this) = recent.iter_mut().find(|other| **other == Some(at)) {
                *this = None;
            }
            if *recent == Recent::default() {
                self.subnets.remove(&origin.host);
            }
        }
    }

    /// A day begins: networks start anew, the hour of a /64 goes on. It is remembered for a day, since the clock may go back.
    pub(super) fn begin_day(&mut self, now: Duration) {
        let day = Duration::from_secs(DAY);
        self.networks.clear();
        self.listed.clear();
        self.subnets
            .retain(|_, recent| recent.iter().any(|&at| is_within(day, at, now)));
    }

    /// The clock was wrong: nothing was checked later than now.
    pub(super) fn go_back(&mut self, now: Duration) {
        for at in self.subnets.values_mut().flatten().flatten() {
            *at = (*at).min(now);
        }
    }

    pub(super) fn networks(&self) -> Vec<(u64, u32)> {
        self.networks
            .iter()
            .map(|(&network, &had)| (network, had))
            .collect()
    }

    pub(super) fn add(&mut self, networks: &[(u64, u32)]) {
        for &(network, had) in networks.iter().take(2 * MOST) {
            let count = self.networks.entry(network).or_default();
            *count = count.saturating_add(had);
        }
    }
}

fn is_recent(at: Option<Duration>, now: Duration) -> bool {
    is_within(HOUR, at, now)
}

fn is_within(span: Duration, at: Option<Duration>, now: Duration) -> bool {
    at.is_some_and(|at| now.saturating_sub(at) < span)
}
