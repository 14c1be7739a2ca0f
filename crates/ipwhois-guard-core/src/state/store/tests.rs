use std::fs;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::tables::tests::write_by_hand;
use super::super::testing::{DAY, TestFolder, feed, now, verdict, write_file};
use super::*;

fn open(folder: &TestFolder) -> Result<Opened, StateError> {
    Store::open(&folder.dir(), now(), DAY)
}

fn batch(verdicts: u32) -> Batch {
    Batch {
        verdicts: (0..verdicts).map(|n| verdict(n, now())).collect(),
        budget: Some(b"budget".to_vec()),
        feed: Some(feed("25.0.0.1\n")),
        ..Batch::default()
    }
}

/// The bytes of a file with this many verdicts, closed as it should be.
fn good_file(verdicts: u32) -> Vec<u8> {
    let folder = TestFolder::new();
    let store = open(&folder).unwrap().store;
    store.write(&batch(verdicts)).unwrap();
    store.close().unwrap();
    fs::read(folder.file()).unwrap()
}

/// That a file is set aside, unchanged, for this reason, and a new one works.
#[track_caller]
fn check_set_aside(bytes: &[u8], reason: &str) {
    let folder = TestFolder::new();
    write_file(&folder.file(), bytes);
    let opened = open(&folder).unwrap();
    let aside = opened.set_aside.expect("it is set aside");
    assert!(
        aside.reason.to_string().contains(reason),
        "{}",
        aside.reason
    );
    assert_eq!(opened.loaded, Loaded::default());
    let name = format!("{}.damaged-1790000000", folder::FILE_NAME);
    assert_eq!(aside.to, folder.dir().join(&name));
    opened.store.write(&batch(1)).unwrap();
    drop(opened.store);
    assert_eq!(folder.names(), [folder::FILE_NAME.to_owned(), name]);
    let again = open(&folder).unwrap();
    assert!(again.set_aside.is_none());
    assert_eq!(again.loaded.verdicts.len(), 1);
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let folder = TestFolder::new();
    let opened = open(&folder).unwrap();
    assert_eq!(opened.loaded, Loaded::default());
    opened.store.write(&batch(100)).unwrap();
    drop(opened);
    let loaded = open(&folder).unwrap().loaded;
    assert_eq!(loaded.verdicts, batch(100).verdicts);
    assert_eq!(loaded.budget, Some(b"budget".to_vec()));
    assert_eq!(loaded.feed, Some(feed("25.0.0.1\n")));
    assert_eq!(loaded.skipped, 0);
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_what_it_makes() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TestFolder::new();
    drop(open(&folder).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.dir()), 0o700);
    assert_eq!(mode(folder.dir().parent().unwrap()), 0o700);
    assert_eq!(mode(&folder.file()), 0o600);
}

#[test]
fn garbage_is_set_aside() {
    let garbage: Vec<u8> = (0..100_000_u32).map(|n| (n * 31) as u8).collect();
    check_set_aside(&garbage, "no state file of a guard: Not a redb database");
}

#[test]
fn a_text_file_is_set_aside() {
    check_set_aside(b"state\n", "no state file of a guard");
    let long = "a line of text\n".repeat(1_000);
    check_set_aside(long.as_bytes(), "no state file of a guard");
}

#[test]
fn a_file_cut_to_half_is_set_aside() {
    let good = good_file(20_000);
    check_set_aside(&good[..good.len() / 2], "is damaged: ");
}

#[test]
fn a_file_cut_within_its_header_is_set_aside() {
    check_set_aside(&good_file(1)[..100], "is damaged: it is cut off");
}

#[test]
fn an_empty_file_is_what_a_crash_leaves_and_is_filled() {
    let folder = TestFolder::new();
    write_file(&folder.file(), b"");
    let opened = open(&folder).unwrap();
    assert!(opened.set_aside.is_none());
    opened.store.write(&batch(1)).unwrap();
}

#[test]
fn a_file_that_was_being_made_when_the_process_ended_heals() {
    // redb writes its first bytes last.
    let mut unfinished = good_file(0);
    unfinished[..9].fill(0);
    check_set_aside(&unfinished, "no state file of a guard");
    // Between redb's part of making it and ours.
    let folder = TestFolder::new();
    fs::create_dir_all(folder.dir()).unwrap();
    drop(Database::create(folder.file()).unwrap());
    let opened = open(&folder).unwrap();
    assert!(opened.set_aside.is_none());
    opened.store.write(&batch(1)).unwrap();
}

