//! Verdicts and announcements as text. The first byte is the version of the format; a text that
//! this version would not have written is none.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use ipwhois_guard_core::Reputation;
use ipwhois_guard_core::store::{Announcement, BanRecord, SharedVerdict};

/// `1 listed 95 scan 1790000000`: version, listed or clean, confidence, threat type or `-`, seconds
/// since 1970.
pub(crate) fn write_verdict(verdict: &SharedVerdict) -> String {
    format!("1 {}", verdict_words(verdict))
}

pub(crate) fn read_verdict(text: &str) -> Option<SharedVerdict> {
    let verdict = read_verdict_words(text.strip_prefix("1 ")?)?;
    (write_verdict(&verdict) == text).then_some(verdict)
}

/// `1 verdict 25.0.0.7 listed 95 scan 1790000000`, `1 ban 25.0.0.7 3600000`, `1 unban 25.0.0.7`.
/// What is left of a ban is in milliseconds, and so is the age that follows in what is told again.
pub(crate) fn write_announcement(announcement: &Announcement) -> String {
    let mut text = String::from("1 ");
    // Writing to a string cannot fail.
    let _ = match announcement {
        Announcement::Listed { ip, verdict } => {
            write!(text, "verdict {ip} {}", verdict_words(verdict))
        }
        Announcement::Ban(BanRecord { scope, age, left }) => {
            let _ = if left.is_zero() {
                write!(text, "unban {scope}")
            } else {
                write!(text, "ban {scope} {}", millis(*left))
            };
            match whole_millis(*age) {
                0 => Ok(()),
                age => write!(text, " {age}"),
            }
        }
    };
    text
}

