//! Holds two snapshots of a feed against an app under load, over real sockets:
//!
//! `cargo run --release -p conformance --bin feed-swap -- OLD NEW`
//!
//! 1. At a minimum confidence of 50 each address of NEW is refused, without a check.
//! 2. At 90 each is confirmed by one urgent check, although the pace of the day's routine checks is
//!    used up.
//! 3. While clients of both lists ask, the feed goes from OLD to NEW: no request is lost, and none
//!    of an address that is in both is let in.
//!
//! Ends with 1 when something is not as it should be.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use conformance::bench::{Bench, Setup};
use conformance::drivers;
use ipwhois_guard_core::{FeedAction, GuardBuilder};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match &arguments[..] {
        [old, new] => read(old).and_then(|old| Ok((old, read(new)?))),
        _ => Err("usage: feed-swap OLD NEW".to_owned()),
    };
    let (old, new) = match result {
        Ok(feeds) => feeds,
        Err(error) => {
            eprintln!("feed-swap: {error}");
            return ExitCode::FAILURE;
        }
    };
    let right = [without_a_check(&new), confirmed(&new), swapped(&old, &new)];
    if right.into_iter().all(|right| right) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

fn addresses(feed: &str) -> Vec<IpAddr> {
    let lines = feed.lines().map(str::trim);
    lines.filter_map(|line| line.parse().ok()).collect()
}

fn serve(feed: &str, change: impl FnOnce(GuardBuilder) -> GuardBuilder) -> Bench {
    let bench = Setup::new()
        .guard(|guard| guard.feed_action(FeedAction::Confirm))
        .guard(change)
        .serve::<drivers::Axum>();
    // The first look is at the service before it has a feed.
    block_on(bench.guard.ready());
    bench.service.list_feed(feed, 95);
    refresh(&bench);
    bench
}

fn refresh(bench: &Bench) {
    let update = block_on(bench.guard.refresh_feed());
    println!("   feed: {update:?}");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

fn without_a_check(feed: &str) -> bool {
    let bench = serve(feed, |guard| guard.min_confidence(50));
    let listed = addresses(feed);
    let refused = refused(&bench, &listed);
    let checks = bench.service.check_count();
    println!(
        "minimum 50: {refused} of {} refused, {checks} checks",
        listed.len()
    );
    refused == listed.len() && checks == 0
}

fn confirmed(feed: &str) -> bool {
    let bench = serve(feed, |guard| guard.daily_budget(1_000));
    let strangers = (0..1_000_u32).map(|n| Ipv4Addr::from_bits(0x1a00_0001 + (n << 8)));
    let served = strangers.filter(|ip| bench.status_of(&ip.to_string()) == 200);
    let served = served.count();
    let routine = bench.service.check_count();
    let listed = addresses(feed);
    let refused = refused(&bench, &listed);
    let each_once = listed.iter().all(|ip| bench.service.checks_of(*ip) == 1);
    println!(
        "minimum 90, budget 1,000: {routine} checks for {served} strangers until the pace was used up, then {refused} of {} \
         listed clients refused, each by one check: {each_once}",
        listed.len()
    );
    routine < served && refused == listed.len() && each_once
}

fn refused(bench: &Bench, clients: &[IpAddr]) -> usize {
    let statuses = clients.iter().map(|ip| bench.status_of(&ip.to_string()));
    statuses.filter(|status| *status == 403).count()
}

fn swapped(old: &str, new: &str) -> bool {
    let bench = serve(old, |guard| guard.min_confidence(50));
    let (before, after) = (addresses(old), addresses(new));
    let in_new: HashSet<&IpAddr> = after.iter().collect();
    let in_both: Vec<&IpAddr> = before.iter().filter(|ip| in_new.contains(ip)).collect();
    let is_done = AtomicBool::new(false);
    let (answered, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..8 {
            let (bench, in_both, is_done) = (&bench, &in_both, &is_done);
            let (answered, wrong) = (&answered, &wrong);
            scope.spawn(move || {
                for n in (thread..).step_by(8) {
                    if is_done.load(Ordering::SeqCst) {
                        return;
                    }
                    let client = in_both[n % in_both.len()];
                    if bench.status_of(&client.to_string()) != 403 {
                        wrong.fetch_add(1, Ordering::SeqCst);
                    }
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let until = |n: usize| {
            while answered.load(Ordering::SeqCst) < n {
                thread::yield_now();
            }
        };
        until(2_000);
        bench.service.set_feed(new);
        refresh(&bench);
        until(answered.load(Ordering::SeqCst) + 2_000);
        is_done.store(true, Ordering::SeqCst);
    });
    let refused = refused(&bench, &after);
    let (answered, wrong) = (answered.into_inner(), wrong.into_inner());
    println!(
        "from {} to {} addresses under load: {answered} requests of the {} in both, {wrong} not refused; afterwards \
         {refused} of {} refused, {} checks",
        before.len(),
        after.len(),
        in_both.len(),
        after.len(),
        bench.service.check_count()
    );
    wrong == 0 && refused == after.len() && bench.service.check_count() == 0
}
