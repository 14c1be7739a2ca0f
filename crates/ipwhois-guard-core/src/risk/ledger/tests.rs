use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::*;

const HOUR: u64 = 3_600;

fn at(seconds: u64) -> Tick {
    Tick::at(Duration::from_secs(seconds))
}

fn client(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x1900_0000 + n))
}

/// An address of a /64 for each number.
fn other_network(n: u32) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(0x3ffe << 112 | u128::from(n) << 64 | 1))
}

#[test]
fn a_client_that_only_comes_is_counted_and_nothing_else() {
    let ledger = Ledger::new();
    assert_eq!(ledger.standing(client(1), at(0)), Standing::default());
    for n in 1..=100 {
        let standing = ledger.visit(client(1), at(n));
        assert_eq!(standing.requests, n as u32);
        assert!(!standing.suspicious && !standing.failed_login);
    }
    assert_eq!(ledger.standing(client(1), at(100)).requests, 100);
    assert_eq!(ledger.standing(client(2), at(100)).requests, 0);
}

#[test]
fn the_count_fades_by_half_in_six_hours() {
    let ledger = Ledger::new();
    for _ in 0..1_000 {
        ledger.visit(client(1), at(0));
    }
    assert_eq!(ledger.standing(client(1), at(6 * HOUR)).requests, 500);
    assert_eq!(ledger.visit(client(1), at(12 * HOUR)).requests, 251);
    assert_eq!(ledger.standing(client(1), at(400 * HOUR)).requests, 0);
}

#[test]
fn a_probe_a_failed_login_and_a_word_of_the_application_count_for_an_hour() {
    for signal in [Signal::Probe, Signal::FailedLogin, Signal::Told] {
        let ledger = Ledger::new();
        let is_suspicious = |seconds| ledger.standing(client(1), at(seconds)).suspicious;
        ledger.note(client(1), signal, at(0));
        assert!(is_suspicious(0), "{signal:?}");
        assert!(is_suspicious(HOUR), "{signal:?}");
        assert!(!is_suspicious(HOUR + 60), "{signal:?}");
        for seconds in 0..1_000 {
            ledger.note(client(1), signal, at(2 * HOUR + seconds));
        }
        assert!(is_suspicious(3 * HOUR + 999), "{signal:?}");
        assert!(!is_suspicious(3 * HOUR + 999 + 300), "{signal:?}");
    }
}

#[test]
fn a_failed_login_is_remembered_as_one_for_ten_minutes() {
    let ledger = Ledger::new();
    let failed = |seconds| ledger.standing(client(1), at(seconds)).failed_login;
    ledger.note(client(1), Signal::Told, at(0));
    assert!(!failed(0));
    ledger.note(client(1), Signal::FailedLogin, at(0));
    assert!(failed(599));
    assert!(!failed(600));
}

/// Refused answers at these times, in seconds: whether the client is suspicious after the last one.
#[track_caller]
fn check_refused(suspicious: bool, times: impl IntoIterator<Item = u64>) {
    check_signals(Signal::Refused, suspicious, times);
}

#[track_caller]
fn check_signals(signal: Signal, suspicious: bool, times: impl IntoIterator<Item = u64>) {
    let ledger = Ledger::new();
    let mut last = 0;
    for time in times {
        ledger.note(client(1), signal, at(time));
        last = time;
    }
    assert_eq!(ledger.standing(client(1), at(last)).suspicious, suspicious);
}

#[test]
fn refused_answers_make_a_client_suspicious_in_a_burst_only() {
    check_refused(false, [0]);
    check_refused(true, [0, 0]);
    check_refused(true, [0, 590]);
    check_refused(false, [0, 610]);
    check_refused(true, (0..20).map(|n| n * 15 * 60));
    check_refused(false, (0..200).map(|n| n * 20 * 60));
}

#[test]
fn what_others_were_refused_too_says_little() {
    let check = |suspicious, times: &mut dyn Iterator<Item = u64>| {
        check_signals(Signal::RefusedLikeOthers, suspicious, times);
    };
    check(false, &mut [0; 7].into_iter());
    check(true, &mut [0; 8].into_iter());
    check(false, &mut (0..200).map(|n| n * 180));
}

