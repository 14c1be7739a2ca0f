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

    /// The answer that the client gets instead of the handler's; `None` when the request goes on. In `monitor` mode it
    /// always does.
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
        }
    }
}

/// What holds for one request: its rule's policy, and when an unverified client should come back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) policy: Policy,
    pub(crate) basis: Basis,
    pub(crate) retry_after: Duration,
}

impl Terms {
    /// A client that is welcome or not whatever the service says.
    pub(crate) fn known(&self, client_ip: IpAddr, source: Source) -> Verdict {
        Verdict {
            client_ip: Some(client_ip),
            source,
            reputation: None,
            allowed: source != Source::Denylist,
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

    /// A client of whom nobody knows.
    pub(crate) fn unverified(&self, client_ip: Option<IpAddr>, reason: Unverified) -> Verdict {
        Verdict {
            client_ip,
            source: Source::Unverified(reason),
            reputation: None,
            allowed: self.policy.on_unverified == OnUnverified::Allow,
        }
    }

    /// What follows from a verdict. The format is asked for only if there is something to refuse.
    pub(crate) fn decide(&self, verdict: Verdict, format: impl FnOnce() -> Format) -> Decision {
        let denial = (!verdict.allowed)
            .then(|| self.refuse(&verdict, format()))
            .flatten();
        Decision {
            verdict,
            denial,
            basis: self.basis,
        }
    }

    #[cold]
    fn refuse(&self, verdict: &Verdict, format: Format) -> Option<Denial> {
        let denial = match verdict.source {
            Source::Unverified(_) => Denial::unverified(self.retry_after, format),
            _ => Denial::blocked(format),
        };
        tracing::info!(
            target: "ipwhois_guard",
            reference = denial.reference(),
            client = verdict.client_ip.map(tracing::field::display),
            source = %verdict.source,
            confidence = verdict.confidence(),
            mode = self.policy.mode.as_str(),
            "client not allowed"
        );
        (self.policy.mode == Mode::Enforce).then_some(denial)
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
