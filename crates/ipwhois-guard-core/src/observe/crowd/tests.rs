use super::*;

const PROXY: &str = "10.0.0.1";
const CDN: &str = "26.9.0.1";
const START: Duration = Duration::from_secs(1_000);
const HOUR: Duration = Duration::from_secs(3_600);

/// Requests of one client, over so many paths, evenly spread over some time.
#[derive(Clone, Copy)]
struct Requests {
    who: Seen,
    number: u32,
    paths: u8,
    forwarded: bool,
    within: Duration,
}

fn of(client: &str, number: u32) -> Requests {
    Requests {
        who: Seen::Client(client.parse().unwrap()),
        number,
        paths: 1,
        forwarded: false,
        within: Duration::ZERO,
    }
}

impl Requests {
    fn forwarded(mut self) -> Self {
        self.forwarded = true;
        self
    }

    fn paths(mut self, paths: u8) -> Self {
        self.paths = paths;
        self
    }

    fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    fn go_through(self, crowd: &mut Crowd) {
        for n in 0..self.number {
            let now = START + self.within * n / self.number.max(1);
            let trace = || Trace {
                forwarded: self.forwarded,
                path: (n % u32::from(self.paths)) as u8,
            };
            crowd.see(self.who, now, trace);
        }
    }
}

#[track_caller]
fn check(requests: Requests, is_suspected: bool) {
    let mut crowd = Crowd::default();
    requests.go_through(&mut crowd);
    assert_eq!(crowd.suspicion().is_some(), is_suspected);
}

#[test]
fn a_private_peer_that_forwards_is_suspected_at_its_hundredth_request() {
    check(of(PROXY, 99).forwarded(), false);
    check(of(PROXY, 100).forwarded(), true);
    check(of("127.0.0.1", 100).forwarded(), true);
}

#[test]
fn a_scanner_that_writes_forwarding_headers_is_no_proxy() {
    check(of(CDN, 50_000).forwarded().within(HOUR / 2), false);
    check(of(CDN, 50_000).forwarded().within(HOUR * 2), true);
}

#[test]
fn one_who_is_alone_with_the_site_is_no_proxy() {
    // A crawler, a health checker, a developer at work, one in the local network.
    check(of(CDN, 50_000).paths(64).within(HOUR * 24), false);
    check(of(PROXY, 50_000).paths(2).within(HOUR * 24), false);
    check(of("127.0.0.1", 50_000).paths(64).within(HOUR * 24), false);
    check(of("::1", 50_000).paths(64).within(HOUR * 24), false);
    check(of(PROXY, 299).paths(64), false);
}

#[test]
fn many_requests_for_many_paths_from_a_private_address_are_many_visitors() {
    check(of(PROXY, 300).paths(8), true);
    check(of(PROXY, 300).paths(7), false);
}

#[test]
fn some_other_clients_do_not_hide_a_proxy_and_many_do_clear_it() {
    let mix = |others_in_ten: u32| {
        let mut crowd = Crowd::default();
        for n in 0..2_000 {
            if n % 10 < others_in_ten {
                of(&format!("26.0.0.{}", n % 200), 1).go_through(&mut crowd);
            } else {
                of(PROXY, 1).forwarded().go_through(&mut crowd);
            }
        }
        crowd.suspicion()
    };
    let suspicion = Some(Suspicion::OneClient {
        client: PROXY.parse().unwrap(),
        forwards: true,
    });
    assert_eq!(mix(0), suspicion);
    assert_eq!(mix(1), suspicion);
    assert_eq!(mix(3), None);
    assert_eq!(mix(10), None);
}

#[test]
fn a_suspicion_is_dropped_when_others_come_and_does_not_flicker() {
    let mut crowd = Crowd::default();
    of(PROXY, 200).forwarded().go_through(&mut crowd);
    for n in 1..=37 {
        of(&format!("26.0.0.{n}"), 1).go_through(&mut crowd);
        assert!(crowd.suspicion().is_some(), "{n} others");
    }
    of("26.0.1.1", 1).go_through(&mut crowd);
    assert_eq!(crowd.suspicion(), None);
    of(PROXY, 30).forwarded().go_through(&mut crowd);
    assert_eq!(crowd.suspicion(), None, "not enough points yet");
    of(PROXY, 30).forwarded().go_through(&mut crowd);
    assert!(crowd.suspicion().is_some());
}

#[test]
fn proxies_that_share_the_traffic_are_suspected_together() {
    for share in [5, 9] {
        let mut crowd = Crowd::default();
        for n in 0..200 {
            let proxy = if n % 10 < share { PROXY } else { "::1" };
            of(proxy, 1).forwarded().go_through(&mut crowd);
        }
        let all = [PROXY, "::1"].map(|proxy| proxy.parse().unwrap());
        assert_eq!(
            crowd.suspicion(),
            Some(Suspicion::Forwarders(all.to_vec())),
            "{share} of ten"
        );
    }
}

#[test]
fn clients_that_forward_nothing_or_are_public_are_no_proxies() {
    for (one, other, forwards) in [(PROXY, "10.0.0.2", false), (CDN, "26.9.0.2", true)] {
        let mut crowd = Crowd::default();
        for n in 0..1_000 {
            let client = if n % 2 == 0 { one } else { other };
            let mut request = of(client, 1);
            request.forwarded = forwards;
            request.go_through(&mut crowd);
        }
        assert_eq!(crowd.suspicion(), None, "{one}");
    }
}

#[test]
fn requests_of_nobody_are_noticed() {
    let nobody = Requests {
        who: Seen::Nobody(Unverified::NoPeer),
        ..of(CDN, 100)
    };
    check(nobody, true);
    check(
        Requests {
            number: 99,
            ..nobody
        },
        false,
    );
}
