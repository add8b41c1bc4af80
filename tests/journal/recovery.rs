//! What a start learns from a journal: its end, its ceiling, and whether the store beside it is the
//! right one and has everything (I11).

use readstates::{
    journal::{Heal, Image, JournalError, Record, SegmentId, SimulatedDisk},
    model::{Sequence, Version},
    store::CommitNumber,
    store::StoreIdentity,
};

use crate::{
    builder::{Builder, STORE},
    reading::{open, read, records_of},
};

const SEGMENT_BYTES: u64 = 16 << 10;

fn ceiling(micros: u64) -> Record {
    Record::Ceiling(Version::from_micros(micros))
}

/// `segments` segments of ten records, before each of which the store had persisted the records
/// of all but the segment before: segment n was begun at horizon (n - 2) * 10, commit n - 2.
fn lagging(segments: u64) -> Builder {
    let mut builder = Builder::new(SEGMENT_BYTES);
    for segment in 1..=segments {
        for record in 0..10 {
            builder.group(&[ceiling(segment * 10 + record)]);
        }
        if segment < segments {
            builder.advance(Sequence::new((segment - 1) * 10), segment - 1);
            builder.roll();
        }
    }
    let last = segments.saturating_sub(1);
    builder.advance(Sequence::new(last * 10), last);
    builder
}

fn store(commits: u64) -> StoreIdentity {
    StoreIdentity { id: STORE, commits: CommitNumber(commits), upto: None }
}

/// The first record that is replayed with this store.
fn first_replayed(disk: &SimulatedDisk, store: StoreIdentity) -> Result<(u64, Heal), JournalError> {
    let mut recovery = open(disk)?;
    let heal = recovery.check_store(store)?;
    let (records, _) = records_of(&recovery)?;
    assert!(records.is_sorted_by_key(|(sequence, _)| *sequence));
    Ok((records.first().map_or(0, |(sequence, _)| sequence.as_u64()), heal))
}

#[test]
fn an_empty_folder_is_a_new_journal() {
    let leftovers = ["lock", "spare.new", "manifest.new"].map(|name| (name.to_owned(), vec![1]));
    for image in [Image::new(), Image::from(leftovers)] {
        let mut recovery = open(&SimulatedDisk::restore(image)).expect("it is empty");
        assert!(recovery.is_new());
        assert_eq!(recovery.ceiling(), Version::ZERO);
        let unknown = StoreIdentity { id: 5, commits: CommitNumber(1_000), upto: None };
        assert!(matches!(recovery.check_store(unknown), Ok(Heal::InStep)));
        assert_eq!(records_of(&recovery).expect("nothing is replayed").0, []);
    }
}

#[test]
fn a_journal_is_of_one_process_at_a_time() {
    let builder = lagging(1);
    let held = open(&builder.disk).expect("it is free");
    assert!(matches!(open(&builder.disk), Err(JournalError::Locked { .. })));
    drop(held);
    open(&builder.disk).expect("it is free again");
}

#[test]
fn a_store_in_step_gets_what_is_after_the_horizon() {
    let builder = lagging(4);
    for commits in [3, 4, 100] {
        let (first, heal) = first_replayed(&builder.disk, store(commits)).expect("in step");
        assert_eq!((first, heal), (31, Heal::InStep));
    }
}

#[test]
fn a_store_that_lost_commits_is_healed_from_the_newest_segment_that_reaches_back() {
    let builder = lagging(4);
    for (commits, first_wanted) in [(2, 21), (1, 11), (0, 1)] {
        let (first, heal) = first_replayed(&builder.disk, store(commits)).expect("healed");
        let (from, to) = (CommitNumber(commits), CommitNumber(3));
        assert_eq!((first, heal), (first_wanted, Heal::Healed { from, to }));
    }
}

