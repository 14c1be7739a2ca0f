use std::fs::File;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::wire::{Answer, Ask, Request, Told};
use super::*;
use crate::clock::SystemClock;
use crate::store::{Count, suite};

const DAY: u64 = 20_781;
const PATIENCE: Duration = Duration::from_secs(20);

/// Nothing is restored.
struct Nothing;

impl Restore for Nothing {
    fn restore(&self, _: Loaded) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn adopt(&self, _: Vec<(u64, Vec<u8>)>) {}

    fn rows(&self) -> Vec<u64> {
        Vec::new()
    }
}

/// A process of this folder.
fn process(dir: &Path) -> Arc<Local> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let journal = Arc::new(Journal::new(Some(dir.to_owned()), Arc::clone(&clock)));
    let ttl = Duration::from_secs(3_600);
    let local = Arc::new(Local::new(dir, Arc::clone(&journal), clock, ttl));
    tokio::spawn(Arc::clone(&journal).run());
    let run = Arc::clone(&local);
    tokio::spawn(async move { run.run(ttl, &Nothing).await });
    local
}

fn request(limit: u32, checks: u32) -> BlockRequest {
    BlockRequest {
        day: DAY,
        limit,
        checks,
        is_spending: false,
        known: Count::default(),
    }
}

/// Ends a process as its guard does.
async fn end(local: Arc<Local>) {
    let end = move || {
        local.end();
        local.journal.close(None);
    };
    tokio::task::spawn_blocking(end).await.expect("it ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_processes_of_a_folder_keep_the_promises_of_the_trait() {
    suite::run(|| {
        let dir = tempfile::tempdir().unwrap();
        move || process(dir.path()) as Arc<dyn SharedStore>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_count_goes_on_with_the_next_holder() {
    let dir = tempfile::tempdir().unwrap();
    let first = process(dir.path());
    assert_eq!(first.grant(request(50, 7)).await.unwrap().checks, 7);
    let second = process(dir.path());
    let block = second.grant(request(50, 5)).await.unwrap();
    assert_eq!((block.checks, block.count.granted), (5, 12));
    second.give_back(DAY, 2).await.unwrap();
    end(first).await;
    let third = process(dir.path());
    for (process, granted) in [(&second, 11), (&third, 12)] {
        let mut granted_in_time = None;
        for _ in 0..200 {
            // The connection may be lost in the middle of a call.
            if let Ok(block) = process.grant(request(50, 1)).await {
                granted_in_time = Some(block.count.granted);
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(granted_in_time, Some(granted));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_an_incompatible_version_a_process_spends_a_hundredth_and_tells_it_later() {
    let dir = tempfile::tempdir().unwrap();
    let lock = File::create(dir.path().join("ipwhois-guard.lock")).unwrap();
    lock.lock().unwrap();
    let listener = UnixListener::bind(dir.path().join(SOCKET)).unwrap();
    let other = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _: Hello = wire::read(&mut stream).await.unwrap();
            let hello = Hello {
                protocol: wire::PROTOCOL + 1,
                ..Hello::default()
            };
            let _ = stream.write_all(&wire::frame(&hello).unwrap()).await;
        }
    });
    let local = process(dir.path());
    assert_eq!(local.grant(request(50, 20)).await.unwrap().checks, 1);
    assert_eq!(local.grant(request(50, 20)).await.unwrap().checks, 0);
    let error = local.journal.status().error.unwrap();
    assert!(
        error.contains("speaks protocol 2, and this one speaks 1"),
        "{error}"
    );
    other.abort();
    drop(lock);
    let begun = Instant::now();
    loop {
        let block = local.grant(request(50, 4)).await.unwrap();
        if block.checks > 0 {
            assert_eq!(block.count.granted, 5, "the one is told");
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
        sleep(Duration::from_millis(10)).await;
    }
}

/// Sends bytes to a holder; answers how many it sends back before it hangs up.
async fn send(dir: &Path, bytes: &[u8]) -> usize {
    let mut stream = UnixStream::connect(dir.join(SOCKET))
        .await
        .expect("a connection");
    // It may have hung up already.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_bears_what_makes_no_sense_and_answers_a_later_version_with_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let holder = process(dir.path());
    holder.grant(request(50, 1)).await.unwrap();
    let hello = wire::frame(&Hello::new(1)).unwrap();
    for bytes in [
        &b"\xff\xff\xff\xff"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x00\x02{}",
        b"\x00\x00\x00\x00",
        &[&hello[..], b"\x00\x00\x00\x04null"].concat(),
        &[&hello[..], b"\x00\x10\x00\x01"].concat(),
    ] {
        send(dir.path(), bytes).await;
    }
    for (protocol, purpose) in [(99, "guard"), (1, "command")] {
        let text = format!(r#"{{"protocol":{protocol},"purpose":"{purpose}","more":[1]}}"#);
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        let answer = send(dir.path(), &[&length[..], text.as_bytes()].concat()).await;
        assert!(answer > 4, "a hello");
    }
    assert_eq!(holder.grant(request(50, 1)).await.unwrap().count.granted, 2);
}

proptest! {
    #[test]
    fn texts_of_any_kind_are_read_or_not_and_never_panic(text in ".{0,200}") {
        let _ = serde_json::from_str::<Hello>(&text);
        let _ = serde_json::from_str::<Request>(&text);
        let _ = serde_json::from_str::<Told>(&text);
    }

    #[test]
    fn what_is_asked_and_answered_comes_back_as_it_was(
        number in any::<u64>(),
        checks in any::<u32>(),
        day in any::<u64>(),
        birth in any::<u64>(),
    ) {
        let ask = Ask::from(BlockRequest {
            day,
            known: Count { granted: checks, birth },
            ..request(checks, checks / 2)
        });
        let asked = serde_json::to_string(&Request { number, ask }).unwrap();
        let again: Request = serde_json::from_str(&asked).unwrap();
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), asked);
        let answer = Answer::from(Block {
            checks,
            count: Count { granted: checks, birth },
            machines: checks,
        });
        let told = serde_json::to_string(&Told::Answer { number, answer }).unwrap();
        let again: Told = serde_json::from_str(&told).unwrap();
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), told);
    }
}
