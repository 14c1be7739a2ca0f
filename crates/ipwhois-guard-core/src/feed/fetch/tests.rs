use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use ipwhois_guard_testkit::{Behaviour, Endpoint, StandIn};

use super::*;
use crate::error::with_causes;

const LONG: Duration = Duration::from_secs(30);
const TEXT: &str = "25.0.0.1\n";

fn source(url: impl Into<String>) -> FeedSource {
    let settings = Settings {
        api_key: Some("secret-marker-5f1c".into()),
        feed_url: Some(url.into()),
        ..Settings::default()
    };
    let source = FeedSource::new(&settings).expect("settings that can be used");
    source.expect("a source").with_deadline(LONG)
}

fn service() -> StandIn {
    let service = StandIn::start().expect("a free port");
    service.set_feed(TEXT);
    service
}

/// A file of its own for a test. Gone with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("feed-fetch-{name}-{}", std::process::id()));
        fs::write(&path, text).expect("a file to write");
        Self(path)
    }

    fn source(&self) -> FeedSource {
        source(Url::from_file_path(&self.0).expect("an absolute path"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn text_of(fetched: Fetched) -> (String, Validators) {
    match fetched {
        Fetched::Text { text, validators } => (
            String::from_utf8(text).expect("the feed's text"),
            validators,
        ),
        Fetched::Unchanged => panic!("another text was expected"),
    }
}

/// Answers one request with these bytes and gives back what it was.
fn answer_once(reply: &'static [u8]) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/feed.txt", listener.local_addr().expect("a port"));
    let request = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request's head");
            request.extend(byte);
        }
        stream.write_all(reply).expect("a reply");
        String::from_utf8(request)
            .expect("a request's head")
            .to_lowercase()
    });
    (url, request)
}

#[tokio::test]
async fn a_feed_is_asked_for_under_its_conditions_and_without_the_key() {
    let (url, request) = answer_once(b"HTTP/1.1 304 Not Modified\r\n\r\n");
    let known = Validators {
        etag: Some("W/\"7\"".to_owned()),
        last_modified: Some("Thu, 01 Jan 2026 00:00:00 GMT".to_owned()),
    };
    let fetched = source(url).fetch(&known).await.expect("an answer");
    assert_eq!(fetched, Fetched::Unchanged);
    let request = request.join().expect("a request");
    assert!(
        request.contains("\r\nif-none-match: w/\"7\"\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\nif-modified-since: thu, 01 jan 2026 00:00:00 gmt\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\nuser-agent: ipwhois-guard/"),
        "{request}"
    );
    assert!(request.contains("data by ipwhois.net"), "{request}");
    for absent in [
        "secret-marker",
        "x-api-key",
        "referer",
        "cookie",
        "accept-encoding",
    ] {
        assert!(!request.contains(absent), "{absent} in {request}");
    }
}

#[tokio::test]
async fn an_unchanged_feed_is_not_sent_again() {
    let service = service();
    let source = source(service.feed_url());
    let first = source.fetch(&Validators::default()).await.expect("a feed");
    let (text, validators) = text_of(first);
    assert_eq!(text, TEXT);
    let again = source.fetch(&validators).await.expect("an answer");
    assert_eq!(again, Fetched::Unchanged);
    assert_eq!(service.feed_not_modified(), 1);

    service.set_feed("25.0.0.2\n");
    let changed = source.fetch(&validators).await.expect("a feed");
    assert_eq!(text_of(changed).0, "25.0.0.2\n");
}

#[tokio::test]
async fn unchanged_is_no_answer_to_a_question_without_conditions() {
    let (url, request) = answer_once(b"HTTP/1.1 304 Not Modified\r\n\r\n");
    let unusable = Validators {
        etag: Some("two\r\nlines".to_owned()),
        last_modified: None,
    };
    let error = source(url).fetch(&unusable).await.expect_err("no feed");
    assert!(
        matches!(error, FeedError::Status { status: 304 }),
        "{error:?}"
    );
    assert!(!request.join().expect("a request").contains("if-none-match"));
}

#[tokio::test]
async fn one_deadline_covers_every_way_to_be_slow() {
    for slow in [
        Behaviour::Hang,
        Behaviour::SlowBody {
            pause: Duration::from_millis(20),
        },
    ] {
        let service = service();
        service.behave_on(Endpoint::Feed, slow);
        let source = source(service.feed_url()).with_deadline(Duration::from_millis(100));
        let error = source
            .fetch(&Validators::default())
            .await
            .expect_err("no feed in time");
        assert_eq!(error.to_string(), "no complete feed within 100ms");
    }
}

