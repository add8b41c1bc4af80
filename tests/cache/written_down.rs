//! What a cache writes down is enough: from the records that it still needs and the rows of the
//! store, another cache comes to the same states, wherever the first one is cut off (I7, I9).

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use readstates::{
    cache::{Access, Cache, Full, Log, UserDeletion},
    clock::Now,
    model::{Key, ReadState, Sequence, UserId, Version, View},
};

use crate::{
    draw::{draw_access, draw_key, draw_user},
    rows::Rows,
    scene::{Flight, NOON_US, sizing},
};

const SEEDS: u64 = 400;
const STEPS: u32 = 120;
/// Records are pinned in buckets of some thousands: numbered this far apart, each is alone.
const APART: u64 = 10_000;

#[derive(Clone)]
enum Record {
    State(Key, ReadState),
    Deletion(UserId, Version),
}

/// A journal that is durable at once.
#[derive(Default)]
struct Paper(Mutex<Vec<Record>>);

impl Paper {
    fn write(&self, record: Record) -> Sequence {
        let mut records = self.0.lock();
        records.push(record);
        Sequence::new(records.len() as u64 * APART)
    }

    fn last(&self) -> Sequence {
        Sequence::new(self.0.lock().len() as u64 * APART)
    }

    fn behind(&self, upto: Sequence) -> Vec<(Sequence, Record)> {
        let records = self.0.lock().clone();
        let numbered = records.into_iter().zip(1..).map(|(record, n)| (n * APART, record));
        let numbered = numbered.map(|(n, record)| (Sequence::new(n), record));
        numbered.filter(|(number, _)| *number > upto).collect()
    }
}

impl Log for Paper {
    fn append_state(&self, key: &Key, state: &ReadState) -> Sequence {
        let mut state = state.clone();
        state.set_holder_mark(false);
        self.write(Record::State(*key, state))
    }

    fn append_deletion(&self, user: UserId, version: Version) -> Sequence {
        self.write(Record::Deletion(user, version))
    }
}

