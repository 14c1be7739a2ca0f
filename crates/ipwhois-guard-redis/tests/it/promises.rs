//! What the trait promises, and what this implementation adds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ipwhois_guard_core::store::{
    AccountKey, Announcement, Attempt, Failed, Scope, Seen, SharedStore, suite,
};
use ipwhois_guard_redis::RedisStore;

use super::proxy::Proxy;
use super::server::{Server, store, until};
use super::{DAY, IP, LIMITS, LONG, attempt, ban, block, lift, listed, login};

#[tokio::test]
async fn the_tier_keeps_the_promises_of_the_trait() {
    let server = Server::start();
    let places = AtomicU32::new(0);
    // One server for all: that the places do not know of each other is the prefix's promise.
    suite::run(|| {
        let prefix = format!("place-{}:", places.fetch_add(1, Ordering::Relaxed));
        let url = server.url();
        move || {
            let store = RedisStore::builder(url.clone())
                .prefix(prefix.clone())
                .connect();
            Arc::new(store.expect("a store")) as Arc<dyn SharedStore>
        }
    })
    .await;
}

#[tokio::test]
async fn the_keys_of_a_script_are_in_one_slot_of_a_cluster() {
    let server = Server::start_with(&["--cluster-enabled", "yes"]);
    let _: () = server.does(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    until("the cluster is up", || async {
        let info: String = server.does(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok").then_some(())
    })
    .await;
    call_everything(&*server.store()).await;
}

/// Calls each method once; all of them succeed.
pub(crate) async fn call_everything(store: &dyn SharedStore) {
    assert_eq!(store.look(IP, LONG).await.expect("an answer"), Seen::Leased);
    store.release(IP).await.expect("an answer");
    store.learn(IP, listed(), LONG).await.expect("an answer");
    assert_eq!(
        store.look(IP, LONG).await.expect("an answer"),
        Seen::Verdict(listed())
    );
    let granted = store.grant(block(7)).await.expect("an answer");
    assert_eq!((granted.checks, granted.count.granted), (7, 7));
    store.give_back(DAY, 7).await.expect("an answer");
    let begun = store.begin_attempt(login(IP), attempt(1), LIMITS).await;
    assert_eq!(begun.expect("an answer"), Attempt::Begun);
    let failed = store.fail_attempt(login(IP), attempt(1), LIMITS).await;
    let expected = Failed::Counted { failures: 1 };
    assert_eq!(failed.expect("an answer"), expected);
    let ended = store.end_attempt(login(IP), attempt(2)).await;
    ended.expect("an answer");
    store.greet(AccountKey(1)).await.expect("an answer");
    store
        .clear_failures(Scope::of(IP))
        .await
        .expect("an answer");
    store.tell_bans(&ban(IP, LONG)).await.expect("an answer");
    store.tell_bans(&lift(IP)).await.expect("an answer");
}

#[tokio::test]
async fn each_call_is_one_command() {
    let server = Server::start();
    let proxy = Proxy::start(&server.socket()).await;
    let store = store(&proxy.url());
    store.release(IP).await.unwrap();
    let connecting = proxy.commands();
    call_everything(&*store).await;
    assert_eq!(proxy.commands() - connecting, 13);
    assert_eq!(proxy.connections(), 1, "all calls share a connection");
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_scripts_gets_them_again() {
    let server = Server::start();
    let proxy = Proxy::start(&server.socket()).await;
    let store = store(&proxy.url());
    store.release(IP).await.unwrap();
    let _: () = server.does(&["SCRIPT", "FLUSH"]);
    let before = proxy.commands();
    call_everything(&*store.clone()).await;
    // Eleven scripts (two are called twice), each of them told once more.
    assert_eq!(proxy.commands() - before, 13 + 11);
}

#[tokio::test]
async fn every_key_expires() {
    let server = Server::start();
    let store = server.store();
    let short = Duration::from_secs(50);
    let other = [25, 0, 0, 8].into();
    store.look(IP, short).await.unwrap();
    store.learn(other, listed(), short).await.unwrap();
    store.grant(block(1)).await.unwrap();
    let begun = store.begin_attempt(login(IP), attempt(7), LIMITS).await;
    begun.unwrap();
    let failed = store.fail_attempt(login(IP), attempt(6), LIMITS).await;
    failed.unwrap();
    for n in 1..=5 {
        store
            .fail_attempt(login(other), attempt(n), LIMITS)
            .await
            .unwrap();
    }
    store.tell_bans(&ban(IP, LONG)).await.unwrap();
    store.tell_bans(&ban(other, short)).await.unwrap();
    store.tell_bans(&lift([25, 0, 0, 9].into())).await.unwrap();
    // What was never granted leaves no count behind.
    store.give_back(DAY - 1, 1).await.unwrap();
    let expected = [
        ("ipwhois-guard:attempts:{25.0.0.7}", 30),
        ("ipwhois-guard:ended:{25.0.0.7}:6", 30),
        ("ipwhois-guard:failures:{25.0.0.7}", 600),
        ("ipwhois-guard:lease:{25.0.0.7}", 50),
        ("ipwhois-guard:tripped:{25.0.0.8}", 2),
        ("ipwhois-guard:verdict:{25.0.0.8}", 50),
        ("ipwhois-guard:{bans}:ends", 3600),
        ("ipwhois-guard:{bans}:lifted", 30 * 24 * 3600),
        ("ipwhois-guard:{bans}:since", 3600),
        ("ipwhois-guard:{budget}:granted:20781", 2 * 24 * 3600),
        ("ipwhois-guard:{budget}:machines", 3600),
    ];
    let mut keys: Vec<String> = server.does(&["KEYS", "*"]);
    keys.sort();
    keys.retain(|key| !key.starts_with("ipwhois-guard:ended:{25.0.0.8}"));
    let names: Vec<&str> = expected.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, names, "these keys are there, and no others");
    for (key, seconds) in expected {
        let left: i64 = server.does(&["PTTL", key]);
        assert!(left <= seconds * 1000, "{key}: {left}");
        assert!(left > 0 || seconds == 2, "{key}: {left}");
    }
}

#[tokio::test]
async fn the_bans_of_a_large_site_are_told_in_pages() {
    let server = Server::start();
    let store = server.store();
    let clients = 2345_u32;
    for n in 0..clients {
        let bytes = n.to_be_bytes();
        store
            .tell_bans(&ban([25, 1, bytes[2], bytes[3]].into(), LONG))
            .await
            .unwrap();
    }
    let heard = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let hear = |announcement| {
        if let Announcement::Ban(told) = announcement {
            heard.lock().unwrap().insert(told.scope);
        }
    };
    let begun = Instant::now();
    let listening = store.listen(&hear);
    let all = until("all bans are told", || async {
        (heard.lock().unwrap().len() == clients as usize).then_some(())
    });
    tokio::select! {
        ended = listening => panic!("{ended:?}"),
        () = all => {}
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn databases_do_not_hear_each_other() {
    let server = Server::start();
    let first = server.store();
    let second = store(&format!("{}?db=1", server.url()));
    second.tell_bans(&ban(IP, LONG)).await.unwrap();
    let heard = std::sync::Mutex::new(Vec::new());
    let hear = |announcement| heard.lock().unwrap().push(announcement);
    let listening = second.listen(&hear);
    let other = async {
        until("it listens", || async {
            (!heard.lock().unwrap().is_empty()).then_some(())
        })
        .await;
        first
            .tell_bans(&ban([25, 0, 0, 8].into(), LONG))
            .await
            .unwrap();
        second.tell_bans(&lift(IP)).await.unwrap();
        until("it hears its own", || async {
            (heard.lock().unwrap().len() >= 2).then_some(())
        })
        .await;
    };
    tokio::select! {
        ended = listening => panic!("{ended:?}"),
        () = other => {}
    }
    assert_eq!(heard.lock().unwrap().len(), 2, "{heard:?}");
}

#[test]
fn debug_shows_nothing_of_the_url() {
    let url = "redis://guard:secret@redis.example/1";
    let builder = RedisStore::builder(url);
    let shown = format!(
        "{builder:?} {:?}",
        builder.clone().connect().expect("a store")
    );
    for part in ["secret", "redis.example"] {
        assert!(!shown.contains(part), "{shown}");
    }
}

#[test]
fn a_prefix_that_cannot_be_used_is_refused() {
    let connect = |prefix: &str| {
        RedisStore::builder("redis://redis.example")
            .prefix(prefix)
            .connect()
    };
    assert!(connect("").is_ok());
    assert!(connect(&"p".repeat(64)).is_ok());
    for prefix in ["{a}:", "a b", "\u{e9}:", &"p".repeat(65)] {
        let error = connect(prefix).expect_err("it is refused").to_string();
        assert!(error.starts_with("setting `redis_prefix`: "), "{error}");
    }
}
