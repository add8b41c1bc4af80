//! When rows are written, how often, and what becomes of those that the store refuses.

use readstates::{
    flush::{PassEnd, Scope},
    store::{Call, Moment, StoreError},
};

use crate::{
    keys::{ack, delete, increment, key, mention, user},
    scene::{ALWAYS, FLUSH_AFTER_MS, Plan, outage},
};

const TICK_MS: u64 = 100;

#[tokio::test]
async fn scenario_35_a_thousand_updates_of_one_key_within_the_delay_are_one_row_write() {
    let scene = Plan::default().by_hand().await;
    for _ in 0..1_000 {
        scene.update(key(1, 1), increment()).await;
        scene.time.advance_ms(FLUSH_AFTER_MS / 1_000);
        if scene.clock.elapsed_ms() % TICK_MS < FLUSH_AFTER_MS / 1_000 {
            assert_eq!(scene.pass(Scope::Due).await, PassEnd::Done);
        }
    }
    while scene.clock.elapsed_ms() < FLUSH_AFTER_MS + 2_000 {
        scene.time.advance_ms(TICK_MS);
        scene.pass(Scope::Due).await;
    }
    assert_eq!(scene.faults.tally().writes(&key(1, 1)), 1);
    assert_eq!(scene.stored(key(1, 1)).await.expect("a row").mention_count(), 1_000);
    assert_eq!(scene.cache.dirty(), 0);
}

#[tokio::test]
async fn scenario_35_an_update_during_the_commit_waits_for_a_delay_of_its_own() {
    let scene = Plan::default().by_hand().await;
    scene.update(key(1, 1), increment()).await;
    scene.time.advance_ms(FLUSH_AFTER_MS - 1);
    assert_eq!(scene.pass(Scope::Due).await, PassEnd::Done);
    assert_eq!(scene.faults.tally().begun(Call::Commit), 0, "not due yet");
    scene.time.advance_ms(1);
    let gate = scene.faults.hold_next(Call::Commit, Moment::Before);
    let pass = scene.spawn_pass(Scope::Due);
    scene.faults.until(|tally| tally.held(Call::Commit) == 1).await;
    scene.update(key(1, 1), increment()).await;
    gate.open();
    pass.await.expect("no panic");
    assert_eq!(scene.stored(key(1, 1)).await.expect("a row").mention_count(), 1);
    scene.time.advance_ms(FLUSH_AFTER_MS - 1);
    scene.pass(Scope::Due).await;
    assert_eq!(scene.faults.tally().writes(&key(1, 1)), 1);
    scene.time.advance_ms(1);
    scene.pass(Scope::Due).await;
    assert_eq!(scene.faults.tally().writes(&key(1, 1)), 2);
    assert_eq!(scene.stored(key(1, 1)).await.expect("a row").mention_count(), 2);
}

#[tokio::test]
async fn scenario_39_only_the_failed_rows_of_a_batch_are_retried() {
    for batch_rows in [1, 3, 1_024] {
        let scene = Plan { batch_rows, ..Plan::default() }.by_hand().await;
        let failing = [key(3, 1), key(7, 1)];
        for id in 1..=10 {
            scene.update(key(id, 1), mention(id)).await;
        }
        scene.faults.fail_keys(failing);
        for _ in 0..3 {
            assert_eq!(scene.pass(Scope::Everything).await, PassEnd::Refused);
            assert_eq!(scene.cache.dirty(), failing.len(), "batches of {batch_rows}");
            scene.cache.self_check();
        }
        scene.faults.heal();
        scene.flush().await;
        for id in 1..=10 {
            assert_eq!(scene.faults.tally().writes(&key(id, 1)), 1, "{id} of {batch_rows}");
            assert_eq!(scene.stored(key(id, 1)).await.expect("a row").mention_count(), 1);
        }
    }
}

