//! The right to ask the service on behalf of all machines.

use std::net::IpAddr;
use std::sync::Arc;

use super::Cluster;

/// Dropped before it has [`ended`](Self::ended), it is given back, so that another machine may try
/// at once.
#[derive(Debug)]
pub(crate) struct Lease {
    cluster: Option<Arc<Cluster>>,
    ip: IpAddr,
}

impl Lease {
    pub(crate) fn new(cluster: Arc<Cluster>, ip: IpAddr) -> Self {
        Self {
            cluster: Some(cluster),
            ip,
        }
    }

    /// The others are told the verdict, which ends it.
    pub(crate) fn ended(mut self) {
        self.cluster = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            cluster.release(self.ip);
        }
    }
}
