//! What only processes can show.

mod browser;
mod day;
mod disk;
mod host;
mod monitoring;
mod outage;
mod restart;
mod signals;
mod together;
mod uploads;

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use conformance::client::Request;
use conformance::process::{Process, signal};
use conformance::redis::Redis;
use ipwhois_guard_testkit::StandIn;

/// So long something may take that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest time between two looks whether Redis is back, and a little more.
const BACK: Duration = Duration::from_secs(40);

/// The n-th client, from a network of its own.
fn client(n: u32) -> String {
    Ipv4Addr::from_bits(0x1a00_0001 + (n << 8)).to_string()
}

fn today() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs() / 86_400
}

/// Runs it again if midnight (UTC) fell into it: the day's budget turns then.
fn within_a_day(check: impl Fn()) {
    loop {
        let day = today();
        check();
        if today() == day {
            return;
        }
    }
}

/// A client shows itself as a prober first, so that its check does not wait for the day's pace.
fn visit(process: &Process, client: &str) -> Option<u16> {
    let get = |path| {
        let request = Request::get(path).from_client(client);
        request.try_send(&process.address).ok()
    };
    get("/.env")?;
    get("/admin").map(|response| response.status)
}

/// A login that fails.
fn guess(process: &Process, client: &str) -> u16 {
    let guess = Request::new("POST", "/login")
        .from_client(client)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("username=demo&password=guess");
    guess.send(&process.address).status
}

/// Kills a process that other threads still talk to.
fn kill(process: &Process) {
    signal(process.id(), "KILL");
}

/// Asks until it is so.
#[track_caller]
fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < within, "not within {within:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A process that shares what it knows. `more` has the last word.
fn start_with_redis(
    framework: &str,
    service: &StandIn,
    url: &str,
    more: &[(&str, &str)],
) -> Process {
    let api_url = service.url();
    let mut settings = vec![
        ("API_URL", api_url.as_str()),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ("DAILY_BUDGET", "1000000"),
        ("REDIS_URL", url),
        ("MAX_WAIT", "20s"),
    ];
    settings.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    settings.extend_from_slice(more);
    Process::start(framework, &settings)
}

/// Waits until so many processes hear each other.
fn until_they_listen(redis: &Redis, processes: usize) {
    let channel = "ipwhois-guard:announcements:0";
    until("they listen", PATIENCE, || {
        redis.does(&["PUBSUB", "NUMSUB", channel]) == processes.to_string()
    });
}
