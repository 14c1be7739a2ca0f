//! What of an application's words is sent. A message may quote an attacker: it ends in somebody's
//! terminal, log or page.

use crate::error::ReportError;

/// The longest message, in characters.
const MAX_MESSAGE: usize = 1_024;

/// The longest name of a source, in bytes.
const MAX_SOURCE: usize = 64;

/// So much of a source that was refused is shown, in characters.
const MAX_SHOWN: usize = 64;

/// What takes the place of the rest of a text that is too long.
const ELLIPSIS: char = '…';

/// The source of a report that names none.
pub(super) const DEFAULT_SOURCE: &str = "waf";

/// A message as it is sent: one line, no control characters, 1,024 characters at most.
pub(super) fn message(text: &[u8]) -> String {
    clean(text, MAX_MESSAGE)
}

/// A source, if it is a name of `a-z`, `0-9`, `-`, `_` and `.`, of 64 bytes at most.
pub(super) fn source(name: &str) -> Result<&str, ReportError> {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > MAX_SOURCE || !name.bytes().all(is_allowed) {
        return Err(ReportError::InvalidSource {
            value: clean(name.as_bytes(), MAX_SHOWN),
        });
    }
    Ok(name)
}

/// Control characters and line separators count as white space, a run of which becomes one space;
/// marks that change the direction of the text vanish; what is not UTF-8 becomes U+FFFD. Reads no
/// further than it keeps.
fn clean(text: &[u8], limit: usize) -> String {
    let mut line = Line::new(limit);
    for chunk in text.utf8_chunks() {
        let replaced = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        for char in chunk.valid().chars().chain(replaced) {
            if !line.add(char) {
                return line.cut();
            }
        }
    }
    line.text
}

/// A line of limited length in the making.
struct Line {
    text: String,
    length: usize,
    limit: usize,
    /// White space was read and belongs in front of whatever follows.
    gap: bool,
}

impl Line {
    fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            length: 0,
            limit,
            gap: false,
        }
    }

    /// False when there is no room left for it.
    fn add(&mut self, char: char) -> bool {
        if turns_direction(char) {
            return true;
        }
        if char.is_whitespace() || char.is_control() {
            self.gap = self.length > 0;
            return true;
        }
        if self.length + usize::from(self.gap) >= self.limit {
            return false;
        }
        if std::mem::take(&mut self.gap) {
            self.push(' ');
        }
        self.push(char);
        true
    }

    /// The line with a sign that there was more.
    fn cut(mut self) -> String {
        if self.length >= self.limit {
            self.text.pop();
        }
        self.text.truncate(self.text.trim_end().len());
        self.text.push(ELLIPSIS);
        self.text
    }

    fn push(&mut self, char: char) {
        self.text.push(char);
        self.length += 1;
    }
}

/// The directional formatting characters of Unicode (UAX #9, section 2): they can make a line read
/// as another one.
const fn turns_direction(char: char) -> bool {
    matches!(
        char,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: impl AsRef<[u8]>, expected: &str) {
        assert_eq!(message(text.as_ref()), expected);
    }

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        check("5 failed logins", "5 failed logins");
        check(" a \t b\r\nc\n\n", "a b c");
        check("a\0b\x07c\x1b[31md\x7fe", "a b c [31md e");
        check("a\u{85}b\u{9b}c\u{2028}d\u{2029}e\u{a0}f", "a b c d e f");
        check("", "");
        check("\n\t \u{2028}", "");
        check("größe 日本 \u{1f600}", "größe 日本 \u{1f600}");
    }

    #[test]
    fn marks_that_turn_the_direction_of_the_text_vanish() {
        check("user\u{202e}txt.exe\u{2066}x\u{200f}", "usertxt.exex");
        check("\u{202e}", "");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced_one_by_one() {
        check(b"curl/8 \xff\xfe \xc3", "curl/8 \u{fffd}\u{fffd} \u{fffd}");
    }

    #[test]
    fn a_long_message_ends_with_an_ellipsis_after_1023_characters() {
        check("ü".repeat(1_024), &"ü".repeat(1_024));
        check("ü".repeat(1_025), &format!("{}…", "ü".repeat(1_023)));
        check(format!("{} \n ", "a".repeat(1_024)), &"a".repeat(1_024));
        let gap_at_the_limit = format!("{} b", "a".repeat(1_023));
        check(gap_at_the_limit, &format!("{}…", "a".repeat(1_023)));
        let gap_before_the_limit = format!("{} bc", "a".repeat(1_022));
        check(gap_before_the_limit, &format!("{}…", "a".repeat(1_022)));
    }

    #[test]
    fn a_megabyte_takes_no_more_memory_than_what_is_kept() {
        let text = "x".repeat(1 << 20);
        let info = allocation_counter::measure(|| {
            std::hint::black_box(message(text.as_bytes()));
        });
        assert!(info.bytes_max < 8_192, "{info:?}");
    }

    #[test]
    fn a_source_is_a_short_name() {
        for name in ["waf", "my-app_2.0", "a", &"s".repeat(64)] {
            assert_eq!(source(name).unwrap(), name);
        }
        for name in ["", "WAF", "my app", "a/b", "ü", "a\n", &"s".repeat(65)] {
            assert!(source(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_error_names_the_setting_and_the_value_but_never_more_than_a_line_of_it() {
        let error = source("My App").unwrap_err().to_string();
        assert!(error.contains("`source`: `My App`"), "{error}");
        let hostile = format!("a\n\u{202e}{}", "b".repeat(100_000));
        let error = source(&hostile).unwrap_err().to_string();
        assert!(
            error.len() < 300 && !error.contains(['\n', '\u{202e}']),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_message_that_breaks_a_promise(
            text in prop_oneof![
                any::<Vec<u8>>(),
                prop::collection::vec(any::<char>(), 0..1_500)
                    .prop_map(|chars| String::from_iter(chars).into_bytes()),
                "[a \n\u{202e}]{1000,1100}".prop_map(String::into_bytes),
            ],
        ) {
            let message = message(&text);
            prop_assert!(message.chars().count() <= MAX_MESSAGE);
            prop_assert!(!message.contains(|char: char| char.is_control() || turns_direction(char)));
            prop_assert!(!message.contains("  ") && message.trim() == message);
            prop_assert_eq!(super::message(message.as_bytes()), message);
        }

        #[test]
        fn a_short_plain_text_is_sent_as_it_is(text in "[!-~]{1,20}( [!-~]{1,20}){0,20}") {
            prop_assert_eq!(message(text.as_bytes()), text);
        }
    }
}
