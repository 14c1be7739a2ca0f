//! The right to ask the service on behalf of all machines.

use std::net::IpAddr;
use std::sync::Arc;

use super::Tier;

/// Dropped before it has [`ended`](Self::ended), it is given back, so that another machine may try
/// at once.
#[derive(Debug)]
pub(crate) struct Lease {
    tier: Option<Arc<Tier>>,
    ip: IpAddr,
}

impl Lease {
    pub(crate) fn new(tier: Arc<Tier>, ip: IpAddr) -> Self {
        Self {
            tier: Some(tier),
            ip,
        }
    }

    /// The others are told the verdict, which ends it.
    pub(crate) fn ended(mut self) {
        self.tier = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(tier) = self.tier.take() {
            tier.release(self.ip);
        }
    }
}
