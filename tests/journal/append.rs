//! What is appended becomes durable in order, and comes back.

use std::{io, sync::Arc};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    clock::{Clock, ManualTime},
    journal::{
        Disk, DiskCall, DiskFile, FolderDisk, JournalError, JournalOptions, RECORD_BYTES_MAX,
        Record, Recovery, SimulatedDisk, Step, WriterThread,
    },
    metrics::Metrics,
    model::{Sequence, Version},
};

use crate::{
    draw::{draw_key, draw_record, draw_state},
    scene::{STORE, Scene, TINY, Truth},
};

fn ceiling(micros: u64) -> Record {
    Record::Ceiling(Version::from_micros(micros))
}

#[test]
fn nothing_is_acknowledged_before_its_group_is_synced() {
    let (mut scene, disk) = Scene::new(JournalOptions { segment_bytes: 1 << 20, ..TINY });
    assert_eq!(scene.step(), Step::Idle);
    let syncs = disk.faults().calls(DiskCall::SyncData);
    for micros in 1..=3 {
        let sequence = scene.append(ceiling(micros)).expect("room");
        assert_eq!(sequence, Sequence::new(micros));
        assert!(scene.reached(sequence).is_none());
    }
    assert_eq!((scene.journal.last().as_u64(), scene.journal.durable().as_u64()), (3, 0));
    assert_eq!(scene.journal.usage().lag_bytes, 3 * 11);
    assert_eq!(scene.step(), Step::Committed { records: 3, bytes: 72 });
    assert_eq!(disk.faults().calls(DiskCall::SyncData), syncs + 1, "one for the whole group");
    assert!(matches!(scene.reached(Sequence::new(3)), Some(Ok(()))));
    assert!(scene.reached(Sequence::new(4)).is_none());
    assert_eq!(scene.journal.usage().lag_bytes, 0);
    assert_eq!(scene.step(), Step::Idle);
    scene.truth.check(&SimulatedDisk::restore(disk.image()), "after a power cut").expect("whole");
}

#[test]
fn every_kind_of_record_comes_back_after_many_reopenings() {
    let mut rng = StdRng::seed_from_u64(1);
    let disk = SimulatedDisk::default();
    let mut truth = Truth::default();
    for round in 0..30 {
        let mut scene = Scene::begin(&disk, TINY, truth).expect("it opens");
        for micros in 0..rng.random_range(0..20) {
            scene.append(draw_record(&mut rng, 1 + 100 * round + micros)).expect("room");
            if rng.random_bool(0.3) {
                scene.drain();
            }
        }
        scene.drain();
        if rng.random_bool(0.3) {
            let last = scene.journal.last();
            scene.advance(Sequence::new(rng.random_range(0..=last.as_u64()))).expect("it works");
        }
        truth = scene.kill();
    }
    assert!(truth.written.len() > 100);
    truth.check(&disk, "at the end").expect("whole");
}

#[test]
fn a_journal_that_is_closed_says_so_and_ends_in_its_ceiling_and_a_seal() {
    let (mut scene, disk) = Scene::new(TINY);
    scene.append(ceiling(500)).expect("room");
    let journal = scene.journal.clone();
    let Scene { writer, mut truth, .. } = scene;
    writer.close(Some(Version::from_micros(400))).expect("it closes");
    truth.written.push((Sequence::new(2), ceiling(400)));
    truth.written.push((Sequence::new(3), Record::Seal));
    truth.acknowledged = Sequence::new(3);
    assert!(matches!(journal.reserve(1).now_or_never(), Some(Err(JournalError::Closed))));
    assert!(matches!(
        journal.reached(Sequence::new(4)).now_or_never(),
        Some(Err(JournalError::Closed))
    ));
    assert!(journal.reached(Sequence::new(3)).now_or_never().is_some_and(|end| end.is_ok()));
    assert!(journal.failure().is_none());
    assert!(matches!(journal.advance(Sequence::new(1), STORE.commits), Err(JournalError::Closed)));
    assert!(!disk.names().expect("it lists").iter().any(|name| name == "spare.new"));
    let recovery = truth.check(&disk, "after closing").expect("whole");
    assert_eq!(recovery.ceiling(), Version::from_micros(400), "it was lowered");
}

#[test]
fn a_ceiling_appended_late_does_not_lower_that_of_the_journal() {
    let (mut scene, disk) = Scene::new(TINY);
    let mut highest = 0;
    for (life, wanted) in [[500, 400, 450], [100, 300, 200], [501, 502, 7]].iter().enumerate() {
        for micros in wanted {
            scene.append(ceiling(*micros)).expect("room");
            scene.drain();
            highest = highest.max(*micros);
        }
        let truth = scene.kill();
        let recovery = truth.check(&disk, "after a kill").expect("whole");
        assert_eq!(recovery.ceiling(), Version::from_micros(highest), "in life {life}");
        drop(recovery);
        scene = Scene::begin(&disk, TINY, truth).expect("it goes on");
    }
}

