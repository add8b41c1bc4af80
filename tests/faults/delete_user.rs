//! Scenario 28: after DeleteUser nothing of the user remains, wherever it was at that moment.

use std::sync::Arc;

use readstates::{
    engine::{Engine, Error, ListQuery},
    flush::Scope,
    model::{Key, UserId, Version},
    store::{Call, Moment, StoreError},
};
use tokio::task::JoinHandle;

use crate::{
    keys::{ack, delete, increment, key, mention, user},
    scene::{ALWAYS, Live, Plan, Scene, outage},
};

async fn list(engine: &Engine, user: UserId) -> Vec<Key> {
    let (page_token, since) = ("", Version::ZERO);
    let query = ListQuery { user, page_size: 1_000, page_token, since, unread_only: false };
    engine.list(query).await.expect("a page").rows.into_iter().map(|(key, _)| key).collect()
}

fn spawn_deletion<F>(scene: &Scene<F>) -> JoinHandle<Result<u32, Error>> {
    let engine = Arc::clone(&scene.engine);
    tokio::spawn(async move { engine.delete_user(user(1)).await })
}

/// Neither in memory nor in the store, now or after a restart; and a new life begins at nothing.
async fn assert_gone(scene: &Live, channels: u64) {
    let rows = scene.rests.load_user(user(1), None, 1_000).await.expect("it never fails").rows;
    assert!(rows.is_empty(), "{rows:?}");
    for channel in 1..=channels {
        let view = scene.read(key(1, channel)).await;
        assert_eq!(view.version, Version::ZERO, "{view:?}");
    }
    assert!(list(&scene.engine, user(1)).await.is_empty());
    assert_eq!(scene.engine.summary(user(1)).await.expect("a summary").mention_count, 0);
    scene.cache.self_check();
    let done = scene.update(key(1, 1), mention(10)).await;
    assert_eq!((done.view.mention_count, done.view.last_acked_id), (1, 0));
    scene.flush().await;
    let plan = Plan { rests: scene.rests.clone(), time: scene.time.clone(), ..Plan::default() };
    let restarted = plan.by_hand().await;
    assert_eq!(restarted.read(key(1, 1)).await.mention_count, 1);
    for channel in 2..=channels {
        assert!(!restarted.read(key(1, channel)).await.exists());
    }
}

#[tokio::test]
async fn scenario_28_clean_dirty_evicted_and_stored_states_all_go() {
    let scene = Plan::default().live().await;
    // Only in the store, and clean in memory.
    scene.put(key(1, 1), ack(5)).await;
    scene.put(key(1, 2), ack(5)).await;
    scene.read(key(1, 2)).await;
    // Evicted while dirty, its commit under way.
    let gate = scene.faults.hold(Call::Commit, Moment::After);
    scene.update(key(1, 3), mention(10)).await;
    scene.crowd_out().await;
    scene.faults.until(|tally| tally.held(Call::Commit) == 1).await;
    // Dirty: over a row, without one, and as a tombstone, which does not count.
    scene.put(key(1, 4), ack(5)).await;
    scene.update(key(1, 4), mention(10)).await;
    scene.update(key(1, 5), mention(10)).await;
    scene.update(key(1, 6), increment()).await;
    scene.update(key(1, 6), delete()).await;
    // Others stay.
    scene.update(key(2, 1), mention(10)).await;
    let deletion = spawn_deletion(&scene);
    while scene.read(key(1, 5)).await.exists() {
        tokio::task::yield_now().await;
    }
    assert!(!scene.read(key(1, 3)).await.exists());
    gate.open();
    assert_eq!(deletion.await.expect("no panic").expect("a deletion"), 5);
    assert_gone(&scene, 6).await;
    assert_eq!(scene.read(key(2, 1)).await.mention_count, 1);
    assert_eq!(scene.engine.delete_user(user(3)).await.expect("nothing to do"), 0);
    scene.stop();
}

#[tokio::test]
async fn a_load_begun_before_the_deletion_does_not_resurrect() {
    let scene = Plan::default().live().await;
    scene.put(key(1, 1), ack(5)).await;
    let gate = scene.faults.hold_next(Call::Load, Moment::After);
    let slow = scene.spawn_read(key(1, 1));
    scene.faults.until(|tally| tally.held(Call::Load) == 1).await;
    assert_eq!(scene.engine.delete_user(user(1)).await.expect("a deletion"), 1);
    gate.open();
    assert!(!slow.await.expect("no panic").expect("a read").view.exists());
    assert_gone(&scene, 1).await;
    scene.stop();
}

#[tokio::test]
async fn a_load_begun_while_the_store_deletes_does_not_resurrect() {
    let scene = Plan::default().live().await;
    scene.put(key(1, 1), ack(5)).await;
    let deleting = scene.faults.hold(Call::DeleteUser, Moment::Before);
    let deletion = spawn_deletion(&scene);
    scene.faults.until(|tally| tally.held(Call::DeleteUser) == 1).await;
    let gate = scene.faults.hold_next(Call::Load, Moment::After);
    let slow = scene.spawn_update(key(1, 1), mention(10));
    scene.faults.until(|tally| tally.held(Call::Load) == 1).await;
    deleting.open();
    assert_eq!(deletion.await.expect("no panic").expect("a deletion"), 1);
    gate.open();
    let done = slow.await.expect("no panic").expect("an update");
    assert_eq!((done.view.last_acked_id, done.view.mention_count), (0, 1));
    scene.flush().await;
    let row = scene.stored(key(1, 1)).await.expect("the new life");
    assert_eq!((row.last_acked_id(), row.mention_count()), (0, 1));
    scene.stop();
}

