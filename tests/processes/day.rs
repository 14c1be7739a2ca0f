//! One day's budget for five processes that are killed and started, whose clients would use it up
//! many times over.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use conformance::client::Request;
use conformance::process::Process;
use conformance::redis::Redis;
use ipwhois_guard_testkit::StandIn;

use super::{BACK, PATIENCE, client, start_with_redis, today, until, within_a_day};

const FRAMEWORKS: [&str; 4] = ["axum", "actix", "rocket", "warp"];
const PLACES: usize = 5;
const VISITORS_EACH: usize = 2;
const BUDGET: usize = 50;
/// More clients come to each place than there are checks.
const CLIENTS_EACH: usize = 1_000;

/// Five places, a process in each. The feed has all clients, so that their checks are urgent: no
/// pace and no ration keeps them from using up the day.
struct Fleet {
    redis: Mutex<Redis>,
    service: StandIn,
    places: Vec<Place>,
    /// Nobody sets out for a visit when there were so many checks.
    pause_at: AtomicUsize,
    starts: AtomicUsize,
}

struct Place {
    process: Mutex<Process>,
    /// The number of its first client.
    first: usize,
    visits: AtomicUsize,
    under_way: AtomicUsize,
}

impl Fleet {
    fn start() -> Self {
        let redis = Redis::start();
        let service = StandIn::start().expect("a free port");
        let clients = PLACES * CLIENTS_EACH;
        let mut feed = format!("# Generated: 2026-08-22 04:30:03 UTC | Entries: {clients}\n");
        for n in 0..clients {
            writeln!(feed, "{}", client(number(n))).expect("memory");
        }
        assert_eq!(service.list_feed(&feed, 95), clients);
        let mut fleet = Self {
            redis: Mutex::new(redis),
            service,
            places: Vec::new(),
            pause_at: AtomicUsize::new(0),
            starts: AtomicUsize::new(0),
        };
        for place in 0..PLACES {
            let process = Mutex::new(fleet.start_process());
            fleet.places.push(Place {
                process,
                first: place * CLIENTS_EACH,
                visits: AtomicUsize::new(0),
                under_way: AtomicUsize::new(0),
            });
        }
        fleet
    }

    /// A process of the next framework, with its feed.
    fn start_process(&self) -> Process {
        let starts = self.starts.fetch_add(1, Ordering::SeqCst);
        let url = self.redis().url();
        let feed = self.service.feed_url();
        let process = start_with_redis(
            FRAMEWORKS[starts % FRAMEWORKS.len()],
            &self.service,
            &url,
            &[("DAILY_BUDGET", "50"), ("FEED_URL", &feed)],
        );
        assert!(self.service.wait_for_feed_requests(starts + 1, PATIENCE));
        process
    }

    /// Kills the process of a place and starts another one in it.
    fn replace(&self, place: usize) {
        let place = &self.places[place];
        place.process().kill();
        let process = self.start_process();
        *place.process() = process;
    }

    /// Clients come to all places while this is done.
    fn while_clients_come(&self, done: impl FnOnce()) {
        let ends = AtomicBool::new(false);
        thread::scope(|scope| {
            for place in &self.places {
                for _ in 0..VISITORS_EACH {
                    scope.spawn(|| {
                        while !ends.load(Ordering::SeqCst) {
                            self.come(place);
                        }
                    });
                }
            }
            // They go when this is done, or fails.
            let _ends = Ends(&ends);
            done();
        });
    }

    fn come(&self, place: &Place) {
        // Who is counted keeps `rest` from going on.
        place.under_way.fetch_add(1, Ordering::SeqCst);
        if self.service.check_count() < self.pause_at.load(Ordering::SeqCst) {
            let n = place.visits.fetch_add(1, Ordering::SeqCst);
            // Nobody answers where a process was killed.
            place.visit(n);
        }
        place.under_way.fetch_sub(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(2));
    }

    /// Until there were so many checks, or the day is used up, by the store's count or in truth.
    fn go_on_to(&self, checks: usize) {
        self.pause_at.store(checks, Ordering::SeqCst);
        let enough = checks.min(BUDGET + 1);
        until("more checks are made", BACK, || {
            self.service.check_count() >= enough || self.day() >= BUDGET
        });
    }

    /// Nobody is on the way any more.
    fn rest(&self) {
        self.pause_at.store(0, Ordering::SeqCst);
        until("all are back", PATIENCE, || {
            let mut places = self.places.iter();
            places.all(|place| place.under_way.load(Ordering::SeqCst) == 0)
        });
    }

    /// Until nobody gets a check any more.
    fn use_up(&self) {
        self.go_on_to(usize::MAX);
        let visits: Vec<usize> = self.places.iter().map(Place::visits).collect();
        until("all have come in vain", PATIENCE, || {
            let mut places = self.places.iter().zip(&visits);
            places.all(|(place, visits)| place.visits() > visits + 50)
        });
    }

