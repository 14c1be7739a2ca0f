//! What `Stats::shared_error` says of each thing that may be wrong, while the guard goes on alone.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipwhois_guard_core::{Guard, Source, Unverified};
use ipwhois_guard_redis::RedisStore;
use ipwhois_guard_testkit::StandIn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::server::{PATIENCE, Server, free_port, until};

/// A guard with this URL goes on, with no check but its own share, says what is wrong, and never a
/// password.
async fn check(url: &str, expected: &str) {
    let service = StandIn::start().expect("a free port");
    let guard = Guard::builder()
        .api_url(service.url())
        .daily_budget(u32::MAX)
        .max_wait(PATIENCE)
        .api_timeout(PATIENCE)
        .shared(RedisStore::connect(url).expect("a URL"))
        .build()
        .expect("the settings are right");
    let begun = Instant::now();
    for client in 0x1a00_0000_u32.. {
        let verdict = guard.check(IpAddr::from(client.to_be_bytes())).await;
        let goes_on = matches!(
            verdict.source(),
            Source::Api | Source::Unverified(Unverified::NoBudget)
        );
        assert!(goes_on, "{url}: {verdict:?}");
        let said = guard.stats().shared_error.unwrap_or_default();
        assert!(!said.contains("secret"), "{said}");
        if said == expected {
            break;
        }
        // On a busy machine a call may have taken too long, which is said then.
        assert!(begun.elapsed() < 3 * PATIENCE, "{url}: {said}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const WRONG: &str = "the shared store refuses: authentication failed: the server does not take this user and password";
const NO_REDIS: &str =
    "the shared store cannot be reached: what answers does not speak the protocol of Redis";

#[tokio::test]
async fn a_password_that_is_missing_or_wrong_is_told() {
    let mut server = Server::new(&[]).with_port();
    server.run();
    let at = server.address();
    // It has none.
    check(&format!("redis://:my-secret@{at}"), WRONG).await;
    let _: () = server.does(&["CONFIG", "SET", "requirepass", "my-secret"]);
    let missing = "the shared store refuses: NOAUTH Authentication required.";
    check(&format!("redis://{at}"), missing).await;
    check(&format!("redis://:wrong-secret@{at}"), WRONG).await;
    check(&format!("redis://guard:my-secret@{at}"), WRONG).await;
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told() {
    let mut server = Server::new(&[]).with_port();
    server.run();
    let missing = "the shared store refuses: ERR DB index is out of range";
    check(&format!("redis://{}/99", server.address()), missing).await;
}

#[tokio::test]
async fn a_replica_is_told() {
    let dead = free_port().to_string();
    let mut server = Server::new(&["--replicaof", "127.0.0.1", &dead]).with_port();
    server.run();
    let refused = "the shared store refuses: READONLY You can't write against a read only replica.";
    check(&format!("redis://{}", server.address()), refused).await;
}

#[tokio::test]
async fn a_user_who_may_not_subscribe_is_told_though_every_call_is_answered() {
    let mut server = Server::new(&[]).with_port();
    server.run();
    // What is allowed to a new user since Redis 7, unless channels are named.
    let user = ["guard", "on", ">my-secret", "~*", "resetchannels", "+@all"];
    let _: () = server.does(&[&["ACL", "SETUSER"][..], &user].concat());
    let service = StandIn::start().expect("a free port");
    let url = format!("redis://guard:my-secret@{}", server.address());
    let guard = Guard::builder()
        .api_url(service.url())
        .max_wait(PATIENCE)
        .api_timeout(PATIENCE)
        .shared(RedisStore::connect(&url).expect("a URL"))
        .build()
        .expect("the settings are right");
    let message = until("health tells it", || async {
        let problems = guard.health().problems;
        let unheard = problems
            .iter()
            .find(|problem| problem.code() == "shared_tier_unheard");
        unheard.map(ToString::to_string)
    })
    .await;
    assert!(message.contains("NOPERM"), "{message}");
    assert!(!message.contains("secret"), "{message}");
    let verdict = guard.check([26, 0, 0, 1].into()).await;
    assert_eq!(verdict.source(), Source::Api);
}

#[tokio::test]
async fn a_certificate_by_nobody_who_is_known_is_told() {
    let mut server = Server::new(&[]).with_tls_port();
    server.run();
    let at = server.address();
    let unknown = "the shared store cannot be reached: invalid peer certificate: UnknownIssuer";
    check(&format!("rediss://:my-secret@{at}"), unknown).await;
    check(&format!("rediss+sentinel://:my-secret@{at}/main"), unknown).await;
    check(&format!("rediss+cluster://:my-secret@{at}"), unknown).await;
}

#[tokio::test]
async fn a_server_that_speaks_http_is_told() {
    let at = http().await;
    check(&format!("redis://:my-secret@{at}"), NO_REDIS).await;
    check(&format!("redis+sentinel://:my-secret@{at}/main"), NO_REDIS).await;
    check(&format!("redis+cluster://:my-secret@{at}"), NO_REDIS).await;
    let no_tls =
        "the shared store cannot be reached: received corrupt message of type InvalidContentType";
    check(&format!("rediss://:my-secret@{at}"), no_tls).await;
}

/// A server that speaks HTTP.
async fn http() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
                let mut bytes = [0; 1024];
                // It ends with its client.
                while client.read(&mut bytes).await.is_ok_and(|length| length > 0) {
                    let _ = client.write_all(answer).await;
                }
            });
        }
    });
    addr.to_string()
}
