//! Failed logins of clients that are never banned because they look like proxies.

use std::net::IpAddr;
use std::time::Duration;

/// How long a failure is remembered.
const LATELY: Duration = Duration::from_secs(60 * 60);

/// So many clients are told apart. There may be some proxies, each with its part of the traffic.
const PLACES: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Client {
    ip: IpAddr,
    last: Duration,
    /// Without a pause of an hour.
    failures: u32,
}

impl Client {
    fn is_lately(&self, now: Duration) -> bool {
        now.saturating_sub(self.last) < LATELY
    }
}

#[derive(Debug, Default)]
pub(super) struct Spared {
    /// Who failed last comes last.
    clients: Vec<Client>,
}

impl Spared {
    pub(super) fn note(&mut self, ip: IpAddr, now: Duration) {
        self.clients.retain(|client| client.is_lately(now));
        let known = self.clients.iter().position(|client| client.ip == ip);
        let before = known.map_or(0, |at| self.clients.remove(at).failures);
        if self.clients.len() >= PLACES {
            self.clients.remove(0);
        }
        self.clients.push(Client {
            ip,
            last: now,
            failures: before.saturating_add(1),
        });
    }

    /// Who has failed most often, and how often.
    pub(super) fn lately(&self, now: Duration) -> Option<(IpAddr, u32)> {
        let clients = self.clients.iter().filter(|client| client.is_lately(now));
        let worst = clients.max_by_key(|client| client.failures)?;
        Some((worst.ip, worst.failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    fn client(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    #[test]
    fn failures_of_one_client_are_counted_for_an_hour_after_the_last() {
        let one = client(1);
        let mut spared = Spared::default();
        assert_eq!(spared.lately(minutes(0)), None);
        spared.note(one, minutes(1));
        spared.note(one, minutes(60));
        assert_eq!(spared.lately(minutes(119)), Some((one, 2)));
        assert_eq!(spared.lately(minutes(120)), None);
        spared.note(one, minutes(121));
        assert_eq!(spared.lately(minutes(121)), Some((one, 1)));
    }

    #[test]
    fn eight_that_fail_in_turn_are_counted_each() {
        let mut spared = Spared::default();
        for n in (0..8).cycle().take(8 * 4 + 3) {
            spared.note(client(n), minutes(1));
        }
        assert_eq!(spared.lately(minutes(1)), Some((client(2), 5)));
    }

    #[test]
    fn who_has_not_failed_for_the_longest_time_makes_room() {
        let mut spared = Spared::default();
        for n in 0..200 {
            spared.note(client(0), minutes(1));
            spared.note(client(n), minutes(1));
        }
        assert_eq!(spared.clients.len(), PLACES);
        assert_eq!(spared.lately(minutes(1)), Some((client(0), 201)));
    }
}
