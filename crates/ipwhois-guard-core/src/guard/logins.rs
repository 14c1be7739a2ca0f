//! Failed logins and bans.

use std::net::IpAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::Guard;
use super::elsewhere::LATE;
use crate::address::{is_public, lookup_address};
use crate::alarm::Alarm;
use crate::denial::{Denial, Format};
use crate::evidence::Signs;
use crate::logins::{
    Attack, Failure, Login, LoginAttempt, PATIENCE, Refused, Scope, Trip, Visitor,
};
use crate::observe::BanCause;
use crate::reports::Report;
use crate::rules::Mode;
use crate::store::{Attempt, AttemptId};
use crate::verdict::{Source, ThreatType};

/// How long a login that waits for other machines pauses between two tries; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

impl Guard {
    /// Begins an attempt to log in, before the password is checked: see [`LoginAttempt`]. IPv6
    /// counts by /64, and with higher limits by /56 and /48. Handlers take
    /// [`AllowedClient::login_attempt`](crate::AllowedClient::login_attempt), which knows the
    /// client.
    ///
    /// While attempts under way have taken the last places it waits for one, 2 s at most.
    ///
    /// # Errors
    /// When the client is banned, or no place was free in time: the answer to give it, 429 with
    /// `Retry-After`. In `monitor` mode nobody is refused.
    pub async fn login_attempt(&self, ip: IpAddr) -> Result<LoginAttempt, Denial> {
        self.begin(self.visitor_by_address(ip)).await
    }

    /// The same for an account, so that its success forgives the client's failures at this account:
    /// see [`AllowedClient::login_attempt_for`](crate::AllowedClient::login_attempt_for).
    ///
    /// # Errors
    /// As [`login_attempt`](Self::login_attempt).
    pub async fn login_attempt_for(
        &self,
        ip: IpAddr,
        account: &str,
    ) -> Result<LoginAttempt, Denial> {
        self.begin_for(self.visitor_by_address(ip), account).await
    }

    /// Counts a failed login, without an attempt begun before.
    ///
    /// # Errors
    /// When the client is banned, by this or before: the answer to give it, 429 with `Retry-After`.
    /// In `monitor` mode nobody is refused.
    pub async fn failed_login(&self, ip: IpAddr) -> Result<(), Denial> {
        self.note_failure(&self.visitor_by_address(ip)).await
    }

    /// Forgets all failed logins of a client, for whatever account. A client that has an account of
    /// its own guesses at others without an end if this follows each success: call it when somebody
    /// has looked at the case.
    pub async fn pardon(&self, ip: IpAddr) {
        let client = Scope::of(ip);
        let guard = self.here();
        guard.0.logins.tracker.pardon(client);
        guard.0.logins.keep(client);
        guard.pardon_elsewhere(client).await;
    }

    /// Bans a client for so long, as failed logins would: it is answered 429. A longer ban stays as
    /// it is. Allowlisted addresses and trusted proxies are not banned, nor is an address that
    /// health suspects to be shared by nearly all clients.
    pub fn ban(&self, ip: IpAddr, length: Duration) {
        if let Some(client) = self.bannable(ip) {
            let guard = self.here();
            let client = Scope::of(client);
            let logins = &guard.0.logins;
            let told = logins.tracker.ban(client, length, logins.now());
            logins.keep(client);
            guard.0.meter.banned(BanCause::Application);
            guard.tell_bans(told);
        }
    }

    /// Lifts a ban, and those of the client's wider networks.
    pub fn unban(&self, ip: IpAddr) {
        let client = Scope::of(ip);
        let guard = self.here();
        let logins = &guard.0.logins;
        let told = logins.tracker.unban(client, logins.now());
        logins.keep(client);
        guard.tell_bans(told);
    }

    /// How much longer a client is banned. An earlier ban does not hold while the address turns out
    /// to be shared by nearly all clients; a public one stays banned, since a flood of its own
    /// requests could otherwise lift its ban.
    pub(super) fn banned(&self, client: IpAddr) -> Option<Duration> {
        let logins = &self.0.logins;
        let left = logins.tracker.banned(client, logins.now())?;
        let is_shared = !is_public(client) && self.0.meter.suspects(client, false);
        (!is_shared).then_some(left)
    }

    pub(crate) async fn begin_for(
        &self,
        visitor: Visitor,
        account: &str,
    ) -> Result<LoginAttempt, Denial> {
        let account = Some(self.here().0.logins.account_key().tag(account));
        self.begin(Visitor { account, ..visitor }).await
    }

