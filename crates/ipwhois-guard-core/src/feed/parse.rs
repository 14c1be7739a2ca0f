//! Reading a feed: strict about each line, and suspicious of the whole.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::SystemTime;

use super::error::{BadLine, FeedError};
use crate::ip_set::{Collector, IpSet, Network, lines, without_mark};
use crate::shown::printable;

/// The longest feed that is read, in bytes: some four million addresses.
pub(super) const LIMIT: usize = 64 * 1_024 * 1_024;

/// The largest networks that an entry may name: /8 in IPv4, /16 in IPv6. Each of these is its last
/// address less its first.
const LARGEST_IPV4: u32 = u32::MAX >> 8;
const LARGEST_IPV6: u128 = u128::MAX >> 16;

/// A feed: the addresses that the service lists, as one text.
///
/// One address or CIDR a line, IPv4 or IPv6; `#` comments on a line of their own or after an entry;
/// blank lines; LF or CRLF; with or without a UTF-8 byte order mark. A line that is none of it is
/// counted and passed over, and so is a network that covers far too much: one shorter than /8
/// (IPv4) or /16 (IPv6). A text that cannot be a feed as a whole is refused.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ipwhois_guard_core::Feed;
///
/// let feed = Feed::parse(b"# Generated: 2026-08-22 04:30:03 UTC | Entries: 2\n25.0.0.1\n26.1.0.0/16 # a whole network\n")?;
/// assert_eq!(feed.len(), 2);
/// assert!(feed.contains("26.1.2.3".parse()?));
/// assert_eq!(feed.generated(), Some("2026-08-22 04:30:03 UTC"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Feed {
    listed: IpSet,
    entries: usize,
    bad_lines: usize,
    first_bad_line: Option<BadLine>,
    header: Header,
}

impl Feed {
    /// Reads a feed's text.
    ///
    /// # Errors
    ///
    /// [`FeedError::TooLong`] above 64 MiB, [`FeedError::Html`] when the first byte that is no
    /// white space is `<`, [`FeedError::BadLines`] when more lines are bad than good,
    /// [`FeedError::Contradiction`] when the number of lines with an entry, good or bad, is not the
    /// one in the last `# Generated: … | Entries: N`, and [`FeedError::Empty`] without any entry.
    pub fn parse(text: &[u8]) -> Result<Self, FeedError> {
        if text.len() > LIMIT {
            return Err(FeedError::TooLong { limit: LIMIT });
        }
        if without_mark(text).trim_ascii_start().first() == Some(&b'<') {
            return Err(FeedError::Html { length: text.len() });
        }
        let mut listed = Collector::default();
        let mut good = 0;
        let mut bad = 0;
        let mut first = None;
        let mut header = Header::default();
        for line in lines(text) {
            if line.entry.is_empty() {
                if let Some(comment) = line.comment {
                    header.read(comment);
                }
                continue;
            }
            match network(line.entry) {
                Ok(network) => {
                    good += 1;
                    listed.add(network);
                }
                Err(reason) => {
                    bad += 1;
                    first.get_or_insert_with(|| BadLine {
                        line: line.number,
                        text: printable(line.entry),
                        reason,
                    });
                }
            }
        }
        if let Some(first) = &first
            && bad > good
        {
            let first = first.clone();
            return Err(FeedError::BadLines { bad, good, first });
        }
        let found = good + bad;
        if let Some(announced) = header.entries
            && announced != found
        {
            return Err(FeedError::Contradiction { announced, found });
        }
        if good == 0 {
            return Err(FeedError::Empty { length: text.len() });
        }
        let (listed, entries) = listed.finish_and_count();
        Ok(Self {
            listed,
            entries,
            bad_lines: bad,
            first_bad_line: first,
            header,
        })
    }

    /// The number of different entries. A CIDR is one, whatever it covers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether nothing is listed, which no feed that was read says.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Whether an address is listed. IPv4 is asked for as IPv4: an IPv4-mapped IPv6 address is to
    /// be made canonical first ([`IpAddr::to_canonical`]).
    #[must_use]
    #[inline]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.listed.contains(ip)
    }

    /// How many lines were passed over, as neither an address nor a CIDR or as far too large a
    /// network.
    #[must_use]
    pub fn bad_lines(&self) -> usize {
        self.bad_lines
    }

    /// The first of the [bad lines](Self::bad_lines).
    #[must_use]
    pub fn first_bad_line(&self) -> Option<&BadLine> {
        self.first_bad_line.as_ref()
    }

    /// When the service made the feed, as its comment `# Generated: … | Entries: N` says it:
    /// `2026-08-22 04:30:03 UTC`. Shortened to 80 characters.
    #[must_use]
    pub fn generated(&self) -> Option<&str> {
        self.header.generated.as_deref()
    }

    /// The same as a time; `None` for one that cannot be read.
    pub(super) fn generated_at(&self) -> Option<SystemTime> {
        let text = self.generated()?.trim_end_matches("UTC").trim_end();
        humantime::parse_rfc3339_weak(text).ok()
    }

    /// How many entries that comment announces.
    #[must_use]
    pub fn announced(&self) -> Option<usize> {
        self.header.entries
    }

    /// What is listed, in ascending order, IPv4 first. Entries that overlap or touch are one range:
    /// there is at least one address between a range and the next.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<IpAddr>> {
        self.listed.ranges()
    }

    /// Whether it may take the place of `last_good`.
    ///
    /// # Errors
    ///
    /// [`FeedError::Shrunk`] when it has less than half as many entries.
    pub fn may_replace(&self, last_good: &Self) -> Result<(), FeedError> {
        let (before, now) = (last_good.len(), self.len());
        if now < before.div_ceil(2) {
            return Err(FeedError::Shrunk { before, now });
        }
        Ok(())
    }

    /// Whether it lists the same addresses.
    pub(super) fn lists_what(&self, other: &Self) -> bool {
        self.listed == other.listed
    }
}

fn network(entry: &[u8]) -> Result<Network, String> {
    let network = Network::read(entry).map_err(|reason| reason.to_string())?;
    match network {
        Network::V4((first, last)) if last - first > LARGEST_IPV4 => {
            Err("covers too much: its prefix is shorter than 8".to_owned())
        }
        Network::V6((first, last)) if last - first > LARGEST_IPV6 => {
            Err("covers too much: its prefix is shorter than 16".to_owned())
        }
        _ => Ok(network),
    }
}

/// What the service says of the feed in a comment:
/// `Generated: 2026-08-22 04:30:03 UTC | Entries: 884`.
#[derive(Clone, Debug, Default)]
struct Header {
    generated: Option<String>,
    entries: Option<usize>,
}

impl Header {
    /// Takes in a comment. What is said twice counts as it was said last, so that two feeds in a
    /// row contradict themselves.
    fn read(&mut self, comment: &[u8]) {
        let Some(rest) = comment.trim_ascii().strip_prefix(b"Generated:") else {
            return;
        };
        let mut fields = rest.split(|&byte| byte == b'|').map(<[u8]>::trim_ascii);
        let generated = fields.next().filter(|date| !date.is_empty());
        let entries = fields
            .find_map(|field| field.strip_prefix(b"Entries:"))
            .and_then(|number| count(number.trim_ascii()));
        self.generated = generated.map(printable).or(self.generated.take());
        self.entries = entries.or(self.entries);
    }
}

fn count(digits: &[u8]) -> Option<usize> {
    let digits = str::from_utf8(digits).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    // More digits than fit are a number all the same, and one that no feed keeps to.
    is_number.then(|| digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests;
