use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::folder::FILE_NAME;
use super::super::store::Store;
use super::super::testing::{DAY, TestFolder, feed, ip, verdict, write_file};
use super::inner::{Progress, Slot};
use super::*;
use crate::clock::{ManualClock, SystemClock};

fn journal(folder: &TestFolder) -> Arc<Journal> {
    let clock = Arc::new(ManualClock::new());
    Arc::new(Journal::new(Some(folder.dir()), clock))
}

fn fresh(n: u32) -> StoredVerdict {
    verdict(n, ManualClock::new().wall())
}

/// What a new guard finds.
async fn reopened(folder: &TestFolder) -> Loaded {
    let journal = journal(folder);
    let loaded = journal.open(DAY, None).await.unwrap();
    journal.close(None);
    loaded
}

/// Until another write has ended, well or not.
async fn a_write(progress: &mut watch::Receiver<Progress>) {
    let soon = Duration::from_secs(2 * 3_600);
    let changed = timeout(soon, progress.changed()).await;
    changed.expect("nothing is written").unwrap();
}

const TODAY: u64 = 20_781;

async fn save(journal: &Journal, granted: u32) -> bool {
    journal.save_count(TODAY, count(granted)).await
}

fn count(granted: u32) -> Count {
    Count { granted, birth: 7 }
}

fn counted(granted: u32) -> Vec<(u64, Count)> {
    vec![(TODAY, count(granted))]
}

fn inner(journal: &Journal) -> &Arc<Inner> {
    journal.0.as_ref().unwrap()
}

#[tokio::test]
async fn without_a_folder_nothing_is_kept_and_nobody_waits() {
    let journal = Arc::new(Journal::new(None, Arc::new(ManualClock::new())));
    assert_eq!(journal.open(DAY, None).await, Err(NotOpened::Closed));
    journal.note_verdict(fresh(1));
    journal.note_feed(feed("25.0.0.1\n"));
    assert!(!save(&journal, 1).await);
    Arc::clone(&journal).run().await;
    journal.close(None);
    assert_eq!(journal.status(), JournalStatus::default());
}

#[tokio::test]
async fn a_saved_budget_is_on_the_disk_with_what_was_pending() {
    let folder = TestFolder::new();
    let journal = journal(&folder);
    assert_eq!(journal.open(DAY, None).await, Ok(Loaded::default()));
    journal.note_verdict(fresh(1));
    journal.note_feed(feed("25.0.0.1\n"));
    assert!(save(&journal, 7).await);
    assert_eq!(journal.status().pending, 0);
    // As after a crash: the file as it is now, without any closing.
    let copy = TestFolder::new();
    write_file(&copy.file(), &std::fs::read(folder.file()).unwrap());
    let loaded = reopened(&copy).await;
    assert_eq!(loaded.verdicts, [fresh(1)]);
    assert_eq!(loaded.feed, Some(feed("25.0.0.1\n")));
    assert_eq!(loaded.days, counted(7));
    journal.close(None);
}

#[tokio::test]
async fn who_saves_at_the_same_time_shares_a_write() {
    let folder = TestFolder::new();
    let journal = journal(&folder);
    journal.open(DAY, None).await.unwrap();
    let mut saves = JoinSet::new();
    for n in 0..100 {
        let journal = Arc::clone(&journal);
        saves.spawn(async move { save(&journal, n).await });
    }
    assert_eq!(saves.join_all().await, [true; 100]);
    let writes = inner(&journal).progress.borrow().writes;
    assert!(writes <= 2, "{writes}");
    journal.close(None);
    assert_eq!(reopened(&folder).await.days, counted(99));
}

