//! Eviction while a state is dirty, and the two bug classes that every write-behind cache meets.

use readstates::{
    flush::{PassEnd, Scope},
    store::{Call, Moment},
};

use crate::{
    keys::{ack, delete, increment, key, mention},
    scene::{ByHand, Plan, outage},
};

/// A dirty state with one mention, evicted, and its commit held at `moment`.
async fn evicted_in_flight(
    scene: &ByHand,
    moment: Moment,
) -> (readstates::store::Gate, tokio::task::JoinHandle<PassEnd>) {
    scene.update(key(1, 1), mention(10)).await;
    scene.crowd_out().await;
    assert_eq!(scene.victims(), 1);
    let gate = scene.faults.hold_next(Call::Commit, moment);
    let pass = scene.spawn_pass(Scope::Due);
    scene.faults.until(|tally| tally.held(Call::Commit) == 1).await;
    (gate, pass)
}

#[tokio::test]
async fn scenario_33_a_dirty_entry_is_evicted_then_read_at_once() {
    let scene = Plan::default().by_hand().await;
    scene.put(key(1, 1), ack(5)).await;
    scene.update(key(1, 1), mention(10)).await;
    scene.crowd_out().await;
    assert_eq!(scene.victims(), 1);
    let view = scene.read(key(1, 1)).await;
    assert_eq!((view.last_acked_id, view.mention_count), (5, 1));
    assert_eq!(scene.victims(), 0);
    assert_eq!(scene.faults.tally().loads(&key(1, 1)), 1);
    scene.flush().await;
}

#[tokio::test]
async fn stale_read_after_eviction_while_the_flush_is_in_flight() {
    for moment in [Moment::Before, Moment::After] {
        let scene = Plan::default().by_hand().await;
        let (gate, pass) = evicted_in_flight(&scene, moment).await;
        assert_eq!(scene.read(key(1, 1)).await.mention_count, 1, "{moment:?}");
        assert_eq!(scene.faults.tally().loads(&key(1, 1)), 1, "it was in memory all the time");
        gate.open();
        assert_eq!(pass.await.expect("no panic"), PassEnd::Done);
        assert_eq!(scene.read(key(1, 1)).await.mention_count, 1);
        assert_eq!(scene.cache.dirty(), 0);
        scene.cache.self_check();
    }
}

#[tokio::test]
async fn scenario_34_an_update_lands_while_the_eviction_flush_is_in_flight() {
    for moment in [Moment::Before, Moment::After] {
        let scene = Plan::default().by_hand().await;
        let (gate, pass) = evicted_in_flight(&scene, moment).await;
        assert_eq!(scene.update(key(1, 1), mention(20)).await.view.mention_count, 2);
        gate.open();
        assert_eq!(pass.await.expect("no panic"), PassEnd::Done);
        let stored = scene.stored(key(1, 1)).await.expect("a row");
        assert_eq!((stored.mention_count(), scene.cache.dirty()), (1, 1), "{moment:?}");
        // What the old commit settled must not have made the new state clean, and so forgettable.
        scene.crowd_out().await;
        assert_eq!(scene.read(key(1, 1)).await.mention_count, 2, "{moment:?}");
        scene.flush().await;
        assert_eq!(scene.stored(key(1, 1)).await.expect("a row").mention_count(), 2);
    }
}

#[tokio::test]
async fn an_update_during_a_flush_that_fails_is_written_by_the_next_one() {
    let scene = Plan::default().by_hand().await;
    let (gate, pass) = evicted_in_flight(&scene, Moment::Before).await;
    scene.faults.fail_next(Call::Commit, 1, outage());
    scene.update(key(1, 1), mention(20)).await;
    gate.open();
    assert_eq!(pass.await.expect("no panic"), PassEnd::Failed);
    assert_eq!(scene.stored(key(1, 1)).await, None);
    scene.crowd_out().await;
    assert_eq!(scene.read(key(1, 1)).await.mention_count, 2);
    scene.flush().await;
    assert_eq!(scene.stored(key(1, 1)).await.expect("a row").mention_count(), 2);
}

#[tokio::test]
async fn a_slow_load_overwrites_no_newer_entry() {
    let scene = Plan::default().by_hand().await;
    scene.put(key(1, 1), ack(5)).await;
    let gate = scene.faults.hold_next(Call::Load, Moment::After);
    let slow = scene.spawn_update(key(1, 1), mention(20));
    scene.faults.until(|tally| tally.held(Call::Load) == 1).await;
    let done = scene.other_engine().update(key(1, 1), mention(10)).await.expect("an update");
    assert_eq!(done.view.mention_count, 1);
    gate.open();
    let slow = slow.await.expect("no panic").expect("an update");
    assert_eq!(slow.view.mention_count, 2);
    scene.flush().await;
    assert_eq!(scene.stored(key(1, 1)).await.expect("a row").mention_count(), 2);
}

/// The ABA form: when the load arrives the key is as absent as when it began.
#[tokio::test]
async fn a_slow_load_does_not_resurrect_what_was_updated_evicted_and_flushed_meanwhile() {
    let scene = Plan::default().by_hand().await;
    scene.put(key(1, 1), ack(5)).await;
    let gate = scene.faults.hold_next(Call::Load, Moment::After);
    let slow = scene.spawn_read(key(1, 1));
    scene.faults.until(|tally| tally.held(Call::Load) == 1).await;
    let other = scene.other_engine();
    other.update(key(1, 1), mention(10)).await.expect("an update");
    scene.crowd_out().await;
    scene.flush().await;
    assert!(!scene.is_present(key(1, 1)));
    gate.open();
    let slow = slow.await.expect("no panic").expect("a read");
    assert_eq!(slow.view.mention_count, 1);
    assert_eq!(scene.read(key(1, 1)).await.mention_count, 1);
    assert_eq!(scene.faults.tally().loads(&key(1, 1)), 3, "the void load was made again");
}

#[tokio::test]
async fn a_slow_load_does_not_bring_back_what_was_deleted_meanwhile() {
    let scene = Plan::default().by_hand().await;
    scene.put(key(1, 1), ack(5)).await;
    let gate = scene.faults.hold_next(Call::Load, Moment::After);
    let slow = scene.spawn_read(key(1, 1));
    scene.faults.until(|tally| tally.held(Call::Load) == 1).await;
    let other = scene.other_engine();
    assert!(other.update(key(1, 1), delete()).await.expect("a deletion").changed);
    scene.crowd_out().await;
    scene.flush().await;
    gate.open();
    assert!(slow.await.expect("no panic").expect("a read").view.deleted);
    assert_eq!(scene.update(key(1, 1), increment()).await.view.last_acked_id, 0);
}
