//! The made-up logs of `examples/access-log`, from its own sources.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipwhois_guard_cli::access_log::{self, Line};

#[path = "../../examples/access-log/attackers.rs"]
mod attackers;
#[path = "../../examples/access-log/places.rs"]
mod places;
#[path = "../../examples/access-log/random.rs"]
mod random;
#[path = "../../examples/access-log/visitors.rs"]
mod visitors;
#[path = "../../examples/access-log/words.rs"]
mod words;
#[path = "../../examples/access-log/world.rs"]
mod world;

pub(crate) use world::{Made, Shape};

/// 10,000 requests of 1,753 clients, 113 of them hostile, in 3.5 days.
pub(crate) fn made(seed: u64, shape: Shape) -> Made {
    let plan = world::Plan::new(seed, shape, (10_000, 1_753, 113), 3.5);
    world::make(&plan.expect("a plan"))
}

const SHAPES: [Shape; 3] = [Shape::Spread, Shape::Early, Shape::Burst];

fn lines(made: &Made) -> Vec<Line<'_>> {
    let lines = made.log.lines();
    lines
        .map(|line| access_log::parse(line.as_bytes()).expect("a good line"))
        .collect()
}

fn listed(made: &Made) -> BTreeSet<IpAddr> {
    let lines = made.listed.lines();
    lines
        .map(|line| line.parse().expect("an address"))
        .collect()
}

#[test]
fn the_counts_are_exact() {
    for shape in SHAPES {
        for seed in 0..4 {
            let made = made(seed, shape);
            let lines = lines(&made);
            let clients: BTreeSet<IpAddr> = lines.iter().map(|line| line.client).collect();
            let hostile = listed(&made);
            assert_eq!(
                (lines.len(), clients.len(), hostile.len()),
                (10_000, 1_753, 113)
            );
            assert!(hostile.is_subset(&clients));
            let theirs = lines.iter().filter(|line| hostile.contains(&line.client));
            assert_eq!(theirs.count(), 2_500);
            let (first, last) = (lines[0].time, lines[9_999].time);
            assert!((last - first).abs_diff(302_400) < 3_600, "{shape} {seed}");
            assert!(lines.is_sorted_by_key(|line| line.time));
        }
    }
}

#[test]
fn a_seed_makes_one_log_and_another_seed_another() {
    let one = made(7, Shape::Spread);
    assert_eq!(one, made(7, Shape::Spread));
    assert_ne!(one, made(8, Shape::Spread));
    assert_ne!(one, made(7, Shape::Burst));
}

#[test]
fn a_few_clients_make_much_of_it_and_most_make_little() {
    let made = made(1, Shape::Spread);
    let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for line in lines(&made) {
        *counts.entry(line.client).or_default() += 1;
    }
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable();
    let (least, most) = (counts[counts.len() / 2], counts[counts.len() - 1]);
    assert!(
        least <= 4,
        "half of the clients make {least} requests or fewer"
    );
    assert!(most >= 150, "the busiest makes {most}");
}

#[test]
fn attackers_come_when_the_shape_says() {
    const DAY: u64 = 86_400;
    let hours = |shape| -> Vec<u64> {
        let made = made(3, shape);
        let hostile = listed(&made);
        let lines = lines(&made);
        let theirs = lines.iter().filter(|line| hostile.contains(&line.client));
        theirs.map(|line| line.time).collect()
    };
    let burst = hours(Shape::Burst);
    assert!(burst[burst.len() - 1] - burst[0] <= 5 * 3_600);
    let early = hours(Shape::Early);
    let soon = early
        .iter()
        .filter(|&&time| time % DAY < 3 * 3_600 || time - early[0] < 3 * 3_600);
    // Those who take their time go on into the day.
    assert!(
        soon.count() * 10 >= early.len() * 6,
        "most of it comes early"
    );
    let spread = hours(Shape::Spread);
    let days: BTreeSet<u64> = spread.iter().map(|time| time / DAY).collect();
    assert_eq!(days.len(), 4);
}

#[test]
fn all_addresses_are_made_up() {
    for shape in SHAPES {
        for line in lines(&made(5, shape)) {
            let is_made_up = match line.client {
                IpAddr::V4(ip) => matches!(ip.octets()[0], 25 | 26),
                IpAddr::V6(ip) => ip.segments()[0] == 0x3ffe,
            };
            assert!(is_made_up, "{}", line.client);
        }
    }
}

#[test]
fn what_cannot_be_made_is_refused() {
    for (counts, days, option) in [
        ((10, 20, 1), 3.5, "--requests"),
        ((100, 20, 21), 3.5, "--hostile"),
        ((100, 20, 1), 0.0, "--days"),
        ((100, 20, 1), f64::NAN, "--days"),
    ] {
        let error = world::Plan::new(1, Shape::Spread, counts, days).expect_err(option);
        assert!(error.contains(option), "{error}");
    }
}
