//! Values as text. A reason is the rest of the sentence that the value begins: "`5x` is no duration
//! …".

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};

/// `1h`, `500ms`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("is no duration like `1h`, `500ms` or `1h 30m`: {error}"))
}

/// `true`, `false`, `1`, `0`.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("is neither `true` nor `false`".to_owned()),
    }
}

pub(super) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| "is no whole number in range".to_owned())
}

pub(super) fn confidence(text: &str) -> Result<u8, String> {
    text.parse()
        .ok()
        .filter(|&confidence| confidence <= 100)
        .ok_or_else(|| "is no confidence from 0 to 100".to_owned())
}

/// Comma-separated items, trimmed, without empty ones.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// Durations are text in TOML.
pub(super) fn deserialize_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(DurationVisitor)
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration in quotes with its unit, like \"1h\", \"500ms\" or \"1h 30m\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        duration(text).map_err(|reason| E::custom(format_args!("`{text}` {reason}")))
    }
}

/// Of these names the one that was probably meant, if any is near enough to be worth a word.
pub(super) fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    known
        .iter()
        .map(|&known| (strsim::normalized_damerau_levenshtein(&name, known), known))
        .filter(|&(likeness, _)| likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
