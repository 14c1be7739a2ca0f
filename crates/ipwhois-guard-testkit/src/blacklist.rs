//! The addresses that the stand-in knows, its feed, and who may ask how often.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What is known of a listed address.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) confidence: u8,
    pub(crate) threat_type: Arc<str>,
}

/// The listed addresses. An IPv4-mapped IPv6 address means the IPv4 inside it.
#[derive(Debug, Default)]
pub(crate) struct Blacklist {
    listings: HashMap<IpAddr, Listing>,
}

impl Blacklist {
    pub(crate) fn list(&mut self, ip: IpAddr, listing: Listing) {
        self.listings.insert(ip.to_canonical(), listing);
    }

    pub(crate) fn unlist(&mut self, ip: IpAddr) {
        self.listings.remove(&ip.to_canonical());
    }

    pub(crate) fn get(&self, ip: IpAddr) -> Option<&Listing> {
        self.listings.get(&ip.to_canonical())
    }

    pub(crate) fn len(&self) -> usize {
        self.listings.len()
    }
}

/// The addresses in a feed's text: one a line, `#` starts a comment, lines that are no address are
/// passed over.
pub(crate) fn feed_addresses(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines()
        .map(|line| line.split_once('#').map_or(line, |(entry, _)| entry).trim())
        .filter_map(|entry| entry.parse().ok())
}

/// The text at `/feed.txt` and the two validators that stand for it.
#[derive(Debug)]
pub(crate) struct Feed {
    text: Arc<str>,
    last_modified: SystemTime,
}

impl Feed {
    /// A feed without an address. `started` is the stand-in's start.
    pub(crate) fn empty(started: SystemTime) -> Self {
        let text = "# Blacklist feed of the stand-in\n\
                    # Generated: 2026-08-22 04:30:03 UTC | Entries: 0\n";
        // In the past, so that the steps of `set` do not lead into the future.
        let last_modified = started
            .checked_sub(Duration::from_secs(24 * 60 * 60))
            .unwrap_or(SystemTime::UNIX_EPOCH);
        Self {
            text: text.into(),
            last_modified,
        }
    }

    /// Replaces the text. Each change is a second newer than the one before, however quickly they
    /// follow each other: HTTP dates know no fractions, and a change must never look like "not
    /// modified".
    pub(crate) fn set(&mut self, text: &str) {
        if *self.text == *text {
            return;
        }
        self.text = text.into();
        self.last_modified += Duration::from_secs(1);
    }

    pub(crate) fn text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    pub(crate) fn etag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.text.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }

    pub(crate) fn last_modified(&self) -> String {
        httpdate::fmt_http_date(self.last_modified)
    }

    /// Whether a client with these validators has this text already. `If-None-Match` goes before
    /// `If-Modified-Since` (RFC 9110, section 13.2.2).
    pub(crate) fn is_known_to(
        &self,
        if_none_match: Option<&str>,
        if_modified_since: Option<&str>,
    ) -> bool {
        if let Some(known) = if_none_match {
            let etag = self.etag();
            return known
                .split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag);
        }
        // Compared as text's worth of whole seconds, as the client was told.
        let date = |text: &str| httpdate::parse_http_date(text).ok();
        match (
            if_modified_since.and_then(date),
            date(&self.last_modified()),
        ) {
            (Some(since), Some(modified)) => modified <= since,
            _ => false,
        }
    }
}

/// Who is let in to check, and how often.
#[derive(Debug, Default)]
pub(crate) struct Access {
    key: Option<String>,
    limit: Option<u32>,
    used: u32,
}

/// What [`Access`] says to a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Admitted,
    KeyRefused,
    LimitReached,
}

impl Access {
    pub(crate) fn require_key(&mut self, key: Option<&str>) {
        self.key = key.map(str::to_owned);
    }

    /// Sets the limit and counts from zero.
    pub(crate) fn limit(&mut self, limit: Option<u32>) {
        self.limit = limit;
        self.used = 0;
    }

    pub(crate) fn reset(&mut self) {
        self.used = 0;
    }

    /// Judges a check, and takes one from the limit when it is let in. A check without a readable
    /// address (`is_address` false) costs nothing.
    pub(crate) fn admit(&mut self, key: Option<&str>, is_address: bool) -> Admission {
        if self.key.is_some() && self.key.as_deref() != key {
            return Admission::KeyRefused;
        }
        if !is_address {
            return Admission::Admitted;
        }
        if self.limit.is_some_and(|limit| self.used >= limit) {
            return Admission::LimitReached;
        }
        self.used = self.used.saturating_add(1);
        Admission::Admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_read_line_by_line() {
        let text =
            "# Generated: now | Entries: 3\n25.0.0.1\r\n  25.0.0.2 # twice\n\nnonsense\n3ffe::1";
        let addresses: Vec<String> = feed_addresses(text).map(|ip| ip.to_string()).collect();
        assert_eq!(addresses, ["25.0.0.1", "25.0.0.2", "3ffe::1"]);
    }

    #[test]
    fn validators_change_with_the_text() {
        let mut feed = Feed::empty(SystemTime::now());
        let (etag, modified) = (feed.etag(), feed.last_modified());
        assert!(feed.is_known_to(Some(&etag), None));
        assert!(feed.is_known_to(Some(&format!("\"x\", W/{etag}")), None));
        assert!(feed.is_known_to(Some("*"), None));
        assert!(feed.is_known_to(None, Some(&modified)));

        feed.set("25.0.0.1\n");
        assert!(!feed.is_known_to(Some(&etag), None));
        assert!(!feed.is_known_to(None, Some(&modified)));
        assert!(!feed.is_known_to(None, Some("no date")));
        assert!(!feed.is_known_to(None, None));
        let newer = feed.last_modified();
        assert!(
            !feed.is_known_to(Some(&etag), Some(&newer)),
            "If-None-Match goes first"
        );

        feed.set("25.0.0.1\n");
        assert_eq!(feed.last_modified(), newer, "the same text is no change");
    }

    #[test]
    fn the_limit_counts_checks_that_were_let_in() {
        let mut access = Access::default();
        access.limit(Some(1));
        access.require_key(Some("secret"));
        assert_eq!(access.admit(None, true), Admission::KeyRefused);
        assert_eq!(access.admit(Some("other"), true), Admission::KeyRefused);
        assert_eq!(access.admit(Some("secret"), false), Admission::Admitted);
        assert_eq!(access.admit(Some("secret"), true), Admission::Admitted);
        assert_eq!(access.admit(Some("secret"), true), Admission::LimitReached);
        access.reset();
        assert_eq!(access.admit(Some("secret"), true), Admission::Admitted);
    }
}
