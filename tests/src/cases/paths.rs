//! Rules and the ways to write a path.

use ipwhois_guard_core::OnUnverified;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::bench::{Bench, CLEAN, LISTED, Setup};
use crate::client::Request;
use crate::driver::Driver;

/// Whatever a framework makes of these: when a handler of `/admin` would run, the guard has refused
/// before.
pub fn no_spelling_of_a_path_slips_past_its_rule<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    for path in [
        "/admin",
        "/admin/",
        "/admin/users/1",
        "//admin",
        "/admin//users",
        "/./admin",
        "/x/../admin",
        "/admin/../admin/users",
        "/admin/./",
        "/admin/..",
        "/admin/x/../../y",
        "/%61dmin",
        "/%61%64%6d%69%6e",
        "/%61dmin/../x",
        "/admin%2fusers",
        "/admin%2Fusers",
        "/x%2f..%2fadmin",
        "/x%2fy/../admin",
        "/%2e/admin",
        "/x/%2e%2e/admin",
        "/admin?x=/public",
        "/admin/%zz",
        "/admin/%",
        "/admin/%00",
        "/admin/%ff",
    ] {
        let response = bench.send(&Request::get(path).from_client(LISTED));
        assert!(
            matches!(response.status, 403 | 400),
            "{path}: {}",
            response.status
        );
        assert_eq!(bench.handled(), 0, "{path} reached a handler");
    }
}

pub fn a_rule_covers_whole_segments_only<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    for path in [
        "/administrator",
        "/admi",
        "/x/admin",
        "/",
        "/ADMIN",
        "/admin-x",
    ] {
        let response = bench.send(&Request::get(path).from_client(LISTED));
        assert_ne!(response.status, 403, "{path}");
    }
    assert_eq!(bench.service.check_count(), 0);
}

pub fn the_query_is_no_part_of_the_path<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let open = Request::get("/?path=/admin").from_client(LISTED);
    assert_eq!(bench.send(&open).status, 200);
    let guarded = Request::get("/admin?/../").from_client(LISTED);
    assert_eq!(bench.send(&guarded).status, 403);
}

pub fn absolute_form_is_read_by_its_path<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let absolute = Request::get("http://elsewhere.example/admin").from_client(LISTED);
    let status = bench.send(&absolute).status;
    assert!(matches!(status, 403 | 400), "{status}");
    assert_eq!(bench.handled(), 0);
}

/// RFC 9112, section 3.2.3, has this form for `CONNECT` only; clients send what they like.
pub fn a_target_without_a_path_is_answered<D: Driver>() {
    let bench = Setup::without_rules().serve::<D>();
    for (method, target) in [
        ("GET", "admin"),
        ("GET", "admin:80"),
        ("POST", "&"),
        ("CONNECT", "admin:80"),
        ("OPTIONS", "*"),
    ] {
        let response = bench.send(&Request::new(method, target).from_client(LISTED));
        let refused = (400..500).contains(&response.status);
        assert!(refused, "{method} {target}: {}", response.status);
    }
    assert_eq!(bench.handled(), 0);
    assert_eq!(bench.status_of(CLEAN), 200);
}

/// Everything is guarded but `/admin/healthz`.
fn exempting<D: Driver>() -> Bench {
    Setup::without_rules()
        .guard(|guard| guard.protect("/").exempt(["/admin/healthz", "/data"]))
        .guard(|guard| guard.on_unverified(OnUnverified::Deny))
        .serve::<D>()
}

pub fn an_exempt_path_is_open_to_everybody<D: Driver>() {
    let bench = exempting::<D>();
    for path in [
        "/admin/healthz",
        "/admin/healthz/",
        "/admin/healthz/live?x=1",
    ] {
        let listed = Request::get(path).from_client(LISTED);
        assert_eq!(bench.send(&listed).status, 200, "{path}");
        // A health check has no client.
        assert_eq!(bench.send(&Request::get(path)).status, 200, "{path}");
    }
    assert_eq!(bench.status_of(LISTED), 403);
    assert_eq!(bench.send(&Request::get("/admin")).status, 503);
}

