//! `--durability journal` over a store that fails: what the store did not take is in the journal,
//! and the next start has it.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use readstates::{
    config::{Config, Durability},
    journal::JournalError,
    proto::{
        AckRequest, ApplyRequest, DeleteUserRequest, GetRequest, IncrementRequest, ListRequest,
        Operation, ReadState, operation,
    },
    server::{StartError, Stopped},
    store::{Call, MemoryStore, Moment},
};
use tonic::Code;

use crate::{
    keys::key,
    node::{Client, Node},
    scene::{ALWAYS, outage},
};

fn journaled(data_dir: &Path) -> impl FnOnce(&mut Config) {
    move |config| {
        config.durability = Durability::Journal;
        config.data_dir = data_dir.to_owned();
        config.journal_segment_size = 1 << 20;
        config.flush_timeout = Duration::from_millis(200);
    }
}

async fn mention(client: &mut Client, user_id: u64, message_id: u64) {
    let request = IncrementRequest { user_id, channel_id: 1, message_id, ..Default::default() };
    client.increment(request).await.expect("a mention");
}

async fn state(client: &mut Client, user_id: u64) -> Option<ReadState> {
    let request = GetRequest { user_id, channel_id: 1, ..Default::default() };
    match client.get(request).await {
        Ok(answer) => answer.into_inner().state,
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound, "{status:?}");
            None
        }
    }
}

async fn mentions(client: &mut Client, user_id: u64) -> u32 {
    state(client, user_id).await.map_or(0, |state| state.mention_count)
}

#[tokio::test]
async fn scenario_41_what_could_not_be_flushed_is_there_after_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(journaled(folder.path())).await;
    let mut client = node.client().await;
    for user in 1..=5 {
        mention(&mut client, user, 7).await;
    }
    node.faults.fail_next(Call::Commit, ALWAYS, outage());
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed: 5 });
    assert_eq!(node.stored(key(5, 1)).await, None);
    let mut node = Node::start_over(node.rests(), journaled(folder.path())).await.expect("again");
    let mut client = node.client().await;
    for user in 1..=5 {
        mention(&mut client, user, 7).await;
        assert_eq!(mentions(&mut client, user).await, 1, "counted twice, or lost");
    }
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed: 0 });
    assert!(node.stored(key(5, 1)).await.is_some());
}

#[tokio::test]
async fn a_deleted_user_stays_deleted_though_the_store_never_heard_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(journaled(folder.path())).await;
    let mut client = node.client().await;
    mention(&mut client, 1, 7).await;
    node.ask();
    node.stopped().await;
    let mut node = Node::start_over(node.rests(), journaled(folder.path())).await.expect("again");
    let mut client = node.client().await;
    node.faults.fail_next(Call::DeleteUser, ALWAYS, outage());
    let deleted = client.delete_user(DeleteUserRequest { user_id: 1 }).await.expect("hidden");
    assert_eq!(deleted.into_inner().deleted, 1);
    node.ask();
    node.stopped().await;
    assert!(node.stored(key(1, 1)).await.is_some(), "the store did not hear of it");
    let mut node = Node::start_over(node.rests(), journaled(folder.path())).await.expect("again");
    assert_eq!(state(&mut node.client().await, 1).await, None);
    let listed = node.client().await.list(ListRequest { user_id: 1, ..Default::default() }).await;
    assert_eq!(listed.expect("a list").into_inner().states, []);
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed: 0 });
    assert_eq!(node.stored(key(1, 1)).await, None);
}

#[tokio::test]
async fn another_durability_brings_the_journal_to_the_store_first_and_leaves_no_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(journaled(folder.path())).await;
    mention(&mut node.client().await, 1, 7).await;
    node.faults.fail_next(Call::Commit, ALWAYS, outage());
    node.ask();
    node.stopped().await;
    let in_memory = |config: &mut Config| {
        journaled(folder.path())(config);
        config.durability = Durability::Memory;
    };
    let node = Node::start_over(node.rests(), in_memory).await.expect("again");
    assert!(node.stored(key(1, 1)).await.is_some(), "the store has it before anybody is served");
    let left = folder.path().join("journal").exists();
    assert!(!left, "a journal that is not written any more would be out of date");
}

#[tokio::test]
async fn a_store_that_came_up_empty_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(journaled(folder.path())).await;
    mention(&mut node.client().await, 1, 7).await;
    node.ask();
    node.stopped().await;
    let again = Node::start_over(MemoryStore::new(), journaled(folder.path())).await;
    let refused = again.err().expect("another store");
    assert!(matches!(refused, StartError::Journal(JournalError::StoreForeign { .. })), "{refused}");
}

