//! Journals of any bytes: they are read or refused, told alike by whoever looks, repaired once and
//! for all, and gone on with. Nothing but a repair or a start changes a file.

use std::{collections::BTreeSet, sync::Arc};

use readstates::{
    journal::{
        Disk, Image, Inspection, JournalError, JournalOptions, Record, Recovery, Repair, Replayed,
        SimulatedDisk, Step,
    },
    model::{Sequence, Version},
};

use crate::{
    draw::Draw,
    script::{self, step},
};

const TINY: JournalOptions = JournalOptions {
    segment_bytes: 0,
    pending_bytes_max: usize::MAX,
    size_bytes: 0,
    reserve_bytes: 0,
};

/// Writes the files that the script says, and looks at them in every way there is.
pub fn run(bytes: &[u8]) {
    let image = script::image(&mut Draw::new(bytes));
    let inspection = inspected(&image);
    started(&image, &inspection);
    repaired(&image, &inspection);
}

/// Whole journals, and one with each sort of damage.
pub fn seeds() -> Vec<Vec<u8>> {
    use step::{
        ADVANCE, BEGIN, CUT, FLIP, GROUP, ODD_GROUP, ODD_MANIFEST, ODD_SEGMENT, REMOVE, ROLL,
        STRAY, SWAP,
    };
    const DAMAGE: u8 = FLIP;
    let damage = |what: u8, rest: &[u8]| [&[DAMAGE, what - FLIP][..], rest].concat();
    // Two ceilings; a state of user 1 in channel 2; a seal.
    let ceilings = [GROUP, 1, 9, 0, 10, 0];
    let state: &[u8] = &[GROUP, 0, 11, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1];
    let seal = [GROUP, 0, 12, 1];
    let whole = [&ceilings[..], state, &[ROLL], &ceilings, state].concat();
    let with = |rest: &[u8]| [&whole[..], rest].concat();
    vec![
        whole.clone(),
        with(&seal),
        with(&[&[ADVANCE, 2, 3, BEGIN][..], &ceilings].concat()),
        with(&[ODD_GROUP, 0, 1, 3, 4, 0, 0]),
        with(&[ODD_MANIFEST, 5, 200]),
        with(&[ODD_SEGMENT, 1, 200]),
        with(&damage(FLIP, &[0, 40, 16, 1])),
        with(&damage(CUT, &[1, 40, 16])),
        with(&damage(REMOVE, &[2])),
        with(&damage(SWAP, &[0, 1])),
        with(&damage(STRAY, &[0, 200, 3, 1, 2, 3])),
        // Found: what a start passes over behind a segment's end was told as to be replayed.
        [&[BEGIN, BEGIN, ODD_SEGMENT, 1, 1][..], &ceilings].concat(),
        // Found: two records had the last number there is.
        [&[ODD_SEGMENT, 2, 201, BEGIN][..], &ceilings, &ceilings].concat(),
    ]
}

/// What a look at it tells; it changes nothing.
fn inspected(image: &Image) -> Inspection {
    let disk = SimulatedDisk::restore(image.clone());
    let inspection = Inspection::of(&disk).expect("the disk has no faults");
    assert!(disk.image() == *image, "a look changes nothing");
    let told = look(&disk, false).map(|repair| repair.problems.len());
    let newer = inspection.problems.iter().any(is_newer);
    assert_eq!(told.is_err(), newer, "what is newer, and nothing else, is not looked into");
    assert!(told.is_ok_and(|told| told == inspection.problems.len()) || newer, "told alike");
    assert!(files(&disk) == *image, "a look changes nothing");
    inspection
}

/// Starts on it, where a start takes it.
fn started(image: &Image, inspection: &Inspection) {
    let disk = SimulatedDisk::restore(image.clone());
    let recovery = match open(&disk) {
        Ok(recovery) => recovery,
        Err(error) => return assert!(!inspection.is_whole(), "an inspection knows of {error}"),
    };
    let replayed = replay(&recovery);
    if inspection.is_whole() {
        let (_, replayed) = replayed.as_ref().expect("it is whole");
        assert_eq!(replayed.records, inspection.replay_records);
        assert_eq!(recovery.ceiling(), inspection.ceiling);
        assert_eq!(replayed.torn_bytes, inspection.torn.as_ref().map_or(0, |torn| torn.bytes));
    }
    assert!(files(&disk) == *image, "a replay changes nothing");
    if let Ok((records, _)) = replayed {
        went_on(&disk, recovery, &records);
    }
}

