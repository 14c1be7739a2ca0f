//! What extractors have in common: one decision a request, whoever asks first.

use std::net::IpAddr;

use crate::address::Peer;
use crate::decision::Decision;
use crate::denial::Denial;
use crate::guard::{Guard, Step};
use crate::request::RequestHead;
use crate::verdict::Verdict;

/// What an adapter keeps in a request: which guard looked at it, and what it decided.
///
/// A middleware leaves it for the extractors, an extractor for the next one.
#[derive(Clone, Debug)]
pub struct Guarded {
    guard: Guard,
    decision: Decision,
}

impl Guarded {
    /// A request that `guard` has looked at.
    #[must_use]
    pub const fn new(guard: Guard, decision: Decision) -> Self {
        Self { guard, decision }
    }

    /// Who decided.
    #[must_use]
    pub const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What was decided.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    /// What a middleware does with a request: the decision by the rules, unless the same guard took it already, further
    /// out. What an extractor decided there, by the defaults, does not count.
    pub fn by_rules(earlier: Option<&Self>, guard: &Guard, request: &impl RequestHead) -> Step {
        match earlier {
            Some(earlier) if earlier.guard.is_same(guard) && earlier.decision.is_by_rules() => {
                Step::Decided(earlier.decision)
            }
            _ => guard.decide(request),
        }
    }

    /// What an extractor does: it takes the decision that was taken, or, when nobody looked or no rule covers the
    /// request, has it decided by the guard's defaults. `fallback` is the guard of the application's state, for requests
    /// that went through no middleware. What comes of the step is to be kept with the guard, for the next extractor.
    ///
    /// # Errors
    /// When the application is not set up for it.
    pub fn by_extractor(
        earlier: Option<&Self>,
        fallback: impl FnOnce() -> Option<Guard>,
        request: &impl RequestHead,
    ) -> Result<(Guard, Step), SetupMistake> {
        let guard = match earlier {
            Some(earlier) if !earlier.decision.is_out_of_scope() => {
                return Ok((earlier.guard.clone(), Step::Decided(earlier.decision)));
            }
            Some(earlier) => earlier.guard.clone(),
            None => fallback().ok_or(SetupMistake::NoGuard)?,
        };
        if request.peer() == Peer::Unknown {
            return Err(SetupMistake::NoPeer);
        }
        let step = guard.decide_by_defaults(request);
        Ok((guard, step))
    }

    /// What the application answered to the request, for middlewares to tell on the way out. Many refusals make a client
    /// suspicious; which statuses count as one is the guard's business.
    pub fn answered(&self, status: u16) {
        self.guard.answered(&self.decision, status);
    }

    /// Lets the client in, or names the answer to a refused one.
    ///
    /// # Errors
    /// The denial.
    pub fn admit(&self) -> Result<AllowedClient, Denial> {
        match self.decision.denial() {
            Some(denial) => Err(*denial),
            None => Ok(AllowedClient {
                guard: self.guard.clone(),
                verdict: *self.decision.verdict(),
            }),
        }
    }
}

/// A client that was let in: what the extractor `AllowedIp` of each adapter gives a handler.
#[derive(Clone, Debug)]
pub struct AllowedClient {
    guard: Guard,
    verdict: Verdict,
}

impl AllowedClient {
    /// The client's address; `None` when it cannot be determined and the rules let such clients in.
    #[must_use]
    pub const fn client_ip(&self) -> Option<IpAddr> {
        self.verdict.client_ip()
    }

    /// What is known of the client.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Takes note that the application finds this client suspicious: a honeypot field that was filled in, a price that no
    /// page offers. It denies nothing; it decides who is checked first. The reason is for the log.
    pub fn suspect(&self, reason: &'static str) {
        if let Some(ip) = self.client_ip() {
            self.guard.suspect(ip, reason);
        }
    }
}

/// Why an extractor cannot work: the application has to be set up differently. The answer is a 500 that says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupMistake {
    /// There is no guard: neither a middleware that ran, nor one in the application's state.
    NoGuard,
    /// The framework does not say who is connected.
    NoPeer,
}
