//! What would become of a request now, step by step, without spending a check.
//!
//! The steps are those of `know`, in the same order. Nothing is counted, marked as used, refreshed
//! or asked.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::Guard;
use super::explain::{spell, unverified_words};
use crate::address::lookup_address;
use crate::cache::{KnownVerdict, Peek};
use crate::clock::Tick;
use crate::decision::{Basis, Terms};
use crate::feed::{CONFIDENCE, FeedAction};
use crate::observe::Refusal;
use crate::rules::{Mode, Policy};
use crate::verdict::{Reputation, Source, Unverified, Verdict};

/// What would become of a client's next request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outlook {
    /// The method and the path of the request; `None`: one under the guard's defaults.
    pub request: Option<String>,
    /// What it would come to.
    pub outcome: Outcome,
    /// The status of the answer, if it would be refused.
    pub status: Option<u16>,
    /// The steps of the decision, up to the one that settles it.
    pub steps: Vec<ExplainedStep>,
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedStep {
    /// Its name: `allowlist`, `ban`, `memory`, `feed`, …
    pub step: &'static str,
    /// What it finds, as a sentence.
    pub finds: String,
    /// Whether that settles the request.
    pub settles: bool,
}

/// What a request would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// It would go on.
    Allowed,
    /// It would be refused.
    Refused,
    /// It would go on, and be recorded as one that `enforce` refuses.
    Monitored,
    /// The service would be asked, and its answer would decide.
    Asked,
}

impl Outlook {
    /// The outcome as a sentence.
    #[must_use]
    pub fn words(&self) -> String {
        let status = self.status.unwrap_or_default();
        let what = match self.outcome {
            Outcome::Allowed => "would be let in".to_owned(),
            Outcome::Refused => format!("would be refused with {status}"),
            Outcome::Monitored => format!("would be let in, and `enforce` would answer {status}"),
            Outcome::Asked => "would wait for the service, whose answer decides".to_owned(),
        };
        let finds = self.steps.last().map_or("", |step| &step.finds);
        format!("Now it {what}. {finds}")
    }
}

/// Whose outlook it is.
#[derive(Clone, Copy)]
pub(super) enum Subject<'r> {
    /// The same request again.
    Again(&'r Refusal),
    /// A client, under the guard's defaults.
    Client(IpAddr),
}

/// What the steps come to.
enum Settled {
    Verdict(Verdict),
    Ask,
}

#[derive(Default)]
struct Steps(Vec<ExplainedStep>);

impl Steps {
    fn pass(&mut self, step: &'static str, finds: impl Into<String>) {
        self.0.push(ExplainedStep {
            step,
            finds: finds.into(),
            settles: false,
        });
    }

    fn settle(
        &mut self,
        step: &'static str,
        finds: impl Into<String>,
        verdict: Verdict,
    ) -> Settled {
        self.pass(step, finds);
        if let Some(last) = self.0.last_mut() {
            last.settles = true;
        }
        Settled::Verdict(verdict)
    }
}

impl Guard {
    pub(super) fn outlook(&self, of: Subject<'_>) -> Outlook {
        let mut steps = Steps::default();
        let (request, policy, client) = match of {
            Subject::Client(client) => (None, Some(self.0.rules.defaults()), Ok(client)),
            Subject::Again(refusal) => {
                let policy = match refusal.rule.as_str() {
                    "*" => Some(self.0.rules.defaults()),
                    _ => self.0.rules.policy(&refusal.method, &refusal.path),
                };
                let request = format!("{} {}", refusal.method, refusal.path);
                let unknown = refusal.reason.unwrap_or(Unverified::NoHeader);
                (Some(request), policy, refusal.client.ok_or(unknown))
            }
        };
        let rule = match of {
            Subject::Again(refusal) if refusal.rule != "*" => {
                format!("the rule `{}` holds", refusal.rule)
            }
            _ => "the guard\u{2019}s defaults hold".to_owned(),
        };
        let (outcome, status) = match policy.filter(|policy| policy.mode != Mode::Off) {
            Some(policy) => {
                steps.pass("scope", scope_words(policy, &rule));
                let terms = self.terms(policy, Basis::Rules);
                let settled = match client {
                    Ok(client) => self.walk(&terms, client, &mut steps),
                    Err(reason) => {
                        let verdict = terms.unverified(None, reason);
                        steps.settle("client", unverified_finds(reason, &verdict), verdict)
                    }
                };
                outcome_of(settled, policy.mode)
            }
            None => {
                steps.pass("scope", "No rule covers the request, or its mode is `off`.");
                (Outcome::Allowed, None)
            }
        };
        Outlook {
            request,
            outcome,
            status,
            steps: steps.0,
        }
    }

