//! Keys that hold what this version did not write.

use ipwhois_guard_core::store::{
    Announcement, Attempt, Failed, Scope, Seen, SharedError, SharedStore,
};

use super::server::{Server, until};
use super::{DAY, IP, LIMITS, LONG, attempt, ban, block, lift, listed, login};

const VERDICT: &str = "ipwhois-guard:verdict:{25.0.0.7}";
const LEASE: &str = "ipwhois-guard:lease:{25.0.0.7}";
const GRANTED: &str = "ipwhois-guard:{budget}:granted:20781";
const MACHINES: &str = "ipwhois-guard:{budget}:machines";
const FAILURES: &str = "ipwhois-guard:failures:{25.0.0.7}";
const ATTEMPTS: &str = "ipwhois-guard:attempts:{25.0.0.7}";
const TRIPPED: &str = "ipwhois-guard:tripped:{25.0.0.7}";
const BANS: &str = "ipwhois-guard:{bans}:ends";

/// Commands that put something strange into a key, which is `K`. None of it expires.
fn strange() -> Vec<Vec<String>> {
    let long = "1".repeat(100_000);
    let commands: &[&[&str]] = &[
        &["SET", "K", ""],
        &["SET", "K", "1"],
        &["SET", "K", "garbage"],
        &["SET", "K", "-5"],
        &["SET", "K", "1e9"],
        &["SET", "K", "4294967296"],
        &["SET", "K", "99999999999999999999"],
        &["SET", "K", &long],
        &["SET", "K", "\u{0}\u{1}\u{e9}"],
        &["SET", "K", "0 listed 95 scan 1790000000"],
        &["SET", "K", "2 listed 95 scan 1790000000"],
        &["SET", "K", "1 listed 101 scan 1790000000"],
        &["SET", "K", "1 listed 95 scan"],
        &["SET", "K", "1 0123456789abcdef"],
        &["RPUSH", "K", "1"],
        &["SADD", "K", "1"],
        &["HSET", "K", "1", "1"],
        &["ZADD", "K", "inf", "a", "-inf", "b", "1e300", "c", "5", "d"],
        &["XADD", "K", "*", "a", "1"],
    ];
    let owned = |command: &&[&str]| command.iter().map(|&word| word.to_owned()).collect();
    commands.iter().map(owned).collect()
}

fn put(server: &Server, command: &[String], key: &str) {
    let command: Vec<&str> = command
        .iter()
        .map(|word| if word == "K" { key } else { word })
        .collect();
    let _: redis::Value = server.does(&command);
}

fn expires(server: &Server, key: &str) -> bool {
    server.does::<i64>(&["PTTL", key]) > 0
}

#[tokio::test]
async fn a_verdict_that_cannot_be_read_is_none_and_is_written_over() {
    let server = Server::start();
    let store = server.store();
    for command in strange() {
        let _: () = server.does(&["FLUSHALL"]);
        put(&server, &command, VERDICT);
        let seen = store.look(IP, LONG).await;
        let is_none = matches!(seen, Ok(Seen::Leased) | Err(SharedError::Unreadable { .. }));
        assert!(is_none, "{command:?}: {seen:?}");
        store.learn(IP, listed(), LONG).await.unwrap();
        assert_eq!(store.look(IP, LONG).await.unwrap(), Seen::Verdict(listed()));
        assert!(expires(&server, VERDICT), "{command:?}");
    }
}

#[tokio::test]
async fn a_lease_that_cannot_be_one_is_taken() {
    let server = Server::start();
    let (store, other) = (server.store(), server.store());
    for command in strange() {
        let _: () = server.does(&["FLUSHALL"]);
        put(&server, &command, LEASE);
        store.release(IP).await.unwrap();
        assert_eq!(
            store.look(IP, LONG).await.unwrap(),
            Seen::Leased,
            "{command:?}"
        );
        assert!(expires(&server, LEASE), "{command:?}");
        assert_eq!(other.look(IP, LONG).await.unwrap(), Seen::Awaited);
        // What is no lease is none, even if it would go away by itself.
        put(&server, &["DEL".to_owned(), "K".to_owned()], LEASE);
        put(&server, &command, LEASE);
        let _: u32 = server.does(&["PEXPIRE", LEASE, "1000000"]);
        let is_one = command.contains(&"1 0123456789abcdef".to_owned());
        let seen = store.look(IP, LONG).await.unwrap();
        assert_eq!(seen == Seen::Awaited, is_one, "{command:?}: {seen:?}");
        put(&server, &["DEL".to_owned(), "K".to_owned()], LEASE);
        put(&server, &command, LEASE);
        store.learn(IP, listed(), LONG).await.unwrap();
        assert_eq!(other.look(IP, LONG).await.unwrap(), Seen::Verdict(listed()));
    }
}

