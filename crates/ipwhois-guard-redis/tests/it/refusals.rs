//! Redis is there and refuses.

use ipwhois_guard_core::store::{Seen, SharedError, SharedStore};

use tokio::time::timeout;

use super::proxy::always;
use super::server::{PATIENCE, Server, back, store, until};
use super::{IP, LIMITS, LONG, attempt, ban, block, listed, login};

#[track_caller]
fn reason<T: std::fmt::Debug>(answer: Result<T, SharedError>) -> String {
    match answer {
        Err(SharedError::Refused { reason }) => reason,
        other => panic!("it refuses: {other:?}"),
    }
}

/// What each writing method is refused with; the same for all.
async fn refused_with(store: &dyn SharedStore) -> String {
    let unknown = [25, 0, 0, 99].into();
    let reasons = [
        reason(store.look(unknown, LONG).await),
        reason(store.learn(unknown, listed(), LONG).await),
        reason(store.grant(block(1)).await),
        reason(store.begin_attempt(login(IP), attempt(1), LIMITS).await),
        reason(store.tell_bans(&ban(IP, LONG)).await),
    ];
    assert!(
        reasons.iter().all(|reason| *reason == reasons[0]),
        "{reasons:?}"
    );
    reasons[0].clone()
}

#[tokio::test]
async fn a_server_without_memory_refuses_whole_calls_and_still_answers() {
    let server = Server::start();
    let store = server.store();
    store.learn(IP, listed(), LONG).await.unwrap();
    let _: () = server.does(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(
        refused_with(&*store).await,
        "OOM command not allowed when used memory > 'maxmemory'."
    );
    let keys: Vec<String> = server.does(&["KEYS", "*"]);
    assert_eq!(keys.len(), 1, "a refused call leaves nothing: {keys:?}");
    assert_eq!(store.look(IP, LONG).await.unwrap(), Seen::Verdict(listed()));
    let _: () = server.does(&["CONFIG", "SET", "maxmemory", "0"]);
    store.tell_bans(&ban(IP, LONG)).await.unwrap();
}

#[tokio::test]
async fn a_replica_refuses_and_still_answers() {
    let server = Server::start();
    let store = server.store();
    store.learn(IP, listed(), LONG).await.unwrap();
    // Nobody is there; it is a replica all the same.
    let _: () = server.does(&["REPLICAOF", "127.0.0.1", "1"]);
    assert_eq!(
        refused_with(&*store).await,
        "READONLY You can't write against a read only replica."
    );
    assert_eq!(store.look(IP, LONG).await.unwrap(), Seen::Verdict(listed()));
    let _: () = server.does(&["REPLICAOF", "NO", "ONE"]);
    store.tell_bans(&ban(IP, LONG)).await.unwrap();
}

#[tokio::test]
async fn a_password_that_is_missing_or_wrong_is_refused_until_it_is_right() {
    let server = Server::start();
    let socket = server.socket();
    let with = |pass: &str| store(&format!("redis+unix://{}?pass={pass}", socket.display()));
    let _: () = server.does(&["CONFIG", "SET", "requirepass", "first-secret"]);
    let missing = server.store();
    let right = with("first-secret");
    let wrong = with("second-secret");
    back(&*right).await;
    let refused = reason(missing.look(IP, LONG).await);
    assert!(refused.starts_with("NOAUTH "), "{refused}");
    let refused = reason(wrong.look(IP, LONG).await);
    assert!(refused.contains("authentication"), "{refused}");
    assert!(!refused.contains("secret"), "{refused}");
    let refused = reason(wrong.listen(&|_| ()).await);
    assert!(!refused.contains("secret"), "{refused}");
    let mut admin = redis::Client::open(format!(
        "redis+unix://{}?pass=first-secret",
        socket.display()
    ))
    .and_then(|client| client.get_connection())
    .expect("a connection");
    redis::cmd("CONFIG")
        .arg(&["SET", "requirepass", "second-secret"])
        .exec(&mut admin)
        .expect("it is set");
    back(&*wrong).await;
}

#[tokio::test]
async fn a_user_without_rights_learns_it() {
    let server = Server::start();
    let _: () = server.does(&[
        "ACL",
        "SETUSER",
        "guard",
        "on",
        ">secret",
        "~*",
        "resetchannels",
        "+@all",
    ]);
    let guard = store(&format!("{}?user=guard&pass=secret", server.url()));
    assert_eq!(guard.look(IP, LONG).await.unwrap(), Seen::Leased);
    let listening = timeout(PATIENCE, guard.listen(&|_| ())).await;
    let refused = reason(listening.expect("it does not listen"));
    assert!(refused.starts_with("NOPERM "), "{refused}");
    let refused = reason(guard.tell_bans(&ban(IP, LONG)).await);
    assert!(refused.contains("publish"), "{refused}");
    server.add_user("least", &[]);
    let _: () = server.does(&["FLUSHALL"]);
    let least = store(&format!("{}?user=least&pass=secret", server.url()));
    super::promises::call_everything(&*least).await;
    least.tell_bans(&ban(IP, LONG)).await.unwrap();
    let heard = std::sync::atomic::AtomicBool::new(false);
    let hear = |_| heard.store(true, std::sync::atomic::Ordering::Relaxed);
    let all = until("it hears", || async {
        heard
            .load(std::sync::atomic::Ordering::Relaxed)
            .then_some(())
    });
    tokio::select! {
        ended = least.listen(&hear) => panic!("{ended:?}"),
        () = all => {}
    }
}

#[tokio::test]
async fn a_server_that_is_busy_with_a_script_refuses() {
    let server = Server::start_with(&["--busy-reply-threshold", "100"]);
    let store = server.store();
    back(&*store).await;
    let url = server.url();
    let script = std::thread::spawn(move || {
        let mut connection = redis::Client::open(url)
            .and_then(|client| client.get_connection())
            .expect("a connection");
        redis::cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .exec(&mut connection)
    });
    let refused = until("it refuses", || async {
        match store.look(IP, LONG).await {
            Err(SharedError::Refused { reason }) => Some(reason),
            _ => None,
        }
    })
    .await;
    assert!(refused.starts_with("BUSY "), "{refused}");
    let _: () = server.does(&["SCRIPT", "KILL"]);
    assert!(script.join().expect("it ends").is_err());
    back(&*store).await;
}

async fn check_refusal(line: &'static str, expected: &str) {
    let url = always(line).await;
    let store = store(&url);
    assert_eq!(reason(store.look(IP, LONG).await), expected);
    assert_eq!(reason(store.listen(&|_| ()).await), expected);
}

#[tokio::test]
async fn refusals_are_told_in_the_servers_words() {
    check_refusal(
        "-LOADING Redis is loading the dataset in memory",
        "LOADING Redis is loading the dataset in memory",
    )
    .await;
    check_refusal(
        "-CLUSTERDOWN The cluster is down",
        "CLUSTERDOWN The cluster is down",
    )
    .await;
    check_refusal(
        "-MOVED 3999 127.0.0.1:6381",
        "MOVED: this is a Redis Cluster, whose URL begins with redis+cluster",
    )
    .await;
    check_refusal(
        "-MISCONF Redis is configured to save RDB snapshots",
        "MISCONF Redis is configured to save RDB snapshots",
    )
    .await;
    check_refusal(
        "-NOAUTH Authentication required.",
        "NOAUTH Authentication required.",
    )
    .await;
    check_refusal("-ERR unknown command", "ERR unknown command").await;
}

#[tokio::test]
async fn an_answer_that_no_script_gives_is_unreadable() {
    for line in [
        ":7",
        "+OK",
        "$-1",
        "*0",
        "*1\r\n:1",
        "$3\r\nabc",
        "$7\r\n1 maybe",
    ] {
        let store = store(&always(line).await);
        let seen = store.look(IP, LONG).await;
        let is_unreadable = matches!(seen, Err(SharedError::Unreadable { .. }));
        assert!(is_unreadable, "{line}: {seen:?}");
    }
}
