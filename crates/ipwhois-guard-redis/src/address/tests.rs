use proptest::prelude::*;

use super::*;
use crate::RedisStore;

#[track_caller]
fn check_refused(url: &str, sentence: &str) {
    match place(url) {
        Err(error) => assert_eq!(error.to_string(), sentence),
        Ok(_) => panic!("{url} is refused"),
    }
}

#[track_caller]
fn check_read(url: &str, addr: &str, db: i64, user: Option<&str>, password: Option<&str>) {
    let client = client(url).expect("it is a URL");
    let info = client.get_connection_info();
    assert_eq!(info.addr.to_string(), addr);
    assert_eq!(info.redis.db, db);
    assert_eq!(info.redis.username.as_deref(), user);
    assert_eq!(info.redis.password.as_deref(), password);
}

#[test]
fn urls_say_where_and_who_and_which_database() {
    check_read("redis://redis.example", "redis.example:6379", 0, None, None);
    check_read("redis://25.0.0.1:7000/3", "25.0.0.1:7000", 3, None, None);
    check_read("redis://[3ffe::1]:7000", "3ffe::1:7000", 0, None, None);
    check_read(
        "rediss://guard:p%40ss@redis.example:6380/1",
        "redis.example:6380",
        1,
        Some("guard"),
        Some("p@ss"),
    );
    check_read(
        "redis://:only@redis.example",
        "redis.example:6379",
        0,
        None,
        Some("only"),
    );
    check_read(
        "redis+unix:///run/redis.sock?db=2&user=guard&pass=p%26ss",
        "/run/redis.sock",
        2,
        Some("guard"),
        Some("p&ss"),
    );
}

#[test]
fn an_url_that_cannot_be_used_is_named_without_its_password() {
    check_refused(
        "redis://guard:secret@redis.example/one",
        "setting `redis_url`: `(hidden)` is no Redis URL: Invalid database number- \
         InvalidClientConfig",
    );
    check_refused(
        "http://:secret@redis.example",
        "setting `redis_url`: `(hidden)` is no redis, rediss, \
         redis+unix, redis+sentinel or redis+cluster URL",
    );
    check_refused(
        "redis.example",
        "setting `redis_url`: `(hidden)` is no URL; one is written `redis://host:6379/0`, or \
         `rediss://:password@host:6380` by TLS",
    );
    check_refused(
        "guard:secret@redis.example",
        "setting `redis_url`: `(hidden)` is no URL; one is written `redis://host:6379/0`, or \
         `rediss://:password@host:6380` by TLS",
    );
    check_refused(
        "redis+unix:///run/redis.sock?pass=secret&database=1",
        "setting `redis_url`: `(hidden)` has an unknown parameter; db, user and pass \
         are known",
    );
    check_refused(
        "redis://redis.example?db=1",
        "setting `redis_url`: `(hidden)` has a query; the database is the path, as in /1",
    );
    check_refused(
        "rediss://:secret@redis.example#insecure",
        "setting `redis_url`: `(hidden)` has a fragment; `#` in a password is \
         written %23",
    );
    check_refused(
        "redis://redis.example/-1",
        "setting `redis_url`: `(hidden)` has a database number below zero",
    );
    check_refused(
        "redis://redis.example:0",
        "setting `redis_url`: `(hidden)` names no host and port",
    );
    check_refused(
        "redis://:sec/ret@redis.example",
        "setting `redis_url`: `(hidden)` is no Redis URL: Redis URL did not parse- \
         InvalidClientConfig",
    );
    check_refused(
        "redis://:secret@redis.example,other.example",
        "setting `redis_url`: `(hidden)` names several hosts; redis+sentinel and \
         redis+cluster URLs do",
    );
}

/// Where it is, and who one is there.
fn known(client: &Client) -> String {
    let info = client.get_connection_info();
    let login = [&info.redis.username, &info.redis.password].map(|part| part.as_deref());
    format!("{:?} {} {login:?}", info.addr, info.redis.db)
}

#[test]
fn a_sentinel_url_names_the_sentinels_the_service_and_both_logins() {
    let url = "rediss+sentinel://guard:p%40ss@a.example,[3ffe::1]:7000,25.0.0.1/my-master.1/3\
               ?sentinel_pass=s%2Fecret&sentinel_user=asks";
    let place = place(url).expect("it is a URL");
    assert_eq!((place.database, place.tls), (3, true));
    let Servers::Sentinels(sentinels) = place.servers else {
        panic!("these are Sentinels");
    };
    assert_eq!(sentinels.service, "my-master.1");
    assert!(sentinels.tls);
    assert_eq!(sentinels.login.db, 3);
    assert_eq!(sentinels.login.username.as_deref(), Some("guard"));
    assert_eq!(sentinels.login.password.as_deref(), Some("p@ss"));
    let nodes: Vec<_> = sentinels.nodes.clients().iter().map(known).collect();
    let at = |host: &str, port: u16| {
        format!(
            "TcpTls {{ host: {host:?}, port: {port}, insecure: false, tls_params: None }} 0 \
             [Some(\"asks\"), Some(\"s/ecret\")]"
        )
    };
    assert_eq!(
        nodes,
        [
            at("a.example", 26379),
            at("3ffe::1", 7000),
            at("25.0.0.1", 26379)
        ]
    );
}

