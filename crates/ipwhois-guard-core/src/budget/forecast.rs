//! How many requests listed clients still make.
//!
//! The assumption: of clients with n requests, one in n + 1 makes no further request within a day.
//! Counts of requests have a heavy tail. Each stage learns by which factor the assumption is wrong
//! on this site. It learns from every request that brings no check, weighted by the probability
//! that its client is listed. So where most clients make two requests, the first one is the time to
//! check; where a few make thousands, checks are for clients that have made many.

use super::Client;
use crate::evidence::{exp2, fading, log2};

/// Stages end with the 1st request, the 2nd, the 4th, the 8th, and so on.
const STAGES: usize = 10;

/// How certain the assumption is: as many last requests.
const CERTAINTY: f64 = 4.0;

/// What was learned is forgotten with this half-life.
const MEMORY: f64 = 7.0 * super::DAY;

/// More than any site has within the memory.
const MOST: f32 = 1e9;

#[derive(Debug)]
pub(super) struct RequestForecast {
    stages: [Stage; STAGES],
}

#[derive(Clone, Copy, Debug, Default)]
struct Stage {
    /// How many requests should have been the last of their clients by the assumption, and how many
    /// were. A request counts as the last until its client comes again.
    expected: f64,
    ends: f64,
    /// For a client that enters the stage: whether it gets beyond it, and how many requests it
    /// makes in it.
    survives: f64,
    requests: f64,
    /// Whether these two are of an earlier count.
    is_stale: bool,
}

impl RequestForecast {
    pub(super) fn new() -> Self {
        let stage = Stage {
            is_stale: true,
            ..Stage::default()
        };
        Self {
            stages: [stage; STAGES],
        }
    }

    /// This request may be the last of its client.
    pub(super) fn may_end(&mut self, client: &mut Client, probability: f64) {
        client.may_end = probability as f32;
        let probability = f64::from(client.may_end);
        self.count(client.requests, probability, probability);
    }

    /// The request brought a check: nothing can be learned from it.
    pub(super) fn take_back(&mut self, client: &mut Client) {
        let probability = f64::from(std::mem::take(&mut client.may_end));
        self.count(client.requests, -probability, -probability);
    }

    /// The client comes again: the request before was not the last.
    pub(super) fn came_again(&mut self, client: &mut Client, now: f64) {
        let probability = f64::from(std::mem::take(&mut client.may_end));
        if !client.is_forgotten(now) && probability > 0.0 {
            self.count(client.requests, 0.0, -probability);
        }
    }

    fn count(&mut self, requests: f32, expected: f64, ends: f64) {
        let index = stage_of(requests);
        let stage = &mut self.stages[index];
        stage.expected = (stage.expected + expected / (f64::from(requests) + 1.0)).max(0.0);
        stage.ends = (stage.ends + ends).max(0.0);
        stage.is_stale = true;
    }

    pub(super) fn fade(&mut self, age: f64) {
        let fading = fading(age, MEMORY);
        for stage in &mut self.stages {
            stage.expected *= fading;
            stage.ends *= fading;
            stage.is_stale = true;
        }
    }

    /// What a check now is worth, in requests, if the client is listed and has made so many.
    ///
    /// A check at a later stage denies less, but it is saved if the client stops before. So a check
    /// now is worth the requests that it denies and the later one does not, divided by the
    /// probability that the later one is saved. The best later stage makes this least.
    pub(super) fn worth(&mut self, requests: f32) -> f64 {
        let first = stage_of(requests);
        let from = f64::from(requests);
        let (survives, made) = self.stages[first].from(from, first_of(first + 1).max(from + 1.0));
        let (mut denied, mut alive) = (made, survives);
        let mut worth = denied / (1.0 - alive);
        for (index, stage) in self.stages.iter_mut().enumerate().skip(first + 1) {
            stage.refresh(index);
            denied += alive * stage.requests;
            alive *= stage.survives;
            worth = worth.min(denied / (1.0 - alive));
        }
        worth
    }

    pub(super) fn snapshot(&self) -> Vec<(f32, f32)> {
        let stages = self.stages.iter();
        stages
            .map(|stage| (stage.expected as f32, stage.ends as f32))
            .collect()
    }

