use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::*;

const CLEAN: Reputation = Reputation {
    listed: false,
    confidence: 0,
    threat_type: None,
};
const LISTED: Reputation = Reputation {
    listed: true,
    confidence: 95,
    threat_type: None,
};

fn cache(capacity: usize) -> VerdictCache {
    let ages = Ages::new(
        Duration::from_secs(3_600),
        Duration::from_secs(86_400),
        Duration::from_secs(30),
    );
    VerdictCache::new(capacity, ages)
}

fn at(seconds: u64) -> Tick {
    Tick::at(Duration::from_secs(seconds))
}

fn client(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x1900_0000 + n))
}

/// An address of its own /64 for each number, as an IPv6 attacker rotates.
fn rotated(n: u32) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(
        0x3ffe << 112 | u128::from(n) << 64 | u128::from(n),
    ))
}

#[test]
fn a_verdict_is_fresh_then_stale_then_forgotten() {
    let cache = cache(10);
    cache.learn(client(1), LISTED, at(0));
    assert_eq!(cache.recall(client(1), at(3_599)), Memory::Fresh(LISTED));
    let stale = Memory::Stale {
        reputation: LISTED,
        refresh: true,
    };
    assert_eq!(cache.recall(client(1), at(3_600)), stale);
    assert_eq!(cache.recall(client(1), at(86_399)), stale);
    assert_eq!(cache.recall(client(1), at(86_400)), Memory::Nothing);
}

#[test]
fn a_failure_is_remembered_for_its_time_and_is_never_a_verdict() {
    let cache = cache(10);
    cache.note_failure(client(1), Unverified::TimedOut, at(0));
    assert_eq!(
        cache.recall(client(1), at(29)),
        Memory::Failed(Unverified::TimedOut)
    );
    assert_eq!(cache.recall(client(1), at(30)), Memory::Nothing);
}

#[test]
fn a_failed_refresh_keeps_the_stale_verdict_and_waits_before_the_next() {
    let cache = cache(10);
    cache.learn(client(1), LISTED, at(0));
    cache.note_failure(client(1), Unverified::CallFailed, at(4_000));
    let stale = |refresh| Memory::Stale {
        reputation: LISTED,
        refresh,
    };
    assert_eq!(cache.recall(client(1), at(4_029)), stale(false));
    assert_eq!(cache.recall(client(1), at(4_030)), stale(true));
}

#[test]
fn a_verdict_clears_an_earlier_failure() {
    let cache = cache(10);
    cache.note_failure(client(1), Unverified::TimedOut, at(0));
    cache.learn(client(1), CLEAN, at(1));
    assert_eq!(cache.recall(client(1), at(2)), Memory::Fresh(CLEAN));
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_new_verdict_replaces_the_old_one() {
    let cache = cache(10);
    cache.learn(client(1), LISTED, at(0));
    cache.learn(client(1), CLEAN, at(5));
    assert_eq!(cache.recall(client(1), at(5)), Memory::Fresh(CLEAN));
    assert_eq!(cache.len(), 1);
}

#[test]
fn the_capacity_holds_for_every_size() {
    for capacity in [1, 2, 15, 16, 17, 100, 1_000] {
        let cache = cache(capacity);
        for n in 0..5_000 {
            cache.learn(client(n), CLEAN, at(0));
            assert!(cache.len() <= capacity);
        }
        assert_eq!(cache.len(), capacity, "a full cache uses what it has");
        let counted: usize = (0..5_000)
            .filter(|n| cache.recall(client(*n), at(1)) != Memory::Nothing)
            .count();
        assert_eq!(counted, capacity, "the count is the number of entries");
    }
}

#[test]
fn nothing_is_evicted_before_the_cache_is_full() {
    let cache = cache(10_000);
    for n in 0..10_000 {
        cache.learn(client(n), CLEAN, at(0));
    }
    let known = (0..10_000).filter(|n| cache.recall(client(*n), at(1)) == Memory::Fresh(CLEAN));
    assert_eq!(known.count(), 10_000);
}

#[test]
fn listed_verdicts_survive_two_million_clean_strangers() {
    let cache = cache(100_000);
    for n in 0..10_000 {
        cache.learn(client(n), LISTED, at(0));
    }
    for n in 0..1_000_000 {
        cache.learn(rotated(n), CLEAN, at(60));
        cache.learn(client(100_000 + n), CLEAN, at(60));
        assert!(cache.len() <= 100_000);
    }
    let survivors =
        (0..10_000).filter(|n| cache.recall(client(*n), at(60)) == Memory::Fresh(LISTED));
    assert_eq!(survivors.count(), 10_000);
}

#[test]
fn a_botnet_larger_than_the_cache_leaves_room_for_clean_clients() {
    let cache = cache(1_600);
    for n in 0..100_000 {
        cache.learn(client(n), LISTED, at(0));
    }
    let visitors = 200_000..200_100;
    for n in visitors.clone() {
        cache.learn(client(n), CLEAN, at(1));
    }
    let known = visitors.filter(|n| cache.recall(client(*n), at(2)) == Memory::Fresh(CLEAN));
    assert!(known.count() > 90);
}

#[test]
fn what_was_used_lately_outlives_what_was_not() {
    let cache = cache(1_600);
    for n in 0..1_600 {
        cache.learn(client(n), CLEAN, at(0));
    }
    for n in 0..400 {
        cache.recall(client(n), at(100));
    }
    for n in 10_000..10_800 {
        cache.learn(client(n), CLEAN, at(50));
    }
    let regulars = (0..400).filter(|n| cache.recall(client(*n), at(101)) != Memory::Nothing);
    assert!(regulars.count() >= 395);
}

#[test]
fn expired_entries_make_room_first() {
    let cache = cache(16);
    for n in 0..8 {
        cache.learn(client(n), LISTED, at(0));
    }
    for n in 8..16 {
        cache.learn(client(n), CLEAN, at(90_000));
    }
    for n in 16..24 {
        cache.learn(client(n), CLEAN, at(90_000));
    }
    let clean = (8..24).filter(|n| cache.recall(client(*n), at(90_000)) == Memory::Fresh(CLEAN));
    assert_eq!(clean.count(), 16);
}

#[test]
fn the_capacity_holds_when_many_threads_write() {
    let cache = cache(1_000);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                for n in 0..20_000 {
                    cache.learn(client(thread * 20_000 + n), CLEAN, at(0));
                    cache.recall(client(n), at(0));
                    assert!(cache.len() <= 1_000);
                }
            });
        }
    });
    assert_eq!(cache.len(), 1_000);
}

