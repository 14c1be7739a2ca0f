//! Clients that have logged in: whom a refusal would hurt.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;

use crate::logins::Scope;

/// Maximum number of clients that are remembered, the latest ones.
const CAPACITY: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct LoggedIn {
    clients: HashSet<Scope, foldhash::quality::RandomState>,
    /// In the order of their first login.
    order: VecDeque<Scope>,
}

impl LoggedIn {
    pub(super) fn note(&mut self, client: IpAddr) {
        let client = Scope::of(client);
        if !self.clients.insert(client) {
            return;
        }
        self.order.push_back(client);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.clients.remove(&oldest);
        }
    }

    pub(super) fn has(&self, client: IpAddr) -> bool {
        self.clients.contains(&Scope::of(client))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_latest_clients_are_remembered() {
        let client = |n: u32| IpAddr::from(Ipv4Addr::from_bits(0x1900_0000 + n));
        let mut logged_in = LoggedIn::default();
        for n in 0..CAPACITY as u32 + 1 {
            logged_in.note(client(n));
            logged_in.note(client(n));
        }
        assert!(!logged_in.has(client(0)));
        assert!(logged_in.has(client(1)));
        assert!(logged_in.has(client(CAPACITY as u32)));
    }
}
