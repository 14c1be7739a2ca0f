//! What the processes of one folder say to each other.
//!
//! A connection begins with a [`Hello`] of each side, whatever their versions. Then one side asks
//! and the other answers, each by its number and in any order. A frame is the length of its text in
//! four bytes, big-endian, and the text, which is JSON.
//!
//! What comes from another process is checked like what comes from a disk: a frame that is too long
//! or makes no sense ends the connection.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::reports::Delivered;
use crate::state::{Batch, Said, StoredVerdict};
use crate::store::{
    AccountKey, AccountTag, Announcement, Attempt, AttemptId, AttemptLimits, BanRecord, Block,
    BlockRequest, Count, Failed, Greeting, Login, Scope, Seen, SharedVerdict,
};
use crate::verdict::Reputation;

/// Raised when a process of this version cannot work with one of the version before.
pub(super) const PROTOCOL: u32 = 1;

const LONGEST_FRAME: usize = 1 << 20;

/// The first frame of each side.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Hello {
    pub(super) protocol: u32,
    /// Of the program, for the log.
    pub(super) version: String,
    pub(super) purpose: Purpose,
    /// A random number of this guard.
    pub(super) member: u64,
    /// Its reports that are on disk.
    pub(super) rows: Vec<u64>,
    /// A day, and the checks of it that it spent while it could not be counted elsewhere.
    pub(super) uncounted: Option<(u64, u32)>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Purpose {
    /// Another guard, which shares the folder.
    #[default]
    Guard,
    /// Of a later version, such as the command line: it is refused.
    #[serde(other)]
    Other,
}

impl Hello {
    pub(super) fn new(member: u64) -> Self {
        Self {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            member,
            ..Self::default()
        }
    }
}

/// From a member to the holder.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Ping,
    Listen,
    Look {
        ip: IpAddr,
        lease: Duration,
    },
    Learn {
        ip: IpAddr,
        verdict: Verdict,
        keep: Duration,
    },
    Release {
        ip: IpAddr,
    },
    Grant {
        day: u64,
        limit: u32,
        checks: u32,
        is_spending: bool,
        granted: u32,
        birth: u64,
    },
    GiveBack {
        day: u64,
        checks: u32,
    },
    BeginAttempt(WireAttempt),
    FailAttempt(WireAttempt),
    EndAttempt {
        login: WireLogin,
        attempt: NonZeroU64,
    },
    ClearFailures {
        client: WireScope,
    },
    TellBans(Vec<WireBan>),
    Greet {
        proposed: u128,
    },
    Keep(Rows),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    Verdict(Verdict),
    Leased,
    Awaited,
    Block {
        checks: u32,
        granted: u32,
        birth: u64,
        machines: u32,
    },
    Begun,
    Refused {
        retry_after: Duration,
        under_way: bool,
    },
    Failures(u32),
    Tripped(WireScope),
    Greeting {
        account_key: u128,
        epoch: u64,
    },
    Kept(bool),
    /// Why there is no answer.
    Failed(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) number: u64,
    pub(super) ask: Ask,
}

/// From the holder to a member.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    Answer { number: u64, answer: Answer },
    Listed { ip: IpAddr, verdict: Verdict },
    Ban(WireBan),
}

/// An address, with the length of a wider network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WireScope(String);

/// A client, and the keyed hash of an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WireLogin(WireScope, Option<NonZeroU32>);

/// An attempt, its number, and `max_failures` and `find_time`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WireAttempt(WireLogin, NonZeroU64, u32, Duration);

/// A scope, how long ago it was banned, and what is left of that.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WireBan(WireScope, Duration, Duration);

impl From<Scope> for WireScope {
    fn from(scope: Scope) -> Self {
        Self(scope.to_string())
    }
}

impl WireScope {
    pub(super) fn read(&self) -> Option<Scope> {
        self.0.parse().ok()
    }
}

impl From<Login> for WireLogin {
    fn from(login: Login) -> Self {
        Self(login.client.into(), login.account.map(|tag| tag.0))
    }
}

impl WireLogin {
    pub(super) fn read(&self) -> Option<Login> {
        Some(Login {
            client: self.0.read()?,
            account: self.1.map(AccountTag),
        })
    }
}

impl WireAttempt {
    pub(super) fn new(login: Login, attempt: AttemptId, limits: AttemptLimits) -> Self {
        Self(
            login.into(),
            attempt.0,
            limits.max_failures,
            limits.find_time,
        )
    }

