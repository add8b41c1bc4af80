//! `Watch`: what changed since a version, then every change, once and in order.

use std::collections::BTreeMap;

use readstates::proto::{
    BulkAckItem, Cause, DeleteUserRequest, ReadState, ReadStateType, WatchRequest, WatchResponse,
    WatchTarget,
};
use tonic::{Code, Status, Streaming};

use crate::{
    bulk::{bulk_ack, item, mention_in},
    errors::{expect_invalid, reason_of},
    ground::{Ground, Node, on_grounds, run},
    paging::list_all,
    subject::Subject,
};

on_grounds!([roomy, tiny, on_disk] => [
    scenario_1_an_ack_is_one_event_and_what_changes_nothing_is_none,
    every_cause_is_told_with_the_whole_state,
    scenario_10_a_rewind_says_that_it_is_one,
    catch_up_comes_in_rising_version_order_and_ends_once,
    a_full_set_begins_with_a_resync_and_has_no_tombstones,
    scenario_26_a_delta_tells_of_deletions,
    from_now_tells_nothing_of_before,
    a_stream_of_many_users_keeps_each_in_order,
    scenario_31_two_devices_see_both_acks,
    a_deleted_user_is_a_resync,
    a_version_above_the_users_own_is_answered_in_full,
    a_list_and_a_watch_from_its_version_repeat_nothing,
    an_unwatched_user_is_no_business_of_the_stream,
]);

mod large {
    use super::{a_bulk_ack_reaches_a_watcher_item_by_item, on_grounds};
    use super::{
        more_states_than_are_held_at_a_time_still_come_in_order, wrong_requests_are_refused,
    };

    on_grounds!([roomy, narrow_on_disk] => [
        a_bulk_ack_reaches_a_watcher_item_by_item,
        more_states_than_are_held_at_a_time_still_come_in_order,
        wrong_requests_are_refused,
    ]);
}

const USER: u64 = 7;

pub fn since(user_id: u64, since_version: u64) -> WatchTarget {
    WatchTarget { user_id, since_version, from_now: false }
}

pub fn from_now(user_id: u64) -> WatchTarget {
    WatchTarget { user_id, since_version: 0, from_now: true }
}

/// A stream that is read event by event.
pub struct Watching(Streaming<WatchResponse>);

impl Watching {
    pub async fn begin(node: &Node, targets: &[WatchTarget]) -> Self {
        let request = WatchRequest { targets: targets.to_vec() };
        Self(node.client().watch(request).await.expect("it may watch").into_inner())
    }

    pub async fn next(&mut self) -> WatchResponse {
        self.0.message().await.expect("no error").expect("it goes on")
    }

    /// Everything up to the end of the catch-up of one user, and the version to resume from.
    pub async fn caught_up(&mut self) -> (Vec<WatchResponse>, u64) {
        let mut events = Vec::new();
        loop {
            let event = self.next().await;
            if event.cause() == Cause::CaughtUp {
                assert!(event.version > 0 && event.state.is_none(), "{event:?}");
                return (events, event.version);
            }
            events.push(event);
        }
    }

    pub async fn error(&mut self) -> Status {
        loop {
            match self.0.message().await {
                Ok(event) => assert!(event.is_some(), "it ends without a word"),
                Err(status) => return status,
            }
        }
    }
}

/// Watches the user from now on, the first event being the next change.
pub async fn live(node: &Node) -> Watching {
    let mut watching = Watching::begin(node, &[from_now(USER)]).await;
    let (before, _) = watching.caught_up().await;
    assert_eq!(before, []);
    watching
}

pub fn state_of(event: &WatchResponse) -> &ReadState {
    let state = event.state.as_ref().expect("the whole state");
    assert_eq!((event.user_id, event.version), (state.user_id, state.version), "{event:?}");
    state
}

fn channels(events: &[WatchResponse]) -> Vec<u64> {
    events.iter().map(|event| state_of(event).channel_id).collect()
}

async fn scenario_1_an_ack_is_one_event_and_what_changes_nothing_is_none(node: &Node) {
    let subject = Subject::new(node, USER, 2);
    let mut watching = live(node).await;
    let acked = subject.ack(500).await;
    subject.ack(100).await;
    subject.ack(500).await;
    let other = subject.in_channel(3).ack(1).await;
    let event = watching.next().await;
    assert_eq!(event.cause(), Cause::Ack);
    assert_eq!(event.state, acked.state);
    assert_eq!(watching.next().await.state, other.state, "nothing in between");
}

