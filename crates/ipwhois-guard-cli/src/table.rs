//! Text in columns.

use std::fmt::Write;

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows under a head, in columns as wide as their longest text.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; the first row is the head.
    pub(crate) fn new<const N: usize>(head: [(&str, Align); N]) -> Self {
        let names = head.iter().map(|&(name, _)| name.to_owned()).collect();
        Self {
            columns: head.iter().map(|&(_, align)| align).collect(),
            rows: vec![names],
        }
    }

    /// Adds a row. Columns that it does not have are empty.
    pub(crate) fn row<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.into());
    }

    /// The text, with line ends and without spaces at the end of a line.
    pub(crate) fn render(&self) -> String {
        let cell = |row: &[String], column| -> usize {
            row.get(column)
                .map_or(0, |text: &String| text.chars().count())
        };
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let widths = self.rows.iter().map(|row| cell(row, column));
                widths.max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((text, &width), align) in row.iter().zip(&widths).zip(&self.columns) {
                let written = match align {
                    Align::Left => write!(line, "{text:<width$}  "),
                    Align::Right => write!(line, "{text:>width$}  "),
                };
                debug_assert!(written.is_ok(), "a string takes everything");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A number with its thousands separated.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share as a percentage, rounded down so that 100 % means all; `-` when there is nothing to
/// share.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    match u128::from(part) * 10_000 / u128::from(whole.max(1)) {
        _ if whole == 0 => "-".to_owned(),
        hundredths => format!("{}.{:02} %", hundredths / 100, hundredths % 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_text() {
        let mut table = Table::new([
            ("address", Align::Left),
            ("n", Align::Right),
            ("", Align::Left),
        ]);
        table.row(["25.0.0.1".to_owned(), "7".to_owned(), "ä".to_owned()]);
        table.row(["3ffe::1".to_owned(), "1,000".to_owned()]);
        let text = "address       n\n25.0.0.1      7  ä\n3ffe::1   1,000\n";
        assert_eq!(table.render(), text);
    }

    #[test]
    fn thousands_are_separated() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn all_but_one_is_never_all() {
        assert_eq!(percent(999_999, 1_000_000), "99.99 %");
        assert_eq!(percent(5, 5), "100.00 %");
        assert_eq!(percent(1, 3), "33.33 %");
        assert_eq!(percent(0, 0), "-");
    }
}
