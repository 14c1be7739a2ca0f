//! Failed logins, through the guard.

use ipwhois_guard_core::{AllowedClient, BanScope, DenialKind, Mode};

use super::*;

struct Login {
    peer: IpAddr,
    forwarded_for: Option<&'static str>,
}

impl RequestHead for Login {
    fn method(&self) -> &str {
        "POST"
    }

    fn path(&self) -> &str {
        "/login"
    }

    fn peer(&self) -> Peer {
        self.peer.into()
    }

    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        let line = self.forwarded_for.filter(|_| name == "x-forwarded-for");
        line.map(str::as_bytes).into_iter()
    }
}

/// The client as a handler gets it, or the status of its denial.
fn client(guard: &Guard, login: &Login) -> Result<AllowedClient, u16> {
    let looking =
        Guarded::by_extractor(None, || Some(guard.clone()), login).expect("the set-up is right");
    let client = block_on(looking).admit();
    client.map_err(|denial| denial.status())
}

fn visitor(guard: &Guard, ip: IpAddr) -> Result<AllowedClient, u16> {
    let login = Login {
        peer: ip,
        forwarded_for: None,
    };
    client(guard, &login)
}

/// What the n-th failure is answered.
fn fail(guard: &Guard, ip: IpAddr) -> Option<u16> {
    match visitor(guard, ip) {
        Ok(client) => block_on(client.failed_login())
            .err()
            .map(|denial| denial.status()),
        Err(status) => Some(status),
    }
}

#[test]
fn the_fifth_failure_bans_and_is_reported_once() {
    let service = service();
    let clock = ManualClock::new();
    let guard = builder(&service).clock(clock.clone()).build().unwrap();
    for _ in 0..4 {
        assert_eq!(fail(&guard, CLEAN), None);
    }
    let client = visitor(&guard, CLEAN).unwrap();
    let denial = block_on(client.failed_login()).unwrap_err();
    assert_eq!(denial.kind(), DenialKind::TooManyAttempts);
    let retry_after = |denial: &Denial| {
        let mut headers = denial.headers();
        let header = headers.find(|(name, _)| *name == "retry-after");
        header.map(|(_, value)| value.into_owned())
    };
    assert_eq!(retry_after(&denial).as_deref(), Some("3600"));
    clock.advance(Duration::from_secs(600));
    assert_eq!(visitor(&guard, CLEAN).err(), Some(429));
    let head = Head {
        path: "/anything",
        peer: Peer::Ip(CLEAN),
        forwarded_for: None,
    };
    let decision = block_on(guard.decide(&head).decision());
    assert_eq!(decision.verdict().source(), Source::Banned);
    assert_eq!(
        retry_after(decision.denial().unwrap()).as_deref(),
        Some("3000")
    );
    assert!(service.wait_for_reports(1, PATIENCE));
    assert_eq!(block_on(guard.shutdown(PATIENCE)), 0);
    let reports = service.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].threat_type, "brute-force");
    assert_eq!(reports[0].message, "5 failed logins within 10m");
    assert_eq!(reports[0].source, "waf");
    clock.advance(Duration::from_secs(3_000));
    assert!(visitor(&guard, CLEAN).is_ok(), "the ban is over");
}

/// What an attempt for an account with a wrong password is answered.
fn guess_at(guard: &Guard, account: &str) -> Option<u16> {
    let client = match visitor(guard, CLEAN) {
        Ok(client) => client,
        Err(status) => return Some(status),
    };
    let answer = match block_on(client.login_attempt_for(account)) {
        Ok(attempt) => block_on(attempt.failed()),
        Err(denial) => Err(denial),
    };
    answer.err().map(|denial| denial.status())
}

#[test]
fn logging_in_to_ones_own_account_buys_no_guesses_at_another() {
    let guard = builder(&service()).build().unwrap();
    for own in [Some("attacker"), None] {
        for _ in 0..2 {
            assert_eq!(guess_at(&guard, "victim"), None);
            let client = visitor(&guard, CLEAN).unwrap();
            let attempt = match own {
                Some(own) => block_on(client.login_attempt_for(own)),
                None => block_on(client.login_attempt()),
            };
            block_on(attempt.unwrap().succeeded());
        }
    }
    assert_eq!(guess_at(&guard, "victim"), Some(429), "the fifth");
}

#[test]
fn a_success_forgives_failures_for_its_account_and_a_pardon_all() {
    let guard = builder(&service()).build().unwrap();
    for _ in 0..5 {
        for _ in 0..4 {
            assert_eq!(guess_at(&guard, "typist"), None);
        }
        let client = visitor(&guard, CLEAN).unwrap();
        let attempt = block_on(client.login_attempt_for("typist")).unwrap();
        block_on(attempt.succeeded());
    }
    for _ in 0..5 {
        for account in ["a", "b", "c", "d"] {
            assert_eq!(guess_at(&guard, account), None);
        }
        block_on(visitor(&guard, CLEAN).unwrap().pardon());
    }
}

