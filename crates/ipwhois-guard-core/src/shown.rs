//! What errors and `Debug` show of a setting, and what no setting's text can mean.

use std::path::Path;

use crate::all_settings::for_each_setting;

/// How much of a text an error shows, in characters.
const SHOWN: usize = 80;

/// In place of what may hold a secret.
pub(crate) const HIDDEN: &str = "(hidden)";

macro_rules! secrecy {
    (@ open) => { false };
    (@ secret) => { true };
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $secrecy:ident, $($set:ident)+;)+) => {
        /// Whether a setting's text may hold a password or a key, wherever in it. The setting is
        /// named as it is, or as its variable.
        pub(crate) fn is_secret(setting: &str) -> bool {
            let name = setting.to_ascii_lowercase();
            match name.strip_prefix("ipwhois_guard_").unwrap_or(&name) {
                $(stringify!($name) => secrecy!(@ $secrecy),)+
                _ => false,
            }
        }
    };
}

for_each_setting!(secrecy);

/// A setting's text for an error or for `Debug`. Of a secret one nothing is shown: a password
/// may stand anywhere in a text that is not what it should be.
pub(crate) fn shown(setting: &str, text: &str) -> String {
    if is_secret(setting) {
        HIDDEN.to_owned()
    } else {
        printable(text.as_bytes())
    }
}

/// The text as an error shows it: at most [`SHOWN`] characters. What cannot be seen, and what could
/// confuse a terminal or a log, is escaped.
pub(crate) fn printable(text: &[u8]) -> String {
    let chunks = text.utf8_chunks().flat_map(|chunk| {
        let chars = chunk.valid().chars().map(|char| match is_unseen(char) {
            true => char.escape_default().to_string(),
            false => char.to_string(),
        });
        let rest = chunk.invalid();
        chars.chain((!rest.is_empty()).then(|| rest.escape_ascii().to_string()))
    });
    // Of a long text no more is read than is shown.
    let start: String = chunks.take(SHOWN + 1).collect();
    if start.chars().count() <= SHOWN {
        return start;
    }
    start.chars().take(SHOWN - 1).chain(['…']).collect()
}

/// Whether a character leaves no mark of its own: controls, blanks other than the space, byte order
/// marks, zero-width and direction marks, fillers and variation selectors.
fn is_unseen(char: char) -> bool {
    match char {
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' => {
            true
        }
        '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' => true,
        '\u{e0100}'..='\u{e01ef}' => true,
        ' '..='~' => false,
        // Combining marks are escaped only at a text's beginning.
        _ => format!("x{char}").escape_debug().count() > 2,
    }
}

/// What a text cannot mean, in whatever setting, as the rest of the sentence "`…`".
pub(crate) fn slip(text: &str, is_secret: bool) -> Option<String> {
    if let Some(unseen) = text.chars().find(|&char| is_unseen(char)) {
        let code = u32::from(unseen);
        return Some(format!(
            "holds a character that cannot be seen, U+{code:04X}"
        ));
    }
    let is_quote = |char: char| "\"'`\u{2018}\u{2019}\u{201c}\u{201d}\u{ab}\u{bb}".contains(char);
    if text.starts_with(is_quote) || text.ends_with(is_quote) {
        return Some("is in quotes that no shell removed: leave them out".to_owned());
    }
    if text.starts_with('~') && !is_secret {
        return Some(
            "begins with `~`, which only a shell replaces: write the whole path".to_owned(),
        );
    }
    holds_variable(text, is_secret).then(|| {
        "holds a variable that nothing replaced, such as `$NAME`: write its value".to_owned()
    })
}

