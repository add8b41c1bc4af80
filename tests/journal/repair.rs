//! Repair: it keeps what still checks, says what is lost, sets the old files aside, and may be cut
//! off at any moment.

use std::sync::Arc;

use rand::{SeedableRng as _, rngs::StdRng};
use readstates::{
    journal::{
        Disk, DiskCall, Heal, Image, Inspection, JournalError, JournalOptions, Record, Repair,
        SegmentId, SimulatedDisk,
    },
    model::{Sequence, Version},
    store::CommitNumber,
    store::StoreIdentity,
};

use crate::{
    builder::{Builder, STORE},
    draw::draw_record,
    reading::{open, records_of},
};

const SEGMENT_BYTES: u64 = 16 << 10;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Three segments, of which the store has the first records.
fn journal() -> Builder {
    let mut rng = StdRng::seed_from_u64(11);
    let mut builder = Builder::new(SEGMENT_BYTES);
    for group in 0..42_u64 {
        let micros = 1_000 + group * 10;
        let records: Vec<_> = (0..7).map(|record| draw_record(&mut rng, micros + record)).collect();
        builder.group(&records);
    }
    assert_eq!(builder.end.segment, SegmentId(3));
    builder.advance(Sequence::new(5), 9);
    builder.group(&[Record::Seal]);
    builder
}

fn repair(disk: &SimulatedDisk, accept_loss: bool) -> Result<Repair, JournalError> {
    let options = JournalOptions { segment_bytes: SEGMENT_BYTES, ..JournalOptions::default() };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Repair::of(&disk, &options, accept_loss)
}

fn name(segment: u64) -> String {
    SegmentId(segment).file_name()
}

/// What a start replays, without seals and without the ceiling that a repair ends with.
fn replayed(disk: &SimulatedDisk) -> Vec<Record> {
    let recovery = open(disk).unwrap_or_else(|error| panic!("after a repair: {error}"));
    let (records, _) = records_of(&recovery).expect("after a repair");
    let records = records.into_iter().map(|(_, record)| record);
    let mut records: Vec<_> = records.filter(|record| *record != Record::Seal).collect();
    assert_eq!(records.pop(), Some(Record::Ceiling(recovery.ceiling())));
    records
}

/// The records after `horizon` but for those from `lost`.
fn without(builder: &Builder, horizon: u64, lost: &[(u64, u64)]) -> Vec<Record> {
    let is_lost = |number| lost.iter().any(|(first, last)| (*first..=*last).contains(&number));
    let kept = builder.records.iter().filter(|(sequence, record)| {
        let number = sequence.as_u64();
        number > horizon && !is_lost(number) && *record != Record::Seal
    });
    kept.map(|(_, record)| record.clone()).collect()
}

/// Repairs `builder`'s journal after `damage`, and holds the outcome against the records that are
/// `lost`.
#[track_caller]
fn repaired(builder: &Builder, damage: impl Fn(&mut Image), horizon: u64, lost: &[(u64, u64)]) {
    let mut image = builder.disk.image();
    damage(&mut image);
    let disk = SimulatedDisk::restore(image.clone());
    assert!(open(&disk).is_err(), "it is damaged");
    let told = repair(&disk, false).expect("looking changes nothing");
    assert!(!told.is_whole() && told.done.is_none());
    let missing: Vec<_> =
        told.missing.runs().iter().map(|(first, last)| (first.as_u64(), last.as_u64())).collect();
    assert_eq!(missing, lost);
    assert!(disk.image() == image, "looking changes nothing");
    let done = repair(&disk, true).expect("there is room").done.expect("it is accepted");
    assert_eq!(replayed(&disk), without(builder, horizon, lost));
    let now = disk.image();
    for aside in &done.set_aside {
        let before = aside.strip_suffix(".damaged").expect("it says what it is");
        assert_eq!(now.get(aside), image.get(before), "{aside}");
    }
    let whole = Inspection::of(&disk).expect("it is read");
    assert!(whole.is_whole() && whole.leftovers.is_empty(), "{whole:?}");
    assert!(repair(&disk, true).expect("it is read").is_whole());
}

