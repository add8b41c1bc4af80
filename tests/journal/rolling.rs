//! Segments come, and go in front of the horizon.

use std::sync::Arc;

use rand::{SeedableRng as _, rngs::StdRng};
use readstates::{
    journal::{Disk as _, JournalError, JournalOptions, Recovery, SegmentId, SimulatedDisk, Step},
    model::Sequence,
    store::CommitNumber,
};

use crate::{
    draw::draw_record,
    scene::{Scene, TINY, Truth},
};

const SEGMENT_BYTES: u64 = 16 << 10;

fn segments(disk: &SimulatedDisk) -> Vec<u64> {
    let names = disk.names().expect("it lists");
    names.iter().filter_map(|name| SegmentId::from_file_name(name)).map(|id| id.0).collect()
}

/// Appends until the journal has `count` more segments; the last record of each that was left.
fn roll(scene: &mut Scene, rng: &mut StdRng, count: usize) -> Vec<Sequence> {
    let wanted = scene.journal.usage().segments + count;
    let mut ends = Vec::new();
    while scene.journal.usage().segments < wanted {
        let segments = scene.journal.usage().segments;
        let before = scene.journal.last();
        scene.append(draw_record(rng, 1)).expect("room");
        scene.drain();
        if scene.journal.usage().segments > segments {
            ends.push(before);
        }
    }
    ends
}

#[test]
fn a_journal_of_many_segments_is_whole() {
    let (mut scene, disk) = Scene::new(TINY);
    let mut rng = StdRng::seed_from_u64(1);
    roll(&mut scene, &mut rng, 20);
    assert_eq!(segments(&disk), (1..=21).collect::<Vec<_>>());
    let usage = scene.journal.usage();
    assert_eq!((usage.segments, usage.bytes), (21, 21 * SEGMENT_BYTES));
    scene.truth.check(&disk.power_cut(&mut rng), "after a power cut").expect("whole");
    scene.kill().check(&disk, "after a kill").expect("whole");
}

#[test]
fn only_whole_segments_in_front_of_the_horizon_go() {
    let (mut scene, disk) = Scene::new(TINY);
    let mut rng = StdRng::seed_from_u64(2);
    let ends = roll(&mut scene, &mut rng, 4);
    scene.advance(ends[0].previous()).expect("it works");
    assert_eq!(segments(&disk), [1, 2, 3, 4, 5], "one record of the first is needed");
    scene.advance(ends[0]).expect("it works");
    assert_eq!(segments(&disk), [2, 3, 4, 5]);
    scene.advance(ends[2]).expect("it works");
    assert_eq!(segments(&disk), [4, 5]);
    assert_eq!(scene.journal.usage().bytes, 2 * SEGMENT_BYTES);
    scene.advance(scene.journal.last()).expect("it works");
    assert_eq!(segments(&disk), [5], "the current one stays");
    scene.truth.check(&disk.power_cut(&mut rng), "after a power cut").expect("whole");
}

/// The manifest does not know of segments begun after it was written; the segments do.
#[test]
fn a_segment_that_is_gone_from_the_end_is_missed() {
    let (mut scene, disk) = Scene::new(TINY);
    roll(&mut scene, &mut StdRng::seed_from_u64(8), 3);
    scene.kill();
    let mut image = disk.image();
    image.remove(&SegmentId(4).file_name()).expect("it was there");
    let opened = Recovery::open(Arc::new(SimulatedDisk::restore(image)), TINY);
    let error = opened.map(drop).expect_err("a segment is gone");
    assert!(error.to_string().contains("segment 4 follows, which is missing"), "{error}");
}

#[test]
fn segments_are_kept_for_healing_while_there_are_few() {
    let options = JournalOptions { size_bytes: 3 * SEGMENT_BYTES, ..TINY };
    let (mut scene, disk) = Scene::new(options);
    let mut rng = StdRng::seed_from_u64(3);
    roll(&mut scene, &mut rng, 2);
    scene.advance(scene.journal.last()).expect("it works");
    assert_eq!(segments(&disk), [1, 2, 3]);
    roll(&mut scene, &mut rng, 3);
    scene.advance(scene.journal.last()).expect("it works");
    assert_eq!(segments(&disk), [4, 5, 6]);
}

