//! What extractors have in common: one decision a request, whoever asks first.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::address::Peer;
use crate::decision::Decision;
use crate::denial::{Denial, Format};
use crate::guard::{Asking, Guard, Step};
use crate::logins::{LoginAttempt, Visitor};
use crate::request::RequestHead;
use crate::rules::Mode;
use crate::verdict::Verdict;

/// What an adapter keeps in a request: which guard looked at it, and what it decided.
///
/// A middleware leaves it for the extractors, an extractor for the next one.
#[derive(Clone, Debug)]
pub struct Guarded {
    guard: Guard,
    decision: Decision,
    /// How an extractor's refusal would be written.
    format: Format,
    /// Whether the client looks like a proxy, so that it must not be banned.
    unbannable: bool,
}

/// An extractor's look at a request: await it.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Looking {
    guard: Guard,
    step: LookingStep,
    format: Format,
    unbannable: bool,
}

#[derive(Debug)]
enum LookingStep {
    Decided(Decision),
    Asking(Asking),
}

impl Future for Looking {
    type Output = Guarded;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Guarded> {
        let decision = match &mut self.step {
            LookingStep::Decided(decision) => *decision,
            LookingStep::Asking(asking) => ready!(Pin::new(asking).poll(cx)),
        };
        Poll::Ready(Guarded {
            guard: self.guard.clone(),
            decision,
            format: self.format,
            unbannable: self.unbannable,
        })
    }
}

impl Guarded {
    /// A request that `guard` has looked at.
    #[must_use]
    pub const fn new(guard: Guard, decision: Decision) -> Self {
        Self {
            guard,
            decision,
            format: Format::Json,
            unbannable: false,
        }
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

    /// What a middleware does with a request: the decision by the rules, unless the same guard took
    /// it already, further out. What an extractor decided there, by the defaults, does not count.
    pub fn by_rules(earlier: Option<&Self>, guard: &Guard, request: &impl RequestHead) -> Step {
        match earlier {
            Some(earlier) if earlier.is_by_rules_of(guard) => Step::Decided(earlier.decision),
            _ => guard.decide(request),
        }
    }

    /// What an extractor does: it takes the decision that was taken, or, when nobody looked or no
    /// rule covers the request, has it decided by the guard's defaults. `fallback` is the guard of
    /// the application's state, for requests that went through no middleware. What comes of it is
    /// to be kept, for the next extractor.
    ///
    /// # Errors
    /// When the application is not set up for it.
    pub fn by_extractor(
        earlier: Option<&Self>,
        fallback: impl FnOnce() -> Option<Guard>,
        request: &impl RequestHead,
    ) -> Result<Looking, SetupMistake> {
        let (guard, step) = match earlier {
            Some(earlier) if !earlier.decision.is_out_of_scope() => {
                let decided = LookingStep::Decided(earlier.decision);
                (earlier.guard.clone(), decided)
            }
            earlier => {
                let guard = earlier
                    .map(|earlier| earlier.guard.clone())
                    .or_else(fallback)
                    .ok_or(SetupMistake::NoGuard)?;
                if request.peer() == Peer::Unknown {
                    return Err(SetupMistake::NoPeer);
                }
                let step = match guard.decide_by_defaults(request) {
                    Step::Decided(decision) => LookingStep::Decided(decision),
                    Step::Asking(asking) => LookingStep::Asking(asking),
                };
                (guard, step)
            }
        };
        Ok(Looking {
            format: Format::preferred(request.header_lines("accept")),
            unbannable: guard.may_be_a_proxy(request),
            guard,
            step,
        })
    }

    /// What a middleware keeps of a request that it lets through, to tell on the way out what was
    /// [`answered`](Self::answered). `earlier` is what the request carried when it came.
    ///
    /// `None` when it would say nothing: of a client that is verified, as most are. `None` as well
    /// when a middleware of the same guard, further out, tells it already, and when no rule covers
    /// the request: nobody looked at its client. So the guard's own denials are never told. A
    /// middleware answers them without asking the application, and an extractor behind it refuses a
    /// client only where no rule covers the request.
    #[must_use]
    pub fn to_tell(&self, earlier: Option<&Self>) -> Option<Self> {
        let is_told = || earlier.is_some_and(|earlier| earlier.is_by_rules_of(&self.guard));
        let tells = self.decision.would_tell() && self.decision.is_by_rules() && !is_told();
        tells.then(|| self.clone())
    }

    /// What the application answered to the request, for middlewares to tell on the way out, once,
    /// by what [`to_tell`](Self::to_tell) gave them. Many refusals make a client suspicious; which
    /// statuses count as one is the guard's business.
    pub fn answered(&self, status: u16) {
        self.guard.answered(&self.decision, status);
    }

    /// Whether a middleware of `guard` left this, on a request that one of its rules covers.
    fn is_by_rules_of(&self, guard: &Guard) -> bool {
        self.guard.is_same(guard) && self.decision.is_by_rules()
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
                format: self.format,
                mode: self.decision.mode(),
                unbannable: self.unbannable,
            }),
        }
    }
}

/// A client that was let in: what the extractor `AllowedIp` of each adapter gives a handler.
#[derive(Clone, Debug)]
pub struct AllowedClient {
    guard: Guard,
    verdict: Verdict,
    format: Format,
    mode: Mode,
    unbannable: bool,
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

