//! Who comes with bad intentions.

use super::random::Random;
use super::visitors;
use super::words::{BROWSERS, ENDINGS, FOLDERS, NAMES, PAGES, PROBES, SITE, TOOLS};
use super::world::{Client, Plan, Request, end_of_attack, hour_of_attack};

/// Who makes more requests than this does not look like a visitor.
const QUIET: u64 = 40;

#[derive(Clone, Copy)]
enum Kind {
    /// Goes through a list of files that should not be there.
    Scanner,
    /// Guesses passwords of a weblog software, which this site does not use.
    WeblogBruteForcer,
    /// Guesses passwords of this site.
    LoginBruteForcer,
    /// Guesses paths that are in no list.
    Guesser,
    /// Behaves like a visitor throughout: scrapes, or posts comments.
    Quiet,
}

/// A hostile client with exactly so many requests.
pub(crate) fn make(random: &mut Random, plan: &Plan, requests: u64) -> Client {
    let kind = match random.below(100) {
        0..40 => Kind::Scanner,
        40..60 => Kind::WeblogBruteForcer,
        60..75 => Kind::LoginBruteForcer,
        95.. if requests <= QUIET => Kind::Quiet,
        _ => Kind::Guesser,
    };
    if matches!(kind, Kind::Quiet) {
        return quiet(random, plan, requests);
    }
    let mut made: Vec<Request> = Vec::new();
    // Most come once, some return another time.
    let attacks = if requests > 12 && random.chance(30) {
        2
    } else {
        1
    };
    for attack in 0..attacks {
        let part = (requests - made.len() as u64) / (attacks - attack);
        made.extend(attack_of(random, plan, kind, part));
    }
    Client {
        requests: made,
        user_agent: random.pick(TOOLS),
    }
}

fn attack_of(random: &mut Random, plan: &Plan, kind: Kind, requests: u64) -> Vec<Request> {
    let mut at = hour_of_attack(random, plan);
    let last = end_of_attack(plan, at);
    let looks_first = random.chance(30);
    let is_slow = random.chance(15);
    let mut probe = random.below(PROBES.len() as u64);
    let mut made = Vec::new();
    for n in 0..requests {
        let request = if n == 0 && looks_first {
            plain("GET", "/".to_owned(), 200)
        } else {
            match kind {
                Kind::Scanner => {
                    probe += random.within(1, 3);
                    let index = probe % PROBES.len() as u64;
                    let target = PROBES[usize::try_from(index).unwrap_or_default()];
                    plain("GET", target.to_owned(), refused(random))
                }
                Kind::WeblogBruteForcer => {
                    let target = random.pick(&["/wp-login.php", "/xmlrpc.php"]);
                    plain("POST", target.to_owned(), refused(random))
                }
                Kind::LoginBruteForcer if n % 8 == 0 => plain("GET", "/login".to_owned(), 200),
                Kind::LoginBruteForcer => plain("POST", "/login".to_owned(), 401),
                Kind::Guesser | Kind::Quiet => plain("GET", guess(random), refused(random)),
            }
        };
        made.push(Request {
            at: at.min(last),
            ..request
        });
        at += match kind {
            _ if is_slow => random.within(60, 900),
            Kind::Scanner | Kind::Guesser => random.below(3),
            _ => random.within(1, 10),
        };
    }
    made
}

fn plain(method: &'static str, target: String, status: u16) -> Request {
    Request {
        at: 0,
        method,
        target,
        status,
        referer: String::new(),
    }
}

/// What a site answers to what it does not have.
fn refused(random: &mut Random) -> u16 {
    match random.below(100) {
        0..88 => 404,
        88..94 => 403,
        94..97 => 301,
        _ => 400,
    }
}

fn guess(random: &mut Random) -> String {
    let (folder, name) = (random.pick(FOLDERS), random.pick(NAMES));
    let ending = random.pick(ENDINGS);
    match random.below(3) {
        0 => format!("/{folder}/{name}{ending}"),
        1 => format!("/{name}{:02}{ending}", random.below(100)),
        _ => format!("/{folder}-{name}/{:x}{ending}", random.below(1 << 20)),
    }
}

fn quiet(random: &mut Random, plan: &Plan, requests: u64) -> Client {
    let start = hour_of_attack(random, plan);
    let last = end_of_attack(plan, start);
    if random.chance(50) {
        // A scraper that takes its time and loads no images.
        let mut at = start;
        let pages = (0..requests).map(|_| {
            let request = Request {
                at: at.min(last),
                ..plain("GET", random.pick(PAGES).to_owned(), 200)
            };
            at += random.within(5, 40);
            request
        });
        return Client {
            requests: pages.collect(),
            user_agent: BROWSERS[0],
        };
    }
    // A spammer: a visit, with a comment at its end.
    let mut client = visitors::person(random, plan, requests);
    client.requests.sort_by_key(|request| request.at);
    let first = client.requests.first().map_or(0, |request| request.at);
    for request in &mut client.requests {
        request.at = (start + (request.at - first).min(3_600)).min(last);
    }
    if let Some(comment) = client.requests.last_mut() {
        let page = "/blog/2025/winter-reading";
        comment.method = "POST";
        comment.target = format!("{page}/comments");
        comment.status = 303;
        comment.referer = format!("{SITE}{page}");
    }
    client
}
