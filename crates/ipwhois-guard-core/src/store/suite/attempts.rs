//! Attempts to log in.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::{LONG, Machines, SHORT, Store, answered, hundred, until};
use crate::store::{
    AccountKey, AccountTag, Attempt, AttemptId, AttemptLimits, Failed, Login, SETTLING, Scope,
};

/// How exactly times are kept.
const ABOUT: Duration = Duration::from_millis(200);

fn client() -> Scope {
    Scope::of([25, 0, 0, 7].into())
}

/// A client of one /56 for each number up to 255.
fn neighbour(n: u16) -> Scope {
    Scope::of([0x3ffe, 1, 2, 0x300 + n, 0, 0, 0, 1].into())
}

const fn at(account: u32, client: Scope) -> Login {
    let account = match NonZeroU32::new(account) {
        Some(tag) => Some(AccountTag(tag)),
        None => None,
    };
    Login { client, account }
}

fn five(find_time: Duration) -> AttemptLimits {
    AttemptLimits {
        max_failures: 5,
        find_time,
    }
}

async fn try_begin(store: &Store, login: Login, limits: AttemptLimits) -> (AttemptId, Attempt) {
    let id = AttemptId::random();
    let begun = store.begin_attempt(login, id, limits).await;
    (id, answered(begun, "begin_attempt"))
}

async fn begin(store: &Store, login: Login, limits: AttemptLimits) -> Option<AttemptId> {
    let (id, begun) = try_begin(store, login, limits).await;
    (begun == Attempt::Begun).then_some(id)
}

/// How many failures there are; `None` when it tripped.
async fn fail(store: &Store, login: Login, id: AttemptId, limits: AttemptLimits) -> Option<u32> {
    let failed = store.fail_attempt(login, id, limits).await;
    match answered(failed, "fail_attempt") {
        Failed::Counted { failures } => Some(failures),
        Failed::Tripped { scope } => {
            assert_eq!(scope, login.client, "it is the client that trips");
            None
        }
    }
}

/// A failure without an attempt.
async fn guess(store: &Store, login: Login, limits: AttemptLimits) -> Failed {
    let failed = store.fail_attempt(login, AttemptId::random(), limits).await;
    answered(failed, "fail_attempt")
}

async fn end(store: &Store, login: Login, id: AttemptId) {
    answered(store.end_attempt(login, id).await, "end_attempt");
}

pub(super) async fn no_more_attempts_begin_than_there_are_places(machines: Machines<'_>) {
    let limits = five(LONG);
    let machines = machines.three();
    let begun = hundred(&machines, move |store: Store| async move {
        begin(&store, at(0, client()), limits).await
    })
    .await;
    let begun: Vec<_> = begun.into_iter().flatten().collect();
    assert_eq!(begun.len(), 5, "five places are there");
    let (_, refused) = try_begin(&machines[0], at(0, client()), limits).await;
    let Attempt::Refused {
        retry_after,
        under_way: true,
    } = refused
    else {
        panic!("it is said that attempts are under way: {refused:?}");
    };
    let life = limits.attempt_life();
    let is_true = retry_after <= life + ABOUT && retry_after + SETTLING > life;
    assert!(is_true, "then a place is free in any case: {retry_after:?}");
    let other = at(0, Scope::of([25, 0, 0, 8].into()));
    let other = begin(&machines[0], other, limits).await;
    assert!(other.is_some(), "each client has its own places");
    end(&machines[1], at(0, client()), begun[0]).await;
    let next = begin(&machines[2], at(0, client()), limits).await;
    assert!(next.is_some(), "what ends gives its place back");
    assert!(begin(&machines[2], at(0, client()), limits).await.is_none());
}

pub(super) async fn one_caller_learns_of_the_last_failure(machines: Machines<'_>) {
    let limits = five(LONG);
    let login = at(0, client());
    let machines = machines.three();
    let begun = Instant::now();
    // Each guesses as soon as it may, so that places which fall free would be taken at once.
    let failures = hundred(&machines, move |store: Store| async move {
        match begin(&store, login, limits).await {
            Some(id) => Some(fail(&store, login, id, limits).await),
            None => None,
        }
    })
    .await;
    if begun.elapsed() < SETTLING {
        let mut failures: Vec<_> = failures.into_iter().flatten().collect();
        failures.sort_unstable();
        assert_eq!(
            failures,
            [None, Some(1), Some(2), Some(3), Some(4)],
            "five get to guess, and one learns that it was the last"
        );
        let refused = begin(&machines[0], login, limits).await.is_none();
        assert!(
            refused || begun.elapsed() >= SETTLING,
            "none begins before the ban has reached all"
        );
    }
    let next = until("after a ban the count begins anew", || async {
        begin(&machines[1], login, limits).await
    })
    .await;
    assert_eq!(fail(&machines[2], login, next, limits).await, Some(1));
}