    /// Begins an attempt to log in, before the password is checked. It takes one of the client's
    /// `max_failures` places, so that of a hundred guesses at once no more than that reach the
    /// check: see [`LoginAttempt`]. While attempts under way have taken the last places it waits
    /// for one, 2 s at most.
    ///
    /// Its success forgives none of the client's earlier failures: they count until `find_time` is
    /// over. Use [`login_attempt_for`](Self::login_attempt_for) where the account is known.
    ///
    /// # Errors
    /// When the client is banned, or no place was free in time: the answer to give it, 429 with
    /// `Retry-After`. In `monitor` mode nobody is refused.
    pub async fn login_attempt(&self) -> Result<LoginAttempt, Denial> {
        self.guard.begin(self.visitor()).await
    }

    /// The same for an account: the user name of the form, as the application looks it up. Its
    /// success forgives the client's failures for this account, and for no other: logging in to
    /// one's own account buys no guesses at another. Many clients that fail at one account are told
    /// of in the log and in the metrics, and are checked first. The account's name is kept nowhere,
    /// only a keyed hash of it.
    ///
    /// # Errors
    /// As [`login_attempt`](Self::login_attempt).
    pub async fn login_attempt_for(&self, account: &str) -> Result<LoginAttempt, Denial> {
        self.guard.begin_for(self.visitor(), account).await
    }

    /// Counts a failed login, without an attempt begun before: the simple form, for passwords that
    /// are checked one after the other. A success needs no call: failures count until `find_time`
    /// is over.
    ///
    /// # Errors
    /// When the client is banned, by this failure or before: the answer to give it, 429 with
    /// `Retry-After`. In `monitor` mode nobody is refused.
    pub async fn failed_login(&self) -> Result<(), Denial> {
        self.guard.note_failure(&self.visitor()).await
    }

    /// Forgets all of the client's failed logins, for whatever account: see [`Guard::pardon`].
    pub async fn pardon(&self) {
        if let Some(ip) = self.client_ip() {
            self.guard.pardon(ip).await;
        }
    }

    fn visitor(&self) -> Visitor {
        let (guard, ip) = (&self.guard, self.client_ip());
        guard.visitor(ip, self.unbannable, self.mode, self.format)
    }

    /// Takes note that the application finds this client suspicious: a honeypot field that was
    /// filled in, a price that no page offers. It denies nothing; it decides who is checked first.
    /// The reason is for the log.
    pub fn suspect(&self, reason: &'static str) {
        if let Some(ip) = self.client_ip() {
            self.guard.suspect(ip, reason);
        }
    }
}

/// Why an extractor cannot work: the application has to be set up differently. The answer is a 500
/// that says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupMistake {
    /// There is no guard: neither a middleware that ran, nor one in the application's state.
    NoGuard,
    /// The framework does not say who is connected.
    NoPeer,
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Get {
        path: &'static str,
        client: [u8; 4],
    }

    impl RequestHead for Get {
        fn method(&self) -> &str {
            "GET"
        }

        fn path(&self) -> &str {
            self.path
        }

        fn peer(&self) -> Peer {
            Peer::Ip(self.client.into())
        }

        fn header_lines<'h>(&'h self, _: &'h str) -> impl Iterator<Item = &'h [u8]> {
            std::iter::empty()
        }
    }

    /// Of a client that nobody verifies: there is no check for it.
    fn get(path: &'static str) -> Get {
        let client = [25, 0, 0, 1];
        Get { path, client }
    }

    fn guard() -> Guard {
        let guard = Guard::builder()
            .api_url("http://127.0.0.1:9")
            .daily_budget(0)
            .protect("/admin");
        guard.build().expect("the settings are right")
    }

    async fn by_rules(guard: &Guard, earlier: Option<&Guarded>, request: Get) -> Guarded {
        let step = Guarded::by_rules(earlier, guard, &request);
        Guarded::new(guard.clone(), step.decision().await)
    }

    #[tokio::test]
    async fn a_middleware_tells_of_requests_that_a_rule_covers() {
        let guard = guard();
        let covered = by_rules(&guard, None, get("/admin")).await;
        assert!(covered.to_tell(None).is_some());
        let open = by_rules(&guard, None, get("/open")).await;
        assert!(open.to_tell(None).is_none());
    }

    #[tokio::test]
    async fn there_is_nothing_to_tell_of_a_client_that_needs_no_check() {
        let (path, client) = ("/admin", [10, 0, 0, 1]);
        let covered = by_rules(&guard(), None, Get { path, client }).await;
        assert!(covered.to_tell(None).is_none());
    }

    #[tokio::test]
    async fn of_two_middlewares_of_a_guard_the_outer_one_tells() {
        let (guard, other) = (guard(), self::guard());
        let outer = by_rules(&guard, None, get("/admin")).await;
        let inner = by_rules(&guard, Some(&outer), get("/admin")).await;
        assert!(inner.to_tell(Some(&outer)).is_none());
        let foreign = by_rules(&other, Some(&outer), get("/admin")).await;
        assert!(foreign.to_tell(Some(&outer)).is_some());
        // The path was rewritten between them, so that the outer one has nothing to tell.
        let outer = by_rules(&guard, None, get("/open")).await;
        let inner = by_rules(&guard, Some(&outer), get("/admin")).await;
        assert!(inner.to_tell(Some(&outer)).is_some());
    }

    #[tokio::test]
    async fn a_middleware_tells_although_an_extractor_decided_before_it() {
        let guard = guard();
        let step = guard.decide_by_defaults(&get("/admin"));
        let extracted = Guarded::new(guard.clone(), step.decision().await);
        let within = by_rules(&guard, Some(&extracted), get("/admin")).await;
        assert!(within.to_tell(Some(&extracted)).is_some());
    }
}