    pub(super) fn read(&self) -> Option<(Login, AttemptId, AttemptLimits)> {
        let limits = AttemptLimits {
            max_failures: self.2,
            find_time: self.3,
        };
        Some((self.0.read()?, AttemptId(self.1), limits))
    }
}

impl From<BanRecord> for WireBan {
    fn from(ban: BanRecord) -> Self {
        Self(ban.scope.into(), ban.age, ban.left)
    }
}

impl WireBan {
    pub(super) fn read(&self) -> Option<BanRecord> {
        Some(BanRecord {
            scope: self.0.read()?,
            age: self.1,
            left: self.2,
        })
    }
}

/// Listed, confidence, threat type, and when it was verified, in seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Verdict(bool, u8, Option<String>, u64);

/// What a member wants to be kept on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Rows {
    verdicts: Vec<(IpAddr, Verdict)>,
    pub(super) reports: Vec<(u64, Option<String>)>,
    delivered: Vec<(IpAddr, String, u64)>,
    /// Of failed logins and bans, by their keys.
    logins: Vec<(Vec<u8>, Option<Said>)>,
}

impl From<SharedVerdict> for Verdict {
    fn from(verdict: SharedVerdict) -> Self {
        let Reputation {
            listed,
            confidence,
            threat_type,
        } = verdict.reputation;
        let threat_type = threat_type.map(|threat_type| threat_type.as_str().to_owned());
        Self(listed, confidence, threat_type, seconds(verdict.verified))
    }
}

impl Verdict {
    pub(super) fn read(&self) -> Option<SharedVerdict> {
        let Self(listed, confidence, threat_type, verified) = self;
        let threat_type = match threat_type {
            Some(word) => Some(word.parse().ok()?),
            None => None,
        };
        Some(SharedVerdict {
            reputation: Reputation {
                listed: *listed,
                confidence: Some(*confidence).filter(|confidence| *confidence <= 100)?,
                threat_type,
            },
            verified: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(*verified))?,
        })
    }
}

impl From<Seen> for Answer {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::Verdict(verdict) => Self::Verdict(verdict.into()),
            Seen::Leased => Self::Leased,
            Seen::Awaited => Self::Awaited,
        }
    }
}

impl From<Block> for Answer {
    fn from(block: Block) -> Self {
        Self::Block {
            checks: block.checks,
            granted: block.count.granted,
            birth: block.count.birth,
            machines: block.machines,
        }
    }
}

impl From<Attempt> for Answer {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Attempt::Begun => Self::Begun,
            Attempt::Refused {
                retry_after,
                under_way,
            } => Self::Refused {
                retry_after,
                under_way,
            },
        }
    }
}

impl From<Failed> for Answer {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Counted { failures } => Self::Failures(failures),
            Failed::Tripped { scope } => Self::Tripped(scope.into()),
        }
    }
}

impl From<Greeting> for Answer {
    fn from(greeting: Greeting) -> Self {
        Self::Greeting {
            account_key: greeting.account_key.0,
            epoch: greeting.epoch,
        }
    }
}

impl Answer {
    pub(super) fn failed(&self) -> Option<Failed> {
        match self {
            Self::Failures(failures) => Some(Failed::Counted {
                failures: *failures,
            }),
            Self::Tripped(scope) => scope.read().map(|scope| Failed::Tripped { scope }),
            _ => None,
        }
    }

    pub(super) const fn greeting(&self) -> Option<Greeting> {
        match *self {
            Self::Greeting { account_key, epoch } => Some(Greeting {
                account_key: AccountKey(account_key),
                epoch,
            }),
            _ => None,
        }
    }

    pub(super) fn seen(&self) -> Option<Seen> {
        Some(match self {
            Self::Verdict(verdict) => Seen::Verdict(verdict.read()?),
            Self::Leased => Seen::Leased,
            Self::Awaited => Seen::Awaited,
            _ => return None,
        })
    }

    pub(super) const fn block(&self) -> Option<Block> {
        match *self {
            Self::Block {
                checks,
                granted,
                birth,
                machines,
            } => Some(Block {
                checks,
                count: Count { granted, birth },
                machines,
            }),
            _ => None,
        }
    }

