//! How rows look on disk. Numbers are little-endian; what cannot be read is `None`, never a panic.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use super::{StoredFeed, StoredVerdict};
use crate::reports::Delivered;
use crate::store::Count;
use crate::verdict::{Reputation, ThreatType};

/// An address as IPv6, IPv4 in its mapped form: the order of the keys is the order of the
/// addresses.
pub(super) type Key = [u8; 16];

/// Listed, confidence, threat type, seconds since 1970.
pub(super) type VerdictRow = [u8; 11];

pub(super) fn key(ip: IpAddr) -> Key {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

pub(super) fn verdict_row(verdict: &StoredVerdict) -> VerdictRow {
    let mut row = VerdictRow::default();
    row[0] = u8::from(verdict.reputation.listed);
    row[1] = verdict.reputation.confidence;
    row[2] = verdict.reputation.threat_type.map_or(0, threat_code);
    row[3..].copy_from_slice(&seconds(verdict.verified).to_le_bytes());
    row
}

pub(super) fn read_verdict(key: Key, row: &[u8]) -> Option<StoredVerdict> {
    let row = VerdictRow::try_from(row).ok()?;
    let [listed, confidence, threat, verified @ ..] = row;
    let reputation = Reputation {
        listed: match listed {
            0 => false,
            1 => true,
            _ => return None,
        },
        confidence: (confidence <= 100).then_some(confidence)?,
        threat_type: match threat {
            0 => None,
            code => Some(threat_type(code)?),
        },
    };
    Some(StoredVerdict {
        ip: Ipv6Addr::from(key).to_canonical(),
        reputation,
        verified: moment(u64::from_le_bytes(verified))?,
    })
}

pub(super) fn delivered_key(delivered: &Delivered) -> (Key, u8) {
    (key(delivered.ip), threat_code(delivered.threat_type))
}

/// Seconds since 1970.
pub(super) fn delivered_row(delivered: &Delivered) -> [u8; 8] {
    delivered.queued_at.to_le_bytes()
}

pub(super) fn read_delivered((key, code): (Key, u8), row: &[u8]) -> Option<Delivered> {
    Some(Delivered {
        ip: Ipv6Addr::from(key).to_canonical(),
        threat_type: threat_type(code)?,
        queued_at: u64::from_le_bytes(row.try_into().ok()?),
    })
}

/// Checks granted, and the birth of the count.
pub(super) fn count_row(count: Count) -> [u8; 12] {
    let mut row = [0; 12];
    row[..4].copy_from_slice(&count.granted.to_le_bytes());
    row[4..].copy_from_slice(&count.birth.to_le_bytes());
    row
}

pub(super) fn read_count(row: &[u8]) -> Option<Count> {
    let (granted, birth) = row.split_first_chunk()?;
    Some(Count {
        granted: u32::from_le_bytes(*granted),
        birth: u64::from_le_bytes(birth.try_into().ok()?),
    })
}

pub(super) fn feed_row(feed: &StoredFeed) -> Vec<u8> {
    let mut row = seconds(feed.fetched).to_le_bytes().to_vec();
    for word in [&feed.etag, &feed.last_modified] {
        match word {
            Some(word) => {
                row.push(1);
                // A header's value is not 4 GiB long.
                let len = u32::try_from(word.len()).unwrap_or(u32::MAX);
                row.extend(len.to_le_bytes());
                row.extend(word.as_bytes());
            }
            None => row.push(0),
        }
    }
    row.extend(&feed.text);
    row
}

pub(super) fn read_feed(row: &[u8]) -> Option<StoredFeed> {
    let (fetched, row) = row.split_first_chunk()?;
    let (etag, row) = read_word(row)?;
    let (last_modified, text) = read_word(row)?;
    Some(StoredFeed {
        text: text.to_vec(),
        etag,
        last_modified,
        fetched: moment(u64::from_le_bytes(*fetched))?,
    })
}

fn read_word(row: &[u8]) -> Option<(Option<String>, &[u8])> {
    match row.split_first()? {
        (0, rest) => Some((None, rest)),
        (1, rest) => {
            let (len, rest) = rest.split_first_chunk()?;
            let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
            let (word, rest) = rest.split_at_checked(len)?;
            let word = String::from_utf8(word.to_vec()).ok()?;
            Some((Some(word), rest))
        }
        _ => None,
    }
}

/// Seconds since 1970; what was before is 1970.
fn seconds(moment: SystemTime) -> u64 {
    moment
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn moment(seconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// These numbers are on users' disks: a new threat type takes a new one, and none is used again.
const fn threat_code(threat_type: ThreatType) -> u8 {
    match threat_type {
        ThreatType::BruteForce => 1,
        ThreatType::Spam => 2,
        ThreatType::Ddos => 3,
        ThreatType::Scan => 4,
        ThreatType::Phishing => 5,
        ThreatType::Malware => 6,
        ThreatType::Bot => 7,
        ThreatType::Other => 8,
    }
}

fn threat_type(code: u8) -> Option<ThreatType> {
    ThreatType::ALL
        .into_iter()
        .find(|threat_type| threat_code(*threat_type) == code)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any verdict, verified on a whole second.
    pub(crate) fn any_verdict() -> impl Strategy<Value = StoredVerdict> {
        let threat = proptest::option::of(proptest::sample::select(ThreatType::ALL.to_vec()));
        let ip = prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
            any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).to_canonical()),
        ];
        (ip, any::<bool>(), 0_u8..=100, threat, 0_u64..1 << 40).prop_map(
            |(ip, listed, confidence, threat_type, seconds)| StoredVerdict {
                ip,
                reputation: Reputation {
                    listed,
                    confidence,
                    threat_type,
                },
                verified: moment(seconds).unwrap(),
            },
        )
    }

    fn any_feed() -> impl Strategy<Value = StoredFeed> {
        let word = || proptest::option::of(".{0,40}");
        let text = proptest::collection::vec(any::<u8>(), 0..200);
        (text, word(), word(), 0_u64..1 << 40).prop_map(|(text, etag, last_modified, seconds)| {
            StoredFeed {
                text,
                etag,
                last_modified,
                fetched: moment(seconds).unwrap(),
            }
        })
    }

    proptest! {
        #[test]
        fn a_verdict_comes_back_as_it_was(verdict in any_verdict()) {
            let row = verdict_row(&verdict);
            prop_assert_eq!(read_verdict(key(verdict.ip), &row), Some(verdict));
        }

        #[test]
        fn a_delivery_comes_back_as_it_was(verdict in any_verdict(), queued_at in any::<u64>()) {
            let delivered = Delivered {
                ip: verdict.ip,
                threat_type: verdict.reputation.threat_type.unwrap_or(ThreatType::Other),
                queued_at,
            };
            let row = delivered_row(&delivered);
            prop_assert_eq!(read_delivered(delivered_key(&delivered), &row), Some(delivered));
        }

        #[test]
        fn a_count_comes_back_as_it_was(granted in any::<u32>(), birth in any::<u64>()) {
            let count = Count { granted, birth };
            prop_assert_eq!(read_count(&count_row(count)), Some(count));
        }

        #[test]
        fn a_feed_comes_back_as_it_was(feed in any_feed()) {
            prop_assert_eq!(read_feed(&feed_row(&feed)), Some(feed));
        }

        #[test]
        fn rows_of_any_bytes_are_read_or_not_and_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let _ = read_verdict([0; 16], &bytes);
            let _ = read_feed(&bytes);
            let _ = read_count(&bytes);
            let _ = read_delivered(([0; 16], bytes.len() as u8), &bytes);
        }
    }

    #[track_caller]
    fn check_unreadable(at: usize, value: u8) {
        let mut row: VerdictRow = [1, 100, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(read_verdict([0; 16], &row).is_some());
        row[at] = value;
        assert_eq!(read_verdict([0; 16], &row), None);
    }

    #[test]
    fn a_verdict_that_cannot_be_is_not_read() {
        check_unreadable(0, 2);
        check_unreadable(1, 101);
        check_unreadable(2, 9);
        check_unreadable(10, 0xff);
        assert_eq!(read_verdict([0; 16], &[1, 100, 8]), None);
        assert_eq!(read_verdict([0; 16], &[0; 12]), None);
    }

    #[test]
    fn the_numbers_of_the_threat_types_are_what_earlier_versions_wrote() {
        let codes = ThreatType::ALL.map(threat_code);
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_moment_before_1970_is_kept_as_1970() {
        assert_eq!(seconds(SystemTime::UNIX_EPOCH - Duration::from_secs(9)), 0);
    }
}
