//! Warnings that every request could cause: each is logged once, then once a minute with a count.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::decision::Decision;
use crate::logins::Scope;
use crate::verdict::{Source, Unverified};

/// Maximum number of warnings that are told apart. One more is counted with all others.
const CAPACITY: usize = 4_096;

const MINUTE: Duration = Duration::from_secs(60);

/// What is warned of, and for which client; an IPv6 client by its /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Warning {
    Refused(Option<IpAddr>, Source),
    NoClient(Unverified),
    Others,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Some(client), source) => write!(f, "{client} not allowed ({source})"),
            Self::Refused(None, source) => write!(f, "clients not allowed ({source})"),
            Self::NoClient(reason) => write!(f, "clients not determined ({reason})"),
            Self::Others => f.write_str("other clients not allowed"),
        }
    }
}

/// When a warning was logged, and how often there was a reason for it since.
#[derive(Clone, Copy, Debug, Default)]
struct Logged {
    at: Duration,
    since: u64,
}

/// Keeps a flood of requests from becoming a flood of log lines.
#[derive(Debug)]
pub(crate) struct ThrottledWarnings {
    clock: Arc<dyn Clock>,
    logged: Mutex<HashMap<Warning, Logged, foldhash::fast::RandomState>>,
}

impl Default for ThrottledWarnings {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock::default()))
    }
}

impl ThrottledWarnings {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            logged: Mutex::default(),
        }
    }

    /// A client is not allowed. At level `debug` each refusal is logged, with its reference.
    #[cold]
    pub(crate) fn refused(&self, decision: &Decision) {
        if !tracing::enabled!(target: "ipwhois_guard", tracing::Level::INFO) {
            return;
        }
        let decision = *decision;
        let verdict = *decision.verdict();
        let client = verdict.client_ip();
        let warning = Warning::Refused(client.map(|ip| Scope::of(ip).address()), verdict.source());
        macro_rules! log {
            ($level:ident) => {
                event!(
                    $level,
                    reference = decision.denial().map(|denial| denial.reference()),
                    client = client.map(tracing::field::display),
                    source = %verdict.source(),
                    confidence = verdict.confidence(),
                    mode = decision.mode().as_str(),
                    "client not allowed"
                )
            };
        }
        match self.is_first(warning) {
            true => log!(INFO),
            false => log!(DEBUG),
        }
    }

    #[cold]
    pub(crate) fn no_client(&self, reason: Unverified, hint: &'static str) {
        if self.is_first(Warning::NoClient(reason)) {
            event!(
                WARN,
                %reason,
                hint = (reason == Unverified::NoPeer).then_some(hint),
                "the client's address cannot be determined"
            );
        }
    }

    /// Logs what was counted since a warning was logged, a minute after that. To be called now and
    /// then.
    pub(crate) fn tell_again(&self) {
        for (warning, times) in self.due() {
            event!(INFO, times, "again: {warning}");
        }
    }

    /// Whether a warning is to be logged now. Otherwise it is counted.
    fn is_first(&self, warning: Warning) -> bool {
        let at = self.clock.elapsed();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = logged.len() >= CAPACITY;
        match logged.get_mut(&warning) {
            Some(known) => known.since += 1,
            None if is_full => {
                let others = Logged { at, since: 0 };
                logged.entry(Warning::Others).or_insert(others).since += 1;
            }
            None => {
                logged.insert(warning, Logged { at, since: 0 });
                return true;
            }
        }
        false
    }

    fn due(&self) -> Vec<(Warning, u64)> {
        let now = self.clock.elapsed();
        let mut due = Vec::new();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        logged.retain(|&warning, logged| {
            if now.saturating_sub(logged.at) < MINUTE {
                return true;
            }
            let times = logged.since;
            *logged = Logged { at: now, since: 0 };
            if times > 0 {
                due.push((warning, times));
            }
            times > 0
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn warnings() -> (ThrottledWarnings, ManualClock) {
        let clock = ManualClock::new();
        (ThrottledWarnings::new(Arc::new(clock.clone())), clock)
    }

    fn refused(n: u32) -> Warning {
        let client = std::net::Ipv4Addr::from_bits(0x1900_0000 + n);
        Warning::Refused(Some(client.into()), Source::Cache)
    }

    #[test]
    fn a_warning_is_logged_at_once_and_then_once_a_minute_with_its_number() {
        let (warnings, clock) = warnings();
        assert!(warnings.is_first(refused(1)));
        for _ in 0..10 {
            assert!(!warnings.is_first(refused(1)));
        }
        assert!(warnings.is_first(refused(2)), "another client");
        assert_eq!(warnings.due(), []);
        clock.advance(MINUTE);
        assert_eq!(warnings.due(), [(refused(1), 10)]);
        assert!(!warnings.is_first(refused(1)));
        assert!(warnings.is_first(refused(2)), "it was quiet for a minute");
        clock.advance(MINUTE);
        assert_eq!(warnings.due(), [(refused(1), 1)]);
        clock.advance(MINUTE);
        assert_eq!(warnings.due(), []);
        assert!(warnings.is_first(refused(1)));
    }

    #[test]
    fn a_flood_of_clients_is_no_flood_of_lines() {
        let (warnings, clock) = warnings();
        let firsts = (0..100_000).filter(|&n| warnings.is_first(refused(n)));
        assert_eq!(firsts.count(), CAPACITY);
        let others = 100_000 - CAPACITY as u64;
        clock.advance(MINUTE);
        assert_eq!(warnings.due(), [(Warning::Others, others)]);
        clock.advance(MINUTE);
        assert_eq!(warnings.due(), []);
        assert!(warnings.logged.lock().unwrap().is_empty());
    }
}
