use std::sync::Arc;

use proptest::prelude::*;
use redb::backends::InMemoryBackend;

use super::super::codec::tests::any_verdict;
use super::super::testing::{DAY, feed, ip, now, verdict};
use super::*;
use crate::verdict::ThreatType;

const SECOND: Duration = Duration::from_secs(1);

fn database() -> Database {
    let database = Database::builder()
        .create_with_backend(InMemoryBackend::new())
        .unwrap();
    prepare(&database, Path::new("memory")).unwrap();
    database
}

/// A file of a guard whose rows and words are these, for the tests of what opens it.
pub(in crate::state) fn write_by_hand(
    database: &Database,
    format: &str,
    verdicts: &[(Key, &[u8])],
) {
    let write = database.begin_write().unwrap();
    {
        let mut meta = write.open_table(META).unwrap();
        meta.insert(FORMAT, format).unwrap();
        let mut table = write.open_table(VERDICTS).unwrap();
        for (key, row) in verdicts {
            table.insert(key, row).unwrap();
        }
    }
    write.commit().unwrap();
}

fn verdicts(batch: Vec<StoredVerdict>) -> Batch {
    Batch {
        verdicts: batch,
        ..Batch::default()
    }
}

#[test]
fn a_row_of_nonsense_is_skipped_and_counted_and_the_others_are_read() {
    let database = database();
    let good = verdict(1, now());
    let good_row = codec::verdict_row(&good);
    let mut bad_confidence = good_row;
    bad_confidence[1] = 101;
    let mut bad_threat = good_row;
    bad_threat[2] = 9;
    let rows: [(Key, &[u8]); 5] = [
        (codec::key(good.ip), &good_row),
        ([1; 16], &bad_confidence),
        ([2; 16], &bad_threat),
        ([3; 16], &[]),
        ([4; 16], &[0; 12]),
    ];
    write_by_hand(&database, "ipwhois-guard 1", &rows);
    let write = database.begin_write().unwrap();
    let mut table = write.open_table(FEED).unwrap();
    table.insert((), b"short".as_slice()).unwrap();
    drop(table);
    write.commit().unwrap();
    let loaded = load(&database, now(), DAY).unwrap();
    assert_eq!(loaded.verdicts, [good]);
    assert_eq!(loaded.feed, None);
    assert_eq!(loaded.skipped, 5);
}

#[test]
fn reports_are_kept_until_they_are_deleted_by_their_number() {
    let database = database();
    let put = |id, report: Option<&[u8]>| Batch {
        reports: vec![(id, report.map(<[u8]>::to_vec))],
        ..Batch::default()
    };
    write(&database, &put(7, Some(b"seven"))).unwrap();
    write(&database, &put(3, Some(b"three"))).unwrap();
    write(&database, &put(7, None)).unwrap();
    write(&database, &put(8, None)).unwrap();
    let loaded = load(&database, now(), DAY).unwrap();
    assert_eq!(loaded.reports, [(3, b"three".to_vec())]);
}

fn delivered(n: u32, queued_at: u64) -> Delivered {
    Delivered {
        ip: ip(n),
        threat_type: ThreatType::Scan,
        queued_at,
    }
}

fn deliveries(database: &Database) -> Vec<Delivered> {
    load(database, now(), DAY).unwrap().delivered
}

#[test]
fn deliveries_are_kept_until_they_are_old() {
    let database = database();
    let put = |delivered, since| Batch {
        delivered,
        delivered_since: since,
        ..Batch::default()
    };
    let spam = Delivered {
        threat_type: ThreatType::Spam,
        ..delivered(1, 100)
    };
    write(&database, &put(vec![delivered(1, 100), spam], None)).unwrap();
    write(&database, &put(vec![delivered(1, 150)], None)).unwrap();
    assert_eq!(deliveries(&database), [spam, delivered(1, 150)]);
    write(&database, &put(vec![delivered(2, 90)], Some(101))).unwrap();
    assert_eq!(deliveries(&database), [delivered(1, 150), delivered(2, 90)]);
    write(&database, &put(Vec::new(), Some(151))).unwrap();
    assert_eq!(deliveries(&database), []);
}

#[test]
fn deliveries_do_not_fill_the_disk() {
    let database = database();
    let most = u32::try_from(MOST_DELIVERED).unwrap();
    let batch = |from, to| Batch {
        delivered: (from..to).map(|n| delivered(n, 100)).collect(),
        ..Batch::default()
    };
    write(&database, &batch(0, most - 1)).unwrap();
    write(&database, &batch(most - 1, most + 100)).unwrap();
    assert_eq!(deliveries(&database).len(), most as usize);
}

