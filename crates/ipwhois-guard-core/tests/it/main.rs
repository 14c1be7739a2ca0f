//! The guard from outside, without a framework.

mod budget;
mod explain;
mod feed;
#[cfg(unix)]
mod forked;
mod health;
mod logins;
mod metrics;
mod reports;
mod shared;
mod state;
mod waiting;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipwhois_guard_core::{
    Denial, Guard, GuardBuilder, Guarded, ManualClock, Peer, RequestHead, Rule, Source, Step,
    Unverified,
};
use ipwhois_guard_testkit::{Behaviour, StandIn};

const LISTED: IpAddr = IpAddr::V4(Ipv4Addr::new(25, 0, 0, 7));
const CLEAN: IpAddr = IpAddr::V4(Ipv4Addr::new(26, 0, 0, 1));
const PATIENCE: Duration = Duration::from_secs(30);

fn service() -> StandIn {
    let service = StandIn::start().expect("a free port");
    service.list(LISTED, 95);
    service
}

fn builder(service: &StandIn) -> GuardBuilder {
    Guard::builder()
        .api_url(service.url())
        .max_wait(PATIENCE)
        .api_timeout(PATIENCE)
}

struct Head {
    path: &'static str,
    peer: Peer,
    forwarded_for: Option<&'static str>,
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        self.path
    }

    fn peer(&self) -> Peer {
        self.peer
    }

    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        let line = self.forwarded_for.filter(|_| name == "x-forwarded-for");
        line.map(str::as_bytes).into_iter()
    }
}

/// Runs a future without any runtime: the guard brings its own.
fn block_on<F: IntoFuture>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future.into_future());
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn a_guard_needs_no_runtime_of_the_application() {
    let service = service();
    let guard = builder(&service).build().unwrap();
    let verdict = block_on(guard.check(LISTED));
    assert_eq!(verdict.source(), Source::Api);
    assert!(!verdict.is_allowed());
    assert!(block_on(guard.check(CLEAN)).is_allowed());
    assert_eq!(block_on(guard.check(LISTED)).source(), Source::Cache);
    assert_eq!(service.check_count(), 2);
}

#[test]
fn a_guard_serves_several_runtimes_and_outlives_each() {
    let service = service();
    let guard = builder(&service).feed_url("").build().unwrap();
    for n in 1..=4 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let client = IpAddr::V4(Ipv4Addr::new(26, 0, 1, n));
        let verdict = runtime.block_on(guard.check(client));
        assert_eq!(verdict.source(), Source::Api);
    }
    // The connection lives on the guard's own runtime, so it is kept from one to the next.
    assert_eq!(service.open_connections(), 1);
}

#[test]
fn the_last_clone_takes_the_connections_along() {
    let service = service();
    let guard = builder(&service).build().unwrap();
    let clone = guard.clone();
    block_on(guard.check(LISTED));
    drop(guard);
    // A clone keeps it alive.
    assert_eq!(block_on(clone.check(LISTED)).source(), Source::Cache);
    drop(clone);
    assert!(service.wait_for_connections_to_fall(0, PATIENCE));
}

#[test]
fn who_waits_when_the_guard_ends_is_answered() {
    let service = service();
    service.behave(Behaviour::Hang);
    let guard = builder(&service).build().unwrap();
    let head = Head {
        path: "/",
        peer: Peer::Ip(CLEAN),
        forwarded_for: None,
    };
    let Step::Asking(asking) = guard.decide(&head) else {
        panic!("nothing is known of the client");
    };
    assert!(service.wait_for_checks(1, PATIENCE));
    drop(guard);
    let decision = block_on(asking);
    let expected = Source::Unverified(Unverified::ShuttingDown);
    assert_eq!(decision.verdict().source(), expected);
    assert!(service.wait_for_connections_to_fall(0, PATIENCE));
}

#[test]
fn a_decision_from_memory_allocates_nothing() {
    let service = service();
    let guard = builder(&service)
        .trusted_proxies(["10.0.0.0/8"])
        .protect("/admin")
        .build()
        .unwrap();
    block_on(guard.check(CLEAN));
    let heads = [
        Head {
            path: "/admin/users",
            peer: Peer::Ip([10, 0, 0, 1].into()),
            forwarded_for: Some("192.0.2.1, 26.0.0.1, 10.1.2.3"),
        },
        Head {
            path: "/x/..//%61dmin/./users",
            peer: Peer::Ip([10, 0, 0, 1].into()),
            forwarded_for: Some("26.0.0.1"),
        },
        Head {
            path: "/admin",
            peer: Peer::Ip([192, 168, 1, 1].into()),
            forwarded_for: Some("26.0.0.1"),
        },
        Head {
            path: "/",
            peer: Peer::Unknown,
            forwarded_for: None,
        },
    ];
    let decide_all = || {
        for head in &heads {
            match guard.decide(head) {
                Step::Decided(decision) => assert!(decision.denial().is_none()),
                Step::Asking(_) => panic!("no question is open"),
            }
        }
    };
    // What is set up once, such as the random state of a hash, is not the decision's.
    decide_all();
    let counted = allocation_counter::measure(decide_all);
    assert_eq!(counted.count_total, 0);
}

