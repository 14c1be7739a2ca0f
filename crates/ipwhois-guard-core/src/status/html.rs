//! HTML of which only literals are markup.

use std::fmt::{Display, Write};

use super::mask::masked;

/// A page under construction. Markup is `&'static str`; everything else is text and escaped, so
/// that nothing a client sends can be markup.
#[derive(Debug)]
pub(super) struct Html {
    page: String,
    /// Whether networks are shown in place of addresses.
    is_masked: bool,
}

impl Html {
    pub(super) fn new(is_masked: bool) -> Self {
        Self {
            page: String::with_capacity(64 * 1024),
            is_masked,
        }
    }

    pub(super) fn markup(&mut self, markup: &'static str) {
        self.page.push_str(markup);
    }

    pub(super) fn text(&mut self, text: impl Display) {
        let text = text.to_string();
        match self.is_masked {
            true => self.escape(&masked(&text)),
            false => self.escape(&text),
        }
    }

    /// A sentence, in which names of settings stand between backticks.
    pub(super) fn sentence(&mut self, text: impl Display) {
        let text = text.to_string();
        let mut parts = text.split('`');
        self.text(parts.next().unwrap_or_default());
        while let Some(name) = parts.next() {
            // What a client sends may have a backtick, too.
            let Some(rest) = parts.next() else {
                self.text(format_args!("`{name}"));
                return;
            };
            self.markup("<code>");
            self.text(name);
            self.markup("</code>");
            self.text(rest);
        }
    }

    /// Text that names nobody else: the viewer's own address, the guard's own secrets.
    pub(super) fn unmasked(&mut self, text: impl Display) {
        self.escape(&text.to_string());
    }

    fn escape(&mut self, text: &str) {
        for char in text.chars() {
            match char {
                '&' => self.page.push_str("&amp;"),
                '<' => self.page.push_str("&lt;"),
                '>' => self.page.push_str("&gt;"),
                '"' => self.page.push_str("&quot;"),
                '\'' => self.page.push_str("&#39;"),
                // What cannot be seen could turn the line around or hide in it.
                char if char.is_control() || is_unseen(char) => {
                    let _ = write!(self.page, "{}", char.escape_unicode());
                }
                char => self.page.push(char),
            }
        }
    }

    pub(super) fn finish(self) -> String {
        self.page
    }
}

/// Marks of direction, zero width and order.
const fn is_unseen(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Writes to a page: literals as markup, what stands in parentheses as text, what stands in
/// brackets as a sentence.
macro_rules! html {
    ($page:expr; $($part:tt)*) => {{
        $(html!(@ $page, $part);)*
    }};
    (@ $page:expr, $markup:literal) => {
        $page.markup($markup)
    };
    (@ $page:expr, [$text:expr]) => {
        $page.sentence($text)
    };
    (@ $page:expr, $text:tt) => {
        $page.text($text)
    };
}

pub(super) use html;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let mut page = Html::new(false);
        html!(page; "<p title=\"" ("\"><script>'&") "\">" ("a\u{202e}b\nc") "</p>");
        let expected = "<p title=\"&quot;&gt;&lt;script&gt;&#39;&amp;\">a\\u{202e}b\\u{a}c</p>";
        assert_eq!(page.finish(), expected);
    }

    #[test]
    fn names_in_a_sentence_are_code_and_a_lone_backtick_is_itself() {
        for (text, expected) in [
            (
                "set `a` and `<b>`",
                "set <code>a</code> and <code>&lt;b&gt;</code>",
            ),
            ("GET /`x was refused", "GET /`x was refused"),
            ("`a` /`", "<code>a</code> /`"),
        ] {
            let mut page = Html::new(false);
            page.sentence(text);
            assert_eq!(page.finish(), expected);
        }
    }

    #[test]
    fn addresses_are_masked_where_the_page_is() {
        let mut page = Html::new(true);
        html!(page; "<p>25.0.0.7" ("25.0.0.7") "</p>");
        page.unmasked("25.0.0.7");
        assert_eq!(page.finish(), "<p>25.0.0.725.0.0.0/24</p>25.0.0.7");
    }
}
