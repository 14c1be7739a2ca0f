//! The state folder: made if need be, held by one guard at a time, and what is of no use in it set
//! aside.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::StateError;

pub(super) const FILE_NAME: &str = "ipwhois-guard.redb";
const LOCK_NAME: &str = "ipwhois-guard.lock";

/// While the folder is taken from a process that is stopped.
const NEW_LOCK_NAME: &str = "ipwhois-guard.new.lock";
const COPY_NAME: &str = "ipwhois-guard.redb.copy";
const TURN_NAME: &str = "ipwhois-guard.turn.lock";

/// How often the file is copied when a copy is not whole, because the other process went on.
const COPIES: usize = 3;

/// What follows the file's name when it was set aside: then come the seconds since 1970, and a
/// number if need be.
const DAMAGED: &str = ".damaged-";

/// Number of damaged files that are kept.
const DAMAGED_KEPT: usize = 3;

/// The right to use a folder, until it is dropped.
///
/// redb locks its file, but only while it has it open: two processes that start on one damaged file
/// would both find it so, and the second would set aside what the first has just begun. Hence a
/// lock of our own, around all of it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// `None` where the file system knows no locks; redb's own is what is left then.
    lock: Option<File>,
}

impl Folder {
    /// Makes the folder, with its parents, if there is none. What it makes is for this user alone:
    /// clients' addresses are nobody else's business.
    pub(super) fn take(path: &Path) -> Result<Self, StateError> {
        make(path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => StateError::NotAFolder {
                path: path.to_owned(),
            },
            _ => StateError::io(path, error),
        })?;
        let lock_path = path.join(LOCK_NAME);
        let file = private()
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|error| StateError::io(&lock_path, error))?;
        let lock = match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::InUse {
                    path: path.join(FILE_NAME),
                });
            }
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => None,
            Err(TryLockError::Error(error)) => return Err(StateError::io(&lock_path, error)),
        };
        let folder = Self {
            path: path.to_owned(),
            lock,
        };
        match folder.lock_whereabouts() {
            Whereabouts::InPlace => Ok(folder),
            // Another process was faster, between the two calls above.
            Whereabouts::Gone | Whereabouts::Replaced => Err(StateError::InUse {
                path: folder.file(),
            }),
        }
    }

    /// Takes the folder from a process that is stopped, so that it can neither serve nor give it
    /// up.
    ///
    /// A new lock takes the name of the old one. Then a copy takes the name of the file
    /// ([`copy_file`](Self::copy_file)). When the other process goes on, it writes to a file
    /// without a name; and it looks at the lock before it says that something is written. So what
    /// is not in the copy was never said to be written.
    ///
    /// `stopped` is the lock as it was when that process was found to be stopped: if it is another
    /// one now, another process has the folder.
    pub(super) fn take_from_stopped(path: &Path, stopped: FileId) -> Result<Self, StateError> {
        let lock_path = path.join(LOCK_NAME);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| StateError::io(&path, error)
        };
        let busy = || StateError::InUse {
            path: path.join(FILE_NAME),
        };
        // One process at a time does this.
        let turn_path = path.join(TURN_NAME);
        let turn = private().create(true).truncate(false).open(&turn_path);
        let turn = turn.map_err(failed(&turn_path))?;
        turn.try_lock().map_err(|_| busy())?;
        // It may have gone on, or ended.
        match Self::take(path) {
            Err(StateError::InUse { .. }) => {}
            taken => return taken,
        }
        if FileId::at(&lock_path).ok() != Some(stopped) {
            return Err(busy());
        }
        let new_path = path.join(NEW_LOCK_NAME);
        let lock = private().create(true).truncate(false).open(&new_path);
        let lock = lock.map_err(failed(&new_path))?;
        lock.try_lock().map_err(|_| busy())?;
        fs::rename(&new_path, &lock_path).map_err(failed(&lock_path))?;
        Ok(Self {
            path: path.to_owned(),
            lock: Some(lock),
        })
    }

    /// Puts a copy in the place of the file, which a process that lost the folder has open still.
    /// `is_whole` is asked about the copy.
    pub(super) fn copy_file(&self, is_whole: impl Fn(&Path) -> bool) -> io::Result<()> {
        let copy = self.path.join(COPY_NAME);
        for _ in 0..COPIES {
            let mut into = private().create(true).truncate(true).open(&copy)?;
            io::copy(&mut File::open(self.file())?, &mut into)?;
            into.sync_all()?;
            if is_whole(&copy) {
                break;
            }
        }
        fs::rename(&copy, self.file())?;
        self.sync();
        Ok(())
    }

    pub(super) fn file(&self) -> PathBuf {
        self.path.join(FILE_NAME)
    }

    /// The lock of the process that has the folder.
    pub(super) fn current_lock(path: &Path) -> Option<FileId> {
        FileId::at(&path.join(LOCK_NAME)).ok()
    }

    /// What has become of the lock. Another process that takes the folder from one that is stopped
    /// replaces it.
    pub(super) fn lock_whereabouts(&self) -> Whereabouts {
        let Some(id) = self.lock.as_ref().and_then(|lock| FileId::of(lock).ok()) else {
            return Whereabouts::InPlace;
        };
        Whereabouts::of(id, &self.path.join(LOCK_NAME))
    }

    /// Renames the file to a name that no file has, and removes all but the last of those that were
    /// set aside before.
    pub(super) fn set_aside(&self, now: SystemTime) -> io::Result<PathBuf> {
        let seconds = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let first = self.path.join(format!("{FILE_NAME}{DAMAGED}{seconds}"));
        let mut to = first.clone();
        for n in 2.. {
            match to.symlink_metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(error),
                Ok(_) => to = with_number(&first, n),
            }
        }
        fs::rename(self.file(), &to)?;
        self.remove_old_damaged(&to);
        Ok(to)
    }

    fn remove_old_damaged(&self, newest: &Path) {
        let order = |path: &Path| {
            let name = path.file_name()?.to_str()?;
            let rest = name.strip_prefix(FILE_NAME)?.strip_prefix(DAMAGED)?;
            let (seconds, n) = rest.split_once('-').unwrap_or((rest, "1"));
            Some((seconds.parse::<u64>().ok()?, n.parse::<u32>().ok()?))
        };
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut earlier: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path != newest)
            .filter_map(|path| Some((order(&path)?, path)))
            .collect();
        earlier.sort_unstable();
        let surplus = (earlier.len() + 1).saturating_sub(DAMAGED_KEPT);
        for (_, path) in earlier.into_iter().take(surplus) {
            if let Err(error) = fs::remove_file(&path) {
                let path = path.display();
                tracing::debug!(target: "ipwhois_guard", %path, %error, "an old damaged file stays");
            }
        }
    }

    /// Without this, a new name may not outlive a power loss although the file's content does.
    pub(super) fn sync(&self) {
        #[cfg(unix)]
        if let Err(error) = File::open(&self.path).and_then(|folder| folder.sync_all()) {
            // Some file systems cannot: the worst is a start with an empty memory.
            event!(DEBUG, %error, "the state folder cannot be synced");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            // Closing is not enough: a child that is being started at this moment holds the file
            // until it is.
            let _ = lock.unlock();
        }
    }
}

