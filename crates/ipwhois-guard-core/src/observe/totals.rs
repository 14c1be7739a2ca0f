//! What all guards of a process that share a name have counted together.
//!
//! A counter must never go back, but a guard begins at zero: two guards at once, or one that takes
//! the place of another, would overwrite each other's counts. So what is published is the sum over
//! all that there are and were.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

static TOTALS: Mutex<BTreeMap<Option<String>, Vec<u64>>> = Mutex::new(BTreeMap::new());

/// Adds what was counted since `published`, and answers the sums. The counts are always the same
/// ones, in the same order.
pub(super) fn add(name: Option<&str>, published: &mut Vec<u64>, counted: Vec<u64>) -> Vec<u64> {
    published.resize(counted.len(), 0);
    let mut totals = TOTALS.lock().unwrap_or_else(PoisonError::into_inner);
    let totals = totals.entry(name.map(str::to_owned)).or_default();
    totals.resize(counted.len(), 0);
    for ((total, before), now) in totals.iter_mut().zip(&*published).zip(&counted) {
        *total += now.saturating_sub(*before);
    }
    *published = counted;
    totals.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_of_one_name_add_up_and_a_new_one_goes_on_where_another_ended() {
        let name = Some("totals: add up");
        let (mut one, mut other) = (Vec::new(), Vec::new());
        assert_eq!(add(name, &mut one, vec![1, 10]), [1, 10]);
        assert_eq!(add(name, &mut one, vec![1, 10]), [1, 10], "nothing new");
        assert_eq!(add(name, &mut other, vec![5, 0]), [6, 10]);
        assert_eq!(add(name, &mut one, vec![2, 11]), [7, 11]);
        drop(one);
        assert_eq!(add(name, &mut Vec::new(), vec![3, 0]), [10, 11]);
    }

    #[test]
    fn guards_of_different_names_do_not() {
        let (one, other) = (Some("totals: one"), Some("totals: other"));
        assert_eq!(add(one, &mut Vec::new(), vec![1]), [1]);
        assert_eq!(add(other, &mut Vec::new(), vec![2]), [2]);
    }
}