/// Whatever a framework makes of these, they are not surely the exempt path.
pub fn an_exempt_path_opens_no_other<D: Driver>() {
    let bench = exempting::<D>();
    for path in [
        "/admin/healthz/../users/1",
        "/admin/healthz/..",
        "/admin/healthz/.",
        "/admin/healthz//users",
        "/admin//healthz",
        "/admin/healthz/%2e%2e/users",
        "/admin/healthz%2f..%2fusers",
        "/admin/healthz%2Fx",
        "/admin/%68ealthz",
        "/admin/healthz\\..\\users",
        "/admin/healthz;/../users",
        "/admin/healthz/..;/users",
        "/admin/x/../healthz",
        "/admin/healthzz",
        "/admin/Healthz",
        "/admin/healthz%00",
    ] {
        let response = bench.send(&Request::get(path).from_client(LISTED));
        let refused = matches!(response.status, 403 | 400);
        assert!(refused, "{path}: {}", response.status);
        assert_eq!(bench.handled(), 0, "{path} reached a handler");
    }
}

pub fn an_extractor_on_an_exempt_path_decides<D: Driver>() {
    let bench = exempting::<D>();
    let data = |client: &str| {
        bench
            .send(&Request::get("/data").from_client(client))
            .status
    };
    assert_eq!(data(LISTED), 403);
    assert_eq!(data(CLEAN), 200);
    assert_eq!(bench.handled(), 1);
}

/// One way to write a path that may lead below `/admin`.
#[derive(Clone, Debug)]
struct Spelling {
    method: &'static str,
    target: String,
}

impl Spelling {
    /// Whether the protected handler ran for this client.
    fn reaches_the_handler(&self, bench: &Bench, client: &str) -> bool {
        let before = bench.handled();
        let request = Request::new(self.method, &self.target).from_client(client);
        let response = bench.send(&request);
        // An answer to HEAD has no body, but no other handler takes these paths.
        bench.handled() > before && (self.method == "HEAD" || response.text() == "admin")
    }
}

/// A segment, plain or with some of its characters percent-encoded, in either case of the
/// hexadecimal digits.
fn segment(text: &'static str) -> impl Strategy<Value = String> {
    let encoded = prop::collection::vec(prop::sample::select(vec![0, 0, 0, 1, 2]), text.len());
    let encoded = encoded.prop_map(move |how| {
        let write = |(byte, how): (u8, i32)| match how {
            0 => char::from(byte).to_string(),
            1 => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        };
        text.bytes().zip(how).map(write).collect()
    });
    prop_oneof![2 => Just(text.to_owned()), 1 => encoded]
}

/// What stands between segments: mostly one slash.
fn separator() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        6 => Just("/"),
        1 => prop::sample::select(vec![
            "//", "///", "/./", "/x/../", "/%2e/", "/x/%2E%2e/", "%2f", "%2F", "/;/", "/x%2f../", "/.//",
        ]),
    ]
}

fn ending() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => Just(""),
        1 => prop::sample::select(vec![
            "/", "//", "?", "?x=/..", "/.", "/..", "/../..", ";x=1", "/%2e%2e", "/%00", "/%ff", "/%", "%20", ".html",
        ]),
    ]
}

fn spelling() -> impl Strategy<Value = Spelling> {
    let methods = vec![
        "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "get",
    ];
    let admin = prop_oneof![5 => segment("admin"), 1 => Just("ADMIN".to_owned())];
    let below = prop::collection::vec((separator(), segment("users")), 0..3);
    let prefix = prop_oneof![8 => Just(""), 1 => Just("http://elsewhere.example")];
    (
        prop::sample::select(methods),
        prefix,
        separator(),
        admin,
        below,
        ending(),
    )
        .prop_map(|(method, prefix, first, admin, below, ending)| {
            // Without a slash in front a target has no path.
            let first = if first.starts_with('/') { first } else { "/" };
            let below: String = below
                .iter()
                .flat_map(|(separator, segment)| [separator, segment.as_str()])
                .collect();
            Spelling {
                method,
                target: format!("{prefix}{first}{admin}{below}{ending}"),
            }
        })
}

pub fn no_generated_request_reaches_the_handler_for_a_listed_client<D: Driver>() {
    const REQUESTS: u32 = 600;
    let bench = Setup::new().serve::<D>();
    let reached = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config {
        cases: REQUESTS,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&spelling(), |spelling| {
        let bypass = spelling.reaches_the_handler(&bench, LISTED);
        prop_assert!(!bypass, "{spelling:?} reached the handler");
        if spelling.reaches_the_handler(&bench, CLEAN) {
            reached.set(reached.get() + 1);
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    // What nobody can reach proves nothing.
    let reached = reached.get();
    assert!(reached > REQUESTS / 10, "only {reached} led to the handler");
}
