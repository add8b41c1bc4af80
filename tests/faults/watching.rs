//! Watches while their users change all the time, while rows are damaged, and while too many watch.

use std::sync::Arc;

use futures_util::FutureExt as _;
use readstates::{
    cache::WATCHERS_PER_USER_MAX,
    engine::{Engine, Error, Event, Watch, WatchFrom, WatchTarget},
    model::{Cause, UserId, Version},
    store::Call,
};

use crate::{
    keys::{ack, key},
    scene::Plan,
};

fn target(user: u64, from: WatchFrom) -> WatchTarget {
    WatchTarget { user: UserId::new(user).expect("not 0"), from }
}

fn watch(engine: &Arc<Engine>, targets: &[WatchTarget]) -> Watch {
    engine.watch(targets.to_vec()).expect("there are places")
}

/// What is there now, without waiting.
fn now(watch: &mut Watch) -> Option<Result<Event, Error>> {
    watch.next().now_or_never()
}

#[tokio::test]
async fn who_changes_all_the_time_keeps_no_other_user_waiting() {
    let scene = Plan::default().by_hand().await;
    let targets: Vec<WatchTarget> = (1..=10).map(|user| target(user, WatchFrom::Now)).collect();
    let mut watch = watch(&scene.engine, &targets);
    let mut caught_up = 0;
    for message in 1..=100 {
        // Before each look, so that there is always a change to be taken out.
        scene.update(key(1, 1), ack(message)).await;
        let event = now(&mut watch).expect("there is something").expect("no error");
        caught_up += usize::from(event.cause == Cause::CaughtUp);
    }
    assert_eq!(caught_up, targets.len());
}

#[tokio::test]
async fn one_user_is_watched_by_so_many_at_most_and_places_come_back() {
    let scene = Plan::default().by_hand().await;
    let one = [target(1, WatchFrom::Now)];
    let mut watches: Vec<Watch> =
        (0..WATCHERS_PER_USER_MAX).map(|_| watch(&scene.engine, &one)).collect();
    for watch in &mut watches {
        assert!(matches!(now(watch), Some(Ok(event)) if event.cause == Cause::CaughtUp));
    }
    let mut refused = watch(&scene.engine, &one);
    assert!(matches!(now(&mut refused), Some(Err(Error::TooManyWatchers))));
    drop(refused);
    watches.pop();
    let mut next = watch(&scene.engine, &one);
    assert!(matches!(now(&mut next), Some(Ok(_))));
    scene.update(key(1, 1), ack(5)).await;
    for watch in watches.iter_mut().chain([&mut next]) {
        assert!(matches!(now(watch), Some(Ok(event)) if event.cause == Cause::Ack));
    }
}

#[tokio::test]
async fn one_damaged_row_is_told_when_all_other_users_are_caught_up() {
    let scene = Plan::default().by_hand().await;
    for user in [1, 2, 3] {
        scene.put(key(user, 1), ack(5)).await;
    }
    scene.faults.fail_next(Call::LoadUser, 1, damage());
    let from = WatchFrom::Version(Version::ZERO);
    let mut watch = watch(&scene.engine, &[1, 2, 3].map(|user| target(user, from)));
    let mut caught_up = Vec::new();
    let error = loop {
        match watch.next().await {
            Ok(event) if event.cause == Cause::CaughtUp => caught_up.push(event.user.as_u64()),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Corrupt(_)), "{error}");
    assert_eq!(caught_up, [2, 3]);
}

fn damage() -> readstates::store::StoreError {
    readstates::store::StoreError::Corrupt("a row".to_owned())
}
