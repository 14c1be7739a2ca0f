use std::error::Error as _;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::builder::GuardBuilder;
use crate::error::BuildError;

const SECRET: &str = "s3cr3t-m4rk3r";

#[track_caller]
fn check_toml(text: &str, line: usize, words: &[&str]) {
    let error = Settings::from_toml(text).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("settings line {line}: ")),
        "{text}: {error}"
    );
    for word in words {
        assert!(error.contains(word), "{text}: {error} lacks {word}");
    }
}

fn from_var(name: &str, value: &str) -> Result<Settings, BuildError> {
    Settings::from_vars([(format!("IPWHOIS_GUARD_{name}"), value)])
}

#[track_caller]
fn check_var(name: &str, value: &str, reason: &str) {
    let error = from_var(name, value).unwrap_err().to_string();
    let begin = format!("setting `IPWHOIS_GUARD_{name}`: `{value}` ");
    assert!(error.starts_with(&begin), "{error}");
    assert!(error.contains(reason), "{error}");
}

fn validated(change: impl FnOnce(&mut Settings)) -> Result<(), BuildError> {
    let mut settings = Settings::default();
    change(&mut settings);
    settings.validate()
}

#[track_caller]
fn check_invalid(change: impl FnOnce(&mut Settings), words: &[&str]) {
    let error = validated(change).unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{error} lacks {word}");
    }
}

#[test]
fn the_defaults_are_valid_and_are_what_empty_sources_give() {
    let defaults = format!("{:?}", Settings::default());
    assert!(validated(|_| {}).is_ok());
    assert!(Settings::default().load_key().unwrap().is_none());
    assert_eq!(format!("{:?}", Settings::from_toml("").unwrap()), defaults);
    let none: [(OsString, OsString); 0] = [];
    let settings = Settings::from_vars(none).unwrap();
    assert_eq!(format!("{settings:?}"), defaults);
    let policy = settings.default_policy();
    assert_eq!(policy, Policy::new(90, Mode::Enforce, OnUnverified::Allow));
}

#[test]
fn the_table_of_names_is_that_of_the_fields() {
    let error = toml::from_str::<Settings>("nothing = 1").unwrap_err();
    let names: Vec<String> = env::names().map(|name| format!("`{name}`")).collect();
    let expected = format!(
        "unknown field `nothing`, expected one of {}",
        names.join(", ")
    );
    assert_eq!(error.message(), expected);
}

