//! The charts, as SVG without any script.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::html::{Html, html};
use crate::observe::{Count, Quarter};

/// Kinds of requests, from the bottom of a bar to its top: class, name.
pub(super) const KINDS: [(&str, &str); 8] = [
    ("verified", "let in: verified"),
    ("unverified", "let in: unverified"),
    ("listed", "refused: blacklist"),
    ("feed", "refused: feed"),
    ("denylist", "refused: denylist"),
    ("banned", "refused: ban"),
    ("unknown", "refused: unverified"),
    ("monitored", "let in by monitor mode"),
];

fn kind(count: &Count) -> usize {
    match (count.outcome, count.source) {
        ("allowed", "unverified") => 1,
        ("allowed", _) => 0,
        ("monitored", _) => 7,
        (_, "feed") => 3,
        (_, "denylist") => 4,
        (_, "banned") => 5,
        (_, "unverified") => 6,
        _ => 2,
    }
}

/// The requests of one quarter, by kind.
fn kinds(quarter: &Quarter) -> [u64; KINDS.len()] {
    let mut kinds = [0; KINDS.len()];
    for count in &quarter.counts {
        kinds[kind(count)] += count.requests;
    }
    kinds
}

/// All requests, by kind.
pub(super) fn totals(quarters: &[Quarter]) -> [u64; KINDS.len()] {
    let mut totals = [0; KINDS.len()];
    for quarter in quarters {
        for (total, requests) in totals.iter_mut().zip(kinds(quarter)) {
            *total += requests;
        }
    }
    totals
}

const WIDTH: u64 = 960;
const HEIGHT: f64 = 160.0;
const BAR: u64 = 10;

/// Where a quarter's bar begins, from the left.
fn place(quarter: &Quarter, now: SystemTime) -> Option<u64> {
    let age = now.duration_since(quarter.begin).unwrap_or_default();
    let quarters = age.as_secs() / (15 * 60);
    WIDTH.checked_sub((quarters + 1) * BAR)
}

/// The requests of 24 hours as stacked bars.
pub(super) fn requests(page: &mut Html, quarters: &[Quarter], now: SystemTime) {
    let highest = quarters
        .iter()
        .map(|quarter| kinds(quarter).iter().sum())
        .max();
    let highest: u64 = highest.unwrap_or(0).max(1);
    html!(page; "<svg class=\"bars\" viewBox=\"0 0 960 160\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Requests in the last 24 hours, in quarters of an hour\">");
    for quarter in quarters {
        let Some(x) = place(quarter, now) else {
            continue;
        };
        let mut top = HEIGHT;
        for ((class, _), requests) in KINDS.iter().zip(kinds(quarter)) {
            if requests == 0 {
                continue;
            }
            // A bar that is there can be seen.
            let height = (requests as f64 / highest as f64 * (HEIGHT - 8.0)).max(1.5);
            top -= height;
            html!(page; "<rect class=\"" (class) "\" x=\"" (x) "\" y=\"" (format_args!("{top:.1}"))
                "\" width=\"9\" height=\"" (format_args!("{height:.1}")) "\"/>");
        }
    }
    html!(page; "</svg>");
    axis(page, now);
}

/// The price of a check since midnight.
pub(super) fn price(page: &mut Html, quarters: &[Quarter], now: SystemTime) {
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let midnight = since.as_secs() / 86_400 * 86_400;
    let midnight = SystemTime::UNIX_EPOCH + Duration::from_secs(midnight);
    let today: Vec<_> = quarters
        .iter()
        .filter(|quarter| quarter.begin >= midnight)
        .collect();
    let highest = today
        .iter()
        .map(|quarter| quarter.price)
        .fold(1.0, f64::max);
    let mut line = String::new();
    for quarter in &today {
        let age = quarter.begin.duration_since(midnight).unwrap_or_default();
        let x = age.as_secs() / (15 * 60) * BAR;
        let y = 78.0 - quarter.price / highest * 72.0;
        let _ = write!(line, "{x},{y:.1} {},{y:.1} ", x + BAR);
    }
    html!(page; "<svg class=\"price\" viewBox=\"0 0 960 80\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"The price of a check since midnight, UTC\"><polyline points=\""
        (line) "\"/></svg><p class=\"axis\"><span>00:00</span><span>highest price today: "
        (format_args!("{:.3}", if today.is_empty() { 0.0 } else {
            today.iter().map(|quarter| quarter.price).fold(0.0, f64::max)
        }))
        "</span><span>24:00 UTC</span></p>");
}

fn axis(page: &mut Html, now: SystemTime) {
    let clock = |ago: u64| {
        let at = now
            .checked_sub(Duration::from_secs(ago * 3_600))
            .unwrap_or(now);
        let text = humantime::format_rfc3339_seconds(at).to_string();
        text.get(11..16).unwrap_or_default().to_owned()
    };
    html!(page; "<p class=\"axis\"><span>" (clock(24)) "</span><span>" (clock(12))
        "</span><span>now, " (clock(0)) " UTC</span></p>");
}
