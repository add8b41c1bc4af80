//! Two owners of one store, in turn, each with a journal of its own and unflushed changes in it:
//! who comes back begins neither where it ended nor where the other did, and keeps what both had
//! acknowledged.

use std::{path::Path, time::Duration};

use readstates::{
    config::{Config, Durability},
    proto::{AckRequest, DeleteRequest, DeleteUserRequest, GetRequest, IncrementRequest},
    server::Stopped,
    store::{Call, MemoryStore},
};
use tempfile::TempDir;
use tonic::Code;

use crate::{
    node::{Client, Node},
    scene::{ALWAYS, outage},
};

/// A store that others can reach, too.
fn shared() -> MemoryStore {
    let rests = MemoryStore::new();
    rests.share();
    rests
}

/// An owner: its journal is its own.
struct Owner(TempDir);

impl Owner {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    async fn serves(&self, rests: &MemoryStore) -> Node {
        self.serves_with(rests, |_| {}).await
    }

    async fn serves_with(&self, rests: &MemoryStore, change: impl FnOnce(&mut Config)) -> Node {
        let folder: &Path = self.0.path();
        let change = |config: &mut Config| {
            config.durability = Durability::Journal;
            config.data_dir = folder.to_owned();
            config.journal_segment_size = 1 << 20;
            config.flush_timeout = Duration::from_millis(200);
            change(config);
        };
        Node::start_over(rests.clone(), change).await.expect("it starts")
    }
}

async fn ack(client: &mut Client, user_id: u64, message_id: u64) {
    let request = AckRequest { user_id, channel_id: 1, message_id, ..Default::default() };
    client.ack(request).await.expect("an ack");
}

async fn mention(client: &mut Client, user_id: u64, message_id: u64) {
    let request = IncrementRequest { user_id, channel_id: 1, message_id, ..Default::default() };
    client.increment(request).await.expect("a mention");
}

/// Watermark, mentions and version; `None` where there is nothing.
async fn state(client: &mut Client, user_id: u64) -> Option<(u64, u32, u64)> {
    let request = GetRequest { user_id, channel_id: 1, ..Default::default() };
    match client.get(request).await {
        Ok(answer) => answer
            .into_inner()
            .state
            .map(|state| (state.last_acked_id, state.mention_count, state.version)),
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound, "{status:?}");
            None
        }
    }
}

async fn counts(client: &mut Client, user_id: u64) -> Option<(u64, u32)> {
    state(client, user_id).await.map(|(watermark, mentions, _)| (watermark, mentions))
}

/// Ends with every change in the journal and none in the store.
async fn stop_in_an_outage(mut node: Node, unflushed: usize) {
    node.faults.fail_next(Call::Commit, ALWAYS, outage());
    node.faults.fail_next(Call::DeleteUser, ALWAYS, outage());
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed });
}

async fn stop(mut node: Node) {
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed: 0 });
}

#[tokio::test]
async fn a_journal_that_comes_back_is_merged_with_what_another_has_written_since() {
    let (rests, first, second) = (shared(), Owner::new(), Owner::new());
    let node = first.serves(&rests).await;
    let mut client = node.client().await;
    for user in 1..=4 {
        ack(&mut client, user, 7).await;
        mention(&mut client, user, 30).await;
    }
    stop_in_an_outage(node, 4).await;

    let node = second.serves(&rests).await;
    let mut client = node.client().await;
    ack(&mut client, 1, 5).await;
    mention(&mut client, 1, 40).await;
    ack(&mut client, 2, 35).await;
    client.delete_user(DeleteUserRequest { user_id: 3 }).await.expect("a deletion");
    let (.., other) = state(&mut client, 1).await.expect("a state");
    stop(node).await;

    let node = first.serves(&rests).await;
    let mut client = node.client().await;
    let (watermark, mentions, version) = state(&mut client, 1).await.expect("a state");
    assert_eq!((watermark, mentions), (7, 2), "30 of the first and 40 of the second");
    assert!(version > other, "{version} is not above {other}, which a client has seen");
    assert_eq!(counts(&mut client, 2).await, Some((35, 0)), "30 was read since");
    assert_eq!(counts(&mut client, 3).await, None, "the user was deleted since");
    assert_eq!(counts(&mut client, 4).await, Some((7, 1)), "nobody else has changed it");
    mention(&mut client, 1, 40).await;
    assert_eq!(counts(&mut client, 1).await, Some((7, 2)), "40 comes late once more");
    stop(node).await;
}

#[tokio::test]
async fn what_was_deleted_since_does_not_come_back_and_what_came_since_does_not_go() {
    let (rests, first, second) = (shared(), Owner::new(), Owner::new());
    let node = first.serves(&rests).await;
    let mut client = node.client().await;
    mention(&mut client, 1, 30).await;
    ack(&mut client, 2, 5).await;
    let request = DeleteRequest { user_id: 2, channel_id: 1, ..Default::default() };
    client.delete(request).await.expect("a deletion");
    stop_in_an_outage(node, 2).await;

    let node = second.serves(&rests).await;
    let mut client = node.client().await;
    client.delete_user(DeleteUserRequest { user_id: 1 }).await.expect("a deletion");
    mention(&mut client, 1, 40).await;
    stop(node).await;
    let node = second.serves(&rests).await;
    ack(&mut node.client().await, 2, 100).await;
    stop_in_an_outage(node, 1).await;

    stop(first.serves(&rests).await).await;
    let node = second.serves(&rests).await;
    let mut client = node.client().await;
    assert_eq!(counts(&mut client, 1).await, Some((0, 1)), "30 went with its user");
    assert_eq!(counts(&mut client, 2).await, Some((100, 0)), "it came after the deletion");
    stop(node).await;
    let node = first.serves(&rests).await;
    let mut client = node.client().await;
    assert_eq!(counts(&mut client, 1).await, Some((0, 1)));
    stop(node).await;
}

