//! The day's budget: which clients are worth one of the day's checks.
//!
//! A check reveals whether a client is listed, and a listed client is denied for a day. Only
//! `limit` checks may be spent on a UTC day. Each request of a client without a verdict is a bid
//! for one of them.
//!
//! 1. **Score.** What a check bought now is expected to deny, in requests: the probability that the
//!    client is listed ([`Weights`]), times the requests of a listed client that a later check
//!    would not deny any more ([`RequestForecast`]). Where unverified clients are refused, and
//!    where a rule is sensitive, the probability is taken as one: there a check settles a request
//!    whatever it finds.
//! 2. **Price.** The lowest score at which the checks that are left cover all bidders that are
//!    expected before midnight ([`Demand`]). Where they cover everybody, the price is 0 and
//!    everybody is checked at the first request. A bidder is a network and not a client. A burst
//!    counts only as far as the day has brought more than a usual day, and a new site is expected
//!    to have as many bidders as its checks do for. While the checks cover the usual bidders, the
//!    price is never above a [`ceiling`] that rises with what is spent, however unusual the last
//!    hours were.
//! 3. **Rations.** A network may waste only so many checks ([`Rations`]): clients cannot spend the
//!    day, whatever they request. Refreshes are among them.
//! 4. A check is bought when the score is not below the price and the rations allow it. Feed hits
//!    and explicit checks are always bought, to the last check; a fiftieth of the limit is kept for
//!    them, less as the day goes. Stale verdicts are refreshed while half of what is left would
//!    cover everybody, and no more than half of the limit is spent, in proportion to the day so
//!    far.
//!
//! **What the service says.** When it says that less is left, that holds until the moment it names
//! ([`Budget::believe`]). For the rest of the day it is a lower limit. After a 429 nothing is left
//! for anything ([`Budget::exhaust`]).
//!
//! **Days.** Never more than the limit is taken in one day. A clock that goes back to the day
//! before stays in the later day, at its start. One that goes back further is believed, and the
//! count of that day is remembered ([`day`]).
//!
//! Nothing here reads a clock: time since the Unix epoch comes in as an argument, and may jump.
//! Memory is fixed, about 2 MB. A request that buys nothing allocates nothing.

mod bid;
mod client;
mod cluster;
mod day;
mod demand;
mod forecast;
mod left;
mod origin;
mod quota;
mod rations;
mod snapshot;
mod table;

use std::net::IpAddr;
use std::time::Duration;

pub(crate) use self::bid::{Bid, Explained, Purpose, Refusal, Spend};
use self::client::Client;
use self::day::{Today, Turn, day_of};
use self::demand::{Demand, level_of, part_of_day};
use self::forecast::RequestForecast;
use self::origin::Origin;
use self::quota::ServiceQuota;
use self::rations::{Paid, Rations};
use self::table::{Entry, Table};
use crate::evidence::{Signs, Weights, exp2};

const DAY_SECONDS: u64 = 24 * 60 * 60;
const DAY: f64 = DAY_SECONDS as f64;

/// Verdicts are refreshed while this part of what is left would cover everybody else, and while no
/// more than this part of the limit is spent, in proportion to the day so far.
const REFRESH_SHARE: f64 = 0.5;

/// How long a price holds, in seconds. One check less changes it at once.
const PRICE_HOLDS: f64 = 1.0;

/// A score from which a client should have been checked, for health.
const WORTH_A_CHECK: f64 = 0.5;

#[derive(Debug)]
pub(crate) struct Budget {
    limit: u32,
    today: Today,
    quota: ServiceQuota,
    /// How many checks were ever taken.
    taken: u64,
    weights: Weights,
    forecast: RequestForecast,
    demand: Demand,
    rations: Rations,
    clients: Table<Client>,
    last: Option<Explained>,
    priced: Option<Priced>,
}

/// A price, for as long as it holds.
#[derive(Clone, Copy, Debug)]
struct Priced {
    left: f64,
    at: f64,
    price: f64,
}

