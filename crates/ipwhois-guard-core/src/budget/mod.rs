//! The day's budget: whether a check may be spent now, and for whom.
//!
//! A state machine without a clock: the time since the Unix epoch comes in as an argument, and may jump. `L` is the
//! limit of a UTC day, `R` the reserve for urgent checks, a tenth of `L` rounded up.
//!
//! **Who may spend how much.**
//! 1. Urgent checks may use all of `L`, whatever the hour; elevated ones all but half of `R`, and after a failed login all but
//!    a quarter of it. A failed login is something that anybody can bring about, so it counts as elevated otherwise.
//! 2. Routine checks are paced. They may use `L - R` times the part of the day that is gone, plus a lead: half an hour
//!    for the first request of a client, up to three hours from its 16th on. So in a shortage clients that come often
//!    are checked and first-timers wait; in plenty everybody is checked at once. A lead never takes more than half of
//!    what is left of the day (but half an hour), so that the evening's elevated clients find something. From 23:30 on
//!    all of `L - R` may be used: what was not needed earlier is not lost. Until then they leave out what elevated checks
//!    will want before midnight if the day goes on as it began; in the first hours half, since that cannot be told yet.
//!    - When there are more than twice as many strangers as the day can bear, a check of one seldom finds anything: they
//!      wait for the evening. At noon who does not come often may use a quarter, at 18:00 about half.
//!    - A client of which something is noticed is paced like one that comes often.
//!    - While a fifth of the strangers who are checked turn out to be listed, there is no pace: the site is under attack,
//!      and clean visitors among them end it soon. Of the noticed that many are listed on any day: theirs end the pace
//!      only when at least five suspicious newcomers came lately (rule 4).
//! 3. Refreshing a stale verdict may use half of what a first-timer may.
//! 4. When suspicious newcomers of late (half of them forgotten after 12 minutes) are more than half of what is left, and at least five, it is a
//!    *rush*: a botnet that was told to, and more attackers than checks. Then a check is for who makes many requests, up to 32 the
//!    more the scarcer checks are, since few attackers make most of them. That holds for all but urgent checks. A network
//!    is one newcomer a day, a /16 eight at most, of IPv6 a /28 one.
//!
//! **Nobody outside can spend it.** What follows counts for all tiers; only [`Ration::Exempt`] is free of it.
//! 5. A network (/24, /48) gets `L / 125` checks a day, at least 2; the last of them is for suspicious clients, so that a
//!    scanner among a carrier's customers is checked. For these one that finds somebody listed does not count, until that has
//!    doubled the share. A /64 gets 3 within any hour.
//! 6. Elevated checks get a sixth of `L` at once, and no more than that in half an hour in the long run. A wide network (/16, and /28 of
//!    IPv6, which one holder may have whole) gets a tenth of `L` of them a day, at least 8. Who logs in or meets a sensitive rule
//!    without being suspicious has the same limits for himself, crowds included: visitors delay nobody's suspects.
//! 7. A network with several suspicious clients (addresses, or /64) is a *crowd*. No budget covers a crowd: of 250
//!    addresses in a /24 the ration checks 2 to 8, and the rest pass unchecked. All crowds together therefore take no
//!    more than an eighth of `L` a day as elevated, counting what they took before they were known for one, and leave
//!    half of that share to others. Rule 6 sees to it that they take little before their second clients show. When
//!    they have had more than an eighth all the same, a further network is watched for a minute before its first check.
//!
//! So 5,000 suspicious addresses of 20 networks cost about an eighth of the day, at a limit of 50 as at 1,000, and a
//! suspicious client from elsewhere still finds its check. The ordinary site pays nothing for that: rules 6 and 7 do not
//! look at routine checks, however many visitors share a network. What remains open: an attacker who shows one address a
//! network for minutes is, from here, as many separate suspicious clients, each worth a check: 20 networks cost 20. One
//! who looks like a visitor gets a visitor's pace and the ration of his networks. Neither touches the reserve.
//!
//! **What the service says.**
//! 8. When it says that less is left, that holds until the moment it names ([`Budget::believe`]). For the rest of the day
//!    it is a lower `L`. In a shorter window nothing else changes but that the last tenth is for urgent checks.
//! 9. After a 429 nothing is left for anybody ([`Budget::exhaust`]). The day's turn ends both.
//!
//! **Days.** Never more than `L` is taken in one day.
//! 10. A clock that goes back to the day before stays in the later day, at its start: a correction over midnight buys no
//!    second budget. One that goes back further is believed, and keeps the count.
//! 11. A day that was seen before is no new day: its count is remembered, of the last eight days that were left.
//!
//! A refusal allocates nothing and takes the same few steps at any limit. Memory grows with the checks of the day, up to
//! a fixed number of networks.

