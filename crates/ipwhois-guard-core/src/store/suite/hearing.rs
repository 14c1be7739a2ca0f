//! Announcements.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::verdicts::verdict;
use super::{LONG, Machines, PATIENCE, SHORT, Store, answered, until};
use crate::store::{Announcement, BanRecord, Scope};

/// So long an announcement may take.
const SOON: Duration = Duration::from_secs(1);
/// Banned before anybody listens, so that a listener hears of it when it is there.
const MARK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(26, 0, 0, 1));
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(25, 0, 0, 7));

/// Said just now. Without a length it is a lift.
fn ban(ip: IpAddr, left: Duration) -> BanRecord {
    let (scope, age) = (Scope::of(ip), Duration::ZERO);
    BanRecord { scope, age, left }
}

async fn tell(store: &Store, ban: BanRecord) {
    answered(store.tell_bans(&[ban]).await, "tell_bans");
}

/// Whom an announcement is about, and what is left of the ban.
fn told(announcement: Announcement) -> Option<(Scope, Duration)> {
    match announcement {
        Announcement::Ban(told) => Some((told.scope, told.left)),
        Announcement::Listed { .. } => None,
    }
}

fn is_mark(announcement: Announcement) -> bool {
    told(announcement).is_some_and(|(scope, _)| scope == Scope::of(MARK))
}

/// Whether two lengths are the same but for the time that a call takes.
fn is_about(length: Duration, expected: Duration) -> bool {
    length.abs_diff(expected) <= SOON
}

/// A machine that listens.
struct Listener {
    heard: mpsc::UnboundedReceiver<Announcement>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    fn start(store: &Store) -> Self {
        let (tell, heard) = mpsc::unbounded_channel();
        let store = Arc::clone(store);
        let task = tokio::spawn(async move {
            let hear = move |announcement| {
                let _ = tell.send(announcement);
            };
            let ended = store.listen(&hear).await;
            panic!("it listens until the connection is lost: {ended:?}");
        });
        Self { heard, task }
    }

    /// Listens, and has heard of the bans in force.
    async fn ready(store: &Store) -> Self {
        tell(store, ban(MARK, LONG)).await;
        let mut listener = Self::start(store);
        let mark = listener.next(PATIENCE).await;
        assert!(is_mark(mark), "a ban in force is heard of first: {mark:?}");
        listener
    }

    /// The next announcement that is not the mark's ban. A place of several servers may tell
    /// that one late, and so a second time.
    async fn next_but_mark(&mut self, within: Duration) -> Announcement {
        loop {
            let announcement = self.next(within).await;
            if !is_mark(announcement) {
                return announcement;
            }
        }
    }

    async fn next(&mut self, within: Duration) -> Announcement {
        match tokio::time::timeout(within, self.heard.recv()).await {
            Ok(Some(announcement)) => announcement,
            Ok(None) => panic!("it listens until the connection is lost"),
            Err(_) => panic!("an announcement is heard within {within:?}"),
        }
    }
}

pub(super) async fn what_is_listed_reaches_all_machines(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let mut own = Listener::ready(&first).await;
    let mut other = Listener::ready(&second).await;
    let ips: [IpAddr; 2] = [CLIENT, [0x3ffe, 0, 0, 0, 0, 0, 0, 1].into()];
    answered(first.learn(MARK, verdict(0), LONG).await, "learn");
    for ip in ips {
        answered(first.learn(ip, verdict(95), LONG).await, "learn");
    }
    for listener in [&mut own, &mut other] {
        let heard = [
            listener.next_but_mark(SOON).await,
            listener.next_but_mark(SOON).await,
        ];
        for ip in ips {
            let listed = Announcement::Listed {
                ip,
                verdict: verdict(95),
            };
            // A place of several servers may tell what is of different addresses in any order.
            assert!(
                heard.contains(&listed),
                "what is listed is announced, and nothing else: {heard:?}"
            );
        }
    }
}

