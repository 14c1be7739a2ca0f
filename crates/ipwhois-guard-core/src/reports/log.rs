//! What the log says of reports.

use std::time::Duration;

use super::queue::Fate;
use super::report::Report;
use crate::error::ApiError;

pub(super) fn failure(report: &Report, error: ApiError, pause: Option<Duration>) {
    let (client, threat_type) = (report.ip(), report.threat_type());
    match pause {
        Some(pause) => event!(
            WARN,
            error = &error as &dyn std::error::Error,
            ?pause,
            "reports are not accepted: all of them wait"
        ),
        None => event!(
            DEBUG,
            %client,
            %threat_type,
            error = &error as &dyn std::error::Error,
            "a report failed and is tried again"
        ),
    }
}

/// Never with the message: it may quote an attacker, or hold what an application should not have
/// put there.
pub(super) fn fate(report: &Report, fate: Fate) {
    let (client, threat_type) = (report.ip(), report.threat_type());
    match fate {
        Fate::Delivered => {
            event!(DEBUG, %client, %threat_type, "reported");
        }
        Fate::Refused { status } => event!(
            WARN,
            %client,
            %threat_type,
            status,
            "the service refuses a report: it is dropped"
        ),
        Fate::GivenUp => event!(
            WARN,
            %client,
            %threat_type,
            "a report could not be delivered for 24 h and is given up"
        ),
    }
}
