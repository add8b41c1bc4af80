//! Offers over a table that can be told to fail, and owners who do not stay owners.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::*;
use crate::{
    cache::{Cache, Sizing},
    clock::{Clock, ManualTime},
    engine::{Durability, EngineSettings},
    flush::{FlushSettings, FlushThread, Flusher, raise_ceiling},
    lease::{Acquire, BootClock, HELD_FOR, Lease, Leased},
    metrics::Metrics,
    model::{ChannelId, Key, MessageId, Operation, Parts, ReadState, UserId, Version},
    store::{Call, FaultStore, Faults, MemoryStore, Moment, OneRow, Pending, Store},
};

#[derive(Default)]
struct Table {
    chunks: Mutex<BTreeMap<OfferPlace, Vec<u8>>>,
    removes_nothing: AtomicBool,
    removed: watch::Sender<u32>,
}

impl OfferTable for Table {
    fn put(&self, place: OfferPlace, bytes: Vec<u8>) -> Pending<'_, ()> {
        self.chunks.lock().insert(place, bytes);
        Box::pin(async { Ok(()) })
    }

    fn next(&self, after: Option<OfferPlace>) -> Pending<'_, Option<Offered>> {
        let places = self.chunks.lock();
        let mut behind = places.iter().filter(|(place, _)| Some(**place) > after);
        let next = behind.next().map(|(place, bytes)| (*place, bytes.clone()));
        Box::pin(async move { Ok(next.map(|(place, bytes)| Offered { place, bytes })) })
    }

    fn remove(&self, place: OfferPlace) -> Pending<'_, ()> {
        if self.removes_nothing.load(Ordering::Relaxed) {
            return Box::pin(async { Err(away()) });
        }
        self.chunks.lock().remove(&place);
        self.removed.send_modify(|removed| *removed += 1);
        Box::pin(async { Ok(()) })
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("a test says so".to_owned())
}

struct Scene {
    table: Arc<Table>,
    engine: Arc<Engine>,
    store: Arc<dyn Store>,
    faults: Faults,
    metrics: OfferMetrics,
    merging: Merging,
    flusher: FlushThread,
}

async fn scene() -> Scene {
    scene_over(|store| store).await
}