fn flip(name: &str, at: u64) -> impl Fn(&mut Image) {
    let name = name.to_owned();
    move |image| image.get_mut(&name).expect("it is there")[at as usize] ^= 4
}

/// The groups as (segment, place, first record, last record).
fn groups(builder: &Builder) -> Vec<(SegmentId, u64, u64, u64)> {
    let ends = builder.groups.iter().skip(1).map(|(_, _, first)| first.as_u64() - 1);
    let ends = ends.chain([builder.end.last.as_u64()]);
    let groups = builder.groups.iter().zip(ends);
    groups.map(|((id, place, first), end)| (*id, *place, first.as_u64(), end)).collect()
}

#[test]
fn any_damaged_group_costs_its_records_and_no_other() {
    let builder = journal();
    let groups = groups(&builder);
    // The seal alone may be damaged without a loss.
    for &(segment, place, first, last) in &groups[..groups.len() - 1] {
        // Of the first group, five are in the store.
        repaired(&builder, flip(&segment.file_name(), place + 40), 5, &[(first.max(6), last)]);
    }
}

#[test]
fn a_damaged_header_costs_nothing() {
    for segment in 1..=3 {
        repaired(&journal(), flip(&name(segment), 100), 5, &[]);
    }
}

#[test]
fn a_missing_manifest_costs_nothing_and_the_headers_tell_the_horizon() {
    let mut builder = journal();
    repaired(&builder, |image| drop(image.remove("manifest")), 0, &[]);
    repaired(&builder, flip("manifest", 20), 0, &[]);
    builder.roll();
    builder.group(&[Record::Ceiling(Version::from_micros(1 << 40))]);
    builder.advance(Sequence::new(100), 20);
    repaired(&builder, |image| drop(image.remove("manifest")), 5, &[]);
}

#[test]
fn a_missing_or_cut_segment_costs_its_records() {
    let builder = journal();
    let groups = groups(&builder);
    let of = |wanted| groups.iter().filter(move |(id, ..)| *id == SegmentId(wanted));
    let first = of(2).next().expect("it has groups").2;
    let (_, cut_at, cut_first, last) = *of(2).next_back().expect("it has groups");
    repaired(&builder, |image| drop(image.remove(&name(2))), 5, &[(first, last)]);
    repaired(&builder, |image| drop(image.remove(&name(1))), 5, &[(6, first - 1)]);
    let cut = move |image: &mut Image| {
        image.get_mut(&name(2)).expect("it is there").truncate(cut_at as usize + 50);
    };
    repaired(&builder, cut, 5, &[(cut_first, last)]);
}

#[test]
fn segments_under_each_others_names_cost_nothing() {
    let swap = |image: &mut Image| {
        let (one, two) = (image[&name(1)].clone(), image[&name(2)].clone());
        image.insert(name(1), two);
        image.insert(name(2), one);
    };
    let builder = journal();
    let mut image = builder.disk.image();
    swap(&mut image);
    let disk = SimulatedDisk::restore(image);
    repair(&disk, true).expect("there is room");
    let mut kept = replayed(&disk);
    let mut written = without(&builder, 5, &[]);
    // In the order of the names; versions tell which of two states is newer.
    let order = |record: &Record| format!("{record:?}");
    kept.sort_by_key(order);
    written.sort_by_key(order);
    assert_eq!(kept, written);
}

#[test]
fn a_lost_end_is_told_of_though_nobody_knows_how_much_it_was() {
    let builder = journal();
    let open_ended = |damage: &dyn Fn(&mut Image), builder: &Builder| {
        let mut image = builder.disk.image();
        damage(&mut image);
        repair(&SimulatedDisk::restore(image), false).expect("it is read").open_ended
    };
    assert!(!open_ended(&|image| drop(image.remove(&name(2))), &builder));
    assert!(open_ended(&|image| drop(image.remove(&name(3))), &builder));
    // A seal behind what is damaged says that there was no more.
    let last = name(3);
    let in_last = flip(&last, builder.groups[builder.groups.len() - 3].1 + 40);
    assert!(!open_ended(&in_last, &builder));
    let mut unsealed = journal();
    unsealed.group(&[Record::Ceiling(Version::ZERO)]);
    assert!(open_ended(&in_last, &unsealed));
}