#[test]
fn a_file_of_before_there_were_deliveries_is_read_and_written() {
    let database = database();
    let write_once = database.begin_write().unwrap();
    assert!(write_once.delete_table(DELIVERED).unwrap());
    write_once
        .open_table(REPORTS)
        .unwrap()
        .insert(7, b"seven".as_slice())
        .unwrap();
    write_once.commit().unwrap();
    prepare(&database, Path::new("memory")).unwrap();
    let loaded = load(&database, now(), DAY).unwrap();
    assert_eq!(loaded.reports, [(7, b"seven".to_vec())]);
    assert_eq!(loaded.delivered, []);
    let batch = Batch {
        reports: vec![(7, None)],
        delivered: vec![delivered(1, 100)],
        ..Batch::default()
    };
    write(&database, &batch).unwrap();
    assert_eq!(deliveries(&database), [delivered(1, 100)]);
}

#[test]
fn the_newest_write_of_an_address_the_budget_and_the_feed_counts() {
    let database = database();
    for n in 0..3_u8 {
        let batch = Batch {
            verdicts: vec![verdict(1, now() + SECOND * u32::from(n))],
            budget: Some(vec![n]),
            feed: Some(feed(&format!("feed {n}"))),
            ..Batch::default()
        };
        write(&database, &batch).unwrap();
    }
    let loaded = load(&database, now(), DAY).unwrap();
    assert_eq!(loaded.verdicts, [verdict(1, now() + SECOND * 2)]);
    assert_eq!(loaded.budget, Some(vec![2]));
    assert_eq!(loaded.feed, Some(feed("feed 2")));
}

#[test]
fn what_is_too_old_is_left_out_and_what_is_of_the_future_is_not() {
    let database = database();
    let old = verdict(1, now() - DAY - SECOND);
    let edge = verdict(2, now() - DAY);
    let future = verdict(3, now() + DAY * 10_000);
    write(&database, &verdicts(vec![old, edge, future])).unwrap();
    let loaded = load(&database, now(), DAY).unwrap();
    assert_eq!(loaded.verdicts, [edge, future]);
    let all = load(&database, now(), DAY * 2).unwrap();
    assert_eq!(all.verdicts.len(), 3, "it is still in the file");
}

#[test]
fn pruning_deletes_what_lies_outside_and_what_cannot_be_read() {
    let database = database();
    let kept = [verdict(2, now() - DAY), verdict(3, now() + DAY)];
    let old = verdict(1, now() - DAY - SECOND);
    let future = verdict(4, now() + DAY + SECOND);
    write_by_hand(&database, "ipwhois-guard 1", &[([9; 16], &[9])]);
    write(&database, &verdicts(vec![old, kept[0], kept[1], future])).unwrap();
    let keep = Batch {
        keep: Some(now() - DAY..=now() + DAY),
        ..Batch::default()
    };
    write(&database, &keep).unwrap();
    let loaded = load(&database, now(), DAY * 10).unwrap();
    assert_eq!(loaded.verdicts, kept);
    assert_eq!(loaded.skipped, 0);
}

#[test]
fn of_too_many_verdicts_the_oldest_go() {
    let database = database();
    let all: Vec<_> = (0..10).map(|n| verdict(n, now() + SECOND * n)).collect();
    let write = database.begin_write().unwrap();
    {
        let mut table = write.open_table(VERDICTS).unwrap();
        for verdict in &all {
            let row = codec::verdict_row(verdict);
            table
                .insert(codec::key(verdict.ip), row.as_slice())
                .unwrap();
        }
        prune(&mut table, &(now()..=now() + DAY), 4).unwrap();
    }
    write.commit().unwrap();
    let loaded = load(&database, now(), DAY).unwrap();
    assert_eq!(loaded.verdicts, all[6..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn verdicts_come_back_as_they_were(
        written in proptest::collection::vec(any_verdict(), 0..100),
    ) {
        let database = Arc::new(database());
        let mut expected: std::collections::BTreeMap<_, _> = std::collections::BTreeMap::new();
        for chunk in written.chunks(10) {
            write(&database, &verdicts(chunk.to_vec())).unwrap();
            expected.extend(chunk.iter().map(|verdict| (codec::key(verdict.ip), *verdict)));
        }
        let loaded = load(&database, now(), Duration::MAX).unwrap();
        prop_assert_eq!(loaded.verdicts, expected.into_values().collect::<Vec<_>>());
        prop_assert_eq!(loaded.skipped, 0);
    }
}
