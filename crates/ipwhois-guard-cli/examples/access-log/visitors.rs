//! Who comes with good intentions: people, crawlers, feed readers.

use super::random::Random;
use super::words::{ASSETS, BROKEN, BROWSERS, CRAWLERS, ELSEWHERE, ICONS, PAGES, READERS, SITE};
use super::world::{Client, Plan, Request, waking_hour};

/// A visitor with exactly so many requests.
pub(crate) fn make(random: &mut Random, plan: &Plan, requests: u64) -> Client {
    match requests {
        60.. => crawler(random, plan, requests),
        15.. if random.chance(30) => reader(random, plan, requests),
        _ => person(random, plan, requests),
    }
}

fn get(at: u64, target: &str, status: u16, referer: &str) -> Request {
    Request {
        at,
        method: "GET",
        target: target.to_owned(),
        status,
        referer: referer.to_owned(),
    }
}

/// Goes through the site all day and night, broken links included.
fn crawler(random: &mut Random, plan: &Plan, requests: u64) -> Client {
    let every = plan.length / requests;
    let requests = (0..requests).map(|n| {
        let at = (n * every + random.below(every.max(1))).min(plan.length - 1);
        if n % 50 == 0 {
            get(at, "/robots.txt", 200, "")
        } else if random.chance(3) {
            get(at, random.pick(BROKEN), 404, "")
        } else {
            let status = if random.chance(10) { 304 } else { 200 };
            get(at, random.pick(PAGES), status, "")
        }
    });
    Client {
        requests: requests.collect(),
        user_agent: random.pick(CRAWLERS),
    }
}

/// Looks for news at its hours.
fn reader(random: &mut Random, plan: &Plan, requests: u64) -> Client {
    let every = plan.length / requests;
    let offset = random.below(every.max(1));
    let requests = (0..requests).map(|n| {
        let status = if random.chance(90) { 304 } else { 200 };
        let at = (n * every + offset + random.below(30)).min(plan.length - 1);
        get(at, "/feed.xml", status, "")
    });
    Client {
        requests: requests.collect(),
        user_agent: random.pick(READERS),
    }
}

/// Reads some pages, comes back another day perhaps.
pub(crate) fn person(random: &mut Random, plan: &Plan, requests: u64) -> Client {
    let mut made: Vec<Request> = Vec::new();
    while (made.len() as u64) < requests {
        let left = requests - made.len() as u64;
        let visit = left.min(random.within(1, 18));
        let start = waking_hour(random, plan);
        made.extend(visit_of(random, start, visit, plan.length - 1));
    }
    Client {
        requests: made,
        user_agent: random.pick(BROWSERS),
    }
}

fn visit_of(random: &mut Random, start: u64, requests: u64, last: u64) -> Vec<Request> {
    let mut at = start;
    let mut page = random.pick(PAGES);
    let mut came_from = match random.chance(50) {
        true => random.pick(ELSEWHERE).to_owned(),
        false => String::new(),
    };
    let mut assets = random.within(2, 6);
    // A dead link, or an address from memory.
    let mut made = match random.chance(4) {
        true => vec![get(at, &dead_link(random), 404, &came_from)],
        false => vec![get(at, page, 200, &came_from)],
    };
    // A member who mistypes the password, and then does not.
    let mut logs_in = random.chance(2);
    while (made.len() as u64) < requests {
        if assets > 0 {
            assets -= 1;
            at += random.below(2);
            let referer = format!("{SITE}{page}");
            let (target, status) = match random.below(100) {
                0..4 => (random.pick(ICONS), 404),
                4..30 => (random.pick(ASSETS), 304),
                _ => (random.pick(ASSETS), 200),
            };
            made.push(get(at.min(last), target, status, &referer));
            continue;
        }
        at += random.within(4, 150);
        came_from = format!("{SITE}{page}");
        if logs_in {
            logs_in = false;
            for status in [401, 303] {
                at += random.within(3, 15);
                if (made.len() as u64) < requests {
                    let mut login = get(at.min(last), "/login", status, &came_from);
                    login.method = "POST";
                    made.push(login);
                }
            }
        } else if random.chance(4) {
            made.push(get(at.min(last), random.pick(BROKEN), 404, &came_from));
        } else if random.chance(1) {
            made.push(get(at.min(last), "/members/", 401, &came_from));
        } else {
            page = random.pick(PAGES);
            made.push(get(at.min(last), page, 200, &came_from));
            assets = random.below(3);
        }
    }
    made
}

/// Half of them are old addresses of pages, the others nobody else asks for.
fn dead_link(random: &mut Random) -> String {
    if random.chance(50) {
        return random.pick(BROKEN).to_owned();
    }
    let page = random.pick(PAGES);
    format!("{}-{:02}", page.trim_end_matches('/'), random.below(100))
}
