//! From a request's head to a decision, and what adapters call on the way.

use std::cell::Cell;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Guard;
use super::know::Occasion;
use crate::address::{Peer, is_public, lookup_address};
use crate::decision::{Basis, Decision, Terms};
use crate::denial::Format;
use crate::error::BuildError;
use crate::evidence::{Signs, is_refusal};
use crate::lookup::{Answer, Waiting};
use crate::observe::{Meter, Seen, Trace, kind};
use crate::request::RequestHead;
use crate::rules::Mode;
use crate::verdict::{Source, Unverified, Verdict};

/// Headers in which proxies say that they forward a request.
const FORWARDING_HEADERS: [&str; 6] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "x-forwarded-proto",
    "cf-connecting-ip",
    "true-client-ip",
];

/// The answer to a request: at once, or after asking the service.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Decided from memory, without I/O.
    Decided(Decision),
    /// The service is being asked. Await it; it takes `max_wait` at most.
    Asking(Asking),
}

impl Step {
    /// The decision, after waiting for it if need be.
    pub async fn decision(self) -> Decision {
        match self {
            Self::Decided(decision) => decision,
            Self::Asking(asking) => asking.await,
        }
    }
}

/// A decision that waits for the service, `max_wait` at most. Dropping it cancels nothing: the
/// answer goes into the cache.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Asking {
    terms: Terms,
    client: IpAddr,
    format: Format,
    answer: Waiting,
    meter: Arc<Meter>,
}

impl Future for Asking {
    type Output = Decision;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Decision> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        let verdict = self.terms.answered(self.client, answer);
        let decision = self.terms.decide(verdict, || self.format);
        self.meter.decided(&decision);
        Poll::Ready(decision)
    }
}

/// What is known of a client before anybody is asked.
pub(super) enum Known {
    Verdict(Verdict),
    /// It is banned for so much longer.
    Banned(Duration),
    Asking(Waiting),
    /// This is a forked child: its own guard is to be asked.
    InChild,
}

impl Guard {
    /// Decides a request by the rules.
    #[inline]
    pub fn decide(&self, request: &impl RequestHead) -> Step {
        match self.0.rules.policy(request.method(), request.path()) {
            Some(policy) => self.decide_under(self.terms(policy, Basis::Rules), request),
            None => {
                self.watch_for_probes(request);
                self.leave_alone(Source::NotInScope, Basis::Rules)
            }
        }
    }

    /// Decides a request by the guard's defaults, whatever the rules cover: what an extractor on a
    /// handler asks for.
    pub fn decide_by_defaults(&self, request: &impl RequestHead) -> Step {
        self.decide_under(self.defaults(), request)
    }

    /// What the application answered to a request on which this decision was taken.
    pub(crate) fn answered(&self, decision: &Decision, status: u16) {
        let verdict = decision.verdict();
        let Some(client) = verdict.client_ip() else {
            return;
        };
        if is_refusal(status) && decision.would_tell() {
            self.note(client, Signs::REFUSED);
        }
    }

    #[inline]
    fn decide_under(&self, mut terms: Terms, request: &impl RequestHead) -> Step {
        if terms.policy.mode == Mode::Off {
            return self.leave_alone(Source::Off, terms.basis);
        }
        if self.0.home.is_known_child() {
            return self.decide_in_child(terms, request);
        }
        let format = || Format::preferred(request.header_lines("accept"));
        let client = match self.client(request) {
            Ok(client) => client,
            Err(reason) => {
                let verdict = self.without_client(&terms, request, reason);
                return self.settle(request, terms.decide(verdict, format));
            }
        };
        let tells = Cell::new(None);
        let signs = || {
            let (signs, refusal_tells) = self.0.signs.of(request);
            tells.set(Some(refusal_tells));
            signs
        };
        let occasion = || Occasion::Request(&signs);
        let refusal_tells = || tells.get().unwrap_or_else(|| self.0.signs.of(request).1);
        match self.know(&terms, client, occasion) {
            Known::Verdict(verdict) => {
                if matches!(verdict.source, Source::Unverified(_)) {
                    terms.refusal_tells = refusal_tells();
                }
                self.settle(request, terms.decide(verdict, format))
            }
            Known::InChild => self.decide_in_child(terms, request),
            Known::Banned(left) => {
                terms.retry_after = left;
                let verdict = terms.known(client, Source::Banned);
                self.settle(request, terms.decide(verdict, format))
            }
            Known::Asking(answer) => {
                self.see(request, Seen::Client(client));
                terms.refusal_tells = refusal_tells();
                Step::Asking(Asking {
                    terms,
                    client,
                    format: format(),
                    answer,
                    meter: Arc::clone(&self.0.meter),
                })
            }
        }
    }

