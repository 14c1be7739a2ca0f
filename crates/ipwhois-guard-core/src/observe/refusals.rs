//! Recent refusals, so that a reference leads to the reason for hours.
//!
//! 1. At most [`CAPACITY`] rows, in memory. A newcomer takes the place of the oldest.
//! 2. A client has at most [`PER_CLIENT`] rows; one more takes the place of its own oldest. So a
//!    flood of one attacker does not push out the customer who complains.
//! 3. Nothing is recorded of a request that goes on, but in `monitor` mode.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

use crate::denial::DenialKind;
use crate::logins::Scope;
use crate::rules::Mode;
use crate::serialised::{some_time, some_word, time, word};
use crate::verdict::{Source, ThreatType, Unverified};

/// Maximum number of rows.
const CAPACITY: usize = 10_000;
/// Maximum number of rows of one client.
const PER_CLIENT: usize = 50;
/// Maximum number of rows of clients without an address, all together.
const NAMELESS: usize = 1_000;

/// Maximum length of a path in a row, in bytes.
const LONGEST_PATH: usize = 256;
/// Maximum length of a method in a row, in bytes.
const LONGEST_METHOD: usize = 16;

/// One refused request, or one that would have been refused in `monitor` mode.
///
/// As JSON it is an object of its fields, times by RFC 3339.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Refusal {
    /// When.
    #[serde(serialize_with = "time")]
    pub time: SystemTime,
    /// The reference in the answer; `None` in `monitor` mode, which answers nothing.
    pub reference: Option<String>,
    /// The client; `None` when its address could not be determined.
    pub client: Option<IpAddr>,
    /// The method, at most 16 bytes of it.
    pub method: String,
    /// The path as the client wrote it, without the query, at most 256 bytes of it.
    pub path: String,
    /// The path of the rule that covers the request; `*` where the guard's defaults hold.
    pub rule: String,
    /// What the rule does with refusals: `enforce`, or `monitor`, where the request went on.
    #[serde(serialize_with = "word")]
    pub mode: Mode,
    /// The status of the answer, or what it would have been.
    pub status: u16,
    /// Which step refused it.
    #[serde(serialize_with = "source")]
    pub source: Source,
    /// Why the client could not be verified.
    #[serde(serialize_with = "some_word")]
    pub reason: Option<Unverified>,
    /// The service's confidence.
    pub confidence: Option<u8>,
    /// The confidence from which the rule refuses.
    pub min_confidence: u8,
    /// What the address is known for.
    #[serde(serialize_with = "some_word")]
    pub threat_type: Option<ThreatType>,
    /// Since when what refused it is known: a verdict, a feed.
    #[serde(serialize_with = "some_time")]
    pub since: Option<SystemTime>,
    /// Until when it holds: a verdict, a ban, a pause.
    #[serde(serialize_with = "some_time")]
    pub until: Option<SystemTime>,
    /// The requests that a check of the client was expected to deny, where it made a bid.
    pub score: Option<f64>,
    /// The score from which a client was checked at that moment, where it made a bid.
    pub price: Option<f64>,
    /// Whether the client had logged in before, since the guard was started.
    pub had_logged_in: bool,
}

fn source<S: serde::Serializer>(source: &Source, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(source.as_str())
}

impl Refusal {
    /// The status of a kind of denial's answer.
    pub(crate) fn status_of(source: Source) -> u16 {
        match source {
            Source::Unverified(_) => DenialKind::Unverified.status(),
            Source::Banned => DenialKind::TooManyAttempts.status(),
            _ => DenialKind::Blocked.status(),
        }
    }

    /// The path as a row keeps it.
    pub(crate) fn kept_path(path: &str) -> String {
        let end = path.find(['?', '#']).unwrap_or(path.len());
        first_bytes(&path[..end], LONGEST_PATH).to_owned()
    }

    /// The method as a row keeps it.
    pub(crate) fn kept_method(method: &str) -> String {
        first_bytes(method, LONGEST_METHOD).to_owned()
    }
}