#[tokio::test]
async fn what_is_made_anew_while_the_deletion_waits_stays() {
    let scene = Plan::default().live().await;
    scene.put(key(1, 1), ack(5)).await;
    scene.put(key(1, 2), ack(5)).await;
    let deleting = scene.faults.hold(Call::DeleteUser, Moment::Before);
    let deletion = spawn_deletion(&scene);
    scene.faults.until(|tally| tally.held(Call::DeleteUser) == 1).await;
    let done = scene.update(key(1, 1), mention(3)).await;
    assert_eq!(done.view.mention_count, 1, "message 3 was read in the life before");
    assert_eq!(list(&scene.engine, user(1)).await, [key(1, 1)]);
    deleting.open();
    assert_eq!(deletion.await.expect("no panic").expect("a deletion"), 2);
    scene.flush().await;
    assert_eq!(list(&scene.engine, user(1)).await, [key(1, 1)]);
    scene.crowd_out().await;
    assert_eq!(scene.read(key(1, 1)).await.mention_count, 1);
    assert!(!scene.read(key(1, 2)).await.exists());
    scene.stop();
}

/// Made anew while the commit of the life before is under way: neither brings the other down.
#[tokio::test]
async fn a_commit_of_the_life_before_does_not_bring_it_back() {
    for moment in [Moment::Before, Moment::After] {
        let scene = Plan::default().by_hand().await;
        scene.update(key(1, 1), ack(5)).await;
        let gate = scene.faults.hold_next(Call::Commit, moment);
        let pass = scene.spawn_pass(Scope::Everything);
        scene.faults.until(|tally| tally.held(Call::Commit) == 1).await;
        scene.cache.delete_user(user(1), &scene.clock.now()).expect("a place");
        assert!(!scene.read(key(1, 1)).await.exists());
        let done = scene.update(key(1, 1), mention(3)).await;
        assert_eq!((done.view.mention_count, done.view.last_acked_id), (1, 0), "{moment:?}");
        scene.cache.self_check();
        gate.open();
        pass.await.expect("no panic");
        assert_eq!(scene.read(key(1, 1)).await.mention_count, 1);
        scene.flush().await;
        let row = scene.stored(key(1, 1)).await.expect("the new life");
        assert_eq!((row.mention_count(), row.last_acked_id()), (1, 0), "{moment:?}");
    }
}

#[tokio::test]
async fn a_deletion_that_the_store_fails_stays_hidden_and_is_done_later() {
    for call in [Call::LoadUser, Call::DeleteUser] {
        let scene = Plan::default().live().await;
        scene.put(key(1, 1), ack(5)).await;
        scene.update(key(1, 2), mention(10)).await;
        let held = scene.faults.hold(Call::DeleteUser, Moment::Before);
        let deletion = spawn_deletion(&scene);
        scene.faults.until(|tally| tally.held(Call::DeleteUser) == 1).await;
        scene.faults.fail_next(call, ALWAYS, outage());
        scene.faults.fail_next(Call::DeleteUser, 1, outage());
        held.open();
        let refused = deletion.await.expect("no panic");
        assert!(matches!(refused, Err(Error::NotDurable)), "{refused:?}");
        assert!(!scene.read(key(1, 1)).await.exists() && !scene.read(key(1, 2)).await.exists());
        assert!(scene.stored(key(1, 1)).await.is_some(), "the store has it still");
        scene.faults.heal();
        while scene.cache.dirty() > 0 {
            scene.flusher.rounds().flushed().await.ok();
        }
        assert_gone(&scene, 2).await;
        scene.stop();
    }
}

#[tokio::test]
async fn rows_of_others_that_the_store_refuses_do_not_fail_a_deletion() {
    let scene = Plan::default().live().await;
    scene.put(key(1, 1), ack(5)).await;
    scene.update(key(2, 1), mention(10)).await;
    scene.faults.fail_keys([key(2, 1)]);
    assert_eq!(scene.engine.delete_user(user(1)).await.expect("a deletion"), 1);
    assert_eq!(scene.stored(key(1, 1)).await, None);
    scene.faults.heal();
    scene.flush().await;
    scene.stop();
}

#[tokio::test]
async fn a_deletion_that_cannot_count_first_deletes_nothing() {
    let scene = Plan::default().live().await;
    scene.update(key(1, 1), mention(10)).await;
    scene.faults.fail_next(Call::LoadUser, 1, outage());
    let refused = scene.engine.delete_user(user(1)).await;
    assert!(matches!(refused, Err(Error::Store(StoreError::Unavailable(_)))), "{refused:?}");
    assert_eq!(scene.read(key(1, 1)).await.mention_count, 1);
    assert_eq!(scene.engine.delete_user(user(1)).await.expect("a retry"), 1);
    assert_gone(&scene, 1).await;
    scene.stop();
}

#[tokio::test]
async fn a_user_of_many_channels_is_deleted_whole() {
    const CHANNELS: u64 = 3_000;
    let scene = Plan { entries: 8_192, ..Plan::default() }.live().await;
    for channel in 1..=CHANNELS {
        if channel % 3 == 0 {
            scene.put(key(1, channel), ack(5)).await;
        } else {
            scene.update(key(1, channel), mention(10)).await;
        }
    }
    let deleted = scene.engine.delete_user(user(1)).await.expect("a deletion");
    assert_eq!(u64::from(deleted), CHANNELS);
    assert_gone(&scene, CHANNELS).await;
    scene.stop();
}
