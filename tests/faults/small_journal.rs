//! A journal whose buffer has room for few records at once: what needs more goes in parts.

use std::{num::NonZeroUsize, sync::Arc};

use readstates::{
    cache::{Access, Cache, Log, Sizing},
    clock::Clock,
    engine::{Durability, Order},
    flush::{FlushSettings, Flusher, JournalLog, PassEnd, Scope},
    journal::{Journal, JournalOptions, Recovery, SEGMENT_BYTES_MIN, SimulatedDisk, Writer},
    metrics::Metrics,
    model::{ReadState, Sequence, Version},
    store::{CommitNumber, MemoryStore, Store},
};

use crate::{
    keys::{increment, key},
    scene::Plan,
};

/// More than one hold of a shard's lock sees.
const KEYS: u64 = 300;

pub fn smallest_journal(disk: &SimulatedDisk) -> (Journal, Writer) {
    let options = JournalOptions {
        segment_bytes: SEGMENT_BYTES_MIN,
        pending_bytes_max: 0,
        size_bytes: 0,
        reserve_bytes: 0,
    };
    let recovery = Recovery::open(Arc::new(disk.clone()), options).expect("a journal");
    recovery.begin().expect("it begins")
}

/// A cache and a flusher beside that journal.
fn write_behind(journal: &Journal, entries: usize) -> (Arc<Cache>, Flusher) {
    let log: Arc<dyn Log> = Arc::new(JournalLog(journal.clone()));
    let entries = NonZeroUsize::new(entries).expect("not 0");
    let sizing = Sizing::for_entries(entries, NonZeroUsize::new(1), None);
    let cache = Arc::new(Cache::with_log(sizing, Version::ZERO, 7, &log));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let settings = FlushSettings {
        flush_after_ms: 1,
        batch_rows: 4_096,
        tombstone_ttl_ms: 1,
        persist_after_ms: 1,
    };
    let flusher = Flusher::new(Arc::clone(&cache), store, Clock::system(), metrics, settings);
    (cache, flusher.with_journal(journal.clone(), CommitNumber::default()))
}

fn state() -> ReadState {
    let mut state = ReadState::default();
    state.apply(&increment().operation);
    state.set_version(Version::from_micros(1));
    state
}

#[tokio::test]
async fn a_call_with_more_changes_than_the_journal_takes_at_once_is_done_in_parts() {
    let (journal, _writer) = smallest_journal(&SimulatedDisk::default());
    assert!(journal.records_max() < 10);
    let durability = Durability::Journal(journal);
    let scene = Plan { entries: 4_096, durability, ..Plan::default() }.by_hand().await;
    let batch: Vec<_> = (1..=KEYS).map(|id| (key(1, id), Access::Update(increment()))).collect();
    for order in [Order::Any, Order::PerUser] {
        for result in scene.engine.access_many(batch.clone(), order).await {
            assert!(result.expect("there is room for each").changed);
        }
    }
}

#[tokio::test]
async fn a_checkpoint_of_more_than_the_journal_takes_at_once_is_made_in_parts() {
    let (journal, mut writer) = smallest_journal(&SimulatedDisk::default());
    let (cache, flusher) = write_behind(&journal, 4_096);
    for id in 1..=KEYS {
        cache.restore(&key(1, id), state(), Sequence::ZERO, 0).expect("there is room");
    }
    let mut checkpoint = Box::pin(flusher.checkpoint());
    let end = loop {
        tokio::select! {
            biased;
            end = &mut checkpoint => break end,
            () = tokio::task::yield_now() => drop(writer.step()),
        }
    };
    assert_eq!(end, PassEnd::Done);
    assert!(journal.durable().as_u64() >= KEYS);
}

/// The passes in the middle of a replay make the store persist where it has confirmed so much.
#[tokio::test]
async fn what_is_not_replayed_yet_stays_in_the_journal() {
    const RECORDS: u64 = 140_000;
    let (journal, mut writer) = smallest_journal(&SimulatedDisk::default());
    for _ in 0..RECORDS / 20 {
        for _ in 0..20 {
            journal.append_ceiling(Version::from_micros(1));
        }
        while journal.last() > journal.durable() {
            writer.step();
        }
    }
    let (cache, flusher) = write_behind(&journal, 16_384);
    flusher.set_replaying(true);
    for id in 1..RECORDS {
        let record = Sequence::new(id);
        while cache.restore(&key(1, id), state(), record, 0).is_err() {
            assert_eq!(flusher.pass(Scope::Everything).await, PassEnd::Done);
        }
        assert_eq!(journal.usage().horizon, Sequence::ZERO, "{id}");
    }
    flusher.set_replaying(false);
    flusher.pass(Scope::Everything).await;
    assert_eq!(flusher.persist().await, PassEnd::Done);
    assert_eq!(journal.usage().horizon, journal.last());
}