mod day;
mod hits;
mod networks;
mod origin;
mod pace;
mod ration;
mod rush;
mod suspects;
mod together;
mod told;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::day::{Today, Turn, day_of};
use self::hits::Hits;
use self::networks::Networks;
use self::origin::Origin;
pub(crate) use self::pace::FREQUENT;
use self::ration::Rations;
use self::rush::Rush;
use self::suspects::{Held, Suspects};
use self::told::{StoredTold, Told};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// How much a check matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Refreshing a stale verdict: after unknown clients.
    Refresh,
    /// An unknown client nobody suspects, with how many requests it has made lately, this one included.
    Routine { requests: u32 },
    /// An unknown client of which something is noticed, too little to suspect it: paced like one that comes often.
    Noticed,
    /// Logins, sensitive rules and clients that come very often: may run ahead of the pace.
    Pressing,
    /// Suspicious clients: the same.
    Elevated,
    /// A client with a recent failed login: the same, and a little further.
    FailedLogin,
    /// Feed hits and explicit checks, which nobody outside can bring about: may use all.
    Urgent,
}

impl Tier {
    /// Whether it comes before the day's pace for a reason that a client can give.
    const fn runs_ahead(self) -> bool {
        matches!(self, Self::Pressing | Self::Elevated | Self::FailedLogin)
    }
}

/// On whose behalf a check is asked for, and against whose network's ration it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ration {
    Of {
        ip: IpAddr,
        /// How many requests its client has made lately, this one included; 0 when it is not asked for because of one.
        requests: u32,
    },
    /// Nobody's: for feed hits and explicit checks only, which nobody outside can bring about.
    Exempt,
}

/// Why a check may not be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The service said that nothing is left, or nothing but for others, until a moment of today.
    Exhausted,
    /// This tier's part of the day is used up.
    Spent,
    /// Not at this hour: other checks ran ahead, or the tier is ahead of its pace.
    Early,
    /// Its network has had its share, or is one of a crowd that has.
    Rationed,
}

/// A check that was taken. Give it back with [`Budget::refund`] if it is not sent; otherwise drop it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Spend {
    day: u64,
    number: u64,
    at: Duration,
    origin: Option<Origin>,
    tier: Tier,
}

/// What outlives a restart. The hour of each /64, the half hour of elevated checks, who is suspicious, where
/// somebody was listed and how many came do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// Days since the Unix epoch.
    pub(crate) day: u64,
    pub(crate) spent: u32,
    /// What crowds took of it.
    pub(crate) crowds: u32,
    pub(crate) told: StoredTold,
    /// What each network took of it.
    pub(crate) networks: Vec<(u64, u32)>,
}

#[derive(Debug)]
pub(crate) struct Budget {
    limit: u32,
    today: Today,
    told: Told,
    rations: Rations,
    suspects: Suspects,
    /// Those who log in, or come to where it matters, and whom nobody suspects: they must not pass for suspects.
    pressing: Suspects,
    /// How many of today's checks were elevated, since the start.
    elevated: u32,
    /// Since when today is watched: its begin, or the start.
    began: Duration,
    /// Where first requests of clients that nobody suspects came from since then.
    strangers: Networks,
    /// How often such clients turned out to be listed lately.
    hits: Hits,
    /// The same of clients of which something was noticed: that these are listed is nothing unusual.
    noticed_hits: Hits,
    rush: Rush,
    /// How many checks were ever taken.
    taken: u64,
}

