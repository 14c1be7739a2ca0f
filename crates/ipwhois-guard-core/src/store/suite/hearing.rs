//! Announcements.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::verdicts::verdict;
use super::{LONG, Machines, PATIENCE, SHORT, Store, answered, until};
use crate::store::Announcement;

/// So long an announcement may take.
const SOON: Duration = Duration::from_secs(1);
/// Banned before anybody listens, so that a listener hears of it when it is there.
const MARK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(26, 0, 0, 1));
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(25, 0, 0, 7));

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
        answered(store.ban(MARK, LONG).await, "ban");
        let mut listener = Self::start(store);
        let mark = listener.next(PATIENCE).await;
        let is_mark = matches!(mark, Announcement::Banned { client: MARK, .. });
        assert!(is_mark, "a ban in force is heard of first: {mark:?}");
        listener
    }

    /// The next announcement that is not the mark's ban. A place of several servers may tell
    /// that one late, and so a second time.
    async fn next_but_mark(&mut self, within: Duration) -> Announcement {
        loop {
            let announcement = self.next(within).await;
            if !matches!(announcement, Announcement::Banned { client: MARK, .. }) {
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
    // The mark of the second listener.
    own.next(SOON).await;
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
    answered(second.ban(CLIENT, LONG).await, "ban");
    answered(second.unban(CLIENT).await, "unban");
    let Announcement::Banned { client, length } = listener.next_but_mark(SOON).await else {
        panic!("a ban is announced");
    };
    assert_eq!(client, CLIENT);
    let is_whole = length <= LONG && length + PATIENCE > LONG;
    assert!(is_whole, "a ban is announced with its length: {length:?}");
    let lifted = Announcement::Unbanned { client: CLIENT };
    assert_eq!(listener.next(SOON).await, lifted, "so is that it is lifted");
}

pub(super) async fn who_comes_later_hears_of_the_bans_in_force(machines: Machines<'_>) {
    let [first, second] = machines.two();
    let over: IpAddr = [25, 0, 0, 1].into();
    let lifted: IpAddr = [25, 0, 0, 2].into();
    let begun = Instant::now();
    answered(first.ban(over, SHORT).await, "ban");
    answered(first.ban(lifted, LONG).await, "ban");
    answered(first.unban(lifted).await, "unban");
    answered(first.ban(CLIENT, LONG).await, "ban");
    until("time passes", || async {
        (begun.elapsed() > 2 * SHORT).then_some(())
    })
    .await;
    let mut listener = Listener::start(&second);
    let Announcement::Banned { client, length } = listener.next(PATIENCE).await else {
        panic!("bans in force are heard of first");
    };
    assert_eq!(
        client, CLIENT,
        "bans that are over or lifted are not in force"
    );
    let rest = LONG.saturating_sub(begun.elapsed());
    let is_rest = length <= LONG && length + SOON >= rest;
    assert!(is_rest, "a ban's length is what is left of it: {length:?}");
    answered(first.unban(CLIENT).await, "unban");
    let unbanned = Announcement::Unbanned { client: CLIENT };
    assert_eq!(
        listener.next(SOON).await,
        unbanned,
        "nothing else is in force"
    );
}
