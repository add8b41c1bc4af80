//! Waiting for the flusher: nobody hangs, and nobody is told success who has none.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    engine::Error,
    store::{Call, Faults, Moment, Tally},
};
use tokio::task::{JoinSet, yield_now};

use crate::{
    keys::{increment, key},
    node::within,
    scene::{Live, Plan, outage},
};

const WORKERS: u64 = 16;
const CHANGES: u64 = 60;

#[tokio::test]
async fn a_flusher_that_has_ended_keeps_nobody_waiting() {
    let scene = Plan::default().live().await;
    let rounds = scene.flusher.rounds();
    let gate = scene.faults.hold(Call::Commit, Moment::Before);
    scene.update(key(1, 1), increment()).await;
    let mut waiters = JoinSet::new();
    for _ in 0..2 {
        let rounds = rounds.clone();
        waiters.spawn(async move { rounds.flushed().await });
        scene.faults.until(|tally| tally.held(Call::Commit) == 1).await;
    }
    let flusher = scene.flusher;
    let stopping = tokio::task::spawn_blocking(move || flusher.stop());
    gate.open();
    while let Some(waiter) = within(waiters.join_next()).await {
        // The pass under way has written the change; a later one may not come.
        waiter.expect("no panic").ok();
    }
    stopping.await.expect("no panic");
    within(rounds.flushed()).await.expect_err("nobody writes any more");
}

/// Makes the store fail, refuse rows and hang, at random, until `done`.
async fn torment(faults: Faults, mut random: StdRng, done: Arc<AtomicBool>) {
    while !done.load(Ordering::Relaxed) {
        let commits = faults.tally().begun(Call::Commit);
        let gate = match random.random_range(0..6) {
            0 => {
                faults.fail_next(Call::Commit, 1, outage());
                None
            }
            1 => {
                faults.fail_keys([key(random.random_range(1..=WORKERS), 1)]);
                None
            }
            2 => Some(faults.hold_next(Call::Commit, Moment::Before)),
            3 => Some(faults.hold_next(Call::Commit, Moment::After)),
            _ => {
                faults.heal();
                None
            }
        };
        // Until something came of it, or the workers are done and nothing will.
        let came =
            |tally: &Tally| tally.begun(Call::Commit) > commits || tally.held(Call::Commit) > 0;
        while !came(&faults.tally()) && !done.load(Ordering::Relaxed) {
            yield_now().await;
        }
        drop(gate);
    }
    faults.heal();
}

/// Changes one key again and again, each time waiting for its turn; how often it came.
async fn change_and_wait(scene: Arc<Live>, id: u64, seed: u64) -> u64 {
    let rounds = scene.flusher.rounds();
    let mut confirmed = 0;
    for _ in 0..CHANGES {
        let version = loop {
            // Refused at the dirty limit while the store fails, which is as it should be.
            match scene.engine.update(key(id, 1), increment()).await {
                Ok(done) => break done.view.version,
                Err(error) => assert!(matches!(error, Error::DirtyLimit), "{error}"),
            }
            rounds.flushed().await.ok();
        };
        if rounds.flushed().await.is_ok() {
            confirmed += 1;
            let stored = scene.stored(key(id, 1)).await.map(|row| row.version());
            assert!(stored >= Some(version), "seed {seed}: {stored:?} is behind {version}");
        }
    }
    confirmed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_wait_ends_and_success_means_that_the_change_is_in_the_store() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let scene = Arc::new(Plan { entries: 8, batch_rows: 3, ..Plan::default() }.live().await);
    let done = Arc::new(AtomicBool::new(false));
    let random = StdRng::seed_from_u64(seed);
    let tormentor = tokio::spawn(torment(scene.faults.clone(), random, Arc::clone(&done)));
    let mut workers = JoinSet::new();
    for id in 1..=WORKERS {
        workers.spawn(change_and_wait(Arc::clone(&scene), id, seed));
    }
    let mut confirmed = 0;
    while let Some(worker) = within(workers.join_next()).await {
        confirmed += worker.expect("no panic");
    }
    assert!(confirmed > 0, "seed {seed}: nothing was ever confirmed");
    done.store(true, Ordering::Relaxed);
    within(tormentor).await.expect("no panic");
    while within(scene.flusher.rounds().flushed()).await.is_err() {}
    for id in 1..=WORKERS {
        let row = scene.stored(key(id, 1)).await.expect("a row");
        assert_eq!(u64::from(row.mention_count()), CHANGES, "seed {seed}");
    }
    Arc::into_inner(scene).expect("all are done").stop();
}