#[tokio::test(start_paused = true)]
async fn what_is_noted_is_written_a_second_after_the_first_of_it() {
    let folder = TestFolder::new();
    let journal = journal(&folder);
    journal.open(DAY, None).await.unwrap();
    tokio::spawn(Arc::clone(&journal).run());
    let mut progress = inner(&journal).progress.subscribe();
    for round in 0..3_u64 {
        let start = Instant::now();
        journal.note_verdict(fresh(1));
        tokio::time::sleep(Duration::from_millis(900)).await;
        journal.note_verdict(fresh(2));
        a_write(&mut progress).await;
        // To the millisecond that a timer is late.
        assert_eq!(start.elapsed().as_millis() / 10, 100);
        assert_eq!(journal.status().pending, 0);
        assert_eq!(progress.borrow().writes, round + 1);
    }
    journal.close(None);
    assert_eq!(reopened(&folder).await.verdicts, [fresh(1), fresh(2)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_pruned_after_an_hour_and_not_at_the_start() {
    let folder = TestFolder::new();
    let clock = ManualClock::new();
    let journal = Arc::new(Journal::new(Some(folder.dir()), Arc::new(clock.clone())));
    journal.open(DAY, None).await.unwrap();
    journal.note_verdict(fresh(1));
    assert!(save(&journal, 1).await);
    clock.advance(DAY + Duration::from_secs(1));
    tokio::spawn(Arc::clone(&journal).run());
    let start = Instant::now();
    let mut progress = inner(&journal).progress.subscribe();
    a_write(&mut progress).await;
    assert_eq!(start.elapsed().as_secs(), 3_600);
    journal.close(None);
    assert_eq!(reopened(&folder).await.verdicts, []);
}

#[expect(clippy::await_holding_lock, reason = "this is the disk that hangs")]
#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_costs_one_wait_and_not_one_a_report() {
    let folder = TestFolder::new();
    let journal = journal(&folder);
    journal.open(DAY, None).await.unwrap();
    let disk = inner(&journal).store();
    let waiting = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { journal.save_report(1, Some(vec![1])).await }
    });
    tokio::task::yield_now().await;
    tokio::time::advance(PATIENCE - Duration::from_millis(1)).await;
    assert!(!waiting.is_finished());
    tokio::time::advance(Duration::from_millis(2)).await;
    assert!(!waiting.await.unwrap());
    let next = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { journal.save_report(2, Some(vec![2])).await }
    });
    tokio::task::yield_now().await;
    assert!(next.is_finished(), "it waits for nothing");
    assert!(!next.await.unwrap());
    let mut progress = inner(&journal).progress.subscribe();
    drop(disk);
    // The write went on by itself, and the disk is believed again.
    a_write(&mut progress).await;
    assert!(journal.save_report(3, Some(vec![3])).await);
    journal.close(None);
    assert_eq!(reopened(&folder).await.reports.len(), 3);
}

/// A disk that fails when it is told to.
#[derive(Debug)]
struct FailingDisk {
    disk: InMemoryBackend,
    fails: Arc<AtomicBool>,
}

impl FailingDisk {
    fn store(folder: &TestFolder, fails: &Arc<AtomicBool>) -> Store {
        let disk = Self {
            disk: InMemoryBackend::new(),
            fails: Arc::clone(fails),
        };
        Store::on(&folder.dir(), disk)
    }

