//! Whole days, request by request: what attacks cost, and what is left for others.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::pace::DAY;
use super::*;

const LIMITS: [u32; 3] = [50, 500, 1_000];
const EIGHT: u64 = 8 * 60 * 60;

/// A moment of the day that all of this happens on.
fn at(second: u64) -> Duration {
    Duration::from_secs(20_000 * DAY + second)
}

/// Clients of networks 0, 1, 2 …
fn client(network: u32, host: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x1900_0000 | network << 8 | host))
}

fn other(network: u32) -> IpAddr {
    // Each from a wide network of its own.
    IpAddr::V4(Ipv4Addr::from_bits(0x1a00_0007 + (network << 16)))
}

struct Site {
    budget: Budget,
    checked: HashSet<IpAddr>,
    requests: HashMap<IpAddr, u32>,
}

impl Site {
    fn new(limit: u32) -> Self {
        Self {
            budget: Budget::new(limit),
            checked: HashSet::new(),
            requests: HashMap::new(),
        }
    }

    /// A request. Whether its client is checked, by now or since earlier.
    fn request(&mut self, ip: IpAddr, tier: Tier, second: u64) -> bool {
        if self.checked.contains(&ip) {
            return true;
        }
        let requests = self.requests.entry(ip).or_default();
        *requests += 1;
        let requests = *requests;
        let ration = Ration::Of { ip, requests };
        let took = self.budget.take(tier, ration, at(second)).is_ok();
        if took {
            self.checked.insert(ip);
        }
        took
    }

    fn checked(&self, who: impl Fn(&IpAddr) -> bool) -> u32 {
        self.checked.iter().filter(|ip| who(ip)).count() as u32
    }
}

fn is_attacker(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 0x19)
}

/// In which order 5,000 addresses of 20 networks come, from 08:00 on.
#[derive(Clone, Copy, Debug)]
enum Style {
    /// One every 4 seconds, the networks in turn, again and again.
    InTurn,
    /// Each once, evenly over the rest of the day, the networks in turn.
    OnceEach,
    /// One network after the other.
    ByNetwork,
    /// All at 08:00:00, then again every four hours.
    Volley,
}

const STYLES: [Style; 4] = [
    Style::InTurn,
    Style::OnceEach,
    Style::ByNetwork,
    Style::Volley,
];

fn attack(style: Style) -> Vec<(u64, IpAddr)> {
    let in_turn = |n: u64| client((n % 20) as u32, (n / 20 % 250) as u32);
    let rest = DAY - EIGHT;
    match style {
        Style::InTurn => (0..rest / 4).map(|n| (EIGHT + 4 * n, in_turn(n))).collect(),
        Style::OnceEach => (0..5_000)
            .map(|n| (EIGHT + n * rest / 5_000, in_turn(n)))
            .collect(),
        Style::ByNetwork => (0..5_000)
            .map(|n| (EIGHT + n * 4, client((n / 250) as u32, (n % 250) as u32)))
            .collect(),
        Style::Volley => (0..4)
            .flat_map(|hour| (0..5_000).map(move |n| (EIGHT + hour * 4 * 3_600, in_turn(n))))
            .collect(),
    }
}

#[test]
fn a_suspicious_crowd_alone_spends_less_than_a_fifth_of_the_day() {
    for limit in LIMITS {
        for style in STYLES {
            let mut site = Site::new(limit);
            for (second, ip) in attack(style) {
                site.request(ip, Tier::Elevated, second);
            }
            let cost = site.checked(is_attacker);
            println!("L {limit}, {style:?}: {cost}");
            assert!(cost * 5 < limit, "{style:?} spends {cost} of {limit}");
        }
    }
}

/// Thirty hostile clients from as many networks, evenly over the day. Each comes once a minute for half an hour.
/// What the attack costs, how many of the thirty are checked, how many of them within a minute, and the longest wait in minutes.
fn attack_among_others(limit: u32, style: Style, tier: Tier, first: u64) -> [u32; 4] {
    let mut events: Vec<_> = attack(style)
        .into_iter()
        .map(|(second, ip)| (second, ip, tier, 0))
        .collect();
    for n in 0..30 {
        for minute in 0..30 {
            let second = first + u64::from(n) * DAY / 30 + minute * 60;
            if second < DAY {
                events.push((second, other(n), Tier::Elevated, minute));
            }
        }
    }
    events.sort_by_key(|&(second, ip, ..)| (second, !is_attacker(&ip)));
    let mut site = Site::new(limit);
    let (mut soon, mut longest) = (0, 0);
    for (second, ip, tier, minute) in events {
        let was_checked = site.checked.contains(&ip);
        if site.request(ip, tier, second) && !was_checked && !is_attacker(&ip) {
            soon += u32::from(minute <= 1);
            longest = longest.max(minute as u32);
        }
    }
    let cost = site.checked(is_attacker);
    let others = site.checked(|ip| !is_attacker(ip));
    [cost, others, soon, longest]
}

#[test]
fn during_an_attack_every_other_hostile_client_gets_its_check() {
    for limit in LIMITS {
        for style in STYLES {
            let days: Vec<_> = (0..6)
                .map(|shift| attack_among_others(limit, style, Tier::Elevated, shift * 480))
                .collect();
            let most = |what: usize| days.iter().map(|day| day[what]).max().unwrap();
            let least = |what: usize| days.iter().map(|day| day[what]).min().unwrap();
            let (cost, others, soon, longest) = (most(0), least(1), least(2), most(3));
            println!(
                "L {limit}, {style:?}: {cost}; others {others}, soon {soon}, longest {longest} min"
            );
            assert!(cost * 5 < limit, "{style:?} spends {cost} of {limit}");
            assert_eq!(others, 30, "{style:?} at {limit}");
            assert!(soon >= 29, "{style:?} at {limit}: {soon} within a minute");
            assert!(longest <= 12, "{style:?} at {limit}: {longest} minutes");
        }
    }
}

