//! Every bug once met, so that it is not met again.

use std::{num::NonZeroUsize, sync::Arc};

use readstates::{
    cache::{Access, Cache, Log, Sizing},
    clock::Now,
    flush::JournalLog,
    journal::{
        Disk, Image, JournalError, JournalId, JournalOptions, Link, Manifest, Recovery, Repair,
        SEGMENT_BYTES_MIN, SegmentHeader, SegmentId, SimulatedDisk, Spare, Step,
    },
    model::{ChannelId, Key, MessageId, Operation, Sequence, UserId, Version},
    store::CommitNumber,
};

const SMALL: JournalOptions =
    JournalOptions { segment_bytes: 0, pending_bytes_max: 0, size_bytes: 0, reserve_bytes: 0 };

/// A start that ended before it wrote anything leaves a segment without records. While records
/// before it were needed, the next start took that for damage.
#[test]
fn a_segment_without_records_is_no_damage() {
    let disk = SimulatedDisk::default();
    let open = || Recovery::open(Arc::new(disk.clone()), SMALL).expect("a journal");
    {
        let (journal, mut writer) = open().begin().expect("it begins");
        journal.append_ceiling(Version::from_micros(7));
        assert!(matches!(writer.step(), Step::Committed { .. }));
    }
    for _ in 0..3 {
        let recovery = open();
        let replayed = recovery.replay::<JournalError>(&mut |_, _| Ok(()));
        assert_eq!(replayed.expect("it is whole").records, 1);
        recovery.begin().expect("it begins");
    }
}

/// A state that was made anew behind the deletion of its user, and confirmed by the store while
/// that deletion was not, was left out when old records were written down anew. With them it was
/// gone for a store that had not persisted it.
#[test]
fn what_is_newer_than_a_pending_deletion_is_written_down_anew() {
    let recovery = Recovery::open(Arc::new(SimulatedDisk::default()), SMALL).expect("a journal");
    let (journal, _writer) = recovery.begin().expect("it begins");
    drop(recovery);
    let log: Arc<dyn Log> = Arc::new(JournalLog(journal.clone()));
    let sizing = Sizing::for_entries(NonZeroUsize::new(8).expect("not 0"), None, None);
    let cache = Cache::with_log(sizing, Version::ZERO, 0, &log);
    let ceiling = Version::from_micros(u64::MAX);
    let now = Now { wall_us: 1_000, ceiling, elapsed_ms: 0 };
    let user = UserId::new(1).expect("not 0");
    let key = Key::channel(user, ChannelId::new(1).expect("not 0"));
    let message = MessageId::new(9).expect("not 0");
    let mention = Operation::Mention { message, initial_acked_id: None };
    cache.delete_user(user, &now).expect("there is room");
    let ticket = cache.begin_load(key).expect("it is not in memory");
    cache.admit(ticket, None, &[Access::Update(mention.into())], &now).expect("nothing between");
    let mut rows = Vec::new();
    cache.collect_due(0, u64::MAX, 8, &mut rows);
    let (key, state) = rows.pop().expect("it is dirty");
    cache.settle(&key, state.version(), true, 0);
    let before = journal.last();
    cache.copy_flushed(&key, &state);
    assert_eq!(journal.last(), before.next(), "the store may still lose it");
    cache.delete_user(user, &now).expect("there is room");
    let before = journal.last();
    cache.copy_flushed(&key, &state);
    assert_eq!(journal.last(), before, "it is deleted, and must not come back");
}

const LAST_SEGMENT: SegmentId = SegmentId(u64::MAX);

/// What is on the disk but for the lock.
fn files(disk: &SimulatedDisk) -> Image {
    let mut image = disk.image();
    image.remove("lock");
    image
}

/// A file with the last number that a segment can have was overwritten by a repair: the number of
/// the segments that it writes did not get beyond that one.
#[test]
fn a_repair_overwrites_no_segment_with_the_last_number() {
    let disk = SimulatedDisk::default();
    let recovery = Recovery::open(Arc::new(disk.clone()), SMALL).expect("a journal");
    let (journal, mut writer) = recovery.begin().expect("it begins");
    journal.append_ceiling(Version::from_micros(7));
    assert!(matches!(writer.step(), Step::Committed { .. }));
    drop((recovery, journal, writer));
    let mut image = files(&disk);
    let stray = image.remove("spare.new").unwrap_or_default();
    image.insert(LAST_SEGMENT.file_name(), [&b"of somebody else"[..], &stray].concat());
    let disk = SimulatedDisk::restore(image.clone());
    let dyn_disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let refused = Repair::of(&dyn_disk, &SMALL, true).expect_err("there is no number left");
    assert!(matches!(refused, JournalError::NumbersExhausted { .. }), "{refused}");
    assert!(refused.to_string().contains("move the file that does out of the folder"), "{refused}");
    assert!(files(&disk) == image, "nothing was changed");
    disk.remove(&LAST_SEGMENT.file_name()).expect("no fault");
    assert!(Repair::of(&dyn_disk, &SMALL, true).expect("it is read").is_whole());
}

/// So did a start, where that segment was the journal's last one and had records.
#[test]
fn a_start_overwrites_no_segment_with_the_last_number() {
    let disk = SimulatedDisk::default();
    let manifest = Manifest {
        journal: JournalId(1),
        store: 0,
        horizon: Sequence::ZERO,
        commits: CommitNumber(0),
        oldest: LAST_SEGMENT,
        newest: LAST_SEGMENT,
        ceiling: Version::ZERO,
    };
    manifest.write(&disk).expect("no fault");
    let header = SegmentHeader {
        journal: JournalId(1),
        segment: LAST_SEGMENT,
        segment_bytes: SEGMENT_BYTES_MIN,
        first: Sequence::ZERO.next(),
        ceiling: Version::ZERO,
        horizon: Sequence::ZERO,
        commits: CommitNumber(0),
        previous: Link::default(),
        repaired: false,
    };
    let spare = Spare::prepare(&disk, SEGMENT_BYTES_MIN).expect("no fault");
    spare.take_place(&disk, header).expect("no fault");
    let before = files(&disk);
    let recovery = Recovery::open(Arc::new(disk.clone()), SMALL).expect("it is whole");
    let refused = recovery.begin().err();
    assert!(matches!(refused, Some(JournalError::NumbersExhausted { .. })), "{refused:?}");
    assert!(matches!(recovery.retire(), Err(JournalError::NumbersExhausted { .. })));
    assert!(files(&disk) == before, "nothing was changed");
}
