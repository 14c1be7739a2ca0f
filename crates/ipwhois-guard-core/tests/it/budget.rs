//! The day's budget, through the guard: who is checked first, and who cannot spend it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use ipwhois_guard_core::{CheckFuture, CheckService, Reputation};

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

    /// Visitors from networks of their own, until one has to wait for a check.
    fn use_up_the_pace(&self) {
        self.use_up_the_pace_for(1);
    }

    /// The same, until one has to wait however often it comes.
    fn use_up_the_pace_for(&self, visits: usize) {
        let mut strangers = (0..100_000).map(|n| network(0x1b00_0000, n));
        let waits = |client| (0..visits).all(|_| self.source(client, "/") == NO_BUDGET);
        assert!(strangers.any(waits));
    }
}

const NO_BUDGET: Source = Source::Unverified(Unverified::NoBudget);

/// The first address of the n-th /24.
fn network(first: u32, n: u32) -> IpAddr {
    Ipv4Addr::from_bits(first + (n << 8) + 1).into()
}

#[test]
fn visitors_are_checked_at_the_pace_of_the_day_and_nothing_is_lost() {
    let site = Site::new(500, []);
    let mut n = 0;
    let mut visits_until_the_pace_is_used_up = || {
        while site.source(network(0x1a00_0000, n), "/") == Source::Api {
            n += 1;
        }
        n += 1;
        site.blacklist.checks()
    };
    let at_midnight = visits_until_the_pace_is_used_up();
    assert!((1..60).contains(&at_midnight), "{at_midnight}");
    site.clock.advance(12 * HOUR);
    let at_noon = visits_until_the_pace_is_used_up();
    assert!((200..300).contains(&at_noon), "{at_noon}");
    site.clock.advance(12 * HOUR - Duration::from_secs(60));
    let in_the_end = visits_until_the_pace_is_used_up();
    assert_eq!(in_the_end, 450, "a tenth is for urgent checks");
    site.clock.advance(Duration::from_secs(60));
    assert_eq!(site.guard.stats().checks_today, 0);
    assert_eq!(site.guard.stats().checks_left, 500);
    assert!(visits_until_the_pace_is_used_up() > 450, "another day");
}

#[test]
fn a_frequent_visitor_is_checked_before_a_new_one() {
    let site = Site::new(500, []);
    site.use_up_the_pace();
    let regular = network(0x1a00_0000, 1);
    let checked = (0..20).any(|_| site.source(regular, "/") == Source::Api);
    assert!(checked);
    assert_eq!(site.source(network(0x1a00_0000, 2), "/"), NO_BUDGET);
}

#[test]
fn a_probe_is_checked_before_it_is_answered() {
    let site = Site::new(500, [LISTED]);
    site.use_up_the_pace();
    assert!(!site.is_refused(LISTED, "/"), "nobody knows it yet");
    assert!(site.is_refused(LISTED, "/wp-login.php"));
    assert!(site.is_refused(LISTED, "/"));
}

#[test]
fn a_probe_outside_of_the_rules_counts_inside() {
    let site = Site::with(500, [LISTED], |guard| guard.protect("/admin"));
    for n in 0..1_000 {
        let _ = site.source(network(0x1b00_0000, n), "/admin");
    }
    assert_eq!(site.source(LISTED, "/.env"), Source::NotInScope);
    assert!(site.is_refused(LISTED, "/admin"));
}

#[test]
fn two_refused_answers_bring_the_check_forward_and_one_does_not() {
    let site = Site::new(500, [LISTED]);
    site.use_up_the_pace_for(20);
    for (path, status) in [
        ("/typo", 404),
        ("/", 200),
        ("/", 500),
        ("/", 301),
        ("/favicon.ico", 404),
        ("/apple-touch-icon.png", 404),
    ] {
        let request = site.request(LISTED, path);
        assert_eq!(request.decision().verdict().source(), NO_BUDGET, "{path}");
        request.answered(status);
    }
    site.request(LISTED, "/another").answered(403);
    assert!(site.is_refused(LISTED, "/"));
}

#[test]
fn a_broken_image_that_everybody_gets_brings_nobody_forward() {
    let site = Site::new(500, [LISTED]);
    site.use_up_the_pace_for(20);
    let see = |client, path| {
        let request = site.request(client, path);
        let source = request.decision().verdict().source();
        request.answered(404);
        source
    };
    let broken = ["/images/a.png", "/images/b.png", "/images/c.png"];
    for (n, path) in (0..9).zip(broken.into_iter().cycle()) {
        assert_eq!(see(network(0x1c00_0000, n), path), NO_BUDGET);
    }
    for path in broken.into_iter().chain(broken) {
        assert_eq!(see(LISTED, path), NO_BUDGET, "{path}");
    }
    assert_eq!(site.source(LISTED, "/"), NO_BUDGET);
}

