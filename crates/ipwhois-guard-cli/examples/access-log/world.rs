//! A site with its visitors and attackers, over some days.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipwhois_guard_cli::access_log::Entry;

use super::attackers;
use super::places::Places;
use super::random::Random;
use super::visitors;

/// 2025-03-03 10:00:00 UTC, a Monday: 3.5 days touch four UTC days.
const START: u64 = 1_740_996_000;

pub(crate) const DAY: u64 = 24 * 60 * 60;

/// When the attackers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// At any time.
    Spread,
    /// In the first two hours of the log and of each UTC day.
    Early,
    /// Within two hours of one day: a botnet that was told to.
    Burst,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "spread" => Ok(Self::Spread),
            "early" => Ok(Self::Early),
            "burst" => Ok(Self::Burst),
            _ => Err("it is none of `spread`, `early` and `burst`".to_owned()),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spread => "spread",
            Self::Early => "early",
            Self::Burst => "burst",
        })
    }
}

/// What is to be made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    seed: u64,
    pub(crate) shape: Shape,
    requests: u64,
    clients: u64,
    hostile: u64,
    /// How long the log covers, in seconds.
    pub(crate) length: u64,
}

impl Plan {
    pub(crate) fn new(
        seed: u64,
        shape: Shape,
        (requests, clients, hostile): (u32, u32, u32),
        days: f64,
    ) -> Result<Self, String> {
        if !(0.25..=3_650.0).contains(&days) {
            return Err(format!(
                "option --days: `{days}` is not within 0.25 and 3650"
            ));
        }
        if hostile > clients {
            let problem = format!("`{hostile}` is more than --clients");
            return Err(format!("option --hostile: {problem}"));
        }
        let plan = Self {
            seed,
            shape,
            requests: requests.into(),
            clients: clients.into(),
            hostile: hostile.into(),
            length: (days * DAY as f64) as u64,
        };
        let (friendly, _) = plan.shares();
        let visitors = plan.clients - plan.hostile;
        if friendly < visitors || (visitors == 0 && friendly > 0) {
            let problem = "does not give each client one, with a quarter for the hostile ones";
            return Err(format!("option --requests: `{requests}` {problem}"));
        }
        Ok(plan)
    }

    /// The requests of visitors and of hostile clients.
    fn shares(&self) -> (u64, u64) {
        let hostile = match self.hostile {
            0 => 0,
            all if all == self.clients => self.requests,
            some => (self.requests / 4).max(some),
        };
        (self.requests.saturating_sub(hostile), hostile)
    }
}

/// One line, before it is known which one.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Seconds since the log's beginning.
    pub(crate) at: u64,
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) status: u16,
    pub(crate) referer: String,
}

/// One client, with the requests that it makes.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) user_agent: &'static str,
    pub(crate) requests: Vec<Request>,
}

/// The two files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) log: String,
    pub(crate) listed: String,
}

pub(crate) fn make(plan: &Plan) -> Made {
    let random = &mut Random::new(plan.seed);
    let (friendly, hostile) = plan.shares();
    let mut places = Places::new(random, 40);
    let mut clients: Vec<(IpAddr, Client)> = Vec::new();
    for requests in heavy_parts(random, friendly, plan.clients - plan.hostile, 500) {
        let visitor = visitors::make(random, plan, requests);
        clients.push((places.next(random, 15), visitor));
    }
    let mut listed: Vec<IpAddr> = Vec::new();
    for requests in heavy_parts(random, hostile, plan.hostile, 400) {
        let attacker = attackers::make(random, plan, requests);
        let ip = places.next(random, 10);
        clients.push((ip, attacker));
        listed.push(ip);
    }
    listed.sort_unstable();
    Made {
        log: written(random, &clients),
        listed: listed.iter().map(|ip| format!("{ip}\n")).collect(),
    }
}

/// So many requests, for so many clients: few have many.
fn heavy_parts(random: &mut Random, requests: u64, clients: u64, most: u64) -> Vec<u64> {
    let weights: Vec<u64> = (0..clients)
        .map(|_| 8 * random.heavy(most) - random.below(8))
        .collect();
    Random::split(requests, &weights)
}

fn written(random: &mut Random, clients: &[(IpAddr, Client)]) -> String {
    let mut lines: Vec<(u64, IpAddr, &Client, &Request)> = Vec::new();
    for (ip, client) in clients {
        lines.extend(
            client
                .requests
                .iter()
                .map(|request| (request.at, *ip, client, request)),
        );
    }
    // Stable: what a client does within one second stays in its order.
    lines.sort_by_key(|&(at, ..)| at);
    let mut log = String::new();
    for (at, ip, client, request) in lines {
        let entry = Entry {
            client: ip,
            time: START + at,
            method: request.method,
            target: &request.target,
            status: request.status,
            bytes: match request.status {
                200 => random.within(400, 60_000),
                304 => 0,
                _ => random.within(120, 700),
            },
            referer: &request.referer,
            user_agent: client.user_agent,
        };
        log.push_str(&entry.to_string());
        log.push('\n');
    }
    log
}

/// A moment of the log by the rhythm of day and night: fewest at four in the morning, most in the
/// evening.
pub(crate) fn waking_hour(random: &mut Random, plan: &Plan) -> u64 {
    const WEIGHTS: [u64; 24] = [
        30, 22, 16, 12, 10, 12, 20, 34, 52, 66, 72, 74, 70, 72, 74, 72, 70, 72, 80, 92, 100, 92,
        70, 46,
    ];
    loop {
        let at = random.below(plan.length);
        let hour = (START + at) % DAY / 3_600;
        let weight = WEIGHTS[usize::try_from(hour).unwrap_or_default()];
        if random.chance(weight) {
            return at;
        }
    }
}

/// A moment for an attack.
pub(crate) fn hour_of_attack(random: &mut Random, plan: &Plan) -> u64 {
    const WINDOW: u64 = 2 * 3_600;
    match plan.shape {
        Shape::Spread => random.below(plan.length),
        Shape::Early => {
            let midnight = DAY - START % DAY;
            let days = plan.length.saturating_sub(midnight).div_ceil(DAY);
            let start = match random.below(days + 1) {
                0 => 0,
                day => midnight + (day - 1) * DAY,
            };
            (start + random.below(WINDOW)).min(plan.length - 1)
        }
        Shape::Burst => {
            // In the afternoon of the second day, or in the middle of a shorter log.
            let start = if plan.length > 2 * DAY {
                DAY + 5 * 3_600
            } else {
                plan.length / 2
            };
            (start + random.below(WINDOW)).min(plan.length - 1)
        }
    }
}

/// The last second of what a shape allows an attack that began at `from`.
pub(crate) fn end_of_attack(plan: &Plan, from: u64) -> u64 {
    match plan.shape {
        Shape::Burst => (from + 3 * 3_600).min(plan.length - 1),
        _ => plan.length - 1,
    }
}
