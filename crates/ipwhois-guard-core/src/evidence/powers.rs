//! Powers and logarithms by table: a few instructions each, off by less than 0.001 %.

const STEPS: usize = 256;

/// 2^(n/256).
static POWERS: [f64; STEPS + 1] = {
    let mut table = [1.0; STEPS + 1];
    let mut n = 1;
    while n <= STEPS {
        // 2^(1/256)
        table[n] = table[n - 1] * 1.002_711_275_050_202_5;
        n += 1;
    }
    table
};

/// log2(1 + n/256).
static LOGARITHMS: [f64; STEPS + 1] = {
    let mut table = [0.0; STEPS + 1];
    let mut n = 1;
    while n <= STEPS {
        table[n] = log2_between_1_and_2(1.0 + n as f64 / STEPS as f64);
        n += 1;
    }
    table
};

/// One bit with each squaring.
const fn log2_between_1_and_2(mut x: f64) -> f64 {
    let (mut log, mut bit) = (0.0, 1.0);
    let mut rounds = 0;
    while rounds < 40 {
        if x >= 2.0 {
            x /= 2.0;
            log += bit;
        }
        x *= x;
        bit /= 2.0;
        rounds += 1;
    }
    log
}

/// 2^x.
pub(crate) fn exp2(x: f64) -> f64 {
    let x = x.clamp(-1_000.0, 1_000.0);
    let whole = x as i64 - i64::from(x < 0.0);
    let power = f64::from_bits(((1_023 + whole) as u64) << 52);
    power * between(&POWERS, x - whole as f64)
}

/// The binary logarithm of a positive number; far below zero for anything else.
pub(crate) fn log2(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    const ONE: u64 = 1_023 << 52;
    if x < f64::MIN_POSITIVE {
        return -1_023.0;
    }
    let whole = (x.to_bits() >> 52) as i64 - 1_023;
    let mantissa = f64::from_bits(x.to_bits() & MANTISSA | ONE);
    whole as f64 + between(&LOGARITHMS, mantissa - 1.0)
}

/// What is left after `age`, when half is left after `half_life`.
pub(crate) fn fading(age: f64, half_life: f64) -> f64 {
    exp2(-age.max(0.0) / half_life)
}

/// The value of a table at `part` of its length, 0 to 1.
fn between(table: &[f64; STEPS + 1], part: f64) -> f64 {
    let at = part * STEPS as f64;
    let index = (at as usize).min(STEPS - 1);
    let (below, above) = (table[index], table[index + 1]);
    below + (above - below) * (at - index as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_near_the_true_values() {
        for n in -40_000..40_000 {
            let x = f64::from(n) / 1_000.0;
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 1e-5, "2^{x}");
            let y = x.exp2();
            assert!((log2(y) - x).abs() < 1e-5, "log2({y})");
        }
    }

    #[test]
    fn numbers_without_a_logarithm_and_absurd_powers_do_no_harm() {
        for x in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert!(log2(x).is_finite(), "{x}");
        }
        for x in [f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert!(exp2(x).is_finite(), "{x}");
        }
        assert!(exp2(f64::NEG_INFINITY) < 1e-300);
    }

    #[test]
    fn half_is_left_after_a_half_life_and_all_before_it_began() {
        assert!((fading(60.0, 60.0) - 0.5).abs() < 1e-5);
        assert!((fading(-60.0, 60.0) - 1.0).abs() < 1e-9);
    }
}
