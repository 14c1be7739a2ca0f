//! `ipwhois-guard feed`: whether a text is a feed, and what changed since another one.

mod difference;
mod source;

use clap::Args;
use ipwhois_guard_core::Feed;
use serde::Serialize;

use self::difference::Difference;
use self::source::{Refusal, configured, read};
use crate::input::{self, STDIN};
use crate::outcome::{Failure, Outcome, json};
use crate::table::grouped;

pub(crate) use self::source::read_file;

/// The exit code when a text is no feed, or would not be taken after the other one.
const REFUSED: u8 = 1;

/// What the feed is called that the environment names: its URL may hold a key.
const CONFIGURED: &str = "the configured feed";

/// Verify a feed as strictly as the guard does, and compare it with another one.
///
/// A feed has one IPv4 or IPv6 address or CIDR a line, and `#` comments. Lines that are neither are
/// counted and passed over. A text is refused when it is HTML, empty, or has more bad lines than
/// good ones, and when it contradicts the number of entries that it announces.
///
/// Exit code: 0 for a good feed, 1 when it is refused, with the reason on standard output, 2 for
/// wrong usage and for what cannot be read.
#[derive(Debug, Args)]
pub(crate) struct FeedCommand {
    /// The feed: a file, a URL, or `-` for standard input [default: IPWHOIS_GUARD_FEED_URL, or the
    /// service's]
    #[arg(value_name = "FILE|URL")]
    feed: Option<String>,

    /// An earlier feed, file or URL, to compare with: what was added and what was removed since.
    /// The feed is refused when the guard would not let it take the other one's place, because it
    /// lost more than half
    #[arg(long, value_name = "FILE|URL")]
    diff: Option<String>,

    /// Print what was added and removed, as lines `+ADDRESS` and `-ADDRESS`; neighbours are one
    /// range, `FIRST-LAST`
    #[arg(long, requires = "diff")]
    verbose: bool,

    /// Print an object instead of text: feed, refused (the reason, or null), entries, bad_lines,
    /// first_bad_line, generated, announced, diff (with other, added and removed as numbers of
    /// addresses and, with --verbose, added_ranges and removed_ranges)
    #[arg(long)]
    json: bool,
}

impl FeedCommand {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let report = self.report()?;
        Ok(Outcome {
            code: if report.refused.is_some() { REFUSED } else { 0 },
            text: if self.json {
                json(&report)?
            } else {
                report.text()
            },
        })
    }

    fn report(&self) -> Result<Report, Failure> {
        if [&self.feed, &self.diff].map(Option::as_deref) == [Some(STDIN); 2] {
            let both = "option --diff: standard input is the feed already";
            return Err(Failure::new(both));
        }
        let (name, feed) = match &self.feed {
            Some(place) => (place.as_str(), read("", place)),
            None => (CONFIGURED, configured()),
        };
        let feed = match feed {
            Ok(feed) => feed,
            Err(refusal) => return Report::refused(name, refusal),
        };
        let mut report = Report::of(name, &feed);
        if let Some(other) = &self.diff {
            match read("option --diff: ", other) {
                Ok(before) => {
                    let refused = feed.may_replace(&before).err();
                    report.refused = refused.map(|error| error.to_string());
                    let difference = Difference::between(&before, &feed);
                    report.diff = Some(Diff::new(other, &difference, self.verbose));
                }
                Err(Refusal::Unreadable(failure)) => return Err(failure),
                Err(Refusal::NoFeed(reason)) => {
                    let other = input::printable(other.as_bytes());
                    return Err(Failure::new(format!(
                        "option --diff: {other} is no feed to compare with: {reason}"
                    )));
                }
            }
        }
        Ok(report)
    }
}

#[derive(Debug, Serialize)]
struct Report {
    feed: String,
    refused: Option<String>,
    entries: Option<u64>,
    bad_lines: Option<u64>,
    first_bad_line: Option<String>,
    generated: Option<String>,
    announced: Option<u64>,
    diff: Option<Diff>,
}

#[derive(Debug, Serialize)]
struct Diff {
    other: String,
    added: u128,
    removed: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    added_ranges: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_ranges: Option<Vec<String>>,
}

impl Diff {
    fn new(other: &str, difference: &Difference, verbose: bool) -> Self {
        Self {
            other: other.to_owned(),
            added: difference.added.addresses(),
            removed: difference.removed.addresses(),
            added_ranges: verbose.then(|| difference.added.shown()),
            removed_ranges: verbose.then(|| difference.removed.shown()),
        }
    }
}

impl Report {
    fn of(name: &str, feed: &Feed) -> Self {
        Self {
            feed: name.to_owned(),
            refused: None,
            entries: Some(feed.len() as u64),
            bad_lines: Some(feed.bad_lines() as u64),
            first_bad_line: feed.first_bad_line().map(ToString::to_string),
            generated: feed.generated().map(str::to_owned),
            announced: feed.announced().map(|announced| announced as u64),
            diff: None,
        }
    }

    /// A text that is no feed is an answer; one that cannot be read is none.
    fn refused(name: &str, refusal: Refusal) -> Result<Self, Failure> {
        match refusal {
            Refusal::Unreadable(failure) => Err(failure),
            Refusal::NoFeed(reason) => Ok(Self {
                feed: name.to_owned(),
                refused: Some(reason),
                entries: None,
                bad_lines: None,
                first_bad_line: None,
                generated: None,
                announced: None,
                diff: None,
            }),
        }
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        let name = input::printable(self.feed.as_bytes());
        lines.push(match &self.refused {
            Some(reason) => format!("{name}: refused: {reason}"),
            None => format!("{name}: good"),
        });
        for (field, number) in [
            ("entries", self.entries),
            ("bad lines", self.bad_lines),
            ("announced", self.announced),
        ] {
            lines.extend(number.map(|number| format!("  {field}: {}", grouped(number))));
        }
        for (field, text) in [
            ("first bad line", &self.first_bad_line),
            ("generated", &self.generated),
        ] {
            lines.extend(text.as_ref().map(|text| format!("  {field}: {text}")));
        }
        if let Some(diff) = &self.diff {
            lines.push(format!(
                "  since {}: {} addresses added, {} removed",
                input::printable(diff.other.as_bytes()),
                diff.added,
                diff.removed
            ));
            for (sign, ranges) in [('+', &diff.added_ranges), ('-', &diff.removed_ranges)] {
                let ranges = ranges.iter().flatten();
                lines.extend(ranges.map(|range| format!("{sign}{range}")));
            }
        }
        lines.join("\n") + "\n"
    }
}
