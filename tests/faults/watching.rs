//! Watches while their users change all the time, while rows are damaged, and while too many watch.

use std::sync::Arc;

use futures_util::FutureExt as _;
use readstates::{
    cache::WATCHERS_PER_USER_MAX,
    engine::{Engine, Error, Event, Watch, WatchFrom, WatchTarget},
    model::{Cause, ReadState, UserId, Version},
    store::{Batch, Call, Moment, Row},
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
    let (mut caught_up, mut told) = (Vec::new(), Vec::new());
    let error = loop {
        match watch.next().await {
            Ok(event) if event.cause == Cause::CaughtUp => caught_up.push(event.user.as_u64()),
            Ok(event) => told.push(event.user.as_u64()),
            Err(error) => break error,
        }
        // Whoever resumed from this change would miss the damaged row and all before it.
        scene.update(key(1, 2), ack(5 + caught_up.len() as u64)).await;
    };
    assert!(matches!(error, Error::Corrupt(_)), "{error}");
    assert_eq!(caught_up, [2, 3]);
    assert!(!told.contains(&1), "{told:?}");
}

/// More rows than one step of a scan reads, so that a later step sees what came up meanwhile.
#[tokio::test]
async fn a_state_that_changes_while_its_user_is_looked_at_is_told_once() {
    const ROWS: u64 = 1_100;
    let scene = Plan::default().by_hand().await;
    let rows = (1..=ROWS).map(|channel| {
        let mut state = ReadState::default();
        assert!(state.apply(&ack(5).operation).changed);
        state.set_version(Version::from_micros(channel));
        Row { key: key(1, channel), state }
    });
    let batch = Batch { rows: rows.collect(), durable: false, upto: None };
    scene.rests.commit(batch).await.expect("it never fails");
    let mut watch = watch(&scene.engine, &[target(1, WatchFrom::Version(Version::ZERO))]);
    let gate = scene.faults.hold_next(Call::LoadUser, Moment::Before);
    assert!(now(&mut watch).is_none(), "the store is asked, and holds it");
    scene.update(key(1, ROWS), ack(500)).await;
    gate.open();
    let mut told = Vec::new();
    while told.last() != Some(&Cause::Ack) {
        let event = watch.next().await.expect("no error");
        let is_the_one = event.state.is_some_and(|(of, _)| of == key(1, ROWS));
        told.extend((is_the_one || event.state.is_none()).then_some(event.cause));
    }
    assert_eq!(told, [Cause::Resync, Cause::CaughtUp, Cause::Ack]);
}

fn damage() -> readstates::store::StoreError {
    readstates::store::StoreError::Corrupt("a row".to_owned().into())
}
