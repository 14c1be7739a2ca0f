//! Lines whose time cannot be right: one of them would move the clock by years, and all that
//! follows would be decided at one moment.
//!
//! 1. A time before 1990 or after 2099 is none.
//! 2. A line that is more than a day ahead of the line before waits for the next ones. When one of
//!    them is not, those that wait are strays. When [`ENOUGH`] in a row are, the log has a gap
//!    there.
//! 3. The first line has none before it. It is a stray when those in a row that are far from it are
//!    so by more than a year.
//! 4. What is behind moves no clock and is left as it is.

/// In seconds. Logs of several workers or machines are never mixed up that much.
const FAR: u64 = 24 * 60 * 60;

/// No gap is that long in a log whose first or last line stands alone on its side.
const YEAR: u64 = 366 * FAR;

/// So many lines in a row are believed.
const ENOUGH: usize = 8;

/// 1990-01-01, before the first web server.
const EARLIEST: u64 = 631_152_000;

/// 2100-01-01.
const LATEST: u64 = 4_102_444_800;

/// Why a stray is passed over; the rest of a sentence that begins "the line".
pub(super) const REASON: &str = "has a time that is far from those of the lines around it";

/// The same of a time that no log can have.
pub(super) const NO_TIME: &str = "has a time before 1990 or after 2099";

/// Whether a log can have it.
pub(super) const fn is_possible(time: u64) -> bool {
    EARLIEST <= time && time < LATEST
}

/// A line that waits for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The number of its log, in order.
    pub(super) log: usize,
    pub(super) number: u64,
    pub(super) time: u64,
    pub(super) text: Vec<u8>,
}

/// A line that has waited.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Good(Held),
    Stray(Held),
}

#[derive(Debug, Default)]
pub(super) struct Strays {
    /// The latest time that is believed.
    latest: Option<u64>,
    /// The first line, until another one bears it out.
    first: Option<Held>,
    /// Lines in a row that are far from the one before them.
    row: Vec<Held>,
}

impl Strays {
    /// Whether a line need not wait, and no line waits for it.
    pub(super) fn passes(&mut self, time: u64) -> bool {
        let passes = self.first.is_none() && self.row.is_empty() && self.is_near(time);
        if passes {
            self.latest = self.latest.max(Some(time));
        }
        passes
    }

    /// Takes a line that does not pass, and answers with all that need not wait any longer, in
    /// their order.
    pub(super) fn take(&mut self, line: Held) -> Vec<Judged> {
        if self.latest.is_none() {
            self.latest = Some(line.time);
            self.first = Some(line);
            return Vec::new();
        }
        if self.is_near(line.time) {
            let mut judged: Vec<_> = self.first.take().map(Judged::Good).into_iter().collect();
            judged.extend(self.row.drain(..).map(Judged::Stray));
            self.latest = self.latest.max(Some(line.time));
            judged.push(Judged::Good(line));
            return judged;
        }
        self.row.push(line);
        if self.row.len() < ENOUGH {
            Vec::new()
        } else {
            self.believe_row()
        }
    }

    /// What still waits at the end of the log.
    pub(super) fn finish(&mut self) -> Vec<Judged> {
        let is_alone = self.first.is_none() && self.row.len() == 1;
        match (self.latest, self.row.pop()) {
            (Some(latest), Some(only)) if is_alone && only.time > latest + YEAR => {
                vec![Judged::Stray(only)]
            }
            (_, last) => {
                self.row.extend(last);
                self.believe_row()
            }
        }
    }

    fn believe_row(&mut self) -> Vec<Judged> {
        let mut judged = Vec::with_capacity(self.row.len() + 1);
        if let Some(first) = self.first.take() {
            let is_far = |line: &Held| line.time.abs_diff(first.time) > YEAR;
            if self.row.len() > 1 && self.row.iter().all(is_far) {
                self.latest = None;
                judged.push(Judged::Stray(first));
            } else {
                judged.push(Judged::Good(first));
            }
        }
        let times = self.row.iter().map(|line| line.time);
        self.latest = self.latest.max(times.max());
        judged.extend(self.row.drain(..).map(Judged::Good));
        judged
    }

