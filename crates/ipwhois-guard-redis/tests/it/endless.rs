//! A server that sends a reply without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ipwhois_guard_core::store::{SharedError, SharedStore as _};
use ipwhois_guard_redis::RedisStore;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::proxy::read_command;
use super::{IP, LONG};

/// Maximum number of bytes that one connection takes, those in the kernel's buffers included.
const MOST: usize = 32 << 20;

/// Answers the first commands with OK, and the next one without end.
async fn send(client: TcpStream, commands: usize, sent: Arc<AtomicUsize>) {
    let (from_client, mut to_client) = client.into_split();
    let mut from_client = BufReader::new(from_client);
    for _ in 0..commands {
        if !matches!(read_command(&mut from_client).await, Ok(Some(_))) {
            return;
        }
        let _ = to_client.write_all(b"+OK\r\n").await;
    }
    let _ = to_client.write_all(b"$2000000000\r\n").await;
    let part = vec![0; 64 << 10];
    // It ends with the connection.
    while let Ok(length) = to_client.write(&part).await {
        sent.fetch_add(length, Ordering::Relaxed);
    }
}

async fn check(commands: usize, call: impl AsyncFn(&RedisStore) -> Result<(), SharedError>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("redis://{}", listener.local_addr().expect("its address"));
    let store = RedisStore::connect(url).expect("a URL");
    let sent = Arc::default();
    let serving = async {
        let (client, _) = listener.accept().await.expect("a connection");
        send(client, commands, Arc::clone(&sent)).await;
    };
    let (answer, ()) = tokio::join!(call(&store), serving);
    let error = answer.expect_err("no whole reply");
    assert!(matches!(error, SharedError::Away { .. }), "{error}");
    let sent = sent.load(Ordering::Relaxed);
    assert!(
        sent < MOST,
        "{sent} bytes were taken after {commands} commands"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_takes_a_bounded_part_of_an_endless_reply() {
    for commands in [0, 2] {
        check(commands, async |store| {
            store.look(IP, LONG).await.map(|_| ())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_listens_takes_a_bounded_part_of_an_endless_reply() {
    for commands in [0, 2] {
        check(commands, async |store| store.listen(&|_| {}).await).await;
    }
}