#[tokio::test]
async fn a_count_that_is_none_counts_as_nothing() {
    let server = Server::start();
    let store = server.store();
    for command in strange() {
        for key in [GRANTED, MACHINES] {
            let _: () = server.does(&["FLUSHALL"]);
            put(&server, &command, key);
            store.give_back(DAY, 1).await.unwrap();
            let granted = store.grant(block(2)).await.unwrap();
            assert_eq!(granted.checks, 2, "{command:?} in {key}");
            assert_eq!(granted.count.granted, 2, "{command:?} in {key}");
            assert_eq!(granted.machines, 1, "{command:?} in {key}");
            assert!(expires(&server, key), "{command:?} in {key}");
            store.give_back(DAY, 1).await.unwrap();
            let granted = store.grant(block(1)).await.unwrap();
            assert_eq!(granted.count.granted, 2, "{command:?} in {key}");
        }
    }
}

async fn begin(store: &dyn SharedStore, n: u64) -> Attempt {
    let begun = store.begin_attempt(login(IP), attempt(n), LIMITS).await;
    begun.expect("it begins")
}

#[tokio::test]
async fn attempts_are_counted_whatever_was_in_the_way() {
    let server = Server::start();
    let store = server.store();
    for command in strange() {
        for key in [FAILURES, ATTEMPTS, TRIPPED] {
            let _: () = server.does(&["FLUSHALL"]);
            put(&server, &command, key);
            let begun = begin(&*store, 9).await;
            assert_eq!(begun, Attempt::Begun, "{command:?} in {key}");
            assert!(expires(&server, ATTEMPTS), "{command:?} in {key}");
            let _: () = server.does(&["FLUSHALL"]);
            put(&server, &command, key);
            for n in 1..=5_u32 {
                let failed = store
                    .fail_attempt(login(IP), attempt(n.into()), LIMITS)
                    .await;
                let expected = match n {
                    5 => Failed::Tripped {
                        scope: Scope::of(IP),
                    },
                    failures => Failed::Counted { failures },
                };
                assert_eq!(failed.unwrap(), expected, "{command:?} in {key}");
            }
            let begun = begin(&*store, 10).await;
            assert_ne!(begun, Attempt::Begun, "{command:?} in {key}");
            put(&server, &["DEL".to_owned(), "K".to_owned()], key);
            put(&server, &command, key);
            store.clear_failures(Scope::of(IP)).await.unwrap();
            let begun = begin(&*store, 9).await;
            assert_eq!(begun, Attempt::Begun, "{command:?} in {key}");
        }
    }
}

#[tokio::test]
async fn bans_are_told_whatever_was_in_the_way() {
    let server = Server::start();
    let store = server.store();
    for command in strange() {
        let _: () = server.does(&["FLUSHALL"]);
        put(&server, &command, BANS);
        // Nothing of it is a ban, and a listener survives it.
        let heard = std::sync::Mutex::new(Vec::new());
        let hear = |announcement| heard.lock().unwrap().push(announcement);
        let listening = store.listen(&hear);
        let telling = async {
            store.tell_bans(&lift([25, 0, 0, 8].into())).await.unwrap();
            until("what is announced is heard", || async {
                store.tell_bans(&ban(IP, LONG)).await.unwrap();
                (!heard.lock().unwrap().is_empty()).then_some(())
            })
            .await;
        };
        tokio::select! {
            ended = listening => panic!("{command:?}: {ended:?}"),
            () = telling => {}
        }
        let no_other_ban = heard.lock().unwrap().iter().all(|heard| match heard {
            Announcement::Ban(told) if !told.left.is_zero() => {
                told.scope == Scope::of(IP) && told.left <= LONG
            }
            _ => true,
        });
        assert!(no_other_ban, "{command:?}: {heard:?}");
        assert!(expires(&server, BANS), "{command:?}");
        let bans: u32 = server.does(&["ZCOUNT", BANS, "0", "+inf"]);
        assert_eq!(bans, 1, "{command:?}");
    }
}

#[tokio::test]
async fn announcements_that_cannot_be_read_are_passed_over() {
    let server = Server::start();
    let store = server.store();
    store.tell_bans(&ban(IP, LONG)).await.unwrap();
    let heard = std::sync::Mutex::new(Vec::new());
    let hear = |announcement| heard.lock().unwrap().push(announcement);
    let listening = store.listen(&hear);
    let telling = async {
        until("it listens", || async {
            (!heard.lock().unwrap().is_empty()).then_some(())
        })
        .await;
        for text in ["", "garbage", "2 unban 25.0.0.7", "1 unban nobody", "\u{0}"] {
            let _: u32 = server.does(&["PUBLISH", "ipwhois-guard:announcements:0", text]);
        }
        store.tell_bans(&lift(IP)).await.unwrap();
        until("what can be read is heard", || async {
            (heard.lock().unwrap().len() >= 2).then_some(())
        })
        .await;
    };
    tokio::select! {
        ended = listening => panic!("{ended:?}"),
        () = telling => {}
    }
    let last = heard.lock().unwrap().pop();
    assert!(
        matches!(last, Some(Announcement::Ban(told)) if told.left.is_zero()),
        "{last:?}"
    );
    assert_eq!(heard.lock().unwrap().len(), 1);
}
