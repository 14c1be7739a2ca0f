//! The day's budget, through the guard: who is checked first, and who cannot spend it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use ipwhois_guard_core::{CheckFuture, CheckService, OnUnverified, Reputation};

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// A service inside the process: lists some addresses, and remembers whom it was asked about.
#[derive(Clone, Debug, Default)]
pub(super) struct Blacklist(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    listed: HashSet<IpAddr>,
    asked: Mutex<Vec<IpAddr>>,
}

impl Blacklist {
    pub(super) fn of(listed: impl IntoIterator<Item = IpAddr>) -> Self {
        Self(Arc::new(Known {
            listed: listed.into_iter().collect(),
            asked: Mutex::default(),
        }))
    }

    pub(super) fn asked(&self) -> Vec<IpAddr> {
        self.0.asked.lock().expect("no test panicked").clone()
    }

    pub(super) fn checks(&self) -> usize {
        self.0.asked.lock().expect("no test panicked").len()
    }
}

impl CheckService for Blacklist {
    fn check(&self, ip: IpAddr) -> CheckFuture<'_> {
        self.0.asked.lock().expect("no test panicked").push(ip);
        let reputation = Reputation {
            listed: self.0.listed.contains(&ip),
            confidence: 95,
            threat_type: None,
        };
        Box::pin(std::future::ready(Ok(reputation.into())))
    }
}

struct Site {
    guard: Guard,
    clock: ManualClock,
    blacklist: Blacklist,
}

impl Site {
    fn new(budget: u32, listed: impl IntoIterator<Item = IpAddr>) -> Self {
        Self::with(budget, listed, |builder| builder)
    }

    fn with(
        budget: u32,
        listed: impl IntoIterator<Item = IpAddr>,
        change: impl FnOnce(GuardBuilder) -> GuardBuilder,
    ) -> Self {
        let clock = ManualClock::new();
        let blacklist = Blacklist::of(listed);
        let builder = Guard::builder()
            .clock(clock.clone())
            .service(blacklist.clone())
            .feed_url("")
            .daily_budget(budget)
            .max_wait(PATIENCE);
        let guard = change(builder).build().expect("the settings are right");
        block_on(guard.ready());
        Self {
            guard,
            clock,
            blacklist,
        }
    }

    fn request(&self, client: IpAddr, path: &'static str) -> Guarded {
        let head = Head {
            path,
            peer: Peer::Ip(client),
            forwarded_for: None,
        };
        let decision = block_on(self.guard.decide(&head).decision());
        Guarded::new(self.guard.clone(), decision)
    }

    fn source(&self, client: IpAddr, path: &'static str) -> Source {
        self.request(client, path).decision().verdict().source()
    }

    fn is_refused(&self, client: IpAddr, path: &'static str) -> bool {
        self.request(client, path).decision().denial().is_some()
    }

    /// So many of the day's checks are spent, on a day on which more visitors come than the checks do
    /// for: each makes four requests, and few are worth a check.
    fn run_short(&self, path: &'static str, checks: u32) {
        let visitors = 2 * self.guard.stats().checks_left;
        for n in 0..4 * visitors {
            self.request(network(0x3000_0000, n % visitors * 256), path);
        }
        self.spend(checks);
    }

    /// The application asks until so many of the day's checks are spent.
    fn spend(&self, checks: u32) {
        let spent = self.guard.stats().checks_today;
        assert!(spent <= checks, "{spent} of {checks} are spent already");
        for n in spent..checks {
            block_on(self.guard.check(network(0x2000_0000, n)));
        }
    }
}

const NO_BUDGET: Source = Source::Unverified(Unverified::NoBudget);

/// The first address of the n-th /24.
fn network(first: u32, n: u32) -> IpAddr {
    Ipv4Addr::from_bits(first + (n << 8) + 1).into()
}

#[test]
fn where_the_checks_cover_everybody_everybody_is_checked_at_the_first_request() {
    let site = Site::new(500, []);
    for day in 0..2 {
        for n in 0..250 {
            let visitor = network(0x1a00_0000, n * 256 + day);
            assert_eq!(site.source(visitor, "/"), Source::Api, "{n} on day {day}");
            site.clock.advance(24 * HOUR / 250);
        }
    }
}

#[test]
fn in_a_shortage_a_client_is_checked_when_it_has_made_many_requests() {
    let site = Site::new(50, []);
    site.run_short("/", 20);
    let client = network(0x1a00_0000, 1);
    let visits = (0..100).find(|_| site.source(client, "/") == Source::Api);
    assert!(visits.is_some_and(|visits| visits > 2), "{visits:?}");
    assert_eq!(site.source(network(0x1a00_0000, 2), "/"), NO_BUDGET);
}

#[test]
fn a_probe_is_checked_before_it_is_answered() {
    let site = Site::new(20, [LISTED]);
    site.run_short("/", 8);
    assert!(
        !site.is_refused(LISTED, "/"),
        "nothing speaks against it yet"
    );
    assert!(site.is_refused(LISTED, "/wp-login.php"));
    assert!(site.is_refused(LISTED, "/"));
}