/// The versions of a restarted server go on above those of before, and do not run ahead of the
/// clock with every start.
#[tokio::test]
async fn versions_go_on_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rests = MemoryStore::new();
    let mut newest = 0;
    for start in 1..=4 {
        let mut node =
            Node::start_over(rests, journaled(folder.path())).await.expect("it starts again");
        let mut client = node.client().await;
        mention(&mut client, 1, start).await;
        let version = state(&mut client, 1).await.expect("a state").version;
        assert!(version > newest, "start {start}: {version} after {newest}");
        newest = version;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        assert!(u128::from(newest) <= now.as_micros() + 1_000_000, "start {start}: {newest}");
        node.ask();
        node.stopped().await;
        rests = node.rests();
    }
}

/// A caller that goes away splits nothing: the change is there or not, here it is.
#[tokio::test]
async fn an_ack_whose_caller_went_away_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(journaled(folder.path())).await;
    let gate = node.faults.hold_next(Call::Load, Moment::Before);
    let mut client = node.client().await;
    let call = tokio::spawn(async move {
        let request = AckRequest { user_id: 1, channel_id: 1, message_id: 9, ..Default::default() };
        client.ack(request).await
    });
    node.faults.until(|tally| tally.begun(Call::Load) > 0).await;
    call.abort();
    gate.open();
    let mut client = node.client().await;
    assert_eq!(state(&mut client, 1).await.expect("a state").last_acked_id, 9);
    node.faults.fail_next(Call::Commit, ALWAYS, outage());
    node.ask();
    node.stopped().await;
    let node = Node::start_over(node.rests(), journaled(folder.path())).await.expect("again");
    assert_eq!(state(&mut node.client().await, 1).await.expect("a state").last_acked_id, 9);
}

/// Not the store, and before anything is written.
#[tokio::test]
async fn a_start_on_a_full_disk_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(journaled(folder.path())).await;
    mention(&mut node.client().await, 1, 7).await;
    node.faults.fail_next(Call::Commit, ALWAYS, outage());
    node.ask();
    node.stopped().await;
    let before = journal_bytes(folder.path());
    let on_full_disk = |config: &mut Config| {
        journaled(folder.path())(config);
        // More than any disk has.
        config.disk_reserve = 1 << 60;
    };
    for _ in 0..3 {
        let again = Node::start_over(node.rests(), on_full_disk).await;
        let refused = again.err().expect("there is no room");
        assert!(matches!(refused, StartError::Journal(JournalError::DiskFull { .. })), "{refused}");
        assert_eq!(journal_bytes(folder.path()), before);
    }
    let node = Node::start_over(node.rests(), journaled(folder.path())).await.expect("again");
    assert_eq!(mentions(&mut node.client().await, 1).await, 1);
}

/// The bytes of all files of the journal.
fn journal_bytes(data_dir: &Path) -> u64 {
    let files = std::fs::read_dir(data_dir.join("journal")).expect("a folder");
    // One that goes meanwhile counts for nothing.
    files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum()
}

/// Keys that are dirty go on through an outage; their old records are not kept for ever.
#[tokio::test]
async fn scenario_38_the_journal_does_not_grow_with_an_outage() {
    const CALLS: u64 = 400;
    const OPERATIONS: u64 = 2_000;
    const BOUND_BYTES: u64 = 2 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(|config| {
        journaled(folder.path())(config);
        config.journal_segment_size = 256 << 10;
        config.journal_size = 256 << 10;
        config.flush_after = Duration::from_millis(1);
    })
    .await;
    let mut client = node.client().await;
    node.faults.fail_next(Call::Commit, ALWAYS, outage());
    node.faults.fail_next(Call::Persist, ALWAYS, outage());
    let (mut largest, mut let_go) = (0, 0);
    for call in 1..=CALLS {
        let ack = |n| AckRequest {
            user_id: 1,
            channel_id: 1,
            message_id: call * OPERATIONS + n,
            ..Default::default()
        };
        let operations = (0..OPERATIONS)
            .map(|n| Operation { operation: Some(operation::Operation::Ack(ack(n))) })
            .collect();
        client.apply(ApplyRequest { operations }).await.expect("dirty keys go on");
        let bytes = journal_bytes(folder.path());
        let_go += u64::from(bytes < largest);
        largest = largest.max(bytes);
        if let_go > 0 && call * OPERATIONS * 40 > 2 * BOUND_BYTES {
            break;
        }
    }
    assert!(let_go > 0, "{largest} bytes, and nothing went");
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed: 1 });
}
