//! The scopes that share a lock: every rule is applied here, under that lock.

use std::time::Duration;

use super::ban::{Ban, Settled};
use super::scope::{Login, Scope};
use super::window::{Place, Window};
use super::{Attack, Failure, Limits, Refused};
use crate::clock::{Tick, ticks};
use crate::store::{AttemptId, AttemptLimits};

/// Maximum number of windows in a bucket, and of bans.
pub(super) const ROOM: usize = 32;

/// Number of clients that fail at one account within `find_time` before it counts as attacked.
pub(super) const MANY_CLIENTS: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Bucket {
    windows: Vec<(Scope, Window)>,
    bans: Vec<Ban>,
    bans_lost: u64,
}

impl Bucket {
    /// Takes a place in each of the client's scopes.
    pub(super) fn begin(
        &mut self,
        login: Login,
        attempt: AttemptId,
        now: Tick,
        limits: &Limits,
    ) -> Result<(), Refused> {
        if let Some(retry_after) = self.banned(login.client, now) {
            return Err(Refused::Banned { retry_after });
        }
        let scopes = login.client.with_wider();
        for scope in scopes.clone() {
            let Some(window) = self.window(scope) else {
                continue;
            };
            window.forget_lapsed(now, &limits.attempts);
            if window.taken() >= limits.attempts.places(scope) {
                return Err(Refused::Full {
                    retry_after: window.free_in(now, &limits.attempts),
                    under_way: window.has_attempts(),
                });
            }
        }
        for scope in scopes {
            self.window_or_new(scope, now, &limits.attempts)
                .begin(attempt, login, now);
        }
        Ok(())
    }

    /// Gives back the places of an attempt that ends.
    pub(super) fn end(&mut self, client: Scope, attempt: AttemptId) {
        for scope in client.with_wider() {
            self.change(scope, |window| window.end(attempt));
        }
    }

    /// Counts a failure in each scope. The widest one that has too many is banned.
    pub(super) fn fail(&mut self, login: Login, now: Tick, limits: &Limits) -> Failure {
        if let Some(retry_after) = self.banned(login.client, now) {
            return Failure::Banned { retry_after };
        }
        let mut left = 0;
        let mut tripped = None;
        for scope in login.client.with_wider() {
            let window = self.window_or_new(scope, now, &limits.attempts);
            window.forget_lapsed(now, &limits.attempts);
            let failures = window.fail(Place::failure(now, login.account));
            let places = limits.attempts.places(scope);
            if failures >= places {
                tripped = Some(scope);
                self.change(scope, Window::forget_failures);
            } else if scope == login.client {
                left = places - failures;
            }
        }
        match tripped {
            Some(scope) => self.trip(scope, now, limits),
            None => Failure::Counted { left },
        }
    }

    /// Forgets the client's failures for the account.
    pub(super) fn forgive(&mut self, login: Login) {
        if login.account.is_some() {
            self.take_failures(login);
        }
    }

    /// Forgets the client's failures.
    pub(super) fn pardon(&mut self, client: Scope) {
        let account = None;
        self.take_failures(Login { client, account });
    }

    fn take_failures(&mut self, of: Login) {
        let mut taken = Vec::new();
        for scope in of.client.with_wider() {
            self.change(scope, |window| {
                if scope == of.client {
                    taken = window.take_failures(of.account);
                } else {
                    window.forget(&taken);
                }
            });
        }
    }

    /// Counts that a client failed at an account.
    pub(super) fn note_account(
        &mut self,
        account: Scope,
        client: Place,
        limits: &AttemptLimits,
    ) -> Attack {
        let window = self.window_or_new(account, client.at, limits);
        window.forget_lapsed(client.at, limits);
        match window.fail_as_one(client, MANY_CLIENTS) {
            Some(MANY_CLIENTS) => Attack::Begins,
            _ if window.taken() as usize >= MANY_CLIENTS => Attack::GoesOn,
            _ => Attack::None,
        }
    }

    /// Bans a scope that has failed too often, unless it is banned.
    pub(super) fn trip(&mut self, scope: Scope, now: Tick, limits: &Limits) -> Failure {
        if let Some(retry_after) = self.banned(scope, now) {
            return Failure::Banned { retry_after };
        }
        let bans_before = self
            .last_ban(scope)
            .map_or(0, |ban| ban.before_one_from(now));
        let ban = limits.ban_after(bans_before);
        self.ban(scope, ban, now);
        Failure::Tripped { scope, ban }
    }

