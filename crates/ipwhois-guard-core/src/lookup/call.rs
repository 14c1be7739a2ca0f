//! One call to the service: paid for before it is made, and what follows from its answer.

use tokio::sync::{AcquireError, SemaphorePermit};

use super::gate::{Change, Outcome, Permit};
use super::{Answer, Found, Lookup, Question};
use crate::budget::Spend;
use crate::error::ApiError;
use crate::pause::until_next_day;
use crate::service::CheckReply;
use crate::state::StoredVerdict;
use crate::verdict::{Source, Unverified};

impl Lookup {
    /// The turn to make a call: one of a few, and not before the state folder is read.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.until_open().await;
        self.calls.acquire().await
    }

    /// One call, if the gate still admits it. Its result is in the cache when this returns. `spend`
    /// is taken when the call goes out.
    pub(super) async fn call(
        &self,
        question: Question,
        spend: &mut Option<Spend>,
        alone: bool,
    ) -> Answer {
        let ip = question.ip;
        if spend.is_none() {
            // It was not known what the state folder or another machine knows.
            if let Some(found) = self.known(question) {
                return Ok(found);
            }
            let admitted = self.gate().look(self.clock.elapsed());
            let taken = match admitted {
                Ok(()) => {
                    let budget = &self.budget;
                    budget
                        .take_granted(question.purpose, ip, self.max_wait)
                        .await
                }
                Err(reason) => Err(reason),
            };
            if taken.is_err() && !alone {
                self.cache.note_unpaid(ip, self.now());
            }
            *spend = Some(taken?);
        }
        let permit = self.gate().admit(self.clock.elapsed())?;
        let mut paid = spend.take();
        let result = self.upstream.check(ip).await;
        if let Err(ApiError::Transport {
            connected: false, ..
        }) = result
            && let Some(paid) = paid.take()
        {
            self.budget.refund(paid);
        }
        self.record(permit, &result);
        self.budget.has_changed();
        match result {
            Ok(reply) => {
                let reputation = reply.reputation;
                if let Some(paid) = &paid {
                    self.budget.found(paid, reputation.listed);
                }
                self.cache.learn(ip, reputation, self.now());
                self.journal.note_verdict(StoredVerdict {
                    ip,
                    reputation,
                    verified: self.clock.wall(),
                });
                if let Some(quota) = reply.quota {
                    self.budget.believe(quota);
                }
                Ok(Found {
                    source: Source::Api,
                    reputation,
                })
            }
            Err(error) => {
                let reason = match error {
                    ApiError::RateLimited { .. } => Unverified::RateLimited,
                    ApiError::Timeout { .. } => Unverified::TimedOut,
                    _ => Unverified::CallFailed,
                };
                self.cache.note_failure(ip, reason, self.now());
                event!(WARN, client = %ip,
                    error = &error as &dyn std::error::Error,
                    "check failed"
                );
                Err(reason)
            }
        }
    }

    fn record(&self, permit: Permit, result: &Result<CheckReply, ApiError>) {
        let outcome = match result {
            Ok(_) => Outcome::Answered,
            Err(ApiError::RateLimited { retry_after }) => Outcome::RateLimited {
                retry_after: *retry_after,
                until_next_day: until_next_day(self.clock.wall()),
            },
            Err(ApiError::Status { status: 400 | 422 }) => Outcome::Refused,
            Err(_) => Outcome::Failed,
        };
        let change = {
            let now = self.clock.elapsed();
            let mut gate = self.gate();
            let change = gate.record(permit, outcome, now);
            if matches!(outcome, Outcome::RateLimited { .. }) {
                self.budget.exhaust(gate.pause_left(now));
            }
            change
        };
        match change {
            Change::None => {}
            Change::Opened { wait } => event!(
                WARN,
                ?wait,
                "circuit breaker open: the service fails, nobody is asked about until the next probe"
            ),
            Change::Closed => event!(INFO, "circuit breaker closed: the service answers again"),
            Change::Paused { pause } => event!(
                WARN,
                ?pause,
                "the service's limit is used up: nobody is asked about during the pause"
            ),
        }
    }
}
