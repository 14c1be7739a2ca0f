//! What outlives a restart: the day's count, what networks had of it, and what was learned. What
//! single clients did does not.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::demand::StoredDemand;
use super::quota::StoredQuota;
use super::rations::StoredNetwork;
use super::{Budget, day_of};

/// The form that this version writes. Of an earlier or a later one the count of the day and the
/// word of the service are read.
const VERSION: u32 = 2;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Snapshot {
    version: u32,
    /// Days since the Unix epoch.
    pub(crate) day: u64,
    pub(crate) spent: u32,
    #[serde(alias = "told", deserialize_with = "lenient")]
    quota: Option<StoredQuota>,
    #[serde(deserialize_with = "lenient")]
    learned: Option<Learned>,
}

/// Nothing, where something else stands: what cannot be read must not cost the day's count.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).ok())
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Learned {
    pooled: u32,
    checked_networks: Vec<StoredNetwork>,
    weights: Vec<(f32, f32)>,
    stages: Vec<(f32, f32)>,
    demand: StoredDemand,
}

impl Budget {
    pub(crate) fn snapshot(&self, now: Duration) -> Snapshot {
        let (pooled, checked_networks) = self.rations.snapshot(self.today.day, now.as_secs_f64());
        Snapshot {
            version: VERSION,
            day: self.today.day,
            spent: self.today.spent,
            quota: Some(self.quota.snapshot()),
            learned: Some(Learned {
                pooled,
                checked_networks,
                weights: self.weights.snapshot(),
                stages: self.forecast.snapshot(),
                demand: self.demand.snapshot(),
            }),
        }
    }

    /// Takes over what an earlier run spent and learned. What was spent since the start adds to it.
    /// Answers whether all of the snapshot was read.
    ///
    /// An earlier day is over. For a later one the rule for a clock that goes back holds: the day
    /// after this one is taken over, one further away is not, but its count is.
    pub(crate) fn restore(&mut self, snapshot: &Snapshot, now: Duration) -> bool {
        let now = self.turn(now);
        self.priced = None;
        let (day, spent_since) = (self.today.day, self.today.spent);
        if snapshot.day < day {
            self.today.remember(snapshot.day, snapshot.spent);
        } else {
            if snapshot.day > day_of(now).saturating_add(1) {
                self.today.remember(snapshot.day, snapshot.spent);
            } else {
                self.today.day = snapshot.day;
                self.quota.shift(snapshot.spent);
                if let Some(quota) = &snapshot.quota {
                    self.quota.restore(quota, self.today.end());
                }
            }
            self.today.spent = spent_since.saturating_add(snapshot.spent);
        }
        let learned = snapshot.learned.as_ref();
        let Some(learned) = learned.filter(|_| snapshot.version == VERSION) else {
            return false;
        };
        let seconds = now.as_secs_f64();
        let is_today = snapshot.day == self.today.day;
        self.rations.restore(
            learned.pooled,
            &learned.checked_networks,
            is_today,
            self.today.day,
            seconds,
        );
        self.weights.restore(&learned.weights);
        self.forecast.restore(&learned.stages);
        // A day that is still to come says nothing of this one.
        if snapshot.day <= day {
            self.demand.restore(&learned.demand, snapshot.day, seconds);
        }
        true
    }
}
