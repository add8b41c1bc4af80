//! `--durability store`: nothing is acknowledged or shown that the store has not confirmed (I8).

use readstates::{
    engine::{Access, Done, Durability, Error, ListQuery, Order},
    model::{Version, View},
    store::{Call, Gate, Moment},
};
use tokio::task::{JoinHandle, yield_now};

use crate::{
    keys::{ack, if_version, increment, key, mention, user},
    scene::{Live, Plan, outage},
};

async fn durable() -> Live {
    Plan { durability: Durability::Store, ..Plan::default() }.live().await
}

/// An unconfirmed first mention of (1, 1): its commit waits at the gate, its caller for the commit.
async fn unconfirmed(scene: &Live) -> (Gate, JoinHandle<Result<Done, Error>>) {
    let gate = scene.faults.hold(Call::Commit, Moment::After);
    let update = scene.spawn_update(key(1, 1), mention(10));
    scene.faults.until(|tally| tally.held(Call::Commit) == 1).await;
    (gate, update)
}

/// Gives `task` every chance to end too early.
async fn assert_pending<T>(task: &JoinHandle<T>) {
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(!task.is_finished());
}

#[tokio::test]
async fn an_update_is_answered_only_once_its_commit_is_confirmed() {
    let scene = durable().await;
    let (gate, update) = unconfirmed(&scene).await;
    assert_pending(&update).await;
    gate.open();
    let done = update.await.expect("no panic").expect("an update");
    assert_eq!((done.view.mention_count, scene.cache.dirty()), (1, 0));
    assert!(scene.stored(key(1, 1)).await.is_some());
    scene.stop();
}

#[tokio::test]
async fn whatever_shows_an_unconfirmed_state_waits_for_it_too() {
    let scene = durable().await;
    let (gate, update) = unconfirmed(&scene).await;
    let engine = scene.engine.clone();
    let stale = Version::from_micros(7);
    let read = scene.spawn_read(key(1, 1));
    let duplicate = scene.spawn_update(key(1, 1), mention(10));
    let mismatch = scene.spawn_update(key(1, 1), if_version(ack(20), stale));
    let summary = tokio::spawn({
        let engine = engine.clone();
        async move { engine.summary(user(1)).await }
    });
    let list = tokio::spawn({
        let engine = engine.clone();
        async move { engine.list(first_page()).await }
    });
    let many = tokio::spawn(async move {
        engine.access_many(vec![(key(1, 1), Access::Read)], Order::Any).await
    });
    assert_pending(&read).await;
    assert_pending(&duplicate).await;
    assert_pending(&mismatch).await;
    assert_pending(&summary).await;
    assert_pending(&list).await;
    assert_pending(&many).await;
    gate.open();
    assert_eq!(read.await.expect("no panic").expect("a read").view.mention_count, 1);
    assert!(!duplicate.await.expect("no panic").expect("a duplicate").changed);
    let refused = mismatch.await.expect("no panic");
    assert!(matches!(refused, Err(Error::Mismatch(View { mention_count: 1, .. }))), "{refused:?}");
    assert_eq!(summary.await.expect("no panic").expect("a summary").mention_count, 1);
    assert_eq!(list.await.expect("no panic").expect("a page").rows.len(), 1);
    assert!(many.await.expect("no panic")[0].is_ok());
    update.await.expect("no panic").expect("an update");
    scene.stop();
}

fn first_page() -> ListQuery<'static> {
    let (page_token, since) = ("", Version::ZERO);
    ListQuery { user: user(1), page_size: 10, page_token, since, unread_only: false }
}

#[tokio::test]
async fn a_state_that_the_store_has_is_shown_while_others_wait() {
    let scene = durable().await;
    scene.put(key(2, 1), ack(5)).await;
    let (gate, update) = unconfirmed(&scene).await;
    assert_eq!(scene.read(key(2, 1)).await.last_acked_id, 5);
    let old = scene.update(key(2, 1), ack(3)).await;
    assert!(!old.changed);
    assert_pending(&update).await;
    gate.open();
    update.await.expect("no panic").expect("an update");
    scene.stop();
}

