//! The state file. All of it blocks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use redb::Database;

use super::Loaded;
use super::error::StateError;
use super::folder::{self, FileId, Folder, Whereabouts};
use super::tables::{self, Batch};

/// redb's own default is 1 GiB. The file is a few MiB, and is read as a whole once.
const CACHE_BYTES: usize = 4 << 20;

/// An open state file. Nobody else can open it until this is closed or dropped.
#[derive(Debug)]
pub(super) struct Store {
    // Dropped in this order: the file is closed before the folder is given up.
    database: Database,
    folder: Arc<Folder>,
    /// `None` when nobody knows.
    id: Option<FileId>,
}

/// A store, what was in it, and what had to be done to get it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) loaded: Loaded,
    pub(super) set_aside: Option<SetAside>,
}

/// A file of no use that was renamed.
#[derive(Debug)]
pub(super) struct SetAside {
    pub(super) to: PathBuf,
    pub(super) reason: StateError,
}

impl Store {
    /// Opens the file in this folder, makes both if need be, and reads everything but verdicts
    /// older than `longest_age`.
    ///
    /// # Errors
    /// When there is no state to be had from this folder. The file in it is as it was.
    pub(super) fn open(
        dir: &Path,
        now: SystemTime,
        longest_age: Duration,
    ) -> Result<Opened, StateError> {
        Self::open_in(&Arc::new(Folder::take(dir)?), now, longest_age)
    }

    /// The same in a folder that is taken.
    pub(super) fn open_in(
        folder: &Arc<Folder>,
        now: SystemTime,
        longest_age: Duration,
    ) -> Result<Opened, StateError> {
        let (database, loaded, set_aside) = match attempt(folder, now, longest_age) {
            Ok((database, loaded)) => (database, loaded, None),
            Err(reason) if reason.is_hopeless() => {
                let to = match folder.set_aside(now) {
                    Ok(to) => to,
                    Err(source) => {
                        let reason = Box::new(reason);
                        return Err(StateError::NotSetAside { reason, source });
                    }
                };
                let (database, loaded) = attempt(folder, now, longest_age)?;
                (database, loaded, Some(SetAside { to, reason }))
            }
            Err(error) => return Err(error),
        };
        Ok(Opened {
            store: Self {
                database,
                id: FileId::at(&folder.file()).ok(),
                folder: Arc::clone(folder),
            },
            loaded,
            set_aside,
        })
    }

    /// The same when a process that is stopped has the folder.
    pub(super) fn open_from_stopped(
        dir: &Path,
        stopped: FileId,
        now: SystemTime,
        longest_age: Duration,
    ) -> Result<Opened, StateError> {
        let folder = Arc::new(Folder::take_from_stopped(dir, stopped)?);
        match Self::open_in(&folder, now, longest_age) {
            Err(StateError::InUse { path }) => {
                let is_whole = |copy: &Path| open(copy).is_ok();
                folder
                    .copy_file(is_whole)
                    .map_err(|error| StateError::io(&path, error))?;
                Self::open_in(&folder, now, longest_age)
            }
            opened => opened,
        }
    }

    /// Writes all of it or nothing. When it returns, a power loss does not undo it.
    ///
    /// # Errors
    /// After one, redb refuses the file until it is opened again.
    pub(super) fn write(&self, batch: &Batch) -> Result<(), StateError> {
        let path = self.folder.file();
        contained(&path, || {
            tables::write(&self.database, batch).map_err(|error| StateError::redb(&path, error))
        })
    }

    pub(super) fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// What has become of the file since it was opened.
    pub(super) fn whereabouts(&self) -> Whereabouts {
        self.id.map_or(Whereabouts::InPlace, |id| {
            Whereabouts::of(id, &self.folder.file())
        })
    }

    /// Everything that is in the file, which may have no name any more.
    pub(super) fn read(&self) -> Result<Loaded, StateError> {
        let path = self.folder.file();
        contained(&path, || {
            // Whatever its age.
            let loaded = tables::load(&self.database, SystemTime::UNIX_EPOCH, Duration::MAX);
            loaded.map_err(|error| StateError::redb(&path, error))
        })
    }

    /// Closes the file and gives up the folder. After a clean one the next start has nothing to
    /// repair.
    pub(super) fn close(self) -> Result<(), StateError> {
        let path = self.folder.file();
        contained(&path, || {
            self.database
                .close()
                .map_err(|error| StateError::redb(&path, error))
        })
    }

    /// A new store in this folder that keeps its data elsewhere.
    #[cfg(test)]
    pub(super) fn on(dir: &Path, disk: impl redb::StorageBackend) -> Self {
        let folder = Arc::new(Folder::take(dir).unwrap());
        let database = Database::builder().create_with_backend(disk).unwrap();
        tables::prepare(&database, dir).unwrap();
        Self {
            database,
            folder,
            id: None,
        }
    }
}

fn attempt(
    folder: &Folder,
    now: SystemTime,
    longest_age: Duration,
) -> Result<(Database, Loaded), StateError> {
    let path = folder.file();
    if let Some(version) = newer_redb(&path) {
        let found = format!("redb's file format {version}");
        return Err(StateError::Newer { path, found });
    }
    let is_new = folder::make_private(&path).map_err(|error| StateError::io(&path, error))?;
    let database = open(&path)?;
    let loaded = contained(&path, || {
        tables::prepare(&database, &path)?;
        tables::load(&database, now, longest_age).map_err(|error| StateError::redb(&path, error))
    });
    match loaded {
        Ok(loaded) => {
            if is_new {
                folder.sync();
            }
            Ok((database, loaded))
        }
        Err(error) => {
            // Dropped here and not while a panic unwinds, where a second one would end the process.
            let _ = contained(&path, || {
                drop(database);
                Ok(())
            });
            Err(error)
        }
    }
}

fn open(path: &Path) -> Result<Database, StateError> {
    contained(path, || {
        Database::builder()
            .set_cache_size(CACHE_BYTES)
            // Without it redb trusts the file, and panics where it should not have. It reads the
            // whole file, which is small.
            .set_check_integrity_on_open(true)
            .create(path)
            .map_err(|error| StateError::open(path, error))
    })
}

/// The version of the file format, when it is one that this redb does not know yet. redb calls such
/// a file damaged, as it would one with a flipped bit there; but both of its commit slots say the
/// same.
fn newer_redb(path: &Path) -> Option<u8> {
    const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
    const KNOWN: u8 = 3;
    let head = folder::head::<{ 64 + 2 * 128 }>(path)?;
    let (first, second) = (head[64], head[64 + 128]);
    let is_newer = head.starts_with(MAGIC) && first == second && first > KNOWN;
    is_newer.then_some(first)
}

/// Runs what calls redb on a file that may hold anything.
///
/// With its check on opening redb has reported every kind of damage tried so far as an error. But
/// some of its checks are assertions, in a debug build more of them. A panic here says that the
/// file is damaged. It still reaches the application's panic hook, and ends the process where
/// panics abort.
fn contained<T>(
    path: &Path,
    work: impl FnOnce() -> Result<T, StateError>,
) -> Result<T, StateError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("an assertion failed");
        Err(StateError::damaged(path, words))
    })
}

#[cfg(test)]
mod tests;
