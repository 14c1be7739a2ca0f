//! The primary that Sentinels name, by Redis' "Guidelines for Redis clients with support for Redis
//! Sentinel": each of them is asked in its turn and not for long, and what it names must call
//! itself the primary.
//!
//! The client has a Sentinel of its own, which asks without a time limit: one that is silent would
//! keep the others from being asked.

use std::io;

use redis::aio::PubSub;
use redis::{
    Client, ConnectionAddr, ConnectionInfo, RedisConnectionInfo, RedisError, RedisResult, Role,
};

use crate::nodes::{Nodes, turn};
use crate::paced::{self, Paced};
use crate::trouble::{is_refusal, sentence};

pub(crate) struct Sentinels {
    pub(crate) nodes: Nodes,
    /// What they call the primary and its replicas.
    pub(crate) service: String,
    /// For the primary.
    pub(crate) tls: bool,
    pub(crate) login: RedisConnectionInfo,
}

impl Sentinels {
    /// Connects to the primary.
    pub(crate) async fn connect(&self) -> RedisResult<Paced> {
        let connect = async |sentinel| {
            let (primary, name) = self.primary(&sentinel).await?;
            let mut connection = paced::connect(&primary).await?;
            match redis::cmd("ROLE").query_async(&mut connection).await? {
                Role::Primary { .. } => Ok(connection),
                _ => Err(other(format!(
                    "{name}, which Sentinel names, is no primary"
                ))),
            }
        };
        self.nodes.ask(connect).await
    }

    /// Listens there. A replica would do as well: announcements are replicated.
    pub(crate) async fn pubsub(&self) -> RedisResult<PubSub> {
        let connect = async |sentinel| {
            let (primary, _) = self.primary(&sentinel).await?;
            paced::pubsub(&primary).await
        };
        self.nodes.ask(connect).await
    }

    async fn primary(&self, sentinel: &Client) -> RedisResult<(ConnectionInfo, String)> {
        let asking = async {
            let mut connection = paced::connect(sentinel.get_connection_info()).await?;
            redis::cmd("SENTINEL")
                .arg("get-master-addr-by-name")
                .arg(&self.service)
                .query_async(&mut connection)
                .await
        };
        let address: Option<(String, u16)> = match turn(asking).await {
            Err(error) if is_refusal(&error) => {
                return Err(other(format!("a Sentinel refuses: {}", sentence(&error))));
            }
            answer => answer?,
        };
        let Some((host, port)) = address else {
            let reason = format!("Sentinel knows no service `{}`", self.service);
            return Err(other(reason));
        };
        let name = format!("{host}:{port}");
        let addr = if self.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let redis = self.login.clone();
        Ok((ConnectionInfo { addr, redis }, name))
    }
}

fn other(reason: String) -> RedisError {
    io::Error::other(reason).into()
}
