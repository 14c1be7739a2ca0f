//! `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How long the service asks to be left alone. `None` without the header, with a date that has
/// passed, or with rubbish.
pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean "very long"; the caller limits it.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    httpdate::parse_http_date(text)
        .ok()?
        .duration_since(now)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[track_caller]
    fn check(value: &str, seconds: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        let read = read(&headers, ManualClock::new().wall());
        assert_eq!(read, seconds.map(Duration::from_secs), "{value:?}");
    }

    #[test]
    fn seconds_and_dates_are_read_and_rubbish_is_not() {
        check("120", Some(120));
        check("0", Some(0));
        check("99999999999999999999999", Some(u64::MAX));
        check("Thu, 01 Jan 2026 00:01:00 GMT", Some(60));
        check("Wed, 31 Dec 2025 00:01:00 GMT", None);
        check("-5", None);
        check("1.5", None);
        check("soon", None);
        check("", None);
    }

    #[test]
    fn no_header_is_no_answer() {
        assert_eq!(read(&HeaderMap::new(), ManualClock::new().wall()), None);
    }
}
