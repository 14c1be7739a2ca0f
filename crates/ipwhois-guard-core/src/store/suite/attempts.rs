//! Attempts to log in.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{LONG, Machines, SHORT, Store, answered, hundred, until};
use crate::store::{Attempt, AttemptId, AttemptLimits, SETTLING};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(25, 0, 0, 7));

fn five(find_time: Duration) -> AttemptLimits {
    AttemptLimits {
        max_failures: 5,
        find_time,
    }
}

async fn begin(store: &Store, limits: AttemptLimits) -> Option<AttemptId> {
    match answered(store.begin_attempt(CLIENT, limits).await, "begin_attempt") {
        Attempt::Begun(id) => Some(id),
        Attempt::Refused => None,
    }
}

async fn fail(store: &Store, id: AttemptId, limits: AttemptLimits) -> u32 {
    let answer = store.fail_attempt(CLIENT, id, limits).await;
    answered(answer, "fail_attempt")
}

pub(super) async fn no_more_attempts_begin_than_there_are_places(machines: Machines<'_>) {
    let limits = five(LONG);
    let machines = machines.three();
    let begun = hundred(&machines, move |store: Store| async move {
        begin(&store, limits).await
    })
    .await;
    let begun = begun.into_iter().flatten().count();
    assert_eq!(begun, 5, "five places are there");
    let other = machines[0].begin_attempt([25, 0, 0, 8].into(), limits);
    let other = answered(other.await, "begin_attempt");
    assert_ne!(other, Attempt::Refused, "each client has its own places");
}

pub(super) async fn one_caller_learns_of_the_last_failure(machines: Machines<'_>) {
    let limits = five(LONG);
    let machines = machines.three();
    let begun = Instant::now();
    // Each guesses as soon as it may, so that places which fall free would be taken at once.
    let failures = hundred(&machines, move |store: Store| async move {
        match begin(&store, limits).await {
            Some(id) => Some(fail(&store, id, limits).await),
            None => None,
        }
    })
    .await;
    if begun.elapsed() < SETTLING {
        let mut failures: Vec<u32> = failures.into_iter().flatten().collect();
        failures.sort_unstable();
        assert_eq!(
            failures,
            [1, 2, 3, 4, 5],
            "five get to guess, and one learns that it was the last"
        );
        let refused = begin(&machines[0], limits).await.is_none();
        assert!(
            refused || begun.elapsed() >= SETTLING,
            "nobody begins before the ban has reached all"
        );
    }
    let next = until("after a ban the count begins anew", || async {
        begin(&machines[1], limits).await
    })
    .await;
    assert_eq!(fail(&machines[2], next, limits).await, 1);
}

pub(super) async fn failures_take_places_until_they_are_cleared(machines: Machines<'_>) {
    let limits = five(LONG);
    let [first, second] = machines.two();
    for n in 1..=4 {
        let id = begin(&first, limits).await;
        let id = id.expect("a place is free");
        assert_eq!(fail(&second, id, limits).await, n);
    }
    assert!(begin(&second, limits).await.is_some(), "one place is left");
    assert!(begin(&first, limits).await.is_none(), "it was the last");
    answered(second.clear_failures(CLIENT).await, "clear_failures");
    for _ in 0..5 {
        let begun = begin(&first, limits).await.is_some();
        assert!(begun, "a success frees all places");
    }
    assert!(begin(&second, limits).await.is_none());
}

pub(super) async fn failures_and_attempts_are_forgotten_in_time(machines: Machines<'_>) {
    let limits = five(SHORT);
    let [first, second] = machines.two();
    let begun = Instant::now();
    let failed = begin(&first, limits).await.expect("a place is free");
    fail(&first, failed, limits).await;
    let mut places = 1;
    while begin(&second, limits).await.is_some() {
        places += 1;
        assert!(
            begun.elapsed() >= SHORT || places <= 5,
            "no more than five places"
        );
    }
    // Four of the five were never ended: their machine is gone.
    until(
        "attempts and failures count for the find time alone",
        || begin(&first, limits),
    )
    .await;
    assert!(begun.elapsed() >= SHORT, "they count so long");
}

pub(super) async fn a_failure_of_an_unknown_attempt_counts(machines: Machines<'_>) {
    let limits = five(LONG);
    let [first, second] = machines.two();
    for n in 1..=5 {
        let id = AttemptId(u64::from(n));
        assert_eq!(fail(&first, id, limits).await, n, "a failure is a failure");
    }
    let again = fail(&second, AttemptId(6), limits).await;
    assert_eq!(again, 1, "with the last failure they are forgotten");
}