    /// Bans a scope and forgets its failures. A ban that lasts longer already stays as it is.
    pub(super) fn ban(&mut self, scope: Scope, length: Duration, now: Tick) {
        let ban = Ban {
            scope,
            since: self.next_moment(scope, now),
            ends: now.plus(ticks(length)),
            bans_before: 0,
        };
        self.settle(ban, now);
    }

    /// Ends a ban. It is remembered that it was lifted.
    pub(super) fn unban(&mut self, scope: Scope, now: Tick) {
        let since = self.next_moment(scope, now);
        self.settle(Ban::lifted(scope, since), now);
    }

    /// Later than what is known of the scope.
    fn next_moment(&self, scope: Scope, now: Tick) -> Tick {
        self.last_ban(scope)
            .map_or(now, |ban| ban.since.plus(1).max(now))
    }

    /// Of what is told of a scope the latest counts.
    pub(super) fn settle(&mut self, told: Ban, now: Tick) -> Settled {
        if told.is_active(now) {
            self.pardon(told.scope);
        }
        if let Some(known) = self.bans.iter_mut().find(|ban| ban.scope == told.scope) {
            return known.settle(told, now);
        }
        self.bans.retain(|ban| ban.is_worth_keeping(now));
        if self.bans.len() >= ROOM {
            let bans = self.bans.iter().enumerate();
            let (least, _) = bans.min_by_key(|(_, ban)| ban.ends).unzip();
            let evicted = self.bans.swap_remove(least.unwrap_or_default());
            self.bans_lost += u64::from(evicted.is_active(now));
        }
        if self.bans.len() == self.bans.capacity() {
            self.bans.reserve_exact(4);
        }
        self.bans.push(told);
        told.news(now)
    }

    /// How much longer a client is banned, itself or in a wider network.
    pub(super) fn banned(&self, client: Scope, now: Tick) -> Option<Duration> {
        let covering = self.bans.iter().filter(|ban| ban.scope.covers(client));
        let ends = covering.map(|ban| ban.ends).max()?;
        (now < ends).then(|| now.until(ends))
    }

    pub(super) fn bans(&self) -> &[Ban] {
        &self.bans
    }

    pub(super) const fn bans_lost(&self) -> u64 {
        self.bans_lost
    }

    pub(super) fn windows(&self) -> impl Iterator<Item = (Scope, &Window)> {
        self.windows.iter().map(|(scope, window)| (*scope, window))
    }

    /// Adds failures of an earlier process.
    pub(super) fn restore(&mut self, scope: Scope, failures: &[Place], limits: &AttemptLimits) {
        if let Some(last) = failures.iter().map(|place| place.at).max() {
            let window = self.window_or_new(scope, last, limits);
            for failure in failures {
                window.fail(*failure);
            }
        }
    }

    fn last_ban(&self, scope: Scope) -> Option<&Ban> {
        self.bans.iter().find(|ban| ban.scope == scope)
    }

    fn window(&mut self, scope: Scope) -> Option<&mut Window> {
        let found = self.windows.iter_mut().find(|(known, _)| *known == scope);
        found.map(|(_, window)| window)
    }

    /// Changes a window, and drops it when nothing is left in it.
    fn change(&mut self, scope: Scope, change: impl FnOnce(&mut Window)) {
        if let Some(at) = self.windows.iter().position(|(known, _)| *known == scope) {
            change(&mut self.windows[at].1);
            if self.windows[at].1.is_empty() {
                self.windows.swap_remove(at);
            }
        }
    }

    /// In a full bucket a new window takes the place of the one with the fewest places taken, and
    /// among those the oldest: strangers with one failure replace each other.
    fn window_or_new(&mut self, scope: Scope, now: Tick, limits: &AttemptLimits) -> &mut Window {
        let known = self.windows.iter().position(|(known, _)| *known == scope);
        let at = known.unwrap_or_else(|| {
            if self.windows.len() >= ROOM {
                self.windows.retain_mut(|(_, window)| {
                    window.forget_lapsed(now, limits);
                    !window.is_empty()
                });
            }
            if self.windows.len() >= ROOM {
                let worth = |(_, window): &(Scope, Window)| (window.taken(), window.last_seen());
                let windows = self.windows.iter().enumerate();
                let (least, _) = windows.min_by_key(|(_, entry)| worth(entry)).unzip();
                self.windows.swap_remove(least.unwrap_or_default());
            }
            if self.windows.len() == self.windows.capacity() {
                self.windows.reserve_exact(4);
            }
            self.windows.push((scope, Window::default()));
            self.windows.len() - 1
        });
        &mut self.windows[at].1
    }
}