    fn is_near(&self, time: u64) -> bool {
        self.latest.is_some_and(|latest| {
            // Whether the first line is ahead of all others can only be told from those.
            time <= latest + FAR && (self.first.is_none() || latest <= time + FAR)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = FAR;
    const NOW: u64 = 1_431_857_103;

    /// The times of the lines that are strays, of a log with these times; all others come out in
    /// their order.
    #[track_caller]
    fn check(times: &[u64], strays: &[u64]) {
        let mut judge = Strays::default();
        let mut judged = Vec::new();
        for (number, &time) in (1..).zip(times) {
            let line = Held {
                log: 0,
                number,
                time,
                text: Vec::new(),
            };
            if judge.passes(time) {
                judged.push(Judged::Good(line));
            } else {
                judged.extend(judge.take(line));
            }
        }
        judged.extend(judge.finish());
        assert!(judge.finish().is_empty());
        let number = |line: &Judged| match line {
            Judged::Good(held) | Judged::Stray(held) => held.number,
        };
        assert!(judged.iter().map(number).eq(1..=times.len() as u64));
        let found: Vec<u64> = judged
            .into_iter()
            .filter_map(|line| match line {
                Judged::Stray(held) => Some(held.time),
                Judged::Good(_) => None,
            })
            .collect();
        assert_eq!(found, strays, "{times:?}");
    }

    /// A log of lines a minute apart, with these times put in at this place.
    #[track_caller]
    fn check_within(at: usize, put_in: &[u64], strays: &[u64]) {
        let mut times: Vec<u64> = (0..20).map(|n| NOW + n * 60).collect();
        times.splice(at..at, put_in.iter().copied());
        check(&times, strays);
    }

    #[test]
    fn a_line_that_is_ahead_of_those_around_it_is_a_stray() {
        let later = NOW + 8_000 * DAY;
        for at in [0, 1, 10, 20] {
            check_within(at, &[later], &[later]);
        }
        check_within(10, &[later, later + 9, later], &[later, later + 9, later]);
        check_within(10, &[NOW + 2 * DAY], &[NOW + 2 * DAY]);
        check_within(10, &[NOW + DAY / 2], &[]);
    }

    #[test]
    fn a_first_line_that_is_behind_by_years_is_a_stray_too() {
        let earlier = NOW - 5_000 * DAY;
        check_within(0, &[earlier], &[earlier]);
        // It moves no clock.
        check_within(10, &[earlier], &[]);
    }

    #[test]
    fn a_gap_in_a_log_is_none() {
        let after = |gap: u64| -> Vec<u64> { (0..8).map(|n| NOW + gap + n).collect() };
        check_within(20, &after(3 * DAY), &[]);
        check_within(20, &after(800 * DAY), &[]);
        check_within(20, &[NOW + 3 * DAY], &[]);
        let sparse: Vec<u64> = (0..30).map(|n| NOW + n * 3 * DAY).collect();
        for lines in 0..sparse.len() {
            check(&sparse[..lines], &[]);
        }
        let sorted_backwards: Vec<u64> = sparse.into_iter().rev().collect();
        check(&sorted_backwards, &[]);
        check(&[NOW, NOW + 800 * DAY], &[]);
    }

    #[test]
    fn an_older_log_behind_a_newer_one_is_left_as_it_is() {
        let newer = (0..20).map(|n| NOW + n);
        let older = (0..20).map(|n| NOW - 400 * DAY + n);
        let times: Vec<u64> = newer.chain(older).collect();
        check(&times, &[]);
    }

    #[test]
    fn no_log_has_a_time_of_another_century() {
        for (time, expected) in [
            (0, false),
            (EARLIEST - 1, false),
            (EARLIEST, true),
            (NOW, true),
            (LATEST - 1, true),
            (LATEST, false),
            (253_402_300_799, false),
        ] {
            assert_eq!(is_possible(time), expected, "{time}");
        }
    }
}