/// As much of a text as fits into so many bytes.
fn first_bytes(text: &str, most: usize) -> &str {
    let fits = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=most.min(text.len())).rev().find(fits);
    &text[..end.unwrap_or_default()]
}

/// The rows.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows {
    /// Each with its number.
    slots: Vec<(u64, Refusal)>,
    /// The slots of each client, oldest first.
    of: HashMap<Option<Scope>, VecDeque<u32>, foldhash::quality::RandomState>,
    /// The slot of the oldest row, once all are taken.
    next: usize,
    total: u64,
}

impl Refusals {
    pub(crate) fn record(&self, refusal: Refusal) {
        self.rows().record(refusal);
    }

    /// How many there were since the start.
    pub(crate) fn total(&self) -> u64 {
        self.rows().total
    }

    /// The latest ones, newest first.
    pub(crate) fn recent(&self, most: usize) -> Vec<Refusal> {
        let rows = self.rows();
        let mut slots: Vec<_> = rows.slots.iter().collect();
        slots.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        let latest = slots.into_iter().take(most);
        latest.map(|(_, refusal)| refusal.clone()).collect()
    }

    pub(crate) fn by_reference(&self, reference: &str) -> Option<Refusal> {
        let rows = self.rows();
        let mut all = rows.slots.iter().map(|(_, refusal)| refusal);
        all.find(|refusal| refusal.reference.as_deref() == Some(reference))
            .cloned()
    }

    /// Those of one client, newest first.
    pub(crate) fn of(&self, client: IpAddr) -> Vec<Refusal> {
        let rows = self.rows();
        let slots = rows.of.get(&Some(Scope::of(client)));
        let slots = slots.into_iter().flatten().rev();
        slots
            .filter_map(|&slot| rows.slots.get(slot as usize))
            .map(|(_, refusal)| refusal.clone())
            .collect()
    }

    /// Counts what would have been refused in `monitor` mode, as far as it is remembered.
    pub(crate) fn monitored(&self) -> Monitored {
        let rows = self.rows();
        let mut clients: HashMap<_, bool> = HashMap::new();
        let mut monitored = Monitored::default();
        for (_, refusal) in &rows.slots {
            if refusal.mode == Mode::Monitor {
                monitored.requests += 1;
                if let Some(client) = refusal.client {
                    *clients.entry(Scope::of(client)).or_default() |= refusal.had_logged_in;
                }
            }
        }
        monitored.clients = clients.len();
        monitored.had_logged_in = clients.values().filter(|&&had| had).count();
        monitored
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // Every change of the rows is complete before anything could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What would have been refused in `monitor` mode: the question before enforcing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Monitored {
    /// Number of remembered requests that would have been refused.
    pub requests: usize,
    /// Number of their clients.
    pub clients: usize,
    /// Number of these clients that had logged in before.
    pub had_logged_in: usize,
}

impl Rows {
    fn record(&mut self, refusal: Refusal) {
        self.total += 1;
        let client = refusal.client.map(Scope::of);
        let most = if client.is_some() {
            PER_CLIENT
        } else {
            NAMELESS
        };
        let own = self.of.entry(client).or_default();
        let own_oldest = if own.len() < most {
            None
        } else {
            own.pop_front()
        };
        let row = (self.total, refusal);
        let slot = match own_oldest {
            Some(slot) => slot as usize,
            None if self.slots.len() < CAPACITY => {
                own.push_back(self.slots.len() as u32);
                self.slots.push(row);
                return;
            }
            None => self.next,
        };
        own.push_back(slot as u32);
        let (_, evicted) = std::mem::replace(&mut self.slots[slot], row);
        if own_oldest.is_none() {
            self.next = (self.next + 1) % CAPACITY;
            self.forget(evicted.client.map(Scope::of), client, slot as u32);
        }
    }

