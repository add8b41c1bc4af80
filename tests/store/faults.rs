//! The fault store does what it is told, so that tests which rely on it mean something.

use std::{future::Future, sync::Arc};

use readstates::{
    model::ReadState,
    store::{Batch, Call, FaultStore, Faults, MemoryStore, Moment, Row, Store, StoreError},
};

use crate::states::{acked, channel, version};

fn make() -> (Arc<FaultStore>, Faults, MemoryStore) {
    let memory = MemoryStore::new();
    let store = FaultStore::new(Arc::new(memory.clone()));
    let faults = store.faults();
    (Arc::new(store), faults, memory)
}

fn outage() -> StoreError {
    StoreError::Unavailable("a test says so".to_owned())
}

fn row(channel_id: u64, micros: u64) -> Row {
    Row { key: channel(1, channel_id), state: acked(micros, micros) }
}

fn batch(rows: impl IntoIterator<Item = Row>) -> Batch {
    Batch { rows: rows.into_iter().collect(), durable: false, upto: None }
}

fn load(
    store: &Arc<FaultStore>,
    channel_id: u64,
) -> impl Future<Output = Option<ReadState>> + use<> {
    let store = store.clone();
    async move { store.load(channel(1, channel_id)).await.expect("a load") }
}

#[tokio::test]
async fn the_next_calls_of_a_kind_fail_and_do_nothing() {
    let (store, faults, memory) = make();
    faults.fail_next(Call::Commit, 2, outage());
    for _ in 0..2 {
        let refused = store.commit(batch([row(1, 1)])).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    }
    assert_eq!(memory.load(channel(1, 1)).await.expect("a load"), None);
    assert_eq!(store.commit(batch([row(1, 1)])).await.expect("healed").failed, []);
    let tally = faults.tally();
    assert_eq!((tally.begun(Call::Commit), tally.ended(Call::Commit)), (3, 3));
    assert_eq!((tally.writes(&channel(1, 1)), tally.rows_written()), (1, 1));
}

#[tokio::test]
async fn rows_of_failing_keys_are_reported_and_the_others_written() {
    let (store, faults, memory) = make();
    faults.fail_keys([channel(1, 2)]);
    let report = store.commit(batch([row(1, 1), row(2, 1), row(3, 1)])).await.expect("a commit");
    assert_eq!(report.failed, [channel(1, 2)]);
    let keys: Vec<_> = memory.scan(None, 9).await.expect("a scan").iter().map(|r| r.key).collect();
    assert_eq!(keys, [channel(1, 1), channel(1, 3)]);
    assert_eq!((faults.tally().rows_written(), faults.tally().writes(&channel(1, 2))), (2, 0));
    faults.heal();
    assert_eq!(store.commit(batch([row(2, 2)])).await.expect("healed").failed, []);
}

#[tokio::test]
async fn a_load_held_after_its_read_answers_what_was() {
    let (store, faults, memory) = make();
    memory.commit(batch([row(1, 1)])).await.expect("a commit");
    let gate = faults.hold_next(Call::Load, Moment::After);
    let old = tokio::spawn(load(&store, 1));
    faults.until(|tally| tally.held(Call::Load) == 1).await;
    memory.commit(batch([row(1, 2)])).await.expect("a commit");
    // Only one was to be held.
    assert_eq!(load(&store, 1).await, Some(acked(2, 2)));
    assert!(!old.is_finished());
    gate.open();
    assert_eq!(old.await.expect("no panic"), Some(acked(1, 1)));
    assert_eq!(faults.tally().loads(&channel(1, 1)), 2);
}

#[tokio::test]
async fn calls_held_before_have_done_nothing_and_pass_once_the_gate_is_gone() {
    let (store, faults, memory) = make();
    let gate = faults.hold(Call::Commit, Moment::Before);
    let commits: Vec<_> = (1..=3)
        .map(|id| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(batch([row(id, 1)])).await.map(|_| ()) })
        })
        .collect();
    faults.until(|tally| tally.held(Call::Commit) == 3).await;
    commits[0].abort();
    faults.until(|tally| tally.held(Call::Commit) == 2).await;
    assert_eq!(memory.scan(None, 9).await.expect("a scan"), []);
    drop(gate);
    faults.until(|tally| tally.ended(Call::Commit) == 3).await;
    assert_eq!(memory.scan(None, 9).await.expect("a scan"), [row(2, 1), row(3, 1)]);
    store.commit(batch([row(4, 1)])).await.expect("the gate is gone");
}

#[tokio::test]
async fn a_store_that_stopped_at_a_commit_stays_so() {
    let (store, faults, memory) = make();
    faults.stop_at_commit(2);
    store.commit(batch([row(1, 1)])).await.expect("the first");
    assert!(store.commit(batch([row(2, 1)])).await.is_err());
    faults.heal();
    assert!(store.load(channel(1, 1)).await.is_err());
    assert!(store.raise_clock_ceiling(version(5)).await.is_err());
    assert!(store.commit(batch([row(3, 1)])).await.is_err());
    assert_eq!(memory.scan(None, 9).await.expect("a scan"), [row(1, 1)]);
}

#[tokio::test]
async fn a_slow_call_lets_others_run() {
    let (store, faults, _memory) = make();
    faults.delay(Call::Load, 3);
    let slow = tokio::spawn(load(&store, 1));
    for _ in 0..3 {
        tokio::task::yield_now().await;
        assert!(!slow.is_finished());
    }
    assert_eq!(slow.await.expect("no panic"), None);
}