async fn every_cause_is_told_with_the_whole_state(node: &Node) {
    let subject = Subject::new(node, USER, 2);
    let mut watching = live(node).await;
    let mut expect = async |cause: Cause, state: Option<ReadState>| {
        let event = watching.next().await;
        assert_eq!((event.cause(), &event.state), (cause, &state), "{event:?}");
    };
    expect(Cause::Increment, subject.mention(110).await.state).await;
    expect(Cause::Increment, subject.increment(2).await.state).await;
    subject.retract(110).await;
    expect(Cause::Retract, subject.get().await).await;
    expect(Cause::AckPins, subject.ack_pins(5).await.state).await;
    expect(Cause::Reset, subject.reset().await.state).await;
    expect(Cause::Ack, subject.ack(200).await.state).await;
    expect(Cause::MarkUnread, subject.mark_unread(50, Some(2)).await.state).await;
    let deleted = subject.delete().await.state;
    assert!(deleted.as_ref().is_some_and(|state| state.deleted));
    expect(Cause::Delete, deleted).await;
}

async fn scenario_10_a_rewind_says_that_it_is_one(node: &Node) {
    let subject = Subject::new(node, USER, 2);
    subject.ack(500).await;
    let mut watching = live(node).await;
    subject.mark_unread(100, Some(5)).await;
    let event = watching.next().await;
    let state = state_of(&event);
    assert_eq!(event.cause(), Cause::MarkUnread);
    assert_eq!((state.last_acked_id, state.mention_count), (100, 5));
    assert!(state.marked_unread);
}

async fn catch_up_comes_in_rising_version_order_and_ends_once(node: &Node) {
    let subject = Subject::new(node, USER, 1);
    let first = subject.ack(1).await.version();
    // Against the order of keys.
    for channel in [9, 5, 7, 3] {
        subject.in_channel(channel).ack(10).await;
    }
    subject.in_channel(9).of_kind(ReadStateType::GuildEvent).ack(10).await;
    let mut watching = Watching::begin(node, &[since(USER, first)]).await;
    let (events, version) = watching.caught_up().await;
    assert_eq!(channels(&events), [9, 5, 7, 3, 9]);
    assert!(events.iter().all(|event| event.cause() == Cause::CatchUp));
    assert!(events.is_sorted_by_key(|event| event.version));
    assert!(version >= events[4].version);
    subject.ack(2).await;
    assert_eq!(watching.next().await.cause(), Cause::Ack, "one end of the catch-up");
    let (events, _) = Watching::begin(node, &[since(USER, version)]).await.caught_up().await;
    assert_eq!(channels(&events), [1], "what came after that version, and nothing again");
}

async fn a_full_set_begins_with_a_resync_and_has_no_tombstones(node: &Node) {
    let subject = Subject::new(node, USER, 1);
    subject.ack(1).await;
    subject.in_channel(2).ack(1).await;
    subject.delete().await;
    let mut watching = Watching::begin(node, &[since(USER, 0)]).await;
    let resync = watching.next().await;
    assert_eq!((resync.cause(), resync.state, resync.version), (Cause::Resync, None, 0));
    assert_eq!(channels(&watching.caught_up().await.0), [2]);
    let mut watching = Watching::begin(node, &[since(USER + 1, 0)]).await;
    assert_eq!(watching.next().await.cause(), Cause::Resync);
    assert_eq!(watching.caught_up().await.0, [], "of a user who has nothing");
}

async fn scenario_26_a_delta_tells_of_deletions(node: &Node) {
    let subject = Subject::new(node, USER, 1);
    let version = subject.ack(1).await.version();
    subject.delete().await;
    let (events, _) = Watching::begin(node, &[since(USER, version)]).await.caught_up().await;
    assert_eq!(events.len(), 1);
    assert!(state_of(&events[0]).deleted);
}

async fn from_now_tells_nothing_of_before(node: &Node) {
    let subject = Subject::new(node, USER, 1);
    let before = subject.ack(1).await.version();
    let mut watching = Watching::begin(node, &[from_now(USER)]).await;
    let (events, version) = watching.caught_up().await;
    assert_eq!(events, []);
    assert!(version >= before);
    let acked = subject.ack(2).await;
    assert_eq!(watching.next().await.state, acked.state);
}

