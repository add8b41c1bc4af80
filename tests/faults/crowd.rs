//! Far more keys than the cache holds, asked for by many at once.

use std::{collections::HashMap, sync::Arc};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::model::Key;
use tokio::task::JoinSet;

use crate::{
    keys::{increment, key, mention},
    node::within,
    scene::{Live, Plan},
};

const ENTRIES: usize = 100;
const TASKS: u64 = 64;
const OPERATIONS: u64 = 150;
const USERS: u64 = 50;
const CHANNELS: u64 = 100;

/// Random increments, every other one by a message of its own; how many of each key.
async fn increments(scene: Arc<Live>, task: u64, seed: u64) -> HashMap<Key, u32> {
    let mut random = StdRng::seed_from_u64(seed ^ task);
    let mut counts = HashMap::new();
    for operation in 1..=OPERATIONS {
        let key = key(random.random_range(1..=USERS), random.random_range(1..=CHANNELS));
        let message = task * OPERATIONS + operation;
        let update = if random.random() { increment() } else { mention(message) };
        let done = scene.engine.update(key, update).await;
        let done = done.unwrap_or_else(|error| panic!("seed {seed}: refused with {error}"));
        assert!(done.changed, "seed {seed}");
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_small_cache_refuses_nothing_while_its_store_is_well_and_counts_everything() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let scene = Arc::new(Plan { entries: ENTRIES, ..Plan::default() }.live().await);
    assert_eq!(scene.cache.sizing().dirty_limit, ENTRIES / 2);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        tasks.spawn(increments(Arc::clone(&scene), task, seed));
    }
    let mut counts: HashMap<Key, u32> = HashMap::new();
    while let Some(task) = within(tasks.join_next()).await {
        for (key, count) in task.expect("no panic") {
            *counts.entry(key).or_default() += count;
        }
    }
    scene.cache.self_check();
    scene.flush().await;
    assert_eq!(scene.cache.dirty(), 0);
    for (key, count) in &counts {
        let row = scene.stored(*key).await.expect("a row");
        assert_eq!(row.mention_count(), *count, "seed {seed}: {key:?}");
    }
    let rows = scene.rests.scan(None, usize::MAX).await.expect("it never fails");
    assert_eq!(rows.len(), counts.len(), "seed {seed}");
    Arc::into_inner(scene).expect("all are done").stop();
}
