//! `ipwhois-guard report`: tells the service of an attacker.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use ipwhois_guard_core::{Guard, QueuedReport, ReportError, Settings, ThreatType};
use serde::Serialize;

use crate::outcome::{Failure, Outcome, chain, json};

/// How long the service is given, retries included, beyond the deadline of one call.
const PATIENCE: Duration = Duration::from_secs(5);

/// The exit code of a report that the service refused.
const REFUSED: u8 = 1;

/// Report an attacker to the service.
///
/// Settings are read from the environment (IPWHOIS_GUARD_API_URL, IPWHOIS_GUARD_API_KEY and so on),
/// as an application reads them. Addresses that are not public, allowlisted ones and trusted
/// proxies are never reported.
///
/// Exit code: 0 when the service has accepted the report, 1 when it refused it for good, 2 for
/// wrong usage, an address that is never reported, and a service that did not accept it in time.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The attacker's address, IPv4 or IPv6
    #[arg(value_name = "IP")]
    address: IpAddr,

    /// What it did: brute-force, spam, ddos, scan, phishing, malware, bot or other
    #[arg(long = "type", value_name = "TYPE")]
    threat_type: ThreatType,

    /// What was seen, in one line; control characters are taken out, and what goes beyond 1,024
    /// characters
    #[arg(long, value_name = "TEXT", default_value = "")]
    message: String,

    /// Who reports: 1 to 64 of a-z, 0-9, `-`, `_` and `.`
    #[arg(long, value_name = "NAME", default_value = "waf")]
    source: String,

    /// Print an object instead of a sentence: address, type, accepted, status (of a refusal, or
    /// null)
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    address: IpAddr,
    r#type: &'static str,
    accepted: bool,
    status: Option<u16>,
}

impl Report {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let mut settings = Settings::from_env().map_err(|error| Failure::new(chain(&error)))?;
        settings.feed_url = Some(String::new());
        settings.state_dir = None;
        let within = settings.api_timeout + PATIENCE;
        let guard = Guard::from_settings(settings).map_err(|error| Failure::new(chain(&error)))?;
        let queued = guard
            .report(self.address, self.threat_type)
            .message(&self.message)
            .source(&self.source)
            .queue()
            .map_err(|error| Failure::new(chain(&error)))?;
        match deliver(&guard, &queued, within)? {
            Ok(()) => self.outcome(None),
            Err(ReportError::Refused { status }) => self.outcome(Some(status)),
            Err(error) => Err(Failure::new(chain(&error))),
        }
    }

    fn outcome(&self, refused: Option<u16>) -> Result<Outcome, Failure> {
        let (address, threat_type) = (self.address, self.threat_type.as_str());
        let text = match refused {
            _ if self.json => json(&Answer {
                address,
                r#type: threat_type,
                accepted: refused.is_none(),
                status: refused,
            })?,
            None => format!("{address} is reported as {threat_type}\n"),
            Some(status) => {
                format!("the service refuses the report of {address}: status {status}\n")
            }
        };
        Ok(Outcome {
            text,
            code: if refused.is_some() { REFUSED } else { 0 },
        })
    }
}

/// What the service says, or why there is no answer in time.
fn deliver(
    guard: &Guard,
    queued: &QueuedReport,
    within: Duration,
) -> Result<Result<(), ReportError>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Failure::caused("cannot start a runtime", &error))?;
    runtime.block_on(async {
        if guard.shutdown(within).await > 0 {
            return Err(Failure::new(format!(
                "the service did not accept the report within {} s",
                within.as_secs()
            )));
        }
        Ok(queued.delivered().await)
    })
}