#[test]
fn a_seal_is_written_once_behind_what_was_appended() {
    let (mut scene, _disk) = Scene::new(TINY);
    assert_eq!(scene.seal(), Step::Idle);
    scene.append(ceiling(1)).expect("room");
    assert!(matches!(scene.seal(), Step::Committed { records: 2, .. }));
    assert_eq!(scene.seal(), Step::Idle);
    assert_eq!(scene.journal.last(), Sequence::new(2));
}

#[test]
fn two_processes_never_have_one_journal() {
    let (scene, disk) = Scene::new(TINY);
    let again = Recovery::open(Arc::new(disk.clone()), TINY);
    assert!(matches!(again, Err(JournalError::Locked { .. })));
    let journal = scene.journal.clone();
    scene.kill();
    Recovery::open(Arc::new(disk), TINY).map(drop).expect("the writer is gone");
    assert!(matches!(journal.reserve(1).now_or_never(), Some(Err(JournalError::Closed))));
}

#[test]
fn reservations_keep_to_their_bound_and_give_back_what_was_not_used() {
    let (mut scene, _disk) = Scene::new(JournalOptions { segment_bytes: 1 << 20, ..TINY });
    let limit = scene.journal.usage().pending_limit_bytes;
    let records = scene.journal.records_max();
    let too_many = scene.reserve(records + 1).map(drop);
    assert!(matches!(too_many, Err(JournalError::TooMany { records_max, .. })
        if records_max == records));
    let all = scene.reserve(records).expect("room for all");
    assert!(scene.journal.usage().pending_bytes > limit - RECORD_BYTES_MAX as u64 * 2);
    let journal = scene.journal.clone();
    let mut more = Box::pin(journal.reserve(1));
    assert!(more.as_mut().now_or_never().is_none());
    let mut gone = Box::pin(journal.reserve(1));
    assert!(gone.as_mut().now_or_never().is_none());
    drop(gone);
    scene.append_reserved(ceiling(1));
    drop(all);
    assert!(more.now_or_never().is_some_and(|reserved| reserved.is_ok()));
    // What was appended is pending until it is durable.
    assert_eq!(scene.journal.usage().pending_bytes, 11);
    scene.drain();
    assert_eq!(scene.journal.usage().pending_bytes, 0);
}

type Hook = Arc<Mutex<Option<Box<dyn FnMut() + Send>>>>;

/// A disk on which something else happens whenever a file is synced.
struct Hooked {
    disk: SimulatedDisk,
    hook: Hook,
}

struct HookedFile {
    file: Box<dyn DiskFile>,
    hook: Hook,
}

impl Hooked {
    fn file(&self, file: io::Result<Box<dyn DiskFile>>) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(HookedFile { file: file?, hook: Arc::clone(&self.hook) }))
    }
}

impl Disk for Hooked {
    fn names(&self) -> io::Result<Vec<String>> {
        self.disk.names()
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.file(self.disk.create(name))
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.file(self.disk.open(name))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }
    fn lock(&self, name: &str) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(name)
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
    fn path(&self) -> String {
        self.disk.path()
    }
}

impl DiskFile for HookedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, into)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        if let Some(hook) = self.hook.lock().as_mut() {
            hook();
        }
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[test]
fn the_next_group_fills_while_one_is_synced() {
    let hook = Hook::default();
    let disk = Hooked { disk: SimulatedDisk::default(), hook: Arc::clone(&hook) };
    let mut recovery = Recovery::open(Arc::new(disk), TINY).expect("a new journal");
    recovery.check_store(STORE).expect("any store will do");
    let (journal, mut writer) = recovery.begin().expect("it begins");
    drop(recovery);
    let filling = journal.clone();
    *hook.lock() = Some(Box::new(move || {
        filling.append_ceiling(Version::from_micros(1));
        filling.append_ceiling(Version::from_micros(1));
        assert!(filling.durable() < filling.last().previous());
    }));
    journal.append_ceiling(Version::from_micros(1));
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let Step::Committed { records, .. } = writer.step() else { panic!("it had records") };
        sizes.push(records);
    }
    assert_eq!(sizes, [1, 2, 2]);
    assert_eq!((journal.durable().as_u64(), journal.last().as_u64()), (5, 7));
}

/// Appends `records` states, each once the one before is durable.
async fn append_and_wait(journal: readstates::journal::Journal, seed: u64, records: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let key = draw_key(&mut rng);
    for version in 1..=records {
        let state = draw_state(&mut rng, Version::from_micros(version));
        let reservation = journal.reserve(1).await.expect("room");
        let sequence = journal.append_state(&key, &state);
        drop(reservation);
        journal.reached(sequence).await.expect("it becomes durable");
        assert!(journal.durable() >= sequence);
    }
}

