//! Whose reports are on the disk.
//!
//! Each process sends its own reports. The holder knows which rows of the disk belong to which
//! member. When a member is gone and has not come back, the holder sends its reports.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The reports of members on this process's disk.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<HashMap<u64, Row>>);

#[derive(Debug)]
struct Row {
    /// `None`: its process is gone.
    member: Option<u64>,
    report: Vec<u8>,
}

impl Owners {
    fn rows(&self) -> MutexGuard<'_, HashMap<u64, Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows that were on the disk when this process took the folder, but for its own.
    pub(super) fn found(&self, rows: Vec<(u64, Vec<u8>)>) {
        let member = None;
        let rows = rows
            .into_iter()
            .map(|(row, report)| (row, Row { member, report }));
        self.rows().extend(rows);
    }

    /// Takes the rows whose process is gone.
    pub(super) fn take_orphans(&self) -> Vec<(u64, Vec<u8>)> {
        let orphans = self
            .rows()
            .extract_if(|_, row| row.member.is_none())
            .collect::<Vec<_>>();
        orphans
            .into_iter()
            .map(|(number, row)| (number, row.report))
            .collect()
    }

    /// Another process has the disk now.
    pub(super) fn forget(&self) {
        self.rows().clear();
    }
}

/// The rows of one member, until its connection ends.
#[derive(Debug)]
pub(super) struct Claims {
    owners: Arc<Owners>,
    member: u64,
}

impl Claims {
    pub(super) fn new(owners: &Arc<Owners>, member: u64, claimed: Vec<u64>) -> Self {
        {
            let mut rows = owners.rows();
            for number in claimed {
                if let Some(row) = rows.get_mut(&number) {
                    row.member = Some(member);
                }
            }
        }
        Self {
            owners: Arc::clone(owners),
            member,
        }
    }

    /// The member puts a report on the disk, or takes it away.
    pub(super) fn note(&self, number: u64, report: Option<&str>) {
        let mut rows = self.owners.rows();
        match report {
            Some(report) => {
                let row = Row {
                    member: Some(self.member),
                    report: report.as_bytes().to_vec(),
                };
                rows.insert(number, row);
            }
            None => drop(rows.remove(&number)),
        }
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        for row in self.owners.rows().values_mut() {
            if row.member == Some(self.member) {
                row.member = None;
            }
        }
    }
}