#[test]
fn a_redb_file_of_another_application_is_set_aside() {
    let folder = TestFolder::new();
    fs::create_dir_all(folder.dir()).unwrap();
    for (table, word) in [("settings", "format"), ("meta", "format"), ("meta", "name")] {
        let database = Database::create(folder.file()).unwrap();
        let write = database.begin_write().unwrap();
        let definition = redb::TableDefinition::<&str, &str>::new(table);
        let mut table = write.open_table(definition).unwrap();
        table.insert(word, "7").unwrap();
        drop(table);
        write.commit().unwrap();
        drop(database);
        let bytes = fs::read(folder.file()).unwrap();
        fs::remove_file(folder.file()).unwrap();
        check_set_aside(&bytes, "another application's redb file");
    }
}

#[test]
fn a_table_of_another_shape_is_damage() {
    let folder = TestFolder::new();
    drop(open(&folder).unwrap());
    let database = Database::create(folder.file()).unwrap();
    let write = database.begin_write().unwrap();
    let verdicts = redb::TableDefinition::<u64, u64>::new("verdicts");
    write
        .delete_table(redb::TableDefinition::<[u8; 16], &[u8]>::new("verdicts"))
        .unwrap();
    write.open_table(verdicts).unwrap().insert(1, 1).unwrap();
    write.commit().unwrap();
    drop(database);
    check_set_aside(
        &fs::read(folder.file()).unwrap(),
        "is damaged: verdicts has key type u64",
    );
}

#[test]
fn an_earlier_file_that_was_set_aside_is_not_overwritten() {
    let folder = TestFolder::new();
    for content in ["one", "two", "three"] {
        write_file(&folder.file(), content.as_bytes());
        drop(open(&folder).unwrap());
    }
    let aside = folder.dir().join("ipwhois-guard.redb.damaged-1790000000");
    assert_eq!(fs::read(&aside).unwrap(), b"one");
    let second = folder.dir().join("ipwhois-guard.redb.damaged-1790000000-2");
    assert_eq!(fs::read(second).unwrap(), b"two");
    let third = folder.dir().join("ipwhois-guard.redb.damaged-1790000000-3");
    assert_eq!(fs::read(third).unwrap(), b"three");
}

#[test]
fn the_last_three_damaged_files_are_kept() {
    let folder = TestFolder::new();
    let set_aside = |content: &str| {
        write_file(&folder.file(), content.as_bytes());
        drop(open(&folder).unwrap());
    };
    let name = |suffix: &str| format!("{}.damaged-{suffix}", folder::FILE_NAME);
    let foreign = [name("yesterday"), "notes.txt".to_owned()];
    for other in &foreign {
        write_file(&folder.dir().join(other), b"not ours");
    }
    // One of the future, as a wrong clock names it.
    write_file(&folder.dir().join(name("1800000000")), b"zero");
    for n in 1..=12 {
        set_aside(&n.to_string());
        let mut kept = folder.names();
        kept.retain(|name| name.contains("damaged") && !foreign.contains(name));
        assert_eq!(kept.len(), 3.min(n + 1), "{kept:?}");
        let content = |name: &String| fs::read_to_string(folder.dir().join(name)).unwrap();
        assert!(kept.iter().any(|name| content(name) == n.to_string()));
    }
    for other in &foreign {
        assert!(folder.dir().join(other).exists(), "{other}");
    }
}

#[test]
fn a_file_of_a_newer_version_is_left_as_it_is() {
    let folder = TestFolder::new();
    let store = open(&folder).unwrap().store;
    store.write(&batch(3)).unwrap();
    write_by_hand(
        &store.database,
        "ipwhois-guard 2",
        &[([7; 16], b"a newer row")],
    );
    drop(store);
    let error = open(&folder).unwrap_err();
    assert!(matches!(error, StateError::Newer { .. }), "{error}");
    assert_eq!(folder.names(), [folder::FILE_NAME]);
    // The newer version finds its own again.
    let database = Database::open(folder.file()).unwrap();
    write_by_hand(&database, "ipwhois-guard 1", &[]);
    drop(database);
    let loaded = open(&folder).unwrap().loaded;
    assert_eq!((loaded.verdicts.len(), loaded.skipped), (3, 1));
    assert_eq!(loaded.budget, Some(b"budget".to_vec()));
}