impl Budget {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            today: Today::default(),
            quota: ServiceQuota::default(),
            taken: 0,
            weights: Weights::new(),
            forecast: RequestForecast::new(),
            demand: Demand::new(),
            rations: Rations::new(),
            clients: Table::new(4_096),
            last: None,
            priced: None,
        }
    }

    /// A request of a client without a verdict. `matters`: whether a check settles the request
    /// whatever it finds.
    pub(crate) fn bid(&mut self, ip: IpAddr, signs: Signs, matters: bool, now: Duration) -> Bid {
        let now = self.turn(now).as_secs_f64();
        let origin = Origin::of(ip);
        let client = self.clients.entry(origin.client, now);
        self.forecast.came_again(client, now);
        client.touch(now);
        client.signs |= signs;
        client.requests += 1.0;
        let signs = client.signs | self.rations.neighbours(origin, now);
        let probability = self.weights.probability(signs);
        self.forecast.may_end(client, probability);
        let likely = if matters { 1.0 } else { probability };
        let score = likely * self.forecast.worth(client.requests);
        client.level = level_of(score);
        self.demand.bid(origin.near, client.level, now);
        Bid {
            origin,
            signs,
            requests: client.requests,
            probability,
            score,
        }
    }

    /// Takes one check, if it may be spent now. And the price, in any case.
    pub(crate) fn take(
        &mut self,
        purpose: Purpose,
        now: Duration,
    ) -> (f64, Result<Spend, Refusal>) {
        let moment = self.turn(now);
        let (price, taken) = self.take_at(purpose, moment);
        if let Purpose::Request(bid) = purpose {
            let outcome = match taken {
                Ok(_) => "checked",
                Err(refusal) => refusal.as_str(),
            };
            self.last = Some(Explained {
                bid,
                price,
                outcome,
            });
        }
        (price, taken)
    }

    fn take_at(&mut self, purpose: Purpose, moment: Duration) -> (f64, Result<Spend, Refusal>) {
        let now = moment.as_secs_f64();
        let (price, allowed) = self.price_and_ration(purpose, moment);
        let paid = match allowed {
            Ok(paid) => paid,
            Err(refusal) => return (price, Err(refusal)),
        };
        let bid = match purpose {
            Purpose::Request(bid) => Some(bid),
            Purpose::Explicit | Purpose::Refresh(_) => None,
        };
        if let Some(bid) = bid {
            let client = self.clients.entry(bid.origin.client, now);
            self.forecast.take_back(client);
            self.demand.bought(bid.origin.near, now);
        }
        let day = self.today.day;
        if let Some((origin, paid)) = paid {
            self.rations.buy(origin, paid, day, now);
        }
        self.today.spent += 1;
        self.taken += 1;
        let spend = Spend {
            day,
            number: self.taken,
            bid,
            paid,
            is_explicit: matches!(purpose, Purpose::Explicit),
        };
        (price, Ok(spend))
    }

    /// The price, and which ration would pay for a check now, if any has to and a check may be
    /// spent.
    fn price_and_ration(
        &mut self,
        purpose: Purpose,
        moment: Duration,
    ) -> (f64, Result<Option<(Origin, Paid)>, Refusal>) {
        let now = moment.as_secs_f64();
        let left = self.left_for(purpose, moment);
        let (price, score, origin) = match purpose {
            Purpose::Explicit => (0.0, 0.0, None),
            Purpose::Refresh(ip) => {
                let so_far = REFRESH_SHARE * f64::from(self.limit) * part_of_day(now);
                let is_spare = f64::from(self.today.spent) <= so_far
                    && self.demand.are_to_spare(left * REFRESH_SHARE, now);
                let price = if is_spare { 0.0 } else { f64::INFINITY };
                (price, 0.0, Some(Origin::of(ip)))
            }
            Purpose::Request(bid) => (self.price_with(left, now), bid.score, Some(bid.origin)),
        };
        let refusal = if self.quota.is_exhausted(moment) {
            Refusal::Exhausted
        } else if left < 1.0 {
            Refusal::Spent
        } else if score < price {
            Refusal::Price
        } else {
            let Some(origin) = origin else {
                return (price, Ok(None));
            };
            let ration = self.rations.next(origin, self.day_limit(), self.today.day);
            let is_refresh = matches!(purpose, Purpose::Refresh(_));
            if let Some(paid) = ration.filter(|&paid| paid == Paid::Own || !is_refresh) {
                return (price, Ok(Some((origin, paid))));
            }
            // A ration says nothing of how many requests clients make.
            if let Purpose::Request(bid) = purpose {
                let client = self.clients.entry(bid.origin.client, now);
                self.forecast.take_back(client);
            }
            Refusal::Rationed
        };
        (price, Err(refusal))
    }

    /// Why no check would be taken for a bid that was made just now, with the price. It is explained
    /// as [`take`](Self::take) does.
    pub(crate) fn refuse(&mut self, bid: Bid, now: Duration) -> Option<(f64, Refusal)> {
        let moment = self.today.moment(now);
        let (price, allowed) = self.price_and_ration(Purpose::Request(bid), moment);
        let refusal = allowed.err()?;
        self.last = Some(Explained {
            bid,
            price,
            outcome: refusal.as_str(),
        });
        Some((price, refusal))
    }

    /// Why the last bid was bought or not, if it was this client's. Each bid is explained once.
    pub(crate) fn explain(&mut self, ip: IpAddr) -> Option<Explained> {
        let is_its = |last: &mut Explained| last.bid.origin == Origin::of(ip);
        self.last.take_if(is_its)
    }

    /// The score from which a client is checked now.
    pub(crate) fn price(&mut self, now: Duration) -> f64 {
        let moment = self.turn(now);
        let now = moment.as_secs_f64();
        self.priced = None;
        let most = self.day_limit().min(self.quota.window(moment));
        let left = f64::from(most) - f64::from(self.today.spent) - self.reserve(now);
        self.price_with(left, now)
    }

    fn price_with(&mut self, left: f64, now: f64) -> f64 {
        let holds = |priced: &Priced| {
            priced.left == left && (priced.at..priced.at + PRICE_HOLDS).contains(&now)
        };
        if let Some(priced) = self.priced.filter(holds) {
            return priced.price;
        }
        let limit = f64::from(self.day_limit());
        let spent = f64::from(self.today.spent);
        let [all, usual] = self.demand.price(left, [spent, limit], now);
        let ceiling = ceiling(spent / limit.max(1.0));
        let price = all.min(usual.max(ceiling));
        self.priced = Some(Priced {
            left,
            at: now,
            price,
        });
        price
    }

    /// A sign that shows after the request: its answer, a failed login, a word of the application.
    pub(crate) fn note(&mut self, ip: IpAddr, signs: Signs, now: Duration) {
        let now = self.turn(now).as_secs_f64();
        let client = self.clients.entry(Origin::of(ip).client, now);
        client.touch(now);
        client.signs |= signs;
    }

    /// What the service said to a check.
    pub(crate) fn found(&mut self, spend: &Spend, is_listed: bool, now: Duration) {
        let now = self.turn(now).as_secs_f64();
        if let Some((origin, paid)) = spend.paid
            && is_listed
            && spend.day == self.today.day
        {
            self.rations.not_wasted(origin, paid, now);
        }
        let Some(bid) = spend.bid else {
            return;
        };
        self.weights.learn(bid.signs, is_listed);
        self.rations.found(bid.origin, is_listed, now);
        let client = self.clients.entry(bid.origin.client, now);
        let verdict = match is_listed {
            true => Signs::WAS_LISTED,
            false => Signs::WAS_CLEAN,
        };
        client.signs = client.signs.without(client.signs.earlier_verdict()) | verdict;
    }

    /// Gives back a check that was never sent. One of another day changes nothing.
    pub(crate) fn refund(&mut self, spend: Spend, now: Duration) {
        let now = self.turn(now).as_secs_f64();
        if spend.day != self.today.day {
            return;
        }
        self.today.spent = self.today.spent.saturating_sub(1);
        self.quota.refund(spend.number);
        if let Some((origin, paid)) = spend.paid {
            self.rations.refund(origin, paid, now);
        }
    }

    /// How many checks a day is worth, and how many it has, when these are far fewer.
    pub(crate) fn wanted(&mut self, now: Duration) -> Option<(u32, u32)> {
        self.turn(now);
        let wanted = self.demand.wanted(WORTH_A_CHECK);
        let are_far_fewer = self.limit > 0 && wanted > 2.0 * f64::from(self.limit);
        are_far_fewer.then_some((wanted as u32, self.limit))
    }

    pub(crate) fn spent_today(&mut self, now: Duration) -> u32 {
        self.turn(now);
        self.today.spent
    }

    /// Sees to it that the day is the right one. The moment in it.
    fn turn(&mut self, now: Duration) -> Duration {
        let before = self.today.day;
        let turn = self.today.turn(now);
        let moment = self.today.moment(now);
        let seconds = moment.as_secs_f64();
        match turn {
            Turn::Same => return moment,
            Turn::New if before > 0 => {
                self.forecast.fade((self.today.day - before) as f64 * DAY);
                self.demand.turn(seconds);
            }
            // What was said and seen is of moments that no longer mean anything.
            Turn::New | Turn::Back => {
                self.clients.clear();
                self.demand.begin(seconds);
            }
        }
        self.quota = ServiceQuota::default();
        self.rations.begin_day();
        self.priced = None;
        moment
    }
}

/// The highest price, by the part of the day's checks that is spent: 0.5 denied requests at first,
/// 300 in the end. It is nearly flat at first. So a forecast of a burst that is too high cannot
/// keep the first checks from plain attackers.
fn ceiling(part_spent: f64) -> f64 {
    const LOWEST: f64 = 0.5;
    const DOUBLINGS: f64 = 9.228_8;
    LOWEST * exp2(DOUBLINGS * part_spent * part_spent)
}

#[cfg(test)]
mod simulations;
#[cfg(test)]
mod tests;