#[test]
fn a_probe_outside_of_the_rules_counts_inside() {
    let site = Site::with(20, [LISTED], |guard| guard.protect("/admin"));
    site.run_short("/admin", 8);
    assert_eq!(site.source(network(0x1b00_0000, 1), "/admin"), NO_BUDGET);
    assert_eq!(site.source(LISTED, "/.env"), Source::NotInScope);
    assert!(site.is_refused(LISTED, "/admin"));
}

#[test]
fn a_refused_answer_brings_the_check_forward_unless_browsers_ask_there_by_themselves() {
    let requests_until_checked = |answer: u16, path| {
        let site = Site::new(20, [LISTED]);
        site.run_short("/", 8);
        (0..50).find(|_| {
            let request = site.request(LISTED, path);
            request.answered(answer);
            request.decision().denial().is_some()
        })
    };
    let served = requests_until_checked(200, "/typo");
    for refusal in [401, 403, 404] {
        assert!(
            requests_until_checked(refusal, "/typo") < served,
            "{refusal}"
        );
        let icon = requests_until_checked(refusal, "/favicon.ico");
        assert_eq!(icon, served, "{refusal}");
    }
    for other in [301, 429, 500] {
        assert_eq!(requests_until_checked(other, "/typo"), served, "{other}");
    }
}

#[test]
fn the_applications_word_and_a_failed_login_bring_the_check_forward() {
    let site = Site::new(20, [LISTED]);
    site.run_short("/", 8);
    let client = site.request(LISTED, "/").admit().unwrap();
    client.suspect("the honeypot field was filled in");
    assert!(site.is_refused(LISTED, "/"));

    let site = Site::new(20, [LISTED]);
    site.run_short("/", 8);
    let client = site.request(LISTED, "/").admit().unwrap();
    assert!(block_on(client.failed_login()).is_ok());
    assert!(site.is_refused(LISTED, "/"));
}

#[test]
fn a_client_of_a_sensitive_rule_is_checked_before_others() {
    let site = Site::with(20, [LISTED], |guard| {
        guard
            .protect("/")
            .protect(Rule::path("/admin").sensitive(true))
            .protect(Rule::path("/strict").on_unverified(OnUnverified::Deny))
    });
    site.run_short("/", 8);
    assert_eq!(site.source(network(0x1a00_0000, 1), "/"), NO_BUDGET);
    assert!(site.is_refused(LISTED, "/admin"));
    assert_eq!(site.source(network(0x1a00_0000, 2), "/strict"), Source::Api);
}

#[test]
fn an_explicit_check_may_use_the_budget_to_its_last_and_no_ration_holds() {
    let site = Site::new(100, []);
    for n in 0..120 {
        // All of one network.
        let client = Ipv4Addr::from_bits(0x1c00_0000 + n).into();
        let source = block_on(site.guard.check(client)).source();
        assert_eq!(source, if n < 100 { Source::Api } else { NO_BUDGET });
    }
    assert_eq!(site.guard.stats().checks_left, 0);
}

/// The attack begins in the morning; hostile clients from elsewhere come all day long. Answers how
/// many checks the attackers' networks cost.
#[track_caller]
fn attack(budget: u32, attackers: impl Iterator<Item = IpAddr> + Clone) -> usize {
    let others: Vec<IpAddr> = (0..30).map(|n| network(0x1d00_0000, n * 77)).collect();
    let attacking: HashSet<IpAddr> = attackers.clone().collect();
    let site = Site::new(budget, others.iter().copied());
    site.clock.advance(8 * HOUR);
    let mut rotation = attackers.cycle();
    for other in others {
        site.clock.advance(Duration::from_secs(20 * 60));
        for attacker in rotation.by_ref().take(500) {
            site.request(attacker, "/wp-login.php").answered(404);
        }
        let is_checked = (0..3).any(|_| site.is_refused(other, "/.env"));
        assert!(is_checked, "{other} must be checked");
    }
    let spent = site.blacklist.asked();
    spent.iter().filter(|ip| attacking.contains(ip)).count()
}

#[test]
fn who_rotates_through_an_ipv6_48_spends_less_than_a_fifth() {
    let attackers = (0..15_000_u128).map(|n| {
        let bits = 0x3ffe_0001_0002 << 80 | (n * 7_919 % 65_536) << 64 | n;
        IpAddr::V6(bits.into())
    });
    let spent = attack(500, attackers);
    assert!((1..100).contains(&spent), "{spent}");
}

#[test]
fn addresses_of_an_ipv6_64_are_one_client() {
    let site = Site::new(500, []);
    let attacker = |n: u128| IpAddr::V6((0x3ffe_0001_0002_0003 << 64 | n).into());
    for n in 0..1_000 {
        site.request(attacker(n), "/wp-login.php").answered(404);
    }
    let checks = site.blacklist.checks();
    // A network may waste two of its own, and the pool pays for no client again.
    assert!((1..=2).contains(&checks), "{checks}");
}

