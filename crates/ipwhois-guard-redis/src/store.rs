//! The store: each method one script, each script one trip.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipwhois_guard_core::store::{
    AccountKey, Announcement, Attempt, AttemptId, AttemptLimits, BanRecord, Block, BlockRequest,
    Count, Failed, Greeting, LATELY, LIFTS_KEPT, Login, SETTLING, Scope, Seen, SharedError,
    SharedFuture, SharedStore, SharedVerdict,
};
use ipwhois_guard_core::{BuildError, SecretUrl};
use redis::Value;

use crate::address;
use crate::keys::Keys;
use crate::link::Link;
use crate::listen::listen;
use crate::scripts::{Call, Name};
use crate::trouble::{unexpected, unreadable};
use crate::value::{
    LONGEST, millis, read_verdict, whole_millis, write_announcement, write_verdict,
};

const PREFIX: &str = "ipwhois-guard:";
const LONGEST_PREFIX: usize = 64;
/// A day's count outlives its day, whatever a machine's clock says.
const DAY_KEPT: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// How long a begin may be overtaken by the end of its attempt.
const ENDED_KEPT: Duration = Duration::from_secs(30);
/// With more, those that end first make room.
const MOST_BANS: u32 = 100_000;

/// What several machines know together, in Redis.
///
/// Nothing is connected before the first call, and nothing fails for Redis being away but the
/// calls: they answer [`SharedError::Away`] until it is back.
pub struct RedisStore {
    link: Arc<Link>,
    keys: Keys,
    builder: RedisStoreBuilder,
    /// This machine's leases.
    lease: String,
    /// The one that this machine proposes.
    epoch: u64,
}

/// Makes a [`RedisStore`] with settings beside the URL.
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisStoreBuilder {
    url: SecretUrl,
    prefix: String,
}

impl RedisStore {
    /// A store at a URL: `redis://host:6379/0`, `rediss://user:password@host/0` by TLS,
    /// `redis+unix:///run/redis.sock?db=0&user=…&pass=…`,
    /// `redis+sentinel://host:26379,host:26379/service/0`, or
    /// `redis+cluster://host:6379,host:6379`. It connects at the first call.
    ///
    /// # Errors
    ///
    /// The URL cannot be used. The error names the setting `redis_url`, says what is wrong, and
    /// shows nothing of the URL.
    pub fn connect(url: impl Into<String>) -> Result<Self, BuildError> {
        Self::builder(url).connect()
    }

    /// The same with other settings.
    pub fn builder(url: impl Into<String>) -> RedisStoreBuilder {
        RedisStoreBuilder {
            url: SecretUrl::new(url),
            prefix: PREFIX.to_owned(),
        }
    }
}

impl RedisStoreBuilder {
    /// What all keys and the channel begin with, for several applications on one Redis that are not
    /// to know of each other. At most 64 characters of printable ASCII, without braces, which Redis
    /// Cluster reads. Default: `ipwhois-guard:`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Makes the store. It connects at the first call.
    ///
    /// # Errors
    ///
    /// The URL or the prefix cannot be used.
    pub fn connect(self) -> Result<RedisStore, BuildError> {
        let place = address::place(self.url.expose())?;
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}');
        if self.prefix.len() > LONGEST_PREFIX || !self.prefix.bytes().all(is_plain) {
            let reason = format!(
                "is not at most {LONGEST_PREFIX} printable ASCII characters without braces"
            );
            return Err(BuildError::setting("redis_prefix", self.prefix, reason));
        }
        let numbers = RandomState::new();
        Ok(RedisStore {
            keys: Keys::new(&self.prefix, place.database),
            link: Arc::new(Link::new(place)),
            builder: self,
            lease: format!("1 {:016x}", numbers.hash_one("lease")),
            epoch: numbers.hash_one("epoch"),
        })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Calls a script whose answer says nothing.
    async fn tell(&self, call: Call) -> Result<(), SharedError> {
        match self.link.call(call).await? {
            Value::Int(1) => Ok(()),
            answer => Err(unexpected(&answer)),
        }
    }

