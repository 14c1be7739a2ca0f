//! The settings in TOML.

use std::ops::Range;

use toml::de::DeTable;

use super::{NAMES, Settings, env, text};
use crate::error::BuildError;
use crate::shown::printable;

impl Settings {
    /// Reads settings from TOML, with the settings' names at the top level.
    ///
    /// # Errors
    ///
    /// [`BuildError::Text`] with the line, and the name and value where there is one, when the text
    /// is no TOML, a name is unknown, or a value has the wrong type. It never shows a secret.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use ipwhois_guard_core::Settings;
    /// let settings = Settings::from_toml("cache_ttl = '2h'\nprotect = ['/admin']")?;
    /// assert_eq!(settings.cache_ttl.as_secs(), 7_200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_toml(text: &str) -> Result<Self, BuildError> {
        // The parser's own `Display` prints the line it complains about, which may be the one with
        // the key. So a message is made here, out of its `message()` and `span()`.
        let table = DeTable::parse(text).map_err(|error| syntax_error(text, &error))?;
        let keys: Vec<Key<'_>> = table
            .get_ref()
            .keys()
            .map(|key| Key {
                name: key.get_ref(),
                span: key.span(),
            })
            .collect();
        let unknown = keys
            .iter()
            .filter(|key| !NAMES.contains(&key.name))
            .min_by_key(|key| key.span.start);
        if let Some(unknown) = unknown {
            return Err(unknown_key(text, unknown));
        }
        toml::from_str(text).map_err(|error| value_error(text, &keys, &error))
    }
}

/// A name at the top level, and where it stands.
struct Key<'a> {
    name: &'a str,
    span: Range<usize>,
}

fn unknown_key(text: &str, key: &Key<'_>) -> BuildError {
    let name = printable(key.name.as_bytes());
    let reason = match text::nearest(&name, NAMES) {
        _ if env::is_gone(&name) => format!("`{name}` {}", env::GONE),
        Some(nearest) => format!("unknown setting `{name}`: is `{nearest}` meant?"),
        None => format!("unknown setting `{name}`"),
    };
    BuildError::Text {
        line: line_at(text, key.span.start),
        reason,
    }
}

fn syntax_error(text: &str, error: &toml::de::Error) -> BuildError {
    let start = start(error);
    let before = text.get(..start).unwrap_or(text);
    // The line up to the error tells which setting it is, if it got that far.
    let name = before
        .rsplit('\n')
        .next()
        .and_then(|line| line.split_once('='))
        .map(|(name, _)| name.trim())
        .filter(|name| NAMES.contains(name));
    let reason = match name {
        Some(name) => format!("`{name}`: {}", error.message()),
        None => error.message().to_owned(),
    };
    BuildError::Text {
        line: line_at(text, start),
        reason,
    }
}

fn value_error(text: &str, keys: &[Key<'_>], error: &toml::de::Error) -> BuildError {
    let start = start(error);
    let end = error.span().map_or(0, |span| span.end);
    // Settings are not nested, so the last name that begins before the error ends is the one it is
    // about. In `[[protect]]` the name is inside of what the error is about.
    let key = keys
        .iter()
        .filter(|key| key.span.start < end)
        .max_by_key(|key| key.span.start);
    let message = error.message();
    let reason = match key {
        Some(key) => format!("`{}`: {message}", key.name),
        None => message.to_owned(),
    };
    BuildError::Text {
        line: line_at(text, start),
        reason,
    }
}

fn start(error: &toml::de::Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// The line of a byte, counted from 1.
fn line_at(text: &str, byte: usize) -> usize {
    text.bytes()
        .take(byte)
        .filter(|&byte| byte == b'\n')
        .count()
        .saturating_add(1)
}
