use super::*;
use crate::observe::problem::CODES;
use crate::verdict::Unverified;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const SOON: SystemTime = SystemTime::UNIX_EPOCH;

fn well() -> Signs {
    Signs {
        max_failures: 5,
        feed: Some(fresh_feed()),
        has_key: true,
        ..Signs::default()
    }
}

fn fresh_feed() -> FeedSigns {
    FeedSigns {
        interval: 30 * MINUTE,
        age: Some(MINUTE),
        ..FeedSigns::default()
    }
}

/// What is wrong, by its codes, when these signs are not well.
#[track_caller]
fn check(change: impl FnOnce(&mut Signs), expected: &[&str]) {
    let mut signs = well();
    change(&mut signs);
    let problems = problems(&signs);
    let codes: Vec<&str> = problems.iter().map(Problem::code).collect();
    assert_eq!(codes, expected, "{signs:?}");
    for problem in problems {
        assert!(CODES.contains(&problem.code()), "{problem:?}");
        let sentence = problem.to_string();
        assert!(sentence.ends_with('.'), "{sentence}");
        assert!(!sentence.contains("  "), "{sentence}");
    }
}

fn feed(age: Option<Duration>, error: Option<&str>, is_refused: bool) -> FeedSigns {
    FeedSigns {
        age,
        error: error.map(str::to_owned),
        is_refused,
        ..fresh_feed()
    }
}

#[test]
fn nothing_is_wrong_with_a_guard_that_is_well() {
    check(|_| {}, &[]);
    check(|signs| signs.feed = None, &[]);
    check(|signs| signs.has_key = false, &[]);
    check(|signs| signs.feed = Some(feed(None, None, false)), &[]);
}

#[test]
fn a_feed_is_old_after_three_intervals_and_two_hours() {
    let aged = |interval, age| {
        move |signs: &mut Signs| {
            signs.feed = Some(FeedSigns {
                interval,
                age: Some(age),
                ..FeedSigns::default()
            });
        }
    };
    check(aged(30 * MINUTE, 2 * HOUR), &[]);
    check(aged(30 * MINUTE, 2 * HOUR + MINUTE), &["feed_old"]);
    check(aged(MINUTE, 2 * HOUR), &[]);
    check(aged(HOUR, 3 * HOUR), &[]);
    check(aged(HOUR, 3 * HOUR + MINUTE), &["feed_old"]);
    check(aged(Duration::MAX, 30 * 24 * HOUR), &[]);
}

#[test]
fn a_feed_that_cannot_be_had_is_missing_only_where_none_is_in_force() {
    let failed = |age| move |signs: &mut Signs| signs.feed = Some(feed(age, Some("no"), false));
    check(failed(None), &["feed_missing"]);
    check(failed(Some(MINUTE)), &[]);
    check(failed(Some(24 * HOUR)), &["feed_old"]);
}

#[test]
fn a_feed_that_is_not_believed_is_told_at_once() {
    let refused = |age| move |signs: &mut Signs| signs.feed = Some(feed(age, Some("no"), true));
    check(refused(None), &["feed_refused"]);
    check(refused(Some(MINUTE)), &["feed_refused"]);
    check(refused(Some(24 * HOUR)), &["feed_refused", "feed_old"]);
}

#[test]
fn a_refused_feed_is_not_said_to_leave_one_in_force_where_there_was_none() {
    let text = |age| {
        let signs = Signs {
            feed: Some(feed(age, Some("no"), true)),
            ..well()
        };
        problems(&signs)[0].to_string()
    };
    assert!(text(None).contains("none is in force"), "{}", text(None));
    let kept = text(Some(MINUTE));
    assert!(kept.contains("what was in force before stays"), "{kept}");
}

#[test]
fn a_refused_key_is_told_with_what_to_do() {
    check(|signs| signs.key_refused = Some(401), &["key_refused"]);
    let text = |has_key| {
        let status = 403;
        Problem::KeyRefused { status, has_key }.to_string()
    };
    assert!(text(true).contains("refuses the key with status 403"));
    assert!(text(false).contains("without a key: set `api_key`"));
}

#[test]
fn a_service_without_checks_or_answers_is_told() {
    check(|signs| signs.no_check_until = Some(SOON), &["budget_gone"]);
    let until = Problem::BudgetGone { until: SOON }.to_string();
    assert!(until.contains("until 1970-01-01T00:00:00Z"), "{until}");
    check(
        |signs| signs.checks_wanted = Some((2_000, 500)),
        &["budget_too_small"],
    );
    let (wanted, limit) = (2_000, 500);
    let text = Problem::BudgetTooSmall { wanted, limit }.to_string();
    assert!(
        text.contains("2000 clients a day") && text.contains("500 checks"),
        "{text}"
    );
    for wait in [Duration::ZERO, MINUTE] {
        check(|signs| signs.breaker_open = Some(wait), &["breaker_open"]);
    }
}

#[test]
fn a_service_that_fails_or_is_slow_now_and_then_is_told_with_what_it_does() {
    for (failed, late, words) in [
        (12, 0, "12 failed, so"),
        (0, 15, "15 were answered later than `max_wait`, so"),
        (8, 4, "8 failed and 4 were answered"),
    ] {
        let unreliable = Some(Unreliable {
            calls: 20,
            failed,
            late,
        });
        check(
            |signs| signs.unreliable = unreliable,
            &["service_unreliable"],
        );
        let calls = 20;
        let text = Problem::ServiceUnreliable {
            calls,
            failed,
            late,
            error: None,
        }
        .to_string();
        assert!(text.contains(words), "{text}");
        assert_eq!(text.contains("a longer `max_wait`"), late > 0, "{text}");
    }
}

