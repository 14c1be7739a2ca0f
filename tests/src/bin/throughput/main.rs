//! What the guard costs each framework: a guarded application next to the same one without a guard.
//!
//! `cargo run --release -p conformance --bin throughput [-- ROUNDS]` compares requests per second.
//! For each framework both are served in this process, and get the same load in turn: sixteen
//! connections, each of which sends its next request when it has the answer to the last one. The
//! figure is the median over all pairs of rounds.
//!
//! With `-- instructions`, and valgrind installed, it counts the instructions of the server for one
//! request, which the rest of the machine does not disturb. What the system does for a request,
//! which is most of it, is not in that figure.
//!
//! Every request names a client, behind a trusted proxy, whose verdict is cached; the handler does
//! nothing.

mod instructions;
mod load;

use std::net::Ipv4Addr;

use conformance::bench::{Bench, Setup};
use conformance::driver::{Address, Driver, Install};
use conformance::drivers;

/// A framework's app, with and without a guard.
#[derive(Clone, Copy)]
struct Framework {
    name: &'static str,
    serve: fn(Install) -> Bench,
}

const FRAMEWORKS: [Framework; 4] = [
    Framework::new::<drivers::Actix>("actix"),
    Framework::new::<drivers::Axum>("axum"),
    Framework::new::<drivers::Rocket>("rocket"),
    Framework::new::<drivers::Warp>("warp"),
];

impl Framework {
    const fn new<D: Driver>(name: &'static str) -> Self {
        let serve = |install| {
            Setup::without_rules()
                .install(install)
                .listen(Address::Tcp((Ipv4Addr::LOCALHOST, 0).into()))
                .serve::<D>()
        };
        Self { name, serve }
    }

    fn guarded(self) -> Bench {
        (self.serve)(Install::Whole)
    }

    fn unguarded(self) -> Bench {
        (self.serve)(Install::ExtractorsNoGuard)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["instructions"] => instructions::compare(&FRAMEWORKS),
        [instructions::SERVE, framework, which] => {
            instructions::serve(&FRAMEWORKS, framework, which);
        }
        [] => load::compare(&FRAMEWORKS, 151),
        [rounds] => load::compare(&FRAMEWORKS, rounds.parse().expect("a number of rounds")),
        _ => panic!("a number of rounds, or `instructions`"),
    }
}
