//! What the guard costs each framework: a guarded application next to the same one without a guard.
//!
//! `cargo run --profile bench -p conformance --bin throughput [-- PAIRS]` compares requests per CPU
//! second of the server (default: seven pairs of 2 s each). The server is a process of its own,
//! pinned to one core; wrk runs on another, with sixteen connections. Needs wrk and two cores. Next
//! to the guard on axum it measures an empty middleware, a rate limiter, and a guard by hand.
//!
//! With `-- instructions`, and valgrind installed, it counts the instructions of the server for one
//! request, which the rest of the machine does not disturb. What the system does for a request,
//! which is most of it, is not in that figure.
//!
//! Every request names a client, behind a trusted proxy, whose verdict is cached; the handler does
//! nothing.

mod instructions;
mod load;
mod peers;
mod server;

use std::net::Ipv4Addr;

use conformance::bench::{Bench, Setup};
use conformance::driver::{Address, Driver, Install};
use conformance::drivers;

pub(crate) const GUARDED: &str = "guarded";
pub(crate) const UNGUARDED: &str = "unguarded";

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
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["instructions"] => instructions::compare(),
        [server::SERVE, framework, which] => serve(framework, which),
        [] => load::compare(7),
        [pairs] => load::compare(pairs.parse().expect("a number of pairs")),
        _ => panic!("a number of pairs, or `instructions`"),
    }
}

/// Serves until the input ends.
fn serve(framework: &str, which: &str) {
    if framework == peers::FRAMEWORK {
        return peers::serve(which);
    }
    let mut known = FRAMEWORKS.iter();
    let framework = known.find(|known| known.name == framework);
    let framework = framework.expect("a framework's name");
    let bench = (framework.serve)(match which {
        GUARDED => Install::Whole,
        UNGUARDED => Install::ExtractorsNoGuard,
        _ => panic!("`{GUARDED}` or `{UNGUARDED}`"),
    });
    let Address::Tcp(address) = *bench.address() else {
        unreachable!("TCP was asked for");
    };
    server::serve_until_input_ends(address);
}