pub(super) async fn bans_reach_all_machines(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let mut listener = Listener::ready(&first).await;
    let network = Scope::of([0x3ffe, 1, 2, 3, 0, 0, 0, 1].into()).widest();
    for scope in [Scope::of(CLIENT), network] {
        tell(
            &second,
            BanRecord {
                scope,
                ..ban(CLIENT, LONG)
            },
        )
        .await;
        let heard = told(listener.next_but_mark(SOON).await);
        let (client, length) = heard.expect("a ban is announced");
        assert_eq!(client, scope);
        let is_whole = length <= LONG && is_about(length, LONG);
        assert!(is_whole, "a ban is announced with its length: {length:?}");
        tell(
            &second,
            BanRecord {
                scope,
                ..ban(CLIENT, Duration::ZERO)
            },
        )
        .await;
        let heard = told(listener.next_but_mark(SOON).await);
        let lifted = Some((scope, Duration::ZERO));
        assert_eq!(heard, lifted, "so is that it is lifted");
    }
}

pub(super) async fn a_late_listener_hears_of_the_bans_in_force_and_of_lifts(
    machines: Machines<'_>,
) {
    let [first, second] = machines.two();
    let over: IpAddr = [25, 0, 0, 1].into();
    let lifted: IpAddr = [25, 0, 0, 2].into();
    let begun = Instant::now();
    tell(&first, ban(over, SHORT)).await;
    tell(&first, ban(lifted, LONG)).await;
    tell(&first, ban(lifted, Duration::ZERO)).await;
    tell(&first, ban(CLIENT, LONG)).await;
    until("time passes", || async {
        (begun.elapsed() > 2 * SHORT).then_some(())
    })
    .await;
    let mut listener = Listener::start(&second);
    let mut heard = [listener.next(PATIENCE).await, listener.next(PATIENCE).await].map(told);
    heard.sort_unstable();
    let [Some(banned), Some(unbanned)] = [heard[1], heard[0]] else {
        panic!("bans and lifts are heard of first: {heard:?}");
    };
    let (banned, unbanned) = if banned.1.is_zero() {
        (unbanned, banned)
    } else {
        (banned, unbanned)
    };
    assert_eq!(unbanned, (Scope::of(lifted), Duration::ZERO));
    assert_eq!(
        banned.0,
        Scope::of(CLIENT),
        "a ban that is over is not in force"
    );
    let rest = LONG.saturating_sub(begun.elapsed());
    let length = banned.1;
    assert!(
        is_about(length, rest),
        "its length is what is left: {length:?}"
    );
    tell(&first, ban(CLIENT, Duration::ZERO)).await;
    let unbanned = Some((Scope::of(CLIENT), Duration::ZERO));
    let next = told(listener.next(SOON).await);
    assert_eq!(next, unbanned, "nothing else is in force");
}

pub(super) async fn of_what_is_told_of_a_client_the_latest_counts(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let of_age = |age, left| BanRecord {
        age,
        ..ban(CLIENT, left)
    };
    let mut listener = Listener::ready(&first).await;
    // A machine that was away missed the lift, and tells of its ban.
    tell(&first, of_age(minutes(5), Duration::ZERO)).await;
    let lift = told(listener.next_but_mark(SOON).await);
    assert_eq!(lift, Some((Scope::of(CLIENT), Duration::ZERO)));
    tell(&second, of_age(minutes(10), LONG)).await;
    // Banned again since, for less, and not made shorter by another ban.
    tell(&second, of_age(minutes(3), LONG)).await;
    tell(&first, of_age(minutes(2), LONG / 2)).await;
    // The lift is told again by one who has heard of nothing since.
    tell(&second, of_age(minutes(5), Duration::ZERO)).await;
    let (_, length) = told(listener.next_but_mark(SOON).await).expect("the second ban");
    assert!(is_about(length, LONG), "{length:?}");
    tell(&second, of_age(Duration::ZERO, Duration::ZERO)).await;
    let lift = told(listener.next_but_mark(SOON).await);
    let lifted = Some((Scope::of(CLIENT), Duration::ZERO));
    assert_eq!(lift, lifted, "nothing that was known or late is announced");
}
