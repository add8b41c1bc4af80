//! Many threads on one cache, with a flusher beside them: nothing is lost, nothing counted twice,
//! nothing comes back.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use readstates::{
    cache::{Access, Cache, Done, Refusal, Sizing},
    clock::{Clock, ManualTime, Now},
    model::{Key, Version},
};

use crate::{
    rows::Rows,
    scene::{Flight, NOON_US, ack, increment, key, sizing, user},
};

const THREADS: u64 = 8;
/// Every n-th commit fails.
const FAILS_EVERY: u64 = 7;
/// Turns without an end in sight after which a thread gives up.
const TURNS_MAX: u64 = 2_000_000;

/// A cache and a store that threads share, as the engine and the flusher would.
struct Shared {
    cache: Cache,
    rows: Mutex<Rows>,
    now: Now,
    done: AtomicBool,
}

impl Shared {
    fn new(sizing: Sizing) -> Self {
        let clock = Clock::manual(ManualTime::starting_at(NOON_US));
        clock.raise_ceiling(Version::from_micros(2 * NOON_US));
        Self {
            cache: Cache::new(sizing, Version::ZERO, 1),
            rows: Mutex::default(),
            now: clock.now(),
            done: AtomicBool::new(false),
        }
    }

    /// Loads on a miss, again where the load came too late, and waits for places.
    fn access(&self, key: Key, access: &Access) -> Done {
        for _ in 0..TURNS_MAX {
            match self.try_access(key, access) {
                Some(Ok(done)) => return done,
                Some(Err(Refusal::DirtyLimit)) | None => thread::yield_now(),
                Some(Err(refusal)) => panic!("{refusal:?} of {key:?}"),
            }
        }
        panic!("{access:?} of {key:?} gets nowhere: is the flusher alive?");
    }

    fn try_access(&self, key: Key, access: &Access) -> Option<Result<Done, Refusal>> {
        if let Some(outcome) = self.cache.access(&key, access, &self.now) {
            return Some(outcome);
        }
        let ticket = self.cache.begin_load(key)?;
        let row = self.rows.lock().load(key);
        thread::yield_now();
        self.cache.admit(ticket, row, &[*access], &self.now).ok()?.pop()
    }

    /// What the flusher does in one turn.
    fn flush(&self, fail: bool) {
        self.flush_deletions();
        let mut flight = Flight::new();
        for shard in 0..self.cache.shards() {
            self.cache.collect_due(shard, u64::MAX, 64, &mut flight);
        }
        if !fail {
            let mut rows = self.rows.lock();
            flight.iter().for_each(|(key, state)| rows.write(*key, state.clone()));
        }
        thread::yield_now();
        for (key, state) in flight {
            self.cache.settle(&key, state.version(), !fail, 0);
        }
    }

    fn flush_deletions(&self) {
        for deletion in self.cache.deletions() {
            let keys = self.rows.lock().keys_of(deletion.user);
            self.cache.purge_older(deletion.user, &keys, deletion.version);
            self.rows.lock().delete_user(deletion.user, deletion.version);
            thread::yield_now();
            self.cache.settle_deletion(deletion);
        }
    }

    /// Flushes until the threads are done and nothing is dirty.
    fn flush_to_the_end(&self) {
        let mut turns_alone = 0;
        for turn in 1_u64.. {
            let done = self.done.load(Ordering::Acquire);
            if done && self.cache.dirty() == 0 {
                return;
            }
            turns_alone += u64::from(done);
            assert!(turns_alone < TURNS_MAX, "{} states never get clean", self.cache.dirty());
            self.flush(turn.is_multiple_of(FAILS_EVERY));
        }
    }

    /// Runs `work` on every thread beside a flusher, and returns once everything is in the store.
    fn run(&self, work: impl Fn(u64) + Sync) {
        thread::scope(|scope| {
            scope.spawn(|| self.flush_to_the_end());
            let workers: Vec<_> = (0..THREADS)
                .map(|worker| {
                    let work = &work;
                    scope.spawn(move || work(worker))
                })
                .collect();
            let joined: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            self.done.store(true, Ordering::Release);
            assert!(joined.iter().all(Result::is_ok), "a thread has failed; see above");
        });
        self.cache.self_check();
        assert_eq!((self.cache.dirty(), self.cache.loads()), (0, 0));
    }
}

fn hammer(sizing: Sizing, keys: u64, increments: u64) {
    let shared = Shared::new(sizing);
    let key_of = |number: u64| key(1 + number % 13, 1 + number);
    let counts: Vec<AtomicU64> = (0..keys).map(|_| AtomicU64::new(0)).collect();
    shared.run(|worker| {
        let mut rng = StdRng::seed_from_u64(worker);
        for _ in 0..increments {
            let number = rng.random_range(0..keys);
            let before = counts[number as usize].load(Ordering::Acquire);
            let read = shared.access(key_of(number), &Access::Read).view;
            assert!(u64::from(read.mention_count) >= before, "a read of {number} is stale");
            let done = shared.access(key_of(number), &increment());
            assert!(done.view.version > read.version);
            assert!(done.view.mention_count > read.mention_count);
            counts[number as usize].fetch_add(1, Ordering::AcqRel);
        }
    });
    let rows = shared.rows.lock();
    for (number, count) in counts.iter().enumerate() {
        let row = rows.load(key_of(number as u64)).unwrap_or_default();
        let expected = count.load(Ordering::Acquire);
        assert_eq!(u64::from(row.mention_count()), expected, "key {number}");
    }
}

#[test]
fn increments_of_few_keys_by_many_threads_sum_up() {
    hammer(sizing(8, 2, 4), 12, 2_000);
}

#[test]
fn increments_of_many_keys_by_many_threads_sum_up() {
    let entries = NonZeroUsize::new(600).expect("not 0");
    hammer(Sizing::for_entries(entries, NonZeroUsize::new(4), None), 5_000, 4_000);
}

/// Each thread alone writes the states of its own user and deletes the user now and then, while
/// the others read them: what its answers show is known exactly at every moment.
#[test]
fn a_user_deleted_under_many_threads_never_comes_back() {
    const CHANNELS: u64 = 6;
    let shared = Shared::new(sizing(24, 3, 16));
    shared.run(|worker| {
        let mut rng = StdRng::seed_from_u64(worker);
        let mut expected = [0_u64; CHANNELS as usize];
        for step in 1..=3_000 {
            let channel = rng.random_range(0..CHANNELS);
            let own = key(1 + worker, 1 + channel);
            let seen = shared.access(own, &Access::Read).view.last_acked_id;
            assert_eq!(seen, expected[channel as usize], "step {step} of seed {worker}");
            match rng.random_range(0..20) {
                0 if shared.cache.delete_user(user(1 + worker), &shared.now).is_ok() => {
                    expected = [0; CHANNELS as usize];
                }
                0..=9 => {
                    shared.access(own, &ack(step));
                    expected[channel as usize] = step;
                }
                _ => {
                    let other = 1 + rng.random_range(0..THREADS);
                    shared.access(key(other, 1 + channel), &Access::Read);
                }
            }
        }
        shared.cache.delete_user(user(1 + worker), &shared.now).ok();
    });
}
