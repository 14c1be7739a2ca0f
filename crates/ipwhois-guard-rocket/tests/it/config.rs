//! Settings in Rocket's own configuration.

use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipwhois_guard_rocket::{IpGuard, Mode, settings};
use rocket::error::ErrorKind;
use rocket::figment::Figment;
use rocket::figment::providers::{Format, Toml};
use rocket::figment::value::Value;
use rocket::local::blocking::Client;
use rocket::{Build, Rocket, get, routes};
use tracing_subscriber::fmt::MakeWriter;

use crate::bench::{CLEAN, LISTED, client, expect_denied, figment, get};

const SECRET: &str = "s3cr3t-m4rk3r";

fn toml(text: &str) -> Figment {
    figment().merge(Toml::string(&format!("[default.ipwhois_guard]\n{text}")).nested())
}

/// As `ROCKET_IPWHOIS_GUARD` is read.
fn variable(text: &str) -> Figment {
    let value: Value = text.parse().unwrap();
    figment().merge(("ipwhois_guard", value))
}

fn told(figment: &Figment) -> String {
    settings(figment).unwrap_err().to_string()
}

#[get("/admin")]
fn admin() -> &'static str {
    "admin"
}

#[get("/admin/healthz")]
fn healthz() -> &'static str {
    "alive"
}

fn from_config(figment: Figment) -> Rocket<Build> {
    rocket::custom(figment)
        .mount("/", routes![admin, healthz])
        .attach(IpGuard::from_config())
}

#[test]
fn settings_have_the_names_that_they_have_everywhere() {
    let figment = toml(
        r#"
        api_key = "s3cr3t-m4rk3r"
        max_wait = "250ms"
        min_confidence = 75
        mode = "monitor"
        trusted_proxies = ["10.0.0.0/8"]
        protect = ["/admin", { path = "/login", methods = ["POST"], on_unverified = "deny" }]
        "#,
    );
    let settings = settings(&figment).unwrap();
    assert_eq!(settings.max_wait, Duration::from_millis(250));
    assert_eq!(settings.min_confidence, 75);
    assert_eq!(settings.mode, Mode::Monitor);
    assert_eq!(settings.trusted_proxies, ["10.0.0.0/8"]);
    assert_eq!(settings.protect.len(), 2);
    assert!(settings.api_key.is_some());
}

#[test]
fn nothing_said_is_the_default_and_a_profile_goes_before_it() {
    assert_eq!(settings(&figment()).unwrap().min_confidence, 90);
    let text = "[default.ipwhois_guard]\nmin_confidence = 80\nmax_wait = '1s'\n\
                [debug.ipwhois_guard]\nmin_confidence = 70\n";
    let figment = figment().merge(Toml::string(text).nested());
    let settings = settings(&figment.select("debug")).unwrap();
    assert_eq!(settings.min_confidence, 70);
    assert_eq!(settings.max_wait, Duration::from_secs(1));
}

#[test]
fn a_variable_changes_what_the_file_says() {
    let figment = toml("min_confidence = 80\nmax_wait = '1s'");
    let value: Value = "{min_confidence=75, protect=[\"/admin\"]}".parse().unwrap();
    let settings = settings(&figment.merge(("ipwhois_guard", value))).unwrap();
    assert_eq!(settings.min_confidence, 75);
    assert_eq!(settings.max_wait, Duration::from_secs(1));
    assert_eq!(settings.protect.len(), 1);
}

#[test]
fn the_fairing_works_by_them() {
    let figment = toml(
        r#"
        api_url = "http://127.0.0.1:9/api"
        deny = ["25.0.0.7"]
        trusted_proxies = ["127.0.0.1"]
        on_unknown_client = "deny"
        exempt = ["/admin/healthz"]
        protect = ["/admin"]
        "#,
    );
    let client = client(from_config(figment));
    expect_denied(get(&client, "/admin", LISTED));
    let response = get(&client, "/admin", CLEAN);
    assert_eq!(response.into_string().unwrap(), "admin");
    let response = get(&client, "/admin/healthz", LISTED);
    assert_eq!(response.into_string().unwrap(), "alive");
}

#[track_caller]
fn check(figment: &Figment, words: &[&str]) {
    let told = told(figment);
    for word in words {
        assert!(told.contains(word), "{told} lacks {word}");
    }
    assert!(!told.contains(SECRET), "{told}");
}

