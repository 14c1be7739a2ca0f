//! What every implementation of [`SharedStore`] must keep.
//!
//! ```
//! use std::sync::Arc;
//! use ipwhois_guard_core::store::{InMemory, SharedStore, suite};
//!
//! # async fn test() {
//! // A fresh place for each promise; each call of what is returned is one more machine at it.
//! suite::run(|| {
//!     let place = InMemory::new();
//!     move || Arc::new(place.another()) as Arc<dyn SharedStore>
//! })
//! .await;
//! # }
//! ```
//!
//! It needs a tokio runtime with its clock, one thread of it is enough, and takes some seconds:
//! what expires is waited for.

mod attempts;
mod budget;
mod hearing;
mod verdicts;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{SharedError, SharedStore};

type Store = Arc<dyn SharedStore>;

/// So long something may take that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(10);
/// A length that is over before the suite loses its patience, and long enough to be used.
const SHORT: Duration = Duration::from_millis(400);
/// A length that is not over while the suite runs.
const LONG: Duration = Duration::from_secs(3600);

/// Machines at one place.
struct Machines<'a>(&'a dyn Fn() -> Store);

impl Machines<'_> {
    fn one(&self) -> Store {
        (self.0)()
    }

    fn two(&self) -> [Store; 2] {
        [self.one(), self.one()]
    }

    fn three(&self) -> [Store; 3] {
        [self.one(), self.one(), self.one()]
    }
}

/// Holds an implementation to the promises of [`SharedStore`]. `fresh` makes an empty place and
/// returns what makes stores at it, one for each machine.
///
/// # Panics
///
/// When a promise is not kept: the message says which.
pub async fn run<P>(fresh: impl Fn() -> P)
where
    P: Fn() -> Arc<dyn SharedStore>,
{
    macro_rules! each {
        ($($module:ident::$promise:ident)*) => {$(
            let place = fresh();
            $module::$promise(Machines(&place)).await;
        )*};
    }
    each! {
        verdicts::one_machine_gets_the_lease
        verdicts::a_verdict_comes_back_as_it_was
        verdicts::a_verdict_ends_the_lease_and_is_renewed
        verdicts::a_verdict_is_forgotten_in_time
        verdicts::a_lease_runs_out
        verdicts::a_lease_is_released_by_its_machine_alone
        budget::no_more_is_granted_than_there_is
        budget::each_day_has_its_own_count
        budget::what_is_given_back_is_granted_again
        budget::a_request_for_nothing_tells_the_count
        budget::what_was_forgotten_and_is_known_to_a_machine_counts
        budget::machines_that_spend_are_counted
        attempts::no_more_attempts_begin_than_there_are_places
        attempts::one_caller_learns_of_the_last_failure
        attempts::failures_take_places_until_they_are_cleared
        attempts::a_success_forgives_failures_for_its_account_alone
        attempts::failures_and_attempts_are_forgotten_in_time
        attempts::a_failure_of_an_unknown_attempt_counts
        attempts::an_attempt_that_ended_before_it_began_takes_no_place
        attempts::ipv6_networks_have_a_limit_of_their_own
        attempts::all_machines_hash_accounts_with_the_key_of_the_first
        hearing::what_is_listed_reaches_all_machines
        hearing::bans_reach_all_machines
        hearing::a_late_listener_hears_of_the_bans_in_force_and_of_lifts
        hearing::of_what_is_told_of_a_client_the_latest_counts
    }
}

/// What a call answers; it must.
#[track_caller]
fn answered<T>(answer: Result<T, SharedError>, call: &str) -> T {
    match answer {
        Ok(value) => value,
        Err(error) => panic!("{call} failed: {error:?}"),
    }
}

/// Asks again until the answer is there.
async fn until<T, F>(promise: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{promise}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Starts a hundred calls at once, spread over the machines.
async fn hundred<T, F>(machines: &[Store], call: impl Fn(Store) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let calls: Vec<_> = machines
        .iter()
        .cycle()
        .take(100)
        .map(|machine| tokio::spawn(call(Arc::clone(machine))))
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        match call.await {
            Ok(answer) => answers.push(answer),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    answers
}
