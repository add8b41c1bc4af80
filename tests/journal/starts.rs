//! Starts that end before they come to much, one after the other: what they leave on the disk is
//! bounded, and what was acknowledged before them stays.

use std::sync::Arc;

use rand::{SeedableRng as _, rngs::StdRng};
use readstates::{
    journal::{
        Disk as _, Journal, JournalError, JournalOptions, Record, Recovery, SegmentId,
        SimulatedDisk, Step, Writer,
    },
    model::Version,
};

use crate::{
    draw::draw_record,
    scene::{STORE, Scene, TINY, Truth},
};

const STARTS: usize = 50;
const SEGMENT_BYTES: u64 = 16 << 10;

fn segments(disk: &SimulatedDisk) -> usize {
    let names = disk.names().expect("it lists");
    names.iter().filter(|name| SegmentId::from_file_name(name).is_some()).count()
}

/// A journal with acknowledged records that no store has, in a segment of which its process was
/// killed.
fn acknowledged(rng: &mut StdRng) -> (SimulatedDisk, Truth) {
    let (mut scene, disk) = Scene::new(TINY);
    for _ in 0..9 {
        scene.append(draw_record(rng, 1)).expect("room");
    }
    scene.drain();
    (disk, scene.kill())
}

fn start(disk: &SimulatedDisk, options: JournalOptions) -> (Recovery, Journal, Writer) {
    let opened = Recovery::open(Arc::new(disk.clone()), options);
    let mut recovery = opened.unwrap_or_else(|error| panic!("{error}"));
    recovery.check_store(STORE).expect("it is the store");
    let (journal, writer) = recovery.begin().expect("no fault is set");
    (recovery, journal, writer)
}

#[test]
fn starts_that_are_killed_before_they_write_anything_leave_one_segment() {
    for power_cuts in [false, true] {
        let mut rng = StdRng::seed_from_u64(1);
        let (mut disk, truth) = acknowledged(&mut rng);
        for number in 1..=STARTS {
            drop(start(&disk, TINY));
            if power_cuts {
                disk = disk.power_cut(&mut rng);
            }
            assert_eq!(segments(&disk), 2, "start {number}");
            truth.check(&disk, "after a start").expect("whole");
        }
        // Then one comes to something.
        let mut scene = Scene::begin(&disk, TINY, truth).expect("it begins");
        scene.append(draw_record(&mut rng, 1)).expect("room");
        scene.drain();
        scene.kill().check(&disk.power_cut(&mut rng), "at the end").expect("whole");
    }
}

/// It is the same journal, of the same store: the one segment of a new journal is not given up.
#[test]
fn a_new_journal_that_nothing_was_written_to_keeps_its_store() {
    let disk = SimulatedDisk::default();
    for _ in 0..STARTS {
        drop(start(&disk, TINY));
        assert!(segments(&disk) <= 2);
    }
    let mut recovery = Recovery::open(Arc::new(disk), TINY).expect("whole");
    let other = readstates::store::StoreIdentity { id: STORE.id + 1, ..STORE };
    let refused = recovery.check_store(other);
    assert!(matches!(refused, Err(JournalError::StoreForeign { .. })), "{refused:?}");
}

/// As a server does: what it read is written down anew, with a ceiling, and the old segments go as
/// soon as there are more than they may be.
#[test]
fn starts_that_are_killed_once_they_serve_leave_no_more_than_the_journals_size() {
    const KEPT: u64 = 3;
    let options = JournalOptions { size_bytes: KEPT * SEGMENT_BYTES, ..TINY };
    let mut rng = StdRng::seed_from_u64(2);
    let (disk, truth) = acknowledged(&mut rng);
    let states = |recovery: &Recovery| {
        let mut states = Vec::new();
        let replayed = recovery.replay::<JournalError>(&mut |_, record| {
            states.extend(matches!(record, Record::State { .. }).then_some(record));
            Ok(())
        });
        replayed.expect("it parses");
        states
    };
    let before = states(&truth.check(&disk, "before").expect("whole"));
    for number in 1..=STARTS {
        let (recovery, journal, mut writer) = start(&disk, options);
        let upto = journal.last();
        for record in states(&recovery) {
            let Record::State { key, state } = record else { continue };
            journal.append_state(&key, &state);
        }
        journal.append_ceiling(Version::from_micros(number as u64));
        assert!(matches!(writer.step(), Step::Committed { .. }));
        journal.advance(upto, STORE.commits).expect("no fault is set");
        assert!(segments(&disk) as u64 <= KEPT, "start {number}: {}", segments(&disk));
        drop((recovery, writer));
        assert_eq!(states(&start_only(&disk)), before, "start {number}");
    }
}

fn start_only(disk: &SimulatedDisk) -> Recovery {
    Recovery::open(Arc::new(disk.clone()), TINY).expect("whole")
}
