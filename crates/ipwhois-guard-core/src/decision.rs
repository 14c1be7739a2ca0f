//! From what is known of a client to what happens to its request.

use std::net::IpAddr;
use std::time::Duration;

use crate::denial::{Denial, Format};
use crate::rules::{Mode, OnUnverified, Policy};
use crate::verdict::{Reputation, Source, Unverified, Verdict};

/// What the guard decided about one request: the verdict, and the refusal if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    verdict: Verdict,
    denial: Option<Denial>,
    basis: Basis,
    mode: Mode,
    /// Whether a refused answer of the application would tell something of the client.
    pub(crate) refusal_tells: bool,
}

/// What a request is decided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// The rules: what a middleware asks for.
    Rules,
    /// The guard's defaults, whatever the rules cover: what an extractor asks for.
    Defaults,
}

impl Decision {
    /// Who the client is, and what is known of it.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The answer that the client gets instead of the handler's; `None` when the request goes on.
    /// In `monitor` mode it always does.
    #[must_use]
    pub const fn denial(&self) -> Option<&Denial> {
        self.denial.as_ref()
    }

    /// Whether no rule covers the request: nobody looked at its client.
    #[must_use]
    pub fn is_out_of_scope(&self) -> bool {
        self.verdict.source == Source::NotInScope
    }

    /// Whether the rules have spoken: they were asked, and one covers the request.
    pub(crate) fn is_by_rules(&self) -> bool {
        self.basis == Basis::Rules && !self.is_out_of_scope()
    }

    /// Whether the application's answer to the request can say something of its client. Who is
    /// verified need not be checked first.
    pub(crate) fn would_tell(&self) -> bool {
        matches!(self.verdict.source, Source::Unverified(_)) && self.refusal_tells
    }

    /// A request that goes on without a look at its client.
    pub(crate) const fn unguarded(source: Source, basis: Basis) -> Self {
        Self {
            verdict: Verdict {
                client_ip: None,
                source,
                reputation: None,
                allowed: true,
            },
            denial: None,
            basis,
            mode: Mode::Off,
            refusal_tells: false,
        }
    }

    /// What the rules say is done with refusals of this request.
    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }
}

/// What holds for one request: its rule's policy, and what its denial will say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) policy: Policy,
    pub(crate) basis: Basis,
    /// When a client that is refused for now should come back.
    pub(crate) retry_after: Duration,
    /// Whether a refused answer of the application would tell something of the client.
    pub(crate) refusal_tells: bool,
}

impl Terms {
    /// Whether a check settles the request whatever it finds: the rule is sensitive, or refuses
    /// clients without a verdict.
    pub(crate) fn matters(&self) -> bool {
        self.policy.sensitive || self.policy.on_unverified == OnUnverified::Deny
    }

    /// A client that is welcome or not whatever the service says.
    pub(crate) fn known(&self, client_ip: impl Into<Option<IpAddr>>, source: Source) -> Verdict {
        Verdict {
            client_ip: client_ip.into(),
            source,
            reputation: None,
            allowed: !matches!(source, Source::Denylist | Source::Banned),
        }
    }

    /// A client of whom the service has spoken.
    pub(crate) fn rated(
        &self,
        client_ip: IpAddr,
        source: Source,
        reputation: Reputation,
    ) -> Verdict {
        Verdict {
            client_ip: Some(client_ip),
            source,
            reputation: Some(reputation),
            allowed: !reputation.reaches(self.policy.min_confidence),
        }
    }

    /// A client of whom the feed has spoken, which is enough to deny it.
    pub(crate) fn in_feed(&self, client_ip: IpAddr) -> Verdict {
        Verdict {
            client_ip: Some(client_ip),
            source: Source::Feed,
            reputation: Some(Reputation {
                listed: true,
                confidence: crate::feed::CONFIDENCE,
                threat_type: None,
            }),
            allowed: false,
        }
    }

