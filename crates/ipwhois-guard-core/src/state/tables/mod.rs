//! The tables of the state file.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, SystemTime};

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table,
    TableDefinition, TableError, WriteTransaction,
};

use super::codec::{self, Key};
use super::error::StateError;
use super::{Loaded, Said, StoredFeed, StoredVerdict};
use crate::reports::Delivered;
use crate::store::Count;

const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
// Rows are bytes of any length as far as redb knows: one that is wrong is skipped, where a type
// would panic.
const VERDICTS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("verdicts");
const BUDGET: TableDefinition<'_, (), &[u8]> = TableDefinition::new("budget");
const FEED: TableDefinition<'_, (), &[u8]> = TableDefinition::new("feed");
const REPORTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("reports");

/// A file of an earlier version has no such table and is given one. A version that does not know it
/// leaves it alone.
const DELIVERED: TableDefinition<'_, (Key, u8), &[u8]> = TableDefinition::new("delivered");

/// Checks granted on each day: the count, which is ahead of what is spent, and its birth. As with
/// `delivered`, an earlier version's file has no such table.
const DAYS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("days");

/// Number of days whose counts are kept.
const DAYS_KEPT: u64 = 8;
/// Failed logins and bans: until when a row matters, in seconds since 1970, then what it says. The
/// same holds for this table.
const LOGINS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("logins");

/// In `meta`: whose file this is, and in which form.
const FORMAT: &str = "format";
const FORMAT_PREFIX: &str = "ipwhois-guard ";
const FORMAT_VERSION: u32 = 1;
const WRITTEN_BY: &str = "written_by";

/// More verdicts than these are not kept across a restart; the oldest go. No budget of the service
/// fills it, but the service may be one's own.
const MOST_VERDICTS: usize = 250_000;

/// More deliveries than these are not kept: as many as the queue of reports remembers. Newcomers
/// are left out, until the hourly pruning.
const MOST_DELIVERED: u64 = 40_000;

/// More rows of failed logins than these are not kept.
const MOST_ROWS: u64 = 262_144;

/// What is written in one transaction.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) verdicts: Vec<StoredVerdict>,
    pub(crate) budget: Option<Vec<u8>>,
    /// Checks granted, by day.
    pub(crate) days: Vec<(u64, Count)>,
    pub(crate) feed: Option<StoredFeed>,
    /// Reports by their number; `None` deletes.
    pub(crate) reports: Vec<(u64, Option<Vec<u8>>)>,
    pub(crate) delivered: Vec<Delivered>,
    /// Deliveries before that are deleted, in seconds since 1970.
    pub(crate) delivered_since: Option<u64>,
    pub(crate) rows: Vec<(Vec<u8>, Option<Said>)>,
    /// Rows that mattered until then, since 1970, are deleted.
    pub(crate) rows_since: Option<Duration>,
    /// Verdicts verified at another time are deleted.
    pub(crate) keep: Option<RangeInclusive<SystemTime>>,
}

impl Batch {
    /// Adds what was written before, where there is nothing newer.
    pub(super) fn add_older(&mut self, older: Loaded) {
        let newer: HashSet<_> = self.verdicts.iter().map(|verdict| verdict.ip).collect();
        let verdicts = older.verdicts.into_iter();
        self.verdicts
            .extend(verdicts.filter(|verdict| !newer.contains(&verdict.ip)));
        let newer: HashSet<_> = self.reports.iter().map(|(number, _)| *number).collect();
        let reports = older.reports.into_iter();
        self.reports.extend(
            reports
                .filter(|(number, _)| !newer.contains(number))
                .map(|(number, report)| (number, Some(report))),
        );
        let newer: HashSet<_> = self.days.iter().map(|(day, _)| *day).collect();
        let days = older.days.into_iter();
        self.days
            .extend(days.filter(|(day, _)| !newer.contains(day)));
        let newer: HashSet<_> = self.rows.iter().map(|(key, _)| key.clone()).collect();
        let rows = older.rows.into_iter();
        let rows = rows.filter(|(key, ..)| !newer.contains(key));
        self.rows
            .extend(rows.map(|(key, until, row)| (key, Some((until, row)))));
        self.budget = self.budget.take().or(older.budget);
        self.feed = self.feed.take().or(older.feed);
    }
}

/// Makes sure that the file is one of ours, in our version, and that its tables are there.
pub(super) fn prepare(database: &Database, path: &Path) -> Result<(), StateError> {
    let failed = |error: redb::Error| StateError::redb(path, error);
    let read = database.begin_read().map_err(|e| failed(e.into()))?;
    if is_empty(&read).map_err(failed)? {
        drop(read);
        return initialise(database).map_err(failed);
    }
    let written_by = check_format(&read, path)?;
    let is_current = written_by.is_some_and(|version| version == env!("CARGO_PKG_VERSION"))
        && has_tables(&read).map_err(failed)?;
    drop(read);
    if !is_current {
        initialise(database).map_err(failed)?;
    }
    Ok(())
}