async fn a_stream_of_many_users_keeps_each_in_order(node: &Node) {
    let users = 1..=20_u64;
    let targets: Vec<WatchTarget> = users.clone().map(from_now).collect();
    let mut watching = Watching::begin(node, &targets).await;
    for _ in users.clone() {
        watching.caught_up().await;
    }
    for message in 1..=5 {
        for user in users.clone() {
            Subject::new(node, user, 1).ack(message).await;
        }
    }
    let mut seen: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for _ in 0..100 {
        let event = watching.next().await;
        seen.entry(event.user_id).or_default().push(state_of(&event).last_acked_id);
    }
    assert_eq!(seen.len(), 20);
    assert!(seen.values().all(|acks| *acks == [1, 2, 3, 4, 5]), "{seen:?}");
}

async fn scenario_31_two_devices_see_both_acks(node: &Node) {
    let mut devices = [live(node).await, live(node).await];
    let subject = Subject::new(node, USER, 1);
    tokio::join!(subject.ack(200), subject.ack(300));
    for device in &mut devices {
        let mut event = device.next().await;
        if state_of(&event).last_acked_id == 200 {
            event = device.next().await;
        }
        assert_eq!(state_of(&event).last_acked_id, 300);
    }
}

async fn a_deleted_user_is_a_resync(node: &Node) {
    let subject = Subject::new(node, USER, 1);
    let before = subject.ack(1).await.version();
    let mut watching = live(node).await;
    node.client().delete_user(DeleteUserRequest { user_id: USER }).await.expect("it deletes");
    let resync = watching.next().await;
    assert_eq!((resync.cause(), resync.state), (Cause::Resync, None));
    let caught_up = watching.next().await;
    assert_eq!((caught_up.cause(), caught_up.version), (Cause::CaughtUp, resync.version));
    assert!(resync.version > before);
    let anew = subject.ack(5).await;
    assert_eq!(watching.next().await.state, anew.state);
    let mut watching = Watching::begin(node, &[since(USER, before)]).await;
    assert_eq!(watching.next().await.cause(), Cause::Resync, "from before the deletion");
    assert_eq!(channels(&watching.caught_up().await.0), [1]);
    let (events, _) = Watching::begin(node, &[since(USER, resync.version)]).await.caught_up().await;
    assert!(events.iter().all(|event| event.cause() == Cause::CatchUp), "a delta: {events:?}");
}

async fn a_version_above_the_users_own_is_answered_in_full(node: &Node) {
    Subject::new(node, USER, 1).ack(1).await;
    let mut watching = Watching::begin(node, &[since(USER, u64::MAX)]).await;
    assert_eq!(watching.next().await.cause(), Cause::Resync);
    assert_eq!(channels(&watching.caught_up().await.0), [1]);
}

async fn a_list_and_a_watch_from_its_version_repeat_nothing(node: &Node) {
    let listed = list_all(node, USER, 1).await;
    let mut watching = Watching::begin(node, &[since(USER, listed.version)]).await;
    assert_eq!(watching.caught_up().await.0, [], "of a user who has nothing");
    let acked = Subject::new(node, USER, 1).ack(1).await;
    assert_eq!(watching.next().await.state, acked.state);
    let listed = list_all(node, USER, 1).await;
    let mut watching = Watching::begin(node, &[since(USER, listed.version)]).await;
    assert_eq!(watching.caught_up().await.0, []);
}

async fn an_unwatched_user_is_no_business_of_the_stream(node: &Node) {
    let mut watching = live(node).await;
    Subject::new(node, USER + 1, 1).ack(1).await;
    Subject::new(node, USER, 1).ack(2).await;
    assert_eq!(watching.next().await.user_id, USER);
}