#[test]
fn what_no_longer_can_be_told_apart_is_lost_and_the_journal_is_empty() {
    let builder = journal();
    let mut image = builder.disk.image();
    image.remove("manifest");
    for segment in 1..=3 {
        image.get_mut(&name(segment)).expect("it is there")[9] ^= 1;
    }
    let disk = SimulatedDisk::restore(image);
    let done = repair(&disk, true).expect("there is room");
    assert_eq!((done.kept_records, done.open_ended), (0, true));
    assert_eq!(replayed(&disk), []);
}

/// Ceilings, the store's id and the commit that it must have survive a repair.
#[test]
fn what_guards_versions_and_the_store_is_kept() {
    let mut builder = journal();
    builder.group(&[Record::Ceiling(Version::from_micros(1 << 50))]);
    let mut image = builder.disk.image();
    flip(&name(2), 5_000)(&mut image);
    let disk = SimulatedDisk::restore(image);
    repair(&disk, true).expect("there is room");
    let store = |id, commits| StoreIdentity { id, commits: CommitNumber(commits), upto: None };
    assert_eq!(open(&disk).expect("it is whole").ceiling(), Version::from_micros(1 << 50));
    let check = |store| open(&disk).expect("it is whole").check_store(store);
    assert!(matches!(check(store(STORE, 9)), Ok(Heal::InStep)));
    assert!(matches!(check(store(STORE, 8)), Err(JournalError::StoreLost { .. })));
    assert!(matches!(check(store(STORE + 1, 9)), Err(JournalError::StoreForeign { .. })));
}

/// The newest ceiling was in a part that is gone, and only the manifest remembers it: an older one
/// that is kept must not take its place.
#[test]
fn a_repair_never_lowers_the_ceiling() {
    let mut builder = journal();
    let (older, newer) = (Version::from_micros(1 << 50), Version::from_micros(1 << 51));
    builder.group(&[Record::Ceiling(older)]);
    builder.group(&[Record::Ceiling(newer)]);
    builder.advance(Sequence::new(5), 9);
    let (segment, place, _) = builder.groups[builder.groups.len() - 1];
    builder.group(&[Record::Seal]);
    let mut image = builder.disk.image();
    flip(&segment.file_name(), place + 40)(&mut image);
    let disk = SimulatedDisk::restore(image);
    repair(&disk, true).expect("there is room").done.expect("it is damaged");
    assert_eq!(open(&disk).expect("it is whole").ceiling(), newer);
}

#[test]
fn a_store_that_no_manifest_names_any_more_is_taken() {
    let builder = journal();
    let mut image = builder.disk.image();
    image.remove("manifest");
    let disk = SimulatedDisk::restore(image);
    repair(&disk, true).expect("there is room");
    let store = StoreIdentity { id: 123, commits: CommitNumber(0), upto: None };
    assert!(matches!(open(&disk).expect("it is whole").check_store(store), Ok(Heal::InStep)));
}

#[test]
fn a_place_that_the_disk_cannot_read_costs_what_was_there() {
    let builder = journal();
    let disk = SimulatedDisk::restore(builder.disk.image());
    disk.faults().fail_all_on(DiskCall::Read, &name(2), EIO);
    assert!(matches!(open(&disk), Err(JournalError::Io { .. })));
    let done = repair(&disk, true).expect("the rest is read");
    let of_second = groups(&builder).into_iter().filter(|(id, ..)| *id == SegmentId(2));
    let of_second: Vec<_> = of_second.collect();
    let (first, last) = (of_second[0].2, of_second[of_second.len() - 1].3);
    assert_eq!(done.missing.runs(), [(Sequence::new(first), Sequence::new(last))]);
    assert_eq!(replayed(&disk), without(&builder, 5, &[(first, last)]));
}

