//! How often the service is asked.

use std::thread;
use std::time::Duration;

use ipwhois_guard_testkit::Behaviour;

use crate::bench::{CLEAN, LISTED, Setup, address};
use crate::client::Request;
use crate::driver::Driver;

pub fn asks_once_and_remembers<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    for _ in 0..10 {
        assert_eq!(bench.status_of(LISTED), 403);
        assert_eq!(bench.status_of(CLEAN), 200);
    }
    assert_eq!(bench.service.checks_of(address(LISTED)), 1);
    assert_eq!(bench.service.checks_of(address(CLEAN)), 1);
}

pub fn a_thousand_requests_of_one_stranger_make_one_check<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    bench.service.behave(Behaviour::Held);
    thread::scope(|scope| {
        let requests: Vec<_> = (0..1_000)
            .map(|_| {
                thread::Builder::new()
                    .stack_size(128 * 1_024)
                    .spawn_scoped(scope, || bench.status_of(LISTED))
                    .expect("a thread")
            })
            .collect();
        bench.wait_for_checks(1);
        bench.service.recover();
        bench.service.release();
        for request in requests {
            assert_eq!(request.join().expect("an answer"), 403);
        }
    });
    assert_eq!(bench.service.check_count(), 1);
    assert_eq!(bench.handled(), 0);
}

pub fn a_client_that_hangs_up_neither_cancels_nor_repeats_the_check<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    bench.service.behave(Behaviour::Held);
    let request = Request::get("/admin").from_client(LISTED);
    let impatient = request.begin(bench.address());
    bench.wait_for_checks(1);
    drop(impatient);
    bench.service.recover();
    bench.service.release();
    assert_eq!(bench.status_of(LISTED), 403);
    assert_eq!(bench.service.check_count(), 1);
}

pub fn a_stale_verdict_serves_while_it_is_refreshed<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    assert_eq!(bench.status_of(LISTED), 403);
    bench.clock.advance(Duration::from_secs(3_600));
    bench.service.behave(Behaviour::Held);
    let seen = bench.whoami(Request::get("/whoami").from_client(LISTED));
    assert_eq!(seen["source"], "stale");
    for _ in 0..5 {
        assert_eq!(bench.status_of(LISTED), 403);
    }
    bench.wait_for_checks(2);
    assert_eq!(bench.service.check_count(), 2);
}

pub fn an_expired_verdict_is_asked_for_again<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    assert_eq!(bench.status_of(LISTED), 403);
    bench.service.unlist(address(LISTED));
    bench.clock.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(bench.status_of(LISTED), 200);
    assert_eq!(bench.service.check_count(), 2);
}

pub fn a_changed_verdict_counts_after_the_refresh<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    assert_eq!(bench.status_of(CLEAN), 200);
    bench.service.list(address(CLEAN), 99);
    bench.clock.advance(Duration::from_secs(3_600));
    // Used once more while it is refreshed; from some request on, the new verdict counts.
    let refused = (0..10_000).any(|_| bench.status_of(CLEAN) == 403);
    assert!(refused);
    assert_eq!(bench.service.check_count(), 2);
}
