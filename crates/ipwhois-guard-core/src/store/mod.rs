//! What several machines know together.
//!
//! A guard works from its own memory. With a shared store (`GuardBuilder::shared`) it asks it where
//! its memory knows nothing, counts failed logins there, and hears from it what the other machines
//! have learnt. The day's budget is leased in blocks, ahead of need, so that no check waits for the
//! store. The store is never a reason for a slow or a failed request: each call has a deadline
//! ([`DEADLINE`] on the way of a request), and a breaker keeps calls from a store that is away.
//!
//! An implementation need not be durable. What it forgets is learnt anew; what it says wrong must
//! not be taken for a verdict, so anything that it cannot read is [`SharedError::Unreadable`] or
//! nothing, never a guess.
//!
//! Whoever writes an implementation runs `suite::run` over it in its tests (feature
//! `store-suite`): it panics with the sentence that is not kept. `InMemory`, behind the same
//! feature, is a place inside one process, for tests, and `Troubled` a store that fails as it is
//! told to.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::verdict::Reputation;

pub(crate) mod cluster;
#[cfg_attr(
    not(any(test, feature = "store-suite")),
    expect(unreachable_pub, reason = "public with the feature")
)]
mod in_memory;
mod lease;
pub(crate) mod local;
#[cfg(any(test, feature = "store-suite"))]
pub mod suite;
#[cfg(any(test, feature = "store-suite"))]
mod troubled;

pub use crate::logins::{AccountKey, AccountTag, Login, Scope};
#[cfg(any(test, feature = "store-suite"))]
pub use in_memory::InMemory;
#[cfg(not(any(test, feature = "store-suite")))]
use in_memory::InMemory;
pub(crate) use lease::DayLease;
#[cfg(any(test, feature = "store-suite"))]
pub use troubled::{Trouble, Troubled};

/// How long a call may take on the way of a request.
pub const DEADLINE: Duration = Duration::from_millis(50);

/// How long a lift is remembered.
pub const LIFTS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long after its last failure a client's attempts are refused in any case: long enough for a
/// ban to be announced.
pub const SETTLING: Duration = Duration::from_secs(2);

/// How long a machine that spends checks counts as one of those that share the day.
pub const LATELY: Duration = Duration::from_secs(60 * 60);

/// A call's answer, on its way. Dropped when its deadline passes.
pub type SharedFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SharedError>> + Send + 'a>>;

/// A place that several guards share. All methods are called on the guard's own thread and must not
/// block it.
///
/// A call whose future is dropped is not taken back: it may still have its effect.
///
/// Times of verification are wall clock: machines agree on it to some seconds.
pub trait SharedStore: fmt::Debug + Send + Sync + 'static {
    /// What another machine has learnt of an address, and whether this one may ask the service
    /// about it. Both in one trip: a `lease` for an address whose verdict is unknown is taken at
    /// once, for so long.
    fn look(&self, ip: IpAddr, lease: Duration) -> SharedFuture<'_, Seen>;

    /// Tells the others, for as long as the verdict may be used (`keep`), and ends the lease. A
    /// listed one is announced.
    fn learn(&self, ip: IpAddr, verdict: SharedVerdict, keep: Duration) -> SharedFuture<'_, ()>;

    /// Ends this machine's lease without a verdict, so that another may try. A lease that has
    /// passed to another machine stays.
    fn release(&self, ip: IpAddr) -> SharedFuture<'_, ()>;

    /// Grants a block of the day's checks: as many as are asked for, or as many as the day still
    /// has. What is granted counts as spent, atomically, before the answer comes. A request for no
    /// checks asks for the count alone.
    fn grant(&self, request: BlockRequest) -> SharedFuture<'_, Block>;

    /// Gives back checks of a block that will not be spent. A count never falls below zero.
    fn give_back(&self, day: u64, checks: u32) -> SharedFuture<'_, ()>;

    /// Begins an attempt to log in: it takes one of the places, beside the failures within
    /// `limits.find_time` and the attempts under way on all machines. It takes one of the client's,
    /// and one of each wider network's ([`Scope::with_wider`], [`AttemptLimits::places`]), or none.
    /// An attempt that is not ended gives its place back after [`AttemptLimits::attempt_life`].
    ///
    /// The caller chooses the number, so that it can end an attempt whose begin it gave up. One
    /// that was ended before it begins is refused: calls may overtake each other.
    fn begin_attempt(
        &self,
        login: Login,
        attempt: AttemptId,
        limits: AttemptLimits,
    ) -> SharedFuture<'_, Attempt>;

    /// Ends an attempt that failed, and counts it in the client's window and those of its wider
    /// networks. An attempt that the store does not know (any more) counts as well. The caller
    /// that learns that one has its last failure bans it: no other one learns it, the failures of
    /// this scope are forgotten with it, and for [`SETTLING`] all its further attempts are refused,
    /// so that nobody gets in before the ban has reached all machines. Of several it is told of the
    /// widest.
    fn fail_attempt(
        &self,
        login: Login,
        attempt: AttemptId,
        limits: AttemptLimits,
    ) -> SharedFuture<'_, Failed>;

    /// Ends an attempt that succeeded: gives its places back, and forgives the client's failures
    /// for `login.account`, if there is one. Without an account this takes an attempt back.
    fn end_attempt(&self, login: Login, attempt: AttemptId) -> SharedFuture<'_, ()>;

    /// Forgets all failures of a client.
    fn clear_failures(&self, client: Scope) -> SharedFuture<'_, ()>;

    /// Bans and lifts, and what a machine knew of them before. Of one scope the latest counts; a
    /// ban in force is not made shorter by another ban. What is new is announced. Lifts are
    /// remembered for [`LIFTS_KEPT`], so that no machine that missed one brings its ban back.
    fn tell_bans<'a>(&'a self, bans: &'a [BanRecord]) -> SharedFuture<'a, ()>;

    /// The key that all machines hash accounts with: `proposed`, unless there is one. It comes with
    /// a number that changes when the store has forgotten what it was told.
    fn greet(&self, proposed: AccountKey) -> SharedFuture<'_, Greeting>;

    /// The same store for a forked child, where this one's connections belong to the parent.
    /// `None`, the default: the child does without.
    fn in_child(&self) -> Option<Arc<dyn SharedStore>> {
        None
    }

    /// Calls `hear` with what is announced, from this machine too, until the connection is lost.
    /// Before the first announcement it calls it with the bans in force and the lifts, so that a
    /// machine that was away or has just started knows them. What is announced of one address comes
    /// in its order.
    fn listen<'a>(&'a self, hear: &'a (dyn Fn(Announcement) + Send + Sync))
    -> SharedFuture<'a, ()>;
}