    #[cold]
    fn decide_in_child(&self, terms: Terms, request: &impl RequestHead) -> Step {
        if let Some(heir) = self.heir() {
            return heir.decide_under(terms, request);
        }
        let verdict = terms.unverified(self.client(request).ok(), Unverified::TimedOut);
        let format = || Format::preferred(request.header_lines("accept"));
        self.settle(request, terms.decide(verdict, format))
    }

    fn leave_alone(&self, source: Source, basis: Basis) -> Step {
        let decision = Decision::unguarded(source, basis);
        self.0.meter.decided(&decision);
        Step::Decided(decision)
    }

    #[inline]
    fn settle(&self, request: &impl RequestHead, decision: Decision) -> Step {
        if self.0.meter.decided(&decision) {
            let verdict = decision.verdict();
            match (verdict.client_ip(), verdict.source()) {
                (Some(client), Source::Allowlist | Source::Denylist) => {
                    self.see(request, Seen::Listed(client));
                }
                (Some(client), _) => self.see(request, Seen::Client(client)),
                (None, Source::Unverified(reason)) => self.see(request, Seen::Unknown(reason)),
                (None, Source::Allowlist) => self.see(request, Seen::Unknown(Unverified::NoHeader)),
                (None, _) => {}
            }
        }
        Step::Decided(decision)
    }

    /// A request whose client cannot be determined. A trusted proxy that sends no forwarding header
    /// at all speaks for itself, and is let in if it is in the allowlist. Where lines are dropped
    /// the header may have been there.
    #[cold]
    fn without_client(
        &self,
        terms: &Terms,
        request: &impl RequestHead,
        reason: Unverified,
    ) -> Verdict {
        let is_allowed =
            |peer: IpAddr| self.0.allowlist.contains(peer.to_canonical()) && !request.drops_lines();
        match (reason, request.peer()) {
            (Unverified::NoHeader, Peer::Ip(peer)) if is_allowed(peer) => {
                terms.known(None, Source::Allowlist)
            }
            // A health check of a proxy is nothing to warn of.
            (Unverified::NoHeader, _) => terms.unverified(None, reason),
            _ => {
                self.0
                    .meter
                    .warnings
                    .no_client(reason, request.no_peer_hint());
                terms.unverified(None, reason)
            }
        }
    }

    /// Takes note of whose a request is, for health.
    #[cold]
    #[inline(never)]
    fn see(&self, request: &impl RequestHead, who: Seen) {
        let client = match who {
            Seen::Client(client) | Seen::Listed(client) => Some(client),
            Seen::Unknown(_) => None,
        };
        let trace = Trace {
            forwarded: client.is_some_and(|client| self.is_forwarding_peer(request, client)),
            behind: client.and_then(|client| self.behind(request, client)),
            path: kind(request.path().bytes()),
        };
        self.0.meter.see(who, self.0.clock.elapsed(), trace);
    }

