//! `ipwhois-guard check`: what the service says of addresses.

use std::net::IpAddr;
use std::path::Path;

use clap::Args;
use ipwhois_guard_core::{Guard, Settings, Source, Verdict};
use serde::Serialize;

use crate::input::{self, STDIN};
use crate::outcome::{Failure, Outcome, UNUSABLE, chain, json};
use crate::table::{Align, Table};

/// So many addresses are asked about at once: as many as the guard itself allows, so that none
/// waits for its turn.
const AT_ONCE: usize = 16;

/// Longer input is no list of addresses that anybody has the checks for.
const LONGEST_INPUT: u64 = 16 * 1_024 * 1_024;

/// Ask the service about addresses.
///
/// Settings are read from the environment (IPWHOIS_GUARD_API_URL, IPWHOIS_GUARD_API_KEY and so on),
/// as an application reads them; allowlist, denylist and trusted proxies hold here, too. Each
/// address costs one check of the day's limit. Addresses that are not public are never asked about.
/// The feed and the state folder are left alone.
///
/// Exit code: 0 when none is listed, 1 when one is listed with the minimum confidence or more (or
/// in the denylist), 2 for wrong usage, and when an address could not be verified, whatever the
/// others are.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The addresses, IPv4 or IPv6. `-` reads more of them from standard input, separated by white
    /// space; `#` begins a comment.
    #[arg(value_name = "IP", required = true)]
    addresses: Vec<String>,

    /// The confidence, 0 to 100, from which a listed address counts [default:
    /// IPWHOIS_GUARD_MIN_CONFIDENCE, or 90]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_confidence: Option<u8>,

    /// Print an array of objects instead of a table: address, listed, confidence, threat_type (null
    /// when unknown), source, unverified (why not, or null), allowed
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let addresses = self.addresses()?;
        let mut settings = Settings::from_env().map_err(|error| Failure::new(chain(&error)))?;
        settings.max_wait = settings.api_timeout;
        settings.min_confidence = self.min_confidence.unwrap_or(settings.min_confidence);
        settings.feed_url = Some(String::new());
        settings.state_dir = None;
        let guard = Guard::from_settings(settings).map_err(|error| Failure::new(chain(&error)))?;
        let verdicts = ask(&guard, &addresses)?;
        let rows: Vec<Row> = addresses
            .iter()
            .zip(&verdicts)
            .map(|(&address, verdict)| Row::new(address, verdict))
            .collect();
        Ok(Outcome {
            code: exit_code(&verdicts),
            text: if self.json {
                json(&rows)?
            } else {
                table(&rows)
            },
        })
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, Failure> {
        let mut addresses = Vec::new();
        for argument in &self.addresses {
            if argument == STDIN {
                read_addresses(&mut addresses)?;
            } else {
                addresses.push(argument.parse().map_err(|_| {
                    let shown = input::printable(argument.as_bytes());
                    Failure::new(format!("argument <IP>: `{shown}` is no IP address"))
                })?);
            }
        }
        if addresses.is_empty() {
            return Err(Failure::new("standard input has no IP address"));
        }
        Ok(addresses)
    }
}

fn read_addresses(addresses: &mut Vec<IpAddr>) -> Result<(), Failure> {
    let bytes = input::read("", Path::new(STDIN), LONGEST_INPUT)?;
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let entry = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let words = entry.split(u8::is_ascii_whitespace);
        for word in words.filter(|word| !word.is_empty()) {
            let address = str::from_utf8(word).ok().and_then(|word| word.parse().ok());
            addresses.push(address.ok_or_else(|| {
                let shown = input::printable(word);
                Failure::new(format!(
                    "standard input:{number}: `{shown}` is no IP address"
                ))
            })?);
        }
    }
    Ok(())
}

/// The verdicts, in the order of the addresses.
fn ask(guard: &Guard, addresses: &[IpAddr]) -> Result<Vec<Verdict>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Failure::caused("cannot start a runtime", &error))?;
    runtime.block_on(async {
        let mut verdicts = Vec::with_capacity(addresses.len());
        for some in addresses.chunks(AT_ONCE) {
            let checks: Vec<_> = some
                .iter()
                .map(|&address| {
                    let guard = guard.clone();
                    tokio::spawn(async move { guard.check(address).await })
                })
                .collect();
            for check in checks {
                let verdict = check.await;
                verdicts
                    .push(verdict.map_err(|error| Failure::caused("a check ended early", &error))?);
            }
        }
        Ok(verdicts)
    })
}

fn exit_code(verdicts: &[Verdict]) -> u8 {
    let is_unverified = |verdict: &Verdict| matches!(verdict.source(), Source::Unverified(_));
    if verdicts.iter().any(is_unverified) {
        UNUSABLE
    } else {
        u8::from(verdicts.iter().any(|verdict| !verdict.is_allowed()))
    }
}

#[derive(Debug, Serialize)]
struct Row {
    address: IpAddr,
    listed: Option<bool>,
    confidence: Option<u8>,
    threat_type: Option<&'static str>,
    source: &'static str,
    unverified: Option<&'static str>,
    allowed: bool,
}

impl Row {
    fn new(address: IpAddr, verdict: &Verdict) -> Self {
        let reputation = verdict.reputation();
        let threat_type = reputation.and_then(|reputation| reputation.threat_type);
        let unverified = match verdict.source() {
            Source::Unverified(reason) => Some(reason.as_str()),
            _ => None,
        };
        Self {
            address,
            listed: reputation.map(|reputation| reputation.listed),
            confidence: verdict.confidence(),
            threat_type: threat_type.map(|threat| threat.as_str()),
            source: verdict.source().as_str(),
            unverified,
            allowed: verdict.is_allowed(),
        }
    }

    /// The last column: who said so, or why nobody did.
    fn why(&self) -> String {
        match (self.unverified, self.source) {
            (Some(reason), _) => format!("not verified: {reason}"),
            (None, "non-public") => "never asked: not a public address".to_owned(),
            (None, known @ ("allowlist" | "denylist" | "trusted-proxy")) => {
                format!("never asked: {known}")
            }
            (None, source) => source.to_owned(),
        }
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new([
        ("address", Align::Left),
        ("listed", Align::Left),
        ("confidence", Align::Right),
        ("threat type", Align::Left),
        ("source", Align::Left),
    ]);
    let unknown = || "-".to_owned();
    for row in rows {
        let listed = row.listed.map(|yes| if yes { "yes" } else { "no" });
        table.row([
            row.address.to_string(),
            listed.map_or_else(unknown, str::to_owned),
            row.confidence.map_or_else(unknown, |n| n.to_string()),
            row.threat_type.map_or_else(unknown, str::to_owned),
            row.why(),
        ]);
    }
    table.render()
}