#[test]
fn lists_come_from_settings_and_from_files() {
    let service = service();
    let file = |name: &str, text: &str| {
        let path =
            std::env::temp_dir().join(format!("ipwhois-guard-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    };
    let allow = file("allow", "\u{feff}# ours\r\n25.0.0.7 # the office\r\n");
    let deny = file("deny", "26.9.0.1/16\n\n3ffe:9::/32");
    let guard = builder(&service)
        .allow(["25.1.0.0/16"])
        .allow_file(&allow)
        .deny(["26.8.0.0/16"])
        .deny_file(&deny)
        .build()
        .unwrap();
    let source = |ip: &str| block_on(guard.check(ip.parse().unwrap())).source();
    for ip in ["25.0.0.7", "25.1.2.3"] {
        assert_eq!(source(ip), Source::Allowlist, "{ip}");
    }
    for ip in ["26.8.1.1", "26.9.255.255", "3ffe:9::1"] {
        assert_eq!(source(ip), Source::Denylist, "{ip}");
    }
    assert_eq!(service.check_count(), 0);

    let bad = file("bad", "26.0.0.1\nexample.org\n");
    let error = builder(&service).deny_file(&bad).build().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("deny_file") && text.contains(":2:"), "{text}");
    assert!(text.contains("example.org"), "{text}");
    for path in [allow, deny, bad] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_refresh_that_failed_is_not_repeated_at_once() {
    let service = service();
    let clock = ManualClock::new();
    let guard = builder(&service).clock(clock.clone()).build().unwrap();
    block_on(guard.check(LISTED));
    clock.advance(Duration::from_secs(3_600));
    service.behave(Behaviour::status(500));
    assert_eq!(block_on(guard.check(LISTED)).source(), Source::Stale);
    assert!(service.wait_for_checks(2, PATIENCE));
    // Whether the failure has been noted by now or not, nobody asks again.
    for _ in 0..1_000 {
        assert_eq!(block_on(guard.check(LISTED)).source(), Source::Stale);
    }
    assert_eq!(service.check_count(), 2);
}

#[test]
fn what_an_extractor_decided_further_out_does_not_stand_in_for_the_rules() {
    let service = service();
    service.list(CLEAN, 60);
    let guard = builder(&service)
        .protect(Rule::path("/admin").min_confidence(50))
        .build()
        .unwrap();
    let head = |path| Head {
        path,
        peer: Peer::Ip(CLEAN),
        forwarded_for: None,
    };
    let by_extractor = |path| {
        let looking = Guarded::by_extractor(None, || Some(guard.clone()), &head(path));
        block_on(looking.unwrap())
    };
    let status = |earlier: &Guarded, guard: &Guard, path| {
        let step = Guarded::by_rules(Some(earlier), guard, &head(path));
        block_on(step.decision()).denial().map(Denial::status)
    };
    // At confidence 60 the defaults let the client in, the rule does not.
    let earlier = by_extractor("/admin");
    assert!(earlier.admit().is_ok());
    assert_eq!(status(&earlier, &guard, "/admin"), Some(403));
    assert_eq!(status(&by_extractor("/"), &guard, "/"), None);

    // A decision by the rules is taken over by the same guard, and by no other.
    let decided = block_on(guard.decide(&head("/admin")).decision());
    let earlier = Guarded::new(guard.clone(), decided);
    let again = Guarded::by_rules(Some(&earlier), &guard, &head("/admin"));
    let again = block_on(again.decision());
    assert_eq!(
        again.denial().map(Denial::reference),
        decided.denial().map(Denial::reference)
    );
    let lenient = builder(&service).build().unwrap();
    assert_eq!(status(&earlier, &lenient, "/admin"), None);
}

#[test]
fn a_requests_client_is_told_whatever_the_rules_cover_and_nobody_is_asked() {
    let service = service();
    let guard = builder(&service)
        .trusted_proxies(["10.0.0.0/8"])
        .protect("/admin")
        .build()
        .unwrap();
    let head = |peer: [u8; 4], forwarded_for| Head {
        path: "/",
        peer: Peer::Ip(peer.into()),
        forwarded_for,
    };
    let through = head([10, 0, 0, 1], Some("25.0.0.9, 26.0.0.1"));
    assert_eq!(guard.client_ip(&through), Some(CLEAN));
    let direct = head([26, 0, 0, 1], Some("25.0.0.9"));
    assert_eq!(guard.client_ip(&direct), Some(CLEAN));
    assert_eq!(guard.client_ip(&head([10, 0, 0, 1], Some("nobody"))), None);
    assert_eq!(service.check_count(), 0);
}