/// A process that was killed while it made the file leaves one without tables.
fn is_empty(read: &ReadTransaction) -> Result<bool, redb::Error> {
    Ok(read.list_tables()?.next().is_none() && read.list_multimap_tables()?.next().is_none())
}

/// Who wrote the file last, when it is one of ours in our version.
fn check_format(read: &ReadTransaction, path: &Path) -> Result<Option<String>, StateError> {
    let foreign = |reason: &str| StateError::Foreign {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let failed = |error: redb::Error| StateError::redb(path, error);
    let meta = match read.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(failed(error.into())),
        Err(_) => return Err(foreign("it is another application's redb file")),
    };
    let value = |key| match meta.get(key) {
        Ok(value) => Ok(value.map(|value| value.value().to_owned())),
        Err(error) => Err(failed(error.into())),
    };
    let format = value(FORMAT)?;
    let version = format
        .as_deref()
        .and_then(|format| format.strip_prefix(FORMAT_PREFIX))
        .and_then(|version| version.parse::<u32>().ok())
        .filter(|version| *version > 0)
        .ok_or_else(|| foreign("it is another application's redb file"))?;
    if version > FORMAT_VERSION {
        return Err(StateError::Newer {
            path: path.to_owned(),
            found: format!("format {version}, this one knows {FORMAT_VERSION}"),
        });
    }
    value(WRITTEN_BY)
}

fn has_tables(read: &ReadTransaction) -> Result<bool, redb::Error> {
    let is_there = |opened: Result<(), TableError>| match opened {
        Ok(()) => Ok(true),
        Err(TableError::TableDoesNotExist(_)) => Ok(false),
        Err(error) => Err(redb::Error::from(error)),
    };
    Ok(is_there(read.open_table(VERDICTS).map(drop))?
        && is_there(read.open_table(BUDGET).map(drop))?
        && is_there(read.open_table(FEED).map(drop))?
        && is_there(read.open_table(REPORTS).map(drop))?
        && is_there(read.open_table(DELIVERED).map(drop))?
        && is_there(read.open_table(LOGINS).map(drop))?
        && is_there(read.open_table(DAYS).map(drop))?)
}

fn initialise(database: &Database) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    {
        let mut meta = write.open_table(META)?;
        let format = format!("{FORMAT_PREFIX}{FORMAT_VERSION}");
        meta.insert(FORMAT, format.as_str())?;
        meta.insert(WRITTEN_BY, env!("CARGO_PKG_VERSION"))?;
        write.open_table(VERDICTS)?;
        write.open_table(BUDGET)?;
        write.open_table(FEED)?;
        write.open_table(REPORTS)?;
        write.open_table(DELIVERED)?;
        write.open_table(DAYS)?;
        write.open_table(LOGINS)?;
    }
    write.commit()?;
    Ok(())
}

/// Everything but verdicts older than `longest_age`. Those of the future stay: the clock may be
/// what is wrong.
pub(super) fn load(
    database: &Database,
    now: SystemTime,
    longest_age: Duration,
) -> Result<Loaded, redb::Error> {
    let read = database.begin_read()?;
    let mut loaded = Loaded::default();
    for row in read.open_table(VERDICTS)?.iter()? {
        let (key, row) = row?;
        match codec::read_verdict(key.value(), row.value()) {
            Some(verdict) => {
                let is_old = now
                    .duration_since(verdict.verified)
                    .is_ok_and(|age| age > longest_age);
                if !is_old {
                    loaded.verdicts.push(verdict);
                }
            }
            None => loaded.skipped += 1,
        }
    }
    if let Some(row) = read.open_table(FEED)?.get(())? {
        loaded.feed = codec::read_feed(row.value());
        loaded.skipped += usize::from(loaded.feed.is_none());
    }
    let budget = read.open_table(BUDGET)?.get(())?;
    loaded.budget = budget.map(|row| row.value().to_vec());
    for row in read.open_table(DAYS)?.iter()? {
        let (day, row) = row?;
        match codec::read_count(row.value()) {
            Some(count) => loaded.days.push((day.value(), count)),
            None => loaded.skipped += 1,
        }
    }
    for row in read.open_table(REPORTS)?.iter()? {
        let (id, report) = row?;
        loaded.reports.push((id.value(), report.value().to_vec()));
    }
    for row in read.open_table(DELIVERED)?.iter()? {
        let (key, row) = row?;
        match codec::read_delivered(key.value(), row.value()) {
            Some(delivered) => loaded.delivered.push(delivered),
            None => loaded.skipped += 1,
        }
    }
    for row in read.open_table(LOGINS)?.iter()? {
        let (key, row) = row?;
        match row.value().split_first_chunk() {
            Some((until, row)) => {
                let until = Duration::from_secs(u64::from_le_bytes(*until));
                loaded
                    .rows
                    .push((key.value().to_vec(), until, row.to_vec()));
            }
            None => loaded.skipped += 1,
        }
    }
    Ok(loaded)
}

