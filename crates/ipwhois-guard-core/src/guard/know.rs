//! What is known of a client: the settings' word, then memory and the feed, then the service.

use std::net::IpAddr;

use super::{Guard, Known};
use crate::address::{is_public, lookup_address};
use crate::budget::{FREQUENT, Tier};
use crate::cache::Memory;
use crate::clock::Tick;
use crate::decision::Terms;
use crate::feed::{CONFIDENCE, FeedAction};
use crate::lookup::{Asked, Demand, Question};
use crate::risk::{Agent, Signal, changes_something};
use crate::verdict::Source;

/// A client that has made so many requests lately, and of whom nobody knows, matters as much as a suspicious one.
const BUSY: u32 = 64;

/// On which occasion somebody wants to know a client.
#[derive(Clone, Copy)]
pub(super) enum Occasion<'r> {
    /// The application asks by itself.
    Explicit,
    /// A request. Who its client says it is matters only when nobody knows the client.
    Request {
        method: &'r str,
        path: &'r str,
        agent: &'r dyn Fn() -> Agent,
    },
}

impl Guard {
    /// The steps after the client's address is known, cheapest and most certain first.
    #[inline]
    pub(super) fn know<'r>(
        &self,
        terms: &Terms,
        client: IpAddr,
        occasion: impl FnOnce() -> Occasion<'r>,
    ) -> Known {
        if let Some(source) = self.listed_here(client) {
            return Known::Verdict(terms.known(client, source));
        }
        // Most applications have banned nobody, and the time is not for free.
        if self.0.tracker.has_banned()
            && let Some(left) = self.banned(client)
        {
            return Known::Banned(left);
        }
        let ip = lookup_address(client);
        if let Some(source) = self.never_asked(client, ip) {
            return Known::Verdict(terms.known(client, source));
        }
        let feed = &self.0.feed;
        let feed_since = feed.since();
        if let Memory::Fresh(reputation) = self.0.lookup.recall_since(ip, feed_since) {
            return Known::Verdict(terms.rated(client, Source::Cache, reputation));
        }
        // What follows takes locks and waits for threads, which a forked child does not have.
        if self.0.home.is_child() {
            return Known::InChild;
        }
        match feed.lists(ip) {
            Some(since) => self.know_in_feed(terms, client, ip, since),
            None => self.know_unlisted(terms, client, ip, occasion()),
        }
    }

    /// A client that the feed lists: what memory knows since then counts, otherwise the feed's word or an urgent check.
    #[cold]
    #[inline(never)]
    fn know_in_feed(&self, terms: &Terms, client: IpAddr, ip: IpAddr, since: Tick) -> Known {
        let memory = self.0.lookup.recall_since(ip, since);
        if let Memory::Fresh(reputation) = memory {
            return Known::Verdict(terms.rated(client, Source::Cache, reputation));
        }
        let settles = match self.0.feed_action {
            FeedAction::Confirm => terms.policy.min_confidence <= CONFIDENCE,
            FeedAction::Block => true,
            FeedAction::Off => false,
        };
        if settles {
            return Known::Verdict(terms.in_feed(client));
        }
        match memory {
            Memory::Stale {
                reputation,
                refresh,
            } => {
                if refresh {
                    self.0.lookup.refresh(ip, true);
                }
                Known::Verdict(terms.rated(client, Source::Stale, reputation))
            }
            Memory::Failed(reason) => Known::Verdict(terms.unverified(Some(client), reason)),
            _ => self.ask(
                terms,
                client,
                Question {
                    ip,
                    demand: Demand::URGENT,
                    clean_since: since,
                    refresh: false,
                },
            ),
        }
    }

    #[inline(never)]
    fn know_unlisted(
        &self,
        terms: &Terms,
        client: IpAddr,
        ip: IpAddr,
        occasion: Occasion<'_>,
    ) -> Known {
        let memory = self.0.lookup.recall(ip);
        match memory {
            Memory::Fresh(reputation) => {
                return Known::Verdict(terms.rated(client, Source::Cache, reputation));
            }
            Memory::Stale {
                reputation,
                refresh,
            } => {
                if refresh {
                    self.0.lookup.refresh(ip, false);
                }
                return Known::Verdict(terms.rated(client, Source::Stale, reputation));
            }
            Memory::Failed(_) | Memory::Unpaid | Memory::Nothing => {}
        }
        let demand = match occasion {
            Occasion::Explicit => Demand::URGENT,
            Occasion::Request {
                method,
                path,
                agent,
            } => self.demand(terms, ip, method, path, agent()),
        };
        if let Memory::Failed(reason) = memory {
            return Known::Verdict(terms.unverified(Some(client), reason));
        }
        let question = Question {
            ip,
            demand,
            clean_since: Tick::NEVER,
            refresh: false,
        };
        self.ask(terms, client, question)
    }

    /// How much an unknown client's request is worth a check.
    fn demand(&self, terms: &Terms, ip: IpAddr, method: &str, path: &str, agent: Agent) -> Demand {
        let ledger = &self.0.ledger;
        let now = self.0.lookup.now();
        if agent == Agent::Scanner || self.0.probes.matches(path) {
            ledger.note(ip, Signal::Probe, now);
        }
        let standing = ledger.visit(ip, now);
        let is_script = self.0.scripts.tell(agent, standing.requests == 1);
        if is_script {
            ledger.note(ip, Signal::Script, now);
        }
        let requests = standing.requests;
        // Who wants to change something is worth as much as the most frequent visitors.
        let as_often = if changes_something(method) {
            requests.max(FREQUENT)
        } else {
            requests
        };
        if standing.failed_login {
            Demand::of_client(Tier::FailedLogin, requests)
        } else if standing.suspicious {
            Demand::of_client(Tier::Elevated, requests)
        } else if terms.is_pressing() || as_often >= BUSY || self.0.login_paths.matches(path) {
            Demand::ahead_or_in_turn(as_often, requests)
        } else if standing.noticed || is_script {
            Demand::of_client(Tier::Noticed, requests)
        } else {
            Demand::of_client(Tier::Routine { requests: as_often }, requests)
        }
    }

    fn ask(&self, terms: &Terms, client: IpAddr, question: Question) -> Known {
        match self.0.lookup.ask(question) {
            Asked::Settled(Ok(found)) => {
                Known::Verdict(terms.rated(client, found.source, found.reputation))
            }
            Asked::Settled(Err(reason)) => Known::Verdict(terms.unverified(Some(client), reason)),
            Asked::Waiting(answer) => Known::Asking(answer),
        }
    }

    /// What is said of an address without the service and without what clients do.
    pub(super) fn own_word(&self, client: IpAddr) -> Option<Source> {
        self.listed_here(client)
            .or_else(|| self.never_asked(client, lookup_address(client)))
    }

    /// What the application's own lists say.
    #[inline]
    fn listed_here(&self, client: IpAddr) -> Option<Source> {
        // Most applications have no lists.
        if !self.0.has_lists {
            None
        } else if self.0.allowlist.contains(client) {
            Some(Source::Allowlist)
        } else if self.0.denylist.contains(client) {
            Some(Source::Denylist)
        } else {
            None
        }
    }

    /// Why the service is not asked about a client, whose lookup address is `ip`: it knows nothing of such addresses.
    #[inline]
    fn never_asked(&self, client: IpAddr, ip: IpAddr) -> Option<Source> {
        if self.0.resolver.is_trusted_proxy(client) {
            Some(Source::TrustedProxy)
        } else if is_public(ip) {
            None
        } else {
            Some(Source::NonPublic)
        }
    }
}
