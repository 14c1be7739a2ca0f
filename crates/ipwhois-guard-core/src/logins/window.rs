//! The sliding window of one scope: its failures and the attempts under way. No lock, no clock.

use std::time::Duration;

use super::scope::{AccountTag, Login, Scope};
use crate::clock::{Tick, ticks};
use crate::store::{AttemptId, AttemptLimits};

/// How long an attempt holds its place when its end is never said.
pub(crate) const ATTEMPT_LIFE: Duration = Duration::from_secs(30);

impl AttemptLimits {
    /// Maximum number of failures and attempts under way together.
    #[must_use]
    pub fn places(&self, scope: Scope) -> u32 {
        self.max_failures.saturating_mul(scope.allowance())
    }

    /// How long an attempt holds its place when its end is never said: 30 s at most.
    #[must_use]
    pub fn attempt_life(&self) -> Duration {
        self.find_time.min(ATTEMPT_LIFE)
    }
}

/// What takes one of a scope's places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// When the attempt began, or failed.
    pub(super) at: Tick,
    pub(super) account: Option<AccountTag>,
    /// `None`: a failure.
    attempt: Option<AttemptId>,
}

impl Place {
    pub(super) const fn failure(at: Tick, account: Option<AccountTag>) -> Self {
        Self {
            at,
            account,
            attempt: None,
        }
    }

    const fn is_failure(&self) -> bool {
        self.attempt.is_none()
    }

    /// How long it takes the place.
    fn life(&self, limits: &AttemptLimits) -> u32 {
        ticks(match self.attempt {
            None => limits.find_time,
            Some(_) => limits.attempt_life(),
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct Window(Vec<Place>);

impl Window {
    pub(super) fn forget_lapsed(&mut self, now: Tick, limits: &AttemptLimits) {
        self.0
            .retain(|place| place.at.is_within(place.life(limits), now));
    }

    /// Takes a place for an attempt. Whether one is left is for the caller to ask first.
    pub(super) fn begin(&mut self, attempt: AttemptId, login: Login, now: Tick) {
        self.push(Place {
            at: now,
            account: login.account,
            attempt: Some(attempt),
        });
    }

    /// Gives back the place of an attempt, if it still has one.
    pub(super) fn end(&mut self, attempt: AttemptId) {
        self.0.retain(|place| place.attempt != Some(attempt));
    }

    /// Counts a failure. How many there are then.
    pub(super) fn fail(&mut self, failure: Place) -> u32 {
        self.push(failure);
        self.failures().count() as u32
    }

    /// Forgets the failures. Attempts under way keep their places.
    pub(super) fn forget_failures(&mut self) {
        self.0.retain(|place| !place.is_failure());
    }

    /// Takes out the failures for one account, or all.
    pub(super) fn take_failures(&mut self, of: Option<AccountTag>) -> Vec<Place> {
        let is_meant = |place: &Place| place.is_failure() && (of.is_none() || place.account == of);
        self.0.extract_if(.., |place| is_meant(place)).collect()
    }

    /// Forgets failures that were counted here, too, each once.
    pub(super) fn forget(&mut self, failures: &[Place]) {
        for failure in failures {
            if let Some(at) = self.0.iter().position(|place| place == failure) {
                self.0.swap_remove(at);
            }
        }
    }

    /// Counts one failure an account, or a client, and keeps the newest of each. How many there
    /// are, when this one is new.
    pub(super) fn fail_as_one(&mut self, failure: Place, most: usize) -> Option<usize> {
        let mut known = self.0.iter_mut();
        if let Some(known) = known.find(|place| place.account == failure.account) {
            known.at = failure.at;
            return None;
        }
        (self.0.len() < most).then(|| {
            self.push(failure);
            self.0.len()
        })
    }

    pub(super) fn failures(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter(|place| place.is_failure())
    }

    pub(super) fn has_attempts(&self) -> bool {
        self.0.iter().any(|place| !place.is_failure())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn taken(&self) -> u32 {
        self.0.len() as u32
    }

    /// How long until a place is free whatever happens.
    pub(super) fn free_in(&self, now: Tick, limits: &AttemptLimits) -> Duration {
        let ends = self.0.iter().map(|place| place.at.plus(place.life(limits)));
        ends.min().map_or(Duration::ZERO, |end| now.until(end))
    }

    /// When the last failure or attempt was.
    pub(super) fn last_seen(&self) -> Tick {
        let seen = self.0.iter().map(|place| place.at);
        seen.max().unwrap_or(Tick::NEVER)
    }

    fn push(&mut self, place: Place) {
        if self.0.len() == self.0.capacity() {
            // In small steps: doubling would leave half of a full table's memory unused.
            self.0.reserve_exact(2);
        }
        self.0.push(place);
    }
}
