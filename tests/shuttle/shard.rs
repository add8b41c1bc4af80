//! A shard of the cache: updates, loads, commits and evictions by several threads at once.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use readstates::{
    cache::{Access, Cache, Done, Outcome, Refusal, Sizing},
    clock::Now,
    model::{ChannelId, Key, Operation, ReadState, UserId, Version},
};
use shuttle::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crate::explore;

const NOW: Now = Now { wall_us: 1_000, ceiling: Version::from_micros(u64::MAX), elapsed_ms: 0 };
const UPDATERS: u64 = 2;
const UPDATES: u64 = 3;

pub fn key(channel: u64) -> Key {
    Key::channel(user(), ChannelId::new(channel).expect("not 0"))
}

fn user() -> UserId {
    UserId::new(1).expect("not 0")
}

pub fn increment() -> Access {
    Access::Update(Operation::Increment { count: 1, initial_acked_id: None }.into())
}

/// A cache over plain rows; clones are the same.
#[derive(Clone)]
pub struct Scene {
    pub cache: Arc<Cache>,
    pub rows: Arc<Mutex<BTreeMap<Key, ReadState>>>,
    /// Updaters that are done.
    ended: Arc<AtomicU64>,
}

impl Scene {
    /// Up to so many may be dirty.
    pub fn new(dirty_limit: usize) -> Self {
        Self::over(dirty_limit, |sizing| Cache::new(sizing, Version::ZERO, 0))
    }

    /// Two entries, of which one is a channel: an access to another channel evicts.
    pub fn over(dirty_limit: usize, cache: impl FnOnce(Sizing) -> Cache) -> Self {
        let some = NonZeroUsize::new;
        let sizing = Sizing::for_entries(some(2).expect("not 0"), some(1), some(dirty_limit));
        Self { cache: Arc::new(cache(sizing)), rows: Arc::default(), ended: Arc::default() }
    }

    fn load(&self, key: &Key) -> Option<ReadState> {
        self.rows.lock().expect("no panic").get(key).cloned()
    }

    /// Does it, by way of a load where it must.
    pub fn access(&self, key: Key, access: &Access) -> Outcome {
        loop {
            if let Some(outcome) = self.cache.access(&key, access, &NOW) {
                return outcome;
            }
            let Some(ticket) = self.cache.begin_load(key) else { continue };
            let loaded = self.load(&key);
            if let Ok(mut outcomes) = self.cache.admit(ticket, loaded, &[*access], &NOW) {
                return outcomes.pop().expect("one for each");
            }
        }
    }

    /// The same, until there is a place for it; `None` once the cache is closed.
    pub fn update(&self, key: Key, access: &Access) -> Option<Done> {
        loop {
            match self.access(key, access) {
                Ok(done) => return Some(done),
                Err(Refusal::DirtyLimit) => thread::yield_now(),
                Err(Refusal::Closed) => return None,
                Err(refused) => panic!("{refused:?}"),
            }
        }
    }

    /// Commits what is dirty, as one flusher does.
    pub fn flush(&self) {
        for deletion in self.cache.deletions() {
            let keys: Vec<Key> = self.rows.lock().expect("no panic").keys().copied().collect();
            self.cache.purge_older(deletion.user, &keys, deletion.version);
            let older = |_: &Key, row: &mut ReadState| row.version() > deletion.version;
            self.rows.lock().expect("no panic").retain(older);
            self.cache.settle_deletion(deletion);
        }
        let mut rows = Vec::new();
        self.cache.collect_due(0, u64::MAX, 2, &mut rows);
        for (key, row) in &rows {
            self.rows.lock().expect("no panic").insert(*key, row.clone());
        }
        for (key, row) in rows {
            self.cache.settle(&key, row.version(), true, 0);
        }
    }

    pub fn flush_all(&self) {
        while self.cache.dirty() > 0 {
            self.flush();
        }
        self.cache.self_check();
    }

    fn count(&self, channel: u64) -> u64 {
        self.load(&key(channel)).map_or(0, |row| row.mention_count().into())
    }
}

fn updater(scene: &Scene) -> thread::JoinHandle<u64> {
    let scene = scene.clone();
    thread::spawn(move || {
        let channels = (1..=UPDATES).map(|n| n % 2 + 1);
        let done = channels.map(|channel| scene.update(key(channel), &increment()));
        let done = done.map_while(|done| done).count() as u64;
        scene.ended.fetch_add(1, Ordering::SeqCst);
        done
    })
}

fn flusher(scene: &Scene) -> thread::JoinHandle<()> {
    let scene = scene.clone();
    thread::spawn(move || (0..3).for_each(|_| scene.flush()))
}

#[test]
fn no_update_is_lost_between_eviction_commit_and_load() {
    explore(|| {
        let scene = Scene::new(1);
        let updaters: Vec<_> = (0..UPDATERS).map(|_| updater(&scene)).collect();
        let flusher = flusher(&scene);
        let reading = scene.clone();
        let reader = thread::spawn(move || {
            let mut newest = Version::ZERO;
            for _ in 0..3 {
                let seen = reading.access(key(1), &Access::Read).expect("a read").view.version;
                assert!(seen >= newest, "a read went back");
                newest = seen;
            }
        });
        flusher.join().expect("no panic");
        // One flusher goes on, so that there is always a place in the end.
        while scene.ended.load(Ordering::SeqCst) < UPDATERS {
            scene.flush();
            thread::yield_now();
        }
        let done: u64 = updaters.into_iter().map(|one| one.join().expect("no panic")).sum();
        reader.join().expect("no panic");
        scene.flush_all();
        assert_eq!(done, UPDATERS * UPDATES);
        assert_eq!(scene.count(1) + scene.count(2), done);
        assert_eq!(scene.cache.loads(), 0);
    });
}

#[test]
fn nothing_of_a_deleted_user_comes_back() {
    explore(|| {
        let scene = Scene::new(2);
        scene.update(key(1), &increment());
        scene.flush_all();
        let (loading, flusher) = (scene.clone(), flusher(&scene));
        let reader = thread::spawn(move || {
            let first = loading.access(key(1), &Access::Read).expect("a read").view.exists();
            let second = loading.access(key(1), &Access::Read).expect("a read").view.exists();
            assert!(first || !second, "it came back");
        });
        let evicting = scene.clone();
        let evictor = thread::spawn(move || evicting.update(key(2), &increment()));
        let (deleted_at, _) = scene.cache.delete_user(user(), &NOW).expect("there is room");
        assert!(!scene.access(key(1), &Access::Read).expect("a read").view.exists());
        flusher.join().expect("no panic");
        reader.join().expect("no panic");
        let anew = evictor.join().expect("no panic").expect("there is room").view.version;
        scene.flush_all();
        assert!(!scene.access(key(1), &Access::Read).expect("a read").view.exists());
        assert_eq!((scene.count(1), scene.count(2)), (0, u64::from(anew > deleted_at)));
    });
}

#[test]
fn what_was_done_before_the_cache_closed_is_written() {
    explore(|| {
        let scene = Scene::new(2);
        let updaters: Vec<_> = (0..UPDATERS).map(|_| updater(&scene)).collect();
        while !scene.cache.close_if_clean() {
            scene.flush();
            thread::yield_now();
        }
        let done: u64 = updaters.into_iter().map(|one| one.join().expect("no panic")).sum();
        assert_eq!(scene.count(1) + scene.count(2), done);
    });
}