    pub(crate) async fn begin(&self, visitor: Visitor) -> Result<LoginAttempt, Denial> {
        let guard = self.here();
        let Some(login) = visitor.login() else {
            return Ok(LoginAttempt::uncounted(guard, visitor));
        };
        let id = AttemptId::random();
        let until = Instant::now() + PATIENCE;
        if let Err(retry_after) = guard.begin_here(&visitor, login, id, until).await {
            visitor.refuse(retry_after)?;
            return Ok(LoginAttempt::uncounted(guard, visitor));
        }
        // It takes the places back if the client hangs up while other machines are asked.
        let attempt = LoginAttempt::new(guard.clone(), visitor, id);
        if let Err(retry_after) = guard.begin_elsewhere(&visitor, login, id, until).await {
            drop(attempt);
            visitor.refuse(retry_after)?;
            return Ok(LoginAttempt::uncounted(guard, visitor));
        }
        Ok(attempt.begun())
    }

    /// Takes a place in this process, if one is free in time. Answers else when to try again.
    async fn begin_here(
        &self,
        visitor: &Visitor,
        login: Login,
        id: AttemptId,
        until: Instant,
    ) -> Result<(), Duration> {
        let logins = &self.0.logins;
        let (tracker, limits) = logins.of(login.client);
        let mut turn = None;
        loop {
            let mut freed = pin!(tracker.freed(login.client));
            freed.as_mut().enable();
            let retry_after = match tracker.begin(limits, login, id, logins.now()) {
                Ok(()) => return Ok(()),
                Err(Refused::Full {
                    retry_after,
                    under_way: true,
                }) if visitor.mode == Mode::Enforce => retry_after,
                Err(Refused::Banned { retry_after } | Refused::Full { retry_after, .. }) => {
                    return Err(retry_after);
                }
            };
            turn = turn.or_else(|| logins.wait());
            let left = until.saturating_duration_since(Instant::now());
            if turn.is_none() || left.is_zero() {
                return Err(retry_after);
            }
            let _ = self.0.worker.alarm().within(left, freed).await;
        }
    }

    /// The same on all machines. They do not tell when a place is free, so it asks again.
    async fn begin_elsewhere(
        &self,
        visitor: &Visitor,
        login: Login,
        id: AttemptId,
        until: Instant,
    ) -> Result<(), Duration> {
        let Some(client) = visitor.client else {
            return Ok(());
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(Attempt::Refused {
                retry_after,
                under_way,
            }) = self.try_elsewhere(login, id).await
            else {
                return Ok(());
            };
            let left = until.saturating_duration_since(Instant::now());
            if !under_way || left.is_zero() || visitor.mode != Mode::Enforce {
                return Err(self.banned(client).unwrap_or(retry_after));
            }
            let pausing = std::future::pending::<()>();
            let _ = self.0.worker.alarm().within(pause.min(left), pausing).await;
            pause *= 2;
        }
    }

    /// Gives back the place of an attempt that never began.
    pub(crate) fn withdraw(&self, visitor: &Visitor, id: AttemptId) {
        if let Some(login) = visitor.login() {
            self.0.logins.of(login.client).0.withdraw(login.client, id);
            let account = None;
            self.take_back_elsewhere(Login { account, ..login }, id);
        }
    }

    pub(crate) async fn end_well(&self, visitor: &Visitor, id: AttemptId) {
        let Some(login) = visitor.login() else {
            return;
        };
        let logins = &self.0.logins;
        logins.of(login.client).0.succeed(login, id);
        if login.account.is_some() {
            logins.keep(login.client);
        }
        self.end_elsewhere(login, id).await;
    }

    /// Counts a failure here, and begins to count it elsewhere: both happen even if nobody waits
    /// for the answer.
    pub(crate) fn end_badly(&self, visitor: &Visitor, id: Option<AttemptId>) -> Ending {
        let alarm = self.0.worker.alarm().clone();
        let visitor = *visitor;
        let Some(login) = visitor.login() else {
            let (here, elsewhere) = (Ok(()), None);
            return Ending {
                visitor,
                here,
                elsewhere,
                alarm,
            };
        };
        let logins = &self.0.logins;
        let (tracker, limits) = logins.of(login.client);
        let failure = tracker.fail(limits, login, id, logins.now());
        logins.keep(login.client);
        Ending {
            visitor,
            elsewhere: self.fail_elsewhere(login, failure, id),
            here: self.failed(&visitor, failure),
            alarm,
        }
    }

    pub(crate) async fn note_failure(&self, visitor: &Visitor) -> Result<(), Denial> {
        self.here().end_badly(visitor, None).answer().await
    }

    /// The client as failures count it; `None` for those that are never banned.
    pub(crate) fn bannable(&self, ip: IpAddr) -> Option<IpAddr> {
        let client = self.unlisted(ip)?;
        (!self.0.meter.suspects(client, false)).then_some(client)
    }

    /// The client, unless it is allowlisted or a trusted proxy.
    fn unlisted(&self, ip: IpAddr) -> Option<IpAddr> {
        let client = ip.to_canonical();
        let is_exempt = self.0.lists.allows(client) || self.0.resolver.is_trusted_proxy(client);
        (!is_exempt).then_some(client)
    }

