use std::error::Error as _;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::address::ClientResolver;
use crate::builder::GuardBuilder;
use crate::error::BuildError;
use crate::evidence::ProbePaths;
use crate::ip_set::IpSet;
use crate::rules::RuleSet;
use crate::testing::Log;

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
    let names: Vec<String> = NAMES.iter().map(|name| format!("`{name}`")).collect();
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
        ("ON_UNKNOWN_CLIENT", "allow"),
        ("EXEMPT", "/healthz"),
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
        ("MAX_FAILURES", "9"),
        ("FIND_TIME", "5m"),
        ("BAN_TIME", "30m"),
        ("MAX_BAN_TIME", "1day"),
        ("BAN_SCOPE", "logins"),
        ("REDIS_URL", "redis://:s3cr3t-m4rk3r@h/0"),
        ("STATE_DIR", "/e"),
    ];
    let vars = vars.map(|(name, value)| (format!("IPWHOIS_GUARD_{name}"), value));
    let unrelated = ("PATH".to_owned(), "/bin");
    assert_eq!(vars.len(), NAMES.len());
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
        on_unknown_client = "allow"
        exempt = ["/healthz"]
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
        ban_scope = "logins"
        feed_interval = "10m"
        probe_paths = ["/.env", "/x.php"]
        served_paths = ["/y.php"]
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
    check_toml(
        "login_paths = ['/a']",
        1,
        &["`login_paths` is no setting any more"],
    );
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
    for name in NAMES.iter().filter(|name| **name != "feed_url") {
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
    for (url, reason) in [
        ("", "is no URL"),
        ("bl.ipwhois.net/api", "is no URL such as `https://host/api`"),
        ("https://", "is no URL"),
        ("ftp://a/b", "neither an http"),
        ("https://me:s3cr3t-m4rk3r@a/b", "names a user"),
        ("https://me:p@s3cr3t-m4rk3r@a/b", "names a user"),
        ("https://a/b?key=s3cr3t-m4rk3r", "query"),
        ("https://a/b#s3cr3t-m4rk3r", "fragment"),
        ("https://me:1?s3cr3t-m4rk3r@a/b", ""),
    ] {
        let begin = "setting `api_url`: `(hidden)` ";
        check_invalid(|s| s.api_url = url.to_owned(), &[begin, reason]);
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
        check_invalid(
            |s| s.api_key = Some(key.into()),
            &["setting `api_key`: `(hidden)` "],
        );
    }
    assert!(validated(|s| s.api_key = Some("x".repeat(512).into())).is_ok());
    // The key may stand where its header belongs.
    for header in ["X Key", "", "X-API-Key: s3cr3t-m4rk3r"] {
        let sentence = "`api_key_header`: `(hidden)` is no name of a header";
        check_invalid(|s| s.api_key_header = header.to_owned(), &[sentence]);
    }
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
fn a_key_file_with_quotes_or_a_key_in_its_place_is_told() {
    let error = key_in_file("quotes", format!("\"{SECRET}\"\n").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("in quotes"), "{error}");
    let error = key_in_file("mark", format!("\u{feff}{SECRET}").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("does not hold a key"), "{error}");
    let settings = Settings {
        api_key_file: Some(SECRET.into()),
        ..Settings::default()
    };
    let error = settings.load_key().unwrap_err();
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
    assert!(
        error.to_string().contains("belongs into `api_key`"),
        "{error}"
    );
}

#[test]
fn a_setting_that_another_one_leaves_without_effect_is_logged() {
    let warned = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || settings.warn_of_idle());
        log.0.lock().unwrap().clone()
    };
    assert_eq!(warned(|_| {}), "");
    let header = warned(|s| s.client_ip_header = "x-real-ip".to_owned());
    assert!(
        header.contains("`client_ip_header` has no effect without"),
        "{header}"
    );
    let trusting = warned(|s| {
        s.client_ip_header = "x-real-ip".to_owned();
        s.trusted_hops = Some(1);
    });
    assert_eq!(trusting, "");
    assert!(warned(|s| s.api_key_header = "X-Key".to_owned()).contains("`api_key_header`"));
    let off = warned(|s| {
        s.feed_action = FeedAction::Off;
        s.feed_url = Some("file:///feed.txt".to_owned());
        s.feed_interval = Duration::from_secs(60);
    });
    assert!(
        off.contains("`feed_url`") && off.contains("`feed_interval`"),
        "{off}"
    );
    assert_eq!(warned(|s| s.feed_action = FeedAction::Off), "");
}