#[test]
fn the_environment_and_toml_say_the_same() {
    let vars = [
        ("API_URL", "http://127.0.0.1:1/api"),
        ("API_KEY", SECRET),
        ("API_KEY_FILE", "/a"),
        ("API_KEY_HEADER", "X-Key"),
        ("API_PROXY_FROM_ENV", "1"),
        ("API_TIMEOUT", "1s"),
        ("MAX_WAIT", " 0s "),
        ("MIN_CONFIDENCE", "11"),
        ("ON_UNVERIFIED", "deny"),
        ("MODE", "monitor"),
        ("PROTECT", "/one, /two,,"),
        ("TRUSTED_PROXIES", "10.0.0.0/8 , unix:"),
        ("TRUSTED_HOPS", "3"),
        ("CLIENT_IP_HEADER", "forwarded"),
        ("ALLOW", ",25.0.0.1"),
        ("DENY", "26.0.0.1"),
        ("ALLOW_FILE", "/b"),
        ("DENY_FILE", "/c"),
        ("CACHE_TTL", "1h 30m"),
        ("STALE_TTL", "2days"),
        ("ERROR_TTL", "6s"),
        ("CACHE_CAPACITY", "7"),
        ("DAILY_BUDGET", "50"),
        ("FEED_URL", "file:/d"),
        ("FEED_ACTION", "block"),
        ("FEED_INTERVAL", "10m"),
        ("PROBE_PATHS", "/.env,/x.php"),
        ("SERVED_PATHS", "/y.php"),
        ("LOGIN_PATHS", "/enter"),
        ("MAX_FAILURES", "9"),
        ("FIND_TIME", "5m"),
        ("BAN_TIME", "30m"),
        ("MAX_BAN_TIME", "1day"),
        ("REDIS_URL", "redis://:s3cr3t-m4rk3r@h/0"),
        ("STATE_DIR", "/e"),
    ];
    let vars = vars.map(|(name, value)| (format!("IPWHOIS_GUARD_{name}"), value));
    let unrelated = ("PATH".to_owned(), "/bin");
    assert_eq!(vars.len(), env::names().count());
    let settings = Settings::from_vars(vars.into_iter().chain([unrelated])).unwrap();
    let toml = r#"
        api_url = "http://127.0.0.1:1/api"
        api_key = "s3cr3t-m4rk3r"
        api_key_file = "/a"
        api_key_header = "X-Key"
        api_proxy_from_env = true
        api_timeout = "1s"
        max_wait = "0s"
        min_confidence = 11
        on_unverified = "deny"
        mode = "monitor"
        trusted_proxies = ["10.0.0.0/8", "unix:"]
        trusted_hops = 3
        client_ip_header = "forwarded"
        allow = ["25.0.0.1"]
        deny = ["26.0.0.1"]
        allow_file = "/b"
        deny_file = "/c"
        cache_ttl = "90m"
        stale_ttl = "48h"
        error_ttl = "6s"
        cache_capacity = 7
        daily_budget = 50
        feed_url = "file:/d"
        feed_action = "block"
        feed_interval = "10m"
        probe_paths = ["/.env", "/x.php"]
        served_paths = ["/y.php"]
        login_paths = ["/enter"]
        max_failures = 9
        find_time = "5m"
        ban_time = "30m"
        max_ban_time = "24h"
        redis_url = "redis://:s3cr3t-m4rk3r@h/0"
        state_dir = "/e"
        [[protect]]
        path = "/one"
        [[protect]]
        path = "/two"
    "#;
    let same = Settings::from_toml(toml).unwrap();
    assert_eq!(format!("{settings:?}"), format!("{same:?}"));
    assert_eq!(settings.cache_ttl, Duration::from_secs(90 * 60));
    for settings in [settings, same] {
        assert_eq!(settings.api_key.unwrap().expose(), SECRET);
    }
}

#[test]
fn an_unknown_name_in_toml_is_told_with_the_nearest_one() {
    let near = "unknown setting `trusted_proxy`: is `trusted_proxies` meant?";
    check_toml("mode = 'off'\n\ntrusted_proxy = []", 3, &[near]);
    check_toml("Max-Wait = '1s'", 1, &["is `max_wait` meant?"]);
    check_toml("zzz = 1\nyyy = 2", 1, &["unknown setting `zzz`"]);
    check_toml("[ipwhois_guard]\nmode = 'off'", 1, &["`ipwhois_guard`"]);
}

#[test]
fn a_bad_value_in_toml_is_told_with_name_value_and_line() {
    check_toml(
        "mode = 'off'\ncache_ttl = '5 parsecs'",
        2,
        &["`cache_ttl`: `5 parsecs` is no duration"],
    );
    check_toml(
        "max_wait = '3'",
        1,
        &["`max_wait`: `3`", "time unit needed"],
    );
    check_toml(
        "max_wait = 3",
        1,
        &["`max_wait`: ", "integer `3`", "quotes", "\"500ms\""],
    );
    check_toml("min_confidence = 300", 1, &["`min_confidence`", "`300`"]);
    check_toml(
        "mode = 'on'",
        1,
        &["`mode`", "`on`", "`enforce`, `monitor`, `off`"],
    );
    check_toml("allow = '25.0.0.1'", 1, &["`allow`", "sequence"]);
    check_toml("cache_capacity = -1", 1, &["`cache_capacity`", "`-1`"]);
    check_toml("deny = [\n  '26.0.0.1',\n  7,\n]", 3, &["`deny`", "`7`"]);
    check_toml(
        "protect = [\n  '/a',\n  { path = '/b', mod = 'off' },\n]",
        3,
        &["`protect`", "unknown field `mod`"],
    );
    check_toml(
        "mode = 'off'\n[[protect]]\npath = '/a'\n[[protect]]\npath = 7",
        5,
        &["`protect`", "`7`"],
    );
    check_toml(
        "[[protect]]\nmode = 'off'",
        1,
        &["`protect`", "missing field `path`"],
    );
}

