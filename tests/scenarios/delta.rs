//! Scenario 26: what changed since a version, and when that is not to be had.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    clock::{Clock, ManualTime},
    proto::{ListRequest, ListResponse, ReadState},
};

use crate::{
    ground::{Ground, Node, on_grounds},
    paging::{list_all, list_pages, page},
    subject::Subject,
};

on_grounds!([roomy, tiny, on_disk] => [
    scenario_26_a_delta_is_exactly_what_changed_deletions_included,
    a_client_that_follows_deltas_holds_what_a_full_list_shows,
    a_version_of_0_or_above_the_users_gets_a_full_set,
]);

const DAY_US: u64 = 24 * 3_600_000_000;

async fn changes(node: &Node, user_id: u64, since_version: u64) -> ListResponse {
    let request = ListRequest { user_id, since_version, ..ListRequest::default() };
    list_pages(node, request, || 2).await
}

async fn scenario_26_a_delta_is_exactly_what_changed_deletions_included(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    for channel in 1..=6 {
        subject.in_channel(channel).ack(10).await;
    }
    let listed = list_all(node, 1, 4).await;
    let none = changes(node, 1, listed.version).await;
    assert_eq!((none.states.len(), none.delta), (0, true));
    subject.in_channel(2).ack(5).await;
    subject.in_channel(3).ack(20).await;
    subject.in_channel(4).delete().await;
    subject.in_channel(5).delete().await;
    subject.in_channel(5).mention(7).await;
    subject.in_channel(7).mention(7).await;
    subject.of_user(2).ack(10).await;
    let delta = changes(node, 1, listed.version).await;
    assert!(delta.delta && delta.version > listed.version);
    let rows: Vec<_> = delta.states.iter().map(|state| (state.channel_id, state.deleted)).collect();
    assert_eq!(rows, [(3, false), (4, true), (5, false), (7, false)]);
    assert!(delta.states.iter().all(|state| state.version > listed.version));
    assert!(list_all(node, 1, 4).await.states.iter().all(|state| !state.deleted));
    assert_eq!(changes(node, 1, delta.version).await.states, []);
    let last = delta.states.iter().map(|state| state.version).max().expect("not empty");
    assert_eq!(changes(node, 1, last).await.states, [], "after it, not from it on");
}

/// What a client does with an answer.
fn take_in(held: &mut BTreeMap<u64, ReadState>, answer: &ListResponse) {
    if !answer.delta {
        held.clear();
    }
    for state in &answer.states {
        held.insert(state.channel_id, *state);
    }
    held.retain(|_, state| !state.deleted);
}

async fn a_client_that_follows_deltas_holds_what_a_full_list_shows(node: &Node) {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut held = BTreeMap::new();
    let mut version = 0;
    for _ in 0..20 {
        for _ in 0..rng.random_range(0..6) {
            let subject = Subject::new(node, 1, rng.random_range(1..10));
            let _ = match rng.random_range(0..4) {
                0 => subject.delete().await,
                1 => subject.ack(rng.random_range(1..50)).await,
                _ => subject.mention(rng.random_range(1..50)).await,
            };
        }
        let answer = changes(node, 1, version).await;
        assert_eq!(answer.delta, version != 0);
        take_in(&mut held, &answer);
        version = answer.version;
        let full = list_all(node, 1, 3).await;
        assert!(held.values().eq(full.states.iter()), "{held:?}\n{full:?}");
    }
}

async fn a_version_of_0_or_above_the_users_gets_a_full_set(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    subject.ack(10).await;
    subject.in_channel(2).ack(10).await;
    subject.in_channel(2).delete().await;
    let version = list_all(node, 1, 5).await.version;
    for since in [0, version + 1, version + 1_000_000_000_000, u64::MAX] {
        let answer = changes(node, 1, since).await;
        assert!(!answer.delta, "since {since}, at version {version}");
        assert_eq!(answer.states.len(), 1, "no tombstones in a full set");
    }
    assert!(changes(node, 1, version).await.delta);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_older_than_the_tombstones_kept_gets_a_full_set() {
    let time = ManualTime::starting_at(20_000 * DAY_US);
    let mut ground = Ground::roomy();
    ground.config.tombstone_ttl = Duration::from_secs(10 * 24 * 3600);
    let node = ground.timed(Clock::manual(Arc::clone(&time))).start().await;
    let subject = Subject::new(&node, 1, 1);
    subject.ack(10).await;
    let version = list_all(&node, 1, 5).await.version;
    subject.in_channel(2).ack(10).await;
    subject.in_channel(2).delete().await;
    assert_eq!(changes(&node, 1, version).await.states.len(), 1);
    time.set_wall_us(20_000 * DAY_US + 9 * DAY_US);
    let young = changes(&node, 1, version).await;
    assert_eq!((young.states.len(), young.delta), (1, true));
    time.set_wall_us(20_000 * DAY_US + 11 * DAY_US);
    let old = changes(&node, 1, version).await;
    assert_eq!((old.states.len(), old.delta), (1, false));
    assert!(!old.states[0].deleted);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deltas_go_on_over_a_restart() {
    let node = Ground::roomy().start().await;
    Subject::new(&node, 1, 1).ack(10).await;
    Subject::new(&node, 1, 2).ack(10).await;
    let listed = list_all(&node, 1, 5).await;
    Subject::new(&node, 1, 2).delete().await;
    let node = node.restart().await;
    let after = Subject::new(&node, 1, 3).ack(10).await;
    assert!(after.version() > listed.version, "versions rise over a restart");
    let delta = changes(&node, 1, listed.version).await;
    let rows: Vec<_> = delta.states.iter().map(|state| (state.channel_id, state.deleted)).collect();
    assert_eq!((rows, delta.delta), (vec![(2, true), (3, false)], true));
    let request = ListRequest { user_id: 1, ..ListRequest::default() };
    assert!(page(&node, request).await.version >= delta.version);
    node.stop().await;
}
