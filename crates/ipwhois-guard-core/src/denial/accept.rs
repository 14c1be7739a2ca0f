//! JSON or HTML, by the request's `Accept` header (RFC 9110, section 12.5.1).

/// How a denial's body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Html,
}

impl Format {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Html => "text/html; charset=utf-8",
        }
    }

    /// HTML when the lines of `Accept` give it more weight than JSON, otherwise JSON.
    ///
    /// A more specific range counts before a wider one (`text/html` before `text/*` before `*/*`).
    /// What is not a media range is passed over.
    pub(crate) fn preferred<'h>(accept: impl Iterator<Item = &'h [u8]>) -> Self {
        let mut html = Preference::default();
        let mut json = Preference::default();
        for range in accept.flat_map(|line| line.split(|byte| *byte == b',')) {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let weight = weight(parts);
            html.consider(specificity(name, b"text", b"html"), weight);
            json.consider(specificity(name, b"application", b"json"), weight);
        }
        if html.weight > json.weight {
            Self::Html
        } else {
            Self::Json
        }
    }
}

#[derive(Default)]
struct Preference {
    specificity: u8,
    weight: u16,
}

impl Preference {
    fn consider(&mut self, specificity: u8, weight: u16) {
        if specificity > self.specificity {
            *self = Self {
                specificity,
                weight,
            };
        }
    }
}

/// 3 for the type itself, 2 for `type/*`, 1 for `*/*`, 0 for anything else.
fn specificity(range: &[u8], kind: &[u8], subtype: &[u8]) -> u8 {
    let mut halves = range.splitn(2, |byte| *byte == b'/');
    let left = halves.next().unwrap_or_default();
    let right = halves.next().unwrap_or_default();
    if left.eq_ignore_ascii_case(kind) {
        if right.eq_ignore_ascii_case(subtype) {
            return 3;
        }
        return if right == b"*" { 2 } else { 0 };
    }
    u8::from(left == b"*" && right == b"*")
}

/// The `q` of a media range in thousandths. 1,000 without one, 0 for one that cannot be read.
fn weight<'h>(mut parameters: impl Iterator<Item = &'h [u8]>) -> u16 {
    parameters
        .find_map(|parameter| {
            let (name, value) = parameter.split_at_checked(2)?;
            name.eq_ignore_ascii_case(b"q=").then_some(value)
        })
        .map_or(1_000, |value| {
            std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse::<f32>().ok())
                .filter(|q| (0.0..=1.0).contains(q))
                .map_or(0, |q| (q * 1_000.0) as u16)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &[&str], expected: Format) {
        let lines = accept.iter().map(|line| line.as_bytes());
        assert_eq!(Format::preferred(lines), expected, "{accept:?}");
    }

    #[test]
    fn json_unless_html_weighs_more() {
        use Format::{Html, Json};
        check(&[], Json);
        check(&["*/*"], Json);
        check(&["application/json"], Json);
        check(&["text/html"], Html);
        check(&["TEXT/HTML"], Html);
        check(
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            Html,
        );
        check(&["text/html;q=0.5, application/json"], Json);
        check(&["text/html;q=0.5", "application/json;q=0.4"], Html);
        check(&["text/*"], Html);
        check(&["text/html;q=0, text/*"], Json);
        check(&["text/html ; q=0.7, */*;Q=0.6"], Html);
        check(&["text/plain"], Json);
    }

    #[test]
    fn rubbish_is_passed_over() {
        check(&["", ",,;q=1,/,text", "text/html;q=x"], Format::Json);
        check(&["\u{fffd}/\u{fffd}, text/html"], Format::Html);
        check(&["text/html;q=NaN"], Format::Json);
        check(&["text/html;q=-1"], Format::Json);
        check(&["text/html;q"], Format::Html);
    }
}
