//! What is counted while a log is replayed. It grows with the clients, not with the lines.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipwhois_guard_core::{Decision, DenialKind, Source};
use jiff::civil::Date;

use super::published::Kept;

/// So many malformed lines are shown.
const SHOWN: usize = 5;

/// In seconds.
const DAY: u64 = 24 * 60 * 60;

#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) requests: u64,
    /// Lines with a request that no web application ever sees.
    pub(super) not_http: u64,
    pub(super) out_of_scope: u64,
    pub(super) unverified: BTreeMap<&'static str, u64>,
    pub(super) days: BTreeSet<Date>,
    pub(super) clients: HashMap<IpAddr, Client>,
    pub(super) malformed: u64,
    pub(super) first_malformed: Vec<MalformedLine>,
    pub(super) out_of_order: OutOfOrder,
    /// What follows a compressed log and is none.
    pub(super) trailing_bytes: u64,
    /// Guarded requests of each listed client on each day.
    pub(super) listed_days: HashMap<(Date, IpAddr), u64>,
    /// Decisions about the client that is to be explained.
    pub(super) explained: Vec<Explained>,
}

/// A decision to check a client or not.
#[derive(Debug, serde::Serialize)]
pub(super) struct Explained {
    pub(super) time: String,
    pub(super) request: String,
    pub(super) signs: String,
    pub(super) requests: f32,
    pub(super) probability: f64,
    pub(super) score: f64,
    pub(super) price: f64,
    pub(super) outcome: &'static str,
}

/// Of one client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Client {
    pub(super) is_listed: bool,
    /// The service is never asked about such an address.
    pub(super) is_non_public: bool,
    /// Requests that the guard looked at.
    pub(super) guarded: u64,
    /// Those of them that it refused for what it knows of the client.
    pub(super) denied: u64,
    /// Those that it refused because it knows nothing.
    pub(super) denied_unverified: u64,
    /// Those that the published module knew the client of.
    pub(super) known_to_published: u64,
    pub(super) kept_by_published: Kept,
}

impl Client {
    /// What the published module refused.
    pub(super) const fn denied_by_published(&self) -> u64 {
        if self.is_listed {
            self.known_to_published
        } else {
            0
        }
    }
}

#[derive(Debug, serde::Serialize)]
pub(super) struct MalformedLine {
    /// The number of its log, in order.
    #[serde(skip)]
    pub(super) log: usize,
    /// The name of its log, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    pub(super) line: u64,
    pub(super) reason: &'static str,
    pub(super) text: String,
}

/// Lines whose time is before that of an earlier line.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(super) struct OutOfOrder {
    pub(super) lines: u64,
    /// How far behind the furthest of them is.
    pub(super) most_seconds: u64,
    /// Those that are behind by more than a day.
    #[serde(skip)]
    pub(super) lines_by_days: u64,
}

impl OutOfOrder {
    pub(super) fn note(&mut self, time: u64, now: u64) {
        if let Some(behind @ 1..) = now.checked_sub(time) {
            self.lines += 1;
            self.lines_by_days += u64::from(behind > DAY);
            self.most_seconds = self.most_seconds.max(behind);
        }
    }
}

impl Figures {
    /// What a guard would deny that knows at each day's start which listed clients make most
    /// requests on it.
    pub(super) fn clairvoyant(&self, limit: u32) -> u64 {
        let mut days: BTreeMap<Date, Vec<u64>> = BTreeMap::new();
        for (&(day, _), &requests) in &self.listed_days {
            days.entry(day).or_default().push(requests);
        }
        let best = |mut day: Vec<u64>| -> u64 {
            day.sort_unstable_by(|a, b| b.cmp(a));
            day.into_iter().take(limit as usize).sum()
        };
        days.into_values().map(best).sum()
    }

    pub(super) fn note_malformed(&mut self, line: impl FnOnce() -> MalformedLine) {
        self.malformed += 1;
        if self.first_malformed.len() < SHOWN {
            self.first_malformed.push(line());
            // One that waited for others is noted after them.
            self.first_malformed
                .sort_by_key(|line| (line.log, line.line));
        }
    }

    /// The client of a line, which is counted.
    pub(super) fn client(&mut self, ip: IpAddr, is_listed: impl FnOnce() -> bool) -> &mut Client {
        self.requests += 1;
        self.clients.entry(ip).or_insert_with(|| Client {
            is_listed: is_listed(),
            ..Client::default()
        })
    }

    /// Counts a decision, and answers whether the guard looked at the request at all.
    pub(super) fn note_decision(&mut self, ip: IpAddr, decision: &Decision) -> bool {
        match decision.verdict().source() {
            Source::NotInScope => {
                self.out_of_scope += 1;
                return false;
            }
            Source::Unverified(reason) => {
                *self.unverified.entry(reason.as_str()).or_default() += 1;
            }
            _ => {}
        }
        let client = self.clients.entry(ip).or_default();
        client.guarded += 1;
        client.is_non_public |= decision.verdict().source() == Source::NonPublic;
        match decision.denial().map(|denial| denial.kind()) {
            Some(DenialKind::Unverified) => client.denied_unverified += 1,
            Some(_) => client.denied += 1,
            None => {}
        }
        true
    }
}
