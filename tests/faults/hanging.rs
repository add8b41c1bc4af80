//! A write of the store that hangs: it is told of, and the journal is kept short without it.

use std::{num::NonZeroUsize, sync::Arc};

use futures_util::FutureExt as _;
use readstates::{
    cache::{Cache, Log, Sizing},
    clock::{Clock, ManualTime},
    flush::{FlushSettings, Flusher, JournalLog, PassEnd, Scope, WRITE_HANGS_AFTER_MS},
    journal::{Journal, Record, Recovery, SimulatedDisk, Writer},
    metrics::Metrics,
    model::{Key, ReadState, Sequence, Version},
    store::{Call, CommitNumber, FaultStore, Faults, Gate, MemoryStore, Moment, StoreIdentity},
};

use crate::{
    keys::{increment, key},
    scene::START_US,
    small_journal::smallest_journal,
};

/// More than one hold of a shard's lock sees, and than the journal takes at once.
const KEYS: u64 = 300;

struct Scene {
    time: Arc<ManualTime>,
    faults: Faults,
    journal: Journal,
    writer: Writer,
    cache: Arc<Cache>,
    metrics: Arc<Metrics>,
    flusher: Flusher,
    disk: SimulatedDisk,
}

impl Scene {
    fn new() -> Self {
        let disk = SimulatedDisk::default();
        let (journal, writer) = smallest_journal(&disk);
        let log: Arc<dyn Log> = Arc::new(JournalLog(journal.clone()));
        let entries = NonZeroUsize::new(4_096).expect("not 0");
        let sizing = Sizing::for_entries(entries, NonZeroUsize::new(1), None);
        let cache = Arc::new(Cache::with_log(sizing, Version::ZERO, 7, &log));
        let store = FaultStore::new(Arc::new(MemoryStore::new()));
        let (faults, time) = (store.faults(), ManualTime::starting_at(START_US));
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let settings = FlushSettings {
            flush_after_ms: 1,
            batch_rows: 4_096,
            tombstone_ttl_ms: 1,
            persist_after_ms: 1,
        };
        let clock = Clock::manual(Arc::clone(&time));
        let flusher = Flusher::new(
            Arc::clone(&cache),
            Arc::new(store),
            clock,
            Arc::clone(&metrics),
            settings,
        );
        let flusher = flusher.with_journal(journal.clone(), CommitNumber::default());
        Self { time, faults, journal, writer, cache, metrics, flusher, disk }
    }

    /// Dirty states, in segments of the journal that will be too many.
    fn fill(&mut self) {
        for id in 1..=KEYS {
            let mut state = ReadState::default();
            state.apply(&increment().operation);
            state.set_version(Version::from_micros(id));
            let room = self.journal.reserve(1).now_or_never();
            let _room = room.expect("each is written at once").expect("there is room");
            let record = self.journal.append_state(&key(1, id), &state);
            self.cache.restore(&key(1, id), state, record, 0).expect("there is room");
            self.writer.step();
        }
        assert!(self.journal.wants_checkpoint());
    }

    /// The keys that a start after a power cut now would bring back: the store has persisted none.
    fn brought_back(&self) -> Vec<Key> {
        let image = SimulatedDisk::restore(self.disk.image());
        let options =
            readstates::journal::JournalOptions { reserve_bytes: 0, ..Default::default() };
        let mut recovery = Recovery::open(Arc::new(image), options).expect("whole");
        let store = StoreIdentity { id: 1, commits: CommitNumber(0), upto: None };
        recovery.check_store(store).expect("the journal knows of no store yet");
        let mut keys = Vec::new();
        let replayed = recovery.replay::<readstates::journal::JournalError>(&mut |_, record| {
            if let Record::State { key, .. } = record {
                keys.push(key);
            }
            Ok(())
        });
        replayed.expect("it parses");
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

#[test]
fn the_journal_is_kept_short_while_a_commit_hangs() {
    let mut scene = Scene::new();
    scene.fill();
    let mut gate = Some(scene.faults.hold_next(Call::Commit, Moment::After));
    let (mut told, before) = (false, scene.journal.usage());
    let mut pass = Box::pin(scene.flusher.pass(Scope::Everything));
    assert!((&mut pass).now_or_never().is_none(), "it hangs");
    scene.time.advance_ms(WRITE_HANGS_AFTER_MS - 1);
    scene.flusher.watch_write(&mut told).now_or_never().expect("it may take so long");
    assert_eq!((told, scene.journal.usage().segments), (false, before.segments));
    scene.time.advance_ms(1);
    {
        let mut watch = Box::pin(scene.flusher.watch_write(&mut told));
        let mut turns = 0;
        while (&mut watch).now_or_never().is_none() {
            scene.writer.step();
            turns += 1;
            if turns == 20 {
                // In the midst of the copy the store answers after all.
                gate.take().into_iter().for_each(Gate::open);
            }
            if turns > 20 {
                assert!((&mut pass).now_or_never().is_none(), "nothing becomes clean meanwhile");
            }
        }
        assert!(turns > 40, "it was copied in {turns} parts");
    }
    assert!(told);
    let shown = scene.metrics.encode().expect("metrics");
    let seconds = WRITE_HANGS_AFTER_MS / 1_000;
    let series = format!("readstates_flush_write_running_seconds {seconds}");
    assert!(shown.contains(&series), "{shown}");
    let usage = scene.journal.usage();
    // Of the needed records the journal is told roughly.
    assert!(usage.horizon.as_u64() > KEYS * 9 / 10, "{usage:?} after {before:?}");
    assert_eq!(scene.brought_back().len() as u64, KEYS);
    assert_eq!((&mut pass).now_or_never(), Some(PassEnd::Done));
    drop(pass);
    assert_eq!(scene.cache.dirty(), 0);
    assert_eq!(scene.brought_back().len() as u64, KEYS, "it is not persisted yet");
    scene.flusher.watch_write(&mut told).now_or_never().expect("nothing hangs");
    assert!(!told);
    assert_eq!(scene.flusher.persist().now_or_never(), Some(PassEnd::Done));
    assert_eq!(scene.journal.usage().horizon, scene.journal.last());
    assert!(scene.journal.last() > Sequence::new(2 * KEYS - 1));
    scene.cache.self_check();
}