    /// A script over the scopes of a client. The mark of an ended attempt comes first.
    fn attempts(&self, name: Name, login: Login, attempt: AttemptId) -> Call {
        let mut keys = vec![self.keys.ended(login.client, attempt)];
        keys.extend(self.keys.attempts(login.client));
        Call::new(name, keys)
    }

    fn limited(&self, name: Name, login: Login, attempt: AttemptId, limits: AttemptLimits) -> Call {
        let mut call = self
            .attempts(name, login, attempt)
            .arg(millis(limits.find_time))
            .arg(millis(limits.attempt_life()))
            .arg(millis(SETTLING))
            .arg(attempt.0);
        for scope in login.client.with_wider() {
            call = call.arg(limits.places(scope));
        }
        call
    }
}

/// How the failures for an account end.
fn ending(login: Login) -> String {
    login
        .account
        .map_or_else(String::new, |tag| format!(" {}", tag.0))
}

impl SharedStore for RedisStore {
    fn look(&self, ip: IpAddr, lease: Duration) -> SharedFuture<'_, Seen> {
        let keys = [self.keys.verdict(ip), self.keys.lease(ip)];
        let call = Call::new(Name::Look, keys)
            .arg(&self.lease)
            .arg(millis(lease));
        Box::pin(async move {
            match self.link.call(call).await? {
                Value::Int(1) => Ok(Seen::Leased),
                Value::Int(0) => Ok(Seen::Awaited),
                Value::BulkString(text) => std::str::from_utf8(&text)
                    .ok()
                    .and_then(read_verdict)
                    .map(Seen::Verdict)
                    .ok_or_else(|| unreadable("a verdict")),
                answer => Err(unexpected(&answer)),
            }
        })
    }

    fn learn(&self, ip: IpAddr, verdict: SharedVerdict, keep: Duration) -> SharedFuture<'_, ()> {
        let announcement = if verdict.reputation.listed {
            write_announcement(&Announcement::Listed { ip, verdict })
        } else {
            String::new()
        };
        let keys = [self.keys.verdict(ip), self.keys.lease(ip)];
        let call = Call::new(Name::Learn, keys)
            .arg(write_verdict(&verdict))
            .arg(millis(keep))
            .arg(self.keys.channel())
            .arg(announcement);
        Box::pin(self.tell(call))
    }

    fn release(&self, ip: IpAddr) -> SharedFuture<'_, ()> {
        let call = Call::new(Name::Release, [self.keys.lease(ip)]).arg(&self.lease);
        Box::pin(self.tell(call))
    }

    fn grant(&self, request: BlockRequest) -> SharedFuture<'_, Block> {
        let keys = [self.keys.granted(request.day), self.keys.machines()];
        // Never 0.
        let birth = AttemptId::random().0;
        let call = Call::new(Name::Grant, keys)
            .arg(request.limit)
            .arg(request.checks)
            .arg(request.known.granted)
            .arg(format!("{:x}", request.known.birth))
            .arg(format!("{birth:x}"))
            .arg(&self.lease)
            .arg(millis(DAY_KEPT))
            .arg(millis(LATELY))
            .arg(u8::from(request.is_spending));
        Box::pin(async move {
            let answer = self.link.call(call).await?;
            let read: Result<(u32, u32, String, u32), _> = redis::from_redis_value(&answer);
            let Ok((checks, granted, birth, machines)) = read else {
                return Err(unexpected(&answer));
            };
            let birth = u64::from_str_radix(&birth, 16).map_err(|_| unreadable("a birth"))?;
            Ok(Block {
                checks,
                count: Count { granted, birth },
                machines: machines.max(1),
            })
        })
    }

    fn give_back(&self, day: u64, checks: u32) -> SharedFuture<'_, ()> {
        let call = Call::new(Name::GiveBack, [self.keys.granted(day)])
            .arg(checks)
            .arg(millis(DAY_KEPT));
        Box::pin(self.tell(call))
    }

    fn begin_attempt(
        &self,
        login: Login,
        attempt: AttemptId,
        limits: AttemptLimits,
    ) -> SharedFuture<'_, Attempt> {
        let call = self.limited(Name::BeginAttempt, login, attempt, limits);
        Box::pin(async move {
            let answer = self.link.call(call).await?;
            match redis::from_redis_value(&answer) {
                Ok((1, _, _)) => Ok(Attempt::Begun),
                Ok((0, free, under_way)) => Ok(Attempt::Refused {
                    retry_after: Duration::from_millis(free),
                    under_way,
                }),
                _ => Err(unexpected(&answer)),
            }
        })
    }

    fn fail_attempt(
        &self,
        login: Login,
        attempt: AttemptId,
        limits: AttemptLimits,
    ) -> SharedFuture<'_, Failed> {
        let call = self
            .limited(Name::FailAttempt, login, attempt, limits)
            .arg(format!("{}{}", attempt.0, ending(login)));
        Box::pin(async move {
            let answer = self.link.call(call).await?;
            let (tripped, failures): (usize, u32) =
                redis::from_redis_value(&answer).map_err(|_| unexpected(&answer))?;
            let mut scopes = login.client.with_wider();
            Ok(match tripped.checked_sub(1).and_then(|at| scopes.nth(at)) {
                Some(scope) => Failed::Tripped { scope },
                None => Failed::Counted { failures },
            })
        })
    }

    fn end_attempt(&self, login: Login, attempt: AttemptId) -> SharedFuture<'_, ()> {
        let call = self
            .attempts(Name::EndAttempt, login, attempt)
            .arg(millis(ENDED_KEPT))
            .arg(attempt.0)
            .arg(ending(login));
        Box::pin(self.tell(call))
    }

    fn clear_failures(&self, client: Scope) -> SharedFuture<'_, ()> {
        let call = Call::new(Name::ClearFailures, self.keys.attempts(client));
        Box::pin(self.tell(call))
    }

    fn tell_bans<'a>(&'a self, bans: &'a [BanRecord]) -> SharedFuture<'a, ()> {
        let mut call = Call::new(Name::TellBans, self.keys.bans())
            .arg(millis(LONGEST))
            .arg(millis(LIFTS_KEPT))
            .arg(MOST_BANS)
            .arg(self.keys.channel());
        for ban in bans {
            call = call
                .arg(ban.scope)
                .arg(whole_millis(ban.age))
                .arg(whole_millis(ban.left));
        }
        Box::pin(self.tell(call))
    }

    fn greet(&self, proposed: AccountKey) -> SharedFuture<'_, Greeting> {
        let call = Call::new(Name::Greet, self.keys.greeting())
            .arg(proposed.0)
            .arg(self.epoch);
        Box::pin(async move {
            let answer = self.link.call(call).await?;
            let texts: (String, String) =
                redis::from_redis_value(&answer).map_err(|_| unexpected(&answer))?;
            let (Ok(key), Ok(epoch)) = (texts.0.parse(), texts.1.parse()) else {
                return Err(unreadable("the key of accounts"));
            };
            Ok(Greeting {
                account_key: AccountKey(key),
                epoch,
            })
        })
    }

    /// With a connection of its own: two processes on one would read each other's answers.
    fn in_child(&self) -> Option<Arc<dyn SharedStore>> {
        let store = self.builder.clone().connect().ok()?;
        Some(Arc::new(store))
    }

    fn listen<'a>(
        &'a self,
        hear: &'a (dyn Fn(Announcement) + Send + Sync),
    ) -> SharedFuture<'a, ()> {
        Box::pin(listen(&self.link, &self.keys, hear))
    }
}