    /// Whether the client of this request looks like a proxy or a NAT that nobody configured, so
    /// that other clients have its address, too: it must not be banned. One request is enough if no
    /// proxy is trusted and the peer is not public.
    pub(crate) fn may_be_a_proxy(&self, request: &impl RequestHead) -> bool {
        let is_obvious = self.0.resolver.trusts_nobody()
            && matches!(request.peer(), Peer::Ip(ip) if !is_public(ip.to_canonical()))
            && self.is_forwarded(request);
        is_obvious || self.0.meter.is_suspicious() && self.is_suspect(request)
    }

    #[cold]
    fn is_suspect(&self, request: &impl RequestHead) -> bool {
        self.client(request).is_ok_and(|client| {
            let forwards =
                self.is_forwarding_peer(request, client) || self.behind(request, client).is_some();
            self.0.meter.suspects(client, forwards)
        })
    }

    /// The address to the left of the client in the list of a trusted proxy.
    fn behind(&self, request: &impl RequestHead, client: IpAddr) -> Option<IpAddr> {
        let resolver = &self.0.resolver;
        resolver.behind(client, request.peer(), || {
            request.header_lines(resolver.header())
        })
    }

    /// Whether the client is the peer itself, and says that it forwards.
    fn is_forwarding_peer(&self, request: &impl RequestHead, client: IpAddr) -> bool {
        matches!(request.peer(), Peer::Ip(peer) if peer.to_canonical() == client)
            && self.is_forwarded(request)
    }

    /// To be asked at the start by adapters whose framework [drops
    /// lines](RequestHead::drops_lines).
    ///
    /// # Errors
    ///
    /// [`BuildError::Conflict`] when a proxy is trusted, its header is a list to which it may
    /// append, and `on_unknown_client` is not said. One byte makes such a list vanish.
    pub fn check_for_dropped_lines(&self) -> Result<(), BuildError> {
        let is_said = self.0.rules.defaults().on_unknown_client.is_some();
        if is_said || !self.0.resolver.reads_list() {
            return Ok(());
        }
        Err(BuildError::Conflict {
            first: "client_ip_header",
            second: "on_unknown_client",
            reason: "leave a choice open: this framework drops header lines that are not UTF-8, so \
                     a client can make the proxy's list vanish, and its address is unknown. Say \
                     what happens then: `on_unknown_client = deny` refuses such clients, `allow` lets them past \
                     verdicts and bans. Or let `client_ip_header` name a header that the proxy \
                     writes alone, such as `X-Real-IP`",
        })
    }

    /// Whether the request says that it was forwarded.
    fn is_forwarded(&self, request: &impl RequestHead) -> bool {
        let says_so = |name| request.header_lines(name).next().is_some();
        FORWARDING_HEADERS.into_iter().any(says_so) || says_so(self.0.resolver.header())
    }

    #[inline]
    fn client(&self, request: &impl RequestHead) -> Result<IpAddr, Unverified> {
        let resolver = &self.0.resolver;
        let client = resolver.resolve(request.peer(), || request.header_lines(resolver.header()));
        match client {
            Err(Unverified::BadHeader) if !self.is_forwarded(request) => Err(Unverified::NoHeader),
            client => client,
        }
    }

    /// A client that probes what no rule covers is known for it where one does.
    fn watch_for_probes(&self, request: &impl RequestHead) {
        if self.0.signs.of_path(request.path()) == Signs::PROBE
            && let Ok(client) = self.client(request)
        {
            self.note(client, Signs::PROBE);
        }
    }

    pub(super) fn note(&self, client: IpAddr, signs: Signs) {
        if self.own_word(client).is_none() {
            self.here().0.budget.note(lookup_address(client), signs);
        }
    }
}

impl Terms {
    /// What follows from an answer.
    pub(super) fn answered(&self, client: IpAddr, answer: Answer) -> Verdict {
        match answer {
            Ok(found) => self.rated(client, found.source, found.reputation),
            Err(reason) => self.unverified(Some(client), reason),
        }
    }
}
