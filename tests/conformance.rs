//! One named test for each case and framework: `axum::denies_a_listed_client`.

mod architecture;
mod processes;

use conformance::driver::Driver;
use conformance::{cases, drivers, for_each_case};

macro_rules! tests {
    ($driver:ty; $($group:ident: $($case:ident),+;)+) => {
        $($(
            #[test]
            fn $case() {
                run(stringify!($case), cases::$group::$case::<$driver>, <$driver>::EXCEPTIONS);
            }
        )+)+
    };
}

/// Runs a case, unless the framework's driver says why it cannot be met.
fn run(case: &str, check: fn(), exceptions: &[(&str, &str)]) {
    match exceptions.iter().find(|(name, _)| *name == case) {
        Some((_, reason)) => println!("not met: {reason}"),
        None => check(),
    }
}

mod actix {
    use super::*;

    for_each_case!(tests, drivers::Actix);
}

mod axum {
    use super::*;

    for_each_case!(tests, drivers::Axum);
}

mod rocket {
    use super::*;

    for_each_case!(tests, drivers::Rocket);
}

mod warp {
    use super::*;

    for_each_case!(tests, drivers::Warp);
}
