//! What the tracker should answer, from a diary of everything that happened, read from end to end
//! each time.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const DAY: u64 = 24 * 60 * 60 * 10;

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
        at: u64,
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
    fn failures(&self, of: usize, now: u64) -> usize {
        let mut count = 0;
        for event in &self.diary {
            match *event {
                Event::Failed { client, at } if client == of && now - at < self.find_time => {
                    count += 1;
                }
                Event::Forgotten { client } if client == of => count = 0,
                _ => {}
            }
        }
        count
    }

    fn under_way(&self, of: usize, now: u64) -> usize {
        let ended = |wanted| {
            let is =
                |event: &Event| matches!(event, Event::Ended { attempt } if *attempt == wanted);
            self.diary.iter().any(is)
        };
        let under_way = |event: &&Event| {
            matches!(**event, Event::Began { client, attempt, at }
                if client == of && now - at < self.find_time && !ended(attempt))
        };
        self.diary.iter().filter(under_way).count()
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
            return Err(Refused {
                retry_after: duration(left),
                banned: true,
            });
        }
        if self.failures(client, now) + self.under_way(client, now) >= self.max_failures {
            return Err(Refused {
                retry_after: duration(10),
                banned: false,
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

    fn fail(&mut self, client: usize, now: u64) -> Failure {
        if let Some(left) = self.banned(client, now) {
            return Failure::Banned {
                retry_after: duration(left),
            };
        }
        self.diary.push(Event::Failed { client, at: now });
        let failures = self.failures(client, now);
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
        Failure::Tripped { ban: duration(ban) }
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

/// Three clients, and how they may come along.
const ADDRESSES: [(&str, usize); 6] = [
    ("25.0.0.1", 0),
    ("::ffff:25.0.0.1", 0),
    ("25.0.0.2", 1),
    ("3ffe:0:0:1::1", 2),
    ("3ffe:0:0:1:8000::2", 2),
    ("25.0.0.1", 0),
];

#[derive(Clone, Debug)]
enum Step {
    Begin(usize),
    Fail(Index),
    Succeed(Index),
    NoteFailure(usize),
    NoteSuccess(usize),
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
        6 => address().prop_map(Step::Begin),
        6 => any::<Index>().prop_map(Step::Fail),
        1 => any::<Index>().prop_map(Step::Succeed),
        6 => address().prop_map(Step::NoteFailure),
        1 => address().prop_map(Step::NoteSuccess),
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
    fn the_tracker_answers_like_the_diary((max_failures, find_time, ban_time, max_ban_time, steps) in scenes()) {
        let tracker: Tracker = Tracker::with_capacity(64, Limits {
            max_failures: max_failures as u32,
            find_time: duration(find_time),
            ban_time: duration(ban_time),
            max_ban_time: max_ban_time.map(duration),
        });
        let mut model = Model { max_failures, find_time, ban_time, max_ban_time, diary: Vec::new(), attempts: 0 };
        // Of the tracker, of the model, whose. An attempt may be ended twice, or never.
        let mut attempts: Vec<(Reservation, usize, usize)> = Vec::new();
        let ip = |n: usize| -> IpAddr { ADDRESSES[n].0.parse().unwrap() };
        let mut now = 0;
        for step in steps {
            let tick = Tick::at(duration(now));
            match step {
                Step::Begin(n) => match (tracker.begin(ip(n), tick), model.begin(ADDRESSES[n].1, now)) {
                    (Ok(reservation), Ok(attempt)) => attempts.push((reservation, attempt, ADDRESSES[n].1)),
                    (Err(told), Err(expected)) => prop_assert_eq!(told, expected),
                    (told, expected) => prop_assert!(false, "{:?} instead of {:?}", told, expected),
                },
                Step::Fail(index) if !attempts.is_empty() => {
                    let (reservation, attempt, client) = *index.get(&attempts);
                    model.diary.push(Event::Ended { attempt });
                    prop_assert_eq!(tracker.fail(reservation, tick), model.fail(client, now));
                }
                Step::Succeed(index) if !attempts.is_empty() => {
                    let (reservation, attempt, client) = *index.get(&attempts);
                    model.diary.push(Event::Ended { attempt });
                    model.diary.push(Event::Forgotten { client });
                    tracker.succeed(reservation);
                }
                Step::Fail(_) | Step::Succeed(_) => {}
                Step::NoteFailure(n) => {
                    prop_assert_eq!(tracker.note_failure(ip(n), tick), model.fail(ADDRESSES[n].1, now));
                }
                Step::NoteSuccess(n) => {
                    model.diary.push(Event::Forgotten { client: ADDRESSES[n].1 });
                    tracker.note_success(ip(n));
                }
                Step::Ban(n, time) => {
                    model.ban(ADDRESSES[n].1, time, now);
                    tracker.ban(ip(n), duration(time), tick);
                }
                Step::Unban(n) => {
                    model.diary.push(Event::Lifted { client: ADDRESSES[n].1 });
                    tracker.unban(ip(n));
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
