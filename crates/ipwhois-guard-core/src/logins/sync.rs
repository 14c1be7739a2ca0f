//! What the tracker synchronises with. Its model tests compile it a second time with loom's.

pub(super) use std::sync::Mutex;
pub(super) use std::sync::atomic::AtomicU32;
pub(super) use tokio::sync::Notify;
pub(super) use tokio::sync::futures::Notified;