#[test]
fn an_attack_that_looks_like_visitors_keeps_a_visitors_pace() {
    for limit in LIMITS {
        let tier = Tier::Routine { requests: 100 };
        let [cost, others, ..] = attack_among_others(limit, Style::InTurn, tier, 300);
        println!("L {limit}, as visitors: {cost}; others {others}");
        assert!(cost <= 20 * ration::a_network_a_day(limit));
        assert!(others >= 28, "{others} at {limit}");
    }
}

#[test]
fn an_ipv6_network_is_one_network_however_it_is_turned() {
    for limit in LIMITS {
        for tier in [Tier::Urgent, Tier::Elevated, Tier::Routine { requests: 16 }] {
            let mut subnets = Site::new(limit);
            let mut addresses = Site::new(limit);
            for n in 0..65_536_u32 {
                let second = u64::from(n) * DAY / 65_536;
                let subnet = u128::from(n) << 64;
                let base = 0x3ffe_0001_0002_u128 << 80;
                let rotating = |low: u128| IpAddr::V6(Ipv6Addr::from_bits(base | low));
                subnets.request(rotating(subnet | 1), tier, second);
                addresses.request(rotating(u128::from(n)), tier, second);
            }
            let ration = ration::a_network_a_day(limit);
            let (subnets, addresses) = (subnets.checked.len(), addresses.checked.len());
            println!("L {limit}, {tier:?}: a /48 {subnets}, a /64 {addresses}");
            assert!(subnets as u32 <= ration);
            assert!(addresses as u32 <= ration);
        }
    }
}

/// Visitors one after the other, evenly over the day, the networks in turn.
fn visitors(limit: u32, networks: u32, visitors: u32) -> u32 {
    let mut site = Site::new(limit);
    for n in 0..visitors {
        let second = u64::from(n) * DAY / u64::from(visitors);
        let ip = client(n % networks, n / networks % 250);
        site.request(ip, Tier::Routine { requests: 1 }, second);
    }
    site.checked.len() as u32
}

#[test]
fn a_site_of_carriers_spends_its_whole_routine_budget() {
    for limit in LIMITS {
        let room = limit - pace::reserve(limit);
        let networks = room.div_ceil(ration::a_network_a_day(limit) - 1) * 11 / 10;
        let spent = visitors(limit, networks, networks * 100);
        println!("L {limit}: {networks} networks of 100 visitors spend {spent} of {room}");
        assert_eq!(spent, room);
    }
}

#[test]
fn in_plenty_everybody_is_checked_at_the_first_request() {
    for limit in LIMITS {
        let few = (limit - pace::reserve(limit)) * 9 / 10;
        assert_eq!(visitors(limit, few, few), few);
    }
}

#[test]
fn in_a_shortage_checks_go_to_who_comes_often() {
    for limit in LIMITS {
        let regulars = limit * 8 / 10;
        let strangers = limit * 20;
        let mut events = Vec::new();
        for n in 0..strangers {
            let second = u64::from(n) * DAY / u64::from(strangers);
            events.push((second, client(n % 60_000, 1), 1));
        }
        for n in 0..regulars {
            let first = u64::from(n) * (DAY - 3_600) / u64::from(regulars);
            events.extend((1..=20).map(|k| (first + u64::from(k) * 180, other(n), k)));
        }
        events.sort_by_key(|&(second, ..)| second);
        let mut site = Site::new(limit);
        for (second, ip, requests) in events {
            site.request(ip, Tier::Routine { requests }, second);
        }
        let (known, unknown) = (
            site.checked(|ip| !is_attacker(ip)),
            site.checked(is_attacker),
        );
        println!("L {limit}: {known} of {regulars} regulars, {unknown} of {strangers} strangers");
        assert!(known * 100 >= regulars * 95, "{known} of {regulars}");
    }
}

#[test]
fn one_address_a_network_at_a_time_costs_one_check_each() {
    for limit in LIMITS {
        let mut site = Site::new(limit);
        for n in 0..20_u32 {
            for minute in 0..20 {
                let second = EIGHT + u64::from(n) * 1_200 + minute * 60;
                site.request(client(n << 8, 1), Tier::Elevated, second);
            }
        }
        assert_eq!(site.checked(is_attacker), 20);
    }
}

#[test]
fn one_wide_network_cannot_spend_the_day_by_failed_logins_either() {
    for limit in LIMITS {
        for tier in [Tier::Elevated, Tier::FailedLogin] {
            let mut site = Site::new(limit);
            for second in (0..DAY).step_by(60) {
                let minute = (second / 60) as u128;
                for host in 0..5 {
                    let bits = 0x3ffe_0007_u128 << 96 | minute << 80 | host << 64 | 1;
                    site.request(IpAddr::V6(bits.into()), tier, second);
                }
            }
            let spent = site.checked.len() as u32;
            assert!(spent <= (limit / 10).max(8), "{tier:?}: {spent} of {limit}");
        }
    }
}

#[test]
fn scattered_failed_logins_leave_something_to_the_feed_and_to_explicit_checks() {
    for limit in LIMITS {
        let mut site = Site::new(limit);
        for second in 0..DAY {
            site.request(client(second as u32 % 60_000, 1), Tier::FailedLogin, second);
            site.request(other(second as u32 % 250), Tier::FailedLogin, second);
        }
        let left = site.budget.left(at(DAY - 1));
        assert!(left >= pace::reserve(limit) / 4, "{left} of {limit}");
    }
}