#[test]
fn an_account_that_many_clients_guess_at_is_counted_and_its_owner_gets_in() {
    let guard = builder(&service()).build().unwrap();
    for n in 1..=30 {
        let attempt = block_on(guard.login_attempt_for([26, 2, 0, n].into(), "demo"));
        block_on(attempt.unwrap().failed()).unwrap();
    }
    let attempt = block_on(guard.login_attempt_for(CLEAN, "demo"));
    block_on(attempt.unwrap().succeeded());
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let text = ::metrics::with_local_recorder(&recorder, || {
        guard.publish_metrics();
        recorder.handle().render()
    });
    assert!(
        text.contains("ipwhois_guard_accounts_attacked_total 1\n"),
        "{text}"
    );
    assert!(!text.contains("demo"));
}

#[test]
fn an_office_of_forty_right_passwords_gets_in_and_a_guess_waits_no_longer_than_two_seconds() {
    let guard = builder(&service()).build().unwrap();
    let logins = (0..40).map(|_| {
        let guard = guard.clone();
        std::thread::spawn(move || {
            let attempt = block_on(guard.login_attempt(CLEAN)).expect("a place is free in time");
            std::thread::sleep(Duration::from_millis(5));
            block_on(attempt.succeeded());
        })
    });
    let logins: Vec<_> = logins.collect();
    logins.into_iter().for_each(|login| login.join().unwrap());
    let under_way: Vec<_> = (0..5)
        .map(|_| block_on(guard.login_attempt(CLEAN)))
        .collect();
    let begun = std::time::Instant::now();
    assert!(block_on(guard.login_attempt(CLEAN)).is_err());
    assert!(begun.elapsed() >= Duration::from_secs(2));
    drop(under_way);
}

#[test]
fn a_ban_may_hold_for_logins_alone() {
    let guard = builder(&service())
        .ban_scope(BanScope::Logins)
        .build()
        .unwrap();
    for _ in 0..4 {
        assert_eq!(guess_at(&guard, "demo"), None);
    }
    assert_eq!(guess_at(&guard, "demo"), Some(429));
    let client = visitor(&guard, CLEAN).expect("the rest of the site is open");
    assert!(block_on(client.login_attempt_for("demo")).is_err());
}

#[test]
fn bans_and_failures_outlive_a_restart_with_what_is_left_of_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let service = service();
    let clock = ManualClock::new();
    let start = || {
        let guard = builder(&service)
            .clock(clock.clone())
            .state_dir(folder.path());
        let guard = guard.build().unwrap();
        block_on(guard.ready());
        guard
    };
    let subscriber: IpAddr = "3ffe:1:2:3::1".parse().unwrap();
    let guard = start();
    guard.ban(CLEAN, Duration::from_secs(600));
    guard.ban([26, 0, 0, 9].into(), Duration::from_secs(600));
    guard.unban([26, 0, 0, 9].into());
    for _ in 0..2 {
        let attempt = block_on(guard.login_attempt_for(subscriber, "typist"));
        block_on(attempt.unwrap().failed()).unwrap();
        assert_eq!(fail(&guard, subscriber), None);
    }
    drop(guard);
    clock.advance(Duration::from_secs(60));
    let guard = start();
    assert_eq!(guard.stats().active_bans, 1);
    assert_eq!(visitor(&guard, CLEAN).err(), Some(429));
    // The account is known by the same key.
    let attempt = block_on(guard.login_attempt_for(subscriber, "typist"));
    block_on(attempt.unwrap().succeeded());
    for expected in [None, None, Some(429)] {
        assert_eq!(fail(&guard, subscriber), expected);
    }
    drop(guard);
    clock.advance(Duration::from_secs(540));
    let guard = start();
    assert!(visitor(&guard, CLEAN).is_ok(), "the ban is over");
    assert_eq!(visitor(&guard, subscriber).err(), Some(429));
    drop(guard);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(
            !bytes.windows(6).any(|bytes| bytes == b"typist"),
            "no names are kept"
        );
    }
}

#[test]
fn of_a_hundred_guesses_at_once_five_reach_the_password_check() {
    let guard = builder(&service()).build().unwrap();
    let attempts = std::thread::scope(|scope| {
        let guess = || {
            let client = visitor(&guard, CLEAN).unwrap();
            block_on(client.login_attempt())
        };
        let guesses: Vec<_> = (0..100).map(|_| scope.spawn(guess)).collect();
        let attempts = guesses.into_iter().map(|guess| guess.join().unwrap());
        attempts.collect::<Vec<_>>()
    });
    let begun: Vec<_> = attempts.into_iter().flatten().collect();
    assert_eq!(begun.len(), 5);
    let tripped = begun
        .into_iter()
        .map(|attempt| block_on(attempt.failed()))
        .filter(Result::is_err)
        .count();
    assert_eq!(tripped, 1);
    assert_eq!(visitor(&guard, CLEAN).err(), Some(429));
}