#[tokio::test]
async fn a_commit_that_fails_is_said_so_and_its_change_reaches_the_store_later() {
    let scene = durable().await;
    scene.faults.fail_next(Call::Commit, 1, outage());
    let refused = scene.engine.update(key(1, 1), mention(10)).await;
    assert!(matches!(refused, Err(Error::NotDurable)), "{refused:?}");
    assert!(refused.expect_err("checked").retryable());
    scene.flush().await;
    assert_eq!(scene.stored(key(1, 1)).await.expect("a row").mention_count(), 1);
    let retry = scene.update(key(1, 1), mention(10)).await;
    assert!(!retry.changed, "a retry of a positioned operation counts nothing twice");
    scene.stop();
}

#[tokio::test]
async fn a_row_that_fails_alone_fails_only_those_who_wait_for_it() {
    let scene = durable().await;
    scene.faults.fail_keys([key(1, 1)]);
    let bad = scene.spawn_update(key(1, 1), mention(10));
    let batch: Vec<_> = (2..10).map(|id| (key(id, 1), Access::Update(mention(10)))).collect();
    for result in scene.engine.access_many(batch, Order::Any).await {
        assert!(result.expect("its row was written").changed);
    }
    for id in 2..10 {
        assert_eq!(scene.update(key(id, 1), mention(20)).await.view.mention_count, 2);
    }
    assert!(matches!(bad.await.expect("no panic"), Err(Error::NotDurable)));
    scene.faults.heal();
    scene.flush().await;
    assert!(scene.stored(key(1, 1)).await.is_some());
    scene.stop();
}

#[tokio::test]
async fn many_updates_at_once_share_few_commits() {
    const UPDATES: u64 = 500;
    let plan = Plan { durability: Durability::Store, entries: 4_096, ..Plan::default() };
    let scene = plan.live().await;
    let gate = scene.faults.hold(Call::Commit, Moment::Before);
    let first = scene.spawn_update(key(1, 1), increment());
    scene.faults.until(|tally| tally.held(Call::Commit) == 1).await;
    let others: Vec<_> =
        (2..=UPDATES).map(|id| scene.spawn_update(key(id, 1), increment())).collect();
    while scene.cache.dirty() < UPDATES as usize {
        yield_now().await;
    }
    gate.open();
    for update in std::iter::once(first).chain(others) {
        update.await.expect("no panic").expect("an update");
    }
    let tally = scene.faults.tally();
    assert_eq!(tally.rows_written(), UPDATES);
    assert!(tally.begun(Call::Commit) <= 4, "{} commits", tally.begun(Call::Commit));
    scene.stop();
}

/// A crash before the store has deleted the user would bring everything back.
#[tokio::test]
async fn that_a_user_is_deleted_is_shown_only_once_the_store_has_done_it() {
    let scene = durable().await;
    scene.put(key(1, 1), ack(5)).await;
    let gate = scene.faults.hold(Call::DeleteUser, Moment::Before);
    let engine = scene.engine.clone();
    let deletion = tokio::spawn(async move { engine.delete_user(user(1)).await });
    scene.faults.until(|tally| tally.held(Call::DeleteUser) == 1).await;
    let read = scene.spawn_read(key(1, 1));
    let no_op = scene.spawn_update(key(1, 2), readstates::model::Operation::Reset.into());
    let engine = scene.engine.clone();
    let list = tokio::spawn(async move { engine.list(first_page()).await });
    assert_pending(&deletion).await;
    assert_pending(&read).await;
    assert_pending(&no_op).await;
    assert_pending(&list).await;
    gate.open();
    assert_eq!(deletion.await.expect("no panic").expect("a deletion"), 1);
    assert!(!read.await.expect("no panic").expect("a read").view.exists());
    assert!(!no_op.await.expect("no panic").expect("a no-op").changed);
    assert!(list.await.expect("no panic").expect("a page").rows.is_empty());
    scene.stop();
}
