use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use redb::{DatabaseError, StorageError};

/// Why the state folder cannot be used. Each names the file or the folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// `state_dir` names something that is no folder.
    #[error("`{}` is not a folder", .path.display())]
    NotAFolder { path: PathBuf },
    /// By its permissions, or because the file system is read-only.
    #[error("`{}` cannot be written: {source}", .path.display())]
    Denied { path: PathBuf, source: io::Error },
    /// The disk or the user's share of it.
    #[error("no room to write `{}`: {source}", .path.display())]
    Full { path: PathBuf, source: io::Error },
    #[error("`{}` is in use by another process", .path.display())]
    InUse { path: PathBuf },
    /// This process was stopped for long, and another one has taken the folder.
    #[error("`{}` was taken over by another process", .path.display())]
    Taken { path: PathBuf },
    /// Left as it is, for the version that wrote it.
    #[error(
        "`{}` was written by a newer version ({found}); it is left as it is", .path.display()
    )]
    Newer { path: PathBuf, found: String },
    #[error("the process that has `{}` open does not answer", .path.display())]
    HolderAway { path: PathBuf },
    /// A state file whose content makes no sense any more.
    #[error("`{}` is damaged: {reason}", .path.display())]
    Damaged { path: PathBuf, reason: String },
    /// Never was a state file of a guard.
    #[error("`{}` is no state file of a guard: {reason}", .path.display())]
    Foreign { path: PathBuf, reason: String },
    /// Which may be somebody's backup, or another guard's.
    #[error(
        "`{}` was replaced by another file while it was in use: remove that one to go on, or restart to use it", .path.display()
    )]
    Replaced { path: PathBuf },
    /// The file is of no use, and cannot be renamed to make room for a new one.
    #[error("{reason}, and it cannot be set aside: {source}")]
    NotSetAside {
        reason: Box<StateError>,
        source: io::Error,
    },
    #[error("`{}` cannot be read or written: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    /// What redb reports besides.
    #[error("`{}` cannot be used: {source}", .path.display())]
    Database {
        path: PathBuf,
        source: Box<redb::Error>,
    },
}

impl StateError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { path, source }
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::Full { path, source }
            }
            ErrorKind::NotADirectory => Self::NotAFolder { path },
            _ => Self::Io { path, source },
        }
    }

    /// What redb says when it opens a file.
    pub(super) fn open(path: &Path, error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                Self::InUse {
                    path: path.to_owned(),
                }
            }
            DatabaseError::UpgradeRequired(version) => Self::Foreign {
                path: path.to_owned(),
                reason: format!("it is in redb's file format {version}, which no guard ever wrote"),
            },
            // How redb says "no database of mine" and "shorter than its header".
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() == ErrorKind::InvalidData =>
            {
                Self::Foreign {
                    path: path.to_owned(),
                    reason: error.to_string(),
                }
            }
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() == ErrorKind::UnexpectedEof =>
            {
                Self::damaged(path, "it is cut off")
            }
            error => Self::redb(path, error),
        }
    }

    /// What redb says later on.
    pub(super) fn redb(path: &Path, error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::Io(error) => Self::io(path, error),
            redb::Error::Corrupted(reason) => Self::damaged(path, reason),
            error @ (redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TableIsNotMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }) => Self::damaged(path, error.to_string()),
            error => Self::Database {
                path: path.to_owned(),
                source: Box::new(error),
            },
        }
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    /// Whether a new file should take the place of this one.
    pub(super) const fn is_hopeless(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Foreign { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: ErrorKind, expected: &str) {
        let error = StateError::redb(
            Path::new("/state/ipwhois-guard.redb"),
            StorageError::Io(kind.into()),
        );
        let text = error.to_string();
        assert!(text.starts_with(expected), "{text}");
        assert!(!error.is_hopeless(), "the file is not to blame");
    }

    #[test]
    fn what_the_system_refuses_is_told_apart_with_the_path() {
        let denied = "`/state/ipwhois-guard.redb` cannot be written: ";
        check(ErrorKind::PermissionDenied, denied);
        check(ErrorKind::ReadOnlyFilesystem, denied);
        let full = "no room to write `/state/ipwhois-guard.redb`: ";
        check(ErrorKind::StorageFull, full);
        check(ErrorKind::QuotaExceeded, full);
        check(
            ErrorKind::TimedOut,
            "`/state/ipwhois-guard.redb` cannot be read or written: ",
        );
    }
}