    /// Adds what an earlier run learned. Counts that no site has are dropped.
    pub(super) fn restore(&mut self, stored: &[(f32, f32)]) {
        for (index, (expected, ends)) in stored.iter().take(STAGES).enumerate() {
            if [expected, ends]
                .iter()
                .all(|count| (0.0..MOST).contains(*count))
            {
                self.stages[index].expected += f64::from(*expected);
                self.stages[index].ends += f64::from(*ends);
                self.stages[index].is_stale = true;
            }
        }
    }
}

impl Stage {
    fn refresh(&mut self, index: usize) {
        if std::mem::take(&mut self.is_stale) {
            (self.survives, self.requests) = self.from(first_of(index), first_of(index + 1));
        }
    }

    /// Of a client that has made `from` requests: whether it makes its `next`th, and how many it
    /// makes before that.
    fn from(&self, from: f64, next: f64) -> (f64, f64) {
        let factor = (self.ends + CERTAINTY) / (self.expected + CERTAINTY);
        let end = (factor / (from + 1.0)).min(1.0);
        let survives = exp2((next - from) * log2(1.0 - end));
        (survives, (1.0 - survives) / end)
    }
}

/// The stage in which a client with so many requests is.
fn stage_of(requests: f32) -> usize {
    let requests = (requests + 0.5) as u32;
    let stage = u32::BITS - requests.saturating_sub(1).leading_zeros();
    (stage as usize).min(STAGES - 1)
}

/// The number of requests with which a stage begins.
fn first_of(stage: usize) -> f64 {
    match stage {
        0 => 1.0,
        stage => ((1_u64 << (stage - 1)) + 1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(requests: f32) -> Client {
        Client {
            requests,
            at: 1_000_000,
            ..Client::default()
        }
    }

    #[test]
    fn without_experience_a_client_makes_as_many_requests_as_it_has_made() {
        let mut forecast = RequestForecast::new();
        for requests in [1.0, 2.0, 5.0, 30.0, 200.0] {
            let worth = forecast.worth(requests);
            let expected = f64::from(requests) + 1.0;
            assert!((worth / expected - 1.0).abs() < 0.3, "{requests}: {worth}");
        }
    }

    #[test]
    fn where_clients_stop_after_two_requests_the_first_is_the_time_to_check() {
        let mut forecast = RequestForecast::new();
        for _ in 0..500 {
            forecast.may_end(&mut client(2.0), 0.9);
            let mut first = client(1.0);
            forecast.may_end(&mut first, 0.9);
            forecast.came_again(&mut first, 1_000_010.0);
        }
        assert!(forecast.worth(1.0) > 1.5 * forecast.worth(2.0));
    }

    #[test]
    fn where_clients_go_on_for_long_those_that_have_made_many_are_worth_most() {
        let mut forecast = RequestForecast::new();
        for _ in 0..500 {
            for requests in 1..=100_u16 {
                let mut client = client(requests.into());
                forecast.may_end(&mut client, 0.9);
                if requests > 2 {
                    forecast.came_again(&mut client, 1_000_010.0);
                }
            }
        }
        assert!(forecast.worth(50.0) > 20.0 * forecast.worth(1.0));
    }

    #[test]
    fn a_client_that_comes_again_after_a_day_had_ended() {
        let ends = |later: f64| {
            let mut forecast = RequestForecast::new();
            let mut client = client(1.0);
            forecast.may_end(&mut client, 0.5);
            forecast.came_again(&mut client, 1_000_000.0 + later);
            forecast.snapshot()[0].1
        };
        assert!(ends(3_600.0) == 0.0 && ends(2.0 * super::super::DAY) == 0.5);
    }

    #[test]
    fn a_request_that_brought_a_check_teaches_nothing() {
        let mut forecast = RequestForecast::new();
        let before = forecast.snapshot();
        let mut client = client(3.0);
        forecast.may_end(&mut client, 0.7);
        forecast.take_back(&mut client);
        assert_eq!(forecast.snapshot(), before);
    }

    #[test]
    fn counts_that_no_site_has_are_dropped() {
        let mut forecast = RequestForecast::new();
        let absurd = [
            (f32::NAN, 1.0),
            (-1.0, 1.0),
            (1.0, f32::INFINITY),
            (2.0, 1.0),
        ];
        forecast.restore(&[&absurd[..], &[(3.0, 3.0); 100]].concat());
        let stored = forecast.snapshot();
        assert_eq!(
            stored[..4],
            [(0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (2.0, 1.0)]
        );
        assert!(forecast.worth(1.0).is_finite());
    }
}
