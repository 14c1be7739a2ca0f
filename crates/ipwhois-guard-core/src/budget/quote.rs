//! What a client would bid, and what would come of it. Nothing is bought and nothing is counted.

use std::net::IpAddr;
use std::time::Duration;

use super::origin::Origin;
use super::{Bid, Budget, Client, Explained, Refusal};

impl Budget {
    /// What a client bids at this moment, or would bid with its next request.
    pub(crate) fn quote(
        &mut self,
        ip: IpAddr,
        matters: bool,
        is_next: bool,
        now: Duration,
    ) -> (Explained, Option<Refusal>) {
        let moment = self.turn(now);
        let now = moment.as_secs_f64();
        let origin = Origin::of(ip);
        let known = self.clients.get(origin.client).copied();
        let mut client = known.unwrap_or_default();
        client.touch(now);
        let requests = match is_next {
            true => client.requests + 1.0,
            false => client.requests.max(1.0),
        };
        let signs = client.signs | self.rations.neighbours(origin, now);
        let probability = self.weights.probability(signs);
        let likely = if matters { 1.0 } else { probability };
        let bid = Bid {
            origin,
            signs,
            requests,
            probability,
            score: likely * self.forecast.worth(requests),
        };
        let most = self.day_limit().min(self.quota.window(moment));
        let left = f64::from(most) - f64::from(self.today.spent) - self.reserve(now);
        let price = self.price_with(left, now);
        let ration = self.rations.next(origin, self.day_limit(), self.today.day);
        let refusal = if self.quota.is_exhausted(moment) {
            Some(Refusal::Exhausted)
        } else if left < 1.0 {
            Some(Refusal::Spent)
        } else if bid.score < price {
            Some(Refusal::Price)
        } else {
            ration.is_none().then_some(Refusal::Rationed)
        };
        let explained = Explained {
            bid,
            price,
            outcome: refusal.map_or("checked", Refusal::as_str),
        };
        (explained, refusal)
    }

    /// Forgets what a client has shown. What its network has cost stays.
    pub(crate) fn forget(&mut self, ip: IpAddr, now: Duration) {
        let now = self.turn(now).as_secs_f64();
        *self.clients.entry(Origin::of(ip).client, now) = Client::default();
    }
}