impl Budget {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            today: Today::default(),
            told: Told::default(),
            rations: Rations::default(),
            suspects: Suspects::new(),
            pressing: Suspects::new(),
            elevated: 0,
            began: Duration::ZERO,
            strangers: Networks::new(),
            hits: Hits::default(),
            noticed_hits: Hits::default(),
            rush: Rush::new(),
            taken: 0,
        }
    }

    /// Takes one check, if it may be spent now.
    pub(crate) fn take(
        &mut self,
        tier: Tier,
        ration: Ration,
        now: Duration,
    ) -> Result<Spend, Refusal> {
        let now = self.turn(now);
        let (origin, requests) = match ration {
            Ration::Of { ip, requests } => (Some(Origin::of(ip)), requests),
            Ration::Exempt => (None, u32::MAX),
        };
        let ahead = tier.runs_ahead();
        if tier == (Tier::Routine { requests: 1 })
            && let Some(origin) = origin
        {
            self.strangers.note(origin.network);
            if self.is_attacked(now) {
                self.rush.note(origin, now);
            }
        }
        // Who asks in vain is seen too: that is how a crowd shows.
        let suspect = origin.filter(|_| ahead);
        let standing = suspect.map(|origin| self.crowds_of(tier).note(origin, now));
        if let Some(origin) = suspect
            && tier != Tier::Pressing
        {
            self.rush.note(origin, now);
        }
        self.afford(tier, requests, now)?;

        let limit = self.day_limit();
        if origin.is_some_and(|origin| !self.rations.allow(origin, limit, tier, now)) {
            return Err(Refusal::Rationed);
        }
        if ahead {
            self.crowds_of(tier)
                .allow(standing, origin, limit, now)
                .map_err(|held| match held {
                    Held::Crowd => Refusal::Rationed,
                    Held::Early => Refusal::Early,
                })?;
            self.crowds_of(tier).count(origin, limit, now);
            self.elevated += 1;
        }
        if let Some(origin) = origin {
            self.rations.count(origin, now);
        }
        self.today.spent += 1;
        self.taken += 1;
        Ok(Spend {
            day: self.today.day,
            number: self.taken,
            at: now,
            origin,
            tier,
        })
    }

    /// Crowds of suspicious clients are told from crowds of those who log in.
    fn crowds_of(&mut self, tier: Tier) -> &mut Suspects {
        match tier {
            Tier::Pressing => &mut self.pressing,
            _ => &mut self.suspects,
        }
    }

    /// Whether the day can bear a check of this tier, whoever wants it.
    fn afford(&self, tier: Tier, requests: u32, now: Duration) -> Result<(), Refusal> {
        let urgent = tier == Tier::Urgent;
        let second = self.today.second(now);
        let room = self.room(tier);
        let spent = self.today.spent;
        if spent >= room {
            return Err(Refusal::Spent);
        }
        if self.told.is_exhausted(now) || spent >= self.told.window(!urgent, now) {
            return Err(Refusal::Exhausted);
        }
        let due = match tier {
            Tier::Pressing | Tier::Elevated | Tier::FailedLogin | Tier::Urgent => true,
            // All of the room is paced, and what others will want today is left out of it.
            _ if spent >= room - self.left_to_elevated(room, second, now) => false,
            Tier::Refresh => pace::refresh_is_due(spent, room, self.paced(second)),
            Tier::Routine { .. } | Tier::Noticed if self.is_attacked(now) => true,
            Tier::Routine { requests } => self.is_due(requests, room, second),
            Tier::Noticed => self.is_due(FREQUENT, room, second),
        };
        if !due || (!urgent && requests < self.rush.bar(room - spent, now)) {
            return Err(Refusal::Early);
        }
        Ok(())
    }

    /// Gives back a check that was never sent. One of another day changes nothing.
    pub(crate) fn refund(&mut self, spend: Spend, now: Duration) {
        self.turn(now);
        if spend.day != self.today.day {
            return;
        }
        self.today.spent = self.today.spent.saturating_sub(1);
        self.told.refund(spend.number);
        if spend.tier.runs_ahead() {
            self.elevated = self.elevated.saturating_sub(1);
            let limit = self.day_limit();
            self.crowds_of(spend.tier).uncount(spend.origin, limit);
        }
        if let Some(origin) = spend.origin {
            self.rations.uncount(origin, spend.at);
        }
    }

    /// What the service said to a check.
    pub(crate) fn found(&mut self, spend: &Spend, listed: bool) {
        match spend.tier {
            Tier::Routine { .. } => self.hits.note(listed),
            Tier::Noticed => self.noticed_hits.note(listed),
            _ => {}
        }
        if listed
            && spend.day == self.today.day
            && let Some(origin) = spend.origin
        {
            self.rations.note_listed(origin);
        }
    }

    /// The service says that so many checks are left until that moment, by default the end of the UTC day.
    ///
    /// It holds as far as it is less than what is known, and no longer than the day.
    pub(crate) fn believe(&mut self, left: u32, until: Option<Duration>, now: Duration) {
        let moment = self.turn(now);
        let spent = self.today.spent;
        match until.map(|until| carry(until, now, moment)) {
            Some(until) if until < self.today.end() => {
                self.told
                    .believe_window(left, until, spent, self.taken, moment);
            }
            _ => self.told.believe_day(left, spent, self.taken),
        }
    }

    /// Nothing is left for anybody until that moment, at most to the end of the UTC day.
    pub(crate) fn exhaust(&mut self, until: Duration, now: Duration) {
        let moment = self.turn(now);
        let until = carry(until, now, moment);
        self.told.exhaust(until.min(self.today.end()));
    }

    /// How many urgent checks could be taken now.
    pub(crate) fn left(&mut self, now: Duration) -> u32 {
        let now = self.turn(now);
        if self.told.is_exhausted(now) {
            return 0;
        }
        let most = self.day_limit().min(self.told.window(false, now));
        most.saturating_sub(self.today.spent)
    }

    /// When the next check for a suspicious client can be had, if there is none now; at the latest with the next day. `None` as well where none is
    /// ever wanted.
    pub(crate) fn gone_until(&mut self, now: Duration) -> Option<Duration> {
        let room = self.room(Tier::Elevated).max(1);
        if self.limit == 0 || (self.left(now) > 0 && self.today.spent < room) {
            return None;
        }
        let moment = self.today.moment(now);
        let has_room = |at: &Duration| {
            let most = room.min(self.told.window(false, *at));
            *at > moment && !self.told.is_exhausted(*at) && self.today.spent < most
        };
        let end = self.today.end();
        Some(
            self.told
                .ends()
                .filter(has_room)
                .min()
                .unwrap_or(end)
                .min(end),
        )
    }

    pub(crate) fn spent_today(&mut self, now: Duration) -> u32 {
        self.turn(now);
        self.today.spent
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            day: self.today.day,
            spent: self.today.spent,
            crowds: self.suspects.crowds(),
            told: self.told.store(),
            networks: self.rations.networks(),
        }
    }

    /// Takes over what was spent before the start. What was spent since adds to it.
    ///
    /// An earlier day is over. For a later one the rule for a clock that goes back holds: the day after this one is
    /// taken over, one further away is not, but its count is.
    pub(crate) fn restore(&mut self, snapshot: Snapshot, now: Duration) {
        self.turn(now);
        if snapshot.day < self.today.day {
            self.today.remember(snapshot.day, snapshot.spent);
            return;
        }
        let spent_since = self.today.spent;
        if snapshot.day > day_of(now).saturating_add(1) {
            self.today.remember(snapshot.day, snapshot.spent);
        } else {
            self.today.day = snapshot.day;
            self.told.shift(snapshot.spent);
            self.told.restore(&snapshot.told, self.today.end());
        }
        self.today.spent = spent_since.saturating_add(snapshot.spent);
        if snapshot.spent > 0 {
            // It goes on with the day where an earlier process left it.
            self.began = self.today.begin();
        }
        self.suspects.add_crowds(snapshot.crowds);
        self.rations.add(&snapshot.networks);
    }

    /// Sees to it that the day is the right one. The moment in it.
    fn turn(&mut self, now: Duration) -> Duration {
        let is_first = self.today.day == 0;
        let turn = self.today.turn(now);
        let now = self.today.moment(now);
        match turn {
            Turn::Same => {}
            Turn::New => {
                self.told = Told::default();
                self.rations.begin_day(now);
                self.suspects.begin_day();
                self.elevated = 0;
                self.began = if is_first { now } else { self.today.begin() };
                self.strangers.begin_day();
                self.rush.begin_day();
                self.pressing.begin_day();
            }
            Turn::Back => {
                // Said for moments that no longer mean anything. The service will say it again.
                self.told = Told::default();
                self.rations.go_back(now);
            }
        }
        now
    }

    /// The second by the day's pace. Who begins in the middle of a day with nothing spent has half of what the hours before
    /// would have had at once, and the other half spread over the rest; in the last half hour all of it.
    fn paced(&self, second: u64) -> u64 {
        if pace::is_last(second) {
            return second;
        }
        let began = self.today.second(self.began).min(pace::DAY - 1);
        let of_the_rest = pace::DAY * second.saturating_sub(began) / (pace::DAY - began).max(1);
        (second + of_the_rest) / 2
    }

    /// Whether there is reason to ask about everybody.
    fn is_attacked(&self, now: Duration) -> bool {
        self.hits.are_many() || (self.noticed_hits.are_many() && self.rush.is_on(now))
    }

    /// Whether it is the turn of a client that has made so many requests.
    fn is_due(&self, requests: u32, room: u32, second: u64) -> bool {
        let (spent, short) = (self.today.spent, self.is_short(second));
        pace::is_due(spent, room, requests, self.paced(second), short)
    }

    /// Whether there are far more strangers than checks. It no longer matters when the rest of the day may be used up.
    fn is_short(&self, second: u64) -> bool {
        let watched = second.saturating_sub(self.today.second(self.began));
        let room = self.room(Tier::Routine { requests: 1 });
        !pace::is_last(second) && pace::is_short(self.strangers.count(), room, watched)
    }

    /// What a tier may reach of the day.
    fn room(&self, tier: Tier) -> u32 {
        let limit = self.day_limit();
        let kept = match tier {
            Tier::Urgent => 0,
            Tier::FailedLogin => pace::last_reserve(limit).div_ceil(2),
            Tier::Elevated | Tier::Pressing => pace::last_reserve(limit),
            Tier::Routine { .. } | Tier::Noticed | Tier::Refresh => pace::reserve(limit),
        };
        limit - kept
    }

    /// What routine checks leave to elevated ones.
    fn left_to_elevated(&self, room: u32, second: u64, now: Duration) -> u32 {
        let watched = now.saturating_sub(self.began).as_secs();
        pace::left_to_elevated(self.elevated, room, watched, second)
    }

    /// What may be spent today.
    fn day_limit(&self) -> u32 {
        self.told.limit(self.limit)
    }
}

/// As far ahead of `moment` as it is of `now`: a clock that went back over midnight ends no pause before it begins.
fn carry(until: Duration, now: Duration, moment: Duration) -> Duration {
    until.saturating_sub(now).saturating_add(moment)
}

#[cfg(test)]
mod simulations;
#[cfg(test)]
mod tests;
