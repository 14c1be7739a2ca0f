//! What the service says when nothing is wrong with it.

use std::net::IpAddr;

use serde_json::json;

use crate::blacklist::{Admission, Blacklist, Feed};
use crate::record::{Check, Report};
use crate::reply::Reply;

/// The threat types that the service's documentation names.
const THREAT_TYPES: [&str; 8] = [
    "brute-force",
    "spam",
    "ddos",
    "scan",
    "phishing",
    "malware",
    "bot",
    "other",
];

pub(crate) fn check(check: &Check, admission: Admission, blacklist: &Blacklist) -> Reply {
    match admission {
        Admission::KeyRefused => return Reply::error(401, "invalid API key"),
        Admission::LimitReached => {
            return Reply::error(429, "daily limit reached").with("Retry-After", "3600");
        }
        Admission::Admitted => {}
    }
    let Some(ip) = check.address() else {
        return Reply::error(400, "invalid ip");
    };
    let verdict = match blacklist.get(ip) {
        // `reports` and `last_seen` stand for the fields that the service sends and nobody has
        // promised.
        Some(listing) => json!({
            "ip": check.ip,
            "listed": true,
            "confidence": listing.confidence,
            "threat_type": &*listing.threat_type,
            "reports": 17,
            "last_seen": "2026-08-21T22:14:09Z",
        }),
        None => json!({ "ip": check.ip, "listed": false, "confidence": 0 }),
    };
    Reply::json(200, &verdict)
}

pub(crate) fn report(report: &Report) -> Reply {
    if report.ip.parse::<IpAddr>().is_err() {
        return Reply::error(400, "invalid ip");
    }
    if !THREAT_TYPES.contains(&report.threat_type.as_str()) {
        return Reply::error(400, "invalid type");
    }
    Reply::json(200, &json!({ "status": "ok" }))
}

pub(crate) fn feed(
    feed: &Feed,
    if_none_match: Option<&str>,
    if_modified_since: Option<&str>,
) -> Reply {
    let is_known = feed.is_known_to(if_none_match, if_modified_since);
    let mut reply = Reply::empty(if is_known { 304 } else { 200 })
        .with("ETag", feed.etag())
        .with("Last-Modified", feed.last_modified());
    if !is_known {
        reply = reply.with("Content-Type", "text/plain; charset=utf-8");
        reply.body = feed.text().as_bytes().to_vec();
    }
    reply
}
