//! Where Redis is, and the one connection for all calls.

use std::time::Duration;

use redis::aio::PubSub;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{Client, Cmd, ConnectionInfo, ErrorKind, RedisError, RedisResult, Value};

use crate::nodes::{Nodes, turn};
use crate::paced::{self, Paced};
use crate::sentinel::Sentinels;

/// How long connecting to a server may take, with TLS and login.
pub(crate) const CONNECT: Duration = Duration::from_secs(1);
/// How long an answer may take before the connection is given up.
pub(crate) const ANSWER: Duration = Duration::from_secs(1);
/// How often a cluster is asked again: a slot may be about to move (ASK), and has moved then
/// (MOVED).
const RETRIES: u32 = 3;
/// Milliseconds before it is asked again, when that may help: the slot is being moved (TRYAGAIN),
/// or has no node.
const RETRY_WAIT: std::ops::Range<u64> = 10..100;

pub(crate) struct Place {
    pub(crate) servers: Servers,
    pub(crate) database: i64,
    pub(crate) tls: bool,
}

pub(crate) enum Servers {
    One(Client),
    Sentinels(Sentinels),
    /// Calls know their way; announcements reach every node, so that any one will do to listen.
    Cluster(ClusterClient, Nodes),
}

#[derive(Clone)]
pub(crate) enum Connection {
    Server(Paced),
    Cluster(ClusterConnection<Paced>),
}

impl Place {
    pub(crate) async fn connect(&self) -> RedisResult<Connection> {
        self.prepare_tls();
        match &self.servers {
            Servers::One(client) => {
                let connection = paced::connect(client.get_connection_info()).await;
                connection.map(Connection::Server)
            }
            Servers::Sentinels(sentinels) => sentinels.connect().await.map(Connection::Server),
            Servers::Cluster(client, _) => {
                let connection = client.get_async_generic_connection::<Paced>().await;
                connection.map(Connection::Cluster)
            }
        }
    }

    /// A connection to listen with. It has no time limit of its own.
    pub(crate) async fn pubsub(&self) -> RedisResult<PubSub> {
        self.prepare_tls();
        match &self.servers {
            Servers::One(client) => paced::pubsub(client.get_connection_info()).await,
            Servers::Sentinels(sentinels) => sentinels.pubsub().await,
            Servers::Cluster(_, nodes) => {
                let connect =
                    async |node: Client| turn(paced::pubsub(node.get_connection_info())).await;
                nodes.ask(connect).await
            }
        }
    }

    /// The client asks for the process's provider of cryptography, and panics when nobody has
    /// chosen one and several are linked. Who has chosen keeps it.
    fn prepare_tls(&self) {
        if self.tls && rustls::crypto::CryptoProvider::get_default().is_none() {
            // An error says that somebody else was faster.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
    }
}

impl Connection {
    pub(crate) async fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Server(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    /// Whether the connection is of no more use.
    pub(crate) fn is_lost(&self, error: &RedisError) -> bool {
        match (self, error.kind()) {
            (_, ErrorKind::ParseError | ErrorKind::ClusterConnectionNotFound) => true,
            (Self::Server(_), kind) => kind == ErrorKind::IoError,
            // It has others for the other slots, and connects to a node that is away by itself: all
            // that it does not notice is one that is silent.
            (Self::Cluster(_), _) => error.is_timeout() || error.is_connection_dropped(),
        }
    }
}

/// A cluster by some of its nodes, which know the others. Nothing is connected.
pub(crate) fn cluster(nodes: Vec<ConnectionInfo>) -> RedisResult<ClusterClient> {
    ClusterClientBuilder::new(nodes)
        .connection_timeout(CONNECT)
        .response_timeout(ANSWER)
        .retries(RETRIES)
        .min_retry_wait(RETRY_WAIT.start)
        .max_retry_wait(RETRY_WAIT.end)
        .build()
}