#[test]
fn an_error_names_the_setting_and_the_value() {
    check(
        &toml("max_wait = '5x'"),
        &["setting `max_wait`", "`5x`", "TOML"],
    );
    check(
        &toml("min_confidence = 'much'"),
        &["setting `min_confidence`", "much"],
    );
    check(
        &toml("min_confidence = 300"),
        &["setting `min_confidence`", "300"],
    );
    check(
        &toml("mode = 'loud'"),
        &["setting `mode`", "loud", "monitor"],
    );
    check(
        &toml("trusted_proxies = '10.0.0.1'"),
        &["setting `trusted_proxies`", "10.0.0.1"],
    );
    check(
        &variable("{max_wait=\"5x\"}"),
        &["setting `max_wait`", "`5x`"],
    );
}

#[test]
fn an_unknown_name_is_an_error() {
    check(
        &toml("trusted_proxy = []"),
        &["trusted_proxy", "`trusted_proxies`"],
    );
    check(&variable("{max_weight=1}"), &["max_weight", "`max_wait`"]);
    check(
        &toml("protect = [{ path = '/', method = 'GET' }]"),
        &["method", "`methods`"],
    );
}

#[test]
fn the_key_is_never_shown() {
    // Where the key should not be, and of types that it should not have.
    for text in [
        "api_key = 's3cr3t-m4rk3r'\nmax_wait = 1",
        "api_key = ['s3cr3t-m4rk3r']",
        "api_key = { key = 's3cr3t-m4rk3r' }",
        "redis_url = { url = 's3cr3t-m4rk3r' }",
        "feed_url = ['s3cr3t-m4rk3r']",
    ] {
        check(&toml(text), &["setting `"]);
    }
    for name in [
        "api_key",
        "api_url",
        "redis_url",
        "feed_url",
        "api_key_header",
    ] {
        let number = told(&toml(&format!("{name} = 4242424242")));
        assert!(
            !number.contains("4242") && number.contains("in quotes") && number.contains(name),
            "{number}"
        );
    }
    // Not quoted, or never closed: figment takes the text for one string.
    check(
        &variable("{api_key=s3cr3t-m4rk3r"),
        &["is no table", "{name=value, …}"],
    );
    check(&variable("s3cr3t-m4rk3r"), &["`ipwhois_guard` is no table"]);
    // A syntax error is shown with its line, by others.
    let syntax = toml("max_wait = '1s'\napi_key = 's3cr3t-m4rk3r");
    check(&syntax, &["line 3"]);
}

/// What is logged while a rocket ignites.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[track_caller]
fn check_launch(text: &str, words: &[&str]) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    let ignited = tracing::subscriber::with_default(subscriber, || {
        Client::untracked(from_config(toml(text))).map_err(Box::new)
    });
    let error = ignited.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::FailedFairings(_)),
        "{error:?}"
    );
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for word in words {
        assert!(logged.contains(word), "{logged} lacks {word}");
    }
    assert!(!logged.contains(SECRET), "{logged}");
}

#[test]
fn a_setting_that_cannot_be_used_stops_the_launch() {
    check_launch("max_wait = '5x'", &["ERROR", "setting `max_wait`", "`5x`"]);
    check_launch("min_confidence = 101", &["`min_confidence`", "`101`"]);
    check_launch(
        "trusted_proxies = ['10.0.0.0/33']",
        &["`trusted_proxies`", "10.0.0.0/33"],
    );
    check_launch("api_key = 's3cr3t m4rk3r'", &["`api_key`", "(hidden)"]);
    check_launch(
        "trusted_proxies = ['127.0.0.1']",
        &["ERROR", "`on_unknown_client = deny`", "`X-Real-IP`"],
    );
    check_launch("protect = ['/a /b']", &["`protect`", "is a list"]);
    check_launch(
        "deny_file = '/nonexistent'",
        &["`deny_file`", "/nonexistent"],
    );
}

const TOLD: &str = "ROCKET_IPWHOIS_GUARD was read";

#[test]
fn the_process_environment_is_read() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "config::reads_its_environment",
            "--ignored",
            "--nocapture",
        ])
        .env("ROCKET_IPWHOIS_GUARD", "{min_confidence=42}")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains(TOLD), "{told}");
}

#[test]
#[ignore = "run by `the_process_environment_is_read`, in a process with that variable"]
fn reads_its_environment() {
    let settings = settings(&rocket::Config::figment()).unwrap();
    assert_eq!(settings.min_confidence, 42);
    println!("{TOLD}");
}