struct Walk {
    rng: StdRng,
    cache: Cache,
    paper: Arc<Paper>,
    rows: Rows,
    now: Now,
    flights: Vec<Flight>,
    deletions: Vec<UserDeletion>,
    seen: BTreeMap<Key, View>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let paper = Arc::new(Paper::default());
        let log: Arc<dyn Log> = Arc::clone(&paper) as Arc<dyn Log>;
        let entries = rng.random_range(4..24);
        let sizing = sizing(entries, rng.random_range(1..3), entries / 2);
        let cache = Cache::with_log(sizing, Version::ZERO, seed, &log);
        let ceiling = Version::from_micros(u64::MAX);
        let now = Now { wall_us: NOON_US, ceiling, elapsed_ms: 0 };
        let (flights, deletions) = (Vec::new(), Vec::new());
        let rows = Rows::default();
        Self { rng, cache, paper, rows, now, flights, deletions, seen: BTreeMap::new() }
    }

    fn step(&mut self) {
        self.now.elapsed_ms += 1;
        match self.rng.random_range(0..20) {
            0..10 => self.access(),
            10..13 => self.collect(),
            13..16 => self.settle(),
            16 => self.delete_user(),
            17..19 => self.finish_deletions(),
            _ => self.move_up(),
        }
        self.cache.self_check();
    }

    fn access(&mut self) {
        let key = draw_key(&mut self.rng);
        let current = self.seen.get(&key).copied().unwrap_or_default();
        let access = draw_access(&mut self.rng, &current);
        let outcome = match self.cache.access(&key, &access, &self.now) {
            Some(outcome) => outcome,
            None => self.load(key, access),
        };
        if let Ok(done) = outcome {
            self.seen.insert(key, done.view);
        }
    }

    fn load(&mut self, key: Key, access: Access) -> readstates::cache::Outcome {
        let ticket = self.cache.begin_load(key).expect("it is not in memory");
        let loaded = self.rows.load(key);
        let outcomes = self.cache.admit(ticket, loaded, &[access], &self.now);
        outcomes.expect("nobody came between").remove(0)
    }

    fn collect(&mut self) {
        let shard = self.rng.random_range(0..self.cache.shards());
        let mut flight = Flight::new();
        let before = self.now.elapsed_ms.saturating_sub(self.rng.random_range(0..30));
        self.cache.collect_due(shard, before, self.rng.random_range(1..6), &mut flight);
        if !flight.is_empty() {
            self.flights.push(flight);
        }
    }

    fn settle(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let flight = self.flights.remove(self.rng.random_range(0..self.flights.len()));
        let written = self.rng.random_bool(0.7);
        for (key, row) in flight {
            let version = row.version();
            if written {
                self.rows.write(key, row);
            }
            self.cache.settle(&key, version, written, self.now.elapsed_ms);
        }
    }

    fn delete_user(&mut self) {
        let user = draw_user(&mut self.rng);
        if self.cache.delete_user(user, &self.now).is_ok() {
            self.seen.retain(|key, _| key.user != user);
        }
    }

    fn finish_deletions(&mut self) {
        self.deletions = self.cache.deletions();
        for deletion in self.deletions.drain(..) {
            let keys = self.rows.keys_of(deletion.user);
            self.cache.purge_older(deletion.user, &keys, deletion.version);
            self.rows.delete_user(deletion.user, deletion.version);
            self.cache.settle_deletion(deletion);
        }
    }

    /// As a checkpoint does, in parts and with anything in between.
    fn move_up(&mut self) {
        let upto = self.paper.last();
        for shard in 0..self.cache.shards() {
            while self.cache.move_up_deletions(shard, upto, 2) {}
            let mut step = 0;
            while self.cache.move_up(shard, upto, step, 256) && self.rng.random_bool(0.9) {
                step += 1;
            }
        }
    }

    /// Everything that was seen is there again after a crash at this moment.
    fn crash(&self) -> u64 {
        let upto = self.cache.first_needed().map_or(self.paper.last(), Sequence::previous);
        let mut rows = Rows::default();
        self.rows.all().iter().for_each(|(key, row)| rows.write(*key, row.clone()));
        let cache = Cache::new(self.cache.sizing(), Version::ZERO, 0);
        let replayed = self.paper.behind(upto);
        let count = replayed.len() as u64;
        for (number, record) in replayed {
            while restore(&cache, &record, number).is_err() {
                flush(&cache, &mut rows);
            }
        }
        flush(&cache, &mut rows);
        cache.self_check();
        for (key, view) in &self.seen {
            let row = rows.load(*key).unwrap_or_default().view();
            assert_eq!(row, *view, "{key:?}");
        }
        for (key, row) in rows.all() {
            let known = self.seen.get(key).map(|view| view.version);
            assert_eq!(known, Some(row.version()), "{key:?} came back");
        }
        count
    }
}

fn restore(cache: &Cache, record: &Record, number: Sequence) -> Result<(), Full> {
    match record {
        Record::State(key, state) => cache.restore(key, state.clone(), number, 0),
        Record::Deletion(user, version) => cache.restore_deletion(*user, *version, number),
    }
}

fn flush(cache: &Cache, rows: &mut Rows) {
    for deletion in cache.deletions() {
        rows.delete_user(deletion.user, deletion.version);
        cache.settle_deletion(deletion);
    }
    for shard in 0..cache.shards() {
        let mut flight = Flight::new();
        while cache.collect_due(shard, u64::MAX, 8, &mut flight) {}
        for (key, row) in flight {
            let version = row.version();
            // A replay may pass by states that the store already has: those are no news.
            if rows.load(key).is_none_or(|held| held.version() < version) {
                rows.write(key, row);
            }
            cache.settle(&key, version, true, 0);
        }
    }
}

#[test]
fn another_cache_comes_to_the_same_states_wherever_the_first_is_cut_off() {
    let (mut replayed, mut written) = (0, 0);
    for seed in 0..SEEDS {
        let mut walk = Walk::new(seed);
        for step in 0..STEPS {
            let cut = std::panic::AssertUnwindSafe(|| {
                walk.step();
                walk.crash()
            });
            match std::panic::catch_unwind(cut) {
                Ok(count) => replayed += count,
                Err(panic) => {
                    eprintln!("seed {seed}, step {step}");
                    std::panic::resume_unwind(panic);
                }
            }
            written += walk.paper.0.lock().len() as u64;
        }
    }
    // Most of what is written down is not needed any more, or this test says little.
    assert!(0 < replayed && replayed < written / 2, "{replayed} of {written}");
}