/// Writes all of it or nothing, and returns when it is on the disk: redb's default durability.
pub(super) fn write(database: &Database, batch: &Batch) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    write_verdicts(&write, batch)?;
    if let Some(budget) = &batch.budget {
        write.open_table(BUDGET)?.insert((), budget.as_slice())?;
    }
    write_days(&write, &batch.days)?;
    if let Some(feed) = &batch.feed {
        let row = codec::feed_row(feed);
        write.open_table(FEED)?.insert((), row.as_slice())?;
    }
    write_delivered(&write, batch)?;
    write_rows(&write, batch)?;
    if !batch.reports.is_empty() {
        let mut reports = write.open_table(REPORTS)?;
        for (id, report) in &batch.reports {
            match report {
                Some(report) => reports.insert(id, report.as_slice())?,
                None => reports.remove(id)?,
            };
        }
    }
    write.commit()?;
    Ok(())
}

fn write_days(write: &WriteTransaction, days: &[(u64, Count)]) -> Result<(), redb::Error> {
    let Some(last) = days.iter().map(|(day, _)| *day).max() else {
        return Ok(());
    };
    let mut table = write.open_table(DAYS)?;
    for (day, count) in days {
        table.insert(day, codec::count_row(*count).as_slice())?;
    }
    // Later ones as well: the clock was wrong when they were written.
    table.retain(|day, _| day.abs_diff(last) < DAYS_KEPT)?;
    Ok(())
}

fn write_verdicts(write: &WriteTransaction, batch: &Batch) -> Result<(), redb::Error> {
    if batch.verdicts.is_empty() && batch.keep.is_none() {
        return Ok(());
    }
    let mut verdicts = write.open_table(VERDICTS)?;
    for verdict in &batch.verdicts {
        let row = codec::verdict_row(verdict);
        verdicts.insert(codec::key(verdict.ip), row.as_slice())?;
    }
    if let Some(keep) = &batch.keep {
        prune(&mut verdicts, keep, MOST_VERDICTS)?;
    }
    Ok(())
}

fn write_delivered(write: &WriteTransaction, batch: &Batch) -> Result<(), redb::Error> {
    if batch.delivered.is_empty() && batch.delivered_since.is_none() {
        return Ok(());
    }
    let mut table = write.open_table(DELIVERED)?;
    if let Some(since) = batch.delivered_since {
        table.retain(|key, row| {
            codec::read_delivered(key, row).is_some_and(|delivered| since <= delivered.queued_at)
        })?;
    }
    let mut room = MOST_DELIVERED.saturating_sub(table.len()?);
    for delivered in &batch.delivered {
        if room > 0 {
            let row = codec::delivered_row(delivered);
            let is_new = table
                .insert(codec::delivered_key(delivered), row.as_slice())?
                .is_none();
            room -= u64::from(is_new);
        }
    }
    Ok(())
}

fn write_rows(write: &WriteTransaction, batch: &Batch) -> Result<(), redb::Error> {
    if batch.rows.is_empty() && batch.rows_since.is_none() {
        return Ok(());
    }
    let mut table = write.open_table(LOGINS)?;
    if let Some(since) = batch.rows_since {
        let since = since.as_secs();
        table.retain(|_, row| {
            row.first_chunk()
                .is_some_and(|until| since <= u64::from_le_bytes(*until))
        })?;
    }
    let mut room = MOST_ROWS.saturating_sub(table.len()?);
    for (key, row) in &batch.rows {
        match row {
            Some((until, said)) if room > 0 => {
                let mut row = until.as_secs().to_le_bytes().to_vec();
                row.extend(said);
                let is_new = table.insert(key.as_slice(), row.as_slice())?.is_none();
                room -= u64::from(is_new);
            }
            Some(_) => {}
            None => drop(table.remove(key.as_slice())?),
        }
    }
    Ok(())
}

/// Deletes what was verified outside `keep`, what cannot be read, and the oldest beyond `most`.
fn prune(
    verdicts: &mut Table<'_, Key, &'static [u8]>,
    keep: &RangeInclusive<SystemTime>,
    most: usize,
) -> Result<(), redb::Error> {
    let verified = |key, row: &[u8]| codec::read_verdict(key, row).map(|verdict| verdict.verified);
    let mut from = *keep.start();
    if verdicts.len()? > most as u64 {
        let mut moments = Vec::new();
        for row in verdicts.iter()? {
            let (key, row) = row?;
            moments.extend(verified(key.value(), row.value()).filter(|at| keep.contains(at)));
        }
        if let Some(beyond) = moments.len().checked_sub(most + 1) {
            // Those of the same second go with it.
            let (_, last_to_go, _) = moments.select_nth_unstable(beyond);
            from = *last_to_go + Duration::from_secs(1);
        }
    }
    verdicts
        .retain(|key, row| verified(key, row).is_some_and(|at| from <= at && at <= *keep.end()))?;
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