pub(crate) fn read_announcement(text: &str) -> Option<Announcement> {
    let (kind, rest) = text.strip_prefix("1 ")?.split_once(' ')?;
    let (ip, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let announcement = match kind {
        "verdict" => {
            let verdict = read_verdict_words(rest)?;
            let ip = ip.parse().ok()?;
            verdict
                .reputation
                .listed
                .then_some(Announcement::Listed { ip, verdict })?
        }
        "ban" => {
            let (left, age) = rest.split_once(' ').unwrap_or((rest, "0"));
            let left = read_length(left).filter(|left| !left.is_zero())?;
            read_ban(ip, age, left).map(Announcement::Ban)?
        }
        "unban" => {
            let age = if rest.is_empty() { "0" } else { rest };
            read_ban(ip, age, Duration::ZERO).map(Announcement::Ban)?
        }
        _ => return None,
    };
    (write_announcement(&announcement) == text).then_some(announcement)
}

/// The longest time that anything is kept.
pub(crate) const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A length for Redis, which takes neither zero nor more than its clock holds.
pub(crate) fn millis(length: Duration) -> u64 {
    let millis = length.clamp(Duration::from_millis(1), LONGEST).as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}

/// A length that may be nothing.
pub(crate) fn whole_millis(length: Duration) -> u64 {
    u64::try_from(length.min(LONGEST).as_millis()).unwrap_or(u64::MAX)
}

/// What is said of a scope: how long ago, and what is left of the ban.
pub(crate) fn read_ban(scope: &str, age: &str, left: Duration) -> Option<BanRecord> {
    Some(BanRecord {
        scope: scope.parse().ok()?,
        age: read_length(age)?,
        left,
    })
}

pub(crate) fn read_length(text: &str) -> Option<Duration> {
    let length = Duration::from_millis(text.parse().ok()?);
    (length <= LONGEST).then_some(length)
}

fn verdict_words(verdict: &SharedVerdict) -> String {
    let Reputation {
        listed,
        confidence,
        threat_type,
    } = verdict.reputation;
    let listed = if listed { "listed" } else { "clean" };
    let threat_type = threat_type.map_or("-", |threat_type| threat_type.as_str());
    let seconds = verdict
        .verified
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    format!("{listed} {confidence} {threat_type} {seconds}")
}

fn read_verdict_words(words: &str) -> Option<SharedVerdict> {
    let mut words = words.split(' ');
    let listed = match words.next()? {
        "listed" => true,
        "clean" => false,
        _ => return None,
    };
    let confidence = words.next()?.parse().ok().filter(|n| *n <= 100)?;
    let threat_type = match words.next()? {
        "-" => None,
        word => Some(word.parse().ok()?),
    };
    let seconds = Duration::from_secs(words.next()?.parse().ok()?);
    Some(SharedVerdict {
        reputation: Reputation {
            listed,
            confidence,
            threat_type,
        },
        verified: SystemTime::UNIX_EPOCH.checked_add(seconds)?,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use ipwhois_guard_core::ThreatType;
    use ipwhois_guard_core::store::Scope;
    use proptest::prelude::*;

    use super::*;

    fn any_ip() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
            any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).to_canonical()),
        ]
    }

    fn any_verdict(listed: impl Strategy<Value = bool>) -> impl Strategy<Value = SharedVerdict> {
        let threat_type = proptest::option::of(proptest::sample::select(ThreatType::ALL.to_vec()));
        (listed, 0_u8..=100, threat_type, 0_u64..1 << 40).prop_map(
            |(listed, confidence, threat_type, seconds)| SharedVerdict {
                reputation: Reputation {
                    listed,
                    confidence,
                    threat_type,
                },
                verified: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            },
        )
    }

    fn any_announcement() -> impl Strategy<Value = Announcement> {
        let longest = u64::try_from(LONGEST.as_millis()).unwrap();
        prop_oneof![
            (any_ip(), any_verdict(Just(true)))
                .prop_map(|(ip, verdict)| Announcement::Listed { ip, verdict }),
            (any_ip(), 0..3_usize, 0..=longest, 0..=longest).prop_map(|(ip, wider, age, left)| {
                let scopes: Vec<_> = Scope::of(ip).with_wider().collect();
                let [age, left] = [age, left].map(Duration::from_millis);
                let scope = scopes[wider % scopes.len()];
                Announcement::Ban(BanRecord { scope, age, left })
            }),
            any_ip().prop_map(|ip| Announcement::Ban(BanRecord {
                scope: Scope::of(ip),
                age: Duration::ZERO,
                left: Duration::ZERO,
            })),
        ]
    }

    proptest! {
        #[test]
        fn a_verdict_comes_back_as_it_was(verdict in any_verdict(any::<bool>())) {
            prop_assert_eq!(read_verdict(&write_verdict(&verdict)), Some(verdict));
        }

        #[test]
        fn an_announcement_comes_back_as_it_was(announcement in any_announcement()) {
            let text = write_announcement(&announcement);
            prop_assert_eq!(read_announcement(&text), Some(announcement));
        }

        #[test]
        fn a_text_with_one_character_changed_is_another_one_or_none(
            announcement in any_announcement(),
            at in any::<proptest::sample::Index>(),
            with in " -09abz.:\u{e9}",
        ) {
            let text = write_announcement(&announcement);
            let mut changed: Vec<char> = text.chars().collect();
            let at = at.index(changed.len());
            changed[at] = with.chars().next().unwrap();
            let changed: String = changed.into_iter().collect();
            if changed != text {
                prop_assert_ne!(read_announcement(&changed), Some(announcement));
            }
        }

        #[test]
        fn any_text_is_read_or_not_and_never_panics(text in "(1 )?(verdict |ban |unban )?.{0,40}") {
            let _ = read_verdict(&text);
            let _ = read_announcement(&text);
        }
    }

    #[track_caller]
    fn check_none(text: &str) {
        assert_eq!(read_verdict(text), None, "{text}");
        assert_eq!(read_announcement(text), None, "{text}");
    }

    #[test]
    fn what_this_version_does_not_write_is_not_read() {
        let verdict = "1 listed 95 scan 1790000000";
        assert!(read_verdict(verdict).is_some());
        check_none("");
        check_none("1");
        check_none("0 listed 95 scan 1790000000");
        check_none("2 listed 95 scan 1790000000");
        check_none("1 listed 101 scan 1790000000");
        check_none("1 listed +95 scan 1790000000");
        check_none("1 listed 095 scan 1790000000");
        check_none("1 listed 95 scam 1790000000");
        check_none("1 listed 95 scan 1790000000 ");
        check_none("1 listed 95 scan -1");
        check_none("1 listed 95 scan 99999999999999999999");
        check_none("1 listed 95  scan 1790000000");
        check_none("1 maybe 95 scan 1790000000");
        check_none("1 verdict 25.0.0.7 clean 0 - 1790000000");
        check_none("1 verdict 25.0.0.07 listed 95 scan 1790000000");
        check_none("1 ban 25.0.0.7 0");
        check_none("1 ban 25.0.0.7");
        check_none("1 ban 25.0.0.7 99999999999999");
        check_none("1 ban 25.0.0.7 1 0");
        check_none("1 ban 25.0.0.7 1 1 1");
        check_none("1 ban 3ffe::1 1");
        check_none("1 ban 3ffe::/64 1");
        check_none("1 unban 25.0.0.7 0");
        check_none("1 pardon 25.0.0.7");
    }

    #[test]
    fn the_texts_are_what_earlier_versions_wrote() {
        let verdict = read_verdict("1 listed 95 scan 1790000000").unwrap();
        let announcement = Announcement::Listed {
            ip: [25, 0, 0, 7].into(),
            verdict,
        };
        assert_eq!(
            write_announcement(&announcement),
            "1 verdict 25.0.0.7 listed 95 scan 1790000000"
        );
    }

    #[test]
    fn a_length_is_what_redis_takes() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_micros(1500)), 1);
        assert_eq!(millis(Duration::from_secs(2)), 2000);
        assert_eq!(u128::from(millis(Duration::MAX)), LONGEST.as_millis());
    }
}
