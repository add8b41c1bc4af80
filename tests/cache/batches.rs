//! Many accesses at once come to what each of them comes to by itself, whichever shards they are
//! in and however many of those share a lock.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    cache::{Access, Cache, KEYS_PER_HOLD_MAX, Outcome},
    clock::Now,
    model::{Key, Version},
};

use crate::scene::{Flight, NOON_US, SEED_VARIABLE, ack, key, mention, sizing};

const SEEDS: u64 = 20;
const ROUNDS: usize = 12;
/// Several behind each lock, and not as many behind all.
const SHARDS: usize = 263;
const USERS: u64 = 400;
const CHANNELS: u64 = 3;
/// Nearly three holds, where all are of one stripe.
const BATCH_MAX: usize = 700;
/// One round of so many is about two users, one of whom has more than one hold takes.
const NARROW_EVERY: usize = 4;
const NOW: Now =
    Now { wall_us: NOON_US, ceiling: Version::from_micros(2 * NOON_US), elapsed_ms: 1 };

#[test]
fn a_batch_comes_to_what_its_accesses_come_to_one_by_one() {
    if let Ok(seed) = std::env::var(SEED_VARIABLE) {
        return compare(seed.parse().expect("a seed is a number"));
    }
    (0..SEEDS).for_each(compare);
}

fn compare(seed: u64) {
    println!("{SEED_VARIABLE}={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let [alone, together] = [(); 2].map(|()| {
        let places = (USERS * CHANNELS) as usize;
        Cache::new(sizing(SHARDS * places, SHARDS, places), Version::ZERO, seed)
    });
    for round in 0..ROUNDS {
        let users = if round % NARROW_EVERY == 1 { 2 } else { USERS };
        let accesses = draw(&mut random, users);
        let expected: Vec<_> =
            accesses.iter().map(|(key, access)| alone.access(key, access, &NOW)).collect();
        assert_eq!(at_once(&together, &accesses), expected, "seed {seed}, round {round}");
        for (key, access) in &accesses {
            let loaded = [&alone, &together].map(|cache| load(cache, key, access));
            assert_eq!(loaded[0], loaded[1], "seed {seed}, round {round}");
        }
        if random.random_ratio(1, 3) {
            [&alone, &together].into_iter().for_each(flush);
        }
        [&alone, &together].into_iter().for_each(Cache::self_check);
    }
    assert_eq!(alone.counts(0), together.counts(0), "seed {seed}");
}

fn draw(random: &mut StdRng, users: u64) -> Vec<(Key, Access)> {
    let count = random.random_range(1..=BATCH_MAX);
    let mut access = |_| {
        let key = key(random.random_range(1..=users), random.random_range(1..=CHANNELS));
        let access = match random.random_range(0..3) {
            0 => Access::Read,
            1 => ack(random.random_range(1..1_000)),
            _ => mention(random.random_range(1..1_000)),
        };
        (key, access)
    };
    (0..count).map(&mut access).collect()
}

fn at_once(cache: &Cache, accesses: &[(Key, Access)]) -> Vec<Option<Outcome>> {
    let mut outcomes = vec![None; accesses.len()];
    let turns = cache.turns(accesses);
    let mut left = &turns[..];
    while !left.is_empty() {
        let done = cache.access_turns(accesses, left, &NOW, |place, attempt| {
            outcomes[place] = attempt.make();
        });
        assert!((1..=KEYS_PER_HOLD_MAX).contains(&done), "I1: {done} in one hold");
        left = &left[done..];
    }
    outcomes
}

/// What is not in memory comes into it.
fn load(cache: &Cache, key: &Key, access: &Access) -> Option<Vec<Outcome>> {
    let ticket = cache.begin_load(*key)?;
    Some(cache.admit(ticket, None, &[*access], &NOW).expect("nothing comes between"))
}

fn flush(cache: &Cache) {
    let mut flight = Flight::new();
    for shard in 0..cache.shards() {
        while cache.collect_due(shard, u64::MAX, 64, &mut flight) {}
    }
    for (key, state) in flight {
        cache.settle(&key, state.version(), true, 2);
    }
}