/// Its writes get to the store beneath through what `above` makes of that.
async fn scene_over(above: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Scene {
    let store = FaultStore::new(Arc::new(MemoryStore::new()));
    let faults = store.faults();
    let store = above(Arc::new(store));
    let clock = Clock::manual(ManualTime::starting_at(1_700_000_000_000_000));
    raise_ceiling(&clock, store.as_ref(), Version::ZERO).await.expect("the ceiling rises");
    let entries = NonZeroUsize::new(64).expect("not 0");
    let cache = Cache::new(Sizing::for_entries(entries, None, None), Version::ZERO, 7);
    let cache = Arc::new(cache);
    let metrics = Arc::new(Metrics::new().expect("names are valid"));
    let settings = EngineSettings {
        durability: Durability::Memory,
        concurrent_loads: 8,
        tombstone_ttl_ms: u64::MAX,
        watched_users: 8,
        waiting_changes: 8,
        waiting_changes_per_watch: 8,
    };
    let flushing = FlushSettings {
        flush_after_ms: u64::MAX,
        batch_rows: 8,
        tombstone_ttl_ms: u64::MAX,
        persist_after_ms: u64::MAX,
    };
    let (kept, counted) = (Arc::clone(&store), Arc::clone(&metrics));
    let flusher = Flusher::new(Arc::clone(&cache), kept, clock.clone(), counted, flushing);
    let flusher = FlushThread::spawn(flusher).expect("a thread");
    let (rounds, offers) = (flusher.rounds(), metrics.offers.clone());
    let engine = Engine::new(cache, Arc::clone(&store), clock, rounds, metrics, settings);
    let (engine, table) = (Arc::new(engine), Arc::new(Table::default()));
    let merging = Merging::new(Arc::clone(&table) as _, Arc::clone(&engine), offers.clone());
    Scene { table, engine, store, faults, metrics: offers, merging, flusher }
}

fn key(user: u64) -> Key {
    let user = UserId::new(user).expect("not 0");
    Key::channel(user, ChannelId::new(1).expect("not 0"))
}

fn chunk(users: &[u64]) -> Vec<u8> {
    let version = Version::from_micros(20);
    let parts = Parts { version, last_acked_id: 10, ..Parts::default() };
    let state = ReadState::from_parts(parts).expect("valid parts");
    let states = users.iter().map(|user| (key(*user), state.clone())).collect();
    OfferChunk { deletions: Vec::new(), states }.encode()
}

fn place(offer: u64, chunk: u32) -> OfferPlace {
    OfferPlace { offer, chunk }
}

impl Scene {
    async fn offer(&self, place: OfferPlace, bytes: Vec<u8>) {
        self.table.put(place, bytes).await.expect("it never fails");
    }

    fn left(&self) -> Vec<OfferPlace> {
        self.table.chunks.lock().keys().copied().collect()
    }

    async fn change(&self, user: u64, operation: Operation) {
        let done = self.engine.update(key(user), operation.into()).await.expect("an update");
        assert!(done.changed);
    }

    async fn watermark(&self, user: u64) -> u64 {
        self.engine.read(key(user)).await.expect("a read").view.last_acked_id
    }

    fn counted(&self) -> [u64; 3] {
        [&self.metrics.merged, &self.metrics.known, &self.metrics.failures]
            .map(prometheus::IntCounter::get)
    }
}

#[tokio::test]
async fn every_chunk_is_merged_and_removed() {
    let mut scene = scene().await;
    scene.offer(place(5, 0), chunk(&[1, 2])).await;
    scene.offer(place(5, 1), chunk(&[3])).await;
    scene.offer(place(9, 0), chunk(&[2])).await;
    scene.merging.merge_all().await.expect("the store is well");
    assert_eq!(scene.left(), []);
    for user in 1..=3 {
        assert_eq!(scene.watermark(user).await, 10, "user {user}");
    }
    assert_eq!(scene.counted(), [3, 1, 0]);
    // Nothing is removed that a crash could take back.
    let row = scene.store.load(key(3)).await.expect("the store is well");
    assert_eq!(row.map(|row| row.last_acked_id()), Some(10));
    scene.flusher.stop();
}

#[tokio::test]
async fn what_cannot_be_merged_now_stays() {
    let mut scene = scene().await;
    scene.offer(place(5, 0), chunk(&[1])).await;
    for call in [Call::LoadMany, Call::LoadUser, Call::Commit] {
        scene.faults.fail_next(call, u64::MAX, away());
        assert!(scene.merging.merge_all().await.is_err(), "{call:?}");
        assert_eq!(scene.left(), [place(5, 0)], "{call:?}");
        scene.faults.heal();
    }
    scene.merging.merge_all().await.expect("the store is well");
    assert_eq!(scene.left(), []);
    assert_eq!(scene.watermark(1).await, 10);
}

#[tokio::test]
async fn what_cannot_be_read_stays_and_holds_up_nothing() {
    let mut scene = scene().await;
    let unreadable = [place(1, 0), place(3, 0)];
    for place in unreadable {
        scene.offer(place, b"no chunk".to_vec()).await;
    }
    scene.offer(place(2, 0), chunk(&[1])).await;
    for looks in 1..=3 {
        scene.merging.merge_all().await.expect("the store is well");
        assert_eq!(scene.left(), unreadable);
        assert_eq!(scene.counted(), [1, 0, 2 * looks]);
        // Each once.
        assert_eq!(scene.merging.told.iter().copied().collect::<Vec<_>>(), unreadable);
    }
    assert_eq!(scene.watermark(1).await, 10);
    // Somebody removes one by hand.
    scene.table.remove(unreadable[0]).await.expect("it is there");
    scene.merging.merge_all().await.expect("the store is well");
    assert_eq!(scene.merging.told.iter().copied().collect::<Vec<_>>(), unreadable[1..]);
    scene.flusher.stop();
}

/// The chunk that is merged once more would bring back what was deleted in between.
#[tokio::test]
async fn a_chunk_that_could_not_be_removed_is_not_merged_again() {
    for fails in ["flush", "removal"] {
        let mut scene = scene().await;
        scene.offer(place(5, 0), chunk(&[1])).await;
        match fails {
            "flush" => scene.faults.fail_next(Call::Commit, 1, away()),
            _ => scene.table.removes_nothing.store(true, Ordering::Relaxed),
        }
        assert!(scene.merging.merge_all().await.is_err(), "{fails}");
        assert_eq!(scene.left(), [place(5, 0)], "{fails}");
        assert_eq!(scene.watermark(1).await, 10, "{fails}");
        scene.table.removes_nothing.store(false, Ordering::Relaxed);
        scene.change(1, Operation::Delete).await;
        let message = MessageId::new(5).expect("not 0");
        scene.change(1, Operation::Mention { message, initial_acked_id: None }).await;
        scene.merging.merge_all().await.expect("the store is well");
        assert_eq!(scene.left(), [], "{fails}");
        assert_eq!(scene.watermark(1).await, 0, "{fails}");
        assert_eq!(scene.counted(), [1, 0, 0], "{fails}");
        scene.flusher.stop();
    }
}

/// Nobody who removed it has said so: the answer was lost.
#[tokio::test]
async fn what_is_not_there_any_more_is_forgotten() {
    let mut scene = scene().await;
    scene.table.removes_nothing.store(true, Ordering::Relaxed);
    for offer in [3, 5, 9] {
        scene.offer(place(offer, 0), chunk(&[offer])).await;
    }
    assert!(scene.merging.merge_all().await.is_err());
    scene.table.chunks.lock().retain(|place, _| place.offer == 5);
    assert!(scene.merging.merge_all().await.is_err());
    assert_eq!(scene.merging.merged.keys().collect::<Vec<_>>(), [&place(5, 0)]);
    scene.flusher.stop();
}

/// Nor is it begun anew: what is merged a second time counts as known.
#[tokio::test(start_paused = true)]
async fn a_first_look_that_takes_long_goes_on_while_calls_are_served() {
    let scene = scene().await;
    scene.offer(place(5, 0), chunk(&[1, 2])).await;
    let gate = scene.faults.hold(Call::LoadMany, Moment::Before);
    let lifecycle = Lifecycle::new();
    scene.merging.start(lifecycle.clone()).await;
    assert_eq!(scene.faults.tally().held(Call::LoadMany), 1);
    gate.open();
    let mut removed = scene.table.removed.subscribe();
    removed.wait_for(|removed| *removed == 1).await.expect("the table stays");
    assert_eq!(scene.faults.tally().begun(Call::LoadMany), 1);
    lifecycle.advance(Phase::Draining);
    scene.flusher.stop();
}

/// Another may have merged it meanwhile, and have it alone.
#[tokio::test]
async fn what_reached_the_store_after_the_lease_had_lapsed_stays_offered() {
    let now_ms = Arc::new(AtomicU64::new(1));
    let time = Arc::clone(&now_ms);
    let clock = BootClock::manual(move || time.load(Ordering::Relaxed));
    let counted = Metrics::new().expect("names are valid").lease;
    let wish = Acquire::new("one:7000", false);
    let lease = Lease::acquire(Arc::new(OneRow::default()), clock, counted, wish).await;
    let lease = lease.expect("nobody has it");
    let owned = lease.clone();
    let mut scene = scene_over(|store| Arc::new(Leased::new(store, owned))).await;
    scene.offer(place(5, 0), chunk(&[1])).await;
    let gate = scene.faults.hold_next(Call::Commit, Moment::Before);
    let mut merging = scene.merging;
    let looking = tokio::spawn(async move { (merging.merge_all().await.is_ok(), merging) });
    scene.faults.until(|tally| tally.held(Call::Commit) == 1).await;
    now_ms.fetch_add(HELD_FOR.as_millis() as u64, Ordering::Relaxed);
    gate.open();
    let (merged, merging) = looking.await.expect("no panic");
    assert!(!merged);
    scene.merging = merging;
    assert_eq!(scene.left(), [place(5, 0)]);
    // Nobody else had it.
    lease.raise_ceiling(lease.ceiling().next()).await.expect("it is held again");
    scene.merging.merge_all().await.expect("the store is well");
    assert_eq!(scene.left(), []);
    assert_eq!(scene.watermark(1).await, 10);
    scene.flusher.stop();
}