#[test]
fn text_that_is_no_toml_is_told_with_its_line() {
    check_toml("mode = 'off'\nmax_wait = 3s", 2, &["`max_wait`: "]);
    check_toml("mode = 'off'\nmode = 'off'", 2, &["duplicate key"]);
    check_toml("mode", 1, &[]);
    check_toml("\n\nallow = [", 3, &[]);
}

#[test]
fn a_bad_value_in_the_environment_is_told_with_the_variable() {
    check_var("MAX_WAIT", "5x", "is no duration");
    check_var("MIN_CONFIDENCE", "101", "0 to 100");
    check_var("MIN_CONFIDENCE", "-1", "0 to 100");
    check_var("MODE", "Off", "`enforce`, `monitor` and `off`");
    check_var("ON_UNVERIFIED", "no", "`allow` and `deny`");
    check_var("API_PROXY_FROM_ENV", "yes", "neither `true` nor `false`");
    check_var("TRUSTED_HOPS", "1.5", "whole number");
    check_var("CACHE_CAPACITY", "99999999999999999999", "whole number");
    check_var(
        "PROTECT",
        "/a,b",
        "holds a path, `b`, that must begin with `/`",
    );
    check_var("PROTECT", "/a/*", "path prefixes");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let defaults = format!("{:?}", Settings::default());
    for name in env::names().filter(|name| *name != "feed_url") {
        let settings = from_var(&name.to_ascii_uppercase(), " ").unwrap();
        assert_eq!(format!("{settings:?}"), defaults, "{name}");
    }
}

#[test]
fn booleans_are_words_or_digits() {
    for (value, expected) in [("true", true), ("1", true), ("false", false), ("0", false)] {
        let settings = from_var("API_PROXY_FROM_ENV", value).unwrap();
        assert_eq!(settings.api_proxy_from_env, expected);
    }
}