    /// A client of whom nobody knows.
    pub(crate) fn unverified(&self, client_ip: Option<IpAddr>, reason: Unverified) -> Verdict {
        Verdict {
            client_ip,
            source: Source::Unverified(reason),
            reputation: None,
            allowed: self.policy.on_unverified(client_ip.is_some()) == OnUnverified::Allow,
        }
    }

    /// What follows from a verdict. The format is asked for only if there is something to refuse.
    pub(crate) fn decide(&self, verdict: Verdict, format: impl FnOnce() -> Format) -> Decision {
        let is_refused = !verdict.allowed && self.policy.mode == Mode::Enforce;
        let denial = is_refused.then(|| self.refuse(&verdict, format()));
        Decision {
            verdict,
            denial,
            basis: self.basis,
            mode: self.policy.mode,
            refusal_tells: self.refusal_tells,
        }
    }

    #[cold]
    fn refuse(&self, verdict: &Verdict, format: Format) -> Denial {
        match verdict.source {
            Source::Unverified(_) => Denial::unverified(self.retry_after, format),
            Source::Banned => Denial::too_many_attempts(self.retry_after, format),
            _ => Denial::blocked(format),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(25, 0, 0, 1));

    fn terms(min_confidence: u8, mode: Mode, on_unverified: OnUnverified) -> Terms {
        Terms {
            policy: Policy::new(min_confidence, mode, on_unverified),
            basis: Basis::Rules,
            retry_after: Duration::from_secs(30),
            refusal_tells: false,
        }
    }

    fn listed(confidence: u8) -> Reputation {
        Reputation {
            listed: true,
            confidence,
            threat_type: None,
        }
    }

    fn decide(terms: Terms, verdict: Verdict) -> Decision {
        terms.decide(verdict, || Format::Json)
    }

    #[test]
    fn the_minimum_itself_is_refused() {
        let terms = terms(90, Mode::Enforce, OnUnverified::Allow);
        let status = |confidence| {
            let verdict = terms.rated(CLIENT, Source::Api, listed(confidence));
            decide(terms, verdict).denial().map(Denial::status)
        };
        assert_eq!(status(89), None);
        assert_eq!(status(90), Some(403));
    }

    #[test]
    fn an_address_that_is_not_listed_is_welcome_whatever_its_confidence() {
        let terms = terms(0, Mode::Enforce, OnUnverified::Deny);
        let clean = Reputation {
            listed: false,
            ..listed(100)
        };
        let verdict = terms.rated(CLIENT, Source::Api, clean);
        assert!(decide(terms, verdict).denial().is_none());
    }

    #[test]
    fn monitor_refuses_nothing_and_still_says_what_it_thinks() {
        let terms = terms(90, Mode::Monitor, OnUnverified::Deny);
        for verdict in [
            terms.rated(CLIENT, Source::Cache, listed(95)),
            terms.known(CLIENT, Source::Denylist),
            terms.unverified(None, Unverified::BadHeader),
        ] {
            let decision = decide(terms, verdict);
            assert!(decision.denial().is_none());
            assert!(!decision.verdict().is_allowed());
        }
    }

    #[test]
    fn an_unverified_client_meets_the_rules_policy() {
        let status = |on_unverified| {
            let terms = terms(90, Mode::Enforce, on_unverified);
            let verdict = terms.unverified(Some(CLIENT), Unverified::TimedOut);
            decide(terms, verdict).denial().map(Denial::status)
        };
        assert_eq!(status(OnUnverified::Allow), None);
        assert_eq!(status(OnUnverified::Deny), Some(503));
    }

    #[test]
    fn a_welcome_client_is_not_asked_for_a_format() {
        let terms = terms(90, Mode::Enforce, OnUnverified::Allow);
        let verdict = terms.known(CLIENT, Source::Allowlist);
        let decision = terms.decide(verdict, || unreachable!("nothing is refused"));
        assert!(decision.denial().is_none());
    }
}
