//! A client without a verdict: its signs, and how often it has come lately.

use super::demand::Level;
use super::{DAY, Entry};
use crate::evidence::{Signs, fading};

/// Half-life of a client's count of requests.
const REQUESTS_HALF_LIFE: f64 = 60.0 * 60.0;

/// After so long without a request a client counts as a new one, but for what checks found.
const FORGOTTEN_AFTER: f64 = DAY;

/// A client without a verdict. 32 bytes with its key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Client {
    pub(super) signs: Signs,
    /// Of its last score.
    pub(super) level: Level,
    /// The probability with which its latest request counts as the last of a listed client.
    pub(super) may_end: f32,
    /// Fading, as of `at`.
    pub(super) requests: f32,
    /// The latest request or sign, in seconds since the Unix epoch.
    pub(super) at: u32,
}

impl Client {
    pub(super) fn is_forgotten(&self, now: f64) -> bool {
        now - f64::from(self.at) > FORGOTTEN_AFTER
    }

    pub(super) fn touch(&mut self, now: f64) {
        if self.is_forgotten(now) {
            self.signs = self.signs.earlier_verdict();
            self.requests = 0.0;
            self.may_end = 0.0;
        }
        let away = (now as u32).saturating_sub(self.at);
        if away > 0 {
            self.requests *= fading(away.into(), REQUESTS_HALF_LIFE) as f32;
            self.at += away;
        }
    }
}

impl Entry for Client {
    /// The bids of the last day come first: a flood of new addresses pushes out itself.
    fn usefulness(&self, now: f64) -> (u8, u32) {
        let level = if self.is_forgotten(now) {
            0
        } else {
            self.level
        };
        (level, self.at)
    }
}
