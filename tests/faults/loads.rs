//! Misses: one load for all who ask, whoever of them goes away and whatever becomes of it.

use std::sync::Arc;

use readstates::{
    engine::{Done, Error},
    store::{Call, Gate, Moment, StoreError},
};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    keys::{ack, increment, key, user},
    scene::{ByHand, Plan, outage},
};

const CALLERS: usize = 1_000;

type Caller = JoinHandle<Result<Done, Error>>;

/// A thousand increments of one absent key that wait for one load.
async fn crowd(scene: &ByHand) -> (Gate, Vec<Caller>) {
    let gate = scene.faults.hold(Call::Load, Moment::Before);
    let callers = (0..CALLERS).map(|_| scene.spawn_update(key(1, 1), increment())).collect();
    while scene.metrics.coalesced_loads.get() < CALLERS as u64 - 1 {
        tokio::task::yield_now().await;
    }
    scene.faults.until(|tally| tally.held(Call::Load) == 1).await;
    (gate, callers)
}

#[tokio::test]
async fn scenario_36_a_thousand_concurrent_misses_of_one_key_are_one_load() {
    let scene = Plan::default().by_hand().await;
    scene.put(key(1, 1), ack(5)).await;
    let (gate, callers) = crowd(&scene).await;
    gate.open();
    let mut counts = Vec::new();
    for caller in callers {
        counts.push(caller.await.expect("no panic").expect("an update").view.mention_count);
    }
    counts.sort_unstable();
    assert!(counts.into_iter().eq(1..=CALLERS as u32), "each saw the count that it made");
    let tally = scene.faults.tally();
    assert_eq!((tally.loads(&key(1, 1)), tally.begun(Call::LoadMany)), (1, 0));
    assert_eq!(scene.read(key(1, 1)).await.last_acked_id, 5);
    scene.flush().await;
    assert_eq!(scene.stored(key(1, 1)).await.expect("a row").mention_count(), CALLERS as u32);
}

#[tokio::test]
async fn scenario_36_a_cancelled_first_caller_costs_the_others_nothing() {
    let scene = Plan::default().by_hand().await;
    let (gate, mut callers) = crowd(&scene).await;
    let first = callers.remove(0);
    first.abort();
    assert!(first.await.expect_err("it was cancelled").is_cancelled());
    gate.open();
    for caller in callers {
        caller.await.expect("no panic").expect("an update");
    }
    assert_eq!(scene.faults.tally().loads(&key(1, 1)), 1);
    // What the first one began was done whole.
    assert_eq!(scene.read(key(1, 1)).await.mention_count, CALLERS as u32);
}

#[tokio::test]
async fn a_load_that_fails_fails_all_who_wait_for_it_and_changes_nothing() {
    let scene = Plan::default().by_hand().await;
    scene.faults.fail_next(Call::Load, 1, outage());
    let (gate, callers) = crowd(&scene).await;
    gate.open();
    for caller in callers {
        let refused = caller.await.expect("no panic");
        assert!(matches!(refused, Err(Error::Store(StoreError::Unavailable(_)))), "{refused:?}");
    }
    assert_eq!((scene.cache.dirty(), scene.cache.loads()), (0, 0));
    assert_eq!(scene.update(key(1, 1), increment()).await.view.mention_count, 1);
}

#[tokio::test]
async fn a_damaged_row_is_an_error_of_its_own_and_is_not_retried() {
    let scene = Plan::default().by_hand().await;
    let damaged = StoreError::Corrupt("row (1, 1)".to_owned().into());
    scene.faults.fail_next(Call::Load, 1, damaged);
    let refused = scene.engine.update(key(1, 1), increment()).await;
    let refused = refused.expect_err("the row is damaged");
    assert!(matches!(refused, Error::Corrupt(_)) && !refused.retryable(), "{refused:?}");
    assert_eq!(scene.faults.tally().begun(Call::Load), 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_hangs_ends_and_so_do_those_that_wait_behind_it() {
    let plan = Plan { concurrent_loads: 1, ..Plan::default() };
    let scene = Arc::new(plan.by_hand().await);
    let _gate = scene.faults.hold(Call::Load, Moment::Before);
    let began = Instant::now();
    let callers: Vec<Caller> = (1..=50).map(|n| scene.spawn_read(key(n, 1))).collect();
    for caller in callers {
        assert!(caller.await.expect("no panic").expect_err("it hangs").retryable());
    }
    // Time is paused and moves only where nothing else can: this is what they waited for.
    assert!(began.elapsed().as_secs() <= 10, "{:?}", began.elapsed());
    assert_eq!(scene.cache.loads(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_store_hangs_ends() {
    let scene = Plan::default().by_hand().await;
    let _gate = scene.faults.hold(Call::LoadUser, Moment::Before);
    let refused = scene.engine.summary(user(1)).await;
    assert!(matches!(refused, Err(Error::Store(StoreError::Unavailable(_)))), "{refused:?}");
}
