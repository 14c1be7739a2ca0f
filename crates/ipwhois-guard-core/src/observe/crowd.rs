//! Whether all clients look like one: a proxy that nobody configured, or a server that does not say who is connected.
//!
//! A state machine without a clock. It sees a sample of the guarded requests and keeps one suspect:
//!
//! 1. A request of the suspect is a point for it, one of anybody else takes [`AGAINST`] away. Who has none left is replaced by
//!    the next that comes. So only who makes four requests of five or more collects points.
//! 2. At [`ENOUGH`] points the suspicion is raised, and it is dropped at half of them: what is borderline does not flicker.
//! 3. Points alone say little: a crawler, a health checker or a developer can be alone with a quiet site. What else must speak
//!    for a proxy is in [`Suspect::is_convincing`].

use std::net::IpAddr;
use std::time::Duration;

use crate::address::is_public;
use crate::verdict::Unverified;

const AGAINST: u32 = 4;
const ENOUGH: u32 = 100;
/// More points than this do not help, so that a mistake that was mended is forgotten soon.
const MOST: u32 = 2 * ENOUGH;

/// A scanner that writes forwarding headers of its own is gone after this time. A proxy is not.
const LONGER_THAN_A_SCAN: Duration = Duration::from_secs(60 * 60);

/// Behind an address that forwards without saying so (a NAT, a proxy on TCP) there are many visitors. A health checker has
/// few paths, and a developer makes fewer requests.
const MANY_REQUESTS: u32 = 300;
const MANY_PATHS: u32 = 8;

/// As whom a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Client(IpAddr),
    /// Nobody knows whose it is.
    Nobody(Unverified),
}

/// What a request tells besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace {
    /// The client is the peer, and the request says that it was forwarded.
    pub(crate) forwarded: bool,
    /// Tells one path from another, more often than not.
    pub(crate) path: u8,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// All clients have this address.
    OneClient { client: IpAddr, forwards: bool },
    /// Nobody knows whose the requests are.
    Nobody(Unverified),
}

#[derive(Debug, Default)]
pub(crate) struct Crowd {
    suspect: Option<Suspect>,
}

#[derive(Debug)]
struct Suspect {
    who: Seen,
    since: Duration,
    points: u32,
    requests: u32,
    forwarded: u32,
    /// One bit for each of 64 kinds of paths.
    paths: u64,
    is_raised: bool,
}

impl Crowd {
    /// Takes note of a request. Its trace is asked for only if it matters.
    pub(crate) fn see(&mut self, who: Seen, now: Duration, trace: impl FnOnce() -> Trace) {
        match &mut self.suspect {
            Some(suspect) if suspect.who == who => suspect.add(trace(), now),
            Some(suspect) if suspect.points > AGAINST => suspect.points -= AGAINST,
            suspect => {
                let suspect = suspect.insert(Suspect {
                    who,
                    since: now,
                    points: 0,
                    requests: 0,
                    forwarded: 0,
                    paths: 0,
                    is_raised: false,
                });
                suspect.add(trace(), now);
            }
        }
        if let Some(suspect) = &mut self.suspect
            && suspect.points < ENOUGH / 2
        {
            suspect.is_raised = false;
        }
    }

    pub(crate) fn suspicion(&self) -> Option<Suspicion> {
        let suspect = self.suspect.as_ref().filter(|suspect| suspect.is_raised)?;
        Some(match suspect.who {
            Seen::Client(client) => Suspicion::OneClient {
                client,
                forwards: suspect.forwards(),
            },
            Seen::Nobody(reason) => Suspicion::Nobody(reason),
        })
    }
}

impl Suspect {
    fn add(&mut self, trace: Trace, now: Duration) {
        self.points = (self.points + 1).min(MOST);
        self.requests = self.requests.saturating_add(1);
        self.forwarded = self.forwarded.saturating_add(u32::from(trace.forwarded));
        self.paths |= 1 << (trace.path % 64);
        if self.points >= ENOUGH && self.is_convincing(now) {
            self.is_raised = true;
        }
    }

    /// Nine requests of ten say so.
    fn forwards(&self) -> bool {
        u64::from(self.forwarded) * 10 >= u64::from(self.requests) * 9
    }

    fn is_convincing(&self, now: Duration) -> bool {
        let Seen::Client(client) = self.who else {
            return true;
        };
        match (is_public(client), self.forwards()) {
            // Anybody can write such headers, but not for ever.
            (true, true) => now.saturating_sub(self.since) >= LONGER_THAN_A_SCAN,
            // A visitor who is alone with the site.
            (true, false) => false,
            (false, true) => true,
            // A developer's own machine.
            (false, false) if client.is_loopback() => false,
            (false, false) => {
                self.requests >= MANY_REQUESTS && self.paths.count_ones() >= MANY_PATHS
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
}