#[test]
fn what_a_newer_release_wrote_is_not_repaired() {
    let builder = journal();
    let mut group = Vec::new();
    readstates::journal::open_group(&mut group);
    group.extend([99, 0, 0]);
    let next = builder.end.last.next();
    readstates::journal::close_group(&mut group, builder.home(), next, 1);
    builder.write(builder.end.end, &group);
    let image = builder.disk.image();
    assert!(matches!(open(&builder.disk), Err(JournalError::NewerFormat { .. })));
    assert!(matches!(repair(&builder.disk, true), Err(JournalError::NewerFormat { .. })));
    assert!(builder.disk.image() == image);
}

#[test]
fn a_journal_in_use_is_left_alone() {
    let builder = journal();
    let _held = open(&builder.disk).expect("it is whole");
    assert!(matches!(repair(&builder.disk, true), Err(JournalError::Locked { .. })));
    assert!(Inspection::of(&builder.disk).expect("it is read").in_use);
}

#[test]
fn a_full_disk_leaves_the_damaged_journal_as_it_was() {
    let builder = journal();
    let mut image = builder.disk.image();
    flip(&name(2), 5_000)(&mut image);
    let disk = SimulatedDisk::restore(image.clone());
    disk.set_free_bytes(SEGMENT_BYTES - 1);
    assert!(matches!(repair(&disk, true), Err(JournalError::DiskFull { .. })));
    disk.set_free_bytes(u64::MAX);
    // A segment is zeroed, headed and written; the second one finds no room.
    for write in [1, 2, 3, 4, 5] {
        disk.faults().fail(DiskCall::Write, write, ENOSPC);
        assert!(matches!(repair(&disk, true), Err(JournalError::Io { .. })), "write {write}");
        let mut now = disk.image();
        now.remove("lock");
        assert!(now == image, "write {write}");
    }
    repair(&disk, true).expect("there is room");
}

/// However far a repair comes before a power cut: what can be kept is kept by it or by the next.
#[test]
fn a_repair_that_is_cut_off_is_repeated() {
    let builder = journal();
    let mut damaged = builder.disk.image();
    flip(&name(2), 5_000)(&mut damaged);
    let lost = {
        let told = repair(&SimulatedDisk::restore(damaged.clone()), false).expect("it is read");
        let runs = told.missing.runs().iter();
        runs.map(|(first, last)| (first.as_u64(), last.as_u64())).collect::<Vec<_>>()
    };
    let mut expected = without(&builder, 5, &lost);
    expected.sort_by_key(|record| format!("{record:?}"));
    let (mut whole, mut refused) = (0, 0);
    for changes in 0.. {
        let mut ended = false;
        for seed in 0..8 {
            let mut chance = StdRng::seed_from_u64(seed);
            let disk = SimulatedDisk::restore(damaged.clone());
            disk.faults().stop_after(changes);
            ended = repair(&disk, true).is_ok();
            let disk = disk.power_cut(&mut chance);
            if open(&disk).is_ok() {
                whole += 1;
            } else {
                refused += 1;
                repair(&disk, true).unwrap_or_else(|error| panic!("{changes}, {seed}: {error}"));
            }
            // A repair may find copies that one before it had made.
            let mut kept = replayed(&disk);
            // The end of a repair before it, which was cut off just behind its manifest.
            let ceiling = Record::Ceiling(open(&disk).expect("it is whole").ceiling());
            kept.retain(|record| *record != ceiling || expected.contains(record));
            kept.sort_by_key(|record| format!("{record:?}"));
            kept.dedup();
            assert!(kept == expected, "after {changes} changes, seed {seed}");
        }
        if ended {
            break;
        }
    }
    assert!(whole > 0 && refused > 0, "{whole} whole, {refused} refused");
}