#[test]
fn a_sentinel_url_needs_no_more_than_a_host_and_a_service() {
    let place = place("redis+sentinel://:secret@a.example/main").expect("it is a URL");
    let Servers::Sentinels(sentinels) = place.servers else {
        panic!("these are Sentinels");
    };
    assert_eq!((place.database, place.tls), (0, false));
    assert_eq!(sentinels.login.password.as_deref(), Some("secret"));
    let nodes: Vec<_> = sentinels.nodes.clients().iter().map(known).collect();
    // The primary's password is not for the Sentinels.
    assert_eq!(nodes, [r#"Tcp("a.example", 26379) 0 [None, None]"#]);
}

#[test]
fn a_cluster_url_names_nodes_and_one_login() {
    for (url, tls) in [
        (
            "redis+cluster://guard:secret@a.example,b.example:7000",
            false,
        ),
        (
            "rediss+cluster://guard:secret@a.example:6379,b.example:7000/0",
            true,
        ),
    ] {
        let place = place(url).expect("it is a URL");
        assert_eq!((place.database, place.tls), (0, tls));
        let Servers::Cluster(_, nodes) = place.servers else {
            panic!("this is a cluster");
        };
        let nodes: Vec<_> = nodes.clients().iter().map(known).collect();
        assert_eq!(nodes.len(), 2);
        for (node, (host, port)) in nodes.iter().zip([("a.example", 6379), ("b.example", 7000)]) {
            assert!(
                node.contains(host) && node.contains(&port.to_string()),
                "{node}"
            );
            assert!(
                node.ends_with(r#" 0 [Some("guard"), Some("secret")]"#),
                "{node}"
            );
        }
    }
}

#[test]
fn sentinel_and_cluster_urls_are_read_strictly() {
    let refused = |url: &str, reason: &str| {
        check_refused(url, &format!("setting `redis_url`: `(hidden)` {reason}"));
    };
    for path in ["", "/", "//0", "/my%20master", "/-/-/-"] {
        let url = format!("redis+sentinel://:secret@a.example{path}");
        let error = place(&url).err().expect("it is refused").to_string();
        assert!(
            error.contains("`redis_url`") && !error.contains("secret"),
            "{error}"
        );
    }
    refused(
        "redis+sentinel://:secret@a.example",
        "names no service of the Sentinels; it is the path, as in /mymaster/0",
    );
    refused(
        "redis+sentinel://:secret@a.example/main/one",
        "is no Redis URL: Invalid database number- InvalidClientConfig",
    );
    refused(
        "redis+sentinel://a.example/main?sentinel_pass=secret&secret",
        "has an unknown parameter; sentinel_user and sentinel_pass are known",
    );
    refused(
        "redis+sentinel://:secret@a.example,/main",
        "names no host where one should be",
    );
    refused(
        "redis+cluster://:secret@a.example:none",
        "is no Redis URL: Redis URL did not parse- InvalidClientConfig",
    );
    refused(
        "redis+cluster://:secret@a.example,:secret@b.example",
        "has a second `@`; user and password stand once, in front of all hosts",
    );
    refused(
        "redis+cluster://:secret@a.example/1",
        "names a database; a cluster has 0 only",
    );
    refused(
        "redis+cluster://a.example?pass=secret",
        "has a query; a cluster takes none",
    );
    refused(
        "redis-sentinel://:secret@a.example",
        "is no redis, rediss, redis+unix, redis+sentinel or redis+cluster URL",
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_error_shows_a_secret_wherever_it_stands(
        before in TEXT,
        secret in "[a-z]{4}[0-9]{4}[A-Z]{4}",
        after in TEXT,
    ) {
        let text = format!("{before}{secret}{after}");
        if let Err(error) = place(&text) {
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains(&secret), "{}", shown);
            prop_assert!(shown.contains("redis_url"));
        }
        let builder = RedisStore::builder(&*text);
        let shown = format!("{builder:?}");
        prop_assert!(!shown.contains(&secret));
        if let Ok(store) = builder.connect() {
            let shown = format!("{store:?}");
            prop_assert!(!shown.contains(&secret));
        }
    }
}

/// Pieces of URLs and of other connection strings.
const TEXT: &str = "((redis|rediss|redis\\+unix|redis\\+sentinel|redis\\+cluster|http)://)?\
    (user|:|@|,|/|\\?|#|=| |;|&|host|\\[::1\\]|:6379|/0|db=1|pass=|password=|%|\\n|\"){0,6}";

#[test]
fn a_url_that_no_shell_made_ready_is_refused() {
    for (url, reason) in [
        ("\"redis://redis.example\"", "in quotes"),
        ("redis://redis.example'", "in quotes"),
        ("$REDIS_URL", "a variable"),
        ("redis://${HOST}:6379", "a variable"),
        ("redis://:secret@$HOST", "a variable"),
        ("\u{feff}redis://redis.example", "U+FEFF"),
        ("redis://redis.example\u{200b}", "U+200B"),
        ("redis://:sec\nret@redis.example", "U+000A"),
    ] {
        let error = place(url).err().expect("it is refused").to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(place("redis://:pa$word@redis.example").is_ok());
}
