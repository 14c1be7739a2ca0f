//! What one feed lists and another does not.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipwhois_guard_core::Feed;

/// What happened from one feed to a later one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) added: Ranges,
    pub(super) removed: Ranges,
}

impl Difference {
    pub(super) fn between(before: &Feed, after: &Feed) -> Self {
        let (before, after) = (Ranges::of(before.ranges()), Ranges::of(after.ranges()));
        Self {
            added: after.without(&before),
            removed: before.without(&after),
        }
    }
}

/// First and last of each range, in order, none of them overlapping; IPv4 as IPv4-mapped addresses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    fn of(ranges: impl Iterator<Item = RangeInclusive<IpAddr>>) -> Self {
        let bits = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let mut ranges: Vec<_> = ranges
            .map(|range| (bits(range.start()), bits(range.end())))
            .collect();
        ranges.sort_unstable();
        Self(ranges)
    }

    /// What is in these and not in the others. Both are walked once.
    fn without(&self, others: &Self) -> Self {
        let mut left = Vec::new();
        let mut others = others.0.iter().copied().peekable();
        for &(first, last) in &self.0 {
            // `None` when nothing of this range is left.
            let mut from = Some(first);
            while let Some(start) = from
                && let Some(&(taken_first, taken_last)) = others.peek()
                && taken_first <= last
            {
                if taken_last < start {
                    others.next();
                    continue;
                }
                if start < taken_first {
                    left.push((start, taken_first - 1));
                }
                if taken_last >= last {
                    from = None;
                } else {
                    from = Some(taken_last + 1);
                    others.next();
                }
            }
            left.extend(from.map(|start| (start, last)));
        }
        Self(left)
    }

    /// How many addresses they have.
    pub(super) fn addresses(&self) -> u128 {
        let sizes = self
            .0
            .iter()
            .map(|(first, last)| (last - first).saturating_add(1));
        sizes.fold(0, u128::saturating_add)
    }

    /// Each as an address, or as the first and the last one.
    pub(super) fn shown(&self) -> Vec<String> {
        let address = |bits| Ipv6Addr::from_bits(bits).to_canonical();
        let ranges = self.0.iter().map(|&(first, last)| {
            if first == last {
                address(first).to_string()
            } else {
                format!("{}-{}", address(first), address(last))
            }
        });
        ranges.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ranges(texts: &[&str]) -> Ranges {
        let ip = |text: &str| text.parse().expect("an address");
        Ranges::of(texts.iter().map(|text| match text.split_once('-') {
            Some((first, last)) => ip(first)..=ip(last),
            None => ip(text)..=ip(text),
        }))
    }

    #[track_caller]
    fn check(these: &[&str], others: &[&str], left: &[&str]) {
        let found = ranges(these).without(&ranges(others));
        assert_eq!(found.shown(), left, "{these:?} without {others:?}");
    }

    #[test]
    fn what_the_others_have_is_cut_out() {
        let network = ["25.0.0.0-25.0.0.255"];
        check(&network, &[], &network);
        check(&network, &network, &[]);
        check(&network, &["25.0.0.0"], &["25.0.0.1-25.0.0.255"]);
        check(&network, &["25.0.0.255"], &["25.0.0.0-25.0.0.254"]);
        check(
            &network,
            &["24.0.0.1", "25.0.0.1", "25.0.0.3-25.0.0.253", "26.0.0.1"],
            &["25.0.0.0", "25.0.0.2", "25.0.0.254-25.0.0.255"],
        );
        check(
            &["25.0.0.1", "25.0.0.9", "3ffe::1"],
            &["25.0.0.0-25.0.0.200"],
            &["3ffe::1"],
        );
        check(
            &["::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
            &["::"],
            &["::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
        );
    }

    #[test]
    fn addresses_are_counted() {
        let all = ranges(&["25.0.0.0-25.0.0.255", "3ffe::1"]);
        assert_eq!(all.addresses(), 257);
        let most = ranges(&["::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]);
        assert_eq!(most.addresses(), u128::MAX);
    }

    fn set(ranges: &[(u128, u128)]) -> BTreeSet<u128> {
        ranges
            .iter()
            .flat_map(|&(first, last)| first..=last)
            .collect()
    }

    /// From a set: ranges that neither overlap nor touch.
    fn merged(set: &BTreeSet<u128>) -> Ranges {
        let mut ranges: Vec<(u128, u128)> = Vec::new();
        for &bits in set {
            match ranges.last_mut() {
                Some(before) if before.1 + 1 == bits => before.1 = bits,
                _ => ranges.push((bits, bits)),
            }
        }
        Ranges(ranges)
    }

    proptest! {
        #[test]
        fn ranges_agree_with_sets(
            these in prop::collection::btree_set(0..40_u128, 0..30),
            others in prop::collection::btree_set(0..40_u128, 0..30),
        ) {
            let left = merged(&these).without(&merged(&others));
            let expected: BTreeSet<u128> = these.difference(&others).copied().collect();
            prop_assert_eq!(set(&left.0), expected);
        }
    }
}
