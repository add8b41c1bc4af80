//! What another owner of the keyspace had acknowledged and not flushed comes to one that serves:
//! whole states by merging, deletions of users at their version; as often as it may come.

use std::sync::Arc;

use readstates::{
    engine::{Arrival, Error, ImportCount, WatchFrom, WatchTarget},
    flush::{PassEnd, Scope},
    model::{Cause, Key, ReadState, Update, Version},
    store::{Batch, Call, Moment, Row, StoreError},
};

use crate::{
    keys::{ack, delete, increment, key, mention, user},
    scene::{ALWAYS, ByHand, Plan, START_US, Scene, outage},
};

/// A state that came to be before the scene began.
fn old(version: u64, updates: &[Update]) -> ReadState {
    let mut state = ReadState::default();
    for update in updates {
        assert!(state.apply(&update.operation).changed);
        state.set_version(Version::from_micros(version));
    }
    state
}

async fn merge<F>(scene: &Scene<F>, key: Key, state: &ReadState) -> Result<ImportCount, Error> {
    let merged = scene.engine.import(vec![(key, state.clone())], Arrival::Merges).await;
    scene.cache.self_check();
    merged
}

/// Whether something of it was new.
async fn is_new<F>(scene: &Scene<F>, key: Key, state: &ReadState) -> bool {
    let count = merge(scene, key, state).await.expect("the store is well");
    assert_eq!(count.taken + count.older, 1);
    count.taken == 1
}

/// Watermark and mentions.
async fn counts<F>(scene: &Scene<F>, key: Key) -> (u64, u32) {
    let view = scene.read(key).await;
    (view.last_acked_id, view.mention_count)
}

async fn rest(scene: &ByHand, key: Key, state: ReadState) {
    let batch = Batch { rows: vec![Row { key, state }], durable: false, upto: None };
    scene.rests.commit(batch).await.expect("it never fails");
}

#[tokio::test]
async fn what_nobody_has_changed_since_is_taken_with_a_new_version() {
    let scene = Plan::default().by_hand().await;
    let offered = old(20, &[ack(10), mention(12), mention(15)]);
    // One with an older row in the store, one without any.
    rest(&scene, key(1, 1), old(7, &[ack(10)])).await;
    for place in [key(1, 1), key(1, 2)] {
        let before = scene.cache.newest_version();
        assert!(is_new(&scene, place, &offered).await);
        assert_eq!(counts(&scene, place).await, (10, 2));
        assert!(scene.read(place).await.version > before, "deltas find it");
        // It may come again, also once it was flushed.
        assert!(!is_new(&scene, place, &offered).await);
        scene.flush().await;
        scene.crowd_out().await;
        assert!(!scene.is_present(place));
        assert!(!is_new(&scene, place, &offered).await);
        assert_eq!(counts(&scene, place).await, (10, 2));
    }
}

#[tokio::test]
async fn what_was_changed_since_is_merged_wherever_it_is() {
    let offered = old(20, &[ack(10), mention(12), mention(15)]);
    for place in ["clean", "dirty", "stored", "victim"] {
        let scene = Plan::default().by_hand().await;
        scene.update(key(1, 1), mention(15)).await;
        scene.update(key(1, 1), mention(30)).await;
        let before = scene.read(key(1, 1)).await.version;
        match place {
            "dirty" => {}
            "victim" => {
                scene.crowd_out().await;
                assert_eq!(scene.victims(), 1);
            }
            _ => scene.flush().await,
        }
        if place == "stored" {
            scene.crowd_out().await;
            assert!(!scene.is_present(key(1, 1)));
        }
        assert!(is_new(&scene, key(1, 1), &offered).await, "{place}");
        assert_eq!(counts(&scene, key(1, 1)).await, (10, 3), "{place}");
        assert!(scene.read(key(1, 1)).await.version > before, "{place}");
        assert!(!is_new(&scene, key(1, 1), &offered).await, "{place}");
        scene.update(key(1, 1), ack(30)).await;
        assert!(!is_new(&scene, key(1, 1), &offered).await, "{place}");
        scene.flush().await;
        let row = scene.stored(key(1, 1)).await.expect("a row");
        assert_eq!((row.last_acked_id(), row.mention_count()), (30, 0), "{place}");
    }
}

#[tokio::test]
async fn a_state_that_is_here_already_changes_nothing() {
    let scene = Plan::default().by_hand().await;
    let state = old(20, &[ack(10), increment()]);
    rest(&scene, key(1, 1), state.clone()).await;
    assert!(!is_new(&scene, key(1, 1), &state).await);
    assert_eq!(scene.cache.dirty(), 0);
    scene.read(key(1, 1)).await;
    assert!(!is_new(&scene, key(1, 1), &state).await);
    assert_eq!(scene.cache.dirty(), 0);
}

