//! The day's budget, in blocks.

use super::{Machines, Store, answered, hundred};
use crate::store::{Block, BlockRequest, Count};

const DAY: u64 = 20_781;

fn request(limit: u32, checks: u32) -> BlockRequest {
    BlockRequest {
        day: DAY,
        limit,
        checks,
        is_spending: false,
        known: Count::default(),
    }
}

async fn grant(store: &Store, request: BlockRequest) -> Block {
    answered(store.grant(request).await, "grant")
}

pub(super) async fn no_more_is_granted_than_there_is(machines: Machines<'_>) {
    let machines = machines.three();
    let blocks = hundred(&machines, |store: Store| async move {
        grant(&store, request(40, 3)).await
    })
    .await;
    let mut checks: Vec<u32> = blocks.iter().map(|block| block.checks).collect();
    assert_eq!(checks.iter().sum::<u32>(), 40, "forty checks are there");
    checks.sort_unstable();
    let whole = checks.iter().filter(|checks| **checks == 3).count();
    assert_eq!(whole, 13, "a block is whole while there is enough");
    assert_eq!(checks[86..87], [1], "the last block is what is left");
    let mut granted: Vec<u32> = blocks
        .iter()
        .filter(|block| block.checks > 0)
        .map(|block| block.count.granted)
        .collect();
    granted.sort_unstable();
    granted.dedup();
    assert_eq!(granted.len(), 14, "each learns the count with its block");
    assert_eq!(granted.last(), Some(&40));
    let less = grant(&machines[0], request(30, 1)).await;
    assert_eq!(
        (less.checks, less.count.granted),
        (0, 40),
        "under a lower limit"
    );
}

pub(super) async fn each_day_has_its_own_count(machines: Machines<'_>) {
    let [first, second] = machines.two();
    assert_eq!(grant(&first, request(5, 5)).await.checks, 5);
    let tomorrow = BlockRequest {
        day: DAY + 1,
        ..request(5, 5)
    };
    let block = grant(&second, tomorrow).await;
    assert_eq!((block.checks, block.count.granted), (5, 5));
    answered(first.give_back(DAY + 1, 2).await, "give_back");
    let today = grant(&first, request(5, 0)).await;
    assert_eq!(today.count.granted, 5);
}

pub(super) async fn what_is_given_back_is_granted_again(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let before = grant(&first, request(10, 10)).await;
    answered(first.give_back(DAY, 4).await, "give_back");
    let known = before.count;
    let after = BlockRequest {
        known,
        ..request(10, 10)
    };
    let after = grant(&second, after).await;
    assert_eq!(
        (after.checks, after.count.granted),
        (4, 10),
        "a count of before does not take it away again"
    );
    for _ in 0..3 {
        answered(second.give_back(DAY, 8).await, "give_back");
    }
    let all = grant(&second, request(10, 20)).await;
    assert_eq!(all.checks, 10, "a count does not fall below zero");
}

pub(super) async fn a_request_for_nothing_tells_the_count(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let block = grant(&first, request(50, 7)).await;
    let told = grant(&second, request(50, 0)).await;
    assert_eq!((told.checks, told.count), (0, block.count));
    assert_ne!(told.count.birth, 0, "a count has a birth");
}

pub(super) async fn what_was_forgotten_and_is_known_to_a_machine_counts(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let knowing = |granted, birth, checks| BlockRequest {
        known: Count { granted, birth },
        ..request(50, checks)
    };
    let block = grant(&first, knowing(40, 1, 1)).await;
    assert_eq!(block.count.granted, 41);
    let less = grant(&second, knowing(7, 1, 1)).await;
    assert_eq!(less.count.granted, 42, "who knows less changes nothing");
    let birth = block.count.birth;
    let same = grant(&second, knowing(49, birth, 1)).await;
    assert_eq!(same.count.granted, 43, "the store knows its own count best");
    let full = grant(&first, knowing(u32::MAX, 2, 1)).await;
    assert_eq!((full.checks, full.count.granted), (0, u32::MAX));
}

pub(super) async fn machines_that_spend_are_counted(machines: Machines<'_>) {
    let [first, second, third] = machines.three();
    let spending = |checks| BlockRequest {
        is_spending: true,
        ..request(50, checks)
    };
    assert_eq!(grant(&first, request(50, 1)).await.machines, 1);
    assert_eq!(grant(&second, request(50, 1)).await.machines, 1);
    assert_eq!(grant(&first, spending(1)).await.machines, 1);
    assert_eq!(grant(&first, spending(0)).await.machines, 1);
    assert_eq!(grant(&second, spending(1)).await.machines, 2);
    assert_eq!(grant(&third, request(50, 1)).await.machines, 2);
}
