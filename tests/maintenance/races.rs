//! What comes between a load's look at the store and its taking: nothing newer is overwritten, and
//! nothing that was deleted comes back.

use readstates::{
    model::Version,
    proto::{
        AckRequest, DeleteUserRequest, DumpRequest, GetRequest,
        maintenance_service_client::MaintenanceServiceClient,
        read_states_service_client::ReadStatesServiceClient,
    },
    store::{Call, Moment, StoreError},
};
use tonic::Code;

use crate::{
    ground::{Ground, key, state},
    wire::{load, record},
};

/// The version of what is loaded: far in the past.
const OLD: u64 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_deleted_while_a_load_looks_does_not_come_back() {
    for call in [Call::LoadUser, Call::LoadMany] {
        let ground = Ground::new().await;
        let url = format!("http://{}", ground.address);
        let mut client = ReadStatesServiceClient::connect(url.clone()).await.expect("it answers");
        let mut loader = MaintenanceServiceClient::connect(url).await.expect("it answers");
        // It reads that there is nothing, no mark either, and gets old.
        let gate = ground.faults.hold_next(call, Moment::After);
        let loading = tokio::spawn(async move { load(&mut loader, vec![record(1, OLD)]).await });
        ground.faults.until(|tally| tally.held(call) == 1).await;
        client.delete_user(DeleteUserRequest { user_id: 1 }).await.expect("they are deleted");
        gate.open();
        let counts = loading.await.expect("it does not panic").expect("it is answered");
        assert_eq!(counts, (0, 1), "{call:?}");
        let get = GetRequest { user_id: 1, channel_id: 1, r#type: 0 };
        let answer = client.get(get).await.expect_err("there is nothing");
        assert_eq!(answer.code(), Code::NotFound);
        drop(client);
        ground.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_changed_while_a_load_looks_stays() {
    let ground = Ground::new().await;
    let url = format!("http://{}", ground.address);
    let mut client = ReadStatesServiceClient::connect(url.clone()).await.expect("it answers");
    let mut loader = MaintenanceServiceClient::connect(url).await.expect("it answers");
    let gate = ground.faults.hold_next(Call::LoadMany, Moment::After);
    let loading = tokio::spawn(async move { load(&mut loader, vec![record(1, OLD)]).await });
    ground.faults.until(|tally| tally.held(Call::LoadMany) == 1).await;
    let ack = AckRequest { user_id: 1, channel_id: 1, message_id: 70, ..AckRequest::default() };
    client.ack(ack).await.expect("it is acked");
    gate.open();
    let counts = loading.await.expect("it does not panic").expect("it is answered");
    assert_eq!(counts, (0, 1));
    let get = GetRequest { user_id: 1, channel_id: 1, r#type: 0 };
    let state = client.get(get).await.expect("it is there").into_inner().state;
    assert_eq!(state.expect("a state").last_acked_id, 70);
    drop(client);
    ground.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_takes_nothing_and_the_next_try_takes_it() {
    let ground = Ground::new().await;
    let url = format!("http://{}", ground.address);
    let mut client = MaintenanceServiceClient::connect(url).await.expect("it answers");
    ground.plant(key(2, 1), state(5, Version::from_micros(OLD + 1))).await;
    let outage = || StoreError::Unavailable("out".to_owned());
    for call in [Call::LoadUser, Call::LoadMany, Call::ForgetBefore] {
        ground.faults.fail_next(call, 1, outage());
        let failed = load(&mut client, vec![record(1, OLD), record(2, OLD)]).await;
        assert_eq!(failed.expect_err("it failed").code(), Code::Unavailable, "{call:?}");
    }
    // What the last of these took is here by now; the row that is newer was left alone.
    let counts = load(&mut client, vec![record(1, OLD), record(2, OLD), record(3, OLD)]).await;
    assert_eq!(counts.expect("it is answered"), (1, 2));
    ground.faults.fail_next(Call::Scan, 1, outage());
    let mut dump = client.dump(DumpRequest::default()).await.expect("it begins").into_inner();
    let line = dump.message().await.expect("the line is drawn").expect("an answer").version;
    assert_eq!(dump.message().await.expect_err("it breaks off").code(), Code::Unavailable);
    let again = DumpRequest { version: line, ..DumpRequest::default() };
    let mut dump = client.dump(again).await.expect("it begins").into_inner();
    let states = dump.message().await.expect("it goes on").expect("an answer").states;
    let ids: Vec<(u64, u64)> = states.iter().map(|state| (state.user_id, state.version)).collect();
    assert_eq!(ids, [(1, OLD), (2, OLD + 1), (3, OLD)]);
    assert!(dump.message().await.expect("it ends").is_none());
    drop(client);
    ground.stop().await;
}
