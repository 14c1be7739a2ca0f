//! Redis is away, dead, silent or cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ipwhois_guard_core::store::{AttemptId, DEADLINE, Seen, SharedError, SharedStore};
use tokio::time::timeout;

use super::proxy::Proxy;
use super::server::{PATIENCE, Server, back, store, until};
use super::{IP, LIMITS, LONG, ban, block, listed, login};

fn is_away<T>(answer: &Result<T, SharedError>) -> bool {
    matches!(answer, Err(SharedError::Away { .. }))
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_found_when_it_comes() {
    let mut server = Server::new(&[]);
    let store = server.store();
    assert!(is_away(&store.look(IP, LONG).await));
    let begun = Instant::now();
    assert!(is_away(&store.look(IP, LONG).await));
    assert!(
        begun.elapsed() < DEADLINE,
        "it fails at once while it is away"
    );
    server.run();
    back(&*store).await;
}

#[test]
fn a_tier_needs_no_runtime_and_outlives_the_one_that_it_was_used_in() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let mut server = Server::new(&[]);
    let store = server.store();
    for _ in 0..2 {
        assert!(is_away(&runtime().block_on(store.look(IP, LONG))));
    }
    server.run();
    for _ in 0..3 {
        runtime().block_on(back(&*store));
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_away() {
    let server = Server::start();
    let proxy = Proxy::start(&server.socket()).await;
    let store = store(&proxy.url().replace("redis://", "rediss://"));
    for _ in 0..2 {
        let seen = store.look(IP, LONG).await;
        let said = format!("{seen:?}");
        assert!(is_away(&seen) && !said.contains("panic"), "{said}");
        assert!(is_away(&store.listen(&|_| ()).await));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_restarted_empty_under_load_is_used_again() {
    let mut server = Server::start();
    let store = server.store();
    let ends = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU32::new(0));
    let load: Vec<_> = (0..8_u8)
        .map(|n| {
            let (store, ends) = (Arc::clone(&store), Arc::clone(&ends));
            let answered = Arc::clone(&answered);
            tokio::spawn(async move {
                let ip = [25, 0, 1, n].into();
                let mut away = 0;
                while !ends.load(Ordering::Relaxed) {
                    let calls = async {
                        store.look(ip, LONG).await?;
                        store.grant(block(1)).await?;
                        store
                            .begin_attempt(login(ip), AttemptId::random(), LIMITS)
                            .await?;
                        store.tell_bans(&ban(ip, LONG)).await
                    };
                    match timeout(DEADLINE, calls).await {
                        Ok(Ok(())) => _ = answered.fetch_add(1, Ordering::Relaxed),
                        Ok(Err(SharedError::Away { .. })) => away += 1,
                        Ok(Err(other)) => panic!("{other:?}"),
                        Err(_) => {}
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                away
            })
        })
        .collect();
    let goes_on = async |what| {
        let before = answered.load(Ordering::Relaxed);
        until(what, || async {
            (answered.load(Ordering::Relaxed) > before + 50).then_some(())
        })
        .await;
    };
    goes_on("calls are answered").await;
    server.stop();
    until("calls fail while it is away", || async {
        is_away(&store.release(IP).await).then_some(())
    })
    .await;
    server.run();
    goes_on("calls are answered again, by themselves").await;
    ends.store(true, Ordering::Relaxed);
    let mut away = 0;
    for task in load {
        away += task.await.expect("no other error");
    }
    assert!(away > 0, "somebody noticed");
}

#[tokio::test]
async fn calls_that_are_given_up_leave_the_connection_usable() {
    let server = Server::start();
    let proxy = Proxy::start(&server.socket()).await;
    let store = store(&proxy.url());
    store.learn(IP, listed(), LONG).await.unwrap();
    let stopped = Instant::now();
    server.signal("STOP");
    for n in 0..5 {
        let call = timeout(DEADLINE, store.look([25, 0, 0, n].into(), LONG)).await;
        assert!(call.is_err(), "nobody answers: {call:?}");
    }
    server.signal("CONT");
    let was_short = stopped.elapsed() < Duration::from_millis(900);
    let seen = store.look(IP, LONG).await;
    if was_short {
        assert_eq!(
            seen.unwrap(),
            Seen::Verdict(listed()),
            "each gets its own answer"
        );
        assert_eq!(proxy.connections(), 1, "a slow answer costs no connection");
    }
}

#[tokio::test]
async fn a_server_that_has_stopped_answering_is_away_until_it_does() {
    let server = Server::start();
    let store = server.store();
    store.learn(IP, listed(), LONG).await.unwrap();
    server.signal("STOP");
    // Nobody waits for an answer, and yet it is noticed that none comes.
    let seen = until("it is away", || async {
        timeout(DEADLINE, store.look(IP, LONG)).await.ok()
    })
    .await;
    assert!(is_away(&seen), "{seen:?}");
    server.signal("CONT");
    back(&*store).await;
    assert_eq!(store.look(IP, LONG).await.unwrap(), Seen::Verdict(listed()));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    let server = Server::start();
    let proxy = Proxy::start(&server.socket()).await;
    let store = store(&proxy.url());
    store.learn(IP, listed(), LONG).await.unwrap();
    for _ in 0..5 {
        proxy.cut_next_reply();
        let seen = store.look(IP, LONG).await;
        assert!(is_away(&seen), "{seen:?}");
        back(&*store).await;
        assert_eq!(store.look(IP, LONG).await.unwrap(), Seen::Verdict(listed()));
    }
}

#[tokio::test]
async fn connecting_that_breaks_off_is_tried_again() {
    let server = Server::start();
    let proxy = Proxy::start(&server.socket()).await;
    let store = store(&proxy.url());
    proxy.cut_next_reply();
    let _ = store.look(IP, LONG).await;
    back(&*store).await;
}

#[tokio::test]
async fn who_listens_learns_that_the_connection_is_lost() {
    let mut server = Server::start();
    let store = server.store();
    let heard = AtomicU32::new(0);
    let hear = |_| _ = heard.fetch_add(1, Ordering::Relaxed);
    let stopping = async {
        store.tell_bans(&ban(IP, LONG)).await.unwrap();
        until("it listens", || async {
            (heard.load(Ordering::Relaxed) > 0).then_some(())
        })
        .await;
        server.stop();
    };
    let listening = timeout(PATIENCE, async {
        // What is banned before it listens is told as well as what is banned after.
        store.listen(&hear).await
    });
    let (ended, ()) = tokio::join!(listening, stopping);
    let ended = ended.expect("it ends");
    assert!(is_away(&ended), "{ended:?}");
    assert!(is_away(&store.listen(&hear).await));
}

#[tokio::test]
async fn a_flood_of_calls_to_a_silent_server_is_bounded() {
    let server = Server::start();
    let store = server.store();
    back(&*store).await;
    server.signal("STOP");
    let calls: Vec<_> = (0..3000)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.look(IP, LONG).await })
        })
        .collect();
    let mut away = 0;
    for call in calls {
        away += usize::from(is_away(&call.await.expect("no panic")));
    }
    assert_eq!(away, 3000, "none of them hangs");
    server.signal("CONT");
    back(&*store).await;
}
