//! Verdicts and leases.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{LONG, Machines, SHORT, Store, answered, hundred, until};
use crate::store::{Seen, SharedVerdict};
use crate::verdict::{Reputation, ThreatType};

const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(25, 0, 0, 7));

async fn look(store: &Store, lease: Duration) -> Seen {
    answered(store.look(IP, lease).await, "look")
}

async fn learn(store: &Store, verdict: SharedVerdict, keep: Duration) {
    answered(store.learn(IP, verdict, keep).await, "learn");
}

pub(super) fn verdict(confidence: u8) -> SharedVerdict {
    SharedVerdict {
        reputation: Reputation {
            listed: confidence > 0,
            confidence,
            threat_type: (confidence > 0).then_some(ThreatType::Scan),
        },
        verified: SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000),
    }
}

pub(super) async fn one_machine_gets_the_lease(machines: Machines<'_>) {
    let seen = hundred(&machines.three(), |store: Store| async move {
        look(&store, LONG).await
    })
    .await;
    let leases = seen.iter().filter(|seen| **seen == Seen::Leased).count();
    assert_eq!(leases, 1, "of all machines one gets the lease");
    let waiting = seen.iter().filter(|seen| **seen == Seen::Awaited).count();
    assert_eq!(waiting, 99, "the others wait for it");
}

pub(super) async fn a_verdict_comes_back_as_it_was(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let addresses: [IpAddr; 3] = [
        [25, 0, 0, 1].into(),
        [0x3ffe, 0, 0, 0, 0, 0, 0, 1].into(),
        [25, 0, 0, 2].into(),
    ];
    let reputations = ThreatType::ALL.map(Some).into_iter().chain([None]);
    let moments = [0, 1, 1_790_000_000, 1 << 33].into_iter().cycle();
    for ((threat_type, seconds), ip) in reputations.zip(moments).zip(addresses.iter().cycle()) {
        for (listed, confidence) in [(true, 100), (true, 0), (false, 0), (false, 7)] {
            let verdict = SharedVerdict {
                reputation: Reputation {
                    listed,
                    confidence,
                    threat_type,
                },
                verified: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            };
            answered(first.learn(*ip, verdict, LONG).await, "learn");
            let seen = answered(second.look(*ip, LONG).await, "look");
            assert_eq!(seen, Seen::Verdict(verdict), "what {ip} was learnt to be");
        }
    }
    let other = answered(second.look([25, 0, 0, 3].into(), LONG).await, "look");
    assert_eq!(other, Seen::Leased, "nothing was learnt of another address");
}

pub(super) async fn a_verdict_ends_the_lease_and_is_renewed(machines: Machines<'_>) {
    let [first, second] = machines.two();
    assert_eq!(look(&first, LONG).await, Seen::Leased);
    learn(&first, verdict(95), SHORT).await;
    assert_eq!(look(&second, LONG).await, Seen::Verdict(verdict(95)));
    learn(&second, verdict(0), LONG).await;
    assert_eq!(
        look(&first, LONG).await,
        Seen::Verdict(verdict(0)),
        "the later word counts"
    );
    learn(&first, verdict(95), SHORT).await;
    // The lease that `look` would have left behind beside a verdict must not be there.
    let seen = until("a verdict is forgotten when its time is over", || async {
        match look(&second, LONG).await {
            Seen::Verdict(_) => None,
            seen => Some(seen),
        }
    })
    .await;
    assert_eq!(seen, Seen::Leased, "neither lease is left");
}

pub(super) async fn a_verdict_is_forgotten_in_time(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let learnt = Instant::now();
    learn(&first, verdict(95), SHORT).await;
    let seen = look(&second, LONG).await;
    let is_kept = seen == Seen::Verdict(verdict(95)) || learnt.elapsed() >= SHORT;
    assert!(is_kept, "a verdict is kept: {seen:?}");
    until("a verdict is forgotten when its time is over", || async {
        (look(&second, LONG).await == Seen::Leased).then_some(())
    })
    .await;
    assert!(learnt.elapsed() >= SHORT, "a verdict is kept so long");
}

pub(super) async fn a_lease_runs_out(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let leased = Instant::now();
    assert_eq!(look(&first, SHORT).await, Seen::Leased);
    until("a lease whose machine says nothing runs out", || async {
        (look(&second, LONG).await == Seen::Leased).then_some(())
    })
    .await;
    assert!(leased.elapsed() >= SHORT, "a lease lasts so long");
}

pub(super) async fn a_lease_is_released_by_its_machine_alone(machines: Machines<'_>) {
    let [first, second] = machines.two();
    assert_eq!(look(&first, LONG).await, Seen::Leased);
    answered(second.release(IP).await, "release");
    assert_eq!(
        look(&second, LONG).await,
        Seen::Awaited,
        "nobody else ends a lease"
    );
    answered(Arc::clone(&first).release(IP).await, "release");
    assert_eq!(
        look(&second, LONG).await,
        Seen::Leased,
        "a released lease can be taken"
    );
    answered(first.release(IP).await, "release");
    assert_eq!(
        look(&first, LONG).await,
        Seen::Awaited,
        "a lease that has passed on stays"
    );
}
