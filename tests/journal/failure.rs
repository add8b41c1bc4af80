//! Disks that fail and machines that stop: nothing acknowledged is lost, nothing is acknowledged
//! that could be.

use std::sync::Arc;

use futures_util::FutureExt as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    journal::{
        DiskCall, Heal, JournalError, JournalOptions, Record, Recovery, SimulatedDisk, Step,
    },
    model::{Sequence, Version},
    store::CommitNumber,
    store::StoreIdentity,
};

use crate::{
    draw::draw_record,
    scene::{STORE, Scene, TINY, Truth},
};

const EIO: i32 = 5;

/// Repeat one case with its seed.
const SEED_VARIABLE: &str = "READSTATES_TEST_SEED";

fn ceiling(micros: u64) -> Record {
    Record::Ceiling(Version::from_micros(micros))
}

fn roomy() -> (Scene, SimulatedDisk) {
    Scene::new(JournalOptions { segment_bytes: 1 << 20, ..TINY })
}

/// Checks what several power cuts at this moment could leave.
fn check_power_cuts(truth: &Truth, disk: &SimulatedDisk, rng: &mut StdRng, what: &str) {
    for _ in 0..4 {
        let cut = disk.power_cut(rng);
        truth.check(&cut, what).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

/// After a sync that failed the kernel takes the pages for clean: a second one would succeed and
/// mean nothing.
#[test]
fn fsyncgate_one_failed_sync_then_success_acknowledges_nothing_any_more() {
    let (mut scene, disk) = roomy();
    let mut rng = StdRng::seed_from_u64(1);
    scene.append(ceiling(1)).expect("room");
    scene.drain();
    let lost = scene.append(ceiling(2)).expect("room");
    let journal = scene.journal.clone();
    let mut waiting = Box::pin(journal.reached(lost));
    let mut watching = Box::pin(journal.failed());
    assert!(waiting.as_mut().now_or_never().is_none());
    assert!(watching.as_mut().now_or_never().is_none());
    disk.faults().fail(DiskCall::SyncData, 1, EIO);
    let syncs = disk.faults().calls(DiskCall::SyncData);
    assert_eq!(scene.step(), Step::Failed);
    assert!(matches!(waiting.now_or_never(), Some(Err(JournalError::Failed(_)))));
    assert!(matches!(watching.now_or_never(), Some(JournalError::Failed(_))));
    // The disk is well again.
    for _ in 0..3 {
        assert_eq!(scene.step(), Step::Failed);
        assert_eq!(scene.seal(), Step::Failed);
    }
    assert_eq!(disk.faults().calls(DiskCall::SyncData), syncs + 1, "no sync is tried again");
    assert_eq!(journal.durable(), Sequence::new(1));
    assert!(matches!(scene.reserve(1), Err(JournalError::Failed(_))));
    assert!(matches!(scene.reached(lost), Some(Err(JournalError::Failed(_)))));
    assert!(matches!(scene.reached(Sequence::new(1)), Some(Ok(()))));
    let advanced = scene.advance(Sequence::new(1));
    assert!(matches!(advanced, Err(JournalError::Failed(_))), "{advanced:?}");
    let Scene { writer, mut truth, .. } = scene;
    (truth.horizon, truth.commits.0) = (Sequence::ZERO, 0);
    assert!(matches!(writer.close(None), Err(JournalError::Failed(_))));
    check_power_cuts(&truth, &disk, &mut rng, "after the failed sync");
}

/// What failed may be the name of a segment that others write to.
#[test]
fn a_folder_that_cannot_be_synced_ends_the_journal_too() {
    let (mut scene, disk) = roomy();
    scene.append(ceiling(1)).expect("room");
    scene.drain();
    disk.faults().fail(DiskCall::SyncFolder, 1, EIO);
    let advanced = scene.advance(Sequence::new(1));
    assert!(matches!(advanced, Err(JournalError::Failed(_))), "{advanced:?}");
    assert!(scene.journal.failure().is_some());
    assert_eq!(scene.step(), Step::Failed);
    assert!(matches!(scene.reserve(1), Err(JournalError::Failed(_))));
}

/// The next process finds the group in memory, as if it were on the disk.
#[test]
fn what_a_failed_sync_left_in_memory_is_durable_once_the_next_start_has_read_it() {
    for cut in [false, true] {
        let (mut scene, disk) = roomy();
        let mut rng = StdRng::seed_from_u64(2);
        scene.append(ceiling(1)).expect("room");
        scene.drain();
        scene.append(ceiling(2)).expect("room");
        disk.faults().fail(DiskCall::SyncData, 1, EIO);
        assert_eq!(scene.step(), Step::Failed);
        let truth = scene.kill();
        if cut {
            check_power_cuts(&truth, &disk, &mut rng, "before the next start");
            continue;
        }
        let scene = Scene::begin(&disk, TINY, truth).expect("it opens");
        assert_eq!(scene.journal.last(), Sequence::new(2), "it was read");
        check_power_cuts(&scene.truth, &disk, &mut rng, "after the next start");
    }
}

#[test]
fn a_write_that_is_cut_short_ends_the_journal_too() {
    let (mut scene, disk) = roomy();
    assert_eq!(scene.step(), Step::Idle, "the next segment is there, and not written to again");
    for micros in 1..100 {
        scene.append(ceiling(micros)).expect("room");
    }
    disk.faults().cut_write(1, 700, EIO);
    assert_eq!(scene.step(), Step::Failed);
    assert!(scene.journal.failure().is_some());
    scene.kill().check(&disk, "a torn group").expect("it is dropped");
}

/// One life of a process: it opens what is there, appends, rolls, advances, and ends in order or
/// not. An error ends it early.
fn live(disk: &SimulatedDisk, truth: &mut Truth, rng: &mut StdRng) -> Result<(), JournalError> {
    let options = JournalOptions { size_bytes: 1 << 15, ..TINY };
    let mut scene = Scene::begin(disk, options, truth.clone())?;
    let ended = act(&mut scene, rng);
    let closes = rng.random_bool(0.5);
    let Scene { writer, truth: known, journal, .. } = scene;
    *truth = known;
    ended?;
    if closes {
        let last = journal.last();
        let closed = writer.close(Some(Version::from_micros(7)));
        if journal.last() > last {
            truth.written.push((last.next(), ceiling(7)));
            truth.written.push((last.next().next(), Record::Seal));
        }
        truth.acknowledged = journal.durable();
        closed?;
        assert_eq!(truth.acknowledged, last.next().next());
    }
    Ok(())
}

fn act(scene: &mut Scene, rng: &mut StdRng) -> Result<(), JournalError> {
    for _ in 0..rng.random_range(1..120) {
        match rng.random_range(0..12) {
            0..7 => {
                scene.append(draw_record(rng, 1))?;
            }
            7..10 => {
                scene.step();
            }
            10 => {
                scene.seal();
            }
            _ => {
                let durable = scene.journal.durable().as_u64();
                let horizon = scene.truth.horizon.as_u64().max(durable / 2);
                scene.advance(Sequence::new(rng.random_range(horizon..=durable)))?;
            }
        }
        if let Some(failure) = scene.journal.failure() {
            return Err(failure);
        }
    }
    Ok(())
}

/// Lives several times, with one fault somewhere in between. What a start cannot take for other
/// reasons than the fault would be a defect.
fn lives_with_a_fault(seed: u64, fault: impl Fn(&SimulatedDisk), what: &str) -> u64 {
    let disk = SimulatedDisk::default();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut truth = Truth::default();
    fault(&disk);
    let mut errors = 0;
    for life in 0..4 {
        let what = format!("{what}, life {life}");
        if let Err(error) = live(&disk, &mut truth, &mut rng) {
            errors += 1;
            assert!(is_of_the_disk(&error), "{what}: {error}");
        }
        check_power_cuts(&truth, &disk, &mut rng, &what);
    }
    disk.faults().mend();
    truth.check(&disk, what).unwrap_or_else(|error| panic!("{what}: {error}"));
    errors
}

fn is_of_the_disk(error: &JournalError) -> bool {
    matches!(
        error,
        JournalError::Io { .. } | JournalError::Failed(_) | JournalError::DiskFull { .. }
    )
}

const CALLS: [DiskCall; 13] = [
    DiskCall::Names,
    DiskCall::Create,
    DiskCall::Open,
    DiskCall::Rename,
    DiskCall::Remove,
    DiskCall::SyncFolder,
    DiskCall::Lock,
    DiskCall::FreeBytes,
    DiskCall::Len,
    DiskCall::Read,
    DiskCall::Write,
    DiskCall::SyncData,
    DiskCall::SyncAll,
];

/// Every operation of several lives fails once, each in a run of its own.
#[test]
fn whichever_operation_fails_nothing_is_acknowledged_falsely_and_the_next_start_recovers() {
    for call in CALLS {
        let calls = {
            let disk = SimulatedDisk::default();
            let counted = disk.clone();
            let mut rng = StdRng::seed_from_u64(3);
            let mut truth = Truth::default();
            for _ in 0..4 {
                live(&disk, &mut truth, &mut rng).expect("nothing fails");
            }
            counted.faults().calls(call)
        };
        let mut errors = 0;
        for nth in 1..=calls {
            let what = format!("{call:?} {nth} of {calls}");
            errors += lives_with_a_fault(3, |disk| disk.faults().fail(call, nth, EIO), &what);
        }
        println!("{call:?}: {calls} calls, {errors} lives ended early");
        let harmless = matches!(call, DiskCall::FreeBytes | DiskCall::Remove);
        assert!(errors > 0 || harmless, "no {call:?} that fails was noticed");
    }
}

/// A store that lost writes is healed from the journal; until it has persisted them once more, a
/// further start has to heal it again, however far its commits have come by then.
#[test]
fn what_heals_a_store_is_kept_until_the_store_has_it() {
    let (mut scene, disk) = roomy();
    scene.append(ceiling(1)).expect("room");
    scene.drain();
    scene.advance(Sequence::new(1)).expect("it works");
    scene.kill();
    let open = |commits: u64| {
        let mut recovery = Recovery::open(Arc::new(disk.clone()), TINY).expect("whole");
        let store = StoreIdentity { commits: CommitNumber(commits), ..STORE };
        let heal = recovery.check_store(store).expect("it can be healed");
        let replayed = recovery.replay::<JournalError>(&mut |_, _| Ok(())).expect("whole");
        (recovery, heal, replayed.records)
    };
    assert!(matches!(open(1), (_, Heal::InStep, 0)));
    let (recovery, heal, records) = open(0);
    let (from, to) = (CommitNumber(0), CommitNumber(1));
    assert_eq!((heal, records), (Heal::Healed { from, to }, 1));
    let (journal, writer) = recovery.begin().expect("it begins");
    drop(recovery);
    assert_eq!(journal.usage().horizon, Sequence::ZERO);
    drop(writer);
    // The store committed other things meanwhile, and the process was killed.
    assert!(matches!(open(3), (_, Heal::InStep, 1)));
}

/// A machine stops at any moment: between any two changes of the disk.
#[test]
fn wherever_the_power_is_cut_nothing_acknowledged_is_lost() {
    let mut stopped = 0;
    for changes in 0.. {
        let disk = SimulatedDisk::default();
        let mut rng = StdRng::seed_from_u64(changes);
        let mut truth = Truth::default();
        disk.faults().stop_after(changes);
        let mut ended = false;
        for _ in 0..3 {
            ended |= live(&disk, &mut truth, &mut rng).is_err();
        }
        let what = format!("power cut after {changes} changes");
        check_power_cuts(&truth, &disk, &mut rng, &what);
        stopped += u64::from(ended);
        if !ended {
            break;
        }
    }
    assert!(stopped > 100, "only {stopped} of the lives were cut");
}

/// Process after process, power cut after power cut, with faults in between.
#[test]
fn lives_at_random_with_power_cuts_between_keep_what_was_acknowledged() {
    let given = std::env::var(SEED_VARIABLE).ok().and_then(|seed| seed.parse().ok());
    let seeds = given.map_or(0..400, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut disk = SimulatedDisk::default();
        let mut truth = Truth::default();
        for life in 0..6 {
            let what = format!("{SEED_VARIABLE}={seed}, life {life}");
            if rng.random_bool(0.5) {
                let call = CALLS[rng.random_range(0..CALLS.len())];
                disk.faults().fail(call, rng.random_range(1..40), EIO);
            }
            if let Err(error) = live(&disk, &mut truth, &mut rng) {
                assert!(is_of_the_disk(&error), "{what}: {error}");
            }
            disk.faults().mend();
            if rng.random_bool(0.5) {
                disk = disk.power_cut(&mut rng);
            }
            let recovered = truth.check(&disk, &what);
            recovered.map(drop).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    }
}
