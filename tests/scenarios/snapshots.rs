//! Snapshots and events together: whoever has both has what the server has.

use std::collections::BTreeMap;

use readstates::proto::{Cause, GetSummaryRequest, ReadState, RestoreRequest};

use crate::{
    bulk::{bulk_ack, item, mention_in},
    ground::{Node, on_grounds},
    paging::list_all,
    subject::Subject,
    undo::undo_of,
    watch::{Watching, live, since, state_of},
};

on_grounds!([roomy, tiny, on_disk] => [
    scenario_24_an_undo_is_seen_by_a_watcher,
    scenario_29_the_badge_equals_a_recount_over_events,
    scenario_30_a_snapshot_races_with_an_event,
]);

const USER: u64 = 7;

async fn scenario_24_an_undo_is_seen_by_a_watcher(node: &Node) {
    mention_in(node, USER, vec![1, 2, 3], 90).await;
    let before = list_all(node, USER, 100).await.states;
    let mut watching = live(node).await;
    let acked = bulk_ack(node, USER, (1..=3).map(|channel| item(channel, 100)).collect()).await;
    let read_on = Subject::new(node, USER, 2).ack(200).await;
    let states = acked.iter().map(undo_of).collect();
    node.client().restore(RestoreRequest { states }).await.expect("it restores");
    let mut held = BTreeMap::new();
    for cause in [[Cause::Ack; 4].as_slice(), &[Cause::Restore; 2]].concat() {
        let event = watching.next().await;
        assert_eq!(event.cause(), cause, "{event:?}");
        held.insert(state_of(&event).channel_id, event.state);
    }
    assert_eq!(held[&2], read_on.state);
    for state in [before[0], before[2]] {
        let now = held[&state.channel_id].expect("the whole state");
        let as_before = ReadState { version: now.version, ..state };
        assert_eq!(now, as_before, "but for its version all is as before");
    }
}

async fn scenario_29_the_badge_equals_a_recount_over_events(node: &Node) {
    let mut watching = live(node).await;
    for channel in 1..=4 {
        let subject = Subject::new(node, USER, channel);
        subject.mentions(10..15).await;
        subject.ack(9 + channel).await;
        subject.mark_unread(3, (channel == 2).then_some(9)).await;
        subject.retract(14).await;
    }
    let end = Subject::new(node, USER, 1).delete().await.version();
    let mut held = BTreeMap::new();
    loop {
        let event = watching.next().await;
        held.insert(state_of(&event).channel_id, *state_of(&event));
        if event.version == end {
            break;
        }
    }
    let badge = GetSummaryRequest { user_ids: vec![USER] };
    let badge = node.client().get_summary(badge).await.expect("a badge").into_inner().summaries[0];
    let existing: Vec<_> = held.values().filter(|state| !state.deleted).collect();
    let mentions: u32 = existing.iter().map(|state| state.mention_count).sum();
    let marked = existing.iter().filter(|state| state.marked_unread).count();
    assert_eq!((badge.mention_count, badge.channels_marked_unread as usize), (mentions, marked));
}

/// The event is told first, the snapshot is from before it: whichever a client takes in first.
async fn scenario_30_a_snapshot_races_with_an_event(node: &Node) {
    let subject = Subject::new(node, USER, 1);
    subject.ack(45).await;
    let mut watching = live(node).await;
    let snapshot = list_all(node, USER, 100).await;
    let newer = subject.ack(46).await;
    let event = watching.next().await;
    let late = list_all(node, USER, 100).await;
    let (old, new) = (snapshot.states[0], *state_of(&event));
    assert_eq!((old.last_acked_id, new.last_acked_id), (45, 46));
    assert!(old.version <= snapshot.version && snapshot.version < new.version, "{snapshot:?}");
    assert_eq!([Some(new), Some(late.states[0])], [newer.state; 2]);
    assert!(late.version >= new.version, "nothing that it names is told once more");
    let mut again = Watching::begin(node, &[since(USER, late.version)]).await;
    assert_eq!(again.caught_up().await.0, []);
    let mut again = Watching::begin(node, &[since(USER, snapshot.version)]).await;
    let (missed, _) = again.caught_up().await;
    assert_eq!(missed.iter().map(|event| event.state).collect::<Vec<_>>(), [newer.state]);
}
