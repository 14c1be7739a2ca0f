//! Why a client was refused, and how that is undone.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use humantime::{format_duration, format_rfc3339_seconds};
use serde::Serialize;

use super::Guard;
use super::outlook::{Outlook, Subject, service_says};
use crate::address::lookup_address;
use crate::logins::Scope;
use crate::observe::Refusal;
use crate::rules::Mode;
use crate::serialised::time;
use crate::verdict::{Reputation, Source, Unverified};

/// Why a client was refused, and what would become of it now: [`Guard::explain`] and
/// [`Guard::explain_ip`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The client; `None` when its address could not be determined.
    pub client: Option<IpAddr>,
    /// What happened: its remembered refusals, newest first. By a reference: that one.
    pub then: Vec<Refusal>,
    /// What would happen to its next request.
    pub now: Outlook,
}

/// A client that is banned: [`Guard::bans`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BanEntry {
    /// The client; of an IPv6 /64 its first address.
    pub client: IpAddr,
    /// When the ban ends.
    #[serde(serialize_with = "time")]
    pub until: SystemTime,
    /// In how many seconds.
    pub seconds_left: u64,
}

impl Guard {
    /// Why the request with this reference was refused, and what would become of it now. `None`
    /// when it is not remembered: the last 10,000 refusals are, of one client the last 50.
    ///
    /// Spends no check.
    #[must_use]
    pub fn explain(&self, reference: &str) -> Option<Explanation> {
        let guard = self.here();
        let reference = reference.trim().to_ascii_lowercase();
        let refusal = guard.0.meter.refusals.by_reference(&reference)?;
        Some(Explanation {
            client: refusal.client,
            now: guard.outlook(Subject::Again(&refusal)),
            then: vec![refusal],
        })
    }

    /// What would become of a client's next request, and its remembered refusals. The request is
    /// the one that was refused last, or else one under the guard's defaults.
    ///
    /// Spends no check.
    #[must_use]
    pub fn explain_ip(&self, ip: IpAddr) -> Explanation {
        let guard = self.here();
        let client = ip.to_canonical();
        let then = guard.0.meter.refusals.of(client);
        let of = then.first().map_or(Subject::Client(client), Subject::Again);
        Explanation {
            client: Some(client),
            now: guard.outlook(of),
            then,
        }
    }

    /// What would become of a refused request now.
    pub(crate) fn outlook_of(&self, refusal: &Refusal) -> Outlook {
        self.here().outlook(Subject::Again(refusal))
    }

    /// The latest refusals, newest first; in `monitor` mode also what would have been refused.
    #[must_use]
    pub fn recent(&self, most: usize) -> Vec<Refusal> {
        self.here().0.meter.refusals.recent(most)
    }

    /// The clients that are banned, the ban that ends last first.
    #[must_use]
    pub fn bans(&self) -> Vec<BanEntry> {
        let guard = self.here();
        let wall = guard.0.clock.wall();
        let logins = &guard.0.logins;
        let mut bans: Vec<_> = logins
            .tracker
            .records(logins.now())
            .into_iter()
            .filter(|ban| !ban.left.is_zero())
            .filter_map(|ban| {
                Some(BanEntry {
                    client: ban.scope.address(),
                    until: wall.checked_add(ban.left)?,
                    seconds_left: ban.left.as_millis().div_ceil(1_000) as u64,
                })
            })
            .collect();
        bans.sort_by_key(|ban| (std::cmp::Reverse(ban.seconds_left), ban.client));
        bans
    }

    /// Forgets a client: its verdict, what it has shown, its failed logins and its ban. The next
    /// request is that of a stranger. With a shared store other machines forget the failures and
    /// the ban, and keep the verdict.
    pub fn forget(&self, ip: IpAddr) {
        let client = ip.to_canonical();
        let guard = self.here();
        let (lookup, scope) = (lookup_address(client), Scope::of(client));
        guard.0.lookup.forget(lookup);
        guard.0.budget.forget(lookup);
        guard.0.logins.tracker.pardon(scope);
        guard.unban(client);
        if let Some(cluster) = &guard.0.cluster {
            cluster.background(move |cluster| async move {
                cluster.clear_failures(scope).await;
            });
        }
    }
}

