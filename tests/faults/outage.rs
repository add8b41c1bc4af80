//! Scenario 38: the store fails for minutes. What is in memory goes on, bounds hold and are said
//! aloud, and once the store is back nothing is missing.

use std::time::Duration;

use readstates::{
    engine::{Access, Durability, Error, Order},
    flush::{PassEnd, Scope},
    store::{Call, Moment, StoreError},
};
use tokio::time::Instant;

use crate::{
    keys::{ack, increment, key, mention},
    scene::{ALWAYS, ByHand, Plan, outage},
};

const DIRTY_LIMIT: usize = 20;
const MINUTES: u64 = 10;

async fn limited() -> ByHand {
    Plan { entries: 64, dirty_limit: Some(DIRTY_LIMIT), ..Plan::default() }.by_hand().await
}

fn fail_everything(scene: &ByHand) {
    for call in [Call::Load, Call::LoadMany, Call::LoadUser, Call::Commit, Call::RaiseClockCeiling]
    {
        scene.faults.fail_next(call, ALWAYS, outage());
    }
}

#[tokio::test]
async fn scenario_38_hits_go_on_and_everything_is_flushed_after_recovery() {
    let scene = limited().await;
    for id in 1..=DIRTY_LIMIT as u64 {
        scene.update(key(id, 1), increment()).await;
    }
    scene.put(key(100, 1), ack(5)).await;
    scene.read(key(100, 1)).await;
    fail_everything(&scene);
    for minute in 1..=MINUTES {
        for id in 1..=DIRTY_LIMIT as u64 {
            let done = scene.update(key(id, 1), increment()).await;
            assert_eq!(u64::from(done.view.mention_count), minute + 1);
        }
        assert_eq!(scene.read(key(100, 1)).await.last_acked_id, 5);
        let missed = scene.engine.read(key(200, 1)).await;
        assert!(matches!(missed, Err(Error::Store(StoreError::Unavailable(_)))), "{missed:?}");
        assert_eq!(scene.pass(Scope::Everything).await, PassEnd::Failed);
        // Versions go on, whether or not it is time for a higher ceiling already.
        scene.flusher.raise_ceiling().await.ok();
        assert_eq!(scene.cache.dirty(), DIRTY_LIMIT);
        scene.cache.self_check();
        scene.time.advance_ms(60_000);
    }
    assert!(scene.flusher.raise_ceiling().await.is_err());
    scene.faults.heal();
    scene.flush().await;
    for id in 1..=DIRTY_LIMIT as u64 {
        let row = scene.stored(key(id, 1)).await.expect("a row");
        assert_eq!((u64::from(row.mention_count()), row.unpositioned()), (MINUTES + 1, 11));
    }
}

/// Paused, so that waiting for a place ends at once where nothing can free one.
#[tokio::test(start_paused = true)]
async fn scenario_38_at_the_dirty_limit_new_keys_are_refused_and_dirty_ones_go_on() {
    let scene = limited().await;
    for id in 1..=DIRTY_LIMIT as u64 {
        scene.update(key(id, 1), mention(1)).await;
    }
    scene.put(key(100, 1), ack(5)).await;
    let refused = scene.engine.update(key(100, 1), mention(9)).await;
    assert!(matches!(refused, Err(Error::DirtyLimit)), "{refused:?}");
    assert_eq!(scene.read(key(100, 1)).await.mention_count, 0);
    assert!(
        !scene.update(key(100, 1), ack(5)).await.changed,
        "what changes nothing needs no place"
    );
    assert_eq!(scene.update(key(1, 1), mention(2)).await.view.mention_count, 2);
    assert_eq!(scene.cache.counts(0).dirty_refused, 1);
    scene.crowd_out().await;
    assert_eq!(scene.cache.dirty(), DIRTY_LIMIT);
    scene.cache.self_check();
    scene.flush().await;
    assert_eq!(scene.update(key(100, 1), mention(9)).await.view.mention_count, 1);
}

/// One deadline for a whole call: not one for each of its keys.
#[tokio::test(start_paused = true)]
async fn a_batch_above_the_dirty_limit_waits_for_places_once() {
    let scene = limited().await;
    for order in [Order::Any, Order::PerUser] {
        let accesses: Vec<_> =
            (1..=500).map(|n| (key(n % 250 + 1, n), Access::Update(increment()))).collect();
        let began = Instant::now();
        let results = scene.engine.access_many(accesses, order).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{order:?}: {:?}", began.elapsed());
        let refused = |result: &&Result<_, Error>| matches!(result, Err(Error::DirtyLimit));
        assert_eq!(results.iter().filter(refused).count(), 500 - DIRTY_LIMIT);
    }
}

#[tokio::test]
async fn a_store_that_fails_makes_no_update_wait_for_a_place() {
    let plan = Plan { dirty_limit: Some(2), durability: Durability::Memory, ..Plan::default() };
    let scene = plan.live().await;
    scene.faults.fail_next(Call::Commit, ALWAYS, outage());
    scene.update(key(1, 1), mention(1)).await;
    scene.update(key(2, 1), mention(1)).await;
    scene.flusher.rounds().flushed().await.expect_err("the store is away");
    let refused = scene.engine.update(key(3, 1), mention(1)).await;
    assert!(matches!(refused, Err(Error::DirtyLimit)), "{refused:?}");
    scene.faults.heal();
    while scene.engine.update(key(3, 1), mention(1)).await.is_err() {
        // Until the flusher tries again, which it does by itself.
        scene.flusher.rounds().flushed().await.ok();
    }
    scene.flush().await;
    for id in 1..=3 {
        assert_eq!(scene.stored(key(id, 1)).await.expect("a row").mention_count(), 1);
    }
    scene.stop();
}

#[tokio::test]
async fn an_update_at_the_limit_waits_for_a_commit_under_way_and_is_done() {
    let scene = Plan { dirty_limit: Some(1), ..Plan::default() }.live().await;
    let gate = scene.faults.hold(Call::Commit, Moment::Before);
    scene.update(key(1, 1), mention(1)).await;
    scene.faults.until(|tally| tally.held(Call::Commit) == 1).await;
    let waiting = scene.spawn_update(key(2, 1), mention(1));
    scene.faults.until(|tally| tally.loads(&key(2, 1)) == 1).await;
    gate.open();
    assert!(waiting.await.expect("no panic").expect("a place is freed").changed);
    scene.flush().await;
    scene.stop();
}