/// Makes an empty file for this user alone, if there is none: redb would make it readable for all.
/// Whether it did.
pub(super) fn make_private(path: &Path) -> io::Result<bool> {
    match private().create_new(true).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Which file it is, whatever its name: of two with one name, one after the other, each is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

impl FileId {
    /// Which file has this name now.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(Self::from)
    }

    fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(Self::from)
    }
}

impl From<fs::Metadata> for FileId {
    #[cfg(unix)]
    fn from(metadata: fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            device_and_inode: (metadata.dev(), metadata.ino()),
        }
    }

    /// Elsewhere it is enough that there is one: a file that is open cannot be removed.
    #[cfg(not(unix))]
    fn from(_: fs::Metadata) -> Self {
        Self {}
    }
}

/// What has become of a file that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// It is where it was, as far as can be seen.
    InPlace,
    /// It has no name any more: what is written to it is lost at the end.
    Gone,
    /// Another file has its name.
    Replaced,
}

impl Whereabouts {
    pub(super) fn of(id: FileId, path: &Path) -> Self {
        match FileId::at(path) {
            Ok(other) if other != id => Self::Replaced,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Self::Gone
            }
            // An error says nothing of the file.
            Ok(_) | Err(_) => Self::InPlace,
        }
    }
}

/// The first bytes of a file; `None` when it is shorter or is not there.
pub(super) fn head<const N: usize>(path: &Path) -> Option<[u8; N]> {
    let mut head = [0; N];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    Some(head)
}

fn make(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn with_number(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("-{n}"));
    name.into()
}
