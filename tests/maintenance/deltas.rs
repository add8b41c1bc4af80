//! What clients see of a load: no delta reaches back behind it.

use readstates::proto::{ListRequest, ListResponse};

use crate::{
    command::Desk,
    server::{Client, Server},
    writers::fill,
};

async fn list(client: &mut Client, user_id: u64, since_version: u64) -> ListResponse {
    let request = ListRequest { user_id, since_version, ..ListRequest::default() };
    client.list(request).await.expect("it lists").into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deltas_from_before_a_load_are_full_sets_and_those_after_it_are_deltas() {
    let desk = Desk::new();
    let source = Server::with(&["--store", "memory"]);
    fill(&mut source.client().await, 2, 5).await;
    desk.dump(source.grpc(), "a.ndjson");
    for flags in [&["--store", "memory"][..], &[]] {
        let target = Server::with(flags);
        let mut client = target.client().await;
        fill(&mut client, 2, 2).await;
        let before = list(&mut client, 1, 0).await.version;
        // Of one that has nothing yet too: what comes is older than this version.
        let empty = list(&mut client, 9, 0).await.version;
        assert!(list(&mut client, 1, before).await.delta);
        desk.load(target.grpc(), "a.ndjson");
        let full = list(&mut client, 1, before).await;
        assert!(!full.delta && full.states.len() == 5, "{full:?}");
        assert!(!list(&mut client, 9, empty).await.delta);
        let after = list(&mut client, 1, full.version).await;
        assert!(after.delta && after.states.is_empty(), "{after:?}");
        if flags.is_empty() {
            let target = target.terminate().await.restart();
            let mut client = target.client().await;
            assert!(!list(&mut client, 1, before).await.delta);
            assert!(list(&mut client, 1, full.version).await.delta);
        }
    }
}