#[tokio::test]
async fn a_deletion_takes_away_what_came_before_it_and_nothing_else() {
    let scene = Plan::default().by_hand().await;
    let deleted = old(20, &[ack(10), delete()]);
    assert!(!deleted.exists());
    rest(&scene, key(1, 1), old(7, &[ack(10)])).await;
    scene.update(key(1, 2), ack(3)).await;
    for (place, taken) in [(key(1, 1), true), (key(1, 2), false)] {
        assert_eq!(is_new(&scene, place, &deleted).await, taken);
        assert_eq!(scene.read(place).await.exists(), !taken);
        assert!(!is_new(&scene, place, &deleted).await);
    }
    // It has the version it had: what a third one has done since outlives it, when that comes.
    assert_eq!(scene.read(key(1, 1)).await.version, Version::from_micros(20));
    assert!(is_new(&scene, key(1, 1), &old(25, &[ack(11)])).await);
    assert_eq!(counts(&scene, key(1, 1)).await, (11, 0));
    scene.flush().await;
}

#[tokio::test]
async fn a_deletion_of_a_user_takes_away_what_came_before_it_and_nothing_else() {
    let scene = Plan::default().live().await;
    let target = WatchTarget { user: user(1), from: WatchFrom::Now };
    let mut watch = scene.engine.watch(vec![target]).expect("there are places");
    assert_eq!(watch.next().await.expect("an event").cause, Cause::CaughtUp);
    // Of version 1, clean in memory and only in the store.
    scene.put(key(1, 1), ack(5)).await;
    scene.put(key(1, 2), ack(5)).await;
    scene.read(key(1, 1)).await;
    scene.update(key(1, 3), ack(5)).await;
    // Not long ago: the marks of those before the time of tombstones expire.
    let deleted_us = START_US - 100;
    let deleted_at = Version::from_micros(deleted_us);
    for _ in 0..2 {
        scene.engine.delete_users_upto(&[(user(1), deleted_at)]).await.expect("the store is well");
        for (channel, exists) in [(1, false), (2, false), (3, true)] {
            assert_eq!(scene.read(key(1, channel)).await.exists(), exists, "{channel}");
        }
    }
    let event = watch.next().await.expect("an event");
    assert_eq!(event.cause, Cause::Ack);
    assert_eq!(watch.next().await.expect("an event").cause, Cause::Resync);
    scene.flush().await;
    let page = scene.rests.load_user(user(1), None, 10).await.expect("it never fails");
    assert_eq!(page.deleted_at, Some(deleted_at));
    assert_eq!(page.rows.iter().map(|row| row.key).collect::<Vec<_>>(), [key(1, 3)]);
    // What the same owner had before it does not come back, wherever, and what it did after does.
    for channel in [3, 4] {
        assert!(
            !is_new(&scene, key(1, channel), &old(deleted_us - 1, &[ack(9)])).await,
            "{channel}"
        );
    }
    assert_eq!(counts(&scene, key(1, 3)).await, (5, 0));
    assert!(is_new(&scene, key(1, 5), &old(deleted_us + 1, &[ack(9)])).await);
    // A newer one was known: the older is told of as done.
    scene.engine.delete_user(user(1)).await.expect("the store is well");
    let known = [(user(1), deleted_at.next())];
    scene.engine.delete_users_upto(&known).await.expect("it is known");
    scene.stop();
}

#[tokio::test]
async fn deletions_of_users_go_to_the_store_together() {
    let scene = Plan::default().live().await;
    let version = |id| Version::from_micros(START_US - 100 + id);
    let deletions: Vec<_> = (1..=10).map(|id| (user(id), version(id))).collect();
    for id in 1..=10 {
        scene.put(key(id, 1), ack(5)).await;
    }
    // Those that are known are not begun anew.
    for (some, begun) in [(&deletions[..4], 4), (&deletions[..], 6), (&deletions[..], 0)] {
        let before = scene.faults.tally();
        scene.engine.delete_users_upto(some).await.expect("the store is well");
        let after = scene.faults.tally();
        let more = |call| after.begun(call) - before.begun(call);
        assert_eq!((more(Call::DeleteUser), more(Call::ForgetBefore)), (begun, 1));
    }
    for (user, version) in deletions {
        let page = scene.rests.load_user(user, None, 10).await.expect("it never fails");
        assert_eq!((page.rows.len(), page.deleted_at), (0, Some(version)));
    }
    scene.stop();
}