/// What the store knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A verdict.
    Verdict(SharedVerdict),
    /// Nothing, and this machine asks the service: it has the lease.
    Leased,
    /// Nothing yet, and another machine asks.
    Awaited,
}

/// A verdict with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedVerdict {
    /// What the service said.
    pub reputation: Reputation,
    /// When, in whole seconds.
    pub verified: SystemTime,
}

/// A request for a block of the day's checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRequest {
    /// The UTC day, in days since 1970.
    pub day: u64,
    /// Checks that the day has.
    pub limit: u32,
    /// Checks that are wanted.
    pub checks: u32,
    /// Whether this machine has spent a check lately, so that it is one of those that share the
    /// day.
    pub is_spending: bool,
    /// The count as the store told it to this machine last. A store of another [`Count::birth`] has
    /// forgotten the day: it goes on from the higher of the two.
    pub known: Count,
}

/// How many checks of a day are granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Checks that are granted to all machines.
    pub granted: u32,
    /// A random number that the store chose when it began to count this day. 0: none.
    pub birth: u64,
}

/// What a request for a block brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Checks that this machine may spend.
    pub checks: u32,
    /// The count, with this block.
    pub count: Count,
    /// Machines whose last request within [`LATELY`] said that they spend. At least 1.
    pub machines: u32,
}

/// The limits of attempts, as in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptLimits {
    /// Number of failures that trip.
    pub max_failures: u32,
    /// How long a failure counts.
    pub find_time: Duration,
}

/// An attempt under way. No two have the same number, whichever machine they are begun on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptId(pub NonZeroU64);

impl AttemptId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let number = RandomState::new().hash_one(());
        Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }
}

/// What came of beginning an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It may go on.
    Begun,
    /// All places are taken.
    Refused {
        /// When one is free whatever happens.
        retry_after: Duration,
        /// Whether attempts have taken some, so that one may be free any moment.
        under_way: bool,
    },
}

/// What came of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The client has this many.
    Counted {
        /// Failures in the window, this one included.
        failures: u32,
    },
    /// It was the last one of this client or network.
    Tripped {
        /// What is to be banned.
        scope: Scope,
    },
}

/// A ban, or a lift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanRecord {
    /// Whom it covers.
    pub scope: Scope,
    /// How long ago it was said.
    pub age: Duration,
    /// What is left of the ban. Zero: it was lifted.
    pub left: Duration,
}

/// How a store greets a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// What accounts are hashed with.
    pub account_key: AccountKey,
    /// Another number: the store has forgotten what it was told.
    pub epoch: u64,
}

/// What another machine has learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// An address is listed.
    Listed {
        /// The address.
        ip: IpAddr,
        /// The verdict.
        verdict: SharedVerdict,
    },
    /// A client or a network is banned, or its ban is lifted.
    Ban(BanRecord),
}

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SharedError {
    /// It cannot be reached, or the connection broke.
    #[error("the shared store cannot be reached")]
    Away {
        /// The client's word.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It refuses: out of memory, read-only, not allowed.
    #[error("the shared store refuses: {reason}")]
    Refused {
        /// Its word.
        reason: String,
    },
    /// What it holds is not what this version writes.
    #[error("the shared store holds something else: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
}
