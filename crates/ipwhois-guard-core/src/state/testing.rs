//! Folders and rows for the tests of this module.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::folder::FILE_NAME;
use super::{StoredFeed, StoredVerdict};
use crate::verdict::{Reputation, ThreatType};

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A folder that is not there yet, and is gone when this is dropped.
#[derive(Debug)]
pub(super) struct TestFolder {
    root: PathBuf,
}

impl TestFolder {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ipwhois-guard-state-{}-{n}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&root);
        Self { root }
    }

    /// Two levels, so that parents have to be made.
    pub(super) fn dir(&self) -> PathBuf {
        self.root.join("var").join("state")
    }

    pub(super) fn file(&self) -> PathBuf {
        self.dir().join(FILE_NAME)
    }

    /// The names in the folder, but for the lock's.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".lock"))
            .collect();
        names.sort();
        names
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

pub(super) fn write_file(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

pub(super) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

pub(super) fn ip(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x1900_0000 + n))
}

pub(super) fn verdict(n: u32, verified: SystemTime) -> StoredVerdict {
    StoredVerdict {
        ip: ip(n),
        reputation: Reputation {
            listed: true,
            confidence: 97,
            threat_type: Some(ThreatType::Scan),
        },
        verified,
    }
}

pub(super) fn feed(text: &str) -> StoredFeed {
    StoredFeed {
        text: text.as_bytes().to_vec(),
        etag: Some("\"one\"".to_owned()),
        last_modified: None,
        fetched: now(),
    }
}
