//! Reading a reply: a verdict only when nothing about it is doubtful.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::verdict::{Reputation, ThreatType};

/// The fields that count. Others exist and are ignored; a field that stands twice is an error.
#[derive(Deserialize)]
struct Reply<'b> {
    listed: bool,
    #[serde(default)]
    confidence: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    ip: Option<Value>,
    #[serde(borrow, default)]
    threat_type: Option<&'b RawValue>,
}

/// Keeps `null` apart from an absent field.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A reply's text when it begins like a JSON object. JSON is UTF-8 throughout.
pub(super) fn object(body: &[u8]) -> Option<&str> {
    let text = str::from_utf8(body).ok()?;
    // A struct is also read from a JSON array, by position; the service's reply is an object.
    text.trim_ascii_start().starts_with('{').then_some(text)
}

/// The verdict in a reply's body.
///
/// The body is a JSON object. Its `listed` is a boolean. Its `confidence` is absent, null (both
/// count as 0) or a number from 0 to 100. Its `ip`, if present, is the address that was asked
/// about.
pub(super) fn read(body: &[u8], asked: IpAddr) -> Result<Reputation, ApiError> {
    let text = object(body).ok_or_else(|| malformed("it is no JSON object in UTF-8"))?;
    // The parser's message may quote the body, which is not for the log.
    let reply: Reply<'_> = serde_json::from_str(text).map_err(|error| {
        let kind = match error.classify() {
            serde_json::error::Category::Eof => "the JSON is cut off",
            serde_json::error::Category::Data => "a field is missing, doubled or of another type",
            _ => "it is no JSON",
        };
        malformed(kind)
    })?;
    let confidence = reply.confidence.unwrap_or(0.0);
    if !(0.0..=100.0).contains(&confidence) {
        return Err(malformed("the confidence is not within 0 to 100"));
    }
    if reply.ip.is_some_and(|ip| !is_address(&ip, asked)) {
        return Err(malformed("it speaks of another address"));
    }
    Ok(Reputation {
        listed: reply.listed,
        confidence: confidence as u8,
        threat_type: reply.threat_type.and_then(threat_type),
    })
}

fn is_address(value: &Value, asked: IpAddr) -> bool {
    value
        .as_str()
        .and_then(|text| text.parse::<IpAddr>().ok())
        .is_some_and(|ip| ip.to_canonical() == asked)
}

/// A type that the service added since counts as `other`, and anything but a text as none.
fn threat_type(value: &RawValue) -> Option<ThreatType> {
    let word: String = serde_json::from_str(value.get()).ok()?;
    (!word.is_empty()).then(|| word.parse().unwrap_or(ThreatType::Other))
}

