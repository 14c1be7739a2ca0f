//! Servers of which any one will do: Sentinels, or the nodes of a cluster to listen at.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::{Client, RedisError, RedisResult};
use tokio::time::timeout;

/// How long one of them may take, before the next is asked.
const TURN: Duration = Duration::from_millis(300);

pub(crate) struct Nodes {
    clients: Vec<Client>,
    /// The one that answered last.
    first: AtomicUsize,
}

impl Nodes {
    pub(crate) fn new(clients: Vec<Client>) -> Self {
        Self {
            clients,
            first: AtomicUsize::new(0),
        }
    }

    #[cfg(test)]
    pub(crate) fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// Asks one after the other until one answers, beginning with the one that answered last. When
    /// none does, what a server said tells more than that another one is away.
    pub(crate) async fn ask<T, F>(&self, ask: impl Fn(Client) -> F) -> RedisResult<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let first = self.first.load(Ordering::Relaxed);
        let mut failure: Option<RedisError> = None;
        for n in 0..self.clients.len() {
            let n = (first + n) % self.clients.len();
            match ask(self.clients[n].clone()).await {
                Ok(answer) => {
                    self.first.store(n, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) if failure.as_ref().is_none_or(is_silence) => failure = Some(error),
                Err(_) => {}
            }
        }
        Err(failure.unwrap_or_else(|| io::Error::from(io::ErrorKind::NotFound).into()))
    }
}

fn is_silence(error: &RedisError) -> bool {
    error.is_timeout() || error.is_connection_refusal() || error.is_connection_dropped()
}

/// One server's turn.
pub(crate) async fn turn<T>(work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match timeout(TURN, work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}
