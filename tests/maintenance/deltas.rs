//! What clients see of a load: no delta reaches back behind it.

use std::collections::BTreeMap;

use readstates::proto::{
    AckRequest, Cause, ListRequest, ListResponse, ReadState, WatchRequest, WatchTarget,
    maintenance_service_client::MaintenanceServiceClient,
};

use crate::{
    command::Desk,
    server::{Client, Server},
    wire::{self, record},
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_of_a_user_who_is_loaded_begins_anew_and_ends_with_everything() {
    let server = Server::with(&[]);
    let mut client = server.client().await;
    let acked = async |channel_id, message_id| {
        let user_id = 7;
        let request = AckRequest { user_id, channel_id, message_id, ..AckRequest::default() };
        server.client().await.ack(request).await.expect("it is acked");
    };
    acked(9, 1).await;
    let targets = vec![WatchTarget { user_id: 7, since_version: 0, from_now: true }];
    let watch = client.watch(WatchRequest { targets }).await.expect("it may watch");
    let mut events = watch.into_inner();
    let mut loader = MaintenanceServiceClient::new(server.channel().await);
    // Each with a version of its own from elsewhere, far below those of this server.
    for (channel_id, version) in [(1, 500), (2, 400), (3, 300)] {
        let state = readstates::proto::StateRecord { channel_id, ..record(7, version) };
        assert_eq!(wire::load(&mut loader, vec![state]).await.expect("it is taken"), (1, 0));
    }
    acked(4, 1).await;
    acked(4, 2).await;
    let (mut held, mut resyncs): (BTreeMap<u64, ReadState>, u32) = (BTreeMap::new(), 0);
    let mut last = 0;
    while held.get(&4).is_none_or(|state| state.last_acked_id < 2) {
        let event = events.message().await.expect("no error").expect("it goes on");
        if event.cause() == Cause::Resync {
            held.clear();
            resyncs += 1;
            last = 0;
        }
        if let Some(state) = event.state {
            assert!(state.version > last, "{state:?} after {last}");
            last = state.version;
            held.insert(state.channel_id, state);
        }
    }
    assert!((1..=3).contains(&resyncs), "{resyncs}");
    let listed = list(&mut client, 7, 0).await.states;
    assert_eq!(held.into_values().collect::<Vec<_>>(), listed);
}