    /// What the store has granted of today: `1 COUNT BIRTH`.
    fn day(&self) -> usize {
        let key = format!("ipwhois-guard:{{budget}}:granted:{}", today());
        let value = self.redis().does(&["GET", &key]);
        let count = value.split(' ').nth(1);
        count.map_or(0, |count| count.parse().expect("a count"))
    }

    /// What the store has granted, when nobody asks it for more.
    fn settled_day(&self) -> usize {
        let mut day = (self.day(), Instant::now());
        until("no block is asked for", PATIENCE, || {
            let now = self.day();
            if now != day.0 {
                day = (now, Instant::now());
            }
            day.1.elapsed() > Duration::from_millis(500)
        });
        day.0
    }

    fn checks_at(&self, place: usize) -> usize {
        let first = self.places[place].first;
        let clients = (first..first + CLIENTS_EACH).map(|n| client(number(n)));
        let clients: std::collections::HashSet<String> = clients.collect();
        let checks = self.service.checks();
        let here = checks.iter().filter(|check| clients.contains(&check.ip));
        here.count()
    }

    fn redis(&self) -> MutexGuard<'_, Redis> {
        self.redis.lock().expect("no panic")
    }
}

impl Place {
    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().expect("no panic")
    }

    /// Its n-th visit.
    fn visit(&self, n: usize) -> Option<u16> {
        let client = client(number(self.first + n % CLIENTS_EACH));
        let address = self.process().address.clone();
        let request = Request::get("/admin").from_client(client);
        let response = request.try_send(&address).ok()?;
        Some(response.status)
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).expect("a few thousand")
}

#[test]
fn five_processes_that_are_killed_and_started_never_spend_more_than_the_day_has() {
    within_a_day(|| {
        let fleet = Fleet::start();
        fleet.while_clients_come(|| {
            for kill in 1..=9 {
                fleet.go_on_to(5 * kill);
                fleet.replace(kill % PLACES);
            }
            fleet.use_up();
        });
        let checks = fleet.service.check_count();
        println!("{checks} checks");
        assert!(checks <= BUDGET, "{checks} checks");
        // A kill costs a block, which is one check here, and the calls that were under way.
        assert!(checks >= 40, "{checks} checks");
    });
}

#[test]
fn while_redis_is_silent_each_process_spends_what_it_holds_and_no_more() {
    within_a_day(|| {
        let fleet = Fleet::start();
        fleet.while_clients_come(|| {
            fleet.go_on_to(20);
            fleet.rest();
            let held = fleet.settled_day() - fleet.service.check_count();
            let before: Vec<usize> = (0..PLACES).map(|place| fleet.checks_at(place)).collect();
            let alone = |place| fleet.checks_at(place) - before[place];
            let all_alone = || (0..PLACES).map(alone).sum::<usize>();

            fleet.redis().signal("STOP");
            fleet.pause_at.store(usize::MAX, Ordering::SeqCst);
            until("what is held is spent", BACK, || all_alone() >= held);
            // A new process holds nothing, and its clients are not checked.
            fleet.replace(0);
            let visits: Vec<usize> = fleet.places.iter().map(Place::visits).collect();
            until("all have come in vain", PATIENCE, || {
                let mut places = fleet.places.iter().zip(&visits);
                places.all(|(place, visits)| place.visits() > visits + 50)
            });
            fleet.rest();
            assert_eq!(all_alone(), held, "nothing is spent that was not granted");

            fleet.redis().signal("CONT");
            fleet.use_up();
            let checks = fleet.service.check_count();
            println!("{checks} checks, {held} of them alone");
            assert!(checks <= BUDGET, "{checks} checks");
            assert!(checks >= 40, "{checks} checks");
        });
    });
}

#[test]
#[ignore = "in one run of four the day's count begins again, for a reason that is not known"]
fn a_redis_that_is_restarted_empty_goes_on_from_what_the_processes_know() {
    within_a_day(|| {
        let fleet = Fleet::start();
        fleet.while_clients_come(|| {
            fleet.go_on_to(20);
            fleet.rest();
            // Of what was spent since each heard the count last, the others know.
            for place in &fleet.places {
                let checks = fleet.service.check_count();
                until("it makes a check", PATIENCE, || {
                    place.visit(place.visits.fetch_add(1, Ordering::SeqCst));
                    fleet.service.check_count() > checks
                });
            }
            {
                let mut redis = fleet.redis();
                redis.kill();
                redis.run();
            }
            fleet.go_on_to(35);
            fleet.replace(0);
            fleet.use_up();
        });
        let checks = fleet.service.check_count();
        println!("{checks} checks");
        let unknown_to_one = PLACES - 1;
        assert!(checks <= BUDGET + unknown_to_one, "{checks} checks");
        assert!(checks >= 40, "{checks} checks");
    });
}
