//! Bytes in the wrong place: what a disk held before must not pass for records.

use std::sync::Arc;

use readstates::{
    journal::{
        JournalError, JournalOptions, Recovery, SEGMENT_HEADER_BYTES, SegmentId, SimulatedDisk,
        Step,
    },
    model::Version,
};

const SMALL: JournalOptions =
    JournalOptions { segment_bytes: 0, pending_bytes_max: 0, size_bytes: 0, reserve_bytes: 0 };

fn open(disk: &SimulatedDisk) -> Recovery {
    Recovery::open(Arc::new(disk.clone()), SMALL).expect("a journal")
}

fn records(recovery: &Recovery) -> u64 {
    let replayed = recovery.replay::<JournalError>(&mut |_, _| Ok(()));
    replayed.expect("it is whole").records
}

/// A group that is whole, of this journal, of the right sequence and of another segment.
#[test]
fn what_another_segment_held_is_no_record() {
    let disk = SimulatedDisk::default();
    let before = {
        let (journal, mut writer) = open(&disk).begin().expect("it begins");
        let before = disk.image();
        journal.append_ceiling(Version::from_micros(7));
        assert!(matches!(writer.step(), Step::Committed { .. }));
        before
    };
    let (first, second) = (SegmentId(1).file_name(), SegmentId(2).file_name());
    let group = disk.image()[&first][SEGMENT_HEADER_BYTES..].to_vec();
    assert!(group.iter().any(|byte| *byte != 0));
    // Before that group was written, another segment began with the same sequence.
    let disk = SimulatedDisk::restore(before);
    open(&disk).begin().expect("it begins");
    assert_eq!(records(&open(&disk)), 0);
    disk.damage(&second, |bytes| bytes[SEGMENT_HEADER_BYTES..].copy_from_slice(&group));
    assert_eq!(records(&open(&disk)), 0, "it is dropped as a torn end");
    // In its own place it is a record.
    disk.damage(&second, |bytes| bytes[SEGMENT_HEADER_BYTES..].fill(0));
    let disk = SimulatedDisk::restore(disk.image());
    disk.damage(&first, |bytes| bytes[SEGMENT_HEADER_BYTES..].copy_from_slice(&group));
    let error = Recovery::open(Arc::new(disk), SMALL).err().expect("they are not passed over");
    let damage = match error {
        JournalError::Damaged(damage) => damage,
        other => panic!("{other:?}"),
    };
    // The second segment remembers that there was none.
    assert_eq!((damage.file, damage.offset), (first, SEGMENT_HEADER_BYTES as u64));
}