#[test]
fn statuses_of_a_refusal_are_401_403_and_404() {
    let refusals: Vec<u16> = (0..=u16::MAX)
        .filter(|&status| is_refusal(status))
        .collect();
    assert_eq!(refusals, [401, 403, 404]);
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_client() {
    let ledger = Ledger::new();
    let parse = |text: &str| text.parse::<IpAddr>().unwrap();
    ledger.note(parse("3ffe:0:0:1::1"), Signal::Probe, at(0));
    assert!(ledger.visit(parse("3ffe:0:0:1:ffff::2"), at(0)).suspicious);
    assert_eq!(ledger.visit(parse("3ffe:0:0:1::3"), at(0)).requests, 2);
    assert!(!ledger.visit(parse("3ffe:0:0:2::1"), at(0)).suspicious);
}

#[test]
fn ipv4_is_one_client_by_each_of_its_spellings_and_only_by_them() {
    let ledger = Ledger::new();
    let parse = |text: &str| text.parse::<IpAddr>().unwrap();
    ledger.visit(parse("25.0.0.1"), at(0));
    assert_eq!(ledger.visit(parse("::ffff:25.0.0.1"), at(0)).requests, 2);
    assert_eq!(ledger.visit(parse("64:ff9b::25.0.0.1"), at(0)).requests, 3);
    assert_eq!(ledger.visit(parse("64:ff9b::25.0.0.2"), at(0)).requests, 1);
}

#[test]
fn a_flood_of_new_addresses_pushes_out_neither_suspicious_nor_frequent_clients() {
    let ledger = Ledger::new();
    for n in 0..100 {
        ledger.note(client(n), Signal::Probe, at(0));
        for _ in 0..20 {
            ledger.visit(client(1_000 + n), at(0));
        }
    }
    // Every fourth of them gets a 404 as well.
    for n in 0..1_000_000 {
        let now = at(u64::from(n) / 1_000);
        let newcomer = if n % 2 == 0 {
            client(0x0100_0000 + n)
        } else {
            other_network(n)
        };
        ledger.visit(newcomer, now);
        if n % 4 < 2 {
            ledger.note(newcomer, Signal::Refused, now);
        }
    }
    let kept = |first: u32, test: fn(Standing) -> bool| {
        (first..first + 100)
            .filter(|&n| test(ledger.standing(client(n), at(1_000))))
            .count()
    };
    assert_eq!(kept(0, |standing| standing.suspicious), 100);
    assert_eq!(kept(1_000, |standing| standing.requests >= 19), 100);
}

#[test]
fn a_newcomer_takes_the_place_of_the_least_worth() {
    let now = at(10);
    let slot = |key, signal: Option<Signal>, requests, used| {
        let mut slot = Slot {
            key,
            requests,
            used: at(used),
            ..Slot::EMPTY
        };
        if let Some(signal) = signal {
            slot.score.add(signal, now);
        }
        slot
    };
    let mut set = Set([
        slot(1, Some(Signal::Probe), 0, 1),
        slot(2, Some(Signal::Refused), 512, 2),
        slot(3, None, 256, 5),
        slot(4, None, 256, 4),
        slot(5, None, 1_024, 1),
        Slot::EMPTY,
        slot(7, Some(Signal::Told), 0, 2),
        slot(8, Some(Signal::Told), 9, 2),
    ]);
    for (newcomer, replaced) in [
        (10, 0),
        (11, 4),
        (12, 3),
        (13, 2),
        (14, 5),
        (15, 1),
        (16, 7),
    ] {
        let before: Vec<u64> = set.0.iter().map(|slot| slot.key).collect();
        let place = set.slot(newcomer, now);
        place.score.add(Signal::Probe, now);
        place.score.add(Signal::Probe, now);
        place.used = now;
        let after: Vec<u64> = set.0.iter().map(|slot| slot.key).collect();
        let gone: Vec<u64> = before
            .into_iter()
            .filter(|key| !after.contains(key))
            .collect();
        assert_eq!(gone, [replaced], "for {newcomer}");
    }
}

#[test]
fn many_threads_count_every_request() {
    let ledger = Ledger::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..2_000 {
                    ledger.visit(client(n % 10), at(0));
                }
            });
        }
    });
    for n in 0..10 {
        assert_eq!(ledger.standing(client(n), at(0)).requests, 1_600);
    }
}

#[test]
fn a_thread_that_panicked_leaves_the_ledger_at_work() {
    let ledger = Ledger::new();
    ledger.visit(client(1), at(0));
    std::thread::scope(|scope| {
        let panicking = scope.spawn(|| {
            let _set = ledger.set_of(key_of(client(1)));
            panic!("while it holds the lock");
        });
        assert!(panicking.join().is_err());
    });
    assert_eq!(ledger.visit(client(1), at(0)).requests, 2);
}

#[test]
fn the_ledger_takes_about_a_megabyte_once_and_nothing_later() {
    assert_eq!(size_of::<Slot>(), 32);
    let built = allocation_counter::measure(|| drop(Ledger::new()));
    assert!(built.bytes_total < 1_200_000, "{}", built.bytes_total);
    let ledger = Ledger::new();
    let used = allocation_counter::measure(|| {
        for n in 0..40_000 {
            ledger.visit(client(n), at(0));
            ledger.note(client(n), Signal::FailedLogin, at(0));
            ledger.standing(other_network(n), at(0));
        }
    });
    assert_eq!(used.count_total, 0);
}
