//! What an operator is told of a journal.

use readstates::{
    journal::{Ending, Inspection, JournalError, Record, SegmentId, SimulatedDisk, Torn},
    model::{Sequence, Version},
    store::CommitNumber,
};

use crate::{builder::Builder, reading::open};

const SEGMENT_BYTES: u64 = 16 << 10;

fn ceiling(micros: u64) -> Record {
    Record::Ceiling(Version::from_micros(micros))
}

/// Three records in the first segment, one and a seal in the second.
fn journal() -> Builder {
    let mut builder = Builder::new(SEGMENT_BYTES);
    builder.group(&[ceiling(10), ceiling(20)]);
    builder.group(&[ceiling(30)]);
    builder.advance(Sequence::new(2), 7);
    builder.roll();
    builder.group(&[ceiling(40)]);
    builder.group(&[Record::Seal]);
    builder.advance(Sequence::new(2), 7);
    builder
}

fn inspect(disk: &SimulatedDisk) -> Inspection {
    let before = disk.image();
    let inspection = Inspection::of(disk).expect("it is read");
    assert!(disk.image() == before, "looking changes nothing");
    inspection
}

fn damage(inspection: &Inspection) -> Vec<(String, u64)> {
    let place = |problem: &JournalError| match problem {
        JournalError::Damaged(damage) => (damage.file.clone(), damage.offset),
        other => panic!("{other}"),
    };
    inspection.problems.iter().map(place).collect()
}

#[test]
fn a_whole_journal_is_told_segment_by_segment() {
    let builder = journal();
    let told = inspect(&builder.disk);
    assert!(told.is_whole() && !told.in_use);
    assert_eq!(told.folder, "simulated/journal");
    assert_eq!(told.manifest, Some(builder.manifest));
    assert_eq!(told.ceiling, Version::from_micros(40));
    assert_eq!((told.horizon, told.replay_records), (Sequence::new(2), 3));
    assert_eq!(told.replay_bytes, 48 + 48 + 40);
    let [first, second] = &told.segments[..] else { panic!("{:?}", told.segments) };
    assert_eq!((first.id, first.file_bytes, first.records), (SegmentId(1), SEGMENT_BYTES, 3));
    assert_eq!((first.first, first.last), (Sequence::new(1), Sequence::new(3)));
    assert_eq!((first.used_bytes, first.ending), (builder.ends[0], Ending::Next));
    assert_eq!(first.begun_at, Some((Sequence::ZERO, CommitNumber(0))));
    assert_eq!((second.first, second.last), (Sequence::new(4), Sequence::new(5)));
    assert_eq!((second.used_bytes, second.ending), (builder.end.end, Ending::Seal));
    assert_eq!(second.begun_at, Some((Sequence::new(2), CommitNumber(7))));
    assert_eq!((told.torn, told.missing.runs(), told.leftovers), (None, &[][..], vec![]));
}

#[test]
fn nothing_at_all_is_whole() {
    let told = inspect(&SimulatedDisk::default());
    assert!(told.is_whole() && told.segments.is_empty() && told.manifest.is_none());
}

#[test]
fn a_torn_end_is_told_and_is_no_damage() {
    let builder = journal();
    builder.write(builder.end.end, b"torn");
    let told = inspect(&builder.disk);
    assert!(told.is_whole());
    let file = SegmentId(2).file_name();
    assert_eq!(told.torn, Some(Torn { file, offset: builder.end.end, bytes: 4 }));
    assert_eq!(told.segments[1].ending, Ending::Seal);
}

#[test]
fn every_damaged_place_is_told_with_what_is_missing() {
    let mut builder = Builder::new(SEGMENT_BYTES);
    for micros in 1..=9 {
        builder.group(&[ceiling(micros)]);
    }
    builder.roll();
    builder.group(&[ceiling(10), Record::Seal]);
    builder.advance(Sequence::ZERO, 0);
    let places: Vec<u64> = builder.groups.iter().map(|(_, place, _)| *place).collect();
    let (first, second) = (SegmentId(1).file_name(), SegmentId(2).file_name());
    for (file, place) in [(&first, places[2]), (&first, places[5]), (&second, 200)] {
        builder.disk.damage(file, |bytes| bytes[place as usize + 20] ^= 1);
    }
    let told = inspect(&builder.disk);
    assert_eq!(
        damage(&told),
        [(first.clone(), places[2]), (first, places[5]), (second, 0)],
        "{:?}",
        told.problems
    );
    let missing = [3, 6].map(|number| (Sequence::new(number), Sequence::new(number)));
    assert_eq!(told.missing.runs(), missing);
    assert_eq!(told.replay_records, 9);
    assert_eq!(told.segments[1].begun_at, None);
}

#[test]
fn missing_files_are_told_by_name() {
    let mut builder = journal();
    builder.roll();
    builder.roll();
    builder.advance(Sequence::ZERO, 0);
    let mut image = builder.disk.image();
    for gone in [2, 3] {
        image.remove(&SegmentId(gone).file_name());
    }
    let told = inspect(&SimulatedDisk::restore(image.clone()));
    let named = (SegmentId(2).file_name(), 0);
    assert!(damage(&told).contains(&named), "{:?}", told.problems);
    assert_eq!(told.missing.runs(), [(Sequence::new(4), Sequence::new(5))]);
    image.remove("manifest");
    let told = inspect(&SimulatedDisk::restore(image));
    assert!(damage(&told).contains(&("manifest".to_owned(), 0)), "{:?}", told.problems);
}

/// Whatever a start refuses, an inspection calls damaged, and the other way round.
#[test]
fn it_agrees_with_a_start() {
    let whole = journal().disk.image();
    for (name, bytes) in &whole {
        for byte in 0..bytes.len() {
            // Most of a file is zeros, in which one bit is as good as another.
            if bytes[byte] == 0 && byte % 61 != 0 {
                continue;
            }
            let disk = SimulatedDisk::restore(whole.clone());
            disk.damage(name, |bytes| bytes[byte] ^= 8);
            let refused = open(&disk).is_err();
            assert_eq!(inspect(&disk).is_whole(), !refused, "byte {byte} of {name}");
        }
    }
}

#[test]
fn files_that_do_not_count_are_told() {
    let mut builder = journal();
    builder.manifest.oldest = SegmentId(2);
    builder.write_manifest();
    let mut image = builder.disk.image();
    image.insert("spare.new".to_owned(), vec![]);
    let told = inspect(&SimulatedDisk::restore(image));
    assert_eq!(told.leftovers, [SegmentId(1).file_name(), "spare.new".to_owned()]);
    assert_eq!(told.segments.len(), 1);
}
