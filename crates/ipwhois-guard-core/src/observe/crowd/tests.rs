use super::*;

const PROXY: &str = "10.0.0.1";
const EDGE: &str = "26.9.0.1";
const START: Duration = Duration::from_secs(1_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Requests of some clients in turn, over this many paths, evenly spread over some time.
#[derive(Clone)]
struct Requests {
    who: Vec<Seen>,
    number: u32,
    paths: u8,
    forwarded: bool,
    /// The addresses to the left of the client, in turn.
    behind: Vec<IpAddr>,
    within: Duration,
}

fn by(who: Vec<Seen>, number: u32) -> Requests {
    Requests {
        who,
        number,
        paths: 1,
        forwarded: false,
        behind: Vec::new(),
        within: Duration::ZERO,
    }
}

fn of(client: &str, number: u32) -> Requests {
    by(vec![Seen::Client(ip(client))], number)
}

/// Of clients that count up from an address.
fn of_many(first: [u8; 4], clients: u32, number: u32) -> Requests {
    let first = u32::from_be_bytes(first);
    let client = |n| Seen::Client(std::net::Ipv4Addr::from_bits(first + n).into());
    by((0..clients).map(client).collect(), number)
}

fn unknown(reason: Unverified, number: u32) -> Requests {
    by(vec![Seen::Unknown(reason)], number)
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

    fn behind(mut self, behind: &[&str]) -> Self {
        self.behind = behind.iter().map(|text| ip(text)).collect();
        self
    }

    fn go_through(&self, crowd: &mut Crowd) {
        for n in 0..self.number {
            let nth = n as usize;
            let behind = self.behind.get(nth % self.behind.len().max(1));
            let trace = Trace {
                forwarded: self.forwarded,
                behind: behind.copied(),
                path: (n % u32::from(self.paths)) as u8,
            };
            let now = START + self.within * n / self.number.max(1);
            crowd.see(self.who[nth % self.who.len()], now, trace);
        }
    }

    fn suspicions(&self) -> Suspicions {
        let mut crowd = Crowd::default();
        self.go_through(&mut crowd);
        crowd.suspicions()
    }
}

#[track_caller]
fn check(requests: &Requests, is_suspected: bool) {
    let suspicions = requests.suspicions();
    let is_raised = suspicions != Suspicions::default();
    assert_eq!(is_raised, is_suspected, "{suspicions:?}");
}

#[test]
fn a_private_peer_that_forwards_is_suspected_at_its_hundredth_request() {
    check(&of(PROXY, 99).forwarded(), false);
    check(&of(PROXY, 100).forwarded(), true);
    check(&of("127.0.0.1", 100).forwarded(), true);
}

#[test]
fn private_peers_that_share_the_traffic_are_suspected_together() {
    for proxies in [2, 3, 8] {
        let requests = |number| of_many([10, 0, 0, 1], proxies, number).forwarded();
        check(&requests(99), false);
        let named = requests(100).suspicions().forwarders.unwrap();
        assert_eq!(named.len(), proxies as usize, "{named:?}");
    }
    // More than can be told apart.
    check(&of_many([10, 0, 0, 1], 200, 1_000).forwarded(), true);
}

#[test]
fn a_scanner_that_writes_forwarding_headers_is_no_proxy() {
    for scanners in [1, 2, 100] {
        let scan = of_many([26, 9, 0, 1], scanners, 50_000).forwarded();
        check(&scan.clone().within(HOUR / 2), false);
        check(&scan.within(HOUR * 2), true);
    }
}

#[test]
fn a_client_that_is_alone_with_the_site_is_no_proxy() {
    // A crawler, a health check, a developer at work, one in the local network.
    check(&of(EDGE, 50_000).paths(64).within(HOUR * 24), false);
    check(&of(PROXY, 50_000).paths(2).within(HOUR * 24), false);
    let local = of("127.0.0.1", 50_000).paths(64);
    check(&local.within(HOUR * 24), false);
    check(&of("::1", 50_000).paths(64).within(HOUR * 24), false);
    check(&of(PROXY, 299).paths(64), false);
}

#[test]
fn many_requests_for_many_paths_from_addresses_that_are_not_public_are_many_visitors() {
    check(&of(PROXY, 300).paths(8), true);
    check(&of(PROXY, 300).paths(7), false);
    let named = |requests: Requests| requests.paths(8).suspicions().not_public.unwrap();
    assert_eq!(named(of_many([10, 244, 0, 1], 3, 300)).len(), 3);
    assert_eq!(named(of_many([240, 1, 0, 1], 10_000, 300)).len(), 0);
    let is_listed = by(vec![Seen::Listed(ip(PROXY))], 50_000).paths(64);
    check(&is_listed, false);
}

#[test]
fn a_list_that_goes_on_to_the_left_of_every_client_shows_a_proxy() {
    let visitors = ["25.1.0.1", "25.1.0.2", "25.1.0.3"];
    for edges in [2, 3, 8] {
        let requests = of_many([26, 9, 0, 1], edges, 100).behind(&visitors);
        let named = requests.suspicions().middlemen.unwrap();
        assert_eq!(named.len(), edges as usize, "{named:?}");
    }
    check(&of(EDGE, 299).behind(&visitors), false);
    check(&of(EDGE, 300).behind(&visitors), true);
    let diffuse = of_many([26, 9, 0, 1], 500, 1_000).behind(&visitors);
    check(&diffuse, true);
}

#[test]
fn a_client_that_writes_the_list_itself_is_no_proxy() {
    // Always the same address, an address of its own network, or nothing.
    check(&of(EDGE, 50_000).behind(&["25.1.0.1"]), false);
    check(&of(EDGE, 50_000).behind(&["10.0.0.7", "10.0.0.8"]), false);
    check(&of(EDGE, 50_000), false);
}

#[test]
fn some_other_clients_do_not_hide_a_fault_and_many_do_clear_it() {
    let mix = |others_in_ten: u32| {
        let mut crowd = Crowd::default();
        for n in 0..2_000 {
            if n % 10 < others_in_ten {
                of(&format!("26.0.0.{}", n % 200), 1).go_through(&mut crowd);
            } else {
                of(PROXY, 1).forwarded().go_through(&mut crowd);
            }
        }
        crowd.suspicions().forwarders
    };
    assert_eq!(mix(0), Some(vec![ip(PROXY)]));
    assert_eq!(mix(1), Some(vec![ip(PROXY)]));
    assert_eq!(mix(3), None);
    assert_eq!(mix(10), None);
}

#[test]
fn a_suspicion_is_dropped_when_others_come_and_does_not_flicker() {
    let mut crowd = Crowd::default();
    of(PROXY, 200).forwarded().go_through(&mut crowd);
    for n in 1..=37 {
        of(&format!("26.0.0.{n}"), 1).go_through(&mut crowd);
        assert!(crowd.is_suspicious(), "{n} others");
    }
    of("26.0.1.1", 1).go_through(&mut crowd);
    assert!(!crowd.is_suspicious());
    of(PROXY, 30).forwarded().go_through(&mut crowd);
    assert!(!crowd.is_suspicious(), "not enough points yet");
    of(PROXY, 30).forwarded().go_through(&mut crowd);
    assert!(crowd.is_suspicious());
}

#[test]
fn suspected_are_the_addresses_in_question_and_no_others() {
    let mut crowd = Crowd::default();
    let visitors = ["25.1.0.1", "25.1.0.2"];
    let edges = of_many([26, 9, 0, 1], 2, 200).behind(&visitors);
    edges.go_through(&mut crowd);
    assert!(crowd.suspects(ip(EDGE), false));
    assert!(!crowd.suspects(ip("26.0.0.1"), false));
    assert!(crowd.suspects(ip("26.0.0.1"), true), "another edge");
    let mut crowd = Crowd::default();
    of(PROXY, 300).paths(8).go_through(&mut crowd);
    assert!(crowd.suspects(ip(PROXY), false));
    assert!(crowd.suspects(ip("10.0.0.9"), false), "another node");
    for other in ["127.0.0.1", "26.0.0.1"] {
        assert!(!crowd.suspects(ip(other), true), "{other}");
    }
}

#[test]
fn requests_without_a_client_are_noticed() {
    check(&unknown(Unverified::NoPeer, 99), false);
    check(&unknown(Unverified::NoPeer, 100), true);
    check(&unknown(Unverified::BadHeader, 100), true);
}

#[test]
fn health_checks_of_a_trusted_proxy_are_no_fault_and_hide_none() {
    let probes = unknown(Unverified::NoHeader, 50_000);
    check(&probes.clone().paths(7), false);
    check(&probes.paths(8), true);
    let mut crowd = Crowd::default();
    for _ in 0..100 {
        unknown(Unverified::NoHeader, 6).go_through(&mut crowd);
        of(PROXY, 1).forwarded().go_through(&mut crowd);
    }
    assert!(crowd.suspicions().forwarders.is_some());
}
