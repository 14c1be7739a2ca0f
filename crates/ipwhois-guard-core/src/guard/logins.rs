//! Failed logins and bans.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Guard;
use super::elsewhere::LATE;
use crate::address::{is_public, lookup_address};
use crate::alarm::Alarm;
use crate::denial::{Denial, Format};
use crate::evidence::Signs;
use crate::failures::{Failure, Reservation, Tracker};
use crate::logins::{LoginAttempt, Trip, Visitor};
use crate::observe::BanCause;
use crate::reports::Report;
use crate::rules::Mode;
use crate::store::{Attempt, AttemptId};
use crate::verdict::{Source, ThreatType};

/// When to try again while attempts on other machines have taken all places.
const ATTEMPTS_ELSEWHERE: Duration = Duration::from_secs(1);

/// As whom clients are counted of whom nobody knows who they are. No client has this address.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl Guard {
    /// Begins an attempt to log in, before the password is checked: see [`LoginAttempt`]. IPv6
    /// counts by /64. Handlers take
    /// [`AllowedClient::login_attempt`](crate::AllowedClient::login_attempt), which knows the
    /// client.
    ///
    /// # Errors
    /// When the client is banned, or attempts under way have taken its last places: the answer to
    /// give it, 429 with `Retry-After`. In `monitor` mode nobody is refused.
    pub async fn login_attempt(&self, ip: IpAddr) -> Result<LoginAttempt, Denial> {
        self.begin(self.visitor_by_address(ip)).await
    }

    /// Counts a failed login, without an attempt begun before.
    ///
    /// # Errors
    /// When the client is banned, by this or before: the answer to give it, 429 with `Retry-After`.
    /// In `monitor` mode nobody is refused.
    pub async fn failed_login(&self, ip: IpAddr) -> Result<(), Denial> {
        self.note_failure(&self.visitor_by_address(ip)).await
    }

    /// Forgets a client's failed logins, without an attempt begun before.
    pub async fn successful_login(&self, ip: IpAddr) {
        self.note_success(&self.visitor_by_address(ip)).await;
    }

    /// Bans a client for so long, as failed logins would: it is answered 429. A longer ban stays as
    /// it is. Allowlisted addresses and trusted proxies are not banned, nor is an address that
    /// health suspects to be shared by nearly all clients.
    pub fn ban(&self, ip: IpAddr, length: Duration) {
        if let Some(client) = self.bannable(ip) {
            let Self(guard) = self.here();
            guard.tracker.ban(client, length, guard.lookup.now());
            guard.meter.banned(BanCause::Application);
            Self(guard).ban_elsewhere(client, length);
        }
    }

    /// Lifts a ban.
    pub fn unban(&self, ip: IpAddr) {
        let client = ip.to_canonical();
        let guard = self.here();
        guard.0.tracker.unban(client);
        guard.unban_elsewhere(client);
    }

    /// How much longer a client is banned. An earlier ban does not hold while the address turns out
    /// to be shared by nearly all clients; a public one stays banned, since a flood of its own
    /// requests could otherwise lift its ban.
    pub(super) fn banned(&self, client: IpAddr) -> Option<Duration> {
        let left = self.0.tracker.banned(client, self.0.lookup.now())?;
        let is_shared = !is_public(client) && self.0.meter.suspects(client, false);
        (!is_shared).then_some(left)
    }

    pub(crate) async fn begin(&self, visitor: Visitor) -> Result<LoginAttempt, Denial> {
        let guard = self.here();
        let Some((tracker, counted_as)) = guard.counted(&visitor) else {
            return Ok(LoginAttempt::new(guard, visitor, None));
        };
        let reservation = match tracker.begin(counted_as, guard.0.lookup.now()) {
            Ok(reservation) => Some(reservation),
            Err(refused) => {
                visitor.refuse(refused.retry_after)?;
                None
            }
        };
        let is_counted = reservation.is_some();
        // Made before the other machines are asked: who hangs up meanwhile has failed.
        let mut attempt = LoginAttempt::new(guard.clone(), visitor, reservation);
        if let Some(client) = visitor.client.filter(|_| is_counted) {
            match guard.begin_elsewhere(client).await {
                Some(Attempt::Begun(id)) => attempt.begun_elsewhere(id),
                Some(Attempt::Refused) => {
                    attempt.withdraw();
                    visitor.refuse(guard.banned(client).unwrap_or(ATTEMPTS_ELSEWHERE))?;
                }
                None => {}
            }
        }
        Ok(attempt)
    }

    pub(crate) fn withdraw(&self, reservation: Reservation) {
        self.0.tracker.withdraw(reservation);
    }

    pub(crate) async fn end_well(&self, visitor: &Visitor, reservation: Reservation) {
        match visitor.client {
            Some(client) => {
                self.0.meter.logged_in(client);
                self.0.tracker.succeed(reservation);
                self.pardon_elsewhere(client).await;
            }
            // One of many knew a password, which forgives nothing to the others.
            None => self.0.nameless.withdraw(reservation),
        }
    }

    /// Counts a failure here, and begins to count it elsewhere: both happen even if nobody waits
    /// for the answer.
    pub(crate) fn end_badly(
        &self,
        visitor: &Visitor,
        reservation: Reservation,
        elsewhere: Option<AttemptId>,
    ) -> Ending {
        let tracker = if visitor.is_nameless {
            &self.0.nameless
        } else {
            &self.0.tracker
        };
        let failure = tracker.fail(reservation, self.0.lookup.now());
        self.ending(visitor, failure, elsewhere)
    }

    pub(crate) async fn note_failure(&self, visitor: &Visitor) -> Result<(), Denial> {
        let guard = self.here();
        let Some((tracker, counted_as)) = guard.counted(visitor) else {
            return Ok(());
        };
        let failure = tracker.note_failure(counted_as, guard.0.lookup.now());
        guard.ending(visitor, failure, None).answer().await
    }

    pub(crate) async fn note_success(&self, visitor: &Visitor) {
        if let Some(client) = visitor.client {
            let guard = self.here();
            guard.0.meter.logged_in(client);
            guard.0.tracker.note_success(client);
            guard.pardon_elsewhere(client).await;
        }
    }

    fn ending(&self, visitor: &Visitor, failure: Failure, elsewhere: Option<AttemptId>) -> Ending {
        let client = visitor.client;
        Ending {
            visitor: *visitor,
            elsewhere: client.and_then(|client| self.fail_elsewhere(client, failure, elsewhere)),
            alarm: self.0.worker.alarm().clone(),
            here: self.failed(visitor, failure),
        }
    }

    /// Where a visitor's failures are counted, and as whom; `None` for those that are never banned.
    fn counted(&self, visitor: &Visitor) -> Option<(&Tracker, IpAddr)> {
        match visitor.client {
            Some(client) => Some((&self.0.tracker, client)),
            None if visitor.is_nameless => Some((&self.0.nameless, NOBODY)),
            None => None,
        }
    }

    /// The client as failures count it; `None` for those that are never banned.
    pub(crate) fn bannable(&self, ip: IpAddr) -> Option<IpAddr> {
        let client = self.unlisted(ip)?;
        (!self.0.meter.suspects(client, false)).then_some(client)
    }

    /// The client, unless it is allowlisted or a trusted proxy.
    fn unlisted(&self, ip: IpAddr) -> Option<IpAddr> {
        let client = ip.to_canonical();
        let is_exempt =
            self.0.allowlist.contains(client) || self.0.resolver.is_trusted_proxy(client);
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
                Failure::Tripped { ban } => {
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
        match failure {
            Failure::Counted { left } => {
                event!(DEBUG, %client, left, "a login failed");
                Ok(())
            }
            Failure::Banned { retry_after } => visitor.refuse(retry_after),
            Failure::Tripped { ban } => {
                self.trip(client, ban);
                visitor.refuse(ban)
            }
        }
    }

    /// A client has failed too often: the log says so, and the service is told once.
    #[cold]
    pub(super) fn trip(&self, client: IpAddr, ban: Duration) {
        self.0.meter.banned(BanCause::Logins);
        let trip = Trip {
            client,
            failures: self.0.max_failures,
            within: self.0.find_time,
            ban,
        };
        let (failures, within) = (trip.failures, trip.within);
        event!(
            WARN,
            %client,
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