    /// The steps after the client's address is known.
    fn walk(&self, terms: &Terms, client: IpAddr, steps: &mut Steps) -> Settled {
        match self.listed_here(client) {
            Some(source @ Source::Allowlist) => {
                let verdict = terms.known(client, source);
                return steps.settle("allowlist", "The allowlist has the address.", verdict);
            }
            Some(source) => {
                steps.pass("allowlist", "The allowlist does not have the address.");
                let verdict = terms.known(client, source);
                let finds = "The denylist (`deny`, `deny_file`) has the address.";
                return steps.settle("denylist", finds, verdict);
            }
            None => steps.pass("lists", "Neither allowlist nor denylist has the address."),
        }
        if let Some(left) = self.banned(client) {
            let finds = format!("The client is banned for {} more.", spell(left));
            return steps.settle("ban", finds, terms.known(client, Source::Banned));
        }
        steps.pass("ban", "The client is not banned.");
        let ip = lookup_address(client);
        if let Some(source) = self.never_asked(client, ip) {
            let finds = match source {
                Source::TrustedProxy => "It is a trusted proxy, which is never asked about.",
                _ => "It is no public address, and such are never asked about.",
            };
            return steps.settle("never-asked", finds, terms.known(client, source));
        }
        let peek = self.0.lookup.peek(ip);
        match self.0.feed.lists(ip) {
            Some(since) => self.walk_in_feed(terms, client, peek, since, steps),
            None => {
                let finds = match self.0.feed.since().is_never() {
                    true => "No feed is in force.",
                    false => "The feed does not list the address.",
                };
                if let Some(settled) = walk_memory(terms, client, peek, Tick::NEVER, true, steps) {
                    return settled;
                }
                steps.pass("feed", finds);
                if let Some(settled) = walk_memory(terms, client, peek, Tick::NEVER, false, steps) {
                    return settled;
                }
                self.walk_to_service(terms, client, peek, false, steps)
            }
        }
    }

    fn walk_in_feed(
        &self,
        terms: &Terms,
        client: IpAddr,
        peek: Peek,
        since: Tick,
        steps: &mut Steps,
    ) -> Settled {
        if let Some(settled) = walk_memory(terms, client, peek, since, true, steps) {
            return settled;
        }
        let action = self.0.feed_action;
        let settles = match action {
            FeedAction::Confirm => terms.policy.min_confidence <= CONFIDENCE,
            FeedAction::Block => true,
            FeedAction::Off => false,
        };
        if settles {
            let finds = "The feed lists the address, which is enough here.";
            return steps.settle("feed", finds, terms.in_feed(client));
        }
        steps.pass(
            "feed",
            "The feed lists the address, so that a check is certain.",
        );
        if let Some(settled) = walk_memory(terms, client, peek, since, false, steps) {
            return settled;
        }
        self.walk_to_service(terms, client, peek, true, steps)
    }

