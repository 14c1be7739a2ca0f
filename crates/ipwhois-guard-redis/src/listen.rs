//! Announcements: a connection of their own, because one that listens can do nothing else.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use ipwhois_guard_core::store::{Announcement, SharedError};
use redis::aio::PubSubSink;
use redis::{Msg, RedisResult, Value};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::connection::CONNECT;
use crate::keys::Keys;
use crate::link::Link;
use crate::scripts::{Call, Name};
use crate::trouble::{shared, unexpected};
use crate::value::{read_announcement, read_ban, read_length};

/// A connection without news is asked whether it is still there.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(2);
/// How many bans are read in one trip, about.
const PAGE: usize = 500;

/// Returns when the connection is lost.
pub(crate) async fn listen(
    link: &Arc<Link>,
    keys: &Keys,
    hear: &(dyn Fn(Announcement) + Send + Sync),
) -> Result<(), SharedError> {
    let subscribing = async {
        let (mut sink, stream) = link.place().pubsub().await?.split();
        sink.subscribe(keys.channel()).await?;
        let listens = ping(&mut sink).await?;
        Ok((sink, stream, listens))
    };
    let (mut sink, mut stream, listens) = within(CONNECT, subscribing).await?;
    if !listens {
        let reason = format!("NOPERM no subscription to {}", keys.channel());
        return Err(SharedError::Refused { reason });
    }
    // Only now, so that no ban falls between the two.
    let [bans, since, lifted] = keys.bans();
    hear_bans(link, &[bans, since], hear).await?;
    hear_bans(link, &[lifted], hear).await?;
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = stream.next() => match message {
                Some(message) => hear_message(&message, hear),
                None => return Err(away(io::ErrorKind::ConnectionReset)),
            },
            _ = pings.tick() => { within(PONG, ping(&mut sink)).await?; }
        }
    }
}

/// Answers whether the connection listens, which answers in its own way: the client takes a refused
/// subscription for an answer.
async fn ping(sink: &mut PubSubSink) -> RedisResult<bool> {
    match sink.ping::<Value>().await? {
        Value::Array(_) => Ok(true),
        Value::ServerError(error) => Err(error.into()),
        _ => Ok(false),
    }
}

async fn hear_bans(
    link: &Arc<Link>,
    keys: &[String],
    hear: &(dyn Fn(Announcement) + Send + Sync),
) -> Result<(), SharedError> {
    let mut cursor = "0".to_owned();
    loop {
        let call = Call::new(Name::Bans, keys).arg(&cursor).arg(PAGE);
        let answer = link.call(call).await?;
        let page: Vec<String> = match redis::from_redis_value(&answer) {
            Ok(page) => page,
            Err(_) => return Err(unexpected(&answer)),
        };
        let Some((next, bans)) = page.split_first() else {
            return Err(unexpected(&answer));
        };
        for ban in bans.chunks_exact(3) {
            // Of a ban that is over nothing is left, or less: only a lift is without any rest.
            let is_ban = keys.len() > 1;
            let told = read_length(&ban[2])
                .filter(|left| is_ban != left.is_zero())
                .and_then(|left| read_ban(&ban[0], &ban[1], left));
            if let Some(told) = told {
                hear(Announcement::Ban(told));
            }
        }
        if next == "0" {
            return Ok(());
        }
        cursor.clone_from(next);
    }
}

fn hear_message(message: &Msg, hear: &(dyn Fn(Announcement) + Send + Sync)) {
    let text = std::str::from_utf8(message.get_payload_bytes());
    match text.ok().and_then(read_announcement) {
        Some(announcement) => hear(announcement),
        None => {
            tracing::debug!(target: "ipwhois_guard", "an announcement that this version cannot read")
        }
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = RedisResult<T>>,
) -> Result<T, SharedError> {
    match timeout(limit, work).await {
        Ok(result) => result.map_err(shared),
        Err(_) => Err(away(io::ErrorKind::TimedOut)),
    }
}

fn away(kind: io::ErrorKind) -> SharedError {
    SharedError::Away {
        source: Box::new(io::Error::from(kind)),
    }
}
