#![doc = include_str!("../README.md")]

mod extract;
mod guard;
mod head;
mod in_flight;
mod rejection;

pub use extract::{AllowedIp, IpVerdict, allowed_ip, ip_verdict};
pub use guard::IpGuard;
pub use ipwhois_guard_tower::{
    AllowedClient, BuildError, Decision, Denial, DenialKind, Guard, GuardBuilder, Guarded,
    IpGuardLayer, Mode, OnUnverified, Peer, PeerAddr, Reputation, Rule, Settings, Source,
    ThreatType, Unverified, Verdict,
};
pub use rejection::{GuardRejection, recover};