    /// The last steps: a check, if there is one for this client.
    fn walk_to_service(
        &self,
        terms: &Terms,
        client: IpAddr,
        peek: Peek,
        is_certain: bool,
        steps: &mut Steps,
    ) -> Settled {
        let mut unverified = |step, finds: String, reason| {
            let verdict = terms.unverified(Some(client), reason);
            let finds = format!("{finds}{}", unverified_finds(reason, &verdict));
            steps.settle(step, finds, verdict)
        };
        if let Some(reason) = peek
            .failure
            .filter(|&reason| reason != Unverified::NoBudget)
        {
            let finds = "The last call for it failed a moment ago. ".to_owned();
            return unverified("service", finds, reason);
        }
        if self
            .0
            .lookup
            .breaker_open()
            .is_some_and(|next| next > Duration::ZERO)
        {
            return unverified("service", String::new(), Unverified::BreakerOpen);
        }
        let (bid, refusal) = self
            .0
            .budget
            .quote(lookup_address(client), terms.matters(), true);
        let left = self.0.budget.left();
        let words = format!(
            "It shows: {}. Its score would be {:.3}, the price of a check is {:.3}, and {left} \
             checks are left today. ",
            bid.bid.signs, bid.bid.score, bid.price
        );
        let refusal = match is_certain {
            true => (left == 0).then_some(Unverified::NoBudget),
            false => refusal,
        };
        if let Some(reason) = refusal {
            return unverified("budget", words, reason);
        }
        if self.0.cluster.is_some() {
            steps.pass("store", "The shared store would be asked first.");
        }
        steps.pass("service", format!("{words}The service would be asked."));
        Settled::Ask
    }
}

/// A verdict from memory that settles the request: a fresh one, or a stale one.
fn walk_memory(
    terms: &Terms,
    client: IpAddr,
    peek: Peek,
    clean_since: Tick,
    is_fresh: bool,
    steps: &mut Steps,
) -> Option<Settled> {
    let counts = |known: &KnownVerdict| known.reputation.listed || known.verified >= clean_since;
    let known = peek.verdict.filter(counts);
    let (step, source) = match is_fresh {
        true => ("memory", Source::Cache),
        false => ("stale-memory", Source::Stale),
    };
    let Some(known) = known.filter(|known| (known.age < peek.fresh_for) == is_fresh) else {
        if is_fresh {
            steps.pass(step, "Memory has no fresh verdict.");
        }
        return None;
    };
    let verdict = terms.rated(client, source, known.reputation);
    let finds = format!(
        "{}, as it said {} ago. {}",
        service_says(known.reputation),
        spell(known.age),
        match verdict.is_allowed() {
            true => "That is welcome.".to_owned(),
            false => format!("Refused from {}.", terms.policy.min_confidence),
        }
    );
    Some(steps.settle(step, finds, verdict))
}

/// What the service says of an address, without a full stop.
pub(super) fn service_says(reputation: Reputation) -> String {
    if !reputation.listed {
        return "The service does not list the address".to_owned();
    }
    let threat = reputation.threat_type;
    let threat = threat.map_or(String::new(), |threat| format!(", for {threat}"));
    let confidence = reputation.confidence;
    format!("The service lists the address with confidence {confidence}{threat}")
}

fn unverified_finds(reason: Unverified, verdict: &Verdict) -> String {
    let what = match verdict.is_allowed() {
        true => "let in",
        false => "refused",
    };
    format!("{} Such clients are {what}.", unverified_words(reason))
}

fn scope_words(policy: Policy, rule: &str) -> String {
    format!(
        "Here {rule}: mode `{}`, refused from confidence {}, unverified clients are {}.",
        policy.mode,
        policy.min_confidence,
        match policy.on_unverified {
            crate::rules::OnUnverified::Allow => "let in",
            crate::rules::OnUnverified::Deny => "refused",
        }
    )
}

fn outcome_of(settled: Settled, mode: Mode) -> (Outcome, Option<u16>) {
    match settled {
        Settled::Ask => (Outcome::Asked, None),
        Settled::Verdict(verdict) if verdict.is_allowed() => (Outcome::Allowed, None),
        Settled::Verdict(verdict) => {
            let outcome = match mode {
                Mode::Monitor => Outcome::Monitored,
                _ => Outcome::Refused,
            };
            (outcome, Some(Refusal::status_of(verdict.source())))
        }
    }
}
