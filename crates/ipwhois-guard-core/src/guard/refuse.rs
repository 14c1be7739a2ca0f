//! What is kept of a refusal.

use std::net::IpAddr;
use std::time::SystemTime;

use tracing::Span;
use tracing::field::{Empty, display};

use super::Guard;
use crate::address::lookup_address;
use crate::budget::Explained;
use crate::clock::Tick;
use crate::decision::{Basis, Decision, Terms};
use crate::denial::Denial;
use crate::observe::Refusal;
use crate::request::RequestHead;
use crate::verdict::{Source, Verdict};

/// What a request asked for, for its row should it be refused.
#[derive(Clone, Debug)]
pub(super) struct AskedFor {
    pub(super) method: String,
    pub(super) path: String,
    /// What its client bid for a check.
    pub(super) bid: Option<Explained>,
    /// The decision's span, if a subscriber asks for it.
    pub(super) span: Span,
}

impl AskedFor {
    pub(super) fn of(request: &impl RequestHead) -> Self {
        Self {
            method: Refusal::kept_method(request.method()),
            path: Refusal::kept_path(request.path()),
            bid: None,
            span: Span::none(),
        }
    }
}

/// The span of one decision. What comes of it is [recorded](record) later.
pub(super) fn span(request: &impl RequestHead) -> Span {
    tracing::debug_span!(
        target: "ipwhois_guard",
        "decision",
        method = Refusal::kept_method(request.method()),
        path = Refusal::kept_path(request.path()),
        client = Empty,
        source = Empty,
        confidence = Empty,
        allowed = Empty,
        reference = Empty,
    )
}

pub(super) fn record(span: &Span, decision: &Decision) {
    let verdict = decision.verdict();
    if let Some(client) = verdict.client_ip() {
        span.record("client", display(client));
    }
    span.record("source", display(verdict.source()));
    span.record("confidence", verdict.confidence());
    span.record("allowed", verdict.is_allowed());
    span.record("reference", decision.denial().map(Denial::reference));
}

impl Guard {
    /// Remembers a refusal, and logs it.
    #[cold]
    pub(super) fn note_refusal(&self, asked_for: AskedFor, terms: &Terms, decision: &Decision) {
        let verdict = decision.verdict();
        let client = verdict.client_ip();
        let (since, until) = self.spell(verdict, terms);
        let refusal = Refusal {
            time: self.0.clock.wall(),
            reference: decision
                .denial()
                .map(|denial| denial.reference().to_owned()),
            client,
            rule: self.rule_of(terms.basis, &asked_for.method, &asked_for.path),
            method: asked_for.method,
            path: asked_for.path,
            mode: terms.policy.mode,
            status: Refusal::status_of(verdict.source()),
            source: verdict.source(),
            reason: match verdict.source() {
                Source::Unverified(reason) => Some(reason),
                _ => None,
            },
            confidence: verdict.confidence(),
            min_confidence: terms.policy.min_confidence,
            threat_type: verdict.reputation().and_then(|known| known.threat_type),
            since,
            until,
            score: asked_for.bid.map(|bid| bid.bid.score),
            price: asked_for.bid.map(|bid| bid.price),
            had_logged_in: client.is_some_and(|client| self.0.meter.had_logged_in(client)),
        };
        self.0.meter.warnings.refused(&refusal);
        self.0.meter.refusals.record(refusal);
    }

    /// The path of the rule that covers a request; `*` where the defaults hold.
    pub(super) fn rule_of(&self, basis: Basis, method: &str, path: &str) -> String {
        match basis {
            Basis::Rules => self.0.rules.rule_of(method, path),
            Basis::Defaults => "*".to_owned(),
        }
    }

    /// Since when and until when what refused a client holds.
    fn spell(&self, verdict: &Verdict, terms: &Terms) -> (Option<SystemTime>, Option<SystemTime>) {
        let now = self.0.clock.wall();
        match (verdict.client_ip(), verdict.source()) {
            (Some(client), Source::Cache | Source::Stale | Source::Shared | Source::Api) => {
                let known = self.0.lookup.peek(lookup_address(client));
                let verified = known
                    .verdict
                    .and_then(|verdict| now.checked_sub(verdict.age));
                (verified, verified.map(|at| at + known.kept_for))
            }
            (Some(client), Source::Feed) => {
                let since = self.0.feed.lists(lookup_address(client));
                (since.and_then(|since| self.wall_at(since)), None)
            }
            (_, Source::Banned | Source::Unverified(_)) => {
                (None, now.checked_add(terms.retry_after))
            }
            _ => (None, None),
        }
    }

    /// A moment of the guard's clock by the machine's.
    pub(super) fn wall_at(&self, at: Tick) -> Option<SystemTime> {
        let age = at.until(self.0.lookup.now());
        self.0.clock.wall().checked_sub(age)
    }

    /// What a client bids for a check at this moment, and the price. It buys nothing.
    pub(super) fn quote(&self, terms: &Terms, client: IpAddr) -> Explained {
        let ip = lookup_address(client);
        let (bid, _) = self.0.budget.quote(ip, terms.matters(), false);
        bid
    }
}