    /// The client of a login. One that may be a proxy is never banned, and counts like those of
    /// unknown address.
    pub(crate) fn visitor(
        &self,
        ip: Option<IpAddr>,
        may_be_a_proxy: bool,
        mode: Mode,
        format: Format,
    ) -> Visitor {
        let unlisted = ip.and_then(|ip| self.unlisted(ip));
        let client = unlisted.filter(|&ip| !may_be_a_proxy && !self.0.meter.suspects(ip, false));
        let spared = unlisted.filter(|_| client.is_none());
        Visitor {
            client,
            spared,
            is_nameless: spared.is_some() || ip.is_none() && mode != Mode::Off,
            account: None,
            format,
            mode,
        }
    }

    fn visitor_by_address(&self, ip: IpAddr) -> Visitor {
        let mode = self.0.rules.defaults().mode;
        self.visitor(Some(ip), false, mode, Format::Json)
    }

    fn failed(&self, visitor: &Visitor, failure: Failure) -> Result<(), Denial> {
        let Some(client) = visitor.client else {
            if let Some(spared) = visitor.spared {
                self.0.meter.spared(spared, self.0.clock.elapsed());
            }
            return match failure {
                Failure::Counted { .. } => Ok(()),
                Failure::Banned { retry_after: wait } => visitor.refuse(wait),
                Failure::Tripped { ban, .. } => {
                    event!(
                        WARN,
                        ?ban,
                        "too many failed logins of clients whose address cannot be determined or is shared: they have to wait"
                    );
                    visitor.refuse(ban)
                }
            };
        };
        self.note(client, Signs::FAILED_LOGIN);
        self.watch_account(visitor, client);
        match failure {
            Failure::Counted { left } => {
                event!(DEBUG, %client, left, "a login failed");
                Ok(())
            }
            Failure::Banned { retry_after } => visitor.refuse(retry_after),
            Failure::Tripped { scope, ban } => {
                self.trip(client, scope, ban);
                visitor.refuse(ban)
            }
        }
    }

    /// An account at which many clients fail is told of, and these clients are suspicious. Its
    /// owner is locked out by nothing.
    fn watch_account(&self, visitor: &Visitor, client: IpAddr) {
        let Some(account) = visitor.account else {
            return;
        };
        let logins = &self.0.logins;
        let scope = Scope::of(client);
        let attack = logins
            .tracker
            .note_account(&logins.limits, account, scope, logins.now());
        if attack == Attack::Begins {
            self.0.meter.account_attacked();
            let within = self.0.logins.limits.attempts.find_time;
            event!(
                WARN,
                ?within,
                "an account is under attack: many clients fail to log in to it"
            );
        }
        if attack != Attack::None {
            self.note(client, Signs::SUSPECTED);
        }
    }

    /// A client has failed too often, or its network has: the log says so, and the service is told
    /// once.
    #[cold]
    pub(super) fn trip(&self, client: IpAddr, banned: Scope, ban: Duration) {
        self.0.meter.banned(BanCause::Logins);
        let limits = &self.0.logins.limits.attempts;
        let trip = Trip {
            client,
            failures: limits.places(banned),
            within: limits.find_time,
            ban,
        };
        let (failures, within) = (trip.failures, trip.within);
        event!(
            WARN,
            %client,
            %banned,
            failures,
            ?within,
            ?ban,
            "banned for failed logins"
        );
        if !self.is_reportable(client) {
            return;
        }
        let report = Report::new(lookup_address(client), ThreatType::BruteForce)
            .with_message(self.0.wording.of(&trip));
        if let Err(error) = self.enqueue(report) {
            event!(WARN, %client, %error, "not reported");
        }
    }

    /// Whether the service may be told of an address: not of one's own ones, nor of one that other
    /// clients may share.
    pub(super) fn is_reportable(&self, client: IpAddr) -> bool {
        matches!(self.own_word(client), None | Some(Source::Denylist))
            && !self.0.meter.suspects(client, true)
    }
}

/// What a failure is answered: by what is counted here, or else elsewhere.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ending {
    visitor: Visitor,
    here: Result<(), Denial>,
    elsewhere: Option<JoinHandle<Option<Duration>>>,
    alarm: Alarm,
}

impl Ending {
    pub(crate) async fn answer(self) -> Result<(), Denial> {
        self.here?;
        let Some(elsewhere) = self.elsewhere else {
            return Ok(());
        };
        match self.alarm.within(LATE, elsewhere).await {
            Some(Ok(Some(ban))) => self.visitor.refuse(ban),
            _ => Ok(()),
        }
    }
}

impl Visitor {
    fn refuse(&self, retry_after: Duration) -> Result<(), Denial> {
        if self.mode != Mode::Enforce {
            return Ok(());
        }
        Err(Denial::too_many_attempts(retry_after, self.format))
    }
}