/// Goes on with it, and finds everything again, and what was appended behind.
fn went_on(disk: &SimulatedDisk, recovery: Recovery, before: &[(Sequence, Record)]) {
    let image = files(disk);
    let ceiling = recovery.ceiling();
    let (journal, mut writer) = match recovery.begin() {
        Ok(begun) => begun,
        Err(JournalError::NumbersExhausted { .. }) => {
            return assert!(files(disk) == image, "nothing was changed");
        }
        Err(error) => panic!("the disk has no faults: {error}"),
    };
    let appended = Record::Ceiling(ceiling.max(Version::from_micros(5)));
    let Record::Ceiling(version) = appended else { unreachable!("it is one") };
    let sequence = journal.append_ceiling(version);
    assert!(matches!(writer.step(), Step::Committed { .. }));
    drop((recovery, journal, writer));
    let disk = SimulatedDisk::restore(disk.image());
    let recovery = open(&disk).expect("it is whole");
    assert_eq!(recovery.ceiling(), version);
    let (records, _) = replay(&recovery).expect("it is whole");
    let (last, rest) = records.split_last().expect("one was appended");
    assert_eq!(*last, (sequence, appended));
    assert_eq!(rest, before);
}

/// Repairs it, and holds the outcome against what was there.
fn repaired(image: &Image, inspection: &Inspection) {
    let disk = SimulatedDisk::restore(image.clone());
    let repair = match look(&disk, true) {
        Ok(repair) => repair,
        Err(JournalError::NewerFormat { .. } | JournalError::NumbersExhausted { .. }) => {
            return assert!(files(&disk) == *image, "nothing was changed");
        }
        Err(error) => panic!("the disk has no faults: {error}"),
    };
    let Some(done) = repair.done else {
        assert!(inspection.is_whole());
        return assert!(files(&disk) == *image, "nothing was to be done");
    };
    let now = files(&disk);
    for aside in &done.set_aside {
        let before = aside.strip_suffix(".damaged").expect("it says what it is");
        assert_eq!(now.get(aside), image.get(before), "{aside}");
    }
    let whole = Inspection::of(&disk).expect("the disk has no faults");
    assert!(whole.is_whole(), "after a repair: {whole:?}");
    assert!(whole.ceiling >= inspection.ceiling, "versions never begin anew");
    let recovery = open(&disk).expect("it is whole");
    let (records, _) = replay(&recovery).expect("it is whole");
    // Behind what was kept come a ceiling and a seal.
    assert!(records.len() as u64 >= repair.kept_records + 2, "{} records", records.len());
    assert!(matches!(records[records.len() - 2..], [(_, Record::Ceiling(_)), (_, Record::Seal)]));
    assert_eq!(recovery.ceiling(), whole.ceiling);
    drop(recovery);
    let again = look(&disk, true).expect("it is whole");
    assert!(again.is_whole() && again.done.is_none());
    assert!(files(&disk) == now, "a second repair changes nothing");
    let recovery = open(&disk).expect("it is whole");
    went_on(&disk, recovery, &records);
}

fn look(disk: &SimulatedDisk, accept_loss: bool) -> Result<Repair, JournalError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Repair::of(&disk, &TINY, accept_loss)
}

fn open(disk: &SimulatedDisk) -> Result<Recovery, JournalError> {
    Recovery::open(Arc::new(disk.clone()), TINY)
}

/// Every record, each with a number above the one before.
fn replay(recovery: &Recovery) -> Result<(Vec<(Sequence, Record)>, Replayed), JournalError> {
    let (mut records, mut seen) = (Vec::new(), BTreeSet::new());
    let replayed = recovery.replay::<JournalError>(&mut |sequence, record| {
        assert!(seen.last().is_none_or(|last| *last < sequence), "in order");
        seen.insert(sequence);
        records.push((sequence, record));
        Ok(())
    })?;
    assert_eq!(replayed.records, records.len() as u64);
    assert!(replayed.records <= recovery.records());
    Ok((records, replayed))
}

/// What is on the disk but for the lock.
fn files(disk: &SimulatedDisk) -> Image {
    let mut image = disk.image();
    image.remove("lock");
    image
}

fn is_newer(problem: &JournalError) -> bool {
    matches!(problem, JournalError::NewerFormat { .. })
}