#[test]
fn a_file_of_a_newer_redb_is_left_as_it_is() {
    let folder = TestFolder::new();
    let mut bytes = good_file(1);
    bytes[64] = 4;
    bytes[64 + 128] = 4;
    write_file(&folder.file(), &bytes);
    let error = open(&folder).unwrap_err();
    assert!(matches!(error, StateError::Newer { .. }), "{error}");
    assert!(fs::read(folder.file()).unwrap() == bytes);
    // One of the two is a flipped bit.
    bytes[64] = 3;
    check_set_aside(&bytes, "is damaged: ");
}

#[test]
fn a_folder_in_use_is_refused_until_it_is_given_up() {
    let folder = TestFolder::new();
    let first = open(&folder).unwrap();
    let error = open(&folder).unwrap_err();
    assert!(matches!(error, StateError::InUse { .. }), "{error}");
    first.store.write(&batch(1)).unwrap();
    first.store.close().unwrap();
    assert_eq!(open(&folder).unwrap().loaded.verdicts.len(), 1);
}

#[test]
fn a_damaged_file_is_left_to_the_guard_that_came_first() {
    let folder = TestFolder::new();
    write_file(&folder.file(), b"damaged");
    let first = Folder::take(&folder.dir()).unwrap();
    let error = open(&folder).unwrap_err();
    assert!(matches!(error, StateError::InUse { .. }), "{error}");
    assert_eq!(folder.names(), [folder::FILE_NAME]);
    drop(first);
    assert!(open(&folder).unwrap().set_aside.is_some());
}

#[test]
fn a_file_that_something_else_has_open_is_refused() {
    let folder = TestFolder::new();
    drop(open(&folder).unwrap());
    let other = Database::open(folder.file()).unwrap();
    let error = open(&folder).unwrap_err();
    assert!(matches!(error, StateError::InUse { .. }), "{error}");
    drop(other);
    open(&folder).unwrap();
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let folder = TestFolder::new();
    write_file(&folder.dir(), b"a file");
    let error = open(&folder).unwrap_err();
    assert!(matches!(error, StateError::NotAFolder { .. }), "{error}");
    let below = folder.dir().join("below");
    let error = Store::open(&below, now(), DAY).unwrap_err();
    assert!(matches!(error, StateError::NotAFolder { .. }), "{error}");
    assert_eq!(fs::read(folder.dir()).unwrap(), b"a file");
}

#[test]
fn a_folder_in_the_place_of_the_file_is_refused() {
    let folder = TestFolder::new();
    fs::create_dir_all(folder.file()).unwrap();
    let error = open(&folder).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(folder::FILE_NAME), "{text}");
    assert!(
        matches!(error, StateError::Io { .. } | StateError::Denied { .. }),
        "{text}"
    );
}

#[test]
fn a_panic_of_redb_says_that_the_file_is_damaged() {
    let error = contained::<()>(Path::new("file"), || panic!("page {} is none", 7)).unwrap_err();
    assert_eq!(error.to_string(), "`file` is damaged: page 7 is none");
    assert!(error.is_hopeless());
}

/// Opens, loads, writes and closes; whatever the file holds, it ends with a state.
#[track_caller]
fn check_survives(bytes: &[u8]) {
    let folder = TestFolder::new();
    write_file(&folder.file(), bytes);
    match open(&folder) {
        Ok(opened) => {
            let _ = opened.store.write(&batch(10));
        }
        Err(StateError::Newer { .. }) => return,
        Err(error) => panic!("{error}"),
    }
    let opened = open(&folder).unwrap();
    opened.store.write(&batch(10)).unwrap();
    drop(opened);
    let again = open(&folder).unwrap();
    assert!(again.set_aside.is_none());
    assert!(again.loaded.verdicts.len() >= 10);
}

static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| good_file(300));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_file_with_flipped_bytes_is_too_much(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..20),
        header in any::<bool>(),
    ) {
        let mut bytes = SMALL.clone();
        let range = if header { 320 } else { bytes.len() };
        for (at, flip) in flips {
            bytes[at.index(range)] ^= flip;
        }
        check_survives(&bytes);
    }

    #[test]
    fn no_file_of_another_length_is_too_much(len in any::<prop::sample::Index>(), more in any::<bool>()) {
        let mut bytes = SMALL.clone();
        let len = len.index(bytes.len()) + if more { bytes.len() } else { 0 };
        bytes.resize(len, 0);
        check_survives(&bytes);
    }
}