#[test]
fn an_attempt_that_is_dropped_counts_as_failed() {
    let guard = builder(&service()).build().unwrap();
    for _ in 0..5 {
        let client = visitor(&guard, CLEAN).unwrap();
        drop(block_on(client.login_attempt()).unwrap());
    }
    assert_eq!(visitor(&guard, CLEAN).err(), Some(429));
    let lucky = [26, 0, 0, 2].into();
    for _ in 0..5 {
        let client = visitor(&guard, lucky).unwrap();
        block_on(block_on(client.login_attempt()).unwrap().succeeded());
    }
    assert!(visitor(&guard, lucky).is_ok());
}

#[test]
fn rotating_inside_an_ipv6_64_does_not_help() {
    let guard = builder(&service()).build().unwrap();
    let address = |n: u32| format!("3ffe:1:2:3::{n}").parse().unwrap();
    for n in 0..4 {
        assert_eq!(fail(&guard, address(n)), None);
    }
    assert_eq!(fail(&guard, address(4)), Some(429));
    assert_eq!(visitor(&guard, address(99)).err(), Some(429));
    assert!(visitor(&guard, "3ffe:1:2:4::1".parse().unwrap()).is_ok());
}

#[test]
fn monitor_mode_counts_and_refuses_nobody() {
    let service = service();
    let guard = builder(&service).mode(Mode::Monitor).build().unwrap();
    for _ in 0..10 {
        assert_eq!(fail(&guard, CLEAN), None);
    }
    let client = visitor(&guard, CLEAN).unwrap();
    assert_eq!(client.verdict().source(), Source::Banned);
    assert!(!client.verdict().is_allowed());
    assert!(block_on(client.login_attempt()).is_ok());
    assert!(service.wait_for_reports(1, PATIENCE));
}

#[test]
fn ones_own_addresses_are_not_banned_and_private_clients_are_banned_and_not_reported() {
    let service = service();
    let guard = builder(&service)
        .trusted_proxies(["10.0.0.0/8"])
        .allow(["26.0.0.1"])
        .build()
        .unwrap();
    for _ in 0..10 {
        assert_eq!(fail(&guard, CLEAN), None, "allowlisted");
        assert!(block_on(guard.failed_login([10, 0, 0, 1].into())).is_ok());
    }
    let private = [192, 168, 0, 9].into();
    let answers: Vec<_> = (0..6).map(|_| fail(&guard, private)).collect();
    assert_eq!(answers, [None, None, None, None, Some(429), Some(429)]);
    assert_eq!(block_on(guard.shutdown(PATIENCE)), 0);
    assert!(service.reports().is_empty());
}

#[test]
fn a_proxy_that_nobody_configured_is_not_banned() {
    let guard = builder(&service()).build().unwrap();
    let proxied = Login {
        peer: [192, 168, 0, 1].into(),
        forwarded_for: Some("26.0.0.1"),
    };
    for _ in 0..10 {
        let client = client(&guard, &proxied).unwrap();
        assert!(block_on(client.failed_login()).is_ok());
    }
}

#[test]
fn the_application_may_word_the_report_itself() {
    let service = service();
    let guard = builder(&service)
        .word_reports(|trip| format!("{} guesses\nat {}", trip.failures, trip.client))
        .max_failures(2)
        .build()
        .unwrap();
    for _ in 0..2 {
        let _ = block_on(guard.failed_login(CLEAN));
    }
    assert!(service.wait_for_reports(1, PATIENCE));
    assert_eq!(service.reports()[0].message, "2 guesses at 26.0.0.1");
}

#[test]
fn operators_can_ban_and_unban() {
    let guard = builder(&service()).build().unwrap();
    guard.ban(CLEAN, Duration::from_secs(60));
    assert_eq!(guard.stats().active_bans, 1);
    assert_eq!(visitor(&guard, CLEAN).err(), Some(429));
    guard.unban(CLEAN);
    assert!(visitor(&guard, CLEAN).is_ok());
}

#[test]
fn clients_that_nobody_can_tell_apart_share_fifty_failures_and_lock_nobody_else_out() {
    let service = service();
    let guard = builder(&service)
        .trusted_proxies(["10.0.0.0/8"])
        .build()
        .unwrap();
    let login = |forwarded_for| Login {
        peer: [10, 0, 0, 1].into(),
        forwarded_for,
    };
    let fail = |forwarded_for| {
        let client = client(&guard, &login(forwarded_for)).unwrap();
        match block_on(client.login_attempt()) {
            Ok(attempt) => block_on(attempt.failed()).is_ok(),
            Err(_) => false,
        }
    };
    let answered = (0..100).filter(|n| fail((n % 2 == 0).then_some("rubbish")));
    assert_eq!(answered.count(), 49);
    // A right password among them forgives nothing.
    let nameless = client(&guard, &login(None)).unwrap();
    assert!(block_on(nameless.login_attempt()).is_err());
    let named = client(&guard, &login(Some("26.0.0.1"))).unwrap();
    assert!(block_on(named.login_attempt()).is_ok());
    assert_eq!(block_on(guard.shutdown(PATIENCE)), 0);
    assert!(service.reports().is_empty());
}