async fn a_bulk_ack_reaches_a_watcher_item_by_item(node: &Node) {
    const CHANNELS: u64 = 10_000;
    mention_in(node, USER, (1..=CHANNELS).collect(), 90).await;
    let mut watching = live(node).await;
    let items: Vec<BulkAckItem> = (1..=CHANNELS).map(|channel| item(channel, 100)).collect();
    let (acked, events) = tokio::join!(bulk_ack(node, USER, items), async {
        let mut events = Vec::new();
        for _ in 0..CHANNELS {
            events.push(watching.next().await);
        }
        events
    });
    assert!(acked.iter().all(|result| result.changed));
    assert!(events.is_sorted_by_key(|event| event.version));
    let mut seen = channels(&events);
    seen.sort_unstable();
    assert_eq!(seen, (1..=CHANNELS).collect::<Vec<_>>());
}

async fn more_states_than_are_held_at_a_time_still_come_in_order(node: &Node) {
    const CHANNELS: u64 = 9_000;
    let backwards = (1..=CHANNELS).rev().collect();
    mention_in(node, USER, backwards, 90).await;
    let mut watching = Watching::begin(node, &[since(USER, 0)]).await;
    assert_eq!(watching.next().await.cause(), Cause::Resync);
    let (events, _) = watching.caught_up().await;
    assert!(events.is_sorted_by(|one, next| one.version < next.version));
    let mut states: Vec<ReadState> = events.into_iter().filter_map(|event| event.state).collect();
    states.sort_unstable_by_key(|state| state.channel_id);
    assert_eq!(states, list_all(node, USER, 10_000).await.states);
}

async fn wrong_requests_are_refused(node: &Node) {
    let refused = async |targets: &[WatchTarget], reason: &str, field: &str| {
        let request = WatchRequest { targets: targets.to_vec() };
        expect_invalid(node.client().watch(request).await, reason, field);
    };
    refused(&[], "INVALID_ID", "targets").await;
    refused(&[since(1, 0), since(0, 0)], "INVALID_ID", "targets[1].user_id").await;
    refused(&[since(1, 0), since(1, 5)], "CONFLICTING_FIELDS", "targets[1].user_id").await;
    let both = WatchTarget { from_now: true, ..since(1, 5) };
    refused(&[both], "CONFLICTING_FIELDS", "targets[0].from_now").await;
    let many: Vec<WatchTarget> = (1..=10_001).map(from_now).collect();
    refused(&many, "TOO_MANY_ITEMS", "targets").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_32_who_does_not_read_is_ended_and_resumes_without_a_gap() {
    let mut ground = Ground::roomy();
    ground.config.max_watch_queue = 8;
    run(ground, async |node| {
        let mut slow = live(node).await;
        let mut quick = live(node).await;
        let mut last = 0;
        // Far more than the windows and buffers between server and client take.
        for round in 1..=200 {
            let items = (1..=200).map(|channel| item(channel, round)).collect();
            bulk_ack(node, USER, items).await;
            // Reads as it comes; it too has only a short queue.
            if let Ok(Some(event)) = quick.0.message().await {
                last = event.version;
            } else {
                quick = Watching::begin(node, &[since(USER, last)]).await;
            }
        }
        let status = slow.error().await;
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(reason_of(&status), "SLOW_CONSUMER");
        assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_users_are_watched_than_may_be_and_places_come_back() {
    let mut ground = Ground::roomy();
    ground.config.max_watched_users = 3;
    run(ground, async |node| {
        let two = Watching::begin(node, &[from_now(1), from_now(2)]).await;
        let request = WatchRequest { targets: vec![from_now(1), from_now(2)] };
        let refused = node.client().watch(request).await.expect_err("four are too many");
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert_eq!(reason_of(&refused), "TOO_MANY_REQUESTS");
        drop(two);
        // The server hears of the end of the stream when it hears of it.
        loop {
            let request = WatchRequest { targets: vec![from_now(1), from_now(2)] };
            if node.client().watch(request).await.is_ok() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_41_a_watch_hears_of_the_end_and_resumes_behind_it() {
    let node = Ground::on_disk().start().await;
    let mut watching = live(&node).await;
    let acked = Subject::new(&node, USER, 1).ack(1).await.version();
    assert_eq!(watching.next().await.version, acked);
    let (node, status) = tokio::join!(node.restart(), watching.error());
    assert_eq!((status.code(), reason_of(&status)), (Code::Unavailable, "DRAINING".to_owned()));
    Subject::new(&node, USER, 2).ack(1).await;
    let (events, _) = Watching::begin(&node, &[since(USER, acked)]).await.caught_up().await;
    assert_eq!(channels(&events), [2]);
    node.stop().await;
}
