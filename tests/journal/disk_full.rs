//! A disk that is full refuses what is new, keeps what was taken, and goes on once it has room.

use futures_util::FutureExt as _;
use rand::{SeedableRng as _, rngs::StdRng};
use readstates::{
    journal::{
        Disk as _, DiskCall, JournalError, JournalOptions, Record, SimulatedDisk, Step,
        WriterThread,
    },
    model::{Sequence, Version},
};

use crate::{
    draw::draw_record,
    scene::{Scene, TINY},
};

const ENOSPC: i32 = 28;
const SPARE: &str = "spare.new";
const RESERVE_BYTES: u64 = 1 << 20;
const SEGMENT_BYTES: u64 = 16 << 10;

/// Appends until it is refused; how many were taken.
fn fill(scene: &mut Scene, rng: &mut StdRng) -> usize {
    for taken in 0..10_000 {
        match scene.append(draw_record(rng, 1)) {
            Ok(_) => scene.drain(),
            Err(JournalError::DiskFull { .. }) => return taken,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk is never full");
}

fn names(disk: &SimulatedDisk) -> Vec<String> {
    disk.names().expect("it lists")
}

#[test]
fn without_room_for_a_segment_the_current_one_is_filled_and_then_all_is_refused() {
    let (mut scene, disk) = Scene::new(TINY);
    let mut rng = StdRng::seed_from_u64(1);
    disk.faults().fail_all_on(DiskCall::Write, SPARE, ENOSPC);
    assert!(fill(&mut scene, &mut rng) > 5);
    assert_eq!(scene.journal.usage().segments, 1);
    assert!(!names(&disk).contains(&SPARE.to_owned()), "what was begun was removed");
    let refused = scene.reserve(1).map(drop).expect_err("there is no room").to_string();
    assert!(refused.contains("spare.new") && refused.contains("goes on by itself"), "{refused}");
    assert!(scene.journal.failure().is_none(), "a full disk is no failure");
    // It goes on by itself.
    disk.faults().mend();
    assert_eq!(scene.step(), Step::Idle);
    for _ in 0..50 {
        scene.append(draw_record(&mut rng, 1)).expect("there is room again");
        scene.drain();
    }
    assert!(scene.journal.usage().segments > 1);
    scene.truth.check(&disk.power_cut(&mut rng), "after a power cut").expect("whole");
}

#[test]
fn the_reserve_of_the_disk_stays_free() {
    let options = JournalOptions { reserve_bytes: RESERVE_BYTES, ..TINY };
    let (mut scene, disk) = Scene::new(options);
    let mut rng = StdRng::seed_from_u64(2);
    scene.append(draw_record(&mut rng, 1)).expect("room");
    scene.drain();
    disk.set_free_bytes(RESERVE_BYTES - 1);
    assert_eq!(scene.step(), Step::Idle);
    assert!(matches!(scene.reserve(1), Err(JournalError::DiskFull { .. })));
    assert!(scene.reserve(0).is_ok(), "nothing takes no room");
    disk.set_free_bytes(RESERVE_BYTES);
    assert_eq!(scene.step(), Step::Idle);
    scene.append(draw_record(&mut rng, 1)).expect("there is room again");
}

/// Each start of a supervisor would leave one more segment behind, until nothing is free at all.
#[test]
fn a_start_without_room_for_a_segment_beside_the_reserve_changes_nothing() {
    let options = JournalOptions { reserve_bytes: RESERVE_BYTES, ..TINY };
    let (mut scene, disk) = Scene::new(options);
    let mut rng = StdRng::seed_from_u64(7);
    scene.append(draw_record(&mut rng, 1)).expect("room");
    scene.drain();
    let truth = scene.kill();
    let image = disk.image();
    for free in [0, RESERVE_BYTES - 1, RESERVE_BYTES + SEGMENT_BYTES - 1] {
        disk.set_free_bytes(free);
        let Err(error) = Scene::begin(&disk, options, truth.clone()) else { panic!("{free}") };
        assert!(matches!(error, JournalError::DiskFull { .. }), "{error}");
        let (words, needed) = (error.to_string(), RESERVE_BYTES + SEGMENT_BYTES);
        let told = format!("{free} bytes are free, and a start needs {needed}");
        assert!(words.contains(&told) && words.contains("Free some"), "{words}");
        assert!(disk.image() == image, "{free}");
        assert!(!names(&disk).contains(&SPARE.to_owned()), "{free}");
    }
    disk.set_free_bytes(RESERVE_BYTES + SEGMENT_BYTES);
    let scene = Scene::begin(&disk, options, truth).expect("there is room");
    assert!(scene.reserve(1).is_ok());
}

#[test]
fn no_spare_is_made_of_the_reserve() {
    let options = JournalOptions { reserve_bytes: RESERVE_BYTES, ..TINY };
    let (mut scene, disk) = Scene::new(options);
    let mut rng = StdRng::seed_from_u64(3);
    disk.set_free_bytes(RESERVE_BYTES + SEGMENT_BYTES - 1);
    fill(&mut scene, &mut rng);
    assert_eq!(scene.journal.usage().segments, 1);
    disk.set_free_bytes(RESERVE_BYTES + SEGMENT_BYTES);
    assert_eq!(scene.step(), Step::Idle);
    assert!(names(&disk).contains(&SPARE.to_owned()));
    scene.append(draw_record(&mut rng, 1)).expect("there is room again");
}

#[test]
fn everything_that_was_reserved_fits_however_it_is_cut_into_groups() {
    for seed in 0..20 {
        let (mut scene, disk) = Scene::new(TINY);
        let mut rng = StdRng::seed_from_u64(seed);
        disk.faults().fail_all_on(DiskCall::Write, SPARE, ENOSPC);
        assert_eq!(scene.step(), Step::Idle);
        loop {
            // Held while others fill what is left.
            let Some(Ok(held)) = scene.journal.reserve(2).now_or_never() else { break };
            let taken = fill(&mut scene, &mut rng);
            scene.append_reserved(draw_record(&mut rng, 1));
            scene.drain();
            scene.append_reserved(draw_record(&mut rng, 1));
            scene.drain();
            drop(held);
            if taken == 0 {
                break;
            }
        }
        scene.append_reserved(Record::Ceiling(Version::from_micros(1)));
        scene.drain();
        let Scene { writer, truth, .. } = scene;
        writer.close(Some(Version::from_micros(1))).expect("room is kept for the end");
        let mut truth = truth;
        let next = Sequence::new(truth.written.len() as u64 + 1);
        truth.written.push((next, Record::Ceiling(Version::from_micros(1))));
        truth.written.push((next.next(), Record::Seal));
        truth.check(&disk, "at the end").expect("whole");
    }
}

#[test]
fn who_waits_for_room_hears_that_there_will_be_none() {
    let (mut scene, disk) = Scene::new(TINY);
    let mut rng = StdRng::seed_from_u64(4);
    let records = scene.journal.records_max();
    let all = scene.reserve(records).expect("room");
    let journal = scene.journal.clone();
    let mut waiting = Box::pin(journal.reserve(records));
    assert!(waiting.as_mut().now_or_never().is_none());
    for _ in 0..records {
        scene.append_reserved(draw_record(&mut rng, 1));
    }
    disk.faults().fail_all_on(DiskCall::Write, SPARE, ENOSPC);
    scene.drain();
    drop(all);
    let refused = waiting.now_or_never().expect("it ends");
    assert!(matches!(refused, Err(JournalError::DiskFull { .. })));
}

#[test]
fn a_manifest_that_finds_no_room_spoils_nothing() {
    let (mut scene, disk) = Scene::new(TINY);
    let mut rng = StdRng::seed_from_u64(5);
    scene.append(draw_record(&mut rng, 1)).expect("room");
    scene.drain();
    disk.faults().fail(DiskCall::Create, 1, ENOSPC);
    let refused = scene.advance(Sequence::new(1));
    assert!(matches!(refused, Err(JournalError::Io { .. })), "{refused:?}");
    assert_eq!(scene.journal.usage().horizon, Sequence::ZERO);
    scene.append(draw_record(&mut rng, 1)).expect("the journal goes on");
    scene.drain();
    scene.advance(Sequence::new(2)).expect("there is room again");
    assert_eq!(scene.journal.usage().horizon, Sequence::new(2));
    scene.truth.check(&disk.power_cut(&mut rng), "after a power cut").expect("whole");
}

/// As above, with the threads: the one that prepares segments tries again by itself.
#[test]
fn the_threads_go_on_once_there_is_room() {
    let (scene, disk) = Scene::new(TINY);
    disk.faults().fail_all_on(DiskCall::Write, SPARE, ENOSPC);
    let (journal, thread) = (scene.journal, WriterThread::spawn(scene.writer).expect("threads"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        tokio::spawn(journal.clone().herald());
        let mut rng = StdRng::seed_from_u64(6);
        let mut mended = false;
        let mut taken = 0;
        while journal.usage().segments < 3 {
            match journal.reserve(1).await {
                Ok(reservation) => {
                    let Record::State { key, state } = draw_record(&mut rng, 1) else { continue };
                    let sequence = journal.append_state(&key, &state);
                    drop(reservation);
                    journal.reached(sequence).await.expect("it becomes durable");
                    taken += 1;
                }
                Err(JournalError::DiskFull { .. }) => {
                    assert!(taken > 5);
                    disk.faults().mend();
                    mended = true;
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(mended, "it was full in between");
    });
    thread.close(None).expect("it closes");
}
