//! What is known of a client: the settings' word, then memory and the feed, then the service.

use std::net::IpAddr;

use super::{Guard, Known};
use crate::address::{is_public, lookup_address};
use crate::budget::Purpose;
use crate::cache::Memory;
use crate::clock::Tick;
use crate::decision::Terms;
use crate::evidence::Signs;
use crate::feed::{CONFIDENCE, FeedAction};
use crate::lookup::{Asked, Question};
use crate::verdict::Source;

/// Why a client is looked at.
#[derive(Clone, Copy)]
pub(super) enum Occasion<'r> {
    /// The application asks.
    Explicit,
    /// A request. What it shows is read only when its client has no verdict.
    Request(&'r dyn Fn() -> Signs),
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
        let (memory, verified) = self.0.lookup.recall_dated(ip);
        // The feed may have listed since then what was found clean.
        if let Memory::Fresh(reputation) = memory
            && (reputation.listed || verified >= feed.since())
        {
            return Known::Verdict(terms.rated(client, Source::Cache, reputation));
        }
        // What follows takes locks and waits for threads, which a forked child does not have.
        if self.0.home.is_child() {
            return Known::InChild;
        }
        match feed.lists(ip) {
            Some(since) => self.know_in_feed(terms, client, ip, since),
            None => self.know_unlisted(terms, client, ip, memory, occasion()),
        }
    }

    /// A client that the feed lists: what memory knows since then counts, otherwise the feed's word
    /// or an urgent check.
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
                    purpose: Purpose::Explicit,
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
        memory: Memory,
        occasion: Occasion<'_>,
    ) -> Known {
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
        let purpose = match occasion {
            Occasion::Explicit => Purpose::Explicit,
            Occasion::Request(signs) => {
                let is_failed = matches!(memory, Memory::Failed(_));
                let is_alone = !is_failed && self.0.lookup.needs_check(ip);
                match self.0.budget.bid(ip, signs(), terms.matters(), is_alone) {
                    Ok(bid) => Purpose::Request(bid),
                    Err(reason) => {
                        return Known::Verdict(terms.unverified(Some(client), reason));
                    }
                }
            }
        };
        if let Memory::Failed(reason) = memory {
            return Known::Verdict(terms.unverified(Some(client), reason));
        }
        let question = Question {
            ip,
            purpose,
            clean_since: Tick::NEVER,
            refresh: false,
        };
        self.ask(terms, client, question)
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

    /// Why the service is not asked about a client, whose lookup address is `ip`: it knows nothing
    /// of such addresses.
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
