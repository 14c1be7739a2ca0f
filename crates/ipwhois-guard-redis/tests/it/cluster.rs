//! Three nodes that share the keys.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ipwhois_guard_core::store::{DEADLINE, Seen, SharedError, SharedStore, suite};
use ipwhois_guard_redis::RedisStore;
use tokio::time::timeout;

use super::promises::call_everything;
use super::server::{BUSY, Server, back, free_port, listens_at, store, until};
use super::{IP, LONG, listed};

/// So long nodes may take to meet.
const MEETING: Duration = Duration::from_secs(2);
const KEY: &str = "ipwhois-guard:verdict:{25.0.0.7}";

struct Cluster(Vec<Server>);

impl Cluster {
    async fn start() -> Self {
        let mut nodes: Vec<Server> = Vec::new();
        for slots in [["0", "5461"], ["5462", "10922"], ["10923", "16383"]] {
            let bus = free_port().to_string();
            let settings = [
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus],
                ["--cluster-node-timeout", "1000"],
            ];
            let mut node = Server::new(&settings.concat()).with_port();
            node.run();
            let _: () = node.does(&["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]);
            nodes.push(node);
        }
        let cluster = Self(nodes);
        cluster.agrees().await;
        cluster
    }

    async fn agrees(&self) {
        let met = Mutex::new(None::<Instant>);
        until("the nodes agree", || async {
            let infos = self
                .0
                .iter()
                .map(|node| -> String { node.does(&["CLUSTER", "INFO"]) });
            let infos: Vec<String> = infos.collect();
            let all = |what: &str| infos.iter().all(|info| info.contains(what));
            let mut met = met.lock().expect("nobody panicked");
            // A node that is too slow to answer has not been met, and nobody tries again.
            if !all("cluster_known_nodes:3") && met.is_none_or(|met| met.elapsed() > MEETING) {
                self.meet();
                *met = Some(Instant::now());
            }
            (all("cluster_state:ok") && all("cluster_size:3")).then_some(())
        })
        .await;
    }

    fn meet(&self) {
        for node in &self.0[1..] {
            let port = node.port().to_string();
            let (_, bus): (String, String) = node.does(&["CONFIG", "GET", "cluster-port"]);
            let _: () = self.0[0].does(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
    }

    /// With the node that is asked first.
    fn url(&self, first: usize) -> String {
        let nodes = (0..3).map(|n| self.0[(first + n) % 3].address());
        format!("redis+cluster://{}", nodes.collect::<Vec<_>>().join(","))
    }

    fn slot(&self, key: &str) -> String {
        let slot: u32 = self.0[0].does(&["CLUSTER", "KEYSLOT", key]);
        slot.to_string()
    }

    fn slot_of(&self, client: IpAddr) -> String {
        self.slot(&format!("{{{client}}}"))
    }

    /// Which node has a slot.
    fn owner(&self, slot: &str) -> usize {
        let slot: u32 = slot.parse().expect("a number");
        usize::try_from(slot / 5462).expect("a node")
    }

    fn id(&self, node: usize) -> String {
        self.0[node].does(&["CLUSTER", "MYID"])
    }

    fn set_slot(&self, node: usize, arguments: &[&str]) {
        let command = [&["CLUSTER", "SETSLOT"], arguments].concat();
        let _: () = self.0[node].does(&command);
    }
}

#[tokio::test]
async fn the_tier_keeps_the_promises_of_the_trait_in_a_cluster() {
    let cluster = Cluster::start().await;
    for node in &cluster.0 {
        node.add_user("guard", &["+cluster|slots", "+asking"]);
    }
    let least = cluster.url(0).replace("://", "://guard:secret@");
    call_everything(&*store(&least)).await;
    let places = AtomicUsize::new(0);
    suite::run(|| {
        let prefix = format!("place-{}:", places.fetch_add(1, Ordering::Relaxed));
        let cluster = &cluster;
        let machines = AtomicUsize::new(0);
        move || {
            // Machines listen at different nodes.
            let url = cluster.url(machines.fetch_add(1, Ordering::Relaxed) % 3);
            let store = RedisStore::builder(url).prefix(prefix.clone()).connect();
            Arc::new(store.expect("a store")) as Arc<dyn SharedStore>
        }
    })
    .await;
    let used = cluster
        .0
        .iter()
        .all(|node| node.does::<u32>(&["DBSIZE"]) > 0);
    assert!(used, "the keys are spread over the nodes");
}

#[tokio::test]
async fn a_node_of_a_cluster_that_is_away_is_passed_over() {
    let cluster = Cluster::start().await;
    let dead = format!("127.0.0.1:{}", free_port());
    let store = store(&format!(
        "redis+cluster://{dead},{}",
        cluster.0[1].address()
    ));
    call_everything(&*store).await;
    listens_at(&cluster.0[1], &*store).await;
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let cluster = Cluster::start().await;
    let store = store(&cluster.url(0));
    store.learn(IP, listed(), LONG).await.unwrap();
    assert_eq!(store.look(IP, LONG).await.unwrap(), Seen::Verdict(listed()));
    let slot = cluster.slot(KEY);
    let from = cluster.owner(&slot);
    let to = (from + 1) % 3;
    let (from_id, to_id) = (cluster.id(from), cluster.id(to));
    let _: () = cluster.0[from].does(&["FLUSHALL"]);
    // It is about to move, and what is not there any more is at the other node: ASK.
    cluster.set_slot(to, &[&slot, "IMPORTING", &from_id]);
    cluster.set_slot(from, &[&slot, "MIGRATING", &to_id]);
    store.release(IP).await.unwrap();
    let refused = store.look(IP, LONG).await;
    let reason = match &refused {
        Err(SharedError::Refused { reason }) => reason,
        other => panic!("a part of two keys is not asked for: {other:?}"),
    };
    assert!(reason.starts_with("TRYAGAIN "), "{reason}");
    // It has moved: MOVED.
    cluster.set_slot(to, &[&slot, "NODE", &to_id]);
    cluster.set_slot(from, &[&slot, "NODE", &to_id]);
    assert_eq!(store.look(IP, LONG).await.unwrap(), Seen::Leased);
    store.learn(IP, listed(), LONG).await.unwrap();
    let there: bool = cluster.0[to].does(&["EXISTS", KEY]);
    assert!(there, "it is at the other node");
}

#[tokio::test]
async fn a_cluster_is_used_again_by_itself_when_its_nodes_are_back() {
    let mut cluster = Cluster::start().await;
    let store = store(&cluster.url(0));
    let clients: Vec<IpAddr> = (0..32_u8).map(|n| [25, 0, 0, n].into()).collect();
    let look_all = async || {
        let (mut answered, mut failed) = (0, 0);
        for &client in &clients {
            let begun = Instant::now();
            match timeout(DEADLINE, store.look(client, LONG)).await {
                Ok(Ok(_)) => answered += 1,
                Ok(Err(SharedError::Unreadable { reason })) => panic!("{reason}"),
                Ok(Err(_)) | Err(_) => failed += 1,
            }
            assert!(begun.elapsed() < DEADLINE + BUSY);
        }
        (answered, failed)
    };
    until("all nodes answer", || async {
        (look_all().await.1 == 0).then_some(())
    })
    .await;
    for away in [&[2][..], &[0, 1, 2]] {
        for &node in away {
            cluster.0[node].stop();
        }
        until("calls fail", || async {
            (look_all().await.1 >= 8).then_some(())
        })
        .await;
        for &node in away {
            cluster.0[node].run();
        }
        cluster.agrees().await;
        until("all nodes answer again", || async {
            (look_all().await.1 == 0).then_some(())
        })
        .await;
    }
}

/// A client whose keys the third node has.
fn client_of_the_third(cluster: &Cluster) -> IpAddr {
    let clients = (0..=255_u8).map(|n| IpAddr::from([25, 0, 1, n]));
    let mut of_the_third = clients.filter(|client| cluster.owner(&cluster.slot_of(*client)) == 2);
    of_the_third.next().expect("a third of all")
}

#[tokio::test]
async fn a_node_that_is_silent_is_left_when_another_has_its_slots() {
    let cluster = Cluster::start().await;
    let store = store(&cluster.url(2));
    let client = client_of_the_third(&cluster);
    store.learn(client, listed(), LONG).await.unwrap();
    // Nobody refuses, and nobody says that the slot has moved.
    cluster.0[2].signal("STOP");
    let (slot, first) = (cluster.slot_of(client), cluster.id(0));
    for node in [0, 1] {
        let _: () = cluster.0[node].does(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
        cluster.set_slot(node, &[&slot, "NODE", &first]);
    }
    let seen = until("the other node answers", || async {
        timeout(DEADLINE, store.look(client, LONG)).await.ok()?.ok()
    })
    .await;
    assert_eq!(seen, Seen::Leased);
}

#[tokio::test]
async fn a_node_that_is_gone_leaves_the_other_slots_alone() {
    let mut cluster = Cluster::start().await;
    for node in &cluster.0 {
        let _: () = node.does(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    let store = store(&cluster.url(0));
    let gone = client_of_the_third(&cluster);
    back(&*store).await;
    cluster.0[2].stop();
    let clients = (0..=255_u8).map(|n| IpAddr::from([25, 0, 2, n]));
    let (mut answered, mut failed) = (0, 0);
    for client in clients.filter(|client| cluster.owner(&cluster.slot_of(*client)) != 2) {
        let (look, of_gone) = tokio::join!(
            timeout(10 * DEADLINE, store.look(client, LONG)),
            timeout(DEADLINE, store.look(gone, LONG))
        );
        assert!(!matches!(of_gone, Ok(Ok(_))), "nobody has its slot");
        match look {
            Ok(Ok(_)) => answered += 1,
            _ => failed += 1,
        }
    }
    assert!(answered > failed, "{answered} answered, {failed} failed");
}

#[tokio::test]
async fn what_is_wrong_with_a_cluster_is_told() {
    let mut server = Server::new(&[]).with_port();
    server.run();
    let at = server.address();
    let alone = store(&format!("redis+cluster://{at}"));
    let refused = alone.look(IP, LONG).await;
    let said = format!("{refused:?}");
    assert!(said.contains("cluster support disabled"), "{said}");
    let _: () = server.does(&["CONFIG", "SET", "requirepass", "first-secret"]);
    let wrong = store(&format!("redis+cluster://:second-secret@{at}"));
    for said in [
        format!("{:?}", wrong.look(IP, LONG).await),
        format!("{:?}", wrong.listen(&|_| ()).await),
    ] {
        assert!(said.contains("authentication failed"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}
