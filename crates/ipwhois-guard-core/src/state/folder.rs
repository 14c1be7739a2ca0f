//! The state folder: made if need be, held by one guard at a time, and what is of no use in it set
//! aside.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::StateError;

pub(super) const FILE_NAME: &str = "ipwhois-guard.redb";
const LOCK_NAME: &str = "ipwhois-guard.lock";

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
        Ok(Self {
            path: path.to_owned(),
            lock,
        })
    }

    pub(super) fn file(&self) -> PathBuf {
        self.path.join(FILE_NAME)
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
pub(super) struct FileId {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

/// Which file has this name now.
pub(super) fn file_id(path: &Path) -> io::Result<FileId> {
    let metadata = fs::metadata(path)?;
    #[cfg(unix)]
    let device_and_inode = {
        use std::os::unix::fs::MetadataExt;
        (metadata.dev(), metadata.ino())
    };
    // Elsewhere it is enough that there is one: a file that is open cannot be removed.
    #[cfg(not(unix))]
    drop(metadata);
    Ok(FileId {
        #[cfg(unix)]
        device_and_inode,
    })
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