    fn check(&self) -> std::io::Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl StorageBackend for FailingDisk {
    fn len(&self) -> std::io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.check()?;
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.check()?;
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.check()?;
        self.disk.write(offset, data)
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_tried_again_and_nobody_waits_for_it_meanwhile() {
    let folder = TestFolder::new();
    let journal = journal(&folder);
    journal.open(DAY, None).await.unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    *inner(&journal).store() = Slot::default();
    inner(&journal).store().store = Some(FailingDisk::store(&folder, &fails));
    assert!(save(&journal, 1).await);
    fails.store(true, Ordering::SeqCst);
    journal.note_verdict(fresh(1));
    assert!(!save(&journal, 2).await);
    let status = journal.status();
    assert_eq!(status.pending, 2, "both wait for the next write");
    let error = status.error.unwrap();
    assert!(error.starts_with("no room to write"), "{error}");
    let start = Instant::now();
    assert!(!save(&journal, 3).await);
    assert_eq!(start.elapsed(), Duration::ZERO);
    tokio::spawn(Arc::clone(&journal).run());
    // The next write opens the file of the folder anew, which is a disk that works.
    let mut progress = inner(&journal).progress.subscribe();
    a_write(&mut progress).await;
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(journal.status().error, None);
    assert!(save(&journal, 4).await);
    journal.close(None);
    let loaded = reopened(&folder).await;
    assert_eq!(loaded.verdicts, [fresh(1)]);
    assert_eq!(loaded.days, counted(4));
}

/// A journal of which everything is on disk.
async fn filled(folder: &TestFolder) -> Arc<Journal> {
    let journal = journal(folder);
    journal.open(DAY, None).await.unwrap();
    journal.note_verdict(fresh(1));
    journal.note_verdict(fresh(2));
    journal.note_feed(feed("25.0.0.1\n"));
    assert!(journal.save_report(1, Some(vec![1])).await);
    assert!(journal.save_report(2, Some(vec![2])).await);
    assert!(save(&journal, 1).await);
    journal
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_removed_while_it_is_in_use_is_written_anew_with_what_it_held() {
    let remove_folder = |folder: &TestFolder| std::fs::remove_dir_all(folder.dir()).unwrap();
    let remove_file = |folder: &TestFolder| std::fs::remove_file(folder.file()).unwrap();
    for remove in [&remove_folder as &dyn Fn(&TestFolder), &remove_file] {
        let folder = TestFolder::new();
        let journal = filled(&folder).await;
        assert_eq!(journal.status().removals, 0);
        remove(&folder);
        let newer = verdict(2, fresh(2).verified + Duration::from_secs(1));
        journal.note_verdict(newer);
        assert!(journal.save_report(1, None).await);
        assert_eq!(journal.status().removals, 1);
        assert_eq!(journal.status().error, None);
        assert!(save(&journal, 2).await);
        assert_eq!(journal.status().removals, 1, "it is there again");
        journal.close(None);
        let mut loaded = reopened(&folder).await;
        loaded.verdicts.sort_by_key(|verdict| verdict.ip);
        assert_eq!(loaded.verdicts, [fresh(1), newer]);
        assert_eq!(loaded.feed, Some(feed("25.0.0.1\n")));
        assert_eq!(loaded.reports, [(2, vec![2])]);
        assert_eq!(loaded.days, counted(2));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_was_removed_is_written_anew_at_the_end_though_nothing_is_pending() {
    let folder = TestFolder::new();
    let journal = filled(&folder).await;
    std::fs::remove_dir_all(folder.dir()).unwrap();
    journal.close(None);
    let loaded = reopened(&folder).await;
    assert_eq!(loaded.verdicts.len(), 2);
    assert_eq!(loaded.days, counted(1));
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn what_a_removed_file_held_waits_until_a_new_one_can_be_made() {
    let folder = TestFolder::new();
    let journal = filled(&folder).await;
    std::fs::remove_dir_all(folder.dir()).unwrap();
    std::fs::write(folder.dir(), "in the way").unwrap();
    assert!(!save(&journal, 2).await);
    let error = journal.status().error.unwrap();
    assert!(error.contains("is not a folder"), "{error}");
    std::fs::remove_file(folder.dir()).unwrap();
    tokio::spawn(Arc::clone(&journal).run());
    let mut progress = inner(&journal).progress.subscribe();
    a_write(&mut progress).await;
    assert_eq!(journal.status().error, None);
    journal.close(None);
    let loaded = reopened(&folder).await;
    assert_eq!(loaded.verdicts.len(), 2);
    assert_eq!(loaded.days, counted(2));
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_file_that_takes_the_place_of_the_one_in_use_is_left_alone() {
    let folder = TestFolder::new();
    let journal = filled(&folder).await;
    std::fs::remove_file(folder.file()).unwrap();
    std::fs::write(folder.file(), "a backup").unwrap();
    assert!(!save(&journal, 2).await);
    let error = journal.status().error.unwrap();
    assert!(error.contains("was replaced by another file"), "{error}");
    assert_eq!(std::fs::read(folder.file()).unwrap(), b"a backup");
    assert_eq!(folder.names(), [FILE_NAME]);
    // Somebody has read what the log says.
    std::fs::remove_file(folder.file()).unwrap();
    tokio::spawn(Arc::clone(&journal).run());
    let mut progress = inner(&journal).progress.subscribe();
    a_write(&mut progress).await;
    assert_eq!(journal.status().error, None);
    journal.close(None);
    let loaded = reopened(&folder).await;
    assert_eq!(loaded.verdicts.len(), 2);
    assert_eq!(loaded.days, counted(2));
}

#[tokio::test]
async fn the_end_writes_what_is_pending_and_gives_up_the_folder() {
    let folder = TestFolder::new();
    let first = journal(&folder);
    first.open(DAY, None).await.unwrap();
    first.note_verdict(fresh(1));
    first.close(None);
    let second = journal(&folder);
    assert_eq!(second.open(DAY, None).await.unwrap().verdicts, [fresh(1)]);
    // What the first does from now on is nothing.
    first.note_verdict(fresh(2));
    assert!(!save(&first, 1).await);
    assert_eq!(first.status().pending, 0);
    Arc::clone(&first).run().await;
    first.close(None);
    second.close(None);
    assert_eq!(reopened(&folder).await.verdicts, [fresh(1)]);
}

#[tokio::test]
async fn what_the_second_process_notes_is_written_when_it_has_the_folder() {
    let folder = TestFolder::new();
    let first = journal(&folder);
    first.open(DAY, None).await.unwrap();
    let second = journal(&folder);
    assert_eq!(second.open(DAY, None).await, Err(NotOpened::Busy));
    second.note_verdict(fresh(2));
    assert_eq!(second.status().pending, 1);
    assert_eq!(second.status().path, Some(folder.file()));
    assert!(save(&first, 1).await);
    first.close(None);
    let loaded = second.open(DAY, None).await.unwrap();
    assert_eq!((loaded.days, loaded.verdicts), (counted(1), vec![]));
    second.close(None);
    assert_eq!(reopened(&folder).await.verdicts, [fresh(2)]);
}

#[tokio::test(start_paused = true)]
async fn who_saves_before_a_folder_turns_out_to_be_of_no_use_is_told() {
    let folder = TestFolder::new();
    write_file(&folder.dir(), b"a file");
    let journal = journal(&folder);
    journal.note_verdict(fresh(1));
    let saved = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { save(&journal, 1).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(journal.open(DAY, None).await, Err(NotOpened::Failed));
    let start = Instant::now();
    assert!(!saved.await.unwrap());
    assert!(!save(&journal, 2).await);
    assert_eq!(start.elapsed(), Duration::ZERO, "told at once");
    assert!(journal.status().error.unwrap().contains("is not a folder"));
    std::fs::remove_file(folder.dir()).unwrap();
    journal.open(DAY, None).await.unwrap();
    journal.close(None);
    assert_eq!(reopened(&folder).await.days, counted(2), "nothing is lost");
}

#[tokio::test]
async fn what_is_noted_before_the_file_is_open_is_written_once_it_is() {
    let folder = TestFolder::new();
    let journal = journal(&folder);
    journal.note_verdict(fresh(1));
    let saved = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { save(&journal, 1).await }
    });
    tokio::task::yield_now().await;
    journal.open(DAY, None).await.unwrap();
    assert!(saved.await.unwrap());
    journal.close(None);
    assert_eq!(reopened(&folder).await.verdicts, [fresh(1)]);
}

#[tokio::test]
async fn closed_before_it_is_open_it_never_opens() {
    let folder = TestFolder::new();
    let journal = journal(&folder);
    journal.note_verdict(fresh(1));
    journal.close(None);
    assert_eq!(journal.open(DAY, None).await, Err(NotOpened::Closed));
    assert!(!folder.dir().exists());
}

const CHILD_FOLDER: &str = "IPWHOIS_GUARD_TEST_JOURNAL";
const CHILD_ROUND: &str = "IPWHOIS_GUARD_TEST_ROUND";
const PER_ROUND: u32 = 1_000_000;

/// The process that is killed. Does nothing when it is run as a test.
///
/// Says `saved N` when the count N is saved, with all verdicts up to N; and `kept N` when nothing
/// is pending any more after verdict N was noted, without anybody having waited for it.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let round: u32 = std::env::var(CHILD_ROUND).unwrap().parse().unwrap();
    let clock = SystemClock::default();
    let journal = Arc::new(Journal::new(
        Some(PathBuf::from(dir)),
        Arc::new(clock.clone()),
    ));
    journal.open(DAY, None).await.expect("the folder is free");
    tokio::spawn(Arc::clone(&journal).run());
    let say = |word: &str, n: u32| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{word} {n}").unwrap();
        out.flush().unwrap();
    };
    for n in round * PER_ROUND.. {
        journal.note_verdict(verdict(n, clock.wall()));
        if n % 64 == 63 {
            // By the state and not by the next write, which may be one that began before.
            while journal.status().pending > 0 || inner(&journal).state().is_writing {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            say("kept", n);
        } else if n % 3 == 0 && save(&journal, n).await {
            say("saved", n);
        }
    }
}

#[tokio::test]
async fn what_was_saved_survives_the_kill_of_the_process() {
    let folder = TestFolder::new();
    for (round, lines) in [(0, 30), (1, 1), (2, 50)] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "state::journal::tests::child_that_writes_until_it_is_killed",
                "--exact",
                "--nocapture",
            ])
            .env(CHILD_FOLDER, folder.dir())
            .env(CHILD_ROUND, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        // libtest says "test … ..." on a line of its own before, or on the same.
        let mut hear = |line: String| {
            for word in ["saved ", "kept "] {
                let n = line.rsplit_once(word).and_then(|(_, n)| n.parse().ok());
                said.extend(n.map(|n: u32| (word, n)));
            }
            said.len()
        };
        while hear(out.next().expect("the child goes on").unwrap()) < lines {}
        child.kill().unwrap();
        child.wait().unwrap();
        // What it managed to say until then counts; the last line may be half of one.
        let mut rest: Vec<_> = out.map_while(Result::ok).collect();
        rest.pop();
        rest.into_iter().for_each(|line| {
            hear(line);
        });
        let journal = Journal::new(Some(folder.dir()), Arc::new(SystemClock::default()));
        let loaded = journal
            .open(DAY, None)
            .await
            .expect("the file needs no help");
        journal.close(None);
        assert_eq!(folder.names(), [FILE_NAME]);
        let budget = loaded.days.first().map_or(0, |(_, count)| count.granted);
        let highest = |word| {
            let of_word = said.iter().filter(|(said, _)| *said == word);
            of_word.map(|(_, n)| *n).max()
        };
        let saved = highest("saved ").unwrap();
        assert!(budget >= saved, "{budget} of {saved}");
        let last = saved.max(highest("kept ").unwrap_or(0));
        let kept = loaded
            .verdicts
            .iter()
            .filter(|kept| (round * PER_ROUND..=last).any(|n| kept.ip == ip(n)))
            .count();
        assert_eq!(kept as u32, last - round * PER_ROUND + 1);
    }
}
