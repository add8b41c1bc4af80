//! Every truncation and every flipped bit of a whole journal: a start shows what was acknowledged
//! or refuses. Silence is for the last group alone, and only while no seal is behind it.

use std::{
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    journal::{
        Image, Inspection, JournalError, JournalId, Link, Record, SegmentId, SimulatedDisk,
        close_group, open_group,
    },
    model::{Sequence, Version},
};

use crate::{
    builder::{Builder, begin_segment},
    draw::draw_record,
    reading::{open, prefix_read, read},
};

const SEED: u64 = 6;
const SEGMENT_BYTES: u64 = 16 << 10;
const SEGMENTS: u64 = 4;

/// A journal of four full segments and its manifest: 64 KiB and 72 bytes.
struct Full {
    image: Image,
    records: Vec<(Sequence, Record)>,
    /// Records that must be read whatever is damaged: all but the seal, or all but the last group.
    least: usize,
    /// Where each segment's groups end; of the last one, where its last group begins.
    settled: Vec<u64>,
}

fn full(sealed: bool) -> Full {
    let (builder, settled) = build(sealed);
    let (_, _, last_group) = *builder.groups.last().expect("there are groups");
    let least = last_group.as_u64() as usize - 1;
    Full { image: builder.disk.image(), records: builder.records, least, settled }
}

/// Also where each segment's groups end; of the last one, where its last group begins.
fn build(sealed: bool) -> (Builder, Vec<u64>) {
    println!("seed {SEED}");
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut builder = Builder::new(SEGMENT_BYTES);
    let mut micros = 0;
    loop {
        let records: Vec<Record> = (0..rng.random_range(1..40))
            .map(|_| {
                micros += 1;
                draw_record(&mut rng, micros)
            })
            .collect();
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.encode_into(&mut bytes));
        // The last segment keeps room for the seal in a group of its own.
        if builder.end.segment.0 == SEGMENTS && !builder.fits(bytes.len() + 64) {
            break;
        }
        builder.group(&records);
    }
    builder.advance(Sequence::ZERO, 0);
    if sealed {
        builder.group(&[Record::Seal]);
    }
    let (_, last_place, _) = *builder.groups.last().expect("there are groups");
    let settled = builder.ends.iter().copied().chain([last_place]).collect();
    (builder, settled)
}

impl Full {
    fn disk(&self) -> SimulatedDisk {
        SimulatedDisk::restore(self.image.clone())
    }
}

