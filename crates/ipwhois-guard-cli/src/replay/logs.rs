//! The logs of a replay, put in order.
//!
//! 1. A single log is read as it comes.
//! 2. Of several logs the beginning is read first. They are put in order of its lines' times. An
//!    empty log is left out.
//! 3. Files are closed then, and opened again in their turn. A pipe cannot be read twice, so its
//!    beginning is kept.

use std::collections::HashMap;
use std::io::{self, BufRead, Cursor, Read};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use super::strays;
use crate::access_log::{self, ClientField, Lines};
use crate::input;
use crate::outcome::Failure;
use crate::unpack::Trailing;

/// How much of each log is read to put it in order, in bytes of text.
const BEGINNING: u64 = 64 * 1_024;

/// Number of lines whose median time is a log's time. One of them may have a time of another age.
const LINES: usize = 3;

pub(super) struct Log {
    place: PathBuf,
    /// The input of a pipe that is begun.
    begun: Option<Box<dyn BufRead>>,
}

impl Log {
    fn unread(place: &Path) -> Self {
        Self {
            place: place.to_owned(),
            begun: None,
        }
    }

    pub(super) fn name(&self) -> String {
        input::name(&self.place)
    }

    pub(super) fn open(
        &mut self,
        progress: &ProgressBar,
        trailing: &Trailing,
    ) -> Result<Box<dyn BufRead>, Failure> {
        match self.begun.take() {
            Some(input) => Ok(input),
            None => input::open(&self.place, progress, trailing)
                .map_err(|error| cannot_read(&self.place, &error)),
        }
    }
}

/// The logs at these places, the oldest first.
pub(super) fn in_order(
    places: &[PathBuf],
    field: ClientField,
    progress: &ProgressBar,
    trailing: &Trailing,
) -> Result<Vec<Log>, Failure> {
    if let [only] = places {
        return Ok(vec![Log::unread(only)]);
    }
    let mut logs = Vec::with_capacity(places.len());
    let mut beginnings = HashMap::new();
    for place in places {
        // A file is read once more later, and counts then.
        let (log, beginning) = if place != Path::new(input::STDIN) && place.is_file() {
            let (hidden, none) = (ProgressBar::hidden(), Trailing::default());
            let (beginning, _) = begin(place, &hidden, &none)?;
            (Log::unread(place), beginning)
        } else {
            let (beginning, rest) = begin(place, progress, trailing)?;
            let whole = Cursor::new(beginning.clone()).chain(rest);
            let mut log = Log::unread(place);
            log.begun = Some(Box::new(whole));
            (log, beginning)
        };
        if beginning.trim_ascii().is_empty() {
            continue;
        }
        let Some(time) = time(&beginning, field) else {
            let name = log.name();
            let kib = BEGINNING / 1_024;
            return Err(Failure::new(format!(
                "{name} cannot be put in order: its first {kib} KiB have no line of an access log"
            )));
        };
        if let Some(twin) = beginnings.insert(beginning, log.name()) {
            let name = log.name();
            return Err(Failure::new(format!(
                "{twin} and {name} begin with the same lines: is one a copy of the other?"
            )));
        }
        logs.push((time, log));
    }
    logs.sort_by_key(|&(time, _)| time);
    Ok(logs.into_iter().map(|(_, log)| log).collect())
}

fn begin(
    place: &Path,
    progress: &ProgressBar,
    trailing: &Trailing,
) -> Result<(Vec<u8>, Box<dyn BufRead>), Failure> {
    let read = || -> io::Result<_> {
        let mut input = input::open(place, progress, trailing)?;
        let mut beginning = Vec::new();
        input.by_ref().take(BEGINNING).read_to_end(&mut beginning)?;
        Ok((beginning, input))
    };
    read().map_err(|error| cannot_read(place, &error))
}

/// The median time of the first lines.
fn time(beginning: &[u8], field: ClientField) -> Option<u64> {
    let mut times = Vec::with_capacity(LINES);
    let mut lines = Lines::new(beginning);
    while times.len() < LINES
        && let Ok(Some(text)) = lines.next_line()
    {
        let time = access_log::parse_with(text, field).map(|line| line.time);
        times.extend(time.into_iter().filter(|&time| strays::is_possible(time)));
    }
    times.sort_unstable();
    let middle = times.len().checked_sub(1)? / 2;
    Some(times[middle])
}

fn cannot_read(place: &Path, error: &io::Error) -> Failure {
    Failure::caused(format!("cannot read {}", input::name(place)), error)
}