/// A password may hold a `$`, so of a secret text only what is a variable as a whole counts, one in
/// braces, and one in place of a host.
fn holds_variable(text: &str, is_secret: bool) -> bool {
    let begins =
        |after: &str| after.starts_with(|c: char| c.is_ascii_alphabetic() || "_{(".contains(c));
    let is_name = |after: &str| {
        !after.contains(|c: char| c != '_' && !c.is_ascii_uppercase() && !c.is_ascii_digit())
    };
    text.contains("{{")
        || text.starts_with('%') && !is_secret
        || text.match_indices('$').any(|(at, _)| {
            let (before, after) = text.split_at(at);
            let after = after.trim_start_matches('$');
            let counts = after.starts_with(['{', '('])
                || before.is_empty() && is_name(after)
                || before.ends_with("://")
                || before.ends_with('@');
            begins(after) && (counts || !is_secret)
        })
}

/// What a file's or a folder's path cannot mean.
pub(crate) fn file_slip(path: &Path) -> Option<String> {
    let text = path.to_string_lossy();
    let reason = if text.is_empty() {
        "is empty: a path belongs here"
    } else if text.contains("://") || text.starts_with("file:") {
        "is a URL: a path belongs here"
    } else if text.trim() != text {
        "begins or ends with a blank"
    } else if text.contains('\\') && !cfg!(windows) {
        "holds a `\\`: paths are written with `/`"
    } else if is_list(&text) {
        "is a list: one path belongs here"
    } else {
        return slip(&text, false);
    };
    Some(reason.to_owned())
}

/// What an entry in a list of URL paths cannot mean. A path that holds such a character is written
/// with its escape.
pub(crate) fn path_slip(text: &str) -> Option<String> {
    let mut segments = text.split('/');
    let is_placeholder = |segment: &str| {
        segment.starts_with(':') && segment.len() > 1
            || segment.starts_with('[') && segment.ends_with(']')
    };
    let reason = if is_list(text) {
        "is a list: separate paths by commas, or make each an entry of its own"
    } else if text.contains(' ') {
        "holds a blank: separate paths by commas, and write %20 for a blank in a path"
    } else if text.contains(';') {
        "holds a `;`: separate paths by commas, and write %3B for a `;` in a path"
    } else if text.contains('\\') {
        "holds a `\\`, and paths are no patterns: write %5C for a `\\` in a path"
    } else if text.ends_with('$') || segments.any(is_placeholder) {
        "looks like a pattern: `/users` covers what is below it already"
    } else {
        return slip(text, false);
    };
    Some(reason.to_owned())
}

/// Whether it is several paths in one text.
fn is_list(text: &str) -> bool {
    let mut after_separators = text.split([',', ';', '|', ':', ' ']).skip(1);
    after_separators.any(|after| after.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown_escaped() {
        for (text, shown) in [
            ("caf\u{e9} e\u{301} \u{65e5}", "caf\u{e9} e\u{301} \u{65e5}"),
            ("\u{feff}/admin", "\\u{feff}/admin"),
            ("/ad\u{200b}min", "/ad\\u{200b}min"),
            ("a\tb\r\n\0", "a\\tb\\r\\n\\u{0}"),
            (
                "a\u{a0}b\u{202e}c\u{3164}d\u{fe0f}",
                "a\\u{a0}b\\u{202e}c\\u{3164}d\\u{fe0f}",
            ),
        ] {
            assert_eq!(printable(text.as_bytes()), shown);
        }
        assert_eq!(printable(b"\xff\xfe1"), "\\xff\\xfe1");
        assert_eq!(printable(&[b'x'; 80]), "x".repeat(80));
        assert_eq!(printable(&[b'x'; 81]), format!("{}…", "x".repeat(79)));
        assert_eq!(
            printable("𐌰".repeat(5000).as_bytes()),
            format!("{}…", "𐌰".repeat(79))
        );
        assert_eq!(printable(&[0xff; 1000]).chars().count(), 80);
    }

    #[test]
    fn a_secret_setting_shows_nothing() {
        for setting in [
            "api_url",
            "api_key",
            "api_key_header",
            "feed_url",
            "redis_url",
        ] {
            assert_eq!(shown(setting, "hunter2"), "(hidden)", "{setting}");
        }
        assert_eq!(shown("allow", "hunter2"), "hunter2");
    }
}
