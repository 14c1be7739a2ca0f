#![doc = include_str!("../README.md")]

mod connection;
mod extract;
mod rejection;
mod state;
mod status;

pub use connection::{ConnectedPeer, ConnectionContext};
pub use extract::{AllowedIp, IpVerdict};
pub use ipwhois_guard_tower::*;
pub use rejection::GuardRejection;
pub use state::GuardState;
pub use status::status_page;

/// The layer for axum's routers: it reads the peer from axum's connect info.
///
/// It shadows the one of `ipwhois-guard-tower`, which is for servers that say who is connected by
/// [`PeerAddr`].
pub type IpGuardLayer<R = PlainDenial> = GuardLayer<ConnectionContext, R>;