fn malformed(reason: &str) -> ApiError {
    ApiError::Malformed {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(25, 0, 0, 1));

    #[track_caller]
    fn check(body: &str, listed: bool, confidence: u8) {
        let reputation = read(body.as_bytes(), ASKED).unwrap();
        assert_eq!(
            (reputation.listed, reputation.confidence),
            (listed, confidence),
            "{body}"
        );
    }

    #[track_caller]
    fn refuse(body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let result = read(body, ASKED);
        let text = String::from_utf8_lossy(body);
        assert!(
            matches!(result, Err(ApiError::Malformed { .. })),
            "{text} was read as {result:?}"
        );
    }

    #[test]
    fn complete_replies_are_verdicts() {
        check(r#"{"listed":true,"confidence":95}"#, true, 95);
        check(r#" {"listed":false} "#, false, 0);
        check(r#"{"listed":true,"confidence":null}"#, true, 0);
        check(
            r#"{"listed":true,"confidence":100.0,"other":[{}]}"#,
            true,
            100,
        );
        check(
            r#"{"ip":"25.0.0.1","listed":true,"confidence":50}"#,
            true,
            50,
        );
        check(r#"{"ip":"::ffff:25.0.0.1","listed":false}"#, false, 0);
    }

    #[test]
    fn a_fraction_is_rounded_down_so_that_it_reaches_no_threshold() {
        check(r#"{"listed":true,"confidence":89.999}"#, true, 89);
    }

    #[test]
    fn anything_else_is_an_error_and_never_clean() {
        refuse("");
        refuse("null");
        refuse("false");
        refuse("[false]");
        refuse(r#"[false,0,"25.0.0.1",null]"#);
        refuse("{}");
        refuse(r#"{"listed":"false"}"#);
        refuse(r#"{"listed":0}"#);
        refuse(r#"{"listed":null}"#);
        refuse(r#"{"listed":false"#);
        refuse(r#"{"listed":false} {"listed":true}"#);
        refuse(r#"{"listed":false,"listed":true}"#);
        refuse(r#"{"listed":true,"confidence":"95"}"#);
        refuse(r#"{"listed":true,"confidence":100.5}"#);
        refuse(r#"{"listed":true,"confidence":-1}"#);
        refuse(r#"{"listed":true,"confidence":1e999}"#);
        refuse(r#"{"listed":true,"confidence":NaN}"#);
        refuse(r#"{"listed":false,"ip":"25.0.0.2"}"#);
        refuse(r#"{"listed":false,"ip":"rubbish"}"#);
        refuse(r#"{"listed":false,"ip":null}"#);
        refuse(r#"{"listed":false,"ip":419430401}"#);
        refuse("<html><body>Service unavailable</body></html>");
        refuse(b"\xff\xfe{\"listed\":false}");
        refuse(format!(
            "{{\"listed\":false,\"deep\":{}",
            "[".repeat(60_000)
        ));
    }

    #[test]
    fn an_unknown_threat_type_counts_as_other() {
        let threat = |word: &str| {
            let body = format!(r#"{{"listed":true,"threat_type":{word}}}"#);
            read(body.as_bytes(), ASKED).unwrap().threat_type
        };
        assert_eq!(threat(r#""scan""#), Some(ThreatType::Scan));
        assert_eq!(threat(r#""cryptomining""#), Some(ThreatType::Other));
        assert_eq!(threat(r#""""#), None);
        assert_eq!(threat("null"), None);
        assert_eq!(threat("7"), None);
    }

    #[test]
    fn a_field_that_is_ignored_is_valid_json_and_nothing_more_is_asked_of_it() {
        for value in [
            "1e999",
            "-123456789012345678901234567890.5e+4000",
            r#""\ud800""#,
            "[[[{}]]]",
            &("[".repeat(300) + &"]".repeat(300)),
        ] {
            check(&format!(r#"{{"note":{value},"listed":true}}"#), true, 0);
            check(
                &format!(r#"{{"listed":true,"threat_type":{value}}}"#),
                true,
                0,
            );
        }
        for value in [
            &b"\"\xff\""[..],
            b"\"a\nb\"",
            b"01",
            b"1e",
            b"+1",
            b"nul",
            b"{\"a\"}",
        ] {
            for name in ["note", "threat_type"] {
                refuse([b"{\"", name.as_bytes(), b"\":", value, b",\"listed\":true}"].concat());
            }
        }
        refuse(b"{\"\xff\":1,\"listed\":true}");
    }

    /// A reply with an ignored field in the middle.
    fn reply_with(value: &serde_json::Value) -> String {
        format!(r#"{{"ip":"25.0.0.1","listed":true,"note":{value},"confidence":95}}"#)
    }

    fn any_json() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,10}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,5}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest::proptest! {
        #[test]
        fn no_value_of_an_ignored_field_changes_the_verdict(value in any_json()) {
            let found = read(reply_with(&value).as_bytes(), ASKED);
            let found = found.map(|found| (found.listed, found.confidence, found.threat_type));
            proptest::prop_assert_eq!(found.ok(), Some((true, 95, None)));
        }

        #[test]
        fn a_reply_that_is_cut_or_has_a_byte_too_many_is_no_verdict(
            value in any_json(),
            at: proptest::sample::Index,
            byte in proptest::sample::select(vec![0xff_u8, 0x00, 0xc3]),
        ) {
            let whole = reply_with(&value).into_bytes();
            let at = at.index(whole.len());
            proptest::prop_assert!(read(&whole[..at], ASKED).is_err());
            let mut spoilt = whole;
            spoilt.insert(at, byte);
            // A letter of two bytes may be spoilt into another one.
            let is_utf8 = str::from_utf8(&spoilt).is_ok();
            proptest::prop_assert!(is_utf8 || read(&spoilt, ASKED).is_err());
        }

        #[test]
        fn no_bytes_panic_and_none_but_an_object_with_listed_is_a_verdict(body: Vec<u8>) {
            proptest::prop_assert!(read(&body, ASKED).is_err());
        }
    }
}