#[test]
fn a_cached_verdict_takes_at_most_64_bytes() {
    for capacity in [1_000, 20_000, 100_000] {
        let counted = allocation_counter::measure(|| {
            let cache = cache(capacity);
            for n in 0..u32::try_from(capacity).unwrap() + 10_000 {
                cache.learn(rotated(n), CLEAN, at(0));
            }
            assert_eq!(cache.len(), capacity);
        });
        let each = counted.bytes_max / u64::try_from(capacity).unwrap();
        assert!(each <= 64, "{each} bytes at a capacity of {capacity}");
    }
}

#[test]
fn a_full_cache_makes_room_in_an_empty_bucket() {
    let cache = cache(32);
    let of_bucket = |wanted| {
        let cache = &cache;
        (0..)
            .map(client)
            .filter(move |ip| cache.bucket_of(Key::from(*ip)) == wanted)
    };
    for ip in of_bucket(0).take(32) {
        cache.learn(ip, CLEAN, at(0));
    }
    let newcomer = of_bucket(1).next().unwrap();
    cache.learn(newcomer, LISTED, at(1));
    assert_eq!(cache.recall(newcomer, at(1)), Memory::Fresh(LISTED));
    assert_eq!(cache.len(), 32);
}

#[test]
fn a_clean_verdict_from_before_a_moment_does_not_count_after_it_and_a_listed_one_does() {
    let cache = cache(10);
    cache.learn(client(1), CLEAN, at(10));
    cache.learn(client(2), LISTED, at(10));
    let since = |n, since| cache.recall_since(client(n), at(since), at(20));
    assert_eq!(since(1, 11), Memory::Nothing);
    assert_eq!(since(1, 10), Memory::Fresh(CLEAN));
    assert_eq!(since(2, 11), Memory::Fresh(LISTED));
    cache.note_failure(client(1), Unverified::TimedOut, at(20));
    assert_eq!(since(1, 11), Memory::Failed(Unverified::TimedOut));
}

#[test]
fn a_verdict_taken_back_has_its_age_and_never_replaces_a_newer_one() {
    let cache = cache(10);
    cache.restore(client(1), LISTED, at(100), at(5_000));
    let stale = Memory::Stale {
        reputation: LISTED,
        refresh: true,
    };
    assert_eq!(cache.recall(client(1), at(5_000)), stale);
    cache.learn(client(1), CLEAN, at(5_001));
    cache.restore(client(1), LISTED, at(100), at(5_002));
    assert_eq!(cache.recall(client(1), at(5_002)), Memory::Fresh(CLEAN));
    assert_eq!(cache.len(), 1);
}
