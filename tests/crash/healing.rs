//! A store that lost what it had confirmed, healed by the journal: the states come back, and
//! nobody is told a delta that reaches behind what the store has forgotten.

use std::{fs, path::Path};

use readstates::proto::{AckRequest, ListRequest, ListResponse};
use tempfile::TempDir;

use crate::{
    node::{Client, Node, Plan},
    settings::DURABILITY,
};

const ENGINE: &str = "fjall";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("room");
        }
    }
}

async fn client(node: &Node) -> Client {
    node.clients(1).await.remove(0)
}

async fn ack(client: &mut Client, channel_id: u64) {
    let request = AckRequest { user_id: 1, channel_id, message_id: 5, ..AckRequest::default() };
    client.ack(request).await.expect("it is acked");
}

async fn list(client: &mut Client, since_version: u64) -> ListResponse {
    let request = ListRequest { user_id: 1, since_version, ..ListRequest::default() };
    client.list(request).await.expect("it lists").into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healed_store_has_everything_and_tells_no_delta_from_before() {
    let data = TempDir::new().expect("there is room for a directory");
    let plan = Plan::new(data.path(), &["--durability", DURABILITY]);
    let node = plan.start().unwrap_or_else(|ended| panic!("{ended:#?}"));
    ack(&mut client(&node).await, 1).await;
    let before = list(&mut client(&node).await, 0).await.version;
    assert!(node.terminate().status.success());
    let (engine, older) = (data.path().join(ENGINE), data.path().join("older"));
    copy(&engine, &older);

    let node = plan.start().unwrap_or_else(|ended| panic!("{ended:#?}"));
    ack(&mut client(&node).await, 2).await;
    assert!(list(&mut client(&node).await, before).await.delta);
    assert!(node.terminate().status.success());
    fs::remove_dir_all(&engine).expect("it goes");
    copy(&older, &engine);

    let node = plan.start().unwrap_or_else(|ended| panic!("{ended:#?}"));
    let listed = list(&mut client(&node).await, before).await;
    let channels: Vec<u64> = listed.states.iter().map(|state| state.channel_id).collect();
    assert_eq!((channels, listed.delta), (vec![1, 2], false));
    assert!(list(&mut client(&node).await, listed.version).await.delta);
    assert!(node.terminate().status.success());
}
