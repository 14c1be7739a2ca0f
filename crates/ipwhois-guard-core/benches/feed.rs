//! What the feed costs: `cargo bench -p ipwhois-guard-core --bench feed`.
//!
//! Figures that hold on any machine, since both sides run in alternation in one process: the time
//! to load a feed of 186,817 addresses as a multiple of parsing its lines with the standard
//! library, the time of a lookup as a multiple of one in a `HashSet<u32>`, and the bytes an entry,
//! counted as what stays allocated.
//!
//! The addresses are made up, by a generator with a seed. Listed addresses crowd in the networks of
//! a few hosters, so the first list does too, over the whole of IPv4; the second one crowds all of
//! them into two /8 networks.

use std::collections::HashSet;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use ipwhois_guard_core::Feed;

const ENTRIES: usize = 186_817;
/// Lookups in one batch, and how many batches of each kind alternate.
const LOOKUPS: usize = 50_000;
const BATCHES: usize = 101;
const LOADS: usize = 31;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.next() % u64::from(limit)) as u32
    }

    /// From 0 up to the limit, small numbers far more often.
    fn mostly_small(&mut self, limit: u32) -> u32 {
        let unit = self.next() as f64 / u64::MAX as f64;
        ((unit.powi(4) * f64::from(limit)) as u32).min(limit - 1)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u32 + 1) as usize);
        }
    }
}

/// Distinct addresses, shuffled. Some /16 networks have thousands and most have one; within one,
/// some /24 are crowded.
fn addresses(random: &mut Random, prefix: impl Fn(&mut Random) -> u32) -> Vec<u32> {
    let networks: Vec<u32> = (0..16_384).map(|_| prefix(random) << 16).collect();
    let mut distinct = HashSet::new();
    while distinct.len() < ENTRIES {
        let network = networks[random.mostly_small(networks.len() as u32) as usize];
        let part = random.mostly_small(256).wrapping_mul(167) % 256;
        distinct.insert(network | part << 8 | random.below(256));
    }
    let mut addresses: Vec<u32> = distinct.into_iter().collect();
    addresses.sort_unstable();
    random.shuffle(&mut addresses);
    addresses
}

fn text(addresses: &[u32]) -> String {
    let lines: String = addresses
        .iter()
        .map(|&bits| format!("{}\n", Ipv4Addr::from_bits(bits)))
        .collect();
    format!("# Generated: 2026-08-22 04:30:03 UTC | Entries: {ENTRIES}\n{lines}")
}

fn parse_with_std(text: &str) -> usize {
    let addresses: Vec<Ipv4Addr> = text.lines().filter_map(|line| line.parse().ok()).collect();
    addresses.len()
}

fn load(text: &str) -> Feed {
    Feed::parse(text.as_bytes()).expect("a good feed")
}

fn nanoseconds(times: usize, work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() / times as f64 * 1e9
}

/// The batch with the median ratio of two measures that alternate.
fn median(batches: usize, one: impl Fn() -> f64, other: impl Fn() -> f64) -> (f64, f64) {
    let mut times: Vec<(f64, f64)> = (0..batches).map(|_| (one(), other())).collect();
    times.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    times[batches / 2]
}

fn print(what: &str, (base, feed): (f64, f64), budget: &str) {
    let ratio = feed / base;
    println!("  {what:<34} {base:7.1} ns  {feed:7.1} ns  ratio {ratio:5.2} {budget}");
}

fn measure(name: &str, addresses: &[u32], random: &mut Random) {
    let text = text(addresses);
    let mut feed = None;
    let allocated = allocation_counter::measure(|| feed = Some(load(&text)));
    let feed = feed.expect("a feed");
    assert_eq!(feed.len(), ENTRIES);
    let set: HashSet<u32> = addresses.iter().copied().collect();

    println!("{name}");
    println!(
        "  bytes an entry                     {:7.2}  (budget: 8), {} ranges; {:.1} while loading",
        allocated.bytes_current as f64 / ENTRIES as f64,
        feed.ranges().count(),
        allocated.bytes_max as f64 / ENTRIES as f64,
    );

    let loads = |text: &str| {
        median(
            LOADS,
            || {
                nanoseconds(ENTRIES, || {
                    assert_eq!(black_box(parse_with_std(black_box(text))), ENTRIES);
                })
            },
            || nanoseconds(ENTRIES, || drop(black_box(load(black_box(text))))),
        )
    };
    print("load a line: std parse, feed", loads(&text), "(budget: 3)");
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    print(
        "the same, in order",
        loads(&self::text(&sorted)),
        "(budget: 3)",
    );

    let mut hits: Vec<u32> = addresses.iter().copied().take(LOOKUPS).collect();
    random.shuffle(&mut hits);
    // Neighbours of listed addresses, which is where a lookup is longest, and anybody.
    let near: Vec<u32> = misses(&set, || {
        let listed = addresses[random.below(ENTRIES as u32) as usize];
        listed ^ (1 + random.below(255))
    });
    let anybody: Vec<u32> = misses(&set, || random.next() as u32);
    let lookups = |keys: &[u32], listed: bool| {
        let ips: Vec<IpAddr> = keys
            .iter()
            .map(|&bits| Ipv4Addr::from_bits(bits).into())
            .collect();
        let expected = if listed { LOOKUPS } else { 0 };
        median(
            BATCHES,
            || {
                nanoseconds(LOOKUPS, || {
                    let found = keys.iter().filter(|key| set.contains(black_box(*key)));
                    assert_eq!(found.count(), expected);
                })
            },
            || {
                nanoseconds(LOOKUPS, || {
                    let found = ips.iter().filter(|ip| feed.contains(black_box(**ip)));
                    assert_eq!(found.count(), expected);
                })
            },
        )
    };
    print("hit: HashSet, feed", lookups(&hits, true), "(budget: 2)");
    print("miss beside a hit", lookups(&near, false), "");
    print("miss anywhere", lookups(&anybody, false), "");
}

fn misses(set: &HashSet<u32>, mut candidate: impl FnMut() -> u32) -> Vec<u32> {
    std::iter::repeat_with(&mut candidate)
        .filter(|bits| !set.contains(bits))
        .take(LOOKUPS)
        .collect()
}

fn main() {
    let random = &mut Random(186_817);
    println!("{ENTRIES} made-up addresses");
    let spread = addresses(random, |random| (1 << 8) + random.below(222 << 8));
    measure("clustered, over the whole of IPv4", &spread, random);
    let dense = addresses(random, |random| (25 << 8) + random.below(2 << 8));
    measure(
        "clustered, all within 25.0.0.0/8 and 26.0.0.0/8",
        &dense,
        random,
    );
}
