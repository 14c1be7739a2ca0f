//! The day's budget and its rations.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{LONG, Machines, SHORT, Store, answered, hundred, until};
use crate::store::{Claim, Ration, Spent};

const DAY: u64 = 20_781;

fn claim(below: u32, rations: &[(&str, u32, Duration)]) -> Claim {
    let rations = rations.iter().map(|(name, below, keep)| Ration {
        name: (*name).to_owned(),
        below: *below,
        keep: *keep,
    });
    Claim {
        day: DAY,
        known: 0,
        below,
        rations: rations.collect(),
    }
}

async fn spend(store: &Store, claim: &Claim) -> Spent {
    answered(store.spend(claim).await, "spend")
}

pub(super) async fn no_more_is_spent_than_there_is(machines: Machines<'_>) {
    let machines = machines.three();
    let spent = hundred(&machines, |store: Store| async move {
        spend(&store, &claim(40, &[])).await
    })
    .await;
    let numbers: Vec<u32> = spent
        .iter()
        .filter_map(|spent| match spent {
            Spent::Yes { spent } => Some(*spent),
            _ => None,
        })
        .collect();
    assert_eq!(numbers.len(), 40, "forty checks are there");
    let distinct: BTreeSet<u32> = numbers.into_iter().collect();
    assert!(distinct.into_iter().eq(1..=40), "each is another one");
    let refused = spent
        .iter()
        .filter(|spent| **spent == Spent::NoBudget { spent: 40 });
    assert_eq!(refused.count(), 60, "the others learn that it is used up");

    let rationed = hundred(&machines, |store: Store| async move {
        spend(&store, &claim(1000, &[("a", 7, LONG), ("b", 20, LONG)])).await
    })
    .await;
    let spent = rationed.iter().filter(|spent| **spent != Spent::Rationed);
    assert_eq!(spent.count(), 7, "the smaller ration is kept to");
}

pub(super) async fn a_claim_is_spent_as_a_whole_or_not(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let narrow = claim(9, &[("wide", 9, LONG), ("narrow", 1, LONG)]);
    assert_eq!(spend(&first, &narrow).await, Spent::Yes { spent: 1 });
    for _ in 0..3 {
        assert_eq!(spend(&second, &narrow).await, Spent::Rationed);
    }
    let wide = claim(9, &[("wide", 2, LONG)]);
    assert_eq!(
        spend(&first, &wide).await,
        Spent::Yes { spent: 2 },
        "what a ration refuses is spent nowhere"
    );
    let nothing = claim(2, &[("other", 9, LONG)]);
    assert_eq!(spend(&second, &nothing).await, Spent::NoBudget { spent: 2 });
    let other = claim(9, &[("other", 1, LONG)]);
    assert_eq!(
        spend(&second, &other).await,
        Spent::Yes { spent: 3 },
        "what the day refuses takes no ration"
    );
    let tomorrow = Claim {
        day: DAY + 1,
        ..claim(1, &[])
    };
    assert_eq!(
        spend(&first, &tomorrow).await,
        Spent::Yes { spent: 1 },
        "each day has its own budget"
    );
}

pub(super) async fn a_ration_lasts_its_span(machines: Machines<'_>) {
    let store = machines.one();
    let claim = claim(1000, &[("short", 1, SHORT)]);
    let begun = Instant::now();
    assert_eq!(spend(&store, &claim).await, Spent::Yes { spent: 1 });
    let again = until("a ration is there again after its span", || async {
        match spend(&store, &claim).await {
            Spent::Rationed => None,
            spent => Some(spent),
        }
    })
    .await;
    assert_eq!(again, Spent::Yes { spent: 2 });
    assert!(begun.elapsed() >= SHORT, "a ration lasts its span");
}

pub(super) async fn what_is_taken_back_can_be_spent_again(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let claim = claim(1, &[("one", 1, LONG)]);
    assert_eq!(spend(&first, &claim).await, Spent::Yes { spent: 1 });
    for _ in 0..3 {
        answered(second.unspend(&claim).await, "unspend");
    }
    assert_eq!(
        spend(&second, &claim).await,
        Spent::Yes { spent: 1 },
        "nothing goes below zero"
    );
    assert_eq!(spend(&first, &claim).await, Spent::NoBudget { spent: 1 });
}

pub(super) async fn what_was_spent_elsewhere_is_added(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let added = hundred(&[first, second.clone()], |store: Store| async move {
        answered(store.add_spent(DAY, 0, 3).await, "add_spent")
    })
    .await;
    assert_eq!(added.into_iter().max(), Some(300), "nothing is lost");
    assert_eq!(
        spend(&second, &claim(301, &[])).await,
        Spent::Yes { spent: 301 }
    );
    assert_eq!(
        spend(&second, &claim(100, &[])).await,
        Spent::NoBudget { spent: 301 },
        "more may be spent than there is"
    );
    for _ in 0..2 {
        answered(second.add_spent(DAY, 0, u32::MAX).await, "add_spent");
    }
    let spent = answered(second.add_spent(DAY, 0, 0).await, "add_spent");
    assert_eq!(spent, u32::MAX, "a count does not wrap");
}

pub(super) async fn what_was_forgotten_and_is_known_to_a_machine_counts(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let knowing = |known| Claim {
        known,
        ..claim(50, &[("a", 9, LONG)])
    };
    assert_eq!(spend(&first, &knowing(40)).await, Spent::Yes { spent: 41 });
    assert_eq!(
        spend(&second, &knowing(7)).await,
        Spent::Yes { spent: 42 },
        "who knows less changes nothing"
    );
    assert_eq!(
        spend(&first, &knowing(50)).await,
        Spent::NoBudget { spent: 50 },
        "what is known is spent"
    );
    let spent = answered(first.add_spent(DAY, 44, 2).await, "add_spent");
    assert_eq!(spent, 46, "what is known, and then what is added");
    let spent = answered(second.add_spent(DAY, 46, 0).await, "add_spent");
    assert_eq!(spent, 46, "what is known is not added");
}