#[test]
fn a_store_that_lost_more_than_is_retained_is_refused() {
    let mut builder = lagging(4);
    builder.free(SegmentId(3));
    // Segment 4 was begun at horizon 20, and record 21 is in segment 3.
    assert_eq!(first_replayed(&builder.disk, store(2)).expect("healed").0, 21);
    for commits in [1, 0] {
        let refused = first_replayed(&builder.disk, store(commits));
        let Err(JournalError::StoreLost { what, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(what, format!("it had persisted commit 3, and now its last is {commits}"));
    }
}

#[test]
fn another_store_and_an_empty_one_are_refused() {
    let builder = lagging(2);
    let foreign = StoreIdentity { id: STORE + 1, ..store(100) };
    let Err(error) = first_replayed(&builder.disk, foreign) else { panic!("it was taken") };
    assert!(error.to_string().contains("was made by another journal"), "{error}");
    let empty = StoreIdentity { commits: CommitNumber(1), ..foreign };
    let Err(error) = first_replayed(&builder.disk, empty) else { panic!("it was taken") };
    assert!(error.to_string().contains("just made and is empty"), "{error}");
}

#[test]
fn the_newest_ceiling_is_the_last_one_even_if_it_is_lower() {
    let mut builder = Builder::new(SEGMENT_BYTES);
    assert_eq!(open(&builder.disk).expect("it is whole").ceiling(), Version::ZERO);
    builder.group(&[ceiling(500), ceiling(100)]);
    assert_eq!(open(&builder.disk).expect("it is whole").ceiling(), Version::from_micros(100));
    // A header remembers it.
    builder.roll();
    assert_eq!(open(&builder.disk).expect("it is whole").ceiling(), Version::from_micros(100));
    builder.group(&[Record::Seal]);
    assert_eq!(open(&builder.disk).expect("it is whole").ceiling(), Version::from_micros(100));
}

#[test]
fn a_segment_without_groups_is_read_whether_it_is_the_last_or_not() {
    let mut builder = lagging(2);
    let written = builder.records.clone();
    for _ in 0..3 {
        builder.begin();
        builder.advance(Sequence::ZERO, 0);
        assert_eq!(read(&builder.disk).expect("it is whole"), written);
    }
    builder.group(&[Record::Seal]);
    assert_eq!(read(&builder.disk).expect("it is whole"), builder.records);
}

#[test]
fn what_is_behind_the_end_that_a_later_segment_remembers_is_not_read() {
    let mut builder = lagging(1);
    builder.write(builder.end.end, &[7; 100]);
    let torn = records_of(&open(&builder.disk).expect("it is torn")).expect("it parses").1;
    assert_eq!((torn.records, torn.torn_bytes), (10, 100));
    builder.begin();
    builder.group(&[Record::Seal]);
    let whole = records_of(&open(&builder.disk).expect("it is whole")).expect("it parses").1;
    assert_eq!((whole.records, whole.torn_bytes), (11, 0));
}

/// The manifest does not know of the newest segment; the mark at the end of the one before does.
#[test]
fn a_mark_makes_a_missing_successor_known() {
    let mut builder = lagging(1);
    builder.roll();
    let mut image = builder.disk.image();
    read(&SimulatedDisk::restore(image.clone())).expect("it is whole");
    image.remove(&SegmentId(2).file_name());
    let refused = read(&SimulatedDisk::restore(image));
    let Err(JournalError::Damaged(damage)) = refused else { panic!("{refused:?}") };
    assert_eq!(damage.what, "it says that segment 2 follows, which is missing");
}

#[test]
fn segments_before_the_oldest_do_not_count_whatever_they_are() {
    let mut builder = lagging(3);
    builder.manifest.oldest = SegmentId(2);
    builder.write_manifest();
    let whole = read(&builder.disk).expect("it is whole");
    builder.disk.damage(&SegmentId(1).file_name(), |bytes| bytes.truncate(10));
    assert_eq!(read(&builder.disk).expect("it does not count"), whole);
}

/// Records up to the horizon were cut off: the store has them, and no later record may pass for
/// one of them.
#[test]
fn sequences_go_on_above_the_horizon() {
    let mut builder = lagging(1);
    builder.advance(Sequence::new(12), 1);
    let recovery = open(&builder.disk).expect("it is whole");
    let (_journal, writer) = recovery.begin().expect("no fault");
    drop((recovery, writer));
    let recovery = open(&builder.disk).expect("it is whole");
    let (journal, _writer) = recovery.begin().expect("no fault");
    drop(recovery);
    assert_eq!(journal.last(), Sequence::new(12));
}

/// A group that was read from memory is made durable before the next segment promises that it is
/// there: the sync of the process before may have failed, and no later sync repeats it.
#[test]
fn a_group_whose_sync_failed_survives_a_power_cut_after_the_next_start() {
    use rand::{SeedableRng as _, rngs::StdRng};
    use readstates::journal::DiskCall;

    let mut builder = lagging(1);
    builder.disk.faults().fail(DiskCall::SyncData, 1, 5);
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        builder.group(&[ceiling(99)]);
    }));
    failed.expect_err("the sync fails");
    let written = read(&builder.disk).expect("it is whole");
    assert_eq!(written.len(), 11, "the group is still read");
    drop(open(&builder.disk).expect("it is whole").begin().expect("no fault"));
    for seed in 0..8 {
        let disk = builder.disk.power_cut(&mut StdRng::seed_from_u64(seed));
        assert_eq!(read(&disk).expect("no damage"), written);
    }
}