#[tokio::test]
async fn a_batch_that_fails_as_a_whole_ends_the_pass_and_loses_nothing() {
    let scene = Plan { batch_rows: 2, ..Plan::default() }.by_hand().await;
    for id in 1..=6 {
        scene.update(key(id, 1), mention(id)).await;
    }
    scene.faults.fail_next(Call::Commit, 1, outage());
    assert_eq!(scene.pass(Scope::Everything).await, PassEnd::Failed);
    let tally = scene.faults.tally();
    assert_eq!((tally.begun(Call::Commit), scene.cache.dirty()), (1, 6));
    scene.flush().await;
    assert_eq!(scene.faults.tally().rows_written(), 6);
}

/// A user whose rows cannot be deleted must not keep everybody else's changes from the store.
#[tokio::test]
async fn a_deletion_that_fails_keeps_no_row_from_being_written() {
    let scene = Plan::default().by_hand().await;
    scene.put(key(1, 1), ack(5)).await;
    scene.cache.delete_user(user(1), &scene.clock.now()).expect("a place");
    scene.update(key(2, 1), mention(10)).await;
    scene.faults.fail_next(Call::LoadUser, ALWAYS, StoreError::Corrupt("user 1".to_owned().into()));
    assert_eq!(scene.pass(Scope::Everything).await, PassEnd::Refused);
    assert!(scene.stored(key(2, 1)).await.is_some());
    assert!(!scene.read(key(1, 1)).await.exists(), "it stays hidden");
    scene.faults.heal();
    scene.flush().await;
    assert_eq!(scene.stored(key(1, 1)).await, None);
}

/// Evicted states go first. As many of them as come up during a pass must not end it before it has
/// written what was dirty when it began, or those who wait for it would be told so wrongly.
#[tokio::test]
async fn a_pass_that_is_done_has_written_what_was_dirty_when_it_began() {
    let scene = Plan { entries: 8, batch_rows: 1, ..Plan::default() }.by_hand().await;
    let waited_for = key(1_000, 1);
    scene.update(waited_for, mention(1)).await;
    let gate = scene.faults.hold(Call::Commit, Moment::Before);
    scene.update(key(1, 1), mention(1)).await;
    scene.crowd_out().await;
    scene.read(waited_for).await;
    let mut pass = scene.spawn_pass(Scope::Everything);
    drop(gate);
    let mut next = 2;
    loop {
        let commits = scene.faults.tally().begun(Call::Commit);
        let gate = scene.faults.hold(Call::Commit, Moment::After);
        tokio::select! {
            ended = &mut pass => {
                let stored = scene.stored(waited_for).await.is_some();
                assert!(stored || ended.expect("no panic") != PassEnd::Done);
                return;
            }
            () = scene.faults.until(|tally| tally.begun(Call::Commit) > commits) => {}
        }
        // One more evicted one for every commit.
        if next < 40 {
            scene.update(key(next, 1), mention(1)).await;
            scene.crowd_out().await;
            scene.read(waited_for).await;
            next += 1;
        }
        drop(gate);
    }
}

#[tokio::test]
async fn scenario_27_a_state_deleted_while_its_flush_is_under_way_stays_deleted() {
    for moment in [Moment::Before, Moment::After] {
        let scene = Plan::default().by_hand().await;
        scene.update(key(1, 1), mention(10)).await;
        let gate = scene.faults.hold_next(Call::Commit, moment);
        let pass = scene.spawn_pass(Scope::Everything);
        scene.faults.until(|tally| tally.held(Call::Commit) == 1).await;
        assert!(scene.update(key(1, 1), delete()).await.changed);
        gate.open();
        pass.await.expect("no panic");
        assert!(scene.stored(key(1, 1)).await.expect("the old value").exists());
        scene.crowd_out().await;
        assert!(!scene.read(key(1, 1)).await.exists(), "{moment:?}");
        scene.flush().await;
        assert!(scene.stored(key(1, 1)).await.expect("a tombstone").is_deleted());
        let restarted = Plan { rests: scene.rests.clone(), ..Plan::default() }.by_hand().await;
        assert!(!restarted.read(key(1, 1)).await.exists());
        assert_eq!(restarted.update(key(1, 1), mention(10)).await.view.mention_count, 1);
    }
}
