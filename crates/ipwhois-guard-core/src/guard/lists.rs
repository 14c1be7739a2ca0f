//! The application's own lists. Their files are read again when they change.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::error::BuildError;
use crate::ip_set::IpSet;
use crate::settings::Settings;
use crate::verdict::Source;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// A file that changes is read once it has been the same at two looks, so that it is not read while
/// it is written, but after this many looks in any case.
const MOST_LOOKS: u32 = 3;

pub(crate) struct Lists {
    allow: List,
    deny: List,
}

struct List {
    set: ArcSwap<IpSet>,
    /// What the setting names beside the file.
    items: IpSet,
    file: Option<File>,
}

struct File {
    setting: &'static str,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The version that was read last, whatever came of it.
    read: Option<Version>,
    /// The version at the last look, and at how many looks it was another one than what was read.
    seen: Option<Version>,
    looks: u32,
    error: Option<String>,
}

/// What changes with a file. `None`: there is no file to be seen.
type Version = Option<(SystemTime, u64, [i64; 4])>;

impl Lists {
    /// # Errors
    ///
    /// When a list has an entry that is neither an address nor a CIDR, or its file cannot be read.
    pub(super) fn new(settings: &Settings) -> Result<Self, BuildError> {
        Ok(Self {
            allow: List::new("allow", &settings.allow, "allow_file", &settings.allow_file)?,
            deny: List::new("deny", &settings.deny, "deny_file", &settings.deny_file)?,
        })
    }

    /// Whether there may ever be an entry. Most applications have no lists.
    pub(super) fn are_wanted(&self) -> bool {
        let is_wanted = |list: &List| list.file.is_some() || !list.items.is_empty();
        is_wanted(&self.allow) || is_wanted(&self.deny)
    }

    #[inline]
    pub(crate) fn allows(&self, client: IpAddr) -> bool {
        self.allow.set.load().contains(client)
    }

    /// Which of them has a client.
    #[inline]
    pub(super) fn source(&self, client: IpAddr) -> Option<Source> {
        if self.allow.set.load().contains(client) {
            return Some(Source::Allowlist);
        }
        let is_denied = self.deny.set.load().contains(client);
        is_denied.then_some(Source::Denylist)
    }

    /// Which files are of no use, and why: the lists that were read before stay in force.
    pub(crate) fn errors(&self) -> Vec<String> {
        let files = [&self.allow, &self.deny].map(|list| list.file.as_ref());
        files
            .into_iter()
            .flatten()
            .filter_map(|file| file.state().error.clone())
            .collect()
    }

    /// Looks at the files for as long as the guard's thread runs. A disk that hangs delays no other
    /// work of it.
    pub(super) async fn watch(self: Arc<Self>) {
        if self.allow.file.is_none() && self.deny.file.is_none() {
            return;
        }
        loop {
            sleep(LOOK).await;
            let lists = Arc::clone(&self);
            let _ = spawn_blocking(move || lists.look()).await;
        }
    }

    /// Blocks.
    fn look(&self) {
        for list in [&self.allow, &self.deny] {
            list.look();
        }
    }
}

impl List {
    fn new(
        setting: &'static str,
        items: &[String],
        file_setting: &'static str,
        file: &Option<PathBuf>,
    ) -> Result<Self, BuildError> {
        let list = Self {
            set: ArcSwap::default(),
            items: IpSet::parse(setting, items)?,
            file: file.clone().map(|path| File {
                setting: file_setting,
                path,
                state: Mutex::default(),
            }),
        };
        let read = match &list.file {
            Some(file) => {
                file.state().read = Some(version(&file.path));
                IpSet::read_file(file.setting, &file.path)?
            }
            None => IpSet::default(),
        };
        list.take(read);
        Ok(list)
    }

    fn take(&self, read: IpSet) {
        self.set.store(Arc::new(self.items.clone().union(read)));
    }

    /// Reads the file if it is another one.
    fn look(&self) {
        let Some(file) = &self.file else {
            return;
        };
        let seen = Some(version(&file.path));
        if !file.state().is_due(seen) {
            return;
        }
        let read = IpSet::read_file(file.setting, &file.path);
        match read {
            Ok(set) => {
                self.take(set);
                file.state().error = None;
                let (setting, path) = (file.setting, file.path.display().to_string());
                event!(INFO, setting, path, "a list was read again");
            }
            Err(error) => {
                let error = error.to_string();
                file.state().error = Some(error);
            }
        }
    }
}

impl File {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a file that looks so is to be read now.
    fn is_due(&mut self, seen: Option<Version>) -> bool {
        if seen == self.read {
            self.looks = 0;
            return false;
        }
        self.looks += 1;
        let is_settled = self.seen == seen || self.looks >= MOST_LOOKS;
        self.seen = seen;
        if is_settled {
            self.read = seen;
            self.looks = 0;
        }
        is_settled
    }
}

fn version(path: &Path) -> Version {
    let metadata = std::fs::metadata(path).ok()?;
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Some((modified, metadata.len(), identity(&metadata)))
}

/// Of a file that was replaced by another with the same time and length, and of one whose
/// permissions were mended.
#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> [i64; 4] {
    use std::os::unix::fs::MetadataExt;
    let (device, inode) = (metadata.dev() as i64, metadata.ino() as i64);
    [device, inode, metadata.ctime(), metadata.ctime_nsec()]
}

#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> [i64; 4] {
    [0; 4]
}

impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lists")
            .field("allow", &self.allow.set.load())
            .field("deny", &self.deny.set.load())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_once_it_is_the_same_at_two_looks() {
        let version = |n| Some(Some((SystemTime::UNIX_EPOCH, n, [0; 4])));
        for (looks, expected) in [
            (&[1, 1, 1][..], &[false, false, false][..]),
            (&[2, 2, 2], &[false, true, false]),
            (&[2, 1, 1], &[false, false, false]),
            (&[2, 3, 4, 4], &[false, false, true, false]),
            (&[2, 3, 3, 3], &[false, false, true, false]),
        ] {
            let mut state = State {
                read: version(1),
                ..State::default()
            };
            let due: Vec<_> = looks.iter().map(|n| state.is_due(version(*n))).collect();
            assert_eq!(due, expected, "{looks:?}");
        }
    }

    #[test]
    fn a_file_that_is_replaced_is_taken_and_a_broken_one_is_told_of_and_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deny");
        let replace = |text: &str| {
            let new = folder.path().join("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, &path).unwrap();
        };
        replace("26.0.0.1\n");
        let settings = Settings {
            deny: vec!["26.0.0.9".to_owned()],
            deny_file: Some(path.clone()),
            ..Settings::default()
        };
        let lists = Lists::new(&settings).unwrap();
        let denied = |last| lists.source([26, 0, 0, last].into()) == Some(Source::Denylist);
        let look = || (0..MOST_LOOKS).for_each(|_| lists.look());
        replace("26.0.0.2\n");
        look();
        assert_eq!([1, 2, 9].map(denied), [false, true, true]);
        replace("26.0.0.3\nnonsense\n");
        look();
        assert_eq!([1, 2, 3, 9].map(denied), [false, true, false, true]);
        let error = lists.errors().concat();
        for part in ["deny_file", ":2:", "nonsense", path.to_str().unwrap()] {
            assert!(error.contains(part), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        look();
        assert!(denied(2));
        assert_eq!(lists.errors().len(), 1);
        replace("");
        look();
        assert_eq!([2, 9].map(denied), [false, true]);
        assert_eq!(lists.errors(), [""; 0]);
    }
}