/// More than there are dirty places: the store has to take some before.
#[tokio::test]
async fn many_deletions_of_users_wait_for_places() {
    let scene = Plan { dirty_limit: Some(4), ..Plan::default() }.live().await;
    let deletions: Vec<_> = (1..=30).map(|id| (user(id), Version::from_micros(20))).collect();
    scene.engine.delete_users_upto(&deletions).await.expect("the store is well");
    assert_eq!(scene.faults.tally().begun(Call::DeleteUser), 30);
    scene.engine.delete_users_upto(&[]).await.expect("nothing to do");
    scene.stop();
}

/// The user is deleted, the store has confirmed it, and there is a new life: all after the store
/// was asked about the old one.
#[tokio::test]
async fn nothing_is_merged_into_what_came_after_a_deletion_that_it_came_before() {
    for (call, present) in
        [(Call::LoadUser, true), (Call::LoadUser, false), (Call::LoadMany, false)]
    {
        let scene = Plan::default().live().await;
        scene.put(key(1, 1), ack(5)).await;
        if present {
            scene.read(key(1, 1)).await;
        }
        let gate = scene.faults.hold_next(call, Moment::After);
        let engine = Arc::clone(&scene.engine);
        let offered = vec![(key(1, 1), old(20, &[mention(12)]))];
        let merging = tokio::spawn(async move { engine.import(offered, Arrival::Merges).await });
        scene.faults.until(|tally| tally.held(call) == 1).await;
        scene.engine.delete_user(user(1)).await.expect("the store is well");
        scene.update(key(1, 1), mention(40)).await;
        gate.open();
        let count = merging.await.expect("no panic").expect("the store is well");
        assert_eq!(count, ImportCount { taken: 0, older: 1 }, "{call:?}, {present}");
        assert_eq!(counts(&scene, key(1, 1)).await, (0, 1), "{call:?}, {present}");
        scene.stop();
    }
}

#[tokio::test]
async fn what_the_store_does_not_answer_is_not_done_and_may_be_done_again() {
    let scene = Plan::default().by_hand().await;
    let offered = old(20, &[ack(10), mention(12)]);
    rest(&scene, key(1, 1), old(7, &[ack(9)])).await;
    for call in [Call::LoadMany, Call::LoadUser] {
        scene.faults.fail_next(call, ALWAYS, outage());
        let refused = merge(&scene, key(1, 1), &offered).await.expect_err("the store is away");
        assert!(matches!(refused, Error::Store(StoreError::Unavailable(_))), "{refused:?}");
        scene.faults.heal();
        assert_eq!(scene.cache.dirty(), 0);
    }
    assert!(is_new(&scene, key(1, 1), &offered).await);
    assert_eq!(scene.pass(Scope::Everything).await, PassEnd::Done);
    let row = scene.stored(key(1, 1)).await.expect("a row");
    assert_eq!((row.last_acked_id(), row.mention_count()), (10, 1));
}

/// A state that is merged has a new version, which deltas find; a deletion has its old one.
#[tokio::test]
async fn deltas_begin_anew_behind_a_deletion_and_only_there() {
    let scene = Plan::default().by_hand().await;
    rest(&scene, key(1, 1), old(7, &[ack(9)])).await;
    rest(&scene, key(1, 2), old(7, &[ack(9)])).await;
    scene.faults.fail_next(Call::ForgetBefore, ALWAYS, outage());
    assert!(is_new(&scene, key(1, 1), &old(20, &[ack(10)])).await);
    let deleted = old(20, &[ack(10), delete()]);
    for _ in 0..2 {
        let refused = merge(&scene, key(1, 2), &deleted).await;
        assert!(matches!(refused, Err(Error::Store(_))), "{refused:?}");
    }
    scene.faults.heal();
    merge(&scene, key(1, 2), &deleted).await.expect("the store is well");
}

/// Merging goes on while the same keys are changed: nothing of either is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merging_and_changes_at_the_same_time_lose_nothing() {
    const CHANNELS: u64 = 40;
    const MENTIONS: u64 = 25;
    let scene = Plan { entries: 16, ..Plan::default() }.live().await;
    let engine = Arc::clone(&scene.engine);
    let merging = tokio::spawn(async move {
        for channel in 1..=CHANNELS {
            let ids: Vec<Update> = (1..=MENTIONS).map(|id| mention(2 * id)).collect();
            let states = vec![(key(1, channel), old(20, &ids))];
            engine.import(states, Arrival::Merges).await.expect("the store is well");
        }
    });
    for id in 1..=MENTIONS {
        for channel in 1..=CHANNELS {
            let done = scene.engine.update(key(1, channel), mention(2 * id + 1)).await;
            done.expect("the store is well");
        }
    }
    merging.await.expect("no panic");
    for channel in 1..=CHANNELS {
        let view = scene.read(key(1, channel)).await;
        assert_eq!(u64::from(view.mention_count), 2 * MENTIONS, "{channel}");
    }
    scene.stop();
}
