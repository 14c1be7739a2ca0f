//! Each problem in a sentence: what is wrong, and how to mend it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use humantime::{format_duration, format_rfc3339_seconds};

use super::problem::Problem;
use crate::verdict::Unverified;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EveryClientTheSame {
                client,
                forwards: true,
            } => write!(
                f,
                "Almost every request comes from {client} and says that it was forwarded, so nobody's real address is \
                 checked: if {client} is a proxy of yours, name it in `trusted_proxies`."
            ),
            Self::EveryClientTheSame {
                client,
                forwards: false,
            } => write!(
                f,
                "Almost every request comes from {client}, so nobody's real address is checked: if a proxy or a NAT of yours \
                 stands there, make it pass the client's address on and name it in `trusted_proxies`."
            ),
            Self::ProxiesNotTrusted {
                clients,
                in_list: false,
            } => write!(
                f,
                "Almost every request comes from {} and says that it was forwarded, so nobody's real address is checked: if \
                 these are proxies of yours, name them in `trusted_proxies`.",
                one_of(clients, "one of several addresses")
            ),
            Self::ProxiesNotTrusted {
                clients,
                in_list: true,
            } => write!(
                f,
                "The list of addresses goes on to the left of almost every client: the guard takes {} for the clients. If these \
                 are your second proxies or a CDN, name their networks in `trusted_proxies`, so that the clients behind them \
                 are checked.",
                one_of(clients, "many addresses")
            ),
            Self::ClientsNotPublic { clients } => write!(
                f,
                "Almost no client has a public address, so almost none can be checked: requests come from {}. If a proxy, a \
                 NAT or the nodes of a cluster stand there, make them pass the client's address on and name them in \
                 `trusted_proxies`. If a CDN writes reserved addresses for IPv6 clients, set `client_ip_header` to the header \
                 with the real one.",
                one_of(clients, "many private or reserved addresses")
            ),
            Self::ClientsUnknown {
                reason: Unverified::BadHeader | Unverified::NoHeader,
            } => f.write_str(
                "The address of almost every client is unknown: a trusted proxy sends no usable header. Make it write the one \
                 that `client_ip_header` names, or correct that setting.",
            ),
            Self::ClientsUnknown {
                reason: Unverified::UnixPeer,
            } => f.write_str(
                "The address of almost every client is unknown: requests come by a Unix socket. Name `unix:` in \
                 `trusted_proxies` if a proxy of yours is at its other end.",
            ),
            Self::ClientsUnknown { .. } => f.write_str(
                "The address of almost every client is unknown: the server does not tell the guard who is connected. How \
                 to change that is in the documentation of the framework's adapter.",
            ),
            Self::ClientNotBanned { client, failures } => write!(
                f,
                "{client} failed to log in {failures} times and is not banned, since it looks like a proxy or a NAT that many \
                 clients share: make it pass the client's address on and name it in `trusted_proxies`, so that each client is \
                 banned for itself."
            ),
            Self::FeedMissing { error } => write!(
                f,
                "No feed is in force ({error}): see that `feed_url` can be reached, or set `feed_action` to `off`. It is \
                 tried again."
            ),
            Self::FeedRefused {
                error,
                in_force: false,
            } => write!(
                f,
                "The feed that came is not believed, and none is in force ({error}): see what `feed_url` answers. It is tried \
                 again."
            ),
            Self::FeedRefused {
                error,
                in_force: true,
            } => write!(
                f,
                "The last feed is not believed, and what was in force before stays ({error}): see what `feed_url` answers. \
                 It is tried again."
            ),
            Self::FeedOld {
                generated_ago: Some(ago),
                ..
            } => write!(
                f,
                "The service made the feed in force {} ago, as its own comment says: see whether `feed_url` names a copy that \
                 is not kept current, and whether this machine's clock is right. It is tried again.",
                rounded(*ago)
            ),
            Self::FeedOld { age, error, .. } => {
                write!(
                    f,
                    "The feed in force was last known to be current {} ago",
                    rounded(*age)
                )?;
                if let Some(error) = error {
                    write!(f, " ({error})")?;
                }
                f.write_str(": see that `feed_url` can be reached. It is tried again.")
            }
            Self::KeyRefused {
                status,
                has_key: true,
            } => write!(
                f,
                "The service refuses the key with status {status}: correct `api_key`, and `api_key_header` if it is sent in \
                 another one."
            ),
            Self::KeyRefused {
                status,
                has_key: false,
            } => write!(
                f,
                "The service answers status {status} without a key: set `api_key`."
            ),
            Self::BudgetGone { until } => write!(
                f,
                "No check is left for requests until {}: clients that nobody knows are unverified until then. A key raises the service's \
                 limit; `daily_budget` may say less than the service gives.",
                format_rfc3339_seconds(*until)
            ),
            Self::BudgetTooSmall { wanted, limit } => write!(
                f,
                "{wanted} clients a day should be checked, and there are {limit} checks a day: the rest pass unchecked. A \
                 key raises the service's limit; see whether `daily_budget` may be more."
            ),
            Self::BreakerOpen { next_try, error } => {
                let cause = Cause(error);
                write!(f, "The service failed several times in a row{cause} and is left alone")?;
                if next_try.is_zero() {
                    f.write_str(": the next unknown client tries it again. ")
                } else {
                    write!(f, " for {}, then tried again. ", rounded(*next_try))
                }?;
                f.write_str(REACHABLE)
            }
            Self::ServiceUnreliable {
                calls,
                failed,
                late,
                error,
            } => {
                write!(f, "Of the last {calls} calls to the service ")?;
                match (failed, late) {
                    (failed, 0) => write!(f, "{failed} failed"),
                    (0, late) => write!(f, "{late} were answered later than `max_wait`"),
                    _ => write!(
                        f,
                        "{failed} failed and {late} were answered later than `max_wait`"
                    ),
                }?;
                let cause = Cause(error);
                write!(f, "{cause}, so that many unknown clients are unverified. {REACHABLE}")?;
                if *late > 0 {
                    f.write_str(" For a service that is far away a longer `max_wait` may do.")?;
                }
                Ok(())
            }
            Self::SharedTierAway { error } => {
                f.write_str("The shared store is away")?;
                if let Some(error) = error {
                    write!(f, " ({error})")?;
                }
                f.write_str(
                    ": this machine decides alone, and spends no more checks than it holds. It is tried again.",
                )
            }
            Self::SharedTierUnheard { error } => write!(
                f,
                "The shared store answers, and what other machines announce there is not heard ({error}), so their bans do not \
                 hold here: see that this machine's user may subscribe. It is tried again."
            ),
            Self::SharedTierMissing => f.write_str(
                "`redis_url` is set and the guard has no shared store: build it with \
                 `ipwhois_guard_redis::guard_from_settings`, or remove the setting.",
            ),
            Self::GuardBehind { late } => write!(
                f,
                "The guard's own thread is late by {}: checks, reports and the feed wait for it, requests do not. See that the \
                 machine has a processor to spare, and what `api_url` and `feed_url` answer.",
                rounded(*late)
            ),
            Self::LogBlocked { since, lost } => write!(
                f,
                "The log has not taken an event for {}: the guard goes on without it, and {lost} events are lost. See that what \
                 reads the log is alive and its disk has room.",
                rounded(*since)
            ),
            Self::Forked { from } => write!(
                f,
                "This process was forked from process {from}, which built the guard: without `state_dir` or `redis_url` it counts \
                 checks and failed logins for itself. Build the guard after the fork."
            ),
            Self::StateFailing { error } => write!(
                f,
                "What is learnt is not kept for the next start: {error}. See to the folder that `state_dir` names."
            ),
            Self::StateRemoved { times } => write!(
                f,
                "The state file was removed while it was in use, {times} times since the start, and is written anew: see that \
                 nothing cleans up the folder that `state_dir` names."
            ),
            Self::ReportsStuck {
                pending,
                oldest,
                error,
            } => write!(
                f,
                "{pending} reports wait to be delivered, the oldest one for {}{}. They are tried for 24 h. {REACHABLE}",
                rounded(*oldest),
                Cause(error)
            ),
            Self::ReportsLost { reports, error } => write!(
                f,
                "{reports} reports were lost since the start, because the queue was full or none could be delivered for 24 \
                 h{}. {REACHABLE}",
                Cause(error)
            ),
            Self::ReportsRefused { reports, error } => write!(
                f,
                "The service refused {reports} reports for good since the start{}. With 401 or 403 correct `api_key`.",
                Cause(error)
            ),
            Self::ListBroken { error } => write!(
                f,
                "A list that has changed cannot be used ({error}): the one that was read before stays in force until the \
                 file is mended. It is looked at every two seconds."
            ),
            Self::BansLost { bans } => write!(
                f,
                "{bans} bans ended before their time since the start, because more clients are banned at once than there is \
                 room for: a shorter `ban_time` makes room."
            ),
        }
    }
}

const REACHABLE: &str = "See that `api_url` is the service's base and can be reached from here.";

/// The last error, in brackets.
struct Cause<'a>(&'a Option<String>);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(error) => write!(f, " ({error})"),
            None => Ok(()),
        }
    }
}

/// The addresses, or other words where none is frequent enough to be named.
fn one_of(clients: &[IpAddr], otherwise: &str) -> String {
    let clients: Vec<_> = clients.iter().map(IpAddr::to_string).collect();
    match clients.len() {
        0 => otherwise.to_owned(),
        1 => clients.concat(),
        _ => format!("one of {}", clients.join(", ")),
    }
}

/// To the second, or to the minute when it is long.
fn rounded(time: Duration) -> humantime::FormattedDuration {
    let seconds = time.as_secs();
    let step = if seconds > 3_600 { 60 } else { 1 };
    format_duration(Duration::from_secs(seconds / step * step))
}
