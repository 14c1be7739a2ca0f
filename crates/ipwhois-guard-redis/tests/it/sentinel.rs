//! The primary is where Sentinels say that it is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ipwhois_guard_core::store::{DEADLINE, SharedError, SharedStore};
use ipwhois_guard_core::{Guard, Source, Unverified};
use ipwhois_guard_redis::RedisStore;
use ipwhois_guard_testkit::StandIn;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::promises::call_everything;
use super::proxy::always;
use super::server::{BUSY, PATIENCE, Server, back, free_port, listens_at, store, until};
use super::{IP, LONG, ban};

/// A primary, a replica, and a Sentinel that calls them `main`.
struct Watched {
    primary: Server,
    replica: Server,
    sentinel: Server,
}

impl Watched {
    async fn start() -> Self {
        let mut primary = Server::new(&["--repl-diskless-sync-delay", "0"]).with_port();
        primary.run();
        let port = primary.port().to_string();
        let mut replica = Server::new(&["--replicaof", "127.0.0.1", &port]).with_port();
        replica.run();
        until("the replica follows", || async {
            let info: String = replica.does(&["INFO", "replication"]);
            info.contains("master_link_status:up").then_some(())
        })
        .await;
        let settings = format!(
            "sentinel monitor main 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds main 300\n\
             sentinel failover-timeout main 1000\n"
        );
        let mut sentinel = Server::new(&["--sentinel"])
            .with_file(&settings)
            .with_port();
        sentinel.run();
        let watched = Self {
            primary,
            replica,
            sentinel,
        };
        until("the Sentinel knows of the replica", || async {
            let replicas: Vec<HashMap<String, String>> =
                watched.sentinel.does(&["SENTINEL", "REPLICAS", "main"]);
            let replica = replicas.first()?;
            (replica["flags"] == "slave" && replica["master-link-status"] == "ok").then_some(())
        })
        .await;
        watched
    }

    fn url(&self) -> String {
        format!("redis+sentinel://{}/main", self.sentinel.address())
    }
}

