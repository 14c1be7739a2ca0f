//! The options of `ipwhois-guard replay`, and the guard that they describe.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use ipwhois_guard_core::{
    BuildError, FeedAction, Guard, GuardBuilder, OnUnverified, Rule, Settings,
};

use crate::access_log::ClientField;
use crate::feed;
use crate::input::{self, STDIN};
use crate::outcome::{Failure, chain};

/// Tell what the guard would have done with an access log, and beside it what the published module
/// would have done.
///
/// Every request of the log is decided by the very code that decides in an application, in the
/// log's own time: the peer is the log's client, no proxy is trusted, no header is known. A request
/// that is not denied counts as answered with the log's status, from which the guard learns who is
/// suspicious. Nobody on the network is asked: the addresses in --listed are listed with confidence
/// 100, all others are clean, and without --listed all are clean. The environment's settings are
/// not read.
///
/// The log is in the common or the combined format, also with a virtual host in front, or the JSON
/// of Caddy, Traefik or Docker. It is plain, in UTF-16, or compressed by gzip, zstd or xz. Several
/// logs are put in order of their first lines. A log is read as a stream; memory grows with its
/// clients, not with its lines. Malformed lines are counted and passed over.
///
/// Exit code: 0 when the logs were read to their end. 2 for wrong usage, for input without a single
/// request, and for logs of which most lines are out of order by days.
#[derive(Clone, Debug, Args)]
pub(crate) struct Replay {
    /// The access logs, in any order; `-` for standard input
    #[arg(value_name = "LOG", required = true)]
    pub(super) logs: Vec<PathBuf>,

    /// Where a log has the client: `peer` is the line's first field. `x-forwarded-for` is the third
    /// field in quotes after the request, as in nginx's `main` format, or the header in JSON. A
    /// number counts the fields in quotes after the request. Of a list the last address counts that
    /// is not internal
    #[arg(long, value_name = "FIELD", default_value = "peer")]
    pub(super) client_field: ClientField,

    /// A file of addresses and CIDRs that count as listed, one a line; `#` begins a comment
    #[arg(long, value_name = "FILE")]
    pub(super) listed: Option<PathBuf>,

    /// How many checks a UTC day may cost, for the guard and for the published module
    #[arg(
        long,
        value_name = "N",
        default_value_t = 500,
        allow_negative_numbers = true
    )]
    pub(super) daily_budget: u32,

    /// Compare these limits of checks a day, separated by commas. For each one it prints the recall
    /// of the guard, of the published module, and of a clairvoyant. The clairvoyant knows at each
    /// day's start which listed clients make most requests on it
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        allow_negative_numbers = true,
        conflicts_with = "daily_budget"
    )]
    pub(super) limits: Vec<u32>,

    /// Explain this client: each of its requests without a verdict, with the score, the price, and
    /// why the client was checked or not
    #[arg(long, value_name = "IP", conflicts_with = "limits")]
    pub(super) explain: Option<std::net::IpAddr>,

    /// A file that the guard uses as its feed, in the feed's format. Only --listed says who is
    /// listed, so with `--feed-action block` the feed may deny others, too: they are counted as
    /// false denials
    #[arg(long, value_name = "FILE")]
    pub(super) feed: Option<PathBuf>,

    /// What an address in the feed means: confirm, block or off
    #[arg(long, value_name = "ACTION", default_value_t)]
    pub(super) feed_action: FeedAction,

    /// How long a verdict is fresh
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub(super) cache_ttl: Duration,

    /// How long a verdict is used at all [default: 24h, or --cache-ttl where that is longer]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) stale_ttl: Option<Duration>,

    /// The confidence, 0 to 100, from which a listed client is denied
    #[arg(long, value_name = "N", default_value_t = 90, allow_negative_numbers = true, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(super) min_confidence: u8,

    /// Guard only this path and what is below it. May be given several times, or with commas
    /// [default: everything]
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub(super) protect: Vec<String>,

    /// A path where an unknown client is worth a check ahead of others, like a login. May be given
    /// several times, or with commas. It is guarded whatever --protect says
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub(super) sensitive: Vec<String>,

    /// What happens to a client that cannot be verified: allow or deny
    #[arg(long, value_name = "CHOICE", default_value_t)]
    pub(super) on_unverified: OnUnverified,

    /// Print one object instead of tables; the README describes its fields
    #[arg(long)]
    pub(super) json: bool,

    /// How many denied clients the table shows, those with the most denied requests first
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        allow_negative_numbers = true
    )]
    pub(super) top: usize,

    /// Whether to show on standard error how much of the log is read
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Progress::Auto)]
    pub(super) progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// On a terminal.
    Auto,
    /// Not at all.
    Never,
}