pub(super) async fn failures_take_places_until_they_are_cleared(machines: Machines<'_>) {
    let limits = five(LONG);
    let login = at(0, client());
    let [first, second] = machines.two();
    for n in 1..=4 {
        let id = begin(&first, login, limits).await;
        let id = id.expect("a place is free");
        assert_eq!(fail(&second, login, id, limits).await, Some(n));
    }
    let last = begin(&second, login, limits).await;
    let last = last.expect("one place is left");
    assert!(
        begin(&first, login, limits).await.is_none(),
        "it was the last"
    );
    end(&first, login, last).await;
    assert!(begin(&second, login, limits).await.is_some());
    let refused = begin(&first, login, limits).await.is_none();
    assert!(refused, "without an account a success forgives nothing");
    answered(second.clear_failures(login.client).await, "clear_failures");
    for _ in 0..4 {
        let begun = begin(&first, login, limits).await.is_some();
        assert!(begun, "a pardon frees the places of failures");
    }
    assert!(begin(&second, login, limits).await.is_none());
}

pub(super) async fn a_success_forgives_failures_for_its_account_alone(machines: Machines<'_>) {
    let limits = five(LONG);
    let (own, victim) = (at(1, client()), at(2, client()));
    let [first, second] = machines.two();
    for login in [own, victim, own, victim] {
        guess(&first, login, limits).await;
    }
    let id = begin(&second, own, limits)
        .await
        .expect("one place is left");
    end(&second, own, id).await;
    let counted = guess(&first, victim, limits).await;
    let expected = Failed::Counted { failures: 3 };
    assert_eq!(counted, expected, "two failures for the other account stay");
}

pub(super) async fn failures_and_attempts_are_forgotten_in_time(machines: Machines<'_>) {
    let limits = five(SHORT);
    let login = at(0, client());
    let [first, second] = machines.two();
    let begun = Instant::now();
    let failed = begin(&first, login, limits).await;
    let failed = failed.expect("a place is free");
    fail(&first, login, failed, limits).await;
    let mut places = 1;
    while begin(&second, login, limits).await.is_some() {
        places += 1;
        assert!(
            begun.elapsed() + ABOUT >= SHORT || places <= 5,
            "no more than five places"
        );
    }
    // Four of the five were never ended: their machine is gone.
    until(
        "attempts and failures count for the find time alone",
        || begin(&first, login, limits),
    )
    .await;
    assert!(begun.elapsed() + ABOUT >= SHORT, "they count so long");
}

pub(super) async fn a_failure_of_an_unknown_attempt_counts(machines: Machines<'_>) {
    let limits = five(LONG);
    let login = at(0, client());
    let [first, second] = machines.two();
    for n in 1..=4 {
        let failed = fail(&first, login, AttemptId::random(), limits).await;
        assert_eq!(failed, Some(n), "a failure is a failure");
    }
    let last = fail(&second, login, AttemptId::random(), limits).await;
    assert_eq!(last, None, "the fifth trips");
    let again = fail(&second, login, AttemptId::random(), limits).await;
    assert_eq!(again, Some(1), "with the last failure they are forgotten");
}

pub(super) async fn an_attempt_that_ended_before_it_began_takes_no_place(machines: Machines<'_>) {
    let limits = five(LONG);
    let login = at(0, client());
    let [first, second] = machines.two();
    for n in 0..10 {
        let id = AttemptId::random();
        if n % 5 == 0 {
            fail(&second, login, id, limits).await;
        } else {
            end(&second, login, id).await;
        }
        let begun = first.begin_attempt(login, id, limits).await;
        let begun = answered(begun, "begin_attempt");
        assert_ne!(begun, Attempt::Begun, "its begin was overtaken");
    }
    for _ in 0..3 {
        assert!(begin(&first, login, limits).await.is_some());
    }
    assert!(
        begin(&first, login, limits).await.is_none(),
        "two had failed"
    );
}

pub(super) async fn ipv6_networks_have_a_limit_of_their_own(machines: Machines<'_>) {
    let limits = five(LONG);
    let [first, second] = machines.two();
    let network = neighbour(0).with_wider().nth(1);
    for n in 0..20 {
        let store = if n % 2 == 0 { &first } else { &second };
        let failed = guess(store, at(0, neighbour(n)), limits).await;
        match failed {
            Failed::Counted { failures } => {
                assert!(n < 19, "the twentieth trips");
                assert_eq!(failures, 1, "each is a client of its own");
            }
            Failed::Tripped { scope } => {
                assert_eq!((n, Some(scope)), (19, network), "the network trips");
            }
        }
    }
    let refused = begin(&first, at(0, neighbour(99)), limits).await.is_none();
    assert!(refused, "it waits for the ban of its network");
}

pub(super) async fn all_machines_hash_accounts_with_the_key_of_the_first(machines: Machines<'_>) {
    let mut greetings = Vec::new();
    for (store, key) in machines.three().iter().zip(7..) {
        greetings.push(answered(store.greet(AccountKey(key)).await, "greet"));
    }
    assert_eq!(greetings[0].account_key, AccountKey(7));
    assert_eq!(greetings[1..], [greetings[0]; 2]);
}
