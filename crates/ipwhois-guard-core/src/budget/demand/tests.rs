use super::*;

const MIDNIGHT: f64 = 20_000.0 * DAY;
const NOON: f64 = MIDNIGHT + DAY / 2.0;

fn watched(networks: u64, score: f64) -> Demand {
    let mut demand = Demand::new();
    demand.begin(MIDNIGHT);
    for network in 1..=networks {
        let at = MIDNIGHT + DAY / networks as f64 * network as f64;
        demand.bid(network, level_of(score), at.min(MIDNIGHT + DAY - 1.0));
    }
    demand
}

#[test]
fn levels_and_scores_belong_together() {
    for level in 1..LEVELS {
        let score = score_of(level as f64);
        assert_eq!(usize::from(level_of(score * 1.001)), level);
        assert_eq!(usize::from(level_of(score * 0.999)), level - 1);
    }
    for score in [0.0, -1.0, f64::NAN, 1e-9] {
        assert_eq!(level_of(score), 0);
    }
    assert_eq!(usize::from(level_of(f64::INFINITY)), LEVELS - 1);
}

#[test]
fn where_the_checks_cover_everybody_everything_is_bought() {
    let mut demand = watched(100, 0.1);
    demand.turn(MIDNIGHT + DAY);
    assert_eq!(
        demand.price(120.0, [0.0, 120.0], MIDNIGHT + DAY + 10.0),
        [0.0, 0.0]
    );
    // At noon half of them are still to come.
    assert_eq!(demand.price(60.0, [0.0, 120.0], NOON + DAY)[1], 0.0);
    assert!(demand.price(40.0, [0.0, 120.0], NOON + DAY)[1] > 0.1);
}

#[test]
fn a_network_counts_once_at_its_highest_bid_until_it_is_checked() {
    let mut demand = Demand::new();
    demand.begin(MIDNIGHT);
    for score in [1.0, 0.5, 4.0, 2.0] {
        demand.bid(7, level_of(score), MIDNIGHT + 60.0);
    }
    assert_eq!(demand.wanted(0.1), 1.0);
    assert_eq!(demand.wanted(3.9), 1.0);
    demand.bought(7, MIDNIGHT + 60.0);
    demand.bid(7, level_of(1.0), MIDNIGHT + 120.0);
    assert_eq!(demand.wanted(0.1), 2.0);
    assert_eq!(demand.wanted(3.9), 1.0);
}

#[test]
fn unusual_demand_raises_the_price_and_fades() {
    let mut demand = Demand::new();
    demand.begin(MIDNIGHT);
    demand.turn(NOON);
    for network in 1..=50 {
        demand.bid(network, level_of(1.0), NOON);
    }
    let [price, usual] = demand.price(50.0, [0.0, 50.0], NOON + 60.0);
    assert!(price > 1.0 && usual == 0.0);
    let later = NOON + 10.0 * 3_600.0;
    assert_eq!(demand.price(50.0, [0.0, 50.0], later), [0.0, 0.0]);
}

#[test]
fn a_restart_knows_past_days_and_the_hours_before_it() {
    let mut demand = watched(100, 1.0);
    demand.turn(MIDNIGHT + DAY);
    demand.bid(1, level_of(1.0), NOON + DAY);
    let stored = demand.snapshot();
    let restored = |now: f64| {
        let mut demand = Demand::new();
        demand.begin(now);
        demand.bid(2, level_of(1.0), now);
        demand.restore(&stored, 20_001, now);
        demand
    };
    let same_day = restored(NOON + DAY + 60.0);
    assert_eq!(same_day.today.iter().sum::<f64>(), 2.0);
    let past = |demand: &Demand| demand.past.iter().sum::<f64>() as f32;
    assert_eq!(past(&same_day), past(&demand));
    let next_day = restored(NOON + 2.0 * DAY);
    assert_eq!(next_day.today.iter().sum::<f64>(), 1.0);
    assert_eq!(next_day.since, NOON + 2.0 * DAY);
    assert!((next_day.past.iter().sum::<f64>() - 25.5).abs() < 0.01);
}

#[test]
fn counts_that_no_site_has_are_dropped() {
    let mut demand = Demand::new();
    demand.begin(NOON);
    let mut stored = watched(10, 1.0).snapshot();
    stored.past = vec![f32::NAN, -5.0, 1e30, 3.0];
    demand.restore(&stored, 20_000, NOON);
    assert_eq!(demand.past[..4], [0.0, 0.0, 0.0, 3.0]);
    for absurd in [f32::NAN, -1.0, 1e9] {
        stored.past_days = absurd;
        let mut demand = Demand::new();
        demand.begin(NOON);
        demand.restore(&stored, 20_000, NOON);
        assert_eq!((demand.past_days, demand.past), (0.0, [0.0; LEVELS]));
    }
}