impl Refusal {
    /// What happened, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match self.mode {
            Mode::Monitor => "would have been refused",
            _ => "was refused",
        };
        let at = format_rfc3339_seconds(self.time);
        format!(
            "{} {} {what} with {} at {at}. {}",
            self.method,
            self.path,
            self.status,
            self.cause()
        )
    }

    /// Which step refused it, in words.
    #[must_use]
    pub fn cause(&self) -> String {
        let since = self.since.map_or(String::new(), |since| {
            format!(", known since {}", format_rfc3339_seconds(since))
        });
        let rule = match self.rule.as_str() {
            "*" => "The guard\u{2019}s defaults refuse".to_owned(),
            path => format!("The rule `{path}` refuses"),
        };
        match self.source {
            Source::Denylist => "The denylist (`deny`, `deny_file`) has the address.".to_owned(),
            Source::Banned => format!(
                "The client was banned{}.",
                self.until.map_or(String::new(), |until| format!(
                    " until {}",
                    format_rfc3339_seconds(until)
                ))
            ),
            Source::Feed => format!("The feed lists the address{since}. {rule} it for that alone."),
            Source::Unverified(reason) => {
                format!(
                    "{} {rule} such clients.{}",
                    unverified_words(reason),
                    self.bid_words()
                )
            }
            source => {
                let reputation = Reputation {
                    listed: true,
                    confidence: self.confidence.unwrap_or_default(),
                    threat_type: self.threat_type,
                };
                format!(
                    "{} ({}{since}). {rule} from {}.",
                    service_says(reputation),
                    source_words(source),
                    self.min_confidence
                )
            }
        }
    }

    fn bid_words(&self) -> String {
        match (self.score, self.price) {
            (Some(score), Some(price)) => {
                format!(" Its score was {score:.3}, and the price of a check {price:.3}.")
            }
            _ => String::new(),
        }
    }

    /// How such a client is let in.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self.source {
            Source::Denylist => "To let it in, take it out of `deny` or `deny_file`.",
            Source::Banned => "To let it in, lift the ban.",
            Source::Unverified(
                Unverified::NoPeer
                | Unverified::UnixPeer
                | Unverified::BadHeader
                | Unverified::NoHeader,
            ) => {
                "To let such clients in, mend `trusted_proxies` and `client_ip_header`, or set \
                 `on_unknown_client = allow`."
            }
            Source::Unverified(_) => {
                "To let such clients in, set `on_unverified = allow` for the rule, or check the \
                 client by hand."
            }
            _ => "To let it in, name it in `allow`, or raise the rule\u{2019}s `min_confidence`.",
        }
    }
}

/// Where a verdict came from.
const fn source_words(source: Source) -> &'static str {
    match source {
        Source::Api => "the service was asked for this request",
        Source::Cache => "from memory",
        Source::Stale => "from memory, while it was being refreshed",
        Source::Shared => "from the shared store",
        _ => "by the settings",
    }
}

/// Why a client could not be verified, as a sentence.
pub(super) const fn unverified_words(reason: Unverified) -> &'static str {
    match reason {
        Unverified::NoPeer => "The server did not say who is connected.",
        Unverified::UnixPeer => {
            "The peer is a Unix socket, and `trusted_proxies` does not name `unix:`."
        }
        Unverified::BadHeader => "The trusted proxy\u{2019}s header names no address.",
        Unverified::NoHeader => "The trusted proxy sent no forwarding header.",
        Unverified::TimedOut => "The service did not answer within `max_wait`.",
        Unverified::CallFailed => "The service failed to answer.",
        Unverified::RateLimited => "The service says that its limit is used up.",
        Unverified::NoBudget => "The day\u{2019}s budget has no check for this client.",
        Unverified::Rationed => "The client\u{2019}s network has used up its share of the budget.",
        Unverified::BreakerOpen => "The service failed several times, and is left alone.",
        Unverified::Overloaded => "Too many addresses wait to be asked about.",
        Unverified::ShuttingDown => "The guard is ending.",
    }
}

/// A duration in words, in whole seconds.
pub(super) fn spell(duration: Duration) -> String {
    format_duration(Duration::from_secs(duration.as_secs())).to_string()
}