#[test]
fn five_thousand_addresses_of_twenty_networks_spend_less_than_a_fifth() {
    let attackers = (0..5_000_u32).map(|n| {
        let bits = 0x1e00_0000 + ((n % 20) << 8) + n / 20;
        IpAddr::V4(bits.into())
    });
    for budget in [500, 1_000] {
        let spent = attack(budget, attackers.clone());
        assert!(spent > 0 && spent < budget as usize / 5, "{spent}");
    }
}

#[test]
fn strangers_come_before_refreshes() {
    let site = Site::new(40, []);
    // A day that wants all checks.
    for n in 0..40 {
        let _ = site.source(network(0x1a00_0000, n), "/.env");
        site.clock.advance(24 * HOUR / 40);
    }
    let known = network(0x1b00_0000, 1);
    assert_eq!(block_on(site.guard.check(known)).source(), Source::Api);
    site.clock.advance(HOUR);
    let before = site.blacklist.checks();
    assert_eq!(site.source(known, "/"), Source::Stale);
    block_on(site.guard.settled());
    assert_eq!(
        site.blacklist.checks(),
        before,
        "checks are kept for strangers"
    );
    // In the evening some are to spare.
    site.clock.advance(22 * HOUR + HOUR / 2);
    assert_eq!(site.source(known, "/"), Source::Stale);
    block_on(site.guard.settled());
    assert_eq!(site.blacklist.checks(), before + 1);
}

#[test]
fn what_was_learned_outlives_a_restart() {
    let probers: Vec<IpAddr> = (0..60).map(|n| network(0x1a00_0000, n * 256)).collect();
    // How many probes of the last one it takes after a restart. Most checks are spent, so they are
    // for clients that make many requests, or are likely to be listed.
    let probes_until_checked = |taught_by: &[IpAddr]| {
        const SPENT: u32 = 180;
        let folder = tempfile::tempdir().expect("a folder");
        let with_state = |guard: GuardBuilder| guard.state_dir(folder.path());
        {
            let site = Site::with(200, [], with_state);
            site.run_short("/", 70);
            // They are all clean: the site learns that a probe says little, until its score is
            // below the price.
            for &prober in taught_by {
                let _ = site.source(prober, "/.env");
            }
            site.spend(SPENT);
        }
        let site = Site::with(200, [], with_state);
        assert_eq!(site.guard.stats().checks_today, SPENT);
        let probes = (0..1_000).find(|_| {
            // A price holds for a second.
            site.clock.advance(Duration::from_secs(2));
            site.source(probers[59], "/.env") == Source::Api
        });
        probes.expect("it is checked in the end")
    };
    let (untaught, taught) = (
        probes_until_checked(&[]),
        probes_until_checked(&probers[..59]),
    );
    assert!(untaught + 3 < taught, "{untaught} {taught}");
}

#[test]
fn the_service_is_believed_when_it_says_that_less_is_left() {
    #[derive(Debug)]
    struct Stingy;
    impl CheckService for Stingy {
        fn check(&self, _: IpAddr) -> CheckFuture<'_> {
            let clean = Reputation {
                listed: false,
                confidence: 0,
                threat_type: None,
            };
            let quota = ipwhois_guard_core::Quota {
                left: 2,
                resets_in: None,
            };
            let reply = ipwhois_guard_core::CheckReply::from(clean);
            Box::pin(std::future::ready(Ok(reply.with_quota(Some(quota)))))
        }
    }
    let site = Site::with(500, [], |guard| guard.service(Stingy));
    assert_eq!(site.guard.stats().checks_left, 500);
    block_on(site.guard.check(CLEAN));
    assert_eq!(site.guard.stats().checks_left, 2);
}

#[test]
fn a_call_that_never_reached_the_service_costs_nothing() {
    let service = service();
    let guard = builder(&service).feed_url("").build().unwrap();
    service.refuse_connections();
    let failed = Source::Unverified(Unverified::CallFailed);
    assert_eq!(block_on(guard.check(CLEAN)).source(), failed);
    assert_eq!(guard.stats().checks_today, 0);
    service.accept_connections();
    assert_eq!(block_on(guard.check(LISTED)).source(), Source::Api);
    assert_eq!(guard.stats().checks_today, 1);
}

#[test]
fn an_exhausted_limit_empties_the_budget_until_the_service_wants_to_be_asked_again() {
    let service = service();
    let clock = ManualClock::new();
    let guard = builder(&service).clock(clock.clone()).build().unwrap();
    service.behave(Behaviour::rate_limited(600));
    block_on(guard.check(CLEAN));
    assert_eq!(guard.stats().checks_left, 0);
    service.recover();
    clock.advance(Duration::from_secs(600));
    assert_eq!(guard.stats().checks_left, 499);
    assert_eq!(block_on(guard.check(LISTED)).source(), Source::Api);
}