#[test]
fn a_horizon_never_goes_back_nor_beyond_what_is_durable() {
    let (mut scene, disk) = Scene::new(TINY);
    let mut rng = StdRng::seed_from_u64(4);
    roll(&mut scene, &mut rng, 1);
    scene.append(draw_record(&mut rng, 1)).expect("room");
    let durable = scene.journal.durable();
    scene.journal.advance(Sequence::new(u64::MAX), CommitNumber(3)).expect("it works");
    assert_eq!(scene.journal.usage().horizon, durable);
    scene.journal.advance(Sequence::new(1), CommitNumber(2)).expect("it works");
    assert_eq!(scene.journal.usage().horizon, durable);
    scene.truth.horizon = durable;
    scene.truth.commits = CommitNumber(3);
    scene.kill().check(&disk, "at the end").expect("whole");
}

#[test]
fn a_checkpoint_is_wanted_where_a_needed_record_holds_up_all_others() {
    let options = JournalOptions { size_bytes: 3 * SEGMENT_BYTES, ..TINY };
    let (mut scene, disk) = Scene::new(options);
    let mut rng = StdRng::seed_from_u64(5);
    roll(&mut scene, &mut rng, 2);
    assert!(!scene.journal.wants_checkpoint());
    roll(&mut scene, &mut rng, 1);
    assert!(scene.journal.wants_checkpoint());
    // What is dirty is copied to the end, and all before can go.
    let copied = scene.journal.last();
    scene.append(draw_record(&mut rng, 1)).expect("room");
    scene.drain();
    scene.journal.note_checkpoint(2 * SEGMENT_BYTES);
    scene.advance(copied).expect("it works");
    assert!(!scene.journal.wants_checkpoint());
    assert_eq!(segments(&disk), [2, 3, 4]);
    roll(&mut scene, &mut rng, 1);
    assert!(!scene.journal.wants_checkpoint(), "twice of what was copied is not there yet");
    roll(&mut scene, &mut rng, 1);
    scene.advance(copied).expect("it works");
    assert!(!scene.journal.wants_checkpoint(), "what can go went");
    roll(&mut scene, &mut rng, 2);
    assert!(scene.journal.wants_checkpoint());
}

#[test]
fn a_group_as_large_as_can_be_reserved_fits_into_a_segment() {
    let (mut scene, disk) = Scene::new(TINY);
    let mut rng = StdRng::seed_from_u64(6);
    for _ in 0..10 {
        let records = scene.journal.records_max();
        let reservation = scene.reserve(records).expect("room");
        for _ in 0..records {
            scene.append_reserved(draw_record(&mut rng, 1));
        }
        drop(reservation);
        assert!(matches!(scene.step(), Step::Committed { .. }));
        assert_eq!(scene.step(), Step::Idle);
    }
    scene.kill().check(&disk, "at the end").expect("whole");
}

#[test]
fn a_retired_journal_leaves_nothing_and_a_new_one_begins() {
    let (mut scene, disk) = Scene::new(TINY);
    let mut rng = StdRng::seed_from_u64(7);
    roll(&mut scene, &mut rng, 3);
    let truth = scene.kill();
    truth.check(&disk, "before").expect("whole").retire().expect("it goes");
    assert_eq!(disk.names().expect("it lists"), ["lock"]);
    let scene = Scene::begin(&disk, TINY, Truth::default()).expect("a new journal");
    assert_eq!(scene.journal.last(), Sequence::ZERO);
}

/// Wherever it ends, what is left is the whole journal or nothing.
#[test]
fn a_retirement_that_is_cut_short_is_no_damage() {
    let mut seen = [0, 0];
    for changes in 0.. {
        let (mut scene, disk) = Scene::new(TINY);
        let mut rng = StdRng::seed_from_u64(changes);
        roll(&mut scene, &mut rng, 3);
        let truth = scene.kill();
        let recovery = truth.check(&disk, "before").expect("whole");
        disk.faults().stop_after(changes);
        let retired = recovery.retire();
        for _ in 0..10 {
            let cut = disk.power_cut(&mut rng);
            let opened = Recovery::open(Arc::new(cut), TINY);
            let opened = opened.unwrap_or_else(|error| panic!("after {changes} changes: {error}"));
            let replayed = opened.replay::<JournalError>(&mut |_, _| Ok(()));
            let records = replayed.expect("it parses").records;
            assert!([0, truth.written.len() as u64].contains(&records), "{records} are left");
            seen[usize::from(records == 0)] += 1;
            opened.begin().map(drop).expect("it begins");
        }
        if retired.is_ok() {
            break;
        }
    }
    assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
}
