//! Disks that are slow, hang, or come late.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use conformance::client::Request;
use conformance::process::Process;
use ipwhois_guard_testkit::StandIn;

use super::{PATIENCE, client, until, within_a_day};

/// Stands between the process and the disk: each sync takes the milliseconds that a file names.
const SLOW_SYNC: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/syscall.h>

static long delay(void) {
    long ms = 0;
    FILE *file = fopen(getenv("SYNC_DELAY"), "r");
    if (file) {
        if (fscanf(file, "%ld", &ms) != 1) ms = 0;
        fclose(file);
    }
    return ms;
}

static void wait_for_disk(void) {
    for (long waited = 0; waited < delay(); waited += 10) usleep(10000);
}

int fsync(int fd) { wait_for_disk(); return syscall(SYS_fsync, fd); }
int fdatasync(int fd) { wait_for_disk(); return syscall(SYS_fdatasync, fd); }
"#;

/// A disk whose syncs take as long as it is told.
struct Disk {
    tools: tempfile::TempDir,
    folder: tempfile::TempDir,
    service: StandIn,
}

impl Disk {
    fn new(delay: u64) -> Self {
        let disk = Self {
            tools: tempfile::tempdir().expect("a folder"),
            folder: tempfile::tempdir().expect("a folder"),
            service: StandIn::start().expect("a free port"),
        };
        let source = disk.tools.path().join("sync.c");
        fs::write(&source, SLOW_SYNC).expect("it can be written");
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([disk.library(), source])
            .status();
        assert!(status.is_ok_and(|status| status.success()), "cc is there");
        disk.takes(delay);
        disk
    }

    /// From now on each sync takes so many milliseconds.
    fn takes(&self, delay: u64) {
        // A reader never sees half of it.
        let new = self.tools.path().join("new");
        fs::write(&new, delay.to_string()).expect("it can be written");
        fs::rename(new, self.delay()).expect("it can be renamed");
    }

    fn library(&self) -> PathBuf {
        self.tools.path().join("sync.so")
    }

    fn delay(&self) -> PathBuf {
        self.tools.path().join("delay")
    }

    /// Lists clients. Those of the feed are checked whatever the price.
    fn list(&self, clients: u32) {
        let mut feed = format!("# Generated: 2026-08-22 04:30:03 UTC | Entries: {clients}\n");
        for n in 0..clients {
            writeln!(feed, "{}", client(n)).expect("memory");
        }
        self.service.list_feed(&feed, 95);
    }

    fn start(&self, folder: &Path) -> Process {
        let (library, delay) = (self.library(), self.delay());
        let environment = [
            ("LD_PRELOAD", library.to_str().expect("a name")),
            ("SYNC_DELAY", delay.to_str().expect("a name")),
        ];
        let (api_url, feed_url) = (self.service.url(), self.service.feed_url());
        let settings = [
            ("API_URL", api_url.as_str()),
            ("FEED_URL", feed_url.as_str()),
            ("TRUSTED_PROXIES", "127.0.0.0/8"),
            ("STATE_DIR", folder.to_str().expect("a name")),
        ];
        Process::start_in("axum", &settings, &environment)
    }
}

fn visit(process: &Process, n: u32) -> u16 {
    let request = Request::get("/admin").from_client(client(n));
    request.send(&process.address).status
}

fn health(process: &Process) -> serde_json::Value {
    Request::get("/guard/health").send(&process.address).json()
}

fn says(process: &Process, code: &str) -> bool {
    let health = health(process);
    let problems = health["problems"].as_array().expect("a list");
    problems.iter().any(|problem| problem["code"] == code)
}

#[test]
fn no_check_waits_for_a_slow_disk() {
    // The file opens within five seconds at each: a slower one is not waited for.
    for delay in [0, 50, 200, 400, 700] {
        let disk = Disk::new(delay);
        disk.list(200);
        let process = disk.start(disk.folder.path());
        let mut warm_up = 100..;
        until("the folder is open", Duration::from_secs(60), || {
            visit(&process, warm_up.next().expect("many")) == 403
        });
        // The blocks are as large as this disk needs them.
        std::thread::sleep(Duration::from_millis(8 * delay));
        let begun = Instant::now();
        let is_refused = |n: &u32| {
            // What a block must last for is a flood already.
            std::thread::sleep(Duration::from_millis(20));
            visit(&process, *n) == 403
        };
        let refused = (0..96).filter(is_refused).count();
        println!("+{delay} ms: {refused} of 96 in {:?}", begun.elapsed());
        assert_eq!(refused, 96, "at {delay} ms");
    }
}

#[test]
fn a_disk_that_hangs_is_told_and_no_check_is_forgotten() {
    within_a_day(|| {
        let disk = Disk::new(0);
        disk.list(400);
        let process = disk.start(disk.folder.path());
        until("the folder is open", PATIENCE, || visit(&process, 0) == 403);
        disk.takes(1_000_000);
        let mut clients = 1..;
        let begun = Instant::now();
        until("health says so", Duration::from_secs(10), || {
            visit(&process, clients.next().expect("many"));
            says(&process, "state_failing")
        });
        println!("told after {:?}", begun.elapsed());
        let held = disk.service.check_count();
        visit(&process, 300);
        assert_eq!(disk.service.check_count(), held, "nothing is held any more");
        disk.takes(0);
        until("health is well again", Duration::from_secs(10), || {
            !says(&process, "state_failing")
        });
        until("checks go on", PATIENCE, || {
            visit(&process, clients.next().expect("many")) == 403
        });
        drop(process);
        let seen = disk.service.check_count() as u64;
        let process = disk.start(disk.folder.path());
        until("the count is read", PATIENCE, || {
            health(&process)["checks_today"].as_u64() >= Some(seen)
        });
    });
}

#[test]
fn a_folder_that_cannot_be_used_at_the_start_is_used_when_it_can() {
    within_a_day(|| {
        let disk = Disk::new(0);
        disk.list(100);
        // A file in the way, as a mount that is missing.
        let folder = disk.folder.path().join("state");
        fs::write(&folder, "").expect("it can be written");
        let process = disk.start(&folder);
        until("the feed is there", PATIENCE, || {
            health(&process)["feed_entries"] == 100
        });
        until("health says so", Duration::from_secs(10), || {
            says(&process, "state_failing")
        });
        for n in 0..10 {
            assert_eq!(visit(&process, n), 403);
        }
        fs::remove_file(&folder).expect("it can be removed");
        until("health is well again", Duration::from_secs(10), || {
            !says(&process, "state_failing")
        });
        std::thread::sleep(Duration::from_millis(1_500));
        drop(process);
        let process = disk.start(&folder);
        until("the count is read", PATIENCE, || {
            health(&process)["checks_today"].as_u64() >= Some(10)
        });
        for n in 0..10 {
            assert_eq!(visit(&process, n), 403);
        }
        assert_eq!(disk.service.check_count(), 10, "what was learnt is known");
    });
}