#[tokio::test]
async fn a_guard_goes_on_when_the_primary_dies_and_shares_again_with_the_next_one() {
    let mut watched = Watched::start().await;
    let service = StandIn::start().expect("a free port");
    let guard = Guard::builder()
        .api_url(service.url())
        .daily_budget(u32::MAX)
        .max_wait(PATIENCE)
        .api_timeout(PATIENCE)
        .shared(RedisStore::connect(watched.url()).expect("a URL"))
        .build()
        .expect("the settings are right");
    let mut clients = (0..).map(|n: u32| IpAddr::from((0x1a00_0000 + n).to_be_bytes()));
    // Each client is unknown: what is known of it is asked for, a check is counted, and the verdict
    // is told.
    let mut longest = Duration::ZERO;
    let mut check = async || {
        let client = clients.next().expect("there are many");
        let begun = Instant::now();
        let verdict = guard.check(client).await;
        longest = longest.max(begun.elapsed());
        // While nobody counts, a check may have to wait for some seconds.
        let goes_on = matches!(
            verdict.source(),
            Source::Api | Source::Unverified(Unverified::NoBudget)
        );
        assert!(goes_on, "{verdict:?}");
        client
    };
    let is_known = |server: &Server, client: IpAddr| -> bool {
        let key = format!("ipwhois-guard:verdict:{{{client}}}");
        // Whoever becomes the primary throws its clients out.
        server.tries(&["EXISTS", &key]).unwrap_or(false)
    };
    let client = check().await;
    until("the primary learns of it", || async {
        is_known(&watched.primary, client).then_some(())
    })
    .await;
    watched.primary.stop();
    let begun = Instant::now();
    while guard.stats().shared_error.is_none() {
        assert!(begun.elapsed() < PATIENCE, "the guard notices");
        check().await;
    }
    let begun = Instant::now();
    loop {
        let client = check().await;
        if is_known(&watched.replica, client) {
            break;
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "the next primary is used");
    }
    until("nothing is wrong any more", || async {
        guard.stats().shared_error.is_none().then_some(())
    })
    .await;
    // Two deadlines and a call of the service; the rest is for a busy machine.
    assert!(longest < 2 * DEADLINE + BUSY, "{longest:?}");
    // It listens there as well.
    let other = store(&watched.url());
    until("it hears of a ban", || async {
        other.tell_bans(&ban(IP, LONG)).await.ok()?;
        (guard.stats().active_bans == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_call_never_waits_for_the_next_primary() {
    let mut watched = Watched::start().await;
    let store = store(&watched.url());
    back(&*store).await;
    watched.primary.stop();
    let failed = AtomicU32::new(0);
    until("the next primary answers", || async {
        let begun = Instant::now();
        let answer = timeout(DEADLINE, store.tell_bans(&ban(IP, LONG))).await;
        assert!(begun.elapsed() < DEADLINE + BUSY);
        match answer {
            Ok(Ok(())) => (failed.load(Ordering::Relaxed) > 0).then_some(()),
            Ok(Err(SharedError::Away { .. })) | Err(_) => {
                failed.fetch_add(1, Ordering::Relaxed);
                None
            }
            Ok(Err(other)) => panic!("{other:?}"),
        }
    })
    .await;
    let bans: u32 = watched
        .replica
        .does(&["ZCARD", "ipwhois-guard:{bans}:ends"]);
    assert_eq!(bans, 1);
}

#[tokio::test]
async fn sentinels_that_do_not_answer_are_passed_over() {
    let watched = Watched::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nodes = [
        silent.local_addr().expect("its address").to_string(),
        format!("127.0.0.1:{}", free_port()),
        // It is no Sentinel.
        watched.replica.address(),
        watched.sentinel.address(),
    ];
    let url = format!("redis+sentinel://{}/main", nodes.join(","));
    back(&*store(&url)).await;
    listens_at(&watched.primary, &*store(&url)).await;
}

#[tokio::test]
async fn sentinels_may_want_another_password_than_the_primary() {
    let watched = Watched::start().await;
    let user = "ACL SETUSER asks on >asks-secret +sentinel|get-master-addr-by-name";
    let _: () = watched.sentinel.does(&user.split(' ').collect::<Vec<_>>());
    let _: () = watched.sentinel.does(&["ACL", "SETUSER", "default", "off"]);
    watched.primary.add_user("guard", &["+role"]);
    let _: () = watched
        .primary
        .does(&["CONFIG", "SET", "requirepass", "first-secret"]);
    let at = watched.sentinel.address();
    let login = "sentinel_user=asks&sentinel_pass=asks-secret";
    let said = away(&format!("redis+sentinel://:first-secret@{at}/main")).await;
    assert!(said.starts_with("a Sentinel refuses: NOAUTH "), "{said}");
    let said = away(&format!(
        "redis+sentinel://:first-secret@{at}/main?{login}-not"
    ))
    .await;
    assert!(
        said.starts_with("a Sentinel refuses: authentication failed"),
        "{said}"
    );
    let wrong = store(&format!(
        "redis+sentinel://:second-secret@{at}/main?{login}"
    ));
    let refused = wrong.look(IP, LONG).await;
    assert!(
        matches!(refused, Err(SharedError::Refused { .. })),
        "{refused:?}"
    );
    assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    back(&*store(&format!(
        "redis+sentinel://:first-secret@{at}/main?{login}"
    )))
    .await;
    let least = store(&format!("redis+sentinel://guard:secret@{at}/main?{login}"));
    call_everything(&*least).await;
}

async fn away(url: &str) -> String {
    match store(url).look(IP, LONG).await {
        Err(SharedError::Away { source }) => source.to_string(),
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_wrong_with_sentinels_is_told() {
    let watched = Watched::start().await;
    let sentinel = watched.sentinel.address();
    assert_eq!(
        away(&format!("redis+sentinel://{sentinel}/other")).await,
        "Sentinel knows no service `other`"
    );
    let primary = watched.primary.address();
    let said = away(&format!("redis+sentinel://{primary}/main")).await;
    assert!(
        said.starts_with("a Sentinel refuses: ERR unknown command"),
        "{said}"
    );
    let port = watched.replica.port();
    let named = format!("*2\r\n$9\r\n127.0.0.1\r\n$5\r\n{port}");
    let stale = always(named.leak())
        .await
        .replace("redis://", "redis+sentinel://");
    assert_eq!(
        away(&format!("{stale}/main")).await,
        format!("127.0.0.1:{port}, which Sentinel names, is no primary")
    );
}
