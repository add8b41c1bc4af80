//! One shard is an LRU to the letter: hit for hit it does what a naive one does, so that figures
//! from the literature and from simulations hold for it.
//!
//! `READSTATES_TEST_TRACES` may name a folder with `orm-busy.u64.zst` (one little-endian `u64` per
//! access) and `stats-cache.json` (its miss counts by size, computed elsewhere).

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fs,
    num::NonZeroUsize,
    path::Path,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use readstates::{
    cache::{Access, Cache, Sizing},
    clock::Now,
    model::{ChannelId, Key, ReadState, UserId, Version},
};

const TRACES_VARIABLE: &str = "READSTATES_TEST_TRACES";
const TRACE: &str = "orm-busy.u64";
const USERS: u64 = 97;
const NOW: Now = Now { wall_us: 1_000, ceiling: Version::from_micros(u64::MAX), elapsed_ms: 0 };

/// A list of all keys by last use, and nothing else.
struct NaiveLru {
    room: usize,
    used_at: HashMap<u64, u64>,
    by_use: BTreeMap<u64, u64>,
    uses: u64,
}

impl NaiveLru {
    fn new(room: usize) -> Self {
        Self { room, used_at: HashMap::new(), by_use: BTreeMap::new(), uses: 0 }
    }

    /// Whether it was there.
    fn ask(&mut self, id: u64) -> bool {
        self.uses += 1;
        let before = self.used_at.insert(id, self.uses);
        if let Some(before) = before {
            self.by_use.remove(&before);
        }
        self.by_use.insert(self.uses, id);
        if self.by_use.len() > self.room {
            let (_, oldest) = self.by_use.pop_first().expect("it is not empty");
            self.used_at.remove(&oldest);
        }
        before.is_some()
    }
}

/// A cache of one shard whose LRU for channels has exactly `room` places.
fn cache_of(room: usize) -> Cache {
    // A seventeenth, at least one entry, is kept for what is not about channels.
    let with_room = |entries: &usize| entries - (entries / 17).max(1) == room;
    let entries = (room..).find(with_room).and_then(NonZeroUsize::new).expect("some number has");
    Cache::new(Sizing::for_entries(entries, NonZeroUsize::new(1), None), Version::ZERO, 0)
}

/// Whether it was there; in any case it is now, clean.
fn ask(cache: &Cache, id: u64) -> bool {
    let user = UserId::new(1 + id % USERS).expect("not 0");
    let key = Key::channel(user, ChannelId::new(1 + id).expect("not 0"));
    if cache.access(&key, &Access::Read, &NOW).is_some() {
        return true;
    }
    let ticket = cache.begin_load(key).expect("a missed key is not in memory");
    let row = ReadState::tombstone(Version::from_micros(1));
    cache.admit(ticket, Some(row), &[], &NOW).expect("nothing comes between");
    false
}

fn misses(cache: &Cache, trace: impl IntoIterator<Item = u64>) -> u64 {
    trace.into_iter().map(|id| u64::from(!ask(cache, id))).sum()
}

/// Accesses to `keys` keys by Zipf's law.
fn zipf(seed: u64, keys: u64, exponent: f64, accesses: usize) -> impl Iterator<Item = u64> {
    let mut sum = 0.0;
    let mut rising = Vec::new();
    for rank in 1..=keys {
        sum += (rank as f64).powf(-exponent);
        rising.push(sum);
    }
    let mut rng = StdRng::seed_from_u64(seed);
    (0..accesses).map(move |_| {
        let point = rng.random_range(0.0..sum);
        rising.partition_point(|up_to| *up_to <= point) as u64
    })
}

#[test]
fn one_shard_hits_and_misses_as_a_naive_lru_does() {
    for (seed, room) in [1, 2, 31, 500, 4_000].into_iter().enumerate() {
        let seed = seed as u64;
        let cache = cache_of(room);
        let mut naive = NaiveLru::new(room);
        let mut expected = 0;
        for (at, id) in zipf(seed, 10_000, 0.9, 60_000).enumerate() {
            let hit = naive.ask(id);
            expected += u64::from(!hit);
            assert_eq!(ask(&cache, id), hit, "access {at} of seed {seed} with {room} places");
        }
        let counts = cache.counts(0);
        assert_eq!((counts.misses, counts.entries), (expected, room));
        assert_eq!(counts.evictions_clean, expected - room as u64);
        cache.self_check();
    }
}

#[test]
fn one_shard_misses_as_often_as_is_known_of_a_real_trace() -> Result<(), Box<dyn Error>> {
    let Some(folder) = std::env::var_os(TRACES_VARIABLE) else {
        println!("skipped: {TRACES_VARIABLE} names no folder with traces");
        return Ok(());
    };
    let folder = Path::new(&folder);
    let known: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("stats-cache.json"))?)?;
    let bytes = zstd::decode_all(fs::File::open(folder.join(format!("{TRACE}.zst")))?)?;
    let (accesses, rest) = bytes.as_chunks::<8>();
    assert!(rest.is_empty(), "half an access at the end");
    let sizes = known[TRACE]["lru"].as_object().ok_or("no sizes in the statistics")?;
    assert!(!sizes.is_empty());
    for size in sizes.values() {
        let room = size["entries"].as_u64().ok_or("a size without entries")?;
        let trace = accesses.iter().map(|access| u64::from_le_bytes(*access));
        let missed = misses(&cache_of(room as usize), trace);
        assert_eq!(Some(missed), size["misses"].as_u64(), "{room} entries");
    }
    Ok(())
}