#[tokio::test]
async fn each_trouble_has_its_name() {
    let service = service();
    let source = source(service.feed_url());
    let message = async |behaviour| {
        service.behave_on(Endpoint::Feed, behaviour);
        let fetched = source.fetch(&Validators::default()).await;
        fetched.expect_err("no feed").to_string()
    };
    const UNREACHABLE: &str = "the feed's server cannot be reached";
    assert_eq!(message(Behaviour::Reset).await, UNREACHABLE);
    assert_eq!(message(Behaviour::CloseEarly).await, UNREACHABLE);
    assert_eq!(message(Behaviour::Truncated).await, UNREACHABLE);
    assert_eq!(message(Behaviour::ResetMidBody).await, UNREACHABLE);
    for status in [204, 206, 403, 404, 429, 500] {
        assert_eq!(
            message(Behaviour::status(status)).await,
            format!("the feed's server answers status {status}")
        );
    }
    let elsewhere = Behaviour::Redirect("/feed.txt".to_owned());
    assert_eq!(
        message(elsewhere).await,
        "the feed's server answers status 302"
    );
    let encoded = Behaviour::Reply {
        status: 200,
        headers: vec![("Content-Encoding".to_owned(), "gzip".to_owned())],
        body: TEXT.into(),
    };
    assert_eq!(message(encoded).await, "the feed's body is encoded");
    assert_eq!(
        message(Behaviour::Endless).await,
        "the feed is longer than 67108864 bytes"
    );
}

#[tokio::test]
async fn no_error_shows_what_the_url_may_hide() {
    let service = service();
    let url = service
        .feed_url()
        .replace("http://", "http://user:secret-password@")
        + "?key=secret-query";
    let source = source(url);
    source.fetch(&Validators::default()).await.expect("a feed");
    service.refuse_connections();
    let error = source
        .fetch(&Validators::default())
        .await
        .expect_err("no server");
    let text = format!("{error:?} {}", with_causes(&error));
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_file_is_read_again_when_it_has_changed() {
    let file = Scratch::new("changes", TEXT);
    let source = file.source();
    let first = source.fetch(&Validators::default()).await.expect("a feed");
    let (text, validators) = text_of(first);
    assert_eq!(text, TEXT);
    assert_eq!(
        source.fetch(&validators).await.expect("an answer"),
        Fetched::Unchanged
    );
    fs::write(&file.0, "25.0.0.1\n25.0.0.2\n").expect("a file to write");
    let changed = source.fetch(&validators).await.expect("a feed");
    assert_eq!(text_of(changed).0, "25.0.0.1\n25.0.0.2\n");
}

#[tokio::test]
async fn what_is_no_file_is_named_with_its_path() {
    let missing = {
        let file = Scratch::new("missing", TEXT);
        file.0.clone()
    };
    for (path, cause) in [
        (missing, "No such file"),
        (std::env::temp_dir(), "it is no regular file"),
        #[cfg(unix)]
        (PathBuf::from("/dev/zero"), "it is no regular file"),
    ] {
        let source = source(Url::from_file_path(&path).expect("an absolute path"));
        let error = source
            .fetch(&Validators::default())
            .await
            .expect_err("no file");
        let text = with_causes(&error);
        let start = format!("the feed cannot be read from {}: ", path.display());
        assert!(text.starts_with(&start), "{text}");
        if cfg!(unix) {
            assert!(text.contains(cause), "{text}");
        }
    }
}

#[tokio::test]
async fn a_file_is_read_no_further_than_the_limit() {
    let file = Scratch::new("long", "");
    let open = File::options().write(true).open(&file.0).expect("the file");
    open.set_len(LIMIT as u64 + 1).expect("a sparse file");
    let error = file
        .source()
        .fetch(&Validators::default())
        .await
        .expect_err("too long");
    assert!(
        matches!(error, FeedError::TooLong { limit: LIMIT }),
        "{error:?}"
    );
}

#[test]
fn without_a_location_there_is_no_source() {
    for settings in [
        Settings {
            feed_url: Some(String::new()),
            ..Settings::default()
        },
        Settings {
            feed_action: crate::feed::FeedAction::Off,
            ..Settings::default()
        },
    ] {
        assert!(FeedSource::new(&settings).expect("good settings").is_none());
    }
}