#[test]
fn many_tasks_append_through_the_thread_and_everything_is_there_afterwards() {
    const TASKS: u64 = 40;
    const RECORDS: u64 = 50;
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FolderDisk::new(&folder.path().join("journal")).expect("a folder in it");
    let options = JournalOptions { segment_bytes: 1 << 16, ..TINY };
    let mut recovery = Recovery::open(Arc::new(disk), options).expect("a new journal");
    recovery.check_store(STORE).expect("any store will do");
    let (journal, writer) = recovery.begin().expect("it begins");
    drop(recovery);
    let thread = WriterThread::spawn(writer).expect("threads");
    std::thread::scope(|scope| {
        for runtime in 0..2 {
            let journal = &journal;
            scope.spawn(move || {
                let built = tokio::runtime::Builder::new_current_thread().build();
                built.expect("a runtime").block_on(async {
                    tokio::spawn(journal.clone().herald());
                    let tasks = (0..TASKS / 2).map(|task| {
                        let seed = task + runtime * TASKS;
                        tokio::spawn(append_and_wait(journal.clone(), seed, RECORDS))
                    });
                    for task in tasks.collect::<Vec<_>>() {
                        task.await.expect("it does not panic");
                    }
                });
            });
        }
    });
    assert!(journal.usage().segments > 1, "it rolled");
    thread.close(None).expect("it closes");
    let disk = FolderDisk::new(&folder.path().join("journal")).expect("it is there");
    let recovery = Recovery::open(Arc::new(disk), options).expect("whole");
    let mut records = Vec::new();
    let replayed = recovery.replay::<JournalError>(&mut |_, record| {
        records.push(record);
        Ok(())
    });
    assert_eq!(replayed.expect("whole").records, TASKS * RECORDS + 1);
    assert_eq!(records.last(), Some(&Record::Seal));
}

#[test]
fn a_writer_that_rests_seals_what_it_wrote() {
    let (scene, _disk) = Scene::new(TINY);
    let (journal, thread) = (scene.journal, WriterThread::spawn(scene.writer).expect("threads"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let sealed = runtime.block_on(async {
        let sequence = journal.append_ceiling(Version::from_micros(1));
        journal.reached(sequence).await.expect("it becomes durable");
        journal.reached(sequence.next()).await
    });
    sealed.expect("a seal follows");
    thread.close(None).expect("it closes");
    assert_eq!(journal.last(), Sequence::new(2), "one seal is enough");
}

#[test]
fn what_the_journal_does_is_counted() {
    let metrics = Metrics::new().expect("names are distinct");
    let time = ManualTime::starting_at(0);
    let (mut scene, _disk) = Scene::new(TINY);
    scene.journal.observe(&metrics, Clock::manual(Arc::clone(&time)));
    scene.append(ceiling(1)).expect("room");
    scene.append(ceiling(1)).expect("room");
    let value = |name: &str| {
        let text = metrics.encode().expect("it encodes");
        let series = format!("readstates_journal_{name} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&series)).map(str::to_owned);
        line.expect("it is there").parse::<f64>().expect("a number")
    };
    assert_eq!((value("durable_lag_records"), value("durable_lag_bytes")), (2.0, 22.0));
    assert_eq!(value("commits_total"), 0.0);
    scene.drain();
    scene.seal();
    assert_eq!((value("durable_lag_records"), value("pending_bytes")), (0.0, 0.0));
    assert_eq!((value("commits_total"), value("seals_total")), (2.0, 1.0));
    assert_eq!((value("commit_records_sum"), value("commit_seconds_count")), (3.0, 2.0));
    assert_eq!((value("segments"), value("bytes")), (1.0, 16384.0));
    time.advance_ms(2_000);
    assert_eq!(value("checkpoint_age_seconds"), 2.0);
    scene.advance(Sequence::new(2)).expect("it works");
    time.advance_ms(500);
    assert_eq!(value("checkpoint_age_seconds"), 0.5);
    scene.advance(Sequence::new(3)).expect("it works");
    time.advance_ms(500);
    assert_eq!(value("checkpoint_age_seconds"), 0.0, "nothing is behind the horizon");
    time.advance_ms(5_000);
    scene.append(ceiling(1)).expect("room");
    scene.drain();
    time.advance_ms(250);
    assert_eq!(value("checkpoint_age_seconds"), 0.25, "until then nothing was");
    scene.journal.note_checkpoint(77);
    scene.journal.note_recovery(12, std::time::Duration::from_millis(1_500));
    assert_eq!(value("checkpoints_total"), 1.0);
    assert_eq!((value("recovered_records"), value("recovery_seconds")), (12.0, 1.5));
    let refused = scene.reserve(usize::MAX).map(drop);
    assert!(refused.is_err());
    assert_eq!(value("refused_total{reason=\"too_many\"}"), 1.0);
    assert_eq!(value("failed"), 0.0);
}
