//! A strict reader of Prometheus' text format: what it does not read, a scraper may not.
//!
//! By <https://prometheus.io/docs/instrumenting/exposition_formats/>: every sample belongs to a
//! family that was described and typed before, the lines of a family stand together, and no series
//! stands twice.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a series, by name.
type Labels = BTreeMap<String, String>;

/// What was scraped.
#[derive(Debug)]
pub struct Scrape {
    families: BTreeMap<String, String>,
    samples: BTreeMap<(String, Labels), f64>,
}

impl Scrape {
    /// Reads a text.
    ///
    /// # Panics
    /// When it is not in the format, with the line that is not.
    #[must_use]
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line is not ended");
        let mut described = BTreeSet::new();
        let mut scrape = Self {
            families: BTreeMap::new(),
            samples: BTreeMap::new(),
        };
        let mut current = String::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').expect("a name and words");
                assert!(!words.is_empty() && is_name(name), "{line}");
                assert!(described.insert(name.to_owned()), "twice: {line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a type");
                assert!(described.contains(name), "without help: {line}");
                let is_known = ["counter", "gauge", "histogram", "summary"].contains(&kind);
                assert!(is_known, "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                let before = scrape.families.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "twice: {line}");
                name.clone_into(&mut current);
            } else {
                let (name, labels, value) = sample(line);
                let is_histogram = scrape.families.get(&current).map(String::as_str);
                let suffixes: &[&str] = match is_histogram {
                    Some("histogram") => &["_bucket", "_sum", "_count"],
                    Some("summary") => &["", "_sum", "_count"],
                    _ => &[""],
                };
                let is_of_family = suffixes
                    .iter()
                    .any(|suffix| name == format!("{current}{suffix}"));
                assert!(is_of_family, "not of {current}: {line}");
                let before = scrape.samples.insert((name, labels), value);
                assert_eq!(before, None, "twice: {line}");
            }
        }
        scrape
    }

    /// The names of the families.
    pub fn families(&self) -> impl Iterator<Item = &str> {
        self.families.keys().map(String::as_str)
    }

    /// The value of the one series that has this name and, beside others, these labels.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[must_use]
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |own: &Labels, (label, value): &(&str, &str)| {
            own.get(*label).is_some_and(|own| own == value)
        };
        let mut found = self
            .samples
            .iter()
            .filter(|((own, own_labels), _)| {
                own == name && labels.iter().all(|label| has(own_labels, label))
            })
            .map(|(_, value)| *value);
        let value = found.next();
        assert_eq!(found.next(), None, "more than one {name} {labels:?}");
        value.unwrap_or_else(|| panic!("no {name} {labels:?}"))
    }
}

/// One line: `name{label="value",…} 1`.
fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => read_labels(rest, line),
        None => (Labels::new(), rest),
    };
    let value = value.strip_prefix(' ').expect("a space before the value");
    let value: f64 = value
        .parse()
        .unwrap_or_else(|_| panic!("no number: {line}"));
    assert!(value.is_finite(), "{line}");
    (name.to_owned(), labels, value)
}

/// The labels behind the brace, and what stands behind them.
fn read_labels<'l>(mut rest: &'l str, line: &str) -> (Labels, &'l str) {
    let mut labels = Labels::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return (labels, rest);
        }
        let (name, after) = rest.split_once("=\"").expect("a label");
        assert!(is_name(name), "{line}");
        let mut value = String::new();
        let mut signs = after.char_indices();
        let end = loop {
            match signs.next() {
                Some((at, '"')) => break at,
                Some((_, '\\')) => match signs.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, sign @ ('\\' | '"'))) => value.push(sign),
                    _ => panic!("a broken escape: {line}"),
                },
                Some((_, sign)) => value.push(sign),
                None => panic!("a value without end: {line}"),
            }
        };
        let before = labels.insert(name.to_owned(), value);
        assert_eq!(before, None, "a label twice: {line}");
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

fn is_name(text: &str) -> bool {
    let mut signs = text.chars();
    let is_first = |sign: char| sign.is_ascii_alphabetic() || sign == '_';
    signs.next().is_some_and(is_first) && signs.all(|sign| is_first(sign) || sign.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a_total What it is.\n# TYPE a_total counter\na_total{b=\"c \\\"}\",d=\"\"} 1\na_total 2e3\n";

    #[test]
    fn what_is_well_formed_is_read() {
        let scrape = Scrape::read(GOOD);
        assert_eq!(scrape.value("a_total", &[("b", "c \"}")]), 1.0);
        assert_eq!(scrape.samples.len(), 2);
        assert_eq!(scrape.families().collect::<Vec<_>>(), ["a_total"]);
    }

    #[test]
    fn what_is_not_is_refused() {
        for bad in [
            GOOD.trim_end().to_owned(),
            GOOD.replace("# HELP a_total What it is.\n", ""),
            GOOD.replace("# TYPE a_total counter\n", ""),
            GOOD.replace("counter", "gauge"),
            GOOD.replace("counter", "number"),
            format!("{GOOD}a_total 2\n"),
            format!("{GOOD}b_total 2\n"),
            GOOD.replace("2e3", "two"),
            GOOD.replace("2e3", "NaN"),
            GOOD.replace("b=\"c", "b-c=\"c"),
            GOOD.replace("d=", "b="),
            GOOD.replace("d=\"\"", "d=\""),
        ] {
            let read = std::panic::catch_unwind(|| Scrape::read(&bad));
            assert!(read.is_err(), "{bad}");
        }
    }
}