/// The second has changes that are newer than the row, and yet did not begin with that row.
#[tokio::test]
async fn of_two_journals_neither_overwrites_what_the_other_brought_back() {
    let (rests, first, second) = (shared(), Owner::new(), Owner::new());
    let node = first.serves(&rests).await;
    let mut client = node.client().await;
    ack(&mut client, 1, 20).await;
    mention(&mut client, 1, 30).await;
    stop_in_an_outage(node, 1).await;

    let node = second.serves(&rests).await;
    let mut client = node.client().await;
    ack(&mut client, 1, 10).await;
    mention(&mut client, 1, 40).await;
    stop_in_an_outage(node, 1).await;

    stop(first.serves(&rests).await).await;
    let node = second.serves(&rests).await;
    let mut client = node.client().await;
    assert_eq!(counts(&mut client, 1).await, Some((20, 2)));
    stop(node).await;
}

/// What is merged is newer than every record, those of the same state that are still to be read
/// included: so they have all to be read before.
#[tokio::test]
async fn a_journal_of_more_than_the_cache_may_have_dirty_is_merged_all_the_same() {
    const USERS: u64 = 60;
    let (rests, first, second) = (shared(), Owner::new(), Owner::new());
    let node = first.serves(&rests).await;
    let mut client = node.client().await;
    for message in [7, 9] {
        for user in 1..=USERS {
            ack(&mut client, user, message).await;
            mention(&mut client, user, message + 50).await;
        }
    }
    stop_in_an_outage(node, USERS as usize).await;

    let node = second.serves(&rests).await;
    let mut client = node.client().await;
    for user in 1..=USERS {
        mention(&mut client, user, 70).await;
    }
    stop(node).await;

    let node = first.serves_with(&rests, |config| config.dirty_limit = Some(8)).await;
    let mut client = node.client().await;
    for user in 1..=USERS {
        assert_eq!(counts(&mut client, user).await, Some((9, 3)), "user {user}");
    }
    stop(node).await;
}

/// What was merged waits in the journal, and may be merged once more.
#[tokio::test]
async fn what_was_merged_and_not_flushed_is_merged_again() {
    let (rests, first, second) = (shared(), Owner::new(), Owner::new());
    let node = first.serves(&rests).await;
    let mut client = node.client().await;
    for user in 1..=20 {
        mention(&mut client, user, 30).await;
    }
    stop_in_an_outage(node, 20).await;

    let node = second.serves(&rests).await;
    let mut client = node.client().await;
    for user in 1..=20 {
        mention(&mut client, user, 40).await;
    }
    stop(node).await;

    // Merged and in its journal, but not in the store.
    let node = first.serves(&rests).await;
    stop_in_an_outage(node, 20).await;
    let node = second.serves(&rests).await;
    let mut client = node.client().await;
    assert_eq!(counts(&mut client, 1).await, Some((0, 1)));
    ack(&mut client, 1, 35).await;
    stop(node).await;
    let node = first.serves(&rests).await;
    let mut client = node.client().await;
    assert_eq!(counts(&mut client, 1).await, Some((35, 1)));
    for user in 2..=20 {
        assert_eq!(counts(&mut client, user).await, Some((0, 2)), "user {user}");
    }
    stop(node).await;
}

/// While it is in a journal only, another may serve what it takes away and give it a newer version.
#[tokio::test]
async fn the_deletion_of_a_user_is_acknowledged_once_the_store_has_it() {
    let (rests, owner) = (shared(), Owner::new());
    let node = owner.serves(&rests).await;
    let mut client = node.client().await;
    ack(&mut client, 1, 7).await;
    node.faults.fail_next(Call::DeleteUser, ALWAYS, outage());
    let request = DeleteUserRequest { user_id: 1 };
    let refused = client.delete_user(request).await.expect_err("the store does not take it");
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert_eq!(counts(&mut client, 1).await, None, "it is not given up");
    node.faults.heal();
    client.delete_user(request).await.expect("a deletion");
    stop(node).await;
}

/// Nobody else can reach it: the journal brings the deletion back.
#[tokio::test]
async fn beside_a_store_of_its_own_a_journal_is_enough_to_delete_a_user() {
    let (rests, owner) = (MemoryStore::new(), Owner::new());
    let node = owner.serves(&rests).await;
    let mut client = node.client().await;
    ack(&mut client, 1, 7).await;
    node.faults.fail_next(Call::DeleteUser, ALWAYS, outage());
    client.delete_user(DeleteUserRequest { user_id: 1 }).await.expect("a deletion");
    stop_in_an_outage(node, 1).await;
    let node = owner.serves(&rests).await;
    assert_eq!(counts(&mut node.client().await, 1).await, None);
    stop(node).await;
}
