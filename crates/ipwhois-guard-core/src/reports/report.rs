//! One report, and its form on disk.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::message;
use super::recent::Pair;
use crate::error::ReportError;
use crate::verdict::ThreatType;

/// The version of the form on disk.
const VERSION: u32 = 1;

/// The longest row: 1,024 characters of 4 bytes, and room for the rest.
const MAX_ROW: usize = 8 * 1_024;

/// An attacker, and what was seen of it. Its texts are fit to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    ip: IpAddr,
    threat_type: ThreatType,
    message: String,
    source: Cow<'static, str>,
}

impl Report {
    /// A report without a message, from the source `waf`.
    pub(crate) fn new(ip: IpAddr, threat_type: ThreatType) -> Self {
        Self {
            ip: ip.to_canonical(),
            threat_type,
            message: String::new(),
            source: Cow::Borrowed(message::DEFAULT_SOURCE),
        }
    }

    /// Says what was seen. Made one line of 1,024 characters at most; need not be UTF-8.
    #[must_use]
    pub(crate) fn with_message(mut self, text: impl AsRef<[u8]>) -> Self {
        self.message = message::message(text.as_ref());
        self
    }

    /// Says who reports.
    ///
    /// # Errors
    /// When it is no name of `a-z`, `0-9`, `-`, `_` and `.`, of 64 bytes at most.
    pub(crate) fn with_source(mut self, name: &str) -> Result<Self, ReportError> {
        let name = message::source(name)?;
        if name != self.source {
            self.source = Cow::Owned(name.to_owned());
        }
        Ok(self)
    }

    pub(crate) const fn ip(&self) -> IpAddr {
        self.ip
    }

    pub(crate) const fn threat_type(&self) -> ThreatType {
        self.threat_type
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(super) const fn pair(&self) -> Pair {
        (self.ip, self.threat_type)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    v: u32,
    at: u64,
    ip: IpAddr,
    r#type: Cow<'a, str>,
    message: Cow<'a, str>,
    source: Cow<'a, str>,
}

/// The bytes of a report that was queued at this time, in seconds since 1970.
pub(super) fn encode(report: &Report, queued_at: u64) -> Vec<u8> {
    let row = Row {
        v: VERSION,
        at: queued_at,
        ip: report.ip,
        r#type: Cow::Borrowed(report.threat_type.as_str()),
        message: Cow::Borrowed(&report.message),
        source: Cow::Borrowed(&report.source),
    };
    // A struct of numbers and texts always has a JSON form.
    serde_json::to_vec(&row).unwrap_or_default()
}

/// The report and when it was queued. `None` when the bytes are of another version or not what was
/// written.
pub(super) fn decode(row: &[u8]) -> Option<(Report, u64)> {
    // A struct is also read from a JSON array, by position, which was never written.
    if row.len() > MAX_ROW || row.first() != Some(&b'{') {
        return None;
    }
    let row: Row<'_> = serde_json::from_slice(row).ok()?;
    if row.v != VERSION {
        return None;
    }
    let report = Report::new(row.ip, row.r#type.parse().ok()?)
        .with_message(row.message.as_bytes())
        .with_source(&row.source)
        .ok()?;
    let is_unchanged = report.ip == row.ip && report.message == row.message;
    is_unchanged.then_some((report, row.at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(25, 0, 0, 1));

    #[track_caller]
    fn refuse(row: &str) {
        assert_eq!(decode(row.as_bytes()), None, "{row}");
    }

    #[test]
    fn a_report_is_for_the_ipv4_address_inside_a_mapped_one() {
        let report = Report::new("::ffff:25.0.0.1".parse().unwrap(), ThreatType::Scan);
        assert_eq!(report.ip(), IP);
        assert_eq!((report.message(), report.source()), ("", "waf"));
    }

    #[test]
    fn a_row_reads_the_same_in_every_version_to_come() {
        let row = r#"{"v":1,"at":1767225600,"ip":"25.0.0.1","type":"brute-force","message":"a \"b\"","source":"waf"}"#;
        let report = Report::new(IP, ThreatType::BruteForce).with_message(r#"a "b""#);
        assert_eq!(
            decode(row.as_bytes()),
            Some((report.clone(), 1_767_225_600))
        );
        assert_eq!(
            String::from_utf8(encode(&report, 1_767_225_600)).unwrap(),
            row
        );
    }

    #[test]
    fn a_row_of_another_version_or_of_rubbish_is_no_report() {
        let row = |change: fn(String) -> String| {
            let row = encode(&Report::new(IP, ThreatType::Scan).with_message("m"), 5);
            change(String::from_utf8(row).unwrap())
        };
        assert!(decode(row(|row| row).as_bytes()).is_some());
        refuse(&row(|row| row.replace("\"v\":1", "\"v\":2")));
        refuse(&row(|row| row.replace("scan", "cryptomining")));
        refuse(&row(|row| row.replace("25.0.0.1", "25.0.0")));
        refuse(&row(|row| row.replace("25.0.0.1", "::ffff:25.0.0.1")));
        refuse(&row(|row| row.replace("\"m\"", r#""a\nb""#)));
        refuse(&row(|row| row.replace("waf", "W A F")));
        refuse(&row(|row| row.replace("\"at\":5", "\"at\":-5")));
        refuse(&row(|row| row.replace('}', ",\"more\":1}")));
        refuse(&row(|row| row.replace('}', "")));
        refuse(&row(|row| {
            row.replace("\"m\"", &format!("\"{}\"", "m".repeat(9_000)))
        }));
        refuse(r#"[1,5,"25.0.0.1","scan","m","waf"]"#);
        refuse("");
        refuse("null");
    }

    proptest! {
        #[test]
        fn every_report_comes_back_from_its_row(
            ip: IpAddr,
            kind in 0..ThreatType::ALL.len(),
            text in prop::collection::vec(any::<char>(), 0..1_200),
            at: u64,
        ) {
            let report = Report::new(ip, ThreatType::ALL[kind])
                .with_message(String::from_iter(text))
                .with_source("my-app")
                .unwrap();
            prop_assert_eq!(decode(&encode(&report, at)), Some((report, at)));
        }

        #[test]
        fn no_bytes_make_it_panic(row: Vec<u8>) {
            prop_assert_eq!(decode(&row), None);
        }
    }
}
