//! How likely a client with these signs is listed: a logistic regression, taught by the site's own
//! checks.

use super::powers::exp2;
use super::signs::Signs;

/// How many signs there are.
pub(crate) const SIGNS: usize = 14;

/// One for each sign, and one that always counts.
const WEIGHTS: usize = SIGNS + 1;

/// The weights before anything is learned: logarithms of likelihood ratios. They are rounded means
/// of what ten sites taught. The last one is the log-odds of a client without any sign.
const START: [f64; WEIGHTS] = [
    3.0, 4.0, 0.5, 0.0, 1.5, 1.0, -1.5, -1.0, 2.0, 4.0, 4.0, -4.5, 2.5, -1.0, -2.0,
];

/// How far checks may move a weight. Sites differ by about 0.5 to 1. So days of checks that an
/// attacker arranged cannot turn a sign into its opposite.
const REACH: f64 = 2.0;

/// The certainty of a weight before anything is learned: the inverse of its variance between sites.
/// A check adds at most a quarter.
const START_CERTAINTY: f64 = 4.0;

/// More certainty than this would take 40,000 checks, and would freeze the weight.
const MOST_CERTAINTY: f64 = 10_000.0;

#[derive(Debug)]
pub(crate) struct Weights {
    values: [f64; WEIGHTS],
    certainties: [f64; WEIGHTS],
}

impl Weights {
    pub(crate) const fn new() -> Self {
        Self {
            values: START,
            certainties: [START_CERTAINTY; WEIGHTS],
        }
    }

    /// P(listed | signs).
    pub(crate) fn probability(&self, signs: Signs) -> f64 {
        let log_odds: f64 = present(signs).map(|index| self.values[index]).sum();
        1.0 / (1.0 + exp2(-log_odds * std::f64::consts::LOG2_E))
    }

    /// What a check found: one step of Newton's method. A weight moves the less the more checks it
    /// has seen.
    pub(crate) fn learn(&mut self, signs: Signs, is_listed: bool) {
        let probability = self.probability(signs);
        let error = f64::from(u8::from(is_listed)) - probability;
        for index in present(signs) {
            let certainty = &mut self.certainties[index];
            *certainty = (*certainty + probability * (1.0 - probability)).min(MOST_CERTAINTY);
            let value = self.values[index] + error / *certainty;
            self.values[index] = within_reach(index, value);
        }
    }

    /// Values and certainties, for a snapshot.
    pub(crate) fn snapshot(&self) -> Vec<(f32, f32)> {
        let pairs = self.values.iter().zip(&self.certainties);
        pairs.map(|(&w, &q)| (w as f32, q as f32)).collect()
    }

    /// Takes over what an earlier run learned. A value that learning cannot bring about is dropped,
    /// and so is a list that is not as long as this one.
    pub(crate) fn restore(&mut self, stored: &[(f32, f32)]) {
        if stored.len() != WEIGHTS {
            return;
        }
        for (index, &(value, certainty)) in stored.iter().enumerate() {
            let (value, certainty) = (f64::from(value), f64::from(certainty));
            let is_possible = (within_reach(index, value) - value).abs() < 1e-5
                && (START_CERTAINTY..=MOST_CERTAINTY).contains(&certainty);
            if is_possible {
                self.values[index] = value;
                self.certainties[index] = certainty;
            }
        }
    }
}

fn within_reach(index: usize, value: f64) -> f64 {
    value.clamp(START[index] - REACH, START[index] + REACH)
}

/// The weights that count for these signs.
fn present(signs: Signs) -> impl Iterator<Item = usize> {
    let mut bits = u32::from(signs.bits()) | 1 << SIGNS;
    std::iter::from_fn(move || {
        let index = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (index < WEIGHTS).then_some(index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_speaks_against_a_client_and_an_asset_for_it() {
        let weights = Weights::new();
        let stranger = weights.probability(Signs::NONE);
        let log_odds = (stranger / (1.0 - stranger)).ln();
        assert!((log_odds - -2.0).abs() < 1e-4, "{log_odds}");
        let probe = weights.probability(Signs::PROBE);
        let visitor = weights.probability(Signs::ASSET | Signs::REFERRER);
        assert!(visitor < stranger / 5.0 && probe > stranger * 5.0);
    }

    #[test]
    fn checks_teach_and_later_ones_teach_less() {
        let mut weights = Weights::new();
        let moves = |weights: &mut Weights| {
            let before = weights.probability(Signs::SCRIPT);
            weights.learn(Signs::SCRIPT, true);
            weights.probability(Signs::SCRIPT) - before
        };
        let first = moves(&mut weights);
        for _ in 0..50 {
            weights.learn(Signs::SCRIPT, true);
            weights.learn(Signs::SCRIPT, false);
        }
        let later = moves(&mut weights);
        assert!(first > 2.0 * later && later > 0.0, "{first} {later}");
    }

    #[test]
    fn no_number_of_checks_turns_a_sign_into_its_opposite() {
        let mut weights = Weights::new();
        for _ in 0..10_000 {
            weights.learn(Signs::PROBE, false);
            weights.learn(Signs::ASSET | Signs::REFERRER, true);
        }
        let odds = |signs| {
            let probability = weights.probability(signs);
            probability / (1.0 - probability)
        };
        assert!(odds(Signs::PROBE) > odds(Signs::NONE) * 2.0);
        assert!(odds(Signs::PROBE | Signs::REFUSED) > odds(Signs::NONE) * 2.0);
    }

    #[test]
    fn what_cannot_have_been_learned_is_dropped() {
        let mut taught = Weights::new();
        (0..20).for_each(|_| taught.learn(Signs::PROBE, false));
        let stored = taught.snapshot();
        let mut weights = Weights::new();
        weights.restore(&stored);
        assert_eq!(weights.snapshot(), stored);
        for absurd in [
            (f32::NAN, 5.0),
            (f32::INFINITY, 5.0),
            (60.0, 5.0),
            (0.9, 5.0),
            (2.0, 0.0),
            (2.0, -1.0),
            (2.0, f32::NAN),
            (2.0, 1e9),
        ] {
            let mut weights = Weights::new();
            let mut stored = stored.clone();
            stored[0] = absurd;
            weights.restore(&stored);
            assert_eq!(weights.snapshot()[0], (3.0, 4.0), "{absurd:?}");
            assert_eq!(weights.snapshot()[14], stored[14]);
        }
        let mut weights = Weights::new();
        weights.restore(&stored[1..]);
        assert_eq!(weights.snapshot(), Weights::new().snapshot());
    }
}