/// Flips every bit of the file called `name`, one at a time, each undone before the next; how many
/// were let pass.
fn flip_all(full: &Full, name: &str) -> usize {
    let bytes = full.image[name].len();
    let next = AtomicUsize::new(0);
    let passed = AtomicUsize::new(0);
    let work = || {
        let disk = full.disk();
        loop {
            let byte = next.fetch_add(1, Relaxed);
            if byte >= bytes {
                return;
            }
            for bit in 0..8 {
                let flip = |bytes: &mut Vec<u8>| bytes[byte] ^= 1 << bit;
                disk.damage(name, flip);
                if let Some(read) = prefix_read(&disk, &full.records) {
                    assert!(read >= full.least, "bit {bit} of byte {byte} of {name}: {read} read");
                    passed.fetch_add(1, Relaxed);
                }
                disk.damage(name, flip);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    passed.into_inner()
}

#[test]
fn every_flipped_bit_of_a_sealed_journal_is_refused_or_changes_nothing() {
    let full = full(true);
    let sealed: Vec<_> = full.records.iter().rev().take(2).collect();
    assert!(matches!(sealed[..], [(_, Record::Seal), (_, Record::State { .. })]), "{sealed:?}");
    assert_eq!(read(&full.disk()).expect("nothing is damaged yet"), full.records);
    let bytes: usize = full.image.values().map(Vec::len).sum();
    assert_eq!(bytes, 64 * 1024 + 72);
    let passed: usize = full.image.keys().map(|name| flip_all(&full, name)).sum();
    // Behind the end of each segment nothing counts, and a seal changes no state.
    let loose: u64 = full.settled.iter().map(|end| SEGMENT_BYTES - end).sum();
    assert_eq!(passed as u64, loose * 8);
}

#[test]
fn a_flipped_bit_of_an_unsealed_journal_costs_the_last_group_at_most() {
    let full = full(false);
    let passed = flip_all(&full, &last_name());
    let loose = SEGMENT_BYTES - full.settled[SEGMENTS as usize - 1];
    assert_eq!(passed as u64, loose * 8);
}

#[test]
fn every_truncation_is_refused() {
    let full = full(true);
    for (name, bytes) in &full.image {
        let disk = full.disk();
        for length in (0..bytes.len()).rev() {
            disk.damage(name, |bytes| bytes.truncate(length));
            assert!(open(&disk).is_err(), "{name} cut to {length} bytes was read");
        }
    }
}

/// A group that is torn reaches the disk in part: any start of it, and any end of it.
#[test]
fn a_torn_last_group_is_dropped_and_nothing_before_it() {
    let full = full(false);
    let start = full.settled[SEGMENTS as usize - 1] as usize;
    let whole = full.image[&last_name()].clone();
    let end = whole.iter().rposition(|byte| *byte != 0).expect("a group is there") + 1;
    for cut in start..end {
        for torn in [start..cut, cut..end] {
            let disk = full.disk();
            disk.damage(&last_name(), |bytes| bytes[torn.clone()].fill(0));
            let read = prefix_read(&disk, &full.records).expect("a torn group is no damage");
            assert!(read == full.least || torn.is_empty(), "{torn:?}: {read} read");
        }
    }
}

#[test]
fn zeros_over_any_group_of_a_sealed_journal_are_refused() {
    let (builder, _) = build(true);
    for &(segment, place, first) in &builder.groups[..builder.groups.len() - 1] {
        let disk = SimulatedDisk::restore(builder.disk.image());
        let start = place as usize;
        disk.damage(&segment.file_name(), |bytes| bytes[start..start + 32].fill(0));
        let error = open(&disk).err().unwrap_or_else(|| panic!("without record {first} was read"));
        let JournalError::Damaged(damage) = error else { panic!("{error}") };
        assert_eq!((damage.file, damage.offset), (segment.file_name(), place));
    }
}

#[test]
fn segments_that_change_places_are_refused() {
    let full = full(true);
    for (a, b) in pairs() {
        let mut image = full.image.clone();
        image.insert(name(a), full.image[&name(b)].clone());
        image.insert(name(b), full.image[&name(a)].clone());
        assert_refused(image, &format!("{a} and {b} swapped"));
    }
}

#[test]
fn a_segment_in_the_place_of_another_is_refused() {
    let full = full(true);
    for (a, b) in pairs().flat_map(|(a, b)| [(a, b), (b, a)]) {
        let mut image = full.image.clone();
        image.insert(name(a), full.image[&name(b)].clone());
        assert_refused(image, &format!("{b} in the place of {a}"));
    }
    for (of, place) in [(1, SEGMENTS + 1), (SEGMENTS, SEGMENTS + 1), (SEGMENTS, SEGMENTS + 2)] {
        let mut image = full.image.clone();
        image.insert(name(place), full.image[&name(of)].clone());
        assert_refused(image, &format!("{of} doubled as {place}"));
    }
}

#[test]
fn a_missing_segment_is_refused_even_if_the_manifest_is_older() {
    for newest in 1..=SEGMENTS {
        let (mut builder, _) = build(true);
        builder.manifest.newest = SegmentId(newest);
        builder.write_manifest();
        let image = builder.disk.image();
        read(&SimulatedDisk::restore(image.clone())).expect("an older manifest is no damage");
        for gone in 1..=SEGMENTS {
            let mut image = image.clone();
            image.remove(&name(gone));
            assert_refused(image, &format!("without {gone}, where {newest} is known of"));
        }
    }
}

#[test]
fn all_segments_gone_or_the_manifest_gone_is_refused() {
    let full = full(true);
    let mut image = full.image.clone();
    image.remove("manifest");
    assert_refused(image, "without the manifest");
    let mut image = full.image.clone();
    image.retain(|name, _| name == "manifest");
    assert_refused(image, "without any segment");
}

#[test]
fn a_manifest_from_before_segments_were_freed_is_refused() {
    let (mut builder, _) = build(true);
    let old = builder.disk.image().remove("manifest").expect("it is there");
    builder.advance(builder.records[0].0, 1);
    builder.free(SegmentId(2));
    let mut image = builder.disk.image();
    read(&SimulatedDisk::restore(image.clone())).expect("freeing is no damage");
    image.insert("manifest".to_owned(), old);
    assert_refused(image, "with the manifest of before");
}

/// With an older horizon more is replayed, and nothing is missing.
#[test]
fn a_manifest_from_before_the_horizon_moved_replays_more() {
    let (mut builder, _) = build(true);
    let old = builder.disk.image().remove("manifest").expect("it is there");
    let (horizon, _) = builder.records[99];
    builder.advance(horizon, 5);
    let mut image = builder.disk.image();
    let read_now = read(&SimulatedDisk::restore(image.clone())).expect("nothing is damaged");
    assert_eq!(read_now, builder.records[100..]);
    image.insert("manifest".to_owned(), old);
    let read_then = read(&SimulatedDisk::restore(image)).expect("nothing is damaged");
    assert_eq!(read_then, builder.records);
}

/// Another journal has the same ids and sequences, but not the same random number.
#[test]
fn a_segment_of_another_journal_is_refused() {
    let full = full(true);
    let mut other = Builder::of(JournalId(1), SEGMENT_BYTES);
    while other.end.segment.0 < 3 {
        other.group(&[Record::Seal]);
    }
    let mut image = full.image.clone();
    image.insert(name(2), other.disk.image()[&name(2)].clone());
    assert_refused(image, "with a segment of another journal");
}

/// A copy of the same segment from another course of events, as of a disk that was cloned.
#[test]
fn a_segment_with_other_records_in_the_same_places_is_refused() {
    let fork = |micros| {
        let mut builder = Builder::new(SEGMENT_BYTES);
        builder.group(&[Record::Ceiling(Version::from_micros(micros))]);
        builder.manifest.ceiling = Version::ZERO;
        builder.roll();
        builder.group(&[Record::Seal]);
        builder.advance(Sequence::ZERO, 0);
        builder.disk.image()
    };
    let (mut image, other) = (fork(5), fork(6));
    assert!(image[&name(1)][..4096] == other[&name(1)][..4096], "only the group differs");
    read(&SimulatedDisk::restore(image.clone())).expect("it is whole");
    image.insert(name(1), other[&name(1)].clone());
    assert_refused(image, "with a segment of a clone");
}

#[test]
fn a_group_that_skips_or_repeats_records_is_refused() {
    for first in [1, 2, 4, u64::MAX] {
        let mut builder = Builder::new(SEGMENT_BYTES);
        builder.group(&[Record::Seal, Record::Seal]);
        read(&builder.disk).expect("record 3 is next");
        let mut group = Vec::new();
        open_group(&mut group);
        Record::Seal.encode_into(&mut group);
        close_group(&mut group, builder.home(), Sequence::new(first), 1);
        builder.write(builder.end.end, &group);
        assert_refused(builder.disk.image(), &format!("record {first} after 2"));
    }
}

/// Sequences end somewhere, and none is ever given twice.
#[test]
fn a_group_whose_records_have_no_numbers_is_refused() {
    for (left, is_read) in [(3, true), (2, true), (1, false), (0, false)] {
        let builder = Builder::new(SEGMENT_BYTES);
        // As if so much had been written that the segment before is not needed any more.
        let before = Link { last: Sequence::new(u64::MAX - 1 - left), ..Link::default() };
        let first = before.last.next();
        let (disk, manifest) = (&builder.disk, &builder.manifest);
        let file = begin_segment(disk, manifest, before, SegmentId(1), SEGMENT_BYTES);
        let mut group = Vec::new();
        open_group(&mut group);
        Record::Seal.encode_into(&mut group);
        Record::Seal.encode_into(&mut group);
        close_group(&mut group, builder.home(), first, 2);
        file.write_at(builder.end.end, &group).expect("no fault is set");
        assert_eq!(read(disk).is_ok(), is_read, "records {first} and the one after it");
    }
}

/// What a group says of itself and what it holds.
#[test]
fn a_group_with_another_number_of_records_than_it_says_is_refused() {
    for said in [0, 1, 3] {
        let builder = Builder::new(SEGMENT_BYTES);
        let mut group = Vec::new();
        open_group(&mut group);
        Record::Seal.encode_into(&mut group);
        Record::Seal.encode_into(&mut group);
        close_group(&mut group, builder.home(), Sequence::new(1), said);
        builder.write(builder.end.end, &group);
        assert_refused(builder.disk.image(), &format!("two records said to be {said}"));
    }
}

/// Two processes at once, as where a lock does not reach both: the older one went on behind the
/// place where the newer one found the end, and was believed.
#[test]
fn records_behind_the_end_that_the_next_segment_remembers_are_refused() {
    let mut builder = Builder::new(SEGMENT_BYTES);
    builder.group(&[Record::Ceiling(Version::from_micros(5))]);
    let older = builder.home();
    let (file, end) = builder.begin();
    builder.group(&[Record::Seal]);
    builder.write_manifest();
    read(&builder.disk).expect("one process at a time is no damage");
    let mut group = Vec::new();
    open_group(&mut group);
    Record::Ceiling(Version::from_micros(6)).encode_into(&mut group);
    close_group(&mut group, older, end.last.next(), 1);
    for place in [end.end, end.end + 64] {
        file.write_at(place, &group).expect("no fault is set");
        let error = open(&builder.disk).err().expect("somebody was told that these are durable");
        let JournalError::Damaged(damage) = error else { panic!("{error}") };
        assert_eq!((damage.file, damage.offset), (name(1), place));
        let told = Inspection::of(&builder.disk).expect("it is read");
        assert!(!told.is_whole(), "at {place}");
        file.write_at(place, &vec![0; group.len()]).expect("no fault is set");
    }
}

fn pairs() -> impl Iterator<Item = (u64, u64)> {
    (1..=SEGMENTS).flat_map(|a| (a + 1..=SEGMENTS).map(move |b| (a, b)))
}

fn name(segment: u64) -> String {
    SegmentId(segment).file_name()
}

fn last_name() -> String {
    name(SEGMENTS)
}

/// A refusal says where, that nothing changed, and which commands help; and nothing did change.
#[track_caller]
fn assert_refused(image: Image, what: &str) {
    let disk = SimulatedDisk::restore(image.clone());
    let Err(error) = open(&disk) else { panic!("{what}: was read") };
    assert!(matches!(error, JournalError::Damaged(_)), "{what}: {error}");
    let told = error.to_string();
    for part in ["Nothing was changed", "readstates journal repair --accept-loss --data-dir"] {
        assert!(told.contains(part), "{what}: {told}");
    }
    assert_eq!(disk.image(), image, "{what}");
}