#[test]
fn an_unknown_variable_is_told_with_the_nearest_one_and_is_no_error() {
    let vars = [
        "IPWHOIS_GUARD_MODE",
        "IPWHOIS_GUARD_TRUSTED_PROXY",
        "IPWHOIS_GUARD_mode",
        "IPWHOIS_GUARD_SERVICE_PORT_8080",
        "IPWHOIS_GUARDS",
        "MODE",
    ];
    let unknown = |name: &str, nearest: Option<&str>| env::UnknownVar {
        name: name.to_owned(),
        nearest: nearest.map(str::to_owned),
    };
    let expected = [
        unknown(
            "IPWHOIS_GUARD_TRUSTED_PROXY",
            Some("IPWHOIS_GUARD_TRUSTED_PROXIES"),
        ),
        unknown("IPWHOIS_GUARD_mode", Some("IPWHOIS_GUARD_MODE")),
        unknown("IPWHOIS_GUARD_SERVICE_PORT_8080", None),
    ];
    assert_eq!(env::unknown_vars(vars.iter()), expected);
    assert!(from_var("TRUSTED_PROXY", "10.0.0.0/8").is_ok());
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_told_and_the_key_is_not_shown() {
    use std::os::unix::ffi::OsStringExt as _;

    let not_utf8 = |name: &str| {
        let value = OsString::from_vec([SECRET.as_bytes(), b"\xff"].concat());
        let vars = [(OsString::from(name), value)];
        Settings::from_vars(vars).unwrap_err().to_string()
    };
    let error = not_utf8("IPWHOIS_GUARD_API_KEY");
    assert_eq!(
        error,
        "setting `IPWHOIS_GUARD_API_KEY`: `(hidden)` is not UTF-8"
    );
    let error = not_utf8("IPWHOIS_GUARD_ALLOW_FILE");
    assert!(error.contains("IPWHOIS_GUARD_ALLOW_FILE"), "{error}");
}

#[test]
fn numbers_and_durations_have_limits() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const HAIR: Duration = Duration::from_nanos(1);
    check_invalid(|s| s.min_confidence = 101, &["`min_confidence`: `101`"]);
    check_invalid(|s| s.api_timeout = Duration::ZERO, &["`api_timeout`: `0s`"]);
    check_invalid(|s| s.cache_ttl = Duration::ZERO, &["`cache_ttl`: `0s`"]);
    check_invalid(|s| s.stale_ttl = Duration::ZERO, &["`stale_ttl`: `0s`"]);
    check_invalid(|s| s.error_ttl = Duration::ZERO, &["`error_ttl`: `0s`"]);
    check_invalid(|s| s.max_wait = 31 * DAY, &["`max_wait`", "30 days"]);
    check_invalid(
        |s| s.stale_ttl = 30 * DAY + HAIR,
        &["`stale_ttl`", "30 days"],
    );
    check_invalid(|s| s.error_ttl = Duration::MAX, &["`error_ttl`", "30 days"]);
    check_invalid(
        |s| s.cache_ttl = 2 * DAY,
        &["`stale_ttl` and `cache_ttl` contradict"],
    );
    check_invalid(|s| s.cache_capacity = 0, &["`cache_capacity`: `0`"]);
    check_invalid(|s| s.cache_capacity = 16_777_217, &["`16777217`"]);
    let at_the_limits = validated(|s| {
        s.max_wait = Duration::ZERO;
        s.error_ttl = HAIR;
        s.cache_ttl = 30 * DAY;
        s.stale_ttl = 30 * DAY;
        s.cache_capacity = 16_777_216;
        s.min_confidence = 100;
    });
    assert!(at_the_limits.is_ok());
}

#[test]
fn the_base_url_is_http_and_nothing_but_a_base() {
    for url in [
        "https://bl.ipwhois.net/api",
        "http://[3ffe::1]:8080",
        "http://127.0.0.1:1/a/b/",
    ] {
        assert!(validated(|s| s.api_url = url.to_owned()).is_ok(), "{url}");
    }
    for (url, shown, reason) in [
        ("", "", "is no URL"),
        ("bl.ipwhois.net/api", "bl.ipwhois.net/api", "is no URL"),
        ("https://", "https://", "is no URL"),
        ("ftp://a/b", "ftp://a/b", "neither an http"),
        (
            "https://me:s3cr3t-m4rk3r@a/b",
            "(hidden)@a/b",
            "names a user",
        ),
        (
            "https://me:p@s3cr3t-m4rk3r@a/b",
            "(hidden)@a/b",
            "names a user",
        ),
        (
            "https://a/b?key=s3cr3t-m4rk3r",
            "https://a/b?(hidden)",
            "query",
        ),
        (
            "https://a/b#s3cr3t-m4rk3r",
            "https://a/b?(hidden)",
            "fragment",
        ),
        ("https://me:1?s3cr3t-m4rk3r@a/b", "(hidden)@a/b", ""),
    ] {
        let begin = format!("setting `api_url`: `{shown}` ");
        check_invalid(|s| s.api_url = url.to_owned(), &[&begin, reason]);
    }
}

#[test]
fn the_key_and_its_header_are_what_a_request_can_carry() {
    for key in [
        "",
        "two words",
        "tab\t",
        "line\n",
        "caf\u{e9}",
        &"x".repeat(513),
    ] {
        let begin = "setting `api_key`: `(hidden)` is not 1 to 512";
        check_invalid(|s| s.api_key = Some(key.into()), &[begin]);
    }
    assert!(validated(|s| s.api_key = Some("x".repeat(512).into())).is_ok());
    check_invalid(
        |s| s.api_key_header = "X Key".to_owned(),
        &["`api_key_header`: `X Key`"],
    );
    check_invalid(
        |s| s.api_key_header = String::new(),
        &["`api_key_header`: ``"],
    );
    let both = |s: &mut Settings| {
        s.api_key = Some("k".into());
        s.api_key_file = Some("/a".into());
    };
    check_invalid(both, &["`api_key` and `api_key_file` are both given"]);
}

struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, contents: &[u8]) -> Self {
        let name = format!("ipwhois-guard-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, contents).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn key_in_file(name: &str, contents: &[u8]) -> Result<Option<String>, BuildError> {
    let file = TempFile::new(name, contents);
    let settings = Settings {
        api_key_file: Some(file.0.clone()),
        ..Settings::default()
    };
    let key = settings.load_key()?;
    Ok(key.map(|key| key.expose().to_owned()))
}

#[test]
fn a_key_is_read_from_its_file() {
    for end in ["", "\n", "\r\n"] {
        let key = key_in_file("good", format!("{SECRET}{end}").as_bytes());
        assert_eq!(key.unwrap().as_deref(), Some(SECRET));
    }
    let long = [b"x".repeat(512), b"\r\n".to_vec()].concat();
    assert_eq!(key_in_file("long", &long).unwrap().unwrap().len(), 512);
}

#[test]
fn a_file_without_a_key_is_told_and_never_shown() {
    let too_long = SECRET.repeat(100_000);
    let two_lines = format!("{SECRET}\n{SECRET}\n");
    let not_utf8 = [SECRET.as_bytes(), b"\xff"].concat();
    let contents = [
        b"".as_slice(),
        b"\n",
        too_long.as_bytes(),
        two_lines.as_bytes(),
        &not_utf8,
    ];
    for contents in contents {
        let error = key_in_file("bad", contents).unwrap_err().to_string();
        assert!(error.starts_with("setting `api_key_file`: `"), "{error}");
        assert!(error.contains("-bad` does not hold a key"), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
    let settings = Settings {
        api_key_file: Some("/nowhere/to/be/found".into()),
        ..Settings::default()
    };
    let error = settings.load_key().unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting `api_key_file`: cannot read /nowhere/to/be/found"
    );
    assert!(error.source().is_some());
}

#[test]
fn no_error_about_toml_shows_the_key() {
    for value in [
        "'s3cr3t-m4rk3r",
        "\"s3cr3t-m4rk3r",
        "s3cr3t-m4rk3r",
        "\"\"\"\ns3cr3t-m4rk3r",
        "'''s3cr3t-m4rk3r''",
        "\"s3cr3t-m4rk3r\\q\"",
        "\"s3cr3t-m4rk3r\" x",
        "\"a\" s3cr3t-m4rk3r",
        "['s3cr3t-m4rk3r']",
        "{ a = 's3cr3t-m4rk3r' }",
        "1979-05-27s3cr3t-m4rk3r",
        "12s3cr3t-m4rk3r",
        "\"s3cr3t-m4rk3r\u{1}\"",
        "\"s3cr3t-m4rk3r\"\napi_key = \"s3cr3t-m4rk3r\"",
        "\"s3cr3t-m4rk3r\"\nmax_wait = 7",
        "\"s3cr3t-m4rk3r\"\nnonsense = 7",
    ] {
        for before in ["", "mode = 'off'\n"] {
            let text = format!("{before}api_key = {value}");
            let error = Settings::from_toml(&text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
        }
    }
    for value in [
        "4815162342",
        "4815162342.5",
        "-4815162342",
        "true",
        "2024-01-01",
    ] {
        let error = Settings::from_toml(&format!("api_key = {value}")).unwrap_err();
        let error = format!("{error:?}");
        assert!(!error.contains(value), "{error}");
        assert!(error.contains("`api_key`: "), "{error}");
    }
}

#[test]
fn nothing_shows_the_key() {
    let bad_key = format!("{SECRET} with a space");
    let settings = from_var("API_KEY", &bad_key).unwrap();
    let builder = GuardBuilder::from(settings.clone());
    let invalid = settings.validate().unwrap_err();
    let not_loaded = settings.load_key().unwrap_err();
    let shown = format!(
        "{settings:?} {settings:#?} {builder:?} {invalid} {invalid:?} {not_loaded} {not_loaded:?}"
    );
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(shown.contains("ApiKey(hidden)"), "{shown}");
    let bad_elsewhere = Settings::from_vars([
        ("IPWHOIS_GUARD_API_KEY", SECRET),
        ("IPWHOIS_GUARD_MODE", "on"),
    ]);
    assert!(!format!("{:?}", bad_elsewhere.unwrap_err()).contains(SECRET));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(text in any::<String>(), name in 0..22_usize) {
        let name = env::names().nth(name).unwrap();
        let from_text = Settings::from_toml(&text);
        let from_value = Settings::from_toml(&format!("{name} = {text}"));
        let from_string = Settings::from_toml(&format!("{name} = {text:?}"));
        let from_var = from_var(&name.to_ascii_uppercase(), &text);
        let _ = from_var_named(&text);
        for settings in [from_text, from_value, from_string, from_var].into_iter().flatten() {
            let _ = settings.validate();
        }
    }
}

fn from_var_named(name: &str) -> Result<Settings, BuildError> {
    from_var(name, "1")
}

#[test]
fn the_feed_is_beside_the_api_unless_told_otherwise() {
    let location = |change: &dyn Fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        let url = settings.feed_location().unwrap();
        url.map(|url| url.to_string())
    };
    let some = |url: &str| Some(url.to_owned());
    assert_eq!(location(&|_| {}), some("https://bl.ipwhois.net/feed.txt"));
    for (api, feed) in [
        ("http://127.0.0.1:1/api", "http://127.0.0.1:1/feed.txt"),
        ("http://127.0.0.1:1/api/", "http://127.0.0.1:1/feed.txt"),
        ("http://127.0.0.1:1/x/api", "http://127.0.0.1:1/x/feed.txt"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1/feed.txt"),
    ] {
        assert_eq!(location(&|s| s.api_url = api.to_owned()), some(feed));
    }
    let file = "file:///var/lib/feed.txt";
    assert_eq!(location(&|s| s.feed_url = some(file)), some(file));
    assert_eq!(location(&|s| s.feed_url = some("")), None);
    assert_eq!(location(&|s| s.feed_action = FeedAction::Off), None);
    assert_eq!(from_var("FEED_URL", "").unwrap().feed_url, some(""));
}

#[test]
fn a_feed_that_cannot_be_fetched_is_an_error_at_build_time() {
    let with = |url: &str| {
        let url = url.to_owned();
        move |settings: &mut Settings| settings.feed_url = Some(url)
    };
    check_invalid(with("feed.txt"), &["feed_url", "feed.txt", "no URL"]);
    check_invalid(with("ftp://a/b"), &["feed_url", "ftp://a/b", "file URL"]);
    check_invalid(with("file://host/x"), &["feed_url", "file on this machine"]);
    check_invalid(with("http://u:secret@/"), &["feed_url"]);
    check_invalid(
        |settings| settings.feed_interval = Duration::from_secs(59),
        &["feed_interval", "59s", "1 minute"],
    );
}

#[test]
fn the_budget_is_what_the_service_gives_unless_told_otherwise() {
    let mut settings = Settings::default();
    assert_eq!(settings.checks_a_day(), 500);
    settings.api_key_file = Some("/a".into());
    assert_eq!(settings.checks_a_day(), 1_000);
    settings.daily_budget = Some(0);
    assert_eq!(settings.checks_a_day(), 0);
}

#[test]
fn limits_of_failed_logins_that_make_no_sense_are_errors() {
    check_invalid(
        |settings| settings.max_failures = 0,
        &["max_failures", "`0`"],
    );
    check_invalid(
        |settings| settings.max_failures = 1_001,
        &["max_failures", "1001", "1000"],
    );
    check_invalid(
        |settings| settings.find_time = Duration::ZERO,
        &["find_time"],
    );
    check_invalid(
        |settings| settings.max_ban_time = Some(Duration::from_secs(60)),
        &["max_ban_time", "ban_time"],
    );
}