/// A duration as the guard's settings spell it.
fn duration(text: &str) -> Result<Duration, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    match Settings::from_vars([("IPWHOIS_GUARD_CACHE_TTL", text)]) {
        Ok(settings) => Ok(settings.cache_ttl),
        Err(BuildError::Setting { reason, .. }) => Err(format!("it {reason}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Checks answer at once, so this is never waited for; it is long so that a busy machine changes no
/// decision.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Replay {
    /// Everything but the log, before that is read: a long or an empty one must not hide a mistake.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let is_stdin = |path: &Path| path == Path::new(STDIN);
        if self.limits.len() > 1 && self.logs.iter().any(|log| is_stdin(log)) {
            let once = "option --limits: standard input can be read only once: name a file";
            return Err(Failure::new(once));
        }
        let from_stdin = self.logs.iter().filter(|log| is_stdin(log)).count();
        if from_stdin > 1 {
            return Err(Failure::new("standard input is named twice as a log"));
        }
        if from_stdin > 0 && self.listed.as_deref().is_some_and(is_stdin) {
            let both = "option --listed: standard input is the log already";
            return Err(Failure::new(both));
        }
        if let Some(path) = &self.feed {
            // The guard reads it once more.
            if is_stdin(path) {
                let sentence = "option --feed: standard input can be read only once: name a file";
                return Err(Failure::new(sentence));
            }
            feed::read_file("--feed", path)?;
        }
        let guard = self.guard()?.feed_url("").build();
        guard.map(drop).map_err(|error| self.refused(error))
    }

    /// The guard would say in its log that it has no feed, and go on; who names one here wants it
    /// used.
    pub(super) fn check_feed_of(&self, guard: &Guard) -> Result<(), Failure> {
        match &self.feed {
            Some(path) if self.feed_action != FeedAction::Off => {
                let stats = guard.stats();
                if stats.feed_entries > 0 {
                    return Ok(());
                }
                let why = stats.feed_error.unwrap_or_default();
                let name = input::name(path);
                let sentence = format!("option --feed: the guard cannot read {name}: {why}");
                Err(Failure::new(sentence))
            }
            _ => Ok(()),
        }
    }

    /// A refusal of the guard, by the option's name.
    pub(super) fn refused(&self, error: BuildError) -> Failure {
        match error {
            BuildError::Setting {
                setting,
                value,
                reason,
            } => {
                let is_sensitive = setting == "protect" && self.sensitive.contains(&value);
                let option = if is_sensitive {
                    "sensitive".to_owned()
                } else {
                    setting.replace('_', "-")
                };
                Failure::new(format!("option --{option}: `{value}` {reason}"))
            }
            BuildError::Conflict {
                first: "stale_ttl",
                second: "cache_ttl",
                reason,
            } => {
                let stale = self.stale_ttl.unwrap_or_default();
                let fresh = self.cache_ttl;
                Failure::new(format!(
                    "options --stale-ttl {stale:?} and --cache-ttl {fresh:?} {reason}"
                ))
            }
            error => Failure::new(chain(&error)),
        }
    }

    /// The guard that the options describe, but for its clock and who it asks.
    pub(super) fn guard(&self) -> Result<GuardBuilder, Failure> {
        let mut guard = Guard::builder()
            .max_wait(NEVER)
            .daily_budget(self.daily_budget)
            .cache_ttl(self.cache_ttl)
            .stale_ttl(self.stale_ttl.unwrap_or(DAY.max(self.cache_ttl)))
            .min_confidence(self.min_confidence)
            .on_unverified(self.on_unverified)
            .feed_action(self.feed_action)
            .feed_url(match &self.feed {
                Some(path) => file_url(path)?,
                None => String::new(),
            });
        // First, so that of two rules for one path the sensitive one holds.
        for path in &self.sensitive {
            guard = guard.protect(Rule::path(path).sensitive(true));
        }
        for path in &self.protect {
            guard = guard.protect(Rule::path(path));
        }
        if self.protect.is_empty() && !self.sensitive.is_empty() {
            guard = guard.protect(Rule::path("/"));
        }
        Ok(guard)
    }
}

/// The `file` URL of a path.
fn file_url(path: &Path) -> Result<String, Failure> {
    let option = |problem: &str| format!("option --feed: `{}` {problem}", path.display());
    let absolute =
        std::path::absolute(path).map_err(|error| Failure::caused(option("is no path"), &error))?;
    let text = absolute
        .to_str()
        .ok_or_else(|| Failure::new(option("is no UTF-8, which a URL needs")))?;
    let mut url = "file://".to_owned();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_url() {
        let url = file_url(Path::new("/a b/ü%#?.txt")).expect("a path");
        assert_eq!(url, "file:///a%20b/%C3%BC%25%23%3F.txt");
    }

    #[test]
    fn durations_are_those_of_the_settings() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5_400)));
        assert!(duration("5x").is_err_and(|reason| reason.starts_with("it is no duration")));
        assert!(duration(" ").is_err());
    }
}
