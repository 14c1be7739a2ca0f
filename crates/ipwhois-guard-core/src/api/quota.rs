//! What is left of the service's limit, as the usual headers say it.
//!
//! Read are `RateLimit-Remaining` and `RateLimit-Reset` (the IETF draft up to version 7), their
//! `X-` forms that came before, and the one header `RateLimit` in its older
//! (`limit=10, remaining=5, reset=30`) and newer (`"default";r=5;t=30`) writing. The service
//! documents none of them. Rubbish is no word.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;

use crate::service::Quota;

/// A reset beyond this many seconds is no duration but a date in seconds since 1970, as some
/// servers write it.
const A_DATE: u64 = 1_000_000_000;

pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Option<Quota> {
    let pair = |left: &str, reset: &str| {
        let left = number(headers.get(left)?.to_str().ok()?)?;
        let reset = headers.get(reset).and_then(|value| value.to_str().ok());
        Some((left, reset.and_then(number)))
    };
    let (left, reset) = pair("ratelimit-remaining", "ratelimit-reset")
        .or_else(|| pair("x-ratelimit-remaining", "x-ratelimit-reset"))
        .or_else(|| joined(headers.get("ratelimit")?.to_str().ok()?))?;
    Some(Quota {
        left: u32::try_from(left).unwrap_or(u32::MAX),
        resets_in: reset.map(|reset| until(reset, now)),
    })
}

/// Both in one header. Of several policies the first one counts.
fn joined(text: &str) -> Option<(u64, Option<u64>)> {
    let parameter = |names: [&str; 2]| {
        text.split([';', ',']).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            names
                .contains(&name.trim())
                .then(|| number(value))
                .flatten()
        })
    };
    Some((parameter(["remaining", "r"])?, parameter(["reset", "t"])))
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().unwrap_or(u64::MAX))
}

fn until(reset: u64, now: SystemTime) -> Duration {
    if reset < A_DATE {
        return Duration::from_secs(reset);
    }
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH);
    Duration::from_secs(reset).saturating_sub(since_epoch.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[track_caller]
    fn check(lines: &[(&'static str, &str)], expected: Option<(u32, Option<u64>)>) {
        let headers: HeaderMap = lines
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_str(value).unwrap();
                (HeaderName::from_static(name), value)
            })
            .collect();
        let quota = read(&headers, ManualClock::new().wall());
        let told = quota.map(|quota| (quota.left, quota.resets_in.map(|time| time.as_secs())));
        assert_eq!(told, expected, "{lines:?}");
    }

    #[test]
    fn every_usual_writing_is_read() {
        check(&[], None);
        check(&[("ratelimit-remaining", "12")], Some((12, None)));
        check(
            &[("ratelimit-remaining", "0"), ("ratelimit-reset", "60")],
            Some((0, Some(60))),
        );
        check(
            &[
                ("x-ratelimit-remaining", "7"),
                ("x-ratelimit-reset", "1767225660"),
            ],
            Some((7, Some(60))),
        );
        check(
            &[("ratelimit", "limit=10, remaining=5, reset=30")],
            Some((5, Some(30))),
        );
        check(&[("ratelimit", "\"day\";r=5;t=30")], Some((5, Some(30))));
        check(
            &[("ratelimit-remaining", "3"), ("x-ratelimit-remaining", "9")],
            Some((3, None)),
        );
    }

    #[test]
    fn rubbish_is_no_word() {
        for value in ["", "-1", "1.5", "many", "0x5", "5;"] {
            check(&[("ratelimit-remaining", value)], None);
        }
        for value in ["", ";;;", "r=", "remaining=-3", "\"r\"=5"] {
            check(&[("ratelimit", value)], None);
        }
        check(
            &[("ratelimit-remaining", "99999999999999999999999")],
            Some((u32::MAX, None)),
        );
        check(
            &[("ratelimit-remaining", "5"), ("ratelimit-reset", "soon")],
            Some((5, None)),
        );
        let past = "1000000001";
        check(
            &[("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", past)],
            Some((5, Some(0))),
        );
    }
}