    pub(super) const fn attempt(&self) -> Option<Attempt> {
        match *self {
            Self::Begun => Some(Attempt::Begun),
            Self::Refused {
                retry_after,
                under_way,
            } => Some(Attempt::Refused {
                retry_after,
                under_way,
            }),
            _ => None,
        }
    }
}

impl From<Announcement> for Told {
    fn from(announcement: Announcement) -> Self {
        match announcement {
            Announcement::Listed { ip, verdict } => Self::Listed {
                ip,
                verdict: verdict.into(),
            },
            Announcement::Ban(ban) => Self::Ban(ban.into()),
        }
    }
}

impl From<BlockRequest> for Ask {
    fn from(request: BlockRequest) -> Self {
        Self::Grant {
            day: request.day,
            limit: request.limit,
            checks: request.checks,
            is_spending: request.is_spending,
            granted: request.known.granted,
            birth: request.known.birth,
        }
    }
}

impl From<&Batch> for Rows {
    fn from(batch: &Batch) -> Self {
        let verdict = |stored: &StoredVerdict| {
            let verdict = SharedVerdict {
                reputation: stored.reputation,
                verified: stored.verified,
            };
            (stored.ip, verdict.into())
        };
        let report = |(row, bytes): &(u64, Option<Vec<u8>>)| {
            let text = bytes.as_deref().map(String::from_utf8_lossy);
            (*row, text.map(String::from))
        };
        let delivered = |delivered: &Delivered| {
            let threat_type = delivered.threat_type.as_str().to_owned();
            (delivered.ip, threat_type, delivered.queued_at)
        };
        Self {
            verdicts: batch.verdicts.iter().map(verdict).collect(),
            reports: batch.reports.iter().map(report).collect(),
            delivered: batch.delivered.iter().map(delivered).collect(),
            logins: batch.rows.clone(),
        }
    }
}

impl Rows {
    pub(super) fn batch(&self) -> Batch {
        let verdict = |(ip, verdict): &(IpAddr, Verdict)| {
            let SharedVerdict {
                reputation,
                verified,
            } = verdict.read()?;
            Some(StoredVerdict {
                ip: *ip,
                reputation,
                verified,
            })
        };
        let report =
            |(row, report): &(u64, Option<String>)| (*row, report.clone().map(String::into_bytes));
        let delivered = |(ip, word, queued_at): &(IpAddr, String, u64)| {
            Some(Delivered {
                ip: *ip,
                threat_type: word.parse().ok()?,
                queued_at: *queued_at,
            })
        };
        Batch {
            verdicts: self.verdicts.iter().filter_map(verdict).collect(),
            reports: self.reports.iter().map(report).collect(),
            delivered: self.delivered.iter().filter_map(delivered).collect(),
            rows: self.logins.clone(),
            ..Batch::default()
        }
    }

    /// In parts that each fit into a frame.
    pub(super) fn parts(mut self) -> Vec<Self> {
        const VERDICTS: usize = 2_000;
        // A report takes some KiB at most.
        const REPORTS: usize = 50;
        const DELIVERED: usize = 2_000;
        const LOGINS: usize = 500;
        let mut parts = Vec::new();
        while !(self.verdicts.is_empty()
            && self.reports.is_empty()
            && self.delivered.is_empty()
            && self.logins.is_empty())
        {
            parts.push(Self {
                verdicts: last(&mut self.verdicts, VERDICTS),
                reports: last(&mut self.reports, REPORTS),
                delivered: last(&mut self.delivered, DELIVERED),
                logins: last(&mut self.logins, LOGINS),
            });
        }
        parts
    }
}

/// Takes at most so many off the end.
fn last<T>(of: &mut Vec<T>, most: usize) -> Vec<T> {
    of.split_off(of.len().saturating_sub(most))
}

/// The bytes of one frame.
pub(super) fn frame(content: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, content)?;
    let length = bytes.len() - 4;
    if length > LONGEST_FRAME {
        return Err(ErrorKind::InvalidInput.into());
    }
    let length = u32::try_from(length).map_err(|_| ErrorKind::InvalidInput)?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes)
}

/// Reads the next frame.
pub(super) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<T> {
    let length = usize::try_from(from.read_u32().await?).unwrap_or(usize::MAX);
    if length > LONGEST_FRAME {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).await?;
    Ok(serde_json::from_slice(&text)?)
}

/// Seconds since 1970; what was before is 1970.
fn seconds(moment: SystemTime) -> u64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
