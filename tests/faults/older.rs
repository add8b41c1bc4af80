//! A journal that is older than the store beside it, or that lacks records in its middle: what it
//! brings back takes the place of no newer row, and of no deletion (I11).

use std::{fs, path::Path, sync::Arc, time::Duration};

use readstates::{
    config::{Config, Durability},
    journal::{Disk, FolderDisk, JournalOptions, Repair, SegmentId},
    proto::{AckRequest, DeleteUserRequest, GetRequest},
    server::Stopped,
    store::{Call, codec::sort_key},
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

async fn ack(client: &mut Client, user_id: u64, message_id: u64) {
    let request = AckRequest { user_id, channel_id: 1, message_id, ..Default::default() };
    client.ack(request).await.expect("an ack");
}

async fn acked(client: &mut Client, user_id: u64) -> Option<u64> {
    let request = GetRequest { user_id, channel_id: 1, ..Default::default() };
    match client.get(request).await {
        Ok(answer) => answer.into_inner().state.map(|state| state.last_acked_id),
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound, "{status:?}");
            None
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for file in fs::read_dir(from).expect("a folder") {
        let file = file.expect("a file");
        fs::copy(file.path(), to.join(file.file_name())).expect("room");
    }
}

/// Ends with every change in the journal and none in the store.
async fn stop_in_an_outage(node: &mut Node, unflushed: usize) {
    node.faults.fail_next(Call::Commit, ALWAYS, outage());
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed });
}

/// One durability after the other: with the last one the journal is brought to the store and given
/// up.
#[tokio::test]
async fn an_older_copy_of_the_journal_takes_back_nothing_that_the_store_has() {
    for durability in [Durability::Journal, Durability::Memory] {
        let folder = tempfile::tempdir().expect("a folder");
        let (journal, older) = (folder.path().join("journal"), folder.path().join("older"));
        let mut node = Node::start(journaled(folder.path())).await;
        let mut client = node.client().await;
        for user in [1, 2, 3] {
            ack(&mut client, user, 7).await;
        }
        stop_in_an_outage(&mut node, 3).await;
        copy(&journal, &older);

        let again = Node::start_over(node.rests(), journaled(folder.path())).await;
        let mut node = again.expect("it starts");
        let mut client = node.client().await;
        ack(&mut client, 1, 20).await;
        client.delete_user(DeleteUserRequest { user_id: 2 }).await.expect("a deletion");
        node.ask();
        assert_eq!(node.stopped().await, Stopped { unflushed: 0 });

        fs::remove_dir_all(&journal).expect("it goes");
        copy(&older, &journal);
        let change = |config: &mut Config| {
            journaled(folder.path())(config);
            config.durability = durability;
        };
        let mut node = Node::start_over(node.rests(), change).await.expect("it starts");
        let mut client = node.client().await;
        assert_eq!(acked(&mut client, 1).await, Some(20), "{durability:?}");
        assert_eq!(acked(&mut client, 2).await, None, "{durability:?}: it was deleted");
        assert_eq!(acked(&mut client, 3).await, Some(7), "{durability:?}");
        node.ask();
        node.stopped().await;
        let stored = async |user| node.stored(key(user, 1)).await.map(|row| row.last_acked_id());
        assert_eq!(stored(1).await, Some(20), "{durability:?}");
        assert_eq!(stored(2).await, None, "{durability:?}");
    }
}

/// The journal keeps two records of a state, as an older one of another state is needed. The newer
/// is damaged, the store has it, and the repair keeps the older.
#[tokio::test]
async fn a_repaired_journal_takes_back_nothing_that_the_store_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(journaled(folder.path())).await;
    let mut client = node.client().await;
    node.faults.fail_keys([key(2, 1)]);
    for (user, message) in [(2, 3), (1, 7), (1, 20)] {
        ack(&mut client, user, message).await;
    }
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed: 1 });

    let path = folder.path().join("journal").join(SegmentId(1).file_name());
    let mut bytes = fs::read(&path).expect("the segment");
    let name = sort_key(&key(1, 1));
    let records = bytes.windows(name.len()).enumerate().filter(|(_, found)| *found == name);
    let places: Vec<usize> = records.map(|(place, _)| place).collect();
    assert_eq!(places.len(), 2, "the older record and the newer");
    bytes[places[1]] ^= 1;
    fs::write(&path, bytes).expect("room");
    let disk: Arc<dyn Disk> = Arc::new(FolderDisk::of_journal(folder.path()).expect("a folder"));
    let options = JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::default() };
    let repair = Repair::of(&disk, &options, true).expect("it is repaired");
    assert!(repair.done.is_some() && repair.missing.records() >= 1, "{repair:?}");

    let again = Node::start_over(node.rests(), journaled(folder.path())).await;
    let mut node = again.expect("it starts");
    let mut client = node.client().await;
    assert_eq!(acked(&mut client, 1).await, Some(20));
    assert_eq!(acked(&mut client, 2).await, Some(3));
    node.ask();
    assert_eq!(node.stopped().await, Stopped { unflushed: 0 });
    assert_eq!(node.stored(key(1, 1)).await.map(|row| row.last_acked_id()), Some(20));
}