#[test]
fn a_shared_tier_that_is_not_there_is_told() {
    let away = SharedSigns::Away(Some("gone".to_owned()));
    check(|signs| signs.shared = away, &["shared_tier_away"]);
    let unheard = SharedSigns::Unheard("refused".to_owned());
    check(|signs| signs.shared = unheard, &["shared_tier_unheard"]);
    check(
        |signs| signs.shared = SharedSigns::Missing,
        &["shared_tier_missing"],
    );
}

#[test]
fn a_state_folder_that_fails_is_told() {
    let error = Some("no room".to_owned());
    check(|signs| signs.state_error = error, &["state_failing"]);
}

#[test]
fn a_report_is_stuck_after_an_hour() {
    let waits = |oldest| {
        move |signs: &mut Signs| {
            signs.reports_pending = 3;
            signs.oldest_report = Some(oldest);
        }
    };
    check(waits(HOUR), &[]);
    check(waits(HOUR + MINUTE), &["reports_stuck"]);
}

#[test]
fn what_was_lost_lately_is_told() {
    check(|signs| signs.reports_lost = Some(2), &["reports_lost"]);
    check(
        |signs| signs.reports_refused = Some(2),
        &["reports_refused"],
    );
    check(|signs| signs.bans_lost = Some(2), &["bans_lost"]);
    check(|signs| signs.state_removals = Some(2), &["state_removed"]);
}

#[test]
fn clients_that_have_a_fault_in_common_are_told() {
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    let with = |change: fn(&mut Suspicions, Vec<IpAddr>), clients: &[IpAddr]| {
        let mut suspicions = Suspicions::default();
        change(&mut suspicions, clients.to_vec());
        move |signs: &mut Signs| signs.suspicions = suspicions
    };
    let forwarders = |suspicions: &mut Suspicions, clients| suspicions.forwarders = Some(clients);
    check(with(forwarders, &[CLIENT]), &["every_client_the_same"]);
    check(with(forwarders, &[CLIENT, OTHER]), &["proxies_not_trusted"]);
    check(with(forwarders, &[]), &["proxies_not_trusted"]);
    let not_public = |suspicions: &mut Suspicions, clients| suspicions.not_public = Some(clients);
    check(with(not_public, &[CLIENT]), &["every_client_the_same"]);
    check(with(not_public, &[CLIENT, OTHER]), &["clients_not_public"]);
    check(with(not_public, &[]), &["clients_not_public"]);
    let middlemen = |suspicions: &mut Suspicions, clients| suspicions.middlemen = Some(clients);
    for clients in [&[CLIENT, OTHER][..], &[CLIENT], &[]] {
        check(with(middlemen, clients), &["proxies_not_trusted"]);
    }
    let both = |suspicions: &mut Suspicions, clients: Vec<IpAddr>| {
        suspicions.not_public = Some(clients.clone());
        suspicions.middlemen = Some(clients);
    };
    let codes = ["clients_not_public", "proxies_not_trusted"];
    check(with(both, &[CLIENT, OTHER]), &codes);
    for reason in [
        Unverified::NoPeer,
        Unverified::BadHeader,
        Unverified::NoHeader,
        Unverified::UnixPeer,
    ] {
        check(
            |signs| signs.suspicions.unknown = Some(reason),
            &["clients_unknown"],
        );
    }
}

#[test]
fn a_problem_names_the_last_error() {
    let signs = Signs {
        breaker_open: Some(MINUTE),
        unreliable: Some(Unreliable {
            calls: 10,
            failed: 10,
            late: 0,
        }),
        check_error: Some("the check's error".to_owned()),
        oldest_report: Some(2 * HOUR),
        reports_lost: Some(1),
        reports_refused: Some(1),
        report_error: Some("the report's error".to_owned()),
        ..well()
    };
    for problem in problems(&signs) {
        let text = problem.to_string();
        let error = match problem.code() {
            "breaker_open" | "service_unreliable" => "(the check's error)",
            _ => "(the report's error)",
        };
        assert!(text.contains(error), "{text}");
    }
    let slow = Signs {
        unreliable: Some(Unreliable {
            calls: 10,
            failed: 0,
            late: 10,
        }),
        check_error: signs.check_error,
        ..well()
    };
    let text = problems(&slow)[0].to_string();
    assert!(!text.contains("error"), "none of the calls failed: {text}");
}

#[test]
fn a_feed_that_was_made_more_than_two_days_ago_is_old_however_often_it_is_fetched() {
    let made = |ago| {
        move |signs: &mut Signs| {
            signs.feed = Some(FeedSigns {
                generated_ago: Some(ago),
                ..fresh_feed()
            });
        }
    };
    check(made(48 * HOUR), &[]);
    check(made(48 * HOUR + MINUTE), &["feed_old"]);
    let text = Problem::FeedOld {
        age: MINUTE,
        generated_ago: Some(72 * HOUR),
        error: None,
    }
    .to_string();
    assert!(text.contains("made the feed in force 3days ago"), "{text}");
}

#[test]
fn a_client_that_is_spared_is_told_when_it_would_have_been_banned() {
    check(|signs| signs.spared = Some((CLIENT, 4)), &[]);
    check(
        |signs| signs.spared = Some((CLIENT, 5)),
        &["client_not_banned"],
    );
}

#[test]
fn all_that_is_wrong_is_told() {
    check(
        |signs| {
            signs.key_refused = Some(401);
            signs.breaker_open = Some(MINUTE);
            signs.bans_lost = Some(1);
        },
        &["key_refused", "breaker_open", "bans_lost"],
    );
}
