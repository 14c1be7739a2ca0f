//! What fades with time, in whole numbers: the same on every machine.

/// 1.0 in 1/65,536ths.
const ONE: u64 = 1 << 16;

/// What is left of `value` after `age`, when half of it is left after `half_life` (the same unit, not 0), rounded to the
/// nearest. Never more than `value`; never rises with `age`; never falls with `value`.
pub(crate) const fn decayed(value: u32, age: u32, half_life: u32) -> u32 {
    // Half-lives, and what is left over as a part of one.
    let whole = age / half_life;
    let part = ((age % half_life) as u64 * ONE) / half_life as u64;
    if whole >= u32::BITS {
        return 0;
    }
    let left = value as u64 * half_power(part);
    let unit = ONE << whole;
    ((left + unit / 2) / unit) as u32
}

/// 2^-x for x from 0 to 1, both in 1/65,536ths: the parabola through the true values at 0, 1/2 and 1, which is never off
/// by more than a third of a percent and falls all the way.
const fn half_power(x: u64) -> u64 {
    const SLOPE: u64 = 44_013;
    const CURVE: u64 = SLOPE - ONE / 2;
    // One division, at the end: rounded in the middle it would rise here and there.
    (ONE * ONE * ONE + CURVE * x * x - SLOPE * x * ONE) / (ONE * ONE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_is_left_after_a_half_life() {
        assert_eq!(decayed(1_000, 0, 600), 1_000);
        assert_eq!(decayed(1_000, 600, 600), 500);
        assert_eq!(decayed(1_000, 1_200, 600), 250);
        assert_eq!(decayed(1_000, 300, 600), 707);
    }

    #[test]
    fn nothing_is_left_in_the_end() {
        assert_eq!(decayed(u32::MAX, u32::MAX, 600), 0);
        assert_eq!(decayed(u32::MAX, 33 * 600, 600), 0);
    }

    #[test]
    fn the_curve_is_near_the_true_one_and_falls_all_the_way() {
        for x in 0..=ONE {
            let true_value = (-(x as f64) / ONE as f64).exp2();
            let value = half_power(x) as f64 / ONE as f64;
            assert!((value / true_value - 1.0).abs() < 1.0 / 300.0, "{x}");
            assert!(x == 0 || half_power(x) <= half_power(x - 1), "{x}");
        }
    }

    proptest! {
        #[test]
        fn what_is_left_never_rises_with_age_nor_falls_with_the_value(
            value: u32, more: u32, age: u32, longer: u32, half_life in 1_u32..,
        ) {
            let left = decayed(value, age, half_life);
            prop_assert!(left <= value);
            prop_assert!(decayed(value, age.saturating_add(longer), half_life) <= left);
            prop_assert!(decayed(value.saturating_add(more), age, half_life) >= left);
        }
    }
}
