//! Where there are no Unix sockets, no process joins another.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Local;
use super::wire::Hello;
use crate::reports::BoxFuture;
use crate::state::{Batch, Holder};
use crate::store::{
    AccountKey, Announcement, Attempt, AttemptId, AttemptLimits, BanRecord, Block, BlockRequest,
    Failed, Greeting, Login, Scope, Seen, SharedFuture, SharedStore, SharedVerdict,
};

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(dead_code, reason = "nothing answers here")]
pub(super) enum Unlinked {
    Away,
    Silent,
    Foreign(u32),
}

/// There is none.
#[derive(Debug)]
pub(super) enum Link {}

impl Link {
    pub(super) async fn connect(_: &Path, _: &Hello) -> Result<Arc<Self>, Unlinked> {
        Err(Unlinked::Away)
    }

    pub(super) async fn ended(&self) -> Unlinked {
        match *self {}
    }
}

impl Holder for Link {
    fn keep<'a>(&'a self, _: &'a Batch) -> BoxFuture<'a, bool> {
        match *self {}
    }
}

/// There is none.
pub(super) enum Listener {}

pub(super) fn listen(_: &Path) -> io::Result<Listener> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) async fn serve(_: Arc<Local>, listener: Listener) {
    match listener {}
}

impl SharedStore for Link {
    fn look(&self, _: IpAddr, _: Duration) -> SharedFuture<'_, Seen> {
        match *self {}
    }

    fn learn(&self, _: IpAddr, _: SharedVerdict, _: Duration) -> SharedFuture<'_, ()> {
        match *self {}
    }

    fn release(&self, _: IpAddr) -> SharedFuture<'_, ()> {
        match *self {}
    }

    fn grant(&self, _: BlockRequest) -> SharedFuture<'_, Block> {
        match *self {}
    }

    fn give_back(&self, _: u64, _: u32) -> SharedFuture<'_, ()> {
        match *self {}
    }

    fn begin_attempt(&self, _: Login, _: AttemptId, _: AttemptLimits) -> SharedFuture<'_, Attempt> {
        match *self {}
    }

    fn fail_attempt(&self, _: Login, _: AttemptId, _: AttemptLimits) -> SharedFuture<'_, Failed> {
        match *self {}
    }

    fn end_attempt(&self, _: Login, _: AttemptId) -> SharedFuture<'_, ()> {
        match *self {}
    }

    fn clear_failures(&self, _: Scope) -> SharedFuture<'_, ()> {
        match *self {}
    }

    fn tell_bans<'a>(&'a self, _: &'a [BanRecord]) -> SharedFuture<'a, ()> {
        match *self {}
    }

    fn greet(&self, _: AccountKey) -> SharedFuture<'_, Greeting> {
        match *self {}
    }

    fn listen<'a>(&'a self, _: &'a (dyn Fn(Announcement) + Send + Sync)) -> SharedFuture<'a, ()> {
        match *self {}
    }
}
