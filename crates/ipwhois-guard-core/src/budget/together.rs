//! A check as the count of several machines sees it.
//!
//! What one machine's budget has allowed must be allowed by the common count as well: the day, the share of the network,
//! the share of a /64 in a clock's hour, and that of elevated checks in half of one. Pace and crowds are each machine's own matter.

use std::time::Duration;

use super::pace::DAY;
use super::ration::A_SUBNET_AN_HOUR;
use super::{Budget, HOUR, Spend, Tier, suspects};
use crate::shared::{Claim, Ration};

impl Budget {
    /// What to claim from the common count for a check that was taken.
    pub(crate) fn claim(&self, spend: &Spend) -> Claim {
        let limit = self.day_limit();
        let hour = spend.at.as_secs() / HOUR.as_secs();
        let mut rations = Vec::new();
        if let Some(origin) = spend.origin {
            rations.push(Ration {
                name: format!("network-{}-{:x}", spend.day, origin.network),
                below: self.rations.share(origin, limit, spend.tier),
                keep: Duration::from_secs(DAY),
            });
            if origin.is_v6 {
                rations.push(Ration {
                    name: format!("subnet-{hour}-{:x}", origin.host),
                    below: A_SUBNET_AN_HOUR as u32,
                    keep: HOUR,
                });
            }
        }
        if spend.tier.runs_ahead() {
            let span = spend.at.as_secs() / suspects::SPAN.as_secs();
            rations.push(Ration {
                name: format!(
                    "{}-{span}",
                    if spend.tier == Tier::Pressing {
                        "pressing"
                    } else {
                        "elevated"
                    }
                ),
                below: suspects::at_once(limit),
                keep: suspects::SPAN,
            });
        }
        Claim {
            day: spend.day,
            known: 0,
            below: self.room(spend.tier),
            rations,
        }
    }

    /// The machines together have spent so many checks of that day. It only ever raises the count.
    pub(crate) fn adopt_spent(&mut self, day: u64, spent: u32, now: Duration) {
        self.turn(now);
        if day == self.today.day {
            self.today.spent = self.today.spent.max(spent);
        }
    }

    /// Which day it is, in days since 1970.
    pub(crate) fn today(&mut self, now: Duration) -> u64 {
        self.turn(now);
        self.today.day
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ration as Whose, Tier, day_of};
    use super::*;

    const NOON: Duration = Duration::from_secs(20_000 * DAY + DAY / 2);

    fn claim(tier: Tier, whose: Whose) -> Claim {
        let mut budget = Budget::new(1_000);
        let spend = budget.take(tier, whose, NOON).unwrap();
        budget.claim(&spend)
    }

    #[test]
    fn each_tier_claims_no_more_than_it_may_reach() {
        let routine = Tier::Routine { requests: 1 };
        for (tier, below) in [(Tier::Urgent, 1_000), (Tier::Elevated, 950), (routine, 900)] {
            let claim = claim(tier, Whose::Exempt);
            assert_eq!((claim.day, claim.below), (20_000, below), "{tier:?}");
        }
    }

    #[test]
    fn rations_are_named_by_network_and_span() {
        let of = |tier, ip: &str| -> Vec<(String, u32)> {
            let claim = claim(
                tier,
                Whose::Of {
                    ip: ip.parse().unwrap(),
                    requests: 1,
                },
            );
            let rations = claim.rations.into_iter();
            rations.map(|ration| (ration.name, ration.below)).collect()
        };
        let routine = Tier::Routine { requests: 1 };
        assert_eq!(of(routine, "25.0.0.7"), of(routine, "25.0.0.8"));
        assert_ne!(of(routine, "25.0.0.7"), of(routine, "25.0.1.7"));
        assert_eq!(of(routine, "25.0.0.7")[0].1, 7);
        assert_eq!(of(Tier::Elevated, "25.0.0.7")[0].1, 8);
        let elevated = of(Tier::Elevated, "3ffe::1");
        assert_eq!(elevated.len(), 3);
        assert_eq!(elevated[1].1, 3);
        assert_eq!(elevated[2].1, 167);
        for (name, _) in elevated {
            assert!(name.len() <= 64 && !name.contains(' '), "{name}");
        }
    }

    #[test]
    fn the_common_count_only_ever_raises_this_machines() {
        let mut budget = Budget::new(50);
        let _ = budget.take(Tier::Urgent, Whose::Exempt, NOON).unwrap();
        budget.adopt_spent(20_000, 40, NOON);
        assert_eq!(budget.left(NOON), 10);
        budget.adopt_spent(20_000, 3, NOON);
        budget.adopt_spent(20_001, 50, NOON);
        assert_eq!(budget.left(NOON), 10);
        assert_eq!(day_of(NOON), budget.today(NOON));
    }
}