    /// A slot has passed from one client to another.
    fn forget(&mut self, client: Option<Scope>, heir: Option<Scope>, slot: u32) {
        let Some(own) = self.of.get_mut(&client) else {
            return;
        };
        // The heir's newest place is the slot itself.
        let keeps = usize::from(client == heir);
        let before = own.len() - keeps;
        if let Some(at) = own.iter().take(before).position(|&other| other == slot) {
            own.remove(at);
        }
        if own.is_empty() {
            self.of.remove(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn refusal(client: u32, n: u64) -> Refusal {
        Refusal {
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(n),
            reference: Some(format!("{n}")),
            client: (client > 0).then(|| Ipv4Addr::from_bits(0x1900_0000 + client).into()),
            method: "GET".to_owned(),
            path: "/".to_owned(),
            rule: "*".to_owned(),
            mode: Mode::Enforce,
            status: 403,
            source: Source::Cache,
            reason: None,
            confidence: Some(95),
            min_confidence: 90,
            threat_type: None,
            since: None,
            until: None,
            score: None,
            price: None,
            had_logged_in: false,
        }
    }

    fn is_there(refusals: &Refusals, n: u64) -> bool {
        refusals.by_reference(&n.to_string()).is_some()
    }

    #[test]
    fn the_oldest_row_makes_room() {
        let refusals = Refusals::default();
        for n in 0..CAPACITY as u64 + 10 {
            refusals.record(refusal(n as u32 + 1, n));
        }
        assert!(!is_there(&refusals, 9));
        assert!(is_there(&refusals, 10));
        assert!(is_there(&refusals, CAPACITY as u64 + 9));
        let recent = refusals.recent(3);
        let times = recent.iter().map(|row| row.reference.clone().unwrap());
        let newest = CAPACITY as u64 + 9;
        let expected = [newest, newest - 1, newest - 2].map(|n| n.to_string());
        assert!(times.eq(expected));
        let rows = refusals.rows();
        assert_eq!((rows.slots.len(), rows.of.len()), (CAPACITY, CAPACITY));
        assert_eq!(rows.total, CAPACITY as u64 + 10);
    }

    #[test]
    fn a_flood_of_one_client_leaves_the_rows_of_others() {
        let refusals = Refusals::default();
        refusals.record(refusal(1, 0));
        for n in 1..100_000 {
            refusals.record(refusal(2, n));
        }
        assert!(is_there(&refusals, 0));
        let client = Ipv4Addr::from_bits(0x1900_0002).into();
        let own = refusals.of(client);
        assert_eq!(own.len(), PER_CLIENT);
        assert_eq!(own[0].reference.as_deref(), Some("99999"));
        assert_eq!(refusals.recent(usize::MAX).len(), PER_CLIENT + 1);
    }

    #[test]
    fn clients_without_an_address_share_their_rows() {
        let refusals = Refusals::default();
        (0..5_000).for_each(|n| refusals.record(refusal(0, n)));
        assert_eq!(refusals.recent(usize::MAX).len(), NAMELESS);
    }

    #[test]
    fn every_slot_belongs_to_the_client_of_its_row() {
        let refusals = Refusals::default();
        for n in 0..60_000_u64 {
            let client = (n * 48_271 % 7_919) as u32 % 3_000;
            refusals.record(refusal(if n % 3 == 0 { 1 } else { client }, n));
        }
        let rows = refusals.rows();
        let mut owned = 0;
        for (client, slots) in &rows.of {
            assert!(!slots.is_empty());
            owned += slots.len();
            let numbers = slots.iter().map(|&slot| rows.slots[slot as usize].0);
            assert!(numbers.is_sorted(), "{client:?}");
            for &slot in slots {
                let (_, row) = &rows.slots[slot as usize];
                assert_eq!(row.client.map(Scope::of), *client);
            }
        }
        assert_eq!(owned, rows.slots.len());
    }

    #[test]
    fn a_row_keeps_no_query_and_no_endless_path() {
        let kept = Refusal::kept_path;
        assert_eq!(kept("/login?password=x"), "/login");
        assert_eq!(kept("/a#b"), "/a");
        assert_eq!(kept(&format!("/{}", "\u{e9}".repeat(400))).len(), 255);
        assert_eq!(Refusal::kept_method(&"X".repeat(99)).len(), 16);
    }
}
