//! The guard from outside, without a framework.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipwhois_guard_core::{
    Guard, GuardBuilder, Peer, ReportError, RequestHead, Source, Step, ThreatType, Unverified,
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
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
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
    let guard = builder(&service).build().unwrap();
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
fn a_report_reaches_the_service() {
    let service = service();
    let guard = builder(&service).build().unwrap();
    block_on(guard.report(LISTED, ThreatType::BruteForce)).unwrap();
    let reports = service.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].ip, "25.0.0.7");
    assert_eq!(reports[0].threat_type, "brute-force");
}

#[test]
fn ones_own_addresses_are_never_reported() {
    let service = service();
    let guard = builder(&service)
        .trusted_proxies(["25.1.0.0/16"])
        .allow(["25.2.0.0/16"])
        .deny(["25.3.0.0/16"])
        .build()
        .unwrap();
    for own in [
        "127.0.0.1",
        "10.0.0.1",
        "::1",
        "25.1.0.1",
        "25.2.0.1",
        "::ffff:10.0.0.1",
    ] {
        let result = block_on(guard.report(own.parse().unwrap(), ThreatType::Scan));
        assert!(
            matches!(result, Err(ReportError::NeverReported { .. })),
            "{own}"
        );
    }
    assert!(service.reports().is_empty());
    block_on(guard.report([25, 3, 0, 1].into(), ThreatType::Scan)).unwrap();
}

#[test]
fn a_refused_report_says_why() {
    let service = service();
    service.behave(Behaviour::status(500));
    let guard = builder(&service).build().unwrap();
    let error = block_on(guard.report(LISTED, ThreatType::Scan)).unwrap_err();
    assert!(matches!(error, ReportError::Call(_)), "{error:?}");
    let cause = std::error::Error::source(&error).expect("a cause");
    assert!(cause.to_string().contains("500"), "{cause}");
}
