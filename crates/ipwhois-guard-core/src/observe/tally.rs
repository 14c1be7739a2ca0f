//! How many decisions there were, by outcome and source.
//!
//! Every request counts here, so it must cost next to nothing: one addition, in a stripe of the
//! counts that few other threads write to. Nobody reads but who publishes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::verdict::{Source, Unverified};

/// So many threads can count without disturbing each other.
const STRIPES: usize = 8;

/// Room for all sources. A power of two, so that no index needs a check.
const ROOM: usize = 32;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It went on, and its client is welcome.
    Allowed,
    /// It was refused.
    Denied,
    /// It went on although its client is not welcome: the mode is `monitor`.
    Monitored,
}

impl Outcome {
    pub(super) const ALL: [Self; 3] = [Self::Allowed, Self::Denied, Self::Monitored];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Monitored => "monitored",
        }
    }

    /// Whether a verdict from there can come to this.
    pub(super) const fn is_possible(self, source: Source) -> bool {
        match source {
            Source::NotInScope
            | Source::Off
            | Source::Allowlist
            | Source::NonPublic
            | Source::TrustedProxy => matches!(self, Self::Allowed),
            Source::Denylist | Source::Banned | Source::Feed => !matches!(self, Self::Allowed),
            Source::Cache
            | Source::Stale
            | Source::Shared
            | Source::Api
            | Source::Unverified(_) => true,
        }
    }
}

/// Every source, each at its [`index`].
pub(super) const SOURCES: [Source; 24] = [
    Source::NotInScope,
    Source::Off,
    Source::Allowlist,
    Source::Denylist,
    Source::Banned,
    Source::NonPublic,
    Source::TrustedProxy,
    Source::Feed,
    Source::Cache,
    Source::Stale,
    Source::Shared,
    Source::Api,
    Source::Unverified(Unverified::NoPeer),
    Source::Unverified(Unverified::UnixPeer),
    Source::Unverified(Unverified::BadHeader),
    Source::Unverified(Unverified::NoHeader),
    Source::Unverified(Unverified::TimedOut),
    Source::Unverified(Unverified::CallFailed),
    Source::Unverified(Unverified::RateLimited),
    Source::Unverified(Unverified::NoBudget),
    Source::Unverified(Unverified::Rationed),
    Source::Unverified(Unverified::BreakerOpen),
    Source::Unverified(Unverified::Overloaded),
    Source::Unverified(Unverified::ShuttingDown),
];

const fn index(source: Source) -> usize {
    // In two steps, each of which is plain arithmetic: every request comes here.
    let reason = match source {
        Source::Unverified(reason) => reason as usize,
        _ => 0,
    };
    reason + first_index(source)
}

/// The index of a source, and of the first of those that are unverified.
const fn first_index(source: Source) -> usize {
    match source {
        Source::NotInScope => 0,
        Source::Off => 1,
        Source::Allowlist => 2,
        Source::Denylist => 3,
        Source::Banned => 4,
        Source::NonPublic => 5,
        Source::TrustedProxy => 6,
        Source::Feed => 7,
        Source::Cache => 8,
        Source::Stale => 9,
        Source::Shared => 10,
        Source::Api => 11,
        Source::Unverified(_) => 12,
    }
}

/// On cache lines of its own: processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Stripe([[AtomicU64; ROOM]; Outcome::ALL.len()]);

#[derive(Debug)]
pub(crate) struct Tally([Stripe; STRIPES]);

impl Default for Tally {
    fn default() -> Self {
        let stripe = || {
            Stripe(std::array::from_fn(|_| {
                std::array::from_fn(|_| AtomicU64::new(0))
            }))
        };
        Self(std::array::from_fn(|_| stripe()))
    }
}

impl Tally {
    /// Counts one more. Answers how many like it this stripe had before.
    #[inline]
    pub(crate) fn count(&self, outcome: Outcome, source: Source) -> u64 {
        let Stripe(counts) = &self.0[STRIPE.with(|stripe| *stripe) % STRIPES];
        counts[outcome as usize][index(source) % ROOM].fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn of(&self, outcome: Outcome, source: Source) -> u64 {
        let counts = self.0.iter().map(|Stripe(counts)| {
            counts[outcome as usize][index(source) % ROOM].load(Ordering::Relaxed)
        });
        counts.sum()
    }
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The stripe of this thread.
    static STRIPE: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn every_source_has_a_place_of_its_own() {
        for (at, &source) in SOURCES.iter().enumerate() {
            assert_eq!(index(source), at, "{source}");
        }
    }

    #[test]
    fn no_count_of_any_thread_is_lost() {
        let tally = Arc::new(Tally::default());
        let threads: Vec<_> = (0..STRIPES + 3)
            .map(|_| {
                let tally = Arc::clone(&tally);
                thread::spawn(move || {
                    for _ in 0..1_000 {
                        tally.count(Outcome::Denied, Source::Feed);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let all = 1_000 * (STRIPES as u64 + 3);
        assert_eq!(tally.of(Outcome::Denied, Source::Feed), all);
        assert_eq!(tally.of(Outcome::Denied, Source::Api), 0);
        assert_eq!(tally.of(Outcome::Allowed, Source::Feed), 0);
    }
}