#[test]
fn a_byte_order_mark_before_toml_does_not_count() {
    let settings = Settings::from_toml("\u{feff}mode = 'off'").unwrap();
    assert_eq!(settings.mode, Mode::Off);
    check_toml("mode = 'off'\n\"mo\u{200b}de\" = 1", 2, &["mo\\u{200b}de"]);
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
    assert!(shown.contains("api_key: Some((hidden))"), "{shown}");
    assert_eq!(format!("{:?}", ApiKey::from(SECRET)), "ApiKey(hidden)");
    let bad_elsewhere = Settings::from_vars([
        ("IPWHOIS_GUARD_API_KEY", SECRET),
        ("IPWHOIS_GUARD_MODE", "on"),
    ]);
    assert!(!format!("{:?}", bad_elsewhere.unwrap_err()).contains(SECRET));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(text in any::<String>(), name in 0..100_usize) {
        let name = NAMES[name % NAMES.len()];
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

/// Whether a setting's text is a list, or names a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    One,
    List,
    File,
}

/// A value of each setting that takes free text, as the environment has it.
const TEXTS: &[(&str, &str, Kind)] = &[
    ("api_url", "https://api.example/api", Kind::One),
    ("api_key", "made-up-key", Kind::One),
    ("api_key_file", "/run/secrets/key", Kind::File),
    ("api_key_header", "X-Key", Kind::One),
    ("protect", "/admin", Kind::List),
    ("exempt", "/healthz", Kind::List),
    ("trusted_proxies", "10.0.0.0/8", Kind::List),
    ("client_ip_header", "x-real-ip", Kind::One),
    ("allow", "25.0.0.1", Kind::List),
    ("deny", "26.0.0.0/24", Kind::List),
    ("allow_file", "/etc/guard/allow", Kind::File),
    ("deny_file", "deny.txt", Kind::File),
    ("feed_url", "https://feed.example/feed.txt", Kind::One),
    ("probe_paths", "/wp-admin", Kind::List),
    ("served_paths", "/old/x.php", Kind::List),
    ("redis_url", "redis://redis.example:6379/0", Kind::One),
    ("state_dir", "/var/lib/guard", Kind::File),
];

/// A value of each other setting: numbers, durations and choices.
const VALUES: &[(&str, &str)] = &[
    ("api_proxy_from_env", "true"),
    ("api_timeout", "1s"),
    ("max_wait", "1s"),
    ("min_confidence", "50"),
    ("on_unverified", "deny"),
    ("on_unknown_client", "deny"),
    ("mode", "monitor"),
    ("trusted_hops", "1"),
    ("cache_ttl", "2h"),
    ("stale_ttl", "2days"),
    ("error_ttl", "1m"),
    ("cache_capacity", "7"),
    ("daily_budget", "7"),
    ("feed_action", "block"),
    ("ban_scope", "logins"),
    ("feed_interval", "1h"),
    ("max_failures", "7"),
    ("find_time", "1h"),
    ("ban_time", "2h"),
    ("max_ban_time", "1day"),
];

/// What is checked when a guard is built, but for the contents of files.
fn usable(settings: Settings) -> Result<Settings, BuildError> {
    settings.validate()?;
    let policy = settings.default_policy();
    RuleSet::new(&settings.protect, &settings.exempt, policy)?;
    let (proxies, hops) = (&settings.trusted_proxies, settings.trusted_hops);
    ClientResolver::new(proxies, hops, &settings.client_ip_header)?;
    IpSet::parse("allow", &settings.allow)?;
    IpSet::parse("deny", &settings.deny)?;
    ProbePaths::new(settings.probe_paths.as_deref(), &settings.served_paths)?;
    Ok(settings)
}

/// By a map, as figment and TOML give it.
fn from_map(name: &str, text: &str, kind: Kind) -> Result<Settings, String> {
    let text = toml::Value::String(text.to_owned());
    let value = match kind {
        Kind::List => toml::Value::Array(vec![text]),
        Kind::One | Kind::File => text,
    };
    let table = toml::Table::from_iter([(name.to_owned(), value)]);
    table.try_into().map_err(|error| error.to_string())
}

/// Everything that settings say, secrets too. Blanks around an address do not count.
fn said(settings: &Settings) -> String {
    let mut settings = settings.clone();
    let (proxies, lists) = (
        &mut settings.trusted_proxies,
        [&mut settings.allow, &mut settings.deny],
    );
    for item in lists.into_iter().chain([proxies]).flatten() {
        *item = item.trim().to_owned();
    }
    let key = settings.api_key.as_ref().map(ApiKey::expose);
    let redis = settings.redis_url.as_ref().map(SecretUrl::expose);
    let open = (
        &settings.api_url,
        &settings.api_key_header,
        &settings.feed_url,
    );
    format!("{settings:?} {key:?} {redis:?} {open:?}")
}

/// A text that cannot be meant is refused with the setting's name, wherever it comes from, or it
/// means the same as the text that can.
#[track_caller]
fn check_meant(name: &str, good: &str, text: &str, kind: Kind) {
    let variable = name.to_ascii_uppercase();
    let same = said(&from_var(&variable, good).unwrap());
    let by_variable = from_var(&variable, text).map_err(|error| error.to_string());
    for read in [by_variable, from_map(name, text, kind)] {
        match read.and_then(|read| usable(read).map_err(|error| error.to_string())) {
            Ok(settings) => assert_eq!(said(&settings), same, "{name}: {text:?} is taken"),
            Err(error) => assert!(error.to_lowercase().contains(name), "{name}: {error}"),
        }
    }
}

#[test]
fn every_setting_has_a_value_that_has_an_effect() {
    let texts = TEXTS.iter().map(|&(name, text, _)| (name, text));
    let mut names: Vec<&str> = Vec::new();
    for (name, text) in texts.chain(VALUES.iter().copied()) {
        names.push(name);
        let read = from_var(&name.to_ascii_uppercase(), text).unwrap();
        let read = usable(read).unwrap();
        assert_ne!(said(&read), said(&Settings::default()), "{name}");
    }
    names.sort_unstable();
    let mut all = NAMES.to_vec();
    all.sort_unstable();
    assert_eq!(names, all);
}

#[test]
fn no_value_is_silently_without_effect() {
    for &(name, good, kind) in TEXTS {
        let everywhere = [
            format!("\"{good}\""),
            format!("'{good}'"),
            format!("`{good}`"),
            format!("\u{201c}{good}\u{201d}"),
            format!("'{good}"),
            format!("{good}\""),
            format!("\u{feff}{good}"),
            format!("{good}\u{200b}"),
            format!("{good}\u{a0}x"),
            format!("{good}\t{good}"),
            format!("{good}\n{good}"),
            format!("{good}\0"),
            "$NAME".to_owned(),
            "${NAME}".to_owned(),
            "$(cat name)".to_owned(),
            "{{ name }}".to_owned(),
        ];
        let of_lists = [
            format!("{good} {good}"),
            format!("{good};{good}"),
            format!("{good}; {good}"),
            format!("{good}|{good}"),
            format!("[{good}]"),
            "https://site.example/admin".to_owned(),
            format!("~{good}"),
        ];
        let of_files = [
            format!("https://host{good}"),
            format!("file://{good}"),
            "~/guard".to_owned(),
            "$HOME/guard".to_owned(),
            "C:\\guard".to_owned(),
            "/a,/b".to_owned(),
            "/a:/b".to_owned(),
            "/a /b".to_owned(),
            format!(" {good} "),
            "%APPDATA%/guard".to_owned(),
        ];
        let more: &[String] = match kind {
            Kind::One => &[],
            Kind::List => &of_lists,
            Kind::File => &of_files,
        };
        for text in everywhere.iter().chain(more) {
            check_meant(name, good, text, kind);
        }
    }
    for &(name, good) in VALUES {
        for text in [
            format!("\"{good}\""),
            format!("'{good}'"),
            format!("\u{feff}{good}"),
            format!("{good}\u{200b}"),
            format!("{good};"),
            "$NAME".to_owned(),
        ] {
            let error = from_var(&name.to_ascii_uppercase(), &text).unwrap_err();
            let error = error.to_string().to_lowercase();
            assert!(
                error.contains(name) && !error.contains('\u{200b}'),
                "{error}"
            );
        }
    }
}

#[test]
fn an_empty_text_is_refused_where_code_or_toml_says_it() {
    for name in ["api_key_file", "allow_file", "deny_file", "state_dir"] {
        let read = from_map(name, "", Kind::File).unwrap();
        let error = usable(read).unwrap_err().to_string();
        assert!(error.contains("is empty"), "{error}");
    }
    for &(name, _, _) in TEXTS.iter().filter(|(_, _, kind)| *kind == Kind::List) {
        let read = from_map(name, "", Kind::List).unwrap();
        assert!(usable(read).is_err(), "{name}");
    }
}

/// Pieces of URLs, keys and connection strings.
const PIECES: &str = "((https?|redis|file|[a-z]+)://)?\
    (user|:|@|,|/|\\?|#|=| |;|&|host|\\[::1\\]|:443|/0|pass=|%|\\n|\\r|\"|'|\u{feff}|Bearer ){0,6}";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_character_that_cannot_be_seen_is_refused_wherever_it_stands(
        which in 0..TEXTS.len(),
        at in any::<prop::sample::Index>(),
        unseen in prop::sample::select(vec![
            '\u{feff}', '\u{200b}', '\u{200e}', '\u{202e}', '\u{2060}', '\u{ad}', '\u{a0}',
            '\u{3000}', '\u{2028}', '\u{fe0f}', '\u{3164}', '\u{e0001}', '\u{7f}', '\t', '\r',
            '\n', '\0',
        ]),
    ) {
        let (name, good, kind) = TEXTS[which];
        let mut text = good.to_owned();
        text.insert(at.index(good.len() + 1), unseen);
        check_meant(name, good, &text, kind);
    }

    #[test]
    fn no_secret_is_shown_wherever_it_stands(
        name in prop::sample::select(vec![
            "api_url", "api_key", "api_key_header", "feed_url", "redis_url",
        ]),
        before in PIECES,
        secret in "[a-z]{4}[0-9]{4}[A-Z]{4}",
        after in PIECES,
        quote in prop::sample::select(vec!["", "'", "\"", "'''", "\"\"\"", "['", "{ a = '"]),
    ) {
        let text = format!("{before}{secret}{after}");
        let log = Log::default();
        let shown = tracing::subscriber::with_default(log.clone(), || {
            let by_variable = from_var(&name.to_ascii_uppercase(), &text);
            let by_map = from_map(name, &text, Kind::One);
            let toml = format!("mode = 'off'\n{name} = {quote}{text}{quote}\nmax_wait = 7");
            let by_toml = Settings::from_toml(&toml);
            let mut shown = format!("{by_variable:?} {by_map:?} {by_toml:?} {by_toml:#?}");
            for error in [by_variable.as_ref().err(), by_toml.as_ref().err()].into_iter().flatten() {
                shown += &error.to_string();
            }
            let read = [by_variable.ok(), by_map.ok(), by_toml.ok()];
            for settings in read.into_iter().flatten() {
                let builder = GuardBuilder::from(settings.clone());
                shown += &format!("{builder:?} {builder:#?}");
                if let Err(error) = settings.validate() {
                    shown += &format!("{error} {error:?} {error:#?}");
                }
            }
            shown
        });
        let logged = log.0.lock().unwrap().clone();
        prop_assert!(!shown.contains(&secret), "{}", shown);
        prop_assert!(!logged.contains(&secret), "{}", logged);
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
    check_invalid(with("feed.txt"), &["feed_url", "no URL"]);
    check_invalid(
        with("/var/feed.txt"),
        &["feed_url", "is a path", "`file:///`"],
    );
    check_invalid(with("ftp://a/b"), &["feed_url", "file URL"]);
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