#[test]
fn an_unknown_client_that_logs_in_is_checked_ahead_of_others() {
    let site = Site::new(500, [LISTED]);
    site.use_up_the_pace();
    assert_eq!(site.source(network(0x1a00_0000, 1), "/"), NO_BUDGET);
    assert!(site.is_refused(LISTED, "/account/login?next=/"));
    let site = Site::with(500, [LISTED], |guard| guard.login_paths(["/enter"]));
    site.use_up_the_pace();
    assert_eq!(site.source(LISTED, "/login"), NO_BUDGET);
    assert!(site.is_refused(LISTED, "/enter"));
}

#[test]
fn visitors_who_log_in_delay_no_suspect() {
    let site = Site::new(500, [LISTED]);
    for visitor in 0..3 {
        for n in 0..30 {
            let _ = site.source(network(0x1c00_0000 + visitor, n), "/login");
        }
    }
    assert!(site.is_refused(LISTED, "/.env"), "at its first probe");
}

#[test]
fn the_applications_word_brings_the_check_forward() {
    let site = Site::new(500, [LISTED]);
    site.use_up_the_pace();
    let client = site.request(LISTED, "/").admit().unwrap();
    client.suspect("the honeypot field was filled in");
    assert!(site.is_refused(LISTED, "/"));
}

#[test]
fn an_unknown_client_of_a_sensitive_rule_is_checked_ahead_of_others() {
    let site = Site::with(500, [LISTED], |guard| {
        guard
            .protect("/")
            .protect(Rule::path("/admin").sensitive(true))
    });
    site.use_up_the_pace();
    assert_eq!(site.source(network(0x1a00_0000, 1), "/"), NO_BUDGET);
    assert!(site.is_refused(LISTED, "/admin"));
}

#[test]
fn an_explicit_check_may_use_the_budget_to_its_last() {
    let site = Site::new(100, []);
    site.clock.advance(24 * HOUR - Duration::from_secs(1));
    for n in 0..200 {
        let _ = site.source(network(0x1a00_0000, n), "/");
    }
    assert_eq!(site.blacklist.checks(), 90);
    for n in 0..20 {
        // All of one network: no ration holds.
        let client = Ipv4Addr::from_bits(0x1c00_0000 + n).into();
        let source = block_on(site.guard.check(client)).source();
        assert_eq!(source, if n < 10 { Source::Api } else { NO_BUDGET });
    }
    assert_eq!(site.guard.stats().checks_left, 0);
}

/// The attack begins in the morning; hostile clients from elsewhere come all day long. Answers how many checks the
/// attackers' networks cost.
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
        assert!(site.is_refused(other, "/.env"), "{other} must be checked");
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
fn who_rotates_through_an_ipv6_64_gets_three_checks_an_hour() {
    let site = Site::new(100_000, []);
    let attacker = |n: u128| IpAddr::V6((0x3ffe_0001_0002_0003 << 64 | n).into());
    for n in 0..1_000 {
        site.request(attacker(n), "/wp-login.php").answered(404);
    }
    assert_eq!(site.blacklist.checks(), 3);
    let rationed = Source::Unverified(Unverified::Rationed);
    assert_eq!(site.source(attacker(1_001), "/.env"), rationed);
    site.clock.advance(HOUR);
    assert_eq!(site.source(attacker(1_002), "/.env"), Source::Api);
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
    let site = Site::new(500, []);
    // In the morning as many are known as the pace allows.
    site.clock.advance(6 * HOUR);
    let known: Vec<IpAddr> = (0..1_000).map(|n| network(0x1a00_0000, n)).collect();
    let known: Vec<IpAddr> = known
        .into_iter()
        .take_while(|client| site.source(*client, "/") == Source::Api)
        .collect();
    site.clock.advance(HOUR);
    let before = site.blacklist.checks();
    for client in &known {
        assert_eq!(site.source(*client, "/"), Source::Stale);
    }
    block_on(site.guard.settled());
    assert_eq!(
        site.blacklist.checks(),
        before,
        "the hour's checks are kept"
    );
    assert_eq!(site.source(network(0x1c00_0000, 0), "/"), Source::Api);
    // With room to spare they are refreshed.
    site.clock.advance(14 * HOUR);
    for client in &known {
        assert_eq!(site.source(*client, "/"), Source::Stale);
    }
    block_on(site.guard.settled());
    assert!(site.blacklist.checks() > before + 20);
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
